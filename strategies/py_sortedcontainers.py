"""py-sortedcontainers: a SortedKeyList by start address, from the library sortedcontainers.

Structure: (start, last, number) tuples in a list of lists of about a thousand, with a list of the lists' largest keys.

Invariants:
  1. Tuples are in ascending order of start.
  2. No range held is longer than `longest`, which is reset only when the structure becomes empty.

Costs, for n slots and k slots visited:
  gfn lookup   O(log n): two bisections, then one test of the range before the point
  hva visit    O(log n + m), where m ranges start inside the visit or within `longest` before it: the library does not
               index ends, so the longest range ever held bounds how far back a visit must search
  update       O(log n) comparisons, and moving some of a thousand pointers

Bytes per slot: as py-linear, and 8 more for the key.

Origin: sortedcontainers by Grant Jenks, the usual answer to "a sorted list in Python". It is pure Python over C lists.

Do not choose it for hva visits if one range is much longer than the others: every visit then searches back through all
the short ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter

from sortedcontainers import SortedKeyList

from slotlookup.address import HOLE
from slotlookup.errors import BrokenStrategy
from slotlookup.structure import Costs, PythonStructure, RangeIndex


class SortedKeyListIndex(RangeIndex):
    """A SortedKeyList of (start, last, number) by start."""

    def __init__(self) -> None:
        self._ranges = SortedKeyList(key=itemgetter(0))
        self._longest = 0

    def insert(self, start: int, last: int, number: int) -> None:
        self._ranges.add((start, last, number))
        self._longest = max(self._longest, last - start)

    def remove(self, start: int, last: int, number: int) -> None:
        self._ranges.remove((start, last, number))
        if not self._ranges:
            self._longest = 0

    def find(self, point: int) -> int:
        behind = self._ranges.bisect_key_right(point)
        if not behind:
            return HOLE
        _, last, number = self._ranges[behind - 1]
        return number if point <= last else HOLE

    def visit(self, start: int, last: int) -> Iterable[int]:
        # A difference of counting ints is a plain int, but the library must compare with a counting key.
        earliest = type(start)(max(0, start - self._longest))
        return [n for _, end, n in self._ranges.irange_key(earliest, last) if end >= start]

    def check(self) -> None:
        self._ranges._check()
        for start, last, _ in self._ranges:
            if start > last:
                raise BrokenStrategy(f"py-sortedcontainers: the range [{start:#x}, {last:#x}] is empty")
            if last - start > self._longest:
                raise BrokenStrategy("py-sortedcontainers: a range is longer than `longest`")

    def __len__(self) -> int:
        return len(self._ranges)


STRUCTURE = PythonStructure(
    name="py-sortedcontainers",
    summary="SortedKeyList by start; visits search back by the length of the longest range",
    costs=Costs(gfn="O(log n)", hva="O(log n + m), m starts within the longest range", update="O(log n)"),
    source="sortedcontainers",
    make=SortedKeyListIndex,
)
