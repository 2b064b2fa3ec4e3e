"""The combinations that a search compares, and the parts of which their costs are sums.

A combination is gfn structure x hva structure x cache x update discipline. Thousands of combinations have a few
hundred parts:

- gfn lookups depend on the gfn structure and the cache;
- hva visits depend on the hva structure;
- slot changes, and memory, are the work of both structures under a discipline. That work is the sum of both structures'
  shares, so each is measured next to a base structure in the other role, and the cost of the two base structures is
  subtracted once.

What the parts ignore (the other structure's nodes in the slot, the second set's nodes) shows in the difference between
the sum and the whole, which is measured and reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from slotlookup.families.python import CACHES as PYTHON_CACHES
from slotlookup.registry import parse_spec, structures
from slotlookup.spec import StrategySpec
from slotlookup.structure import Family, NativeStructure, Structure
from slotlookup.vocabulary import CachePolicy, Operation, Role, Target, UpdateDiscipline

MEMORY = "memory"
"""Takes the place of a role for bytes per slot."""
Parts = tuple[tuple[str, int], ...]
"""Specs whose figures are added (1) or subtracted (-1)."""


PRESENT = {Target.KERNEL: "kvm-5.17", Target.VMM: "kvm-5.17", Target.PYTHON: "py-linear"}
"""By target, the strategy with which advice is compared if no other is named."""


@dataclass(frozen=True, slots=True)
class Space:
    """The structures, caches and disciplines that are combined. Every combination follows the rules of the target.

    `base` is the combination whose structures are measured next to the others.
    """

    target: Target
    gfn: tuple[str, ...]
    hva: tuple[tuple[str, bool], ...]
    """Structures, and whether it is the unaliased variant."""
    caches: tuple[CachePolicy, ...]
    disciplines: tuple[UpdateDiscipline, ...]
    base: StrategySpec

    @property
    def family(self) -> Family:
        """The family of all structures."""
        return family_of(self.target)

    def combinations(self) -> Iterator[StrategySpec]:
        """Every combination."""
        for gfn, (hva, unaliased), cache, update in product(self.gfn, self.hva, self.caches, self.disciplines):
            spec = StrategySpec(gfn, hva, cache, update, unaliased)
            if self.target is not Target.KERNEL or readers_continue(spec):
                yield spec


def family_of(target: Target) -> Family:
    """The family of structures that `target` uses."""
    return Family.PYTHON if target is Target.PYTHON else Family.NATIVE


def space_of(target: Target, *, unaliased: bool) -> Space:
    """All that `target` permits. With `unaliased`, also visits that stop early: no slots may share host memory."""
    permitted = [one for one in structures().values() if one.family is family_of(target) and _permitted(target, one)]
    hva = [(one.name, False) for one in permitted if Role.HVA in one.roles]
    if unaliased:
        hva += [(one.name, True) for one in permitted if isinstance(one, NativeStructure) and one.unaliased]
    native = family_of(target) is Family.NATIVE
    base = parse_spec(PRESENT[target])
    return Space(
        target,
        tuple(one.name for one in permitted if Role.GFN in one.roles),
        tuple(hva),
        tuple(CachePolicy) if native else tuple(CachePolicy(one) for one in PYTHON_CACHES),
        tuple(UpdateDiscipline) if native else (UpdateDiscipline.IN_PLACE,),
        StrategySpec(base.gfn, base.hva),
    )


def _permitted(target: Target, structure: Structure) -> bool:
    if isinstance(structure, NativeStructure):
        return target is not Target.KERNEL or not structure.obstacle
    return not structure.missing


def readers_continue(spec: StrategySpec) -> bool:
    """Whether readers can search during a change, by the discipline or because both structures permit it."""
    if spec.update != UpdateDiscipline.IN_PLACE:
        return True
    both = (structures().get(spec.gfn), structures().get(spec.hva))
    return all(isinstance(one, NativeStructure) and one.readers_in_place for one in both)


def parts_of(spec: StrategySpec, base: StrategySpec) -> Mapping[str, Parts]:
    """By role and MEMORY, the specs whose figures add up to that of `spec`."""
    first = StrategySpec(spec.gfn, base.hva, update=spec.update)
    second = StrategySpec(base.gfn, spec.hva, update=spec.update)
    both = StrategySpec(base.gfn, base.hva, update=spec.update)
    changes: Parts = ((str(first), 1), (str(second), 1), (str(both), -1))
    return {
        Operation.GFN: ((str(StrategySpec(spec.gfn, base.hva, spec.cache)), 1),),
        Operation.HVA: ((str(StrategySpec(base.gfn, spec.hva, unaliased=spec.unaliased)), 1),),
        Operation.UPDATE: changes,
        MEMORY: changes,
    }
