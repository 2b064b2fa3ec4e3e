"""The project's structures against the best of the same kind in packages: `pytest bench/suites/bench_rivals.py -s`.

Interleaved blocks, as `slotlookup run` times them. The rivals (bench/native/) have no hooks and no arena: std::map with
the library's allocator, a std::vector searched by std::upper_bound, and, where the module was built with
SLOTLOOKUP_PACKAGED_RIVALS, Abseil's B-tree and the header of superintervals; docs/structures.md has the commands. A
structure that took more than LIMIT times as long as its rival would misrepresent its method.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import _slotlookup_native as native
import pytest

from slotlookup.families.native import NativeStrategy
from slotlookup.questions import questions_of
from slotlookup.registry import find_workload, structures
from slotlookup.spec import StrategySpec
from slotlookup.strategy import Strategy

from ..measure.tasks import GfnTask, HvaTask, Task
from ..measure.timing import time_task
from ..results.statistics import ratio_interval

LIMIT = 1.3
EVENTS = 100_000
SECONDS = 2.0
SLOTS = [16, 512, 4096, 32_764]
BUILT = {name for name, _, _ in native.structures()}
# The project's structure, the rival, and the role in which they are compared.
PAIRS = [
    ("rbtree", "std-map", "gfn"),
    ("sorted", "sorted-vector", "gfn"),
    ("sorted-branchless", "sorted-vector", "gfn"),
    ("bplus-tree", "absl-btree", "gfn"),
    ("max-array", "superintervals", "hva"),
    ("implicit-intervals", "superintervals", "hva"),
]


@cache
def _task(slots: int, role: str) -> Task:
    questions = questions_of(find_workload("synthetic-uniform").build(slots=slots, events=EVENTS), seed=0)
    return GfnTask(questions, EVENTS) if role == "gfn" else HvaTask(questions, EVENTS)


def _load(task: Task, text: str) -> Strategy:
    """The structure in the task's role, with another one in the other role."""
    if text in structures():
        return task.load(text)
    spec = StrategySpec(text, "interval-tree") if task.role == "gfn" else StrategySpec("rbtree", text)
    strategy = NativeStrategy(text, spec, ())
    strategy.load_table(task.questions.start)
    return strategy


@pytest.mark.parametrize("slots", SLOTS)
@pytest.mark.parametrize(("ours", "rival", "role"), PAIRS)
def test_within_reach_of_the_rival(benchmark: Any, ours: str, rival: str, role: str, slots: int) -> None:
    if rival not in BUILT:
        pytest.skip(f"the module was built without {rival}; see SLOTLOOKUP_PACKAGED_RIVALS in docs/structures.md")
    task = _task(slots, role)
    for text in (ours, rival):
        task.verify(_load(task, text))
    samples = benchmark.pedantic(
        lambda: time_task(task, [ours, rival], lambda text: _load(task, text), SECONDS, lambda share: None), rounds=1
    )
    assert not samples.faults
    ratio = ratio_interval(samples.ns[ours], samples.ns[rival])
    benchmark.extra_info.update(ratio=ratio.median, low=ratio.low, high=ratio.high, limit=LIMIT)
    least = min(samples.ns[ours]), min(samples.ns[rival])
    print(
        f"\n{ours} against {rival}, {role}, {slots} slots: {ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}], "
        f"best {least[0]:.1f} and {least[1]:.1f} ns"
    )
    # Noise only adds time, so the best of each is closest to its cost.
    assert min(ratio.median, least[0] / least[1]) <= LIMIT


if __name__ == "__main__":
    pytest.main([__file__, "-s"])
