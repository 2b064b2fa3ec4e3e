"""py-intervaltree: a centred interval tree, from the library intervaltree.

Structure: an AVL tree of centre points; each node holds the set of intervals that contain its centre. The
library also maintains a set of all intervals and a sorted table of their boundaries. Intervals are half-open, so a
range [start, last] is stored as [start, last + 1), which Python's ints can represent even at the top of the address
space.

Invariants:
  1. Tree, set and boundary table hold the same intervals (the library's own `verify`).
  2. An interval's data is the slot's number.

Costs, for n slots and k slots visited:
  gfn lookup   O(log n + k)
  hva visit    O(b log n + k), where b boundaries are inside the visit
  update       O(log n), with rotations that move intervals between nodes

Bytes per slot: an Interval of three fields, and entries in two sets and a boundary table; about 500 bytes.

Origin: intervaltree by Chaim Leib Halbert, pure Python over sortedcontainers. Of the libraries here it is the only one
that supports overlaps.

Do not choose it if ranges do not overlap, or for long visits over many ranges: every boundary inside is looked up.
"""

from __future__ import annotations

from collections.abc import Iterable

from intervaltree import IntervalTree

from slotlookup.address import HOLE
from slotlookup.structure import Costs, PythonStructure, RangeIndex


def _behind(last: int) -> int:
    """`last` + 1, as a counting key if `last` is one: sums of counting ints are plain ints."""
    return type(last)(last + 1)


class IntervalTreeIndex(RangeIndex):
    """An IntervalTree whose intervals carry the slot numbers."""

    def __init__(self) -> None:
        self._tree = IntervalTree()

    def insert(self, start: int, last: int, number: int) -> None:
        self._tree.addi(start, _behind(last), number)

    def remove(self, start: int, last: int, number: int) -> None:
        self._tree.removei(start, _behind(last), number)

    def find(self, point: int) -> int:
        for interval in self._tree.at(point):
            return int(interval.data)
        return HOLE

    def visit(self, start: int, last: int) -> Iterable[int]:
        return [interval.data for interval in self._tree.overlap(start, _behind(last))]

    def check(self) -> None:
        self._tree.verify()

    def __len__(self) -> int:
        return len(self._tree)


STRUCTURE = PythonStructure(
    name="py-intervaltree",
    summary="centred interval tree",
    costs=Costs(gfn="O(log n + k)", hva="O(b log n + k), b boundaries inside the visit", update="O(log n)"),
    source="intervaltree",
    make=IntervalTreeIndex,
)
