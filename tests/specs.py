"""Every strategy that the registry finds, in the combinations that the tests go through."""

from __future__ import annotations

from functools import partial

from slotlookup import registry
from slotlookup.structure import Family, NativeStructure, Structure
from slotlookup.tandem import Make


def of_family(family: Family) -> list[Structure]:
    """The structures of a family, by name."""
    return [s for _, s in sorted(registry.structures().items()) if s.family is family]


def every_spec() -> list[str]:
    """Each structure in both roles and every variant, every preset, and each structure mixed with its neighbour."""
    specs = [*registry.presets()]
    for structure in registry.structures().values():
        variants = [structure.name]
        if isinstance(structure, NativeStructure) and structure.unaliased:
            variants.append(f"{structure.name},unaliased")
        for variant in variants:
            specs += [variant, f"{variant},cache=last-used"]
            if structure.family is Family.NATIVE:
                specs += [f"{variant},update=two-sets", f"{variant},cache=last-used,update=two-sets"]
    for family in Family:
        names = [s.name for s in of_family(family)]
        mixed = [f"gfn={a},hva={b}" for a, b in zip(names, [*names[1:], names[0]], strict=True)]
        specs += [*mixed, *(f"{spec},cache=last-used" for spec in mixed)]
        if family is Family.NATIVE:
            specs += [f"{spec},update=two-sets" for spec in mixed]
    return specs


def native_specs() -> list[str]:
    """Those of `every_spec` that are native."""
    return [
        spec for spec in every_spec() if registry.structures()[registry.parse_spec(spec).gfn].family is Family.NATIVE
    ]


def maker(spec: str, counted: bool = False) -> Make:
    """What the conformance suite takes."""
    return partial(registry.make_strategy, spec, counted=counted)
