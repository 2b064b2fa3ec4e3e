"""Strategy specs: the text that assigns structures to roles.

linear                                       one structure for both roles
kvm-5.17                                     a preset
gfn=rbtree,hva=interval-tree,cache=last-used
size-sorted,unaliased                        a name first, then the keys that differ from it
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from slotlookup.vocabulary import CachePolicy, UpdateDiscipline


@dataclass(frozen=True, slots=True)
class StrategySpec:
    """A parsed spec. `update` is the update discipline: how slots are changed while others read."""

    gfn: str
    hva: str
    cache: CachePolicy = CachePolicy.NONE
    update: UpdateDiscipline = UpdateDiscipline.IN_PLACE
    unaliased: bool = False

    def __str__(self) -> str:
        """The canonical text: every key that differs from its default."""
        parts = [f"gfn={self.gfn}", f"hva={self.hva}"]
        if self.cache != CachePolicy.NONE:
            parts.append(f"cache={self.cache}")
        if self.update != UpdateDiscipline.IN_PLACE:
            parts.append(f"update={self.update}")
        if self.unaliased:
            parts.append("unaliased")
        return ",".join(parts)

    def serving(self, role: str) -> str:
        """The part of the strategy that serves a role: its structure, then the options that matter there.

        Any role but `gfn` and `hva` is served by the whole strategy, as slot changes are. Specs with the same text run
        the same code with the same settings in the role, so their costs are the same. A cache serves gfn lookups only,
        and an unaliased structure differs from the aliased one in hva visits only.
        """
        both = " + ".join(dict.fromkeys((self.gfn, self.hva)))
        structures = {"gfn": self.gfn, "hva": self.hva}.get(role, both)
        items = [structures]
        if role != "hva" and self.cache != CachePolicy.NONE:
            items.append(f"cache={self.cache}")
        if self.update != UpdateDiscipline.IN_PLACE:
            items.append(f"update={self.update}")
        if role != "gfn" and self.unaliased:
            items.append("unaliased")
        return ",".join(items)

    def with_item(self, key: str, value: str) -> StrategySpec:
        """The spec with one `key=value` applied; the values have been checked."""
        match key:
            case "gfn":
                return replace(self, gfn=value)
            case "hva":
                return replace(self, hva=value)
            case "cache":
                return replace(self, cache=CachePolicy(value))
            case "update":
                return replace(self, update=UpdateDiscipline(value))
            case _:
                return replace(self, unaliased=True)
