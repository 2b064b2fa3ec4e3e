"""Experiments that need times: structures against a linear search, by slot count, role and pattern."""

from __future__ import annotations

from collections.abc import Sequence

from slotlookup.vocabulary import Operation, TimingMode

from ..results.statistics import median
from .figures import Difference, MixedStream, OtherAlgorithm, Pointers, Scan, Trees
from .lab import COLD, HOT, Lab, Subject, Times
from .lookups import TWO_SLOT

EVENTS = 100_000
SCANS = ("linear", "size-sorted")
TREES = ("rbtree", "prio-tree", "interval-tree")
SEARCHES = ("sorted", "sorted-branchless", "static-btree")
TIMED = {
    Operation.GFN: (*SCANS, *TREES, *SEARCHES),
    Operation.HVA: (*SCANS, *TREES, "sorted", "implicit-intervals"),
    Operation.UPDATE: (*SCANS, *TREES, "sorted"),
}
"""The strategies that are timed in each role; one list per role, so that experiments share measurements."""
SKEWED = (TWO_SLOT, *(Subject("synthetic-skewed", n, EVENTS) for n in (4, 8, 16, 32, 64)))
UNIFORM = tuple(Subject("synthetic-uniform", n, EVENTS) for n in (2, 4, 8, 16, 32, 64, 128))
SAME = tuple(Subject("synthetic-same", n, EVENTS) for n in (2, 8, 32, 128))
VISITED = tuple(Subject("synthetic-uniform", n, EVENTS) for n in (2, 8, 32, 128, 512))
CHANGED = tuple(Subject("synthetic-uniform", n, EVENTS) for n in (2, 8, 32, 128))
MANY = Subject("synthetic-uniform", 4096, 20_000)
SHARES = (0.01, 0.1, 0.5)


def _times(lab: Lab, subject: Subject, role: Operation, mode: TimingMode = HOT) -> Times:
    return lab.times(subject, role, mode, TIMED[role])


def _lines(lab: Lab, subject: Subject, role: Operation, strategy: str) -> float:
    return lab.counts(subject, role, strategy).lines or 0.0


def other_algorithms(lab: Lab) -> list[OtherAlgorithm]:
    """Claim 2: every other structure against the array sorted by size, from the thread's two slots on."""
    found = []
    for subject in SKEWED:
        hot, cold = (_times(lab, subject, Operation.GFN, mode) for mode in (HOT, COLD))
        array = lab.counts(subject, Operation.GFN, "size-sorted")
        for strategy in (*TREES, *SEARCHES):
            counted = lab.counts(subject, Operation.GFN, strategy)
            found.append(
                OtherAlgorithm(
                    workload=subject.workload,
                    slots=lab.slots(subject),
                    command=lab.command(subject, ["size-sorted", strategy], [Operation.GFN], timed=True),
                    strategy=strategy,
                    examined=counted.slots_examined or 0.0,
                    lines=counted.lines or 0.0,
                    array_examined=array.slots_examined or 0.0,
                    array_lines=array.lines or 0.0,
                    hot=hot.difference(strategy, "size-sorted"),
                    cold=cold.difference(strategy, "size-sorted"),
                )
            )
    return found


def linear_search(lab: Lab) -> list[Scan]:
    """Claim 3: the fastest scan against the fastest other structure, by role, pattern and slot count."""
    places = [(Operation.GFN, subject) for subject in (*SKEWED, *UNIFORM, *SAME)]
    places += [(Operation.HVA, subject) for subject in VISITED]
    places += [(Operation.UPDATE, subject) for subject in CHANGED]
    found = []
    for role, subject in places:
        times = _times(lab, subject, role)
        scan = _fastest(times, SCANS)
        other = _fastest(times, [name for name in TIMED[role] if name not in SCANS])
        found.append(
            Scan(
                workload=subject.workload,
                slots=lab.slots(subject),
                command=lab.command(subject, [scan, other], [role], timed=True),
                role=role,
                hot=times.difference(scan, other),
                scan_lines=_lines(lab, subject, role, scan),
                other_lines=_lines(lab, subject, role, other),
            )
        )
    return found


def _fastest(times: Times, strategies: Sequence[str]) -> str:
    return min(strategies, key=lambda strategy: median(times.of.net[strategy]))


def paper_and_practice(lab: Lab) -> list[Trees]:
    """Claim 8: counts and times of the three trees in hva visits."""
    found = []
    for subject in (*VISITED, MANY):
        times = _times(lab, subject, Operation.HVA)
        counted = {tree: lab.counts(subject, Operation.HVA, tree) for tree in TREES}
        examined = {tree: figures.slots_examined or 0.0 for tree, figures in counted.items()}
        lines = {tree: figures.lines or 0.0 for tree, figures in counted.items()}
        found.append(
            Trees(
                workload=subject.workload,
                slots=lab.slots(subject),
                command=lab.command(subject, [*TREES], [Operation.HVA], timed=True),
                rbtree_examined=examined["rbtree"],
                rbtree_lines=lines["rbtree"],
                prio_tree_examined=examined["prio-tree"],
                prio_tree_lines=lines["prio-tree"],
                interval_tree_examined=examined["interval-tree"],
                interval_tree_lines=lines["interval-tree"],
                hot=times.difference("rbtree", "prio-tree"),
                later=times.difference("interval-tree", "prio-tree"),
            )
        )
    return found


def pointers(lab: Lab) -> list[Pointers]:
    """Claim 9: each tree against an unsorted array in gfn lookups, by slot count."""
    found = []
    for subject in UNIFORM:
        hot, cold = (_times(lab, subject, Operation.GFN, mode) for mode in (HOT, COLD))
        for strategy in TREES:
            found.append(
                Pointers(
                    workload=subject.workload,
                    slots=lab.slots(subject),
                    command=lab.command(subject, ["linear", strategy], [Operation.GFN], timed=True),
                    strategy=strategy,
                    lines=_lines(lab, subject, Operation.GFN, strategy),
                    array_lines=_lines(lab, subject, Operation.GFN, "linear"),
                    hot=hot.difference(strategy, "linear"),
                    cold=cold.difference(strategy, "linear"),
                )
            )
    return found


def mixed_stream(lab: Lab) -> list[MixedStream]:
    """Claim 10: each tree against an unsorted array, by slot count and share of slot changes."""
    found = []
    for subject in CHANGED:
        lookups, changes = (_times(lab, subject, role) for role in (Operation.GFN, Operation.UPDATE))
        for share in SHARES:
            for strategy in TREES:

                def lines(text: str, subject: Subject = subject, share: float = share) -> float:
                    kinds = [_lines(lab, subject, role, text) for role in (Operation.GFN, Operation.UPDATE)]
                    return (1 - share) * kinds[0] + share * kinds[1]

                found.append(
                    MixedStream(
                        workload=subject.workload,
                        slots=lab.slots(subject),
                        command=lab.command(
                            subject, ["linear", strategy], [Operation.GFN, Operation.UPDATE], timed=True
                        ),
                        strategy=strategy,
                        changes=share,
                        lines=lines(strategy),
                        array_lines=lines("linear"),
                        hot=mixed(
                            lookups.difference(strategy, "linear"), changes.difference(strategy, "linear"), share
                        ),
                    )
                )
    return found


def mixed(lookup: Difference, change: Difference, share: float) -> Difference:
    """The difference per event of a stream in which `share` of the events are changes.

    The two kinds were timed apart, so the ends of their intervals are added, which makes the interval wider.
    """

    def sum_of(a: float, b: float) -> float:
        return (1 - share) * a + share * b

    low = high = None
    if lookup.low is not None and change.low is not None and lookup.high is not None and change.high is not None:
        low, high = sum_of(lookup.low, change.low), sum_of(lookup.high, change.high)
    return Difference(
        lookup.strategy,
        lookup.base,
        sum_of(lookup.ns, change.ns),
        sum_of(lookup.base_ns, change.base_ns),
        low,
        high,
        sum_of(lookup.noise, change.noise),
    )
