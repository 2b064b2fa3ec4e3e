"""The names that configuration, results, schemas and the command line share, each defined only here.

A member is the text in files and options, so it can be used wherever that text can: as a key, in JSON, in a message.
Facts about a name that are needed to show it or to measure it are attributes of the member. (`__new__` has defaults
only so that type checkers let a member be looked up by its text.)
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Role(StrEnum):
    """The kinds of question that a structure can serve."""

    GFN = "gfn"
    HVA = "hva"


class Operation(StrEnum):
    """The kinds of operation that are replayed: a lookup or visit of either role, and changes of the slots."""

    plural: str
    """The name of the operations in tables and sentences."""

    def __new__(cls, value: str, plural: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.plural = plural
        return member

    GFN = Role.GFN.value, "gfn lookups"
    HVA = Role.HVA.value, "hva visits"
    UPDATE = "update", "slot changes"


class Count(StrEnum):
    """The counters; docs/measuring.md defines each. They are in this order everywhere."""

    heading: str
    """The name, divided into the lines of a narrow column."""

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
    """How operations are timed; docs/measuring.md defines each."""

    kind: str
    """The kind of pause between two operations, under its name in the native module."""
    waits: bool
    """Whether an operation waits for the previous one. Slot changes have no answers, so none is timed so."""
    cold: bool
    """Whether caches are displaced between operations. The cost of displacing is subtracted from the figures."""
    condition: str
    """The condition in words, without that of displaced caches; empty if there is none."""
    heading: str
    """The name, divided into the lines of a narrow column."""

    def __new__(
        cls, value: str, kind: str = "", waits: bool = False, cold: bool = False, condition: str = "", heading: str = ""
    ) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.kind = kind
        member.waits = waits
        member.cold = cold
        member.condition = condition
        member.heading = heading
        return member

    THROUGHPUT_HOT = "throughput_hot", "throughput", False, False, "", "ns"
    THROUGHPUT_COLD = "throughput_cold", "throughput", False, True, "", "\ncold\nns"
    LATENCY_HOT = "latency_hot", "latency", True, False, "each waiting for the previous answer", "lat-\nency\nns"
    LATENCY_COLD = "latency_cold", "latency", True, True, "each waiting for the previous answer", "cold\nlat-\nency"

    @property
    def unit(self) -> str:
        """The unit of a figure, with the conditions that it holds under."""
        return ", ".join(filter(None, ("ns", self.condition, "caches displaced" if self.cold else "")))


RANKED = TimingMode.THROUGHPUT_HOT
"""The timing that rankings use, and the one in which Python strategies are timed."""


class Placement(StrEnum):
    """The placement of native strategies' slots; slotlookup/native/arena.hpp defines each."""

    PACKED = "packed"
    SCATTERED = "scattered"
    SLAB = "slab"


class _Described(StrEnum):
    """Names with a summary, which help texts print."""

    summary: str

    def __new__(cls, value: str, summary: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.summary = summary
        return member


class Target(_Described):
    """Where slots are looked up, which decides the strategies that can be used."""

    KERNEL = "kernel", "no SIMD, no large allocation, readers continue during changes"
    VMM = "vmm", "any native structure; readers may wait for changes"
    PYTHON = "python", "Python structures"


class CachePolicy(_Described):
    """The caches before gfn lookups; slotlookup/native/cache.hpp defines each."""

    NONE = "none", "no cache"
    LAST_USED = "last-used", "the slot found last, one for the whole VM (Linux 3.19 and later)"
    PER_VCPU = "per-vcpu", "the slot found last by each vCPU, until the slots change (Linux 5.15 and later)"
    DIRECT_MAPPED = "direct-mapped", "eight slots, chosen by gpa bits 20 to 22, until the slots change (VirtualBox)"
    MRU_SECTION = "mru-section", "the slot found last, one for the whole VM, until the slots change (QEMU)"


class UpdateDiscipline(_Described):
    """How slots are changed while others read; slotlookup/native/strategy.hpp defines what readers see."""

    IN_PLACE = "in-place", "one slot set, which is edited; readers see a change at once"
    TWO_SETS = "two-sets", "the inactive set is edited and swapped in, then the other is updated (Linux 5.17 and later)"
    COPY = "copy", "a copy of the set is edited and swapped in (Linux 2.6.34 to 5.16)"
    REBUILD = "rebuild", "a new set is built from all slots and swapped in"
