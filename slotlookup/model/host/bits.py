"""The bits of the host's page tables, mappings and frames, and the host's counters."""

from __future__ import annotations

from dataclasses import dataclass

# A host page table entry (uint16). Its number is a pfn if PRESENT, a swap slot if SWAP.
PRESENT = 1 << 0
WRITE = 1 << 1
YOUNG = 1 << 2
DIRTY = 1 << 3
SOFT_DIRTY = 1 << 4
UFFD_WP = 1 << 5
SWAP = 1 << 6
NUMA = 1 << 7
"""Present, but made inaccessible by a NUMA-hinting scan: the next access faults and restores it."""
HUGE = 1 << 8
"""One of the 512 pages of a transparent huge page."""
LAZYFREE = 1 << 9
"""MADV_FREE: reclaim may drop it unless it has been written since."""
GIANT = 1 << 10
"""One of the 262,144 pages of a 1 GiB page of hugetlbfs."""

GUARD = 1 << 11
"""A guard marker (MADV_GUARD_INSTALL): nothing is mapped, and an access is not permitted."""

# Flags of a block of 2 MiB, as the page table has them (uint8).
TABLE = 1 << 0
"""A page table or a huge page exists: the entry of the page middle directory is not none."""
LINKED = 1 << 1
"""The page middle directory of its GiB exists."""

# The bits of a mapping. The first eight are stored for each of its pages (uint8).
MAPPED = 1 << 0
VM_READ = 1 << 1
VM_WRITE = 1 << 2
VM_SHARED = 1 << 3
VM_UFFD_MISSING = 1 << 4
VM_UFFD_WP = 1 << 5
VM_MERGEABLE = 1 << 6
VM_HUGEPAGE = 1 << 7
VM_LOCKED = 1 << 8
VM_DONTCOPY = 1 << 9
VM_WIPEONFORK = 1 << 10
VM_NOHUGEPAGE = 1 << 11
VM_UFFD_ASYNC = 1 << 12
"""Write protection by userfaultfd is removed by the fault itself (UFFD_FEATURE_WP_ASYNC)."""

# A physical frame (uint8).
REFERENCED = 1 << 0
FRAME_DIRTY = 1 << 1
KSM = 1 << 2
SWAP_CACHE = 1 << 3
ACTIVE = 1 << 4
LISTED = 1 << 5
BATCHED = 1 << 6
"""Held by a per-CPU folio batch: one reference more than its mappings."""
FORKED = 1 << 7
"""Was shared with a child (PG_anon_exclusive is cleared): only its references show whether it is still shared."""

ZERO_PFN = 0
"""The zero page: read faults on anonymous memory map it, writes copy it."""


@dataclass
class HostCounters:
    """Counters of the host's operations. Faults are counted by their resolution."""

    minor: int = 0
    """Resolved without reading: mapped, filled with zeros, copied, or found in the swap cache."""
    major: int = 0
    """Read from swap."""
    zero_fills: int = 0
    zero_page: int = 0
    cow: int = 0
    reused: int = 0
    """Writes to a page that had no other user, so it was not copied."""
    swap_cache_hits: int = 0
    uffd_missing: int = 0
    uffd_wp: int = 0
    numa_hints: int = 0
    bad: int = 0
    """No mapping, or one that forbids the access."""
    aged: int = 0
    """Pages whose age reclaim queried."""
    evicted: int = 0
    lazily_freed: int = 0
    forced: int = 0
    """Evicted although young, because two passes over all pages found nothing old."""
    kept_young: int = 0
    written_out: int = 0
    merged: int = 0
    unmerged: int = 0
    collapsed: int = 0
    split: int = 0
