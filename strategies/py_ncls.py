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

from slotlookup.structure import Costs, PythonStructure

from ._built_index import BuiltIndex

LIMIT = (1 << 63) - 2


class NestedListsIndex(BuiltIndex):
    """An NCLS64 whose intervals carry the slot numbers."""

    name = "py-ncls"
    limit = LIMIT

    def build(self, ranges: dict[int, tuple[int, int]]) -> Any:
        from ncls import NCLS

        ends = np.array([*ranges.values()], dtype=np.int64).reshape(-1, 2)
        return NCLS(np.ascontiguousarray(ends[:, 0]), ends[:, 1] + 1, np.array([*ranges], dtype=np.int64))

    def ask(self, built: Any, start: int, last: int) -> Iterable[tuple[int, int, int]]:
        return [(first, end - 1, number) for first, end, number in built.find_overlap(start, last + 1)]

    def numbers(self, built: Any, start: int, last: int) -> Iterable[int]:
        return [number for _, _, number in built.find_overlap(start, last + 1)]


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
