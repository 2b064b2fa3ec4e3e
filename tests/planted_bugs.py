"""A correct strategy, and strategies with one fault each, with the check that must detect it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

import numpy as np

from slotlookup.address import HOLE, Gfn, Hva
from slotlookup.arrays import Numbers
from slotlookup.conformance.isolated import MEMORY_BYTES
from slotlookup.memslots import ADDRESS_SPACES, INVALID, ChangeKind, Memslot, SlotChange
from slotlookup.strategy import Capabilities, Counters, Strategy
from slotlookup.stream import GfnStream, HvaAnswers, HvaStream
from slotlookup.structure import Family
from slotlookup.vocabulary import UpdateDiscipline


class Plain(Strategy):
    """A right strategy without any structure: the ground that the planted bugs grow in."""

    def __init__(self) -> None:
        self.name = self.spec = "plain"
        self.note = ""
        self.capabilities = Capabilities(Family.PYTHON, UpdateDiscipline.IN_PLACE, "Python", counts=())
        self.slots: dict[int, Memslot] = {}
        self.generations = list(range(ADDRESS_SPACES))

    def stage(self, change: SlotChange) -> None:
        self.advance(change)
        self.slots.pop(change.slot.number, None)
        if change.kind is not ChangeKind.DELETE:
            self.slots[change.slot.number] = change.slot

    def advance(self, change: SlotChange) -> None:
        """Readers see the change."""
        self.generations[change.slot.as_id] += ADDRESS_SPACES

    def publish(self) -> None:
        pass

    def generation(self, as_id: int = 0) -> int:
        return self.generations[as_id]

    def flags_at(self, gfn: Gfn, as_id: int = 0) -> int | None:
        found = Plain.lookup_gfn(self, gfn, as_id)
        return None if found == HOLE else self.slots[found].flags

    def lookup_gfn(self, gfn: Gfn, as_id: int = 0, vcpu: int = 0) -> int:
        held = (s.number for s in self.slots.values() if s.as_id == as_id and s.base_gfn <= gfn < s.end_gfn)
        return next(held, HOLE)

    def visit_hva(self, start: Hva, end: Hva) -> list[int]:
        if start >= end:
            return []
        return sorted(s.number for s in self.slots.values() if start < s.userspace_end and end > s.userspace_addr)

    def counters(self) -> Counters:
        return Counters(None, None, None, None)

    def reset_counters(self) -> None:
        pass

    def check(self) -> None:
        pass

    def bytes(self) -> int | None:
        return None

    def __len__(self) -> int:
        return len(self.slots)


class Cached(Plain):
    """The slot found last is tried first; `forgets` says after which changes it is dropped."""

    forgets: tuple[ChangeKind, ...] = tuple(ChangeKind)

    def __init__(self) -> None:
        super().__init__()
        self.last: Memslot | None = None

    def stage(self, change: SlotChange) -> None:
        super().stage(change)
        if change.kind in self.forgets:
            self.last = None

    def lookup_gfn(self, gfn: Gfn, as_id: int = 0, vcpu: int = 0) -> int:
        last = self.last
        if last is not None and last.as_id == as_id and last.base_gfn <= gfn < last.end_gfn:
            return last.number
        found = super().lookup_gfn(gfn, as_id, vcpu)
        if found != HOLE:
            self.last = self.slots[found]
        return found


class TwoSets(Plain):
    """Changes are shown when they are published; a slot that is deleted or moved is marked as soon as it is staged."""

    marks: tuple[ChangeKind, ...] = (ChangeKind.DELETE, ChangeKind.MOVE)
    advances_marked = True

    def __init__(self) -> None:
        super().__init__()
        self.capabilities = Capabilities(Family.NATIVE, UpdateDiscipline.TWO_SETS, "", counts=())

    def stage(self, change: SlotChange) -> None:
        self.staged = change
        if change.kind in self.marks:
            old = self.slots[change.slot.number]
            self.slots[change.slot.number] = old._replace(flags=old.flags | INVALID)
            if self.advances_marked:
                self.advance(change)

    def publish(self) -> None:
        super().stage(self.staged)


class EndBelongs(Plain):
    def lookup_gfn(self, gfn: Gfn, as_id: int = 0, vcpu: int = 0) -> int:
        held = (s.number for s in self.slots.values() if s.as_id == as_id and s.base_gfn <= gfn <= s.end_gfn)
        return next(held, HOLE)


class LastPageMissing(Plain):
    def lookup_gfn(self, gfn: Gfn, as_id: int = 0, vcpu: int = 0) -> int:
        found = super().lookup_gfn(gfn, as_id, vcpu)
        return HOLE if found != HOLE and gfn == self.slots[found].end_gfn - 1 else found


class KeepsDeleted(Cached):
    forgets = (ChangeKind.MOVE,)


class KeepsMoved(Cached):
    forgets = (ChangeKind.DELETE,)


class CacheOfOtherSpace(Cached):
    def lookup_gfn(self, gfn: Gfn, as_id: int = 0, vcpu: int = 0) -> int:
        return super().lookup_gfn(gfn, self.last.as_id if self.last is not None and as_id == 0 else as_id)


class FirstMatchOnly(Plain):
    def visit_hva(self, start: Hva, end: Hva) -> list[int]:
        return super().visit_hva(start, end)[:1]


class FlagsFrozenAtCreation(Plain):
    """Notes at creation whether a slot has aliases, and never again."""

    def __init__(self) -> None:
        super().__init__()
        self.alone: dict[int, bool] = {}

    def stage(self, change: SlotChange) -> None:
        if change.kind is ChangeKind.CREATE:
            slot = change.slot
            self.alone[slot.number] = not self.visit_hva(slot.userspace_addr, slot.userspace_end)
        super().stage(change)

    def visit_hva(self, start: Hva, end: Hva) -> list[int]:
        met = []
        for number in super().visit_hva(start, end):
            met.append(number)
            if self.alone[number]:
                break
        return met


class VisitsTwice(Plain):
    def visit_hva(self, start: Hva, end: Hva) -> list[int]:
        met = super().visit_hva(start, end)
        return [*met, met[0]] if len(met) > 2 else met


class VisitsInHvaOrder(Plain):
    def visit_hva(self, start: Hva, end: Hva) -> list[int]:
        return sorted(super().visit_hva(start, end), key=lambda number: self.slots[number].userspace_addr)


class BatchesInHvaOrder(Plain):
    """Single visits are right."""

    def answer_hvas(self, stream: HvaStream) -> HvaAnswers:
        right = super().answer_hvas(stream)
        begin, numbers = 0, right.numbers.tolist()
        for count in right.counts.tolist():
            part = numbers[begin : begin + count]
            numbers[begin : begin + count] = sorted(part, key=lambda number: self.slots[number].userspace_addr)
            begin += count
        return HvaAnswers(right.counts, np.array(numbers, dtype=np.int32))


class OneAddressSpace(Plain):
    def lookup_gfn(self, gfn: Gfn, as_id: int = 0, vcpu: int = 0) -> int:
        return max(super().lookup_gfn(gfn, 0), super().lookup_gfn(gfn, 1))


class HvasOfSpaceZero(Plain):
    def visit_hva(self, start: Hva, end: Hva) -> list[int]:
        return [number for number in super().visit_hva(start, end) if number < 1 << 16]


class TouchingMeets(Plain):
    def visit_hva(self, start: Hva, end: Hva) -> list[int]:
        return super().visit_hva(start, Hva(end + 1)) if start < end else []


class EmptyMeets(Plain):
    def visit_hva(self, start: Hva, end: Hva) -> list[int]:
        return super().visit_hva(start, Hva(max(end, start + 1)))


class WrapsAtTheTop(Plain):
    def lookup_gfn(self, gfn: Gfn, as_id: int = 0, vcpu: int = 0) -> int:
        return super().lookup_gfn(Gfn(gfn % (1 << 52)), as_id)


class SignedHvas(Plain):
    def visit_hva(self, start: Hva, end: Hva) -> list[int]:
        return super().visit_hva(start, Hva(end - (1 << 64) if end >= 1 << 63 else end))


class LosesOnFlags(Plain):
    def stage(self, change: SlotChange) -> None:
        super().stage(change)
        if change.kind is ChangeKind.FLAGS_ONLY:
            del self.slots[change.slot.number]


class BatchWithoutChanges(Plain):
    def answer_gfns(self, stream: GfnStream) -> Numbers:
        line = stream.timeline
        line.segments[:, 2] = 0
        return super().answer_gfns(stream)


class HidesTheStaged(Plain):
    """Says in place, and shows a change only when it is published."""

    def stage(self, change: SlotChange) -> None:
        self.staged = change

    def publish(self) -> None:
        super().stage(self.staged)


class SaysTwoSets(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.capabilities = Capabilities(Family.NATIVE, UpdateDiscipline.TWO_SETS, "", counts=())


class SkipsInvalid(TwoSets):
    marks = ()


class Copies(TwoSets):
    def __init__(self) -> None:
        super().__init__()
        self.capabilities = Capabilities(Family.NATIVE, UpdateDiscipline.COPY, "", counts=())


class SkipsInvalidInCopies(Copies):
    marks = ()


class SkipsInvalidOnMove(TwoSets):
    marks = (ChangeKind.DELETE,)


class SkipsInvalidOnDelete(TwoSets):
    marks = (ChangeKind.MOVE,)


class MarksInTheOldGeneration(TwoSets):
    advances_marked = False


class GenerationStandsStill(Plain):
    def advance(self, change: SlotChange) -> None:
        pass


class GenerationIgnoresFlags(Plain):
    def advance(self, change: SlotChange) -> None:
        if change.kind is not ChangeKind.FLAGS_ONLY:
            super().advance(change)


class GenerationWraps(Plain):
    """In eight bits."""

    def generation(self, as_id: int = 0) -> int:
        return self.generations[as_id] % 256


class OneGeneration(Plain):
    """Of both address spaces."""

    def generation(self, as_id: int = 0) -> int:
        return sum(self.generations)


class SameGenerations(Plain):
    """Steps of one, so that a generation of one address space is also one of the other."""

    def advance(self, change: SlotChange) -> None:
        self.generations[change.slot.as_id] += 1


class GenerationIsLate(Plain):
    """Advances when a change is published, though readers see it before."""

    def stage(self, change: SlotChange) -> None:
        self.staged = change
        super().stage(change)

    def advance(self, change: SlotChange) -> None:
        pass

    def publish(self) -> None:
        super().advance(self.staged)


class KeepsFlags(Plain):
    """The flags of the creation."""

    def stage(self, change: SlotChange) -> None:
        old = self.slots.get(change.slot.number)
        if change.kind is ChangeKind.FLAGS_ONLY and old is not None:
            change = change._replace(slot=old)
        super().stage(change)


class CachedByVcpu(Plain):
    """Each vCPU's last slot, or hole where `keeps_misses`, is tried first; `forgets` says whose change is passed on."""

    forgets_all = True
    keeps_misses = False

    def __init__(self) -> None:
        super().__init__()
        self.last: dict[tuple[int, int], Memslot | int] = {}

    def stage(self, change: SlotChange) -> None:
        super().stage(change)
        for key in list(self.last):
            if self.forgets_all or key[1] == 0:
                del self.last[key]

    def lookup_gfn(self, gfn: Gfn, as_id: int = 0, vcpu: int = 0) -> int:
        last = self.last.get((as_id, vcpu))
        if isinstance(last, Memslot) and last.base_gfn <= gfn < last.end_gfn:
            return last.number
        if last == gfn:
            return HOLE
        found = super().lookup_gfn(gfn, as_id, vcpu)
        if found != HOLE:
            self.last[as_id, vcpu] = self.slots[found]
        elif self.keeps_misses:
            self.last[as_id, vcpu] = gfn
        return found


class TellsOneVcpuOnly(CachedByVcpu):
    forgets_all = False


class KeepsMisses(CachedByVcpu):
    keeps_misses = True

    def stage(self, change: SlotChange) -> None:
        super().stage(change) if change.kind is not ChangeKind.CREATE else Plain.stage(self, change)


class SlotOfAnotherVcpu(CachedByVcpu):
    """Table entries are shared by vCPUs whose numbers are alike in ten bits, and taken on trust."""

    def lookup_gfn(self, gfn: Gfn, as_id: int = 0, vcpu: int = 0) -> int:
        entry = self.last.get((as_id, vcpu % 1024))
        if vcpu >= 1024 and isinstance(entry, Memslot):
            return entry.number
        return super().lookup_gfn(gfn, as_id, vcpu % 1024)


class BatchForgetsChangesOfOthers(CachedByVcpu):
    """In a batch, what vCPU 7 found last outlives the changes between segments."""

    def answer_gfns(self, stream: GfnStream) -> Numbers:
        found = super().answer_gfns(stream)
        mine = np.flatnonzero(stream.vcpus == 7)
        found[mine[1:]] = np.where(stream.gfns[mine[1:]] == 0x9001, HOLE, found[mine[1:]])
        return found


class FailsItsOwnCheck(Plain):
    def check(self) -> None:
        if len(self.slots) >= 3:
            raise AssertionError("three are too many")  # as native code does


class Crashes(Plain):
    def lookup_gfn(self, gfn: Gfn, as_id: int = 0, vcpu: int = 0) -> int:
        found = super().lookup_gfn(gfn, as_id, vcpu)
        return self.slots[found].number


class Miscounts(Plain):
    def __len__(self) -> int:
        return 1


class CrashesOnMoved(Plain):
    """Ends the process at a lookup after a move, as native code does that follows a dangling pointer."""

    moved = False

    def stage(self, change: SlotChange) -> None:
        super().stage(change)
        self.moved = change.kind is ChangeKind.MOVE

    def lookup_gfn(self, gfn: Gfn, as_id: int = 0, vcpu: int = 0) -> int:
        if self.moved:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().lookup_gfn(gfn, as_id, vcpu)


class HangsOnAliases(Plain):
    def visit_hva(self, start: Hva, end: Hva) -> list[int]:
        met = super().visit_hva(start, end)
        while len({self.slots[number].userspace_addr for number in met}) < len(met):
            pass
        return met


class TakesAllMemory(Plain):
    """And prints."""

    def visit_hva(self, start: Hva, end: Hva) -> list[int]:
        print("visiting", flush=True)
        bytearray(2 * MEMORY_BYTES)
        return super().visit_hva(start, end)


class RecursesInC(Plain):
    """By a function of the library that the variable RECURSING names."""

    def visit_hva(self, start: Hva, end: Hva) -> list[int]:
        ctypes.CDLL(os.environ["RECURSING"]).recurse(1)
        return super().visit_hva(start, end)


class HangsAndSaysWhere(Plain):
    """Writes its process id to the file that the variable HANGING names."""

    def lookup_gfn(self, gfn: Gfn, as_id: int = 0, vcpu: int = 0) -> int:
        Path(os.environ["HANGING"]).write_text(str(os.getpid()))
        while True:
            pass


class ExitsInABatch(EmptyMeets):
    """Wrong answers, then an end of the process."""

    def answer_gfns(self, stream: GfnStream) -> Numbers:
        print("no more", file=sys.stderr, flush=True)
        os._exit(7)


class KillsItsHost(Plain):
    def lookup_gfn(self, gfn: Gfn, as_id: int = 0, vcpu: int = 0) -> int:
        os.kill(os.getppid(), signal.SIGKILL)
        return super().lookup_gfn(gfn, as_id, vcpu)


BUGS: list[tuple[type[Strategy], str]] = [
    (EndBelongs, "one slot"),
    (LastPageMissing, "one slot"),
    (KeepsDeleted, "the slot found last is deleted"),
    (KeepsMoved, "the slot found last is moved"),
    (CacheOfOtherSpace, "address spaces"),
    (FirstMatchOnly, "identical host ranges"),
    (FlagsFrozenAtCreation, "aliases created and deleted"),
    (VisitsTwice, "identical host ranges"),
    (VisitsInHvaOrder, "order of a visit"),
    (BatchesInHvaOrder, "batches"),
    (OneAddressSpace, "address spaces"),
    (HvasOfSpaceZero, "address spaces"),
    (TouchingMeets, "adjacent slots"),
    (EmptyMeets, "empty ranges"),
    (WrapsAtTheTop, "top of the address space"),
    (SignedHvas, "top of the address space"),
    (LosesOnFlags, "flags only"),
    (BatchWithoutChanges, "timelines"),
    (HidesTheStaged, "update discipline"),
    (SaysTwoSets, "update discipline"),
    (SkipsInvalid, "slots that go are invalid"),
    (SkipsInvalidInCopies, "slots that go are invalid"),
    (SkipsInvalidOnMove, "slots that go are invalid"),
    (SkipsInvalidOnDelete, "slots that go are invalid"),
    (MarksInTheOldGeneration, "slots that go are invalid"),
    (GenerationStandsStill, "generation"),
    (GenerationIgnoresFlags, "generation"),
    (GenerationWraps, "generation"),
    (OneGeneration, "generation"),
    (SameGenerations, "generation"),
    (GenerationIsLate, "update discipline"),
    (KeepsFlags, "flags only"),
    (TellsOneVcpuOnly, "slots change under many vCPUs"),
    (KeepsMisses, "misses are not cached"),
    (SlotOfAnotherVcpu, "many vCPUs"),
    (BatchForgetsChangesOfOthers, "vcpus of a batch"),
    (FailsItsOwnCheck, "adjacent slots"),
    (Crashes, "hole"),
    (Miscounts, "empty"),
]

WHOLLY_INSIDE_A_SCRIPT = {
    BatchWithoutChanges,
    BatchesInHvaOrder,
    HidesTheStaged,
    SaysTwoSets,
    SkipsInvalid,
    SkipsInvalidInCopies,
    SkipsInvalidOnMove,
    SkipsInvalidOnDelete,
    MarksInTheOldGeneration,
    GenerationStandsStill,
    GenerationIgnoresFlags,
    GenerationWraps,
    OneGeneration,
    SameGenerations,
    GenerationIsLate,
    WrapsAtTheTop,
    SignedHvas,
    EmptyMeets,
    BatchForgetsChangesOfOthers,
    KeepsMisses,
}
"""Bugs outside what random operations do.

Batches, unpublished changes, generations, hvas and gfns far from any slot, and a miss asked for twice by one vCPU.
"""
