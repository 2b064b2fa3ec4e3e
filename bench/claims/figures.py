"""The figures from which verdicts follow: one frozen dataclass per claim, one instance per place that was measured.

Counts are means per operation. Times are nanoseconds per operation.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

from pydantic import ConfigDict

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
