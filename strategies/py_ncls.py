"""py-ncls: nested containment lists, from the library ncls.

Structure: intervals sorted by start; those that lie wholly inside another form a list of their own below it, so that in
each list the ends ascend too and a visit is one binary search a list. The library builds it from three arrays and takes
no changes afterwards. Changes are therefore put down in a dict, and the lists built anew from it when a change is
complete, or after a bulk load when the first question comes.

Limits: keys are signed 64-bit and ends exclusive, so the last address that can be held is 2^63 - 2. Gfns and the hvas
of a process lie below; a slot that ends with the very last hva that KVM takes is refused. Questions beyond the limit
are answered: nothing lies there.

Invariants:
  1. The lists hold what the dict holds, unless they are marked as out of date.

Costs, in n slots and k slots met, d lists deep:
  gfn lookup   O(log n); where ranges do not overlap there is one list
  hva visit    O(d log n + k)
  update       O(n log n): everything is built again

Bytes a slot: 40 in the library's array, and some 200 in the dict from which it is built.

Origin: Alekseyenko and Lee, Nested Containment List (Bioinformatics, 2007), for genome databases. ncls by Endre Bakken
Stovner revives the C code of the library PyGr and takes NumPy arrays; its author now recommends a successor. It is
compiled and compares in C, so nothing of it can be counted.

Do not choose it where slots change, and do not take a single lookup here for what its batches of arrays cost: each
question pays for an iterator and a tuple.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from slotlookup.address import HOLE
from slotlookup.structure import Costs, PythonStructure, RangeIndex

LIMIT = (1 << 63) - 2


class NestedListsIndex(RangeIndex):
    """An NCLS64 whose intervals carry the slot numbers, and the dict from which it is built."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[int, int]] = {}
        self._lists: Any = None

    def insert(self, start: int, last: int, number: int) -> None:
        if last > LIMIT:
            raise OverflowError(f"py-ncls: {last:#x} lies beyond {LIMIT:#x}, the last that can be held")
        self._held[number] = (start, last)
        self._lists = None

    def remove(self, start: int, last: int, number: int) -> None:
        del self._held[number]
        self._lists = None

    def settle(self) -> None:
        if self._lists is None:
            from ncls import NCLS

            ends = np.array([*self._held.values()], dtype=np.int64).reshape(-1, 2)
            numbers = np.array([*self._held], dtype=np.int64)
            self._lists = NCLS(np.ascontiguousarray(ends[:, 0]), ends[:, 1] + 1, numbers)

    def find(self, point: int) -> int:
        for number in self.visit(point, point):
            return number
        return HOLE

    def visit(self, start: int, last: int) -> Iterable[int]:
        if start > LIMIT:
            return []
        if self._lists is None:
            self.settle()
        return [number for _, _, number in self._lists.find_overlap(start, min(last, LIMIT) + 1)]

    def check(self) -> None:
        if self._lists is not None:
            built = {n: (start, end - 1) for start, end, n in self._lists.find_overlap(0, LIMIT + 1)}
            assert built == self._held, "py-ncls: the lists are not what they were to be built from"

    def __len__(self) -> int:
        return len(self._held)


STRUCTURE = PythonStructure(
    name="py-ncls",
    summary="nested containment lists, compiled; built anew after each change",
    costs=Costs(gfn="O(log n)", hva="O(d log n + k), lists d deep", update="O(n log n)"),
    source="ncls",
    make=NestedListsIndex,
    compares=False,
    limit=LIMIT,
    package="ncls",
    extra="rivals",
)
