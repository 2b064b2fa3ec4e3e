"""py-superintervals: an array by start with a superset index, from the library superintervals.

Structure: intervals sorted by start (and, at one start, the longer first), and for each the place of the nearest
earlier one that contains it. A visit finds by binary search the last interval that starts before the end of the
range and goes backwards, from container to container if the previous interval ends too early. The library must be built
before a search; changes are stored in a dict, from which the index is rebuilt when a change is complete, or, after a
bulk load, at the first question.

Limits: through Python, keys are signed 32-bit. Gfns fit below 2^31 (8 TiB of guest-physical memory), and a slot beyond
is refused. Host virtual addresses do not fit at all, so it serves gfn lookups only; if it is named alone,
py-intervaltree serves hva visits. Questions beyond the limit are answered with a hole.

Invariants:
  1. The index has the same content as the dict, unless it is marked as out of date.

Costs, for n slots and k slots visited:
  gfn lookup   O(log n + k)
  hva visit    O(log n + k), if its keys were large enough
  update       O(n log n): everything is rebuilt

Bytes per slot: 12 and a pointer in the library's arrays, and about 200 in the dict from which they are built.

Origin: superintervals by Kez Cleal (2024), for genomic ranges, with searches that compilers can turn into vector
instructions. It is compiled and compares in C, so its comparisons cannot be counted.

Do not choose it if slots change, or if guests have more than 8 TiB of addresses.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from slotlookup.structure import Costs, PythonStructure
from slotlookup.vocabulary import Role

from ._built_index import BuiltIndex

LIMIT = (1 << 31) - 1


class SupersetIndex(BuiltIndex):
    """An IntervalMap whose values are the slot numbers."""

    name = "py-superintervals"
    limit = LIMIT

    def build(self, ranges: dict[int, tuple[int, int]]) -> Any:
        from superintervals import IntervalMap

        bounds = np.array([*ranges.values()], dtype=np.intc).reshape(-1, 2)
        starts, lasts = np.ascontiguousarray(bounds[:, 0]), np.ascontiguousarray(bounds[:, 1])
        return IntervalMap.from_arrays(starts, lasts, [*ranges])

    def ask(self, built: Any, start: int, last: int) -> Iterable[tuple[int, int, int]]:
        found: list[tuple[int, int, int]] = built.search_items(start, last)
        return found

    def numbers(self, built: Any, start: int, last: int) -> Iterable[int]:
        met: list[int] = built.search_values(start, last)
        return met


STRUCTURE = PythonStructure(
    name="py-superintervals",
    summary="superset index over an array by start, compiled; rebuilt after each change",
    costs=Costs(gfn="O(log n + k)", hva="-", update="O(n log n)"),
    source="superintervals",
    make=SupersetIndex,
    compares=False,
    roles=(Role.GFN,),
    partner="py-intervaltree",
    limit=LIMIT,
    package="superintervals",
    extra="rivals",
)
