"""The names that configuration, results, schemas and the command line share, each written here and nowhere else.

A member is the text that files and options hold, so it can stand wherever that text can: as a key, in JSON, in a
message. What must be known of a name to show it or to measure it is an attribute of the member. (`__new__` has defaults
only so that type checkers let a member be looked up by its text.)
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Role(StrEnum):
    """What a structure can serve."""

    GFN = "gfn"
    HVA = "hva"


class Operation(StrEnum):
    """The kinds of operation that are replayed: a lookup or visit of either role, and changes of the slots."""

    plural: str
    """What tables and sentences call the operations."""

    def __new__(cls, value: str, plural: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.plural = plural
        return member

    GFN = Role.GFN.value, "gfn lookups"
    HVA = Role.HVA.value, "hva visits"
    UPDATE = "update", "slot changes"


class Count(StrEnum):
    """What is counted; docs/measuring.md defines each. Counters are in this order everywhere."""

    heading: str
    """The name broken into the lines of a narrow column."""

    def __new__(cls, value: str, heading: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.heading = heading
        return member

    SLOTS_EXAMINED = "slots_examined", "slots\nexam-\nined"
    COMPARES = "compares", "com-\npares"
    HOPS = "hops", "hops"
    LINES = "lines", "lines"

    @property
    def words(self) -> str:
        """The name in words."""
        return self.replace("_", " ")


class TimingMode(StrEnum):
    """How operations are timed; docs/measuring.md says what each is the cost of."""

    kind: str
    """What stands between two operations, as the native module names it."""
    waits: bool
    """Whether an operation waits for the answer before it. Slot changes answer nothing, so that none can wait."""
    cold: bool
    """Whether caches are displaced between operations. Figures are then net of the displacing."""
    unit: str
    """What a figure is."""
    heading: str
    """The name broken into the lines of a narrow column."""

    def __new__(
        cls, value: str, kind: str = "", waits: bool = False, cold: bool = False, unit: str = "", heading: str = ""
    ) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.kind = kind
        member.waits = waits
        member.cold = cold
        member.unit = unit
        member.heading = heading
        return member

    THROUGHPUT_HOT = "throughput_hot", "throughput", False, False, "ns", "ns"
    THROUGHPUT_COLD = "throughput_cold", "throughput", False, True, "ns, caches displaced", "\ncold\nns"
    LATENCY_HOT = "latency_hot", "latency", True, False, "ns, each waiting for the previous answer", "lat-\nency\nns"
    LATENCY_COLD = (
        "latency_cold",
        "latency",
        True,
        True,
        "ns, each waiting for the previous answer, caches displaced",
        "cold\nlat-\nency",
    )


RANKED = TimingMode.THROUGHPUT_HOT
"""The timing that rankings go by, and the one that Python strategies are timed in."""


class Placement(StrEnum):
    """Where native strategies' slots lie; slotlookup/native/arena.hpp says how."""

    PACKED = "packed"
    SCATTERED = "scattered"
    SLAB = "slab"


class CachePolicy(StrEnum):
    """What stands in front of gfn lookups; slotlookup/native/cache.hpp says what each does."""

    NONE = "none"
    LAST_USED = "last-used"
    PER_VCPU = "per-vcpu"
    DIRECT_MAPPED = "direct-mapped"
    MRU_SECTION = "mru-section"


class UpdateDiscipline(StrEnum):
    """How slots are changed while others read; slotlookup/native/strategy.hpp says what readers see."""

    IN_PLACE = "in-place"
    TWO_SETS = "two-sets"
    COPY = "copy"
    REBUILD = "rebuild"
