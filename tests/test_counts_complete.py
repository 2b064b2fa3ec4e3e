"""No structure lacks cases calculated by hand: in each of its roles a question, a creation and a deletion."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import product
from types import ModuleType

import pytest
import test_counts
import test_counts_arrays
import test_counts_btrees
import test_counts_intervals
from source_tree import ROOT

from slotlookup import registry
from slotlookup.address import Gfn, Hva
from slotlookup.families.native import NativeStrategy
from slotlookup.memslots import ChangeKind, SlotChange
from slotlookup.structure import NativeStructure
from slotlookup.vocabulary import CachePolicy, Role, UpdateDiscipline

MODULES = (test_counts, test_counts_arrays, test_counts_btrees, test_counts_intervals)
QUESTION = "question"
COUNTED = (QUESTION, ChangeKind.CREATE.name, ChangeKind.DELETE.name)

Pinned = set[tuple[str, Role, str]]
"""Structures, their roles, and what is counted there."""


def cases(modules: Iterable[ModuleType]) -> Iterator[Callable[[], None]]:
    """The methods of the test classes, once for each of their parameters."""
    for module in modules:
        for name, holder in vars(module).items():
            if name.startswith("Test") and inspect.isclass(holder):
                for test, method in vars(holder).items():
                    if test.startswith("test_"):
                        yield from (partial(method, holder(), **a) for a in arguments(holder, method))


def arguments(*marked: object) -> Iterator[dict[str, object]]:
    """The combinations of the values in `parametrize` marks that have one name each."""
    marks = [mark for each in marked for mark in getattr(each, "pytestmark", []) if mark.name == "parametrize"]
    for values in product(*(mark.args[1] for mark in marks)):
        yield dict(zip((mark.args[0] for mark in marks), values, strict=True))


def pinned(modules: Iterable[ModuleType], monkeypatch: pytest.MonkeyPatch) -> Pinned:
    """What the cases count, without a cache and in place, as the calls of the strategies show it."""
    seen: Pinned = set()

    def note(strategy: NativeStrategy, what: str, *roles: Role) -> None:
        spec = registry.parse_spec(strategy.spec)
        if (spec.cache, spec.update) == (CachePolicy.NONE, UpdateDiscipline.IN_PLACE):
            seen.update((getattr(spec, role), role, what) for role in roles)

    lookup_gfn, visit_hva, apply = NativeStrategy.lookup_gfn, NativeStrategy.visit_hva, NativeStrategy.apply

    def lookup(strategy: NativeStrategy, gfn: Gfn, as_id: int = 0, vcpu: int = 0) -> int:
        note(strategy, QUESTION, Role.GFN)
        return lookup_gfn(strategy, gfn, as_id, vcpu)

    def visit(strategy: NativeStrategy, start: Hva, end: Hva) -> list[int]:
        note(strategy, QUESTION, Role.HVA)
        return visit_hva(strategy, start, end)

    def change(strategy: NativeStrategy, made: SlotChange) -> None:
        note(strategy, made.kind.name, *Role)
        apply(strategy, made)

    monkeypatch.setattr(NativeStrategy, "lookup_gfn", lookup)
    monkeypatch.setattr(NativeStrategy, "visit_hva", visit)
    monkeypatch.setattr(NativeStrategy, "apply", change)
    for case in cases(modules):
        case()
    return seen


def wanted() -> Pinned:
    """Every structure whose source ships, in each of its roles."""
    return {
        (structure.name, role, what)
        for source in (ROOT / "strategies" / "native").glob("*.cpp")
        for structure in [registry.structures()[source.stem.replace("_", "-")]]
        if isinstance(structure, NativeStructure)
        for role in structure.roles
        for what in COUNTED
    }


def test_every_structure_has_cases_in_every_role(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wanted() - pinned(MODULES, monkeypatch) == set()


def test_a_structure_without_cases_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    missed = wanted() - pinned([test_counts, test_counts_btrees, test_counts_intervals], monkeypatch)
    assert ("slot-id-array", Role.HVA, "DELETE") in missed
    assert ("sorted", Role.GFN, QUESTION) in missed
    assert ("bplus-tree", Role.HVA, "CREATE") not in missed
