"""py-linear: a Python list in the order of creation, scanned from the front.

Structure: a list of (start, last, number) tuples.

Invariants:
  1. The list holds one tuple per slot, in the order of insertion.

Costs, for n slots and k slots visited: gfn lookup O(n), hva visit O(n), insertion O(1), removal O(n).

Bytes per slot: a tuple of three objects (64 bytes, and up to 32 for each number in it) and 8 in the list.

Origin: the simplest implementation. It is the baseline of the Python family.

Do not choose it for more than a few tens of ranges; a scan costs one interpreted step per range.
"""

from __future__ import annotations

from collections.abc import Iterable

from slotlookup.address import HOLE
from slotlookup.errors import BrokenStrategy
from slotlookup.structure import Costs, PythonStructure, RangeIndex


class ListIndex(RangeIndex):
    """A list of (start, last, number)."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int, int]] = []

    def insert(self, start: int, last: int, number: int) -> None:
        self._ranges.append((start, last, number))

    def remove(self, start: int, last: int, number: int) -> None:
        self._ranges.remove((start, last, number))

    def find(self, point: int) -> int:
        for start, last, number in self._ranges:
            if start <= point <= last:
                return number
        return HOLE

    def visit(self, start: int, last: int) -> Iterable[int]:
        return [number for first, end, number in self._ranges if first <= last and end >= start]

    def check(self) -> None:
        for start, last, _ in self._ranges:
            if start > last:
                raise BrokenStrategy(f"py-linear: the range [{start:#x}, {last:#x}] is empty")
        numbers = [number for _, _, number in self._ranges]
        if len(numbers) != len(set(numbers)):
            raise BrokenStrategy("py-linear: a slot is in the list twice")

    def __len__(self) -> int:
        return len(self._ranges)


STRUCTURE = PythonStructure(
    name="py-linear",
    summary="plain list in order of creation, scanned from the front",
    costs=Costs(gfn="O(n)", hva="O(n)", update="O(n)"),
    source="Python's own list",
    make=ListIndex,
    own_code=True,
)
