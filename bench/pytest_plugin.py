"""A pytest plugin: the fixture `slot_cost`, with which any test suite can limit lookup costs.

    def test_faults_stay_cheap(slot_cost):
        cost = slot_cost("kvm-5.17", "q35-4G-numa64", events=50_000)
        assert cost.gfn.compares <= 4

Counts are exact and the same on every machine, so such a test cannot be flaky. Every answer is checked; a
wrong one fails the test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from slotlookup.trace import Trace

    from .results.model import RoleResult


@dataclass(frozen=True)
class SlotCost:
    """The costs of a strategy on a workload, by role: counts as means per operation, None if unknown."""

    strategy: str
    gfn: RoleResult
    hva: RoleResult
    update: RoleResult


Measure = Callable[..., SlotCost]


@pytest.fixture(scope="session")
def slot_cost() -> Measure:
    """Count a strategy on a workload: `slot_cost(strategy, workload, *, slots=None, events=None, seed=0)`.

    `strategy` is a name or a spec; `workload` a name, the path of a trace, or a `slotlookup.trace.Trace`. Raises
    UsageError for unknown names and BrokenStrategy if an answer is wrong.
    """
    # Imported here because pytest loads plugins in every session, also in those without measurements.
    from slotlookup.config.load import load_config
    from slotlookup.questions import questions_of
    from slotlookup.registry import family_of, make_strategy
    from slotlookup.trace import Trace

    from .measure.selection import load_trace
    from .measure.tasks import TASKS, make_task

    def measure(
        strategy: str, workload: str | Trace, *, slots: int | None = None, events: int | None = None, seed: int = 0
    ) -> SlotCost:
        trace = workload if isinstance(workload, Trace) else load_trace(str(workload), slots, events, seed)
        questions = questions_of(trace, seed)
        family = family_of(strategy)
        make = partial(make_strategy, patience=load_config().settings.patience)
        return SlotCost(strategy, **{role: make_task(role, family, questions, make).count(strategy) for role in TASKS})

    return measure
