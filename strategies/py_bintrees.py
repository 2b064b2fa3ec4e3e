"""py-bintrees: a red-black tree by start address, from the library bintrees.

Structure: FastRBTree from each distinct start to the list of (last, number) of the ranges that begin there.

Invariants:
  1. A start is in the tree exactly when a range begins there.
  2. No range held is longer than `longest`, which is reset only when the structure becomes empty.

Costs, for n slots and k slots visited:
  gfn lookup   O(log n): the greatest start at or before the point, then one test
  hva visit    O(m log n), where m ranges start inside the visit or within `longest` before it. The library's own
               slices walk the whole tree whatever their bounds, so a visit steps from each start to the previous one
  update       O(log n)

Bytes per slot: a node, a list and a tuple, about 250 bytes in pure Python.

Origin: bintrees by Manfred Moitzi, who has stopped its development and recommends sortedcontainers. If
its extension was not compiled at installation, FastRBTree is silently the pure Python RBTree; the note reports that.

Do not choose it for new work, nor for hva visits if one range is much longer than the others.
"""

from __future__ import annotations

from collections.abc import Iterable

import bintrees

from slotlookup.address import HOLE
from slotlookup.errors import BrokenStrategy
from slotlookup.structure import Costs, PythonStructure, RangeIndex


class RedBlackTreeIndex(RangeIndex):
    """A FastRBTree from start to the (last, number) of the ranges that begin there."""

    def __init__(self) -> None:
        self._tree = bintrees.FastRBTree()
        self._size = 0
        self._longest = 0

    def insert(self, start: int, last: int, number: int) -> None:
        self._tree.set_default(start, []).append((last, number))
        self._size += 1
        self._longest = max(self._longest, last - start)

    def remove(self, start: int, last: int, number: int) -> None:
        here = self._tree.get_value(start)
        here.remove((last, number))
        if not here:
            self._tree.remove(start)
        self._size -= 1
        if not self._size:
            self._longest = 0

    def find(self, point: int) -> int:
        try:
            _, here = self._tree.floor_item(point)
        except KeyError:
            return HOLE
        for last, number in here:
            if point <= last:
                return int(number)
        return HOLE

    def visit(self, start: int, last: int) -> Iterable[int]:
        # A difference of counting ints is a plain int, but the comparison below must be counted.
        earliest = type(start)(max(0, start - self._longest))
        met: list[int] = []
        try:
            first, here = self._tree.floor_item(last)
            while first >= earliest:
                met.extend(number for end, number in here if end >= start)
                first, here = self._tree.prev_item(first)
        except KeyError:  # there is no lower start
            pass
        return met

    def check(self) -> None:
        held = 0
        before = -1
        for start, here in self._tree.items():
            if start <= before:
                raise BrokenStrategy("py-bintrees: the starts do not ascend")
            if not here:
                raise BrokenStrategy(f"py-bintrees: no range begins at {start:#x}, but it is in the tree")
            for last, _ in here:
                if not 0 <= last - start <= self._longest:
                    raise BrokenStrategy("py-bintrees: a range is empty or longer than `longest`")
            before = start
            held += len(here)
        if held != self._size:
            raise BrokenStrategy(f"py-bintrees: the tree holds {held} ranges instead of {self._size}")

    def __len__(self) -> int:
        return self._size


def which_trees() -> str:
    """The implementation in use: an installation without a compiler silently has pure Python trees."""
    return "compiled trees" if bintrees.has_fast_tree_support() else "pure Python trees: no compiled extension"


STRUCTURE = PythonStructure(
    name="py-bintrees",
    summary="red-black tree by start; visits search back by the length of the longest range",
    costs=Costs(gfn="O(log n)", hva="O(m log n), m starts within the longest range", update="O(log n)"),
    source="bintrees",
    make=RedBlackTreeIndex,
    note=which_trees,
)
