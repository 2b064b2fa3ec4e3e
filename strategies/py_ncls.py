"""py-ncls: nested containment lists, from the library ncls.

Structure: intervals sorted by start; those inside another interval form a list of their own below it, so that in each
list the ends ascend too and a visit is one binary search per list. The library builds it from three arrays and does not
support changes. Changes are therefore stored in a dict, from which the lists are rebuilt when a change is complete, or,
after a bulk load, at the first question.

Limits: keys are signed 64-bit and ends exclusive, so the last address that it can hold is 2^63 - 2. Gfns and the hvas
of a process are below; a slot that ends with the last hva that KVM accepts is refused. Questions beyond the limit are
answered with a hole.

Invariants:
  1. The lists have the same content as the dict, unless they are marked as out of date.

Costs, for n slots, k slots visited and lists d deep:
  gfn lookup   O(log n); if ranges do not overlap there is one list
  hva visit    O(d log n + k)
  update       O(n log n): everything is rebuilt

Bytes per slot: 40 in the library's array, and about 200 in the dict from which it is built.

Origin: Alekseyenko and Lee, Nested Containment List (Bioinformatics, 2007), for genome databases. ncls by Endre Bakken
Stovner revives the C code of the library PyGr and takes NumPy arrays; its author now recommends a successor. It is
compiled and compares in C, so its comparisons cannot be counted.

Do not choose it if slots change. The cost of a single lookup here is not that of the library's batches of arrays: each
question creates an iterator and a tuple.
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

        bounds = np.array([*ranges.values()], dtype=np.int64).reshape(-1, 2)
        return NCLS(np.ascontiguousarray(bounds[:, 0]), bounds[:, 1] + 1, np.array([*ranges], dtype=np.int64))

    def ask(self, built: Any, start: int, last: int) -> Iterable[tuple[int, int, int]]:
        return [(first, end - 1, number) for first, end, number in built.find_overlap(start, last + 1)]

    def numbers(self, built: Any, start: int, last: int) -> Iterable[int]:
        return [number for _, _, number in built.find_overlap(start, last + 1)]


STRUCTURE = PythonStructure(
    name="py-ncls",
    summary="nested containment lists, compiled; rebuilt after each change",
    costs=Costs(gfn="O(log n)", hva="O(d log n + k), lists d deep", update="O(n log n)"),
    source="ncls",
    make=NestedListsIndex,
    compares=False,
    limit=LIMIT,
    package="ncls",
    extra="rivals",
)
