"""Page tables as NumPy columns: page numbers map to flat indices, and every column has one value per index.

Structure: per space a directory of GiBs, below it tables of 512 blocks, each block 512 pages (2 MiB) that are
contiguous in the columns. Like a page table, it allocates memory only for blocks in use.

Invariants:
  1. Block 0 belongs to no page: its columns always have their defaults, so absent pages can be read without a test.
  2. The pages of one block have consecutive indices, in page order.
  3. Blocks created in one call for consecutive pages are consecutive too, so that most ranges are a single slice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from slotlookup.address import HUGE_PAGES, HUGE_SHIFT
from slotlookup.arrays import Ints
from slotlookup.errors import UsageError

Column = npt.NDArray[Any]

"""Pages in a block: 2 MiB."""
_TABLE_SHIFT = 18
_TOP = 1 << 17
PAGE_LIMIT = _TOP << _TABLE_SHIFT
"""Pages that a space can address: 47 bits of bytes, the size of user space."""


class Radix:
    """Pages of several spaces, and columns over them. Columns are attributes; growth replaces them."""

    def __init__(self, columns: Mapping[str, tuple[type[np.generic], int]], spaces: int = 1) -> None:
        """`columns` are each column's type and default value."""
        self._columns = dict(columns)
        # A directory entry is the place of its table in `_tables`, a table entry the index of its block's first page:
        # both are stored in a form to which offsets can be added, since each step of a lookup is a pass over memory.
        self._top = np.zeros((spaces, _TOP), dtype=np.int64)
        self._tables = np.zeros(HUGE_PAGES, dtype=np.int64)
        self._keys: list[Ints] = [np.zeros(0, dtype=np.int64) for _ in range(spaces)]
        self._starts: list[Ints] = [np.zeros(0, dtype=np.int64) for _ in range(spaces)]
        self.blocks = 1
        self._block_page = np.zeros(1, dtype=np.int64)
        self.block = np.zeros(1, dtype=np.uint8)
        """Flags of each block, for the table's user; block `index >> HUGE_SHIFT` holds `index`."""
        for name, (kind, default) in self._columns.items():
            setattr(self, name, np.full(HUGE_PAGES, default, dtype=kind))

    def __getattr__(self, name: str) -> Column:
        raise AttributeError(name)

    @property
    def spaces(self) -> int:
        """The number of spaces."""
        return len(self._top)

    def add_space(self) -> int:
        """A new, empty space: its number."""
        self._top = np.concatenate([self._top, np.zeros((1, _TOP), dtype=np.int64)])
        self._keys.append(np.zeros(0, dtype=np.int64))
        self._starts.append(np.zeros(0, dtype=np.int64))
        return self.spaces - 1

    def find(self, space: int | Ints, pages: Ints) -> Ints:
        """The index of each page; below HUGE_PAGES if its block does not exist."""
        found = self._tables[self._entries(space, pages >> HUGE_SHIFT)]
        found |= pages & (HUGE_PAGES - 1)
        return found

    def find_one(self, space: int, page: int) -> int:
        """`find` for one page."""
        table = self._top[space, page >> _TABLE_SHIFT]
        return int(self._tables[table | (page >> HUGE_SHIFT) & (HUGE_PAGES - 1)]) | page & (HUGE_PAGES - 1)

    def page_of(self, index: Ints) -> Ints:
        """The page of each index."""
        found: Ints = self._block_page[index >> HUGE_SHIFT] | (index & (HUGE_PAGES - 1))
        return found

    def ensure(self, space: int, start: int, end: int) -> None:
        """Create the blocks of pages [start, end). Raises UsageError beyond 47 bits of address."""
        if not 0 <= start < end <= PAGE_LIMIT:
            raise UsageError(f"pages [{start:#x}, {end:#x}) are outside the {PAGE_LIMIT:#x} that can be addressed")
        self._make(space, np.arange(start >> HUGE_SHIFT, ((end - 1) >> HUGE_SHIFT) + 1, dtype=np.int64))

    def ensure_pages(self, space: int, pages: Ints) -> None:
        """Create the blocks of all `pages`."""
        keys = pages >> HUGE_SHIFT
        absent = self._tables[self._entries(space, keys)] == 0
        if absent.any():
            self._make(space, np.unique(keys[absent]))

    def slices(self, space: int, start: int, end: int) -> Iterator[tuple[int, slice]]:
        """The existing part of pages [start, end), whatever their size: first page and slice of indices, in order."""
        keys, starts = self._keys[space], self._starts[space]
        lo = int(np.searchsorted(keys, start >> HUGE_SHIFT)) if start >> HUGE_SHIFT < 1 << 62 else len(keys)
        last = min((end - 1) >> HUGE_SHIFT, 1 << 62)
        hi = int(np.searchsorted(keys, last, side="right"))
        while lo < hi:
            run = lo + 1
            if run < hi:
                step = (np.diff(keys[lo:hi]) != 1) | (np.diff(starts[lo:hi]) != HUGE_PAGES)
                breaks = np.flatnonzero(step)
                run = lo + 1 + int(breaks[0]) if len(breaks) else hi
            first, behind = int(keys[lo]) << HUGE_SHIFT, (int(keys[run - 1]) + 1) << HUGE_SHIFT
            origin = int(starts[lo]) - first
            begin, stop = max(first, start), min(behind, end)
            yield begin, slice(begin + origin, stop + origin)
            lo = run

    def indices(self, space: int, start: int, end: int) -> Ints:
        """The indices of the existing pages in [start, end), in order."""
        parts = [np.arange(s.start, s.stop, dtype=np.int64) for _, s in self.slices(space, start, end)]
        return np.concatenate(parts) if len(parts) > 1 else parts[0] if parts else np.zeros(0, dtype=np.int64)

    def existing(self, space: int) -> tuple[Ints, Ints]:
        """All blocks of a space: the first page of each and its first index, in page order."""
        return self._keys[space] << HUGE_SHIFT, self._starts[space]

    def _entries(self, space: int | Ints, keys: Ints) -> Ints:
        """The places in `_tables` of the entries of blocks `keys`; in its empty first table for absent ones."""
        top = keys >> (_TABLE_SHIFT - HUGE_SHIFT)
        # A whole row is a view, in which NumPy finds elements in half the time.
        at: Ints = self._top[space][top] if isinstance(space, int) else self._top[space, top]
        at |= keys & (HUGE_PAGES - 1)
        return at

    def _make(self, space: int, keys: Ints) -> None:
        top = keys >> (_TABLE_SHIFT - HUGE_SHIFT)
        absent = top[self._top[space, top] == 0]
        if len(absent):
            new = np.unique(absent)
            self._top[space, new] = len(self._tables) + (np.arange(len(new)) << HUGE_SHIFT)
            self._tables = np.concatenate([self._tables, np.zeros(len(new) << HUGE_SHIFT, dtype=np.int64)])
        missing = keys[self._tables[self._entries(space, keys)] == 0]
        if not len(missing):
            return
        made = self.blocks + np.arange(len(missing), dtype=np.int64)
        self._grow(self.blocks + len(missing))
        self._block_page[made] = missing << HUGE_SHIFT
        self._tables[self._entries(space, missing)] = made << HUGE_SHIFT
        merged = np.concatenate([self._keys[space], missing])
        order = np.argsort(merged, kind="stable")
        self._keys[space] = merged[order]
        self._starts[space] = np.concatenate([self._starts[space], made << HUGE_SHIFT])[order]

    def _grow(self, blocks: int) -> None:
        held = len(getattr(self, next(iter(self._columns)))) >> HUGE_SHIFT
        if blocks > held:
            room = blocks if blocks > 2 * held else blocks + held // 4
            for name, (kind, default) in self._columns.items():
                old: Column = getattr(self, name)
                new = np.full(room << HUGE_SHIFT, default, dtype=kind)
                new[: len(old)] = old
                setattr(self, name, new)
        if blocks > len(self._block_page):
            more = np.zeros(max(blocks, 2 * len(self._block_page)) - len(self._block_page), dtype=np.int64)
            self._block_page = np.concatenate([self._block_page, more])
            self.block = np.concatenate([self.block, more.astype(np.uint8)])
        self.blocks = blocks
