"""The modelled hardware and kernel: paging, accessed bits or the policies that replace them, notifier era."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from slotlookup.errors import UsageError
from slotlookup.model.notifier import Retry


class YoungPolicy(StrEnum):
    """The policy that decides the age of a page."""

    ACCESSED_BIT = "accessed-bit"
    """The hardware's accessed bit."""
    ALWAYS_YOUNG = "always-young"
    """Mapped pages count as used: reclaim takes them only if it finds no others."""
    YOUNG_AND_UNMAP = "young-and-unmap"
    """Mapped pages count as used and are unmapped, so that an unused one is found old the next time."""
    NOT_YOUNG = "not-young"
    """Nothing counts as used: pages are unmapped, and used ones fault back from the swap cache."""
    ACCESS_TRACK = "access-track"
    """Today's replacement: the spte is kept but made non-present, and the next access makes it present again."""


@dataclass(frozen=True, slots=True)
class Paging:
    """How guest addresses are translated, and which bits the hardware sets."""

    name: str
    shadow: bool = False
    """Shadow page tables, with reverse maps: a gfn may be mapped at several guest-virtual pages."""
    young: YoungPolicy = YoungPolicy.ACCESSED_BIT
    dirty_bit: bool = True
    prefetch: bool = False
    """A fault also maps those neighbours in the aligned group of 8 that the host can write at once."""
    max_level: int = 3
    """The largest spte: 1 is 4 KiB, 2 is 2 MiB, 3 is 1 GiB."""


PAGING = {
    paging.name: paging
    for paging in (
        Paging("shadow", shadow=True, prefetch=True, max_level=2),
        Paging("ept-2008", young=YoungPolicy.YOUNG_AND_UNMAP, dirty_bit=False, max_level=2),
        Paging("ept"),
        Paging("ept-no-ad", young=YoungPolicy.ACCESS_TRACK, dirty_bit=False),
        Paging("npt"),
    )
}
"""`shadow` as recorded on Linux 6.18, `ept-2008` when shadow_accessed_mask was 0, `ept` and `npt` of today."""


def find_paging(name: str, young: str | None = None) -> Paging:
    """A named paging, with another policy if one is given. Raises UsageError."""
    if name not in PAGING:
        raise UsageError(f"no paging is called '{name}'; there are: {', '.join(PAGING)}")
    if young is None:
        return PAGING[name]
    if young not in list(YoungPolicy):
        raise UsageError(f"no young policy is called '{young}'; there are: {', '.join(YoungPolicy)}")
    return replace(PAGING[name], young=YoungPolicy(young))


@dataclass(frozen=True, slots=True)
class Era:
    """The differences between kernels in the notifiers' search for slots."""

    name: str
    retry: Retry = Retry.GFN_RANGE
    change_pte: bool = False
    """change_pte is called when the host replaces a page (removed in 6.10; without effect since 3.7)."""
    end_looks_up: bool = True
    """invalidate_range_end searches its slots as start does; before 5.13 it only counted."""
    zap_all: bool = True
    """Deleting or moving a slot zaps everything."""


ERAS = {
    era.name: era
    for era in (
        Era("2.6.27", retry=Retry.ANY, end_looks_up=False),
        Era("2.6.32", retry=Retry.ANY, change_pte=True, end_looks_up=False),
        Era("5.12", change_pte=True, end_looks_up=False),
        Era("5.17", change_pte=True),
        Era("6.18"),
    )
}


def find_era(name: str) -> Era:
    """A named era. Raises UsageError."""
    if name not in ERAS:
        raise UsageError(f"no era is called '{name}'; there are: {', '.join(ERAS)}")
    return ERAS[name]
