"""The interface of every strategy, native or Python, shipped or the user's own.

A strategy stores the slots of a VM, applies accepted slot changes and answers two questions: which slot contains this
gfn (one or none), and which slots overlap this range of hvas (all, each once, in ascending order of number). Batches
over streams are the primary form; scalar methods serve tests and closed-loop use.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slotlookup.address import ADDRESS_LIMIT, Gfn, Hva
from slotlookup.arrays import Numbers, Words
from slotlookup.memslots import Memslot, SlotChange
from slotlookup.stream import GfnStream, HvaAnswers, HvaStream, change_at
from slotlookup.structure import Family
from slotlookup.vocabulary import Count, Role, UpdateDiscipline

if TYPE_CHECKING:
    from _slotlookup_native import Mode


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Declared facts about a strategy.

    `update` is in-place if readers see a change as soon as it is staged, otherwise the discipline that hides it until
    it is published. `obstacle` says in a word or two why a kernel could not use the strategy; it is empty if a kernel
    could. `counts` names the counters that the strategy reports. A slot is refused with BeyondLimit if its
    last gfn or its last hva is beyond `limits`.
    """

    family: Family
    update: UpdateDiscipline
    obstacle: str
    counts: tuple[Count, ...]
    limits: tuple[int, int] = (ADDRESS_LIMIT - 1, ADDRESS_LIMIT - 1)

    def refusal(self, slot: Memslot) -> str:
        """The reason why a slot cannot be held; "" if it can."""
        lasts = (slot.end_gfn - 1, slot.userspace_end - 1)
        for role, last, limit in zip(Role, lasts, self.limits, strict=True):
            if last > limit:
                return f"the last {role} of slot {slot.number} is {last:#x}, and the largest key is {limit:#x}"
        return ""


@dataclass(frozen=True, slots=True)
class Counters:
    """Sums over all operations since the last reset; None for counters that a strategy does not report."""

    slots_examined: int | None
    compares: int | None
    hops: int | None
    lines: int | None


class Strategy(ABC):
    """A strategy. `name` is the text that the user gave, `spec` the canonical text, `note` a remark for its row."""

    name: str
    spec: str
    note: str
    capabilities: Capabilities

    @abstractmethod
    def stage(self, change: SlotChange) -> None:
        """Prepare one accepted change. In-place strategies show it at once, others after `publish`."""

    @abstractmethod
    def publish(self) -> None:
        """Make the staged change visible to readers."""

    def apply(self, change: SlotChange) -> None:
        """Stage and publish one change."""
        self.stage(change)
        self.publish()

    def apply_table(self, changes: Words) -> None:
        """Stage and publish every change of a table (uint64[n, 6])."""
        for row in range(len(changes)):
            self.apply(change_at(changes, row))

    def load_table(self, changes: Words) -> None:
        """Apply changes before the first question, in the fastest way."""
        self.apply_table(changes)

    @abstractmethod
    def lookup_gfn(self, gfn: Gfn, as_id: int = 0, vcpu: int = 0) -> int:
        """The number of the slot of address space `as_id` that contains `gfn`, or -1. `vcpu` is the asking vCPU."""

    @abstractmethod
    def visit_hva(self, start: Hva, end: Hva) -> list[int]:
        """The numbers of all slots that overlap [start, end), each once, ascending; none for an empty range."""

    def answer_gfns(self, stream: GfnStream) -> Numbers:
        """The answer to each lookup of a stream, following its slot changes. int32[n]."""
        out = np.empty(len(stream), dtype=np.int32)
        gfns, vcpus = stream.gfns.tolist(), stream.vcpus.tolist()
        applied = begin = 0
        for end, as_id, changes in stream.timeline.segments.tolist():
            for row in range(applied, changes):
                self.apply(change_at(stream.timeline.changes, row))
            applied = changes
            for i in range(begin, end):
                out[i] = self.lookup_gfn(gfns[i], as_id, vcpus[i])
            begin = end
        return out

    def answer_hvas(self, stream: HvaStream) -> HvaAnswers:
        """The answer to each visit of a stream, following its slot changes."""
        counts = np.empty(len(stream), dtype=np.uint64)
        numbers: list[int] = []
        starts, ends = stream.starts.tolist(), stream.ends.tolist()
        applied = begin = 0
        for end, _, changes in stream.timeline.segments.tolist():
            for row in range(applied, changes):
                self.apply(change_at(stream.timeline.changes, row))
            applied = changes
            for i in range(begin, end):
                met = self.visit_hva(starts[i], ends[i])
                counts[i] = len(met)
                numbers.extend(met)
            begin = end
        return HvaAnswers(counts, np.array(numbers, dtype=np.int32))

    @abstractmethod
    def generation(self, as_id: int = 0) -> int:
        """The generation of an address space, as in KVM, by which a reader knows that an answer is old.

        It starts at `as_id` and advances by a multiple of ADDRESS_SPACES whenever readers come to see other slots of
        this address space, flags included: in place when a change is staged, otherwise when it is published, and with
        two-sets and copy also when a slot that is deleted or moved is marked INVALID.
        """

    @abstractmethod
    def flags_at(self, gfn: Gfn, as_id: int = 0) -> int | None:
        """The flags of the slot in which readers find `gfn`, None for a hole.

        With two-sets and copy they have INVALID from the staging of a deletion or move to its publication.
        """

    @abstractmethod
    def counters(self) -> Counters:
        """Events since the last reset. All None unless the strategy was made to count."""

    @abstractmethod
    def reset_counters(self) -> None:
        """Start counting from zero."""

    @abstractmethod
    def check(self) -> None:
        """Raise BrokenStrategy, or AssertionError in native code, if an invariant of a structure does not hold."""

    @abstractmethod
    def bytes(self) -> int | None:
        """Bytes in use for slots, nodes, arrays and tables; None if that is not known."""

    def stride(self) -> int | None:
        """Bytes from one slot to the next, if they are allocated one after another; None if that is not known."""
        return None

    @abstractmethod
    def __len__(self) -> int:
        """Slots held."""


class SelfTimed(Strategy):
    """A strategy that times its own replays, without the cost of a caller's loop."""

    @abstractmethod
    def replay_gfns(self, stream: GfnStream, mode: Mode) -> tuple[int, int]:
        """(nanoseconds in lookups, sum of number + 1 over the slots found)."""

    @abstractmethod
    def replay_hvas(self, stream: HvaStream, mode: Mode) -> tuple[int, int]:
        """(nanoseconds in visits, sum of number + 1 over the slots visited)."""

    @abstractmethod
    def replay_changes(self, changes: Words, mode: Mode) -> int:
        """Nanoseconds spent in staging and publishing `changes` (uint64[n, 6])."""

    @abstractmethod
    def replay_load(self, changes: Words) -> int:
        """Nanoseconds spent in carrying `changes` (uint64[n, 6]) out as `load_table` does."""
