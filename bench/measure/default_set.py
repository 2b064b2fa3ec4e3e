"""The default set: the strategies that a command replays if none are named. `default_set` states the rule."""

from __future__ import annotations

from functools import cache

from slotlookup.errors import present
from slotlookup.questions import questions_of
from slotlookup.registry import describe, find_workload, presets, structures
from slotlookup.structure import Family, NativeStructure
from slotlookup.vocabulary import Role

from ..results.model import RoleResult
from .tasks import make_task

THREAD = ("linear", "size-sorted", "rbtree", "prio-tree")
"""The structures that the 2008 thread compared: an array of slots, the same sorted by size, an rbtree, a prio_tree."""
RULE = (
    "the thread's four, every preset of a real system, and of each kind of native structure the one that touches the "
    "fewest lines per lookup or visit among 64 slots"
)
"""The rule in words. A kind is: the growth of the role's cost with the slots, and that of a change's."""
_PROBE, _PROBE_SLOTS, _PROBE_EVENTS = "synthetic-uniform", 64, 2_000


def default_set() -> tuple[str, ...]:
    """The strategies of RULE: the thread's, the best of each kind, and the presets. All are native.

    Counts decide, so the set is the same on every machine. Equal numbers of lines are decided by the slots examined,
    then by the name.
    """
    return _default_set(tuple(structures()), tuple(presets()))


@cache
def _default_set(known: tuple[str, ...], of_systems: tuple[str, ...]) -> tuple[str, ...]:
    questions = questions_of(find_workload(_PROBE).build(slots=_PROBE_SLOTS, events=_PROBE_EVENTS), 0)
    best: dict[tuple[Role, str, str], tuple[float, float, str]] = {}
    for role in Role:
        task = make_task(role, Family.NATIVE, questions)
        for name in known:
            structure = structures()[name]
            if not isinstance(structure, NativeStructure) or role not in structure.roles:
                continue
            kind = (role, growth(getattr(structure.costs, role)), growth(structure.costs.update))
            best[kind] = min(best.get(kind, (float("inf"), 0.0, "")), (*_cost(task.count(name)), name))
    of_kinds = sorted({name for *_, name in best.values()})
    native = [name for name in of_systems if describe(name).family is Family.NATIVE]
    return tuple(dict.fromkeys([*(name for name in THREAD if name in known), *of_kinds, *native]))


def growth(cost: str) -> str:
    """How a declared cost grows with the number of slots: `log n`, `n`, or `bounded` by the bits of an address."""
    term = cost.removeprefix("O(")
    if term.startswith("log"):
        return "log n"
    return "n" if term.startswith(("n", "m")) else "bounded"


def _cost(figures: RoleResult) -> tuple[float, float]:
    return (
        present(figures.lines, "the lines of a native structure"),
        present(figures.slots_examined, "the slots that a native structure examines"),
    )
