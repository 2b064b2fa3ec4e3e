"""Every strategy in the registry, in the combinations that the tests use."""

from __future__ import annotations

from functools import partial
from itertools import cycle, islice

from slotlookup import registry
from slotlookup.conformance.tandem import Make
from slotlookup.structure import Family, NativeStructure, Structure
from slotlookup.vocabulary import CachePolicy, Role, UpdateDiscipline

EXEMPLARS = ("linear", "rbtree")
"""Caches and update disciplines are code of their own: an array and a tree of nodes go through all of them."""


def of_family(family: Family) -> list[Structure]:
    """The structures of a family, by name, but for those whose library is not there."""
    return [s for name, s in sorted(registry.structures().items()) if s.family is family and not registry.missing(name)]


def every_spec() -> list[str]:
    """Each structure in both roles and every variant, every preset, and each structure mixed with its neighbour."""
    specs = [*registry.presets()]
    for structure in registry.structures().values():
        if registry.missing(structure.name):
            continue
        variants = [structure.name]
        if isinstance(structure, NativeStructure) and structure.unaliased:
            variants.append(f"{structure.name},unaliased")
        for variant in variants:
            specs += [variant, f"{variant},cache=last-used"]
            if structure.family is Family.NATIVE:
                specs += [f"{variant},cache=last-used,update=two-sets", f"{variant},update=copy"]
            if variant in EXEMPLARS:
                specs += [f"{variant},cache={cache}" for cache in list(CachePolicy)[2:]]
                specs += [f"{variant},update={update}" for update in list(UpdateDiscipline)[1:]]
                specs += [f"{variant},cache=per-vcpu,update=two-sets"]
    for family in Family:
        gfn, hva = ([s.name for s in of_family(family) if role in s.roles] for role in Role)
        others, pairs = [*hva[1:], hva[0]], max(len(gfn), len(hva))
        mixed = [f"gfn={a},hva={b}" for a, b in islice(zip(cycle(gfn), cycle(others)), pairs)]
        specs += [*mixed, *(f"{spec},cache=last-used" for spec in mixed)]
        if family is Family.NATIVE:
            specs += [f"{spec},update=two-sets" for spec in mixed]
    return list(dict.fromkeys(specs))


def native_specs() -> list[str]:
    """Those of `every_spec` that are native."""
    return [
        spec for spec in every_spec() if registry.structures()[registry.parse_spec(spec).gfn].family is Family.NATIVE
    ]


def maker(spec: str, counted: bool = False) -> Make:
    """What the conformance suite takes."""
    return partial(registry.make_strategy, spec, counted=counted)
