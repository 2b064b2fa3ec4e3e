"""What hardware and which kernel are modelled: paging, accessed bits and what stands in for them, notifier era."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from slotlookup.errors import UsageError
from slotlookup.model.notifier import Retry


class YoungPolicy(StrEnum):
    """What a page's age is taken to be."""

    ACCESSED_BIT = "accessed-bit"
    """The hardware's bit tells."""
    ALWAYS_YOUNG = "always-young"
    """Mapped pages count as used: reclaim leaves them alone for as long as it finds others."""
    YOUNG_AND_UNMAP = "young-and-unmap"
    """Mapped pages count as used and are unmapped, so that an unused one is found old the next time."""
    NOT_YOUNG = "not-young"
    """Nothing counts as used: pages are unmapped, and used ones fault back from the swap cache."""
    ACCESS_TRACK = "access-track"
    """Today's stand-in: the spte is kept but made non-present, and the next access makes it present again."""


@dataclass(frozen=True, slots=True)
class Paging:
    """How guest addresses are translated, and what the hardware notes down while it does so."""

    name: str
    shadow: bool = False
    """Shadow page tables, with reverse maps: a gfn may be mapped at several guest-virtual pages."""
    young: YoungPolicy = YoungPolicy.ACCESSED_BIT
    dirty_bit: bool = True
    prefetch: bool = False
    """A fault also maps its neighbours in the aligned group of 8 that the host has ready for writing."""
    max_level: int = 3
    """Largest spte: 1 is 4 KiB, 2 is 2 MiB, 3 is 1 GiB."""


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
    """A named paging, with another policy where one is given. Raises UsageError."""
    if name not in PAGING:
        raise UsageError(f"no paging is called '{name}'; there are: {', '.join(PAGING)}")
    if young is None:
        return PAGING[name]
    if young not in list(YoungPolicy):
        raise UsageError(f"no young policy is called '{young}'; there are: {', '.join(YoungPolicy)}")
    return replace(PAGING[name], young=YoungPolicy(young))


@dataclass(frozen=True, slots=True)
class Era:
    """What changed between kernels in how notifiers reach slots."""

    name: str
    retry: Retry = Retry.GFN_RANGE
    change_pte: bool = False
    """change_pte reaches KVM where the host replaces a page (removed in 6.10; of no use since 3.7)."""
    end_looks_up: bool = True
    """invalidate_range_end finds its slots as start did; before 5.13 it only counted."""
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
