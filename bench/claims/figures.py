"""The figures from which verdicts follow: one frozen dataclass per claim, one instance per place that was measured.

Counts are means per operation. Times are nanoseconds per operation.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

from pydantic import ConfigDict

from ..results.verdict import significant

EXACT = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Difference:
    """What a strategy takes more than `base`, in nanoseconds per operation.

    `low` and `high` are the 95 % interval of the difference of paired samples, None if there were too few. `noise` is
    the difference that identical work shows.
    """

    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    strategy: str
    base: str
    ns: float
    base_ns: float
    low: float | None
    high: float | None
    noise: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measured figure with the ends of its 95 % interval."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{significant(self.median)} [{significant(self.low)}, {significant(self.high)}]"

    def times(self, factor: float) -> Estimate:
        """The figure in another unit; `factor` is above 0."""
        return Estimate(self.median * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures of one place. `workload` and `slots` name it; `command` measures them again."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    workload: str
    slots: int
    command: str

    @property
    def place(self) -> str:
        """The workload, with the number of slots."""
        return f"{self.workload} with {self.slots:,} slot{'s' if self.slots != 1 else ''}"

    def cells(self) -> dict[str, Any]:
        """Every figure by name, without the command."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "command"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeSorted(Figures):
    """Slots examined per gfn lookup. `accesses` is where the lookups come from: recorded, derived or synthetic."""

    accesses: str
    lookups: int
    linear: float
    size_sorted: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderedVisit(Figures):
    """Slots examined per hva visit, in order of creation and in order of size."""

    linear: float
    size_sorted: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UnaliasedVisit(Figures):
    """Slots examined per hva visit by an array sorted by size, without and with the flag.

    `aliased` is the number of slots whose host memory overlaps another's.
    """

    aliased: int
    without: float
    flagged: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth(Figures):
    """Slots examined and answers per hva visit of the prio_tree at one slot count."""

    answers: float
    examined: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Position(Figures):
    """Slots examined per visit by an rbtree. `below` is the mean number of slots that start below the range's end."""

    position: str
    below: float
    rbtree: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix(Figures):
    """Events by kind. `origin` is recorded or modelled."""

    origin: str
    lookups: int
    visits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherAlgorithm(Figures):
    """Another structure against an array sorted by size, in gfn lookups.

    `hot` and `cold` are its times over the array's.
    """

    strategy: str
    examined: float
    lines: float
    array_examined: float
    array_lines: float
    hot: Difference
    cold: Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan(Figures):
    """The fastest linear search against the fastest other structure in a role.

    `hot` is the time of the scan over that of the other.
    """

    role: str
    hot: Difference
    scan_lines: float
    other_lines: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trees(Figures):
    """The trees in hva visits; `hot` is the rbtree's time over the prio_tree's, `later` the interval tree's."""

    rbtree_examined: float
    rbtree_lines: float
    prio_tree_examined: float
    prio_tree_lines: float
    interval_tree_examined: float
    interval_tree_lines: float
    hot: Difference
    later: Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointers(Figures):
    """A tree against an unsorted array in gfn lookups; `hot` and `cold` are its times over the array's."""

    strategy: str
    lines: float
    array_lines: float
    hot: Difference
    cold: Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedStream(Figures):
    """A tree against an unsorted array in a stream of lookups and slot changes; `changes` is the share of the latter.

    `hot` is the tree's time per event over the array's, computed from the times of the two kinds.
    """

    strategy: str
    changes: float
    lines: float
    array_lines: float
    hot: Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Share(Figures):
    """The part of an operation of the kernel that is due to the number of slots.

    The kernel was measured with `measured` slots, at least as many as here. There `whole` is the operation's time and
    `search` what it takes more than with one slot; `share` is the part of `search` in `whole`, in percent. `array` is
    the time of all searches of the operation in an unsorted array on this machine. Times are nanoseconds per operation.
    """

    operation: str
    measured: int
    whole: float
    search: float
    share: Estimate
    array: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class OneSlot(Figures):
    """A layout and one slot over all of it.

    `readonly` slots cannot be parts of a writable one, `spaces` is the number of address spaces, `span` the pages of
    the one slot, `holes` those of them that no slot had. `lookups` and `visits` are slots examined per operation by an
    array; `one_lookup` and `one_visit` the same with one slot. `missed` lookups hit no slot before, `found` of them
    find the one slot. `aliased` slots share host memory, which must then be mapped twice. `hole_bytes` is the memory
    of the holes' reverse maps under shadow paging, 8 bytes per page.
    """

    readonly: int
    spaces: int
    aliased: int
    span: int
    holes: int
    hole_bytes: int
    lookups: float
    one_lookup: float
    visits: float
    one_visit: float
    missed: int
    found: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ageing(Figures):
    """An answer to ageing requests without accessed bits, next to what the same accesses cost with them (`bits_...`).

    `answers` are the ageing requests, `pinned` those answered "young" for a page that was not used. `cached` faults
    found their page in the swap cache; `major` ones read it.
    """

    policy: str
    memory: int
    accesses: int
    answers: int
    pinned: int
    exits: int
    bits_exits: int
    cached: int
    bits_cached: int
    major: int
    bits_major: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Locking(Figures):
    """An array of slots in some order, changed by some update discipline.

    `moved` is the mean number of entries of other slots that a change moves. `readers` see the old or the new slots
    while a change is staged. Lines are per operation; bytes are all of the strategy's, between two changes.
    """

    order: str
    update: str
    moved: float
    readers: str
    lookup_lines: float
    change_lines: float
    bytes: int
