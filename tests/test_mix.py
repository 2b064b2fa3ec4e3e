"""The mix of a workload's events, and the cost of an event, calculated by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotlookup.bench.results.mix import Mix, Weight, mix_of, parse_weights
from slotlookup.errors import UsageError
from slotlookup.memslots import make_memslot
from slotlookup.questions import questions_of
from slotlookup.trace import Trace, gfn_events, hva_events, slot_events
from slotlookup.vocabulary import Operation

SLOT = make_memslot(0, 0x0, 0x4000, 0x7000_0000_0000)
MIX = Mix({Operation.GFN: Weight(6), Operation.HVA: Weight(3, derived=True), Operation.UPDATE: Weight(1)})


def test_the_events_of_a_trace_are_its_weights() -> None:
    delete = slot_events([(0, 0, 0, SLOT.userspace_addr, 0)])
    events = [gfn_events([1, 2, 3, 0x99]), hva_events([SLOT.userspace_addr], [SLOT.userspace_addr + 1]), delete]
    mix = mix_of(questions_of(Trace("t", (SLOT,), np.concatenate(events)), seed=0))
    assert [mix.weights[role].events for role in Operation] == [4, 1, 1]
    assert mix.derived == ()
    assert mix.own == mix


def test_roles_without_events_are_derived_and_say_so() -> None:
    mix = mix_of(questions_of(Trace("t", (SLOT,), gfn_events([1, 2, 0x99])), seed=0))
    # The visits follow the two lookups that meet the slot.
    assert mix.weights[Operation.GFN] == Weight(3)
    assert mix.weights[Operation.HVA] == Weight(2, derived=True)
    assert mix.weights[Operation.UPDATE].derived
    assert mix.derived == (Operation.HVA, Operation.UPDATE)
    assert mix.own is not None and mix.own.roles == (Operation.GFN,)


def test_the_cost_is_the_mean_over_events() -> None:
    # Of ten events six cost 2, three cost 10 and one costs 100.
    assert MIX.cost({"gfn": 2.0, "hva": 10.0, "update": 100.0}) == pytest.approx(14.2)
    # Without the derived visits, of seven events six cost 2 and one costs 100.
    own = MIX.own
    assert own is not None and own.cost({"gfn": 2.0, "update": 100.0}) == pytest.approx(16.0)
    assert MIX.cost({"gfn": 2.0, "update": 100.0}) is None
    assert MIX.cost({"gfn": 2.0, "hva": None, "update": 100.0}) is None


def test_samples_are_added_process_by_process() -> None:
    samples = {"gfn": [1.0, 2.0], "hva": [10.0, 20.0], "update": [100.0, 200.0]}
    assert MIX.costs(samples) == pytest.approx([13.6, 27.2])
    assert MIX.costs({**samples, "update": [100.0]}) == pytest.approx([13.6])
    assert MIX.costs({"gfn": [1.0], "hva": [10.0]}) == []


def test_weights_of_the_users_replace_those_of_the_events() -> None:
    mix = MIX.weighted(parse_weights("gfn=90, hva=10"))
    assert [mix.share(role) for role in Operation] == [0.9, 0.1, 0.0]
    assert mix.derived == (Operation.HVA,)
    assert mix.given and not MIX.given
    assert mix.cost({"gfn": 1.0, "hva": 2.0}) == pytest.approx(1.1)


@given(st.lists(st.floats(0, 1e9), min_size=3, max_size=3).filter(any), st.lists(st.floats(0, 1e9), min_size=3))
def test_a_cost_lies_between_those_of_its_roles(weights: list[float], costs: list[float]) -> None:
    mix = Mix({role: Weight(weight) for role, weight in zip(Operation, weights, strict=True)})
    of_roles = [cost for cost, weight in zip(costs, weights, strict=False) if weight > 0]
    cost = mix.cost(dict(zip(Operation, costs, strict=False)))
    assert cost is not None
    assert min(of_roles) <= cost * (1 + 1e-9) and cost <= max(of_roles) * (1 + 1e-9)
    assert math.isclose(sum(mix.share(role) for role in Operation), 1.0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no role is called ''"),
        ("gfn", "gfn needs a weight"),
        ("gfn=", "gfn needs a weight"),
        ("gfn=x", "gfn needs a weight"),
        ("gfn=-1", "gfn needs a weight"),
        ("gfn=nan", "gfn needs a weight"),
        ("gfn=inf", "gfn needs a weight"),
        ("gfn=1,gfn=2", "'gfn' is given twice"),
        ("gfn=0,hva=0", "all weights are 0"),
        ("lookups=3", "no role is called 'lookups'"),
    ],
)
def test_other_weights_are_refused(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        parse_weights(text)
