"""Two lists in order of start, searched by halving: a structure of your own in Python.

slotlookup verify ./halving.py:Halving
slotlookup run -s py-linear -s ./halving.py:Halving
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from slotlookup.errors import BrokenStrategy
from slotlookup.structure import RangeIndex


class Halving(RangeIndex):
    """The starts in order, and for each its (last, number)."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._rest: list[tuple[int, int]] = []

    def insert(self, start: int, last: int, number: int) -> None:
        at = bisect_right(self._starts, start)
        self._starts.insert(at, start)
        self._rest.insert(at, (last, number))

    def remove(self, start: int, last: int, number: int) -> None:
        at = bisect_right(self._starts, start) - 1
        while self._rest[at][1] != number:
            at -= 1
        del self._starts[at]
        del self._rest[at]

    def find(self, point: int) -> int:
        at = bisect_right(self._starts, point) - 1
        if at < 0:
            return -1
        last, number = self._rest[at]
        return number if point <= last else -1

    def visit(self, start: int, last: int) -> Iterable[int]:
        end = bisect_right(self._starts, last)
        return [number for slot_last, number in self._rest[:end] if slot_last >= start]

    def check(self) -> None:
        if self._starts != sorted(self._starts):
            raise BrokenStrategy("the starts do not ascend")

    def __len__(self) -> int:
        return len(self._starts)
