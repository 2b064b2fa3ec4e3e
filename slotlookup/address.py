"""Distinct address types: a gfn is a guest page number, a gpa and an hva are byte addresses; all unsigned 64-bit.

`start`/`end` are half-open throughout; `last` is inclusive. Pages are 4 KiB.
"""

from __future__ import annotations

from typing import NewType

Gfn = NewType("Gfn", int)
Gpa = NewType("Gpa", int)
Hva = NewType("Hva", int)
SlotNumber = NewType("SlotNumber", int)
"""`as_id << 16 | id`: the form in which KVM_SET_USER_MEMORY_REGION takes a slot."""

PAGE_SHIFT = 12
PAGE_SIZE = 1 << PAGE_SHIFT
HUGE_SHIFT = 9
HUGE_PAGES = 1 << HUGE_SHIFT
"""Pages in a huge page of 2 MiB, and entries in a table of a page table."""
HUGE_BYTES = HUGE_PAGES << PAGE_SHIFT
GIANT_PAGES = HUGE_PAGES * HUGE_PAGES
"""Pages in a huge page of 1 GiB."""
GIANT_BYTES = GIANT_PAGES << PAGE_SHIFT
ADDRESS_LIMIT = 1 << 64
GFN_LIMIT = 1 << (64 - PAGE_SHIFT)

HOLE = -1
"""The answer to a lookup of a gfn in no slot."""


def gpa_to_gfn(gpa: Gpa) -> Gfn:
    """The page number of a guest-physical byte address."""
    return Gfn(gpa >> PAGE_SHIFT)


def gfn_to_gpa(gfn: Gfn) -> Gpa:
    """The first byte address of a guest page."""
    return Gpa(gfn << PAGE_SHIFT)
