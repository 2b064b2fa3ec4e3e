"""Strategies whose structures are C++: a thin layer over the native module."""

from __future__ import annotations

from collections.abc import Sequence

import _slotlookup_native as native
from _slotlookup_native import Mode as Mode

from slotlookup.address import Gfn, Hva
from slotlookup.arrays import Numbers, Words
from slotlookup.errors import UsageError
from slotlookup.memslots import SlotChange
from slotlookup.spec import StrategySpec
from slotlookup.strategy import Capabilities, Counters, SelfTimed
from slotlookup.stream import GfnStream, HvaAnswers, HvaStream, change_table
from slotlookup.structure import Family, NativeStructure, obstacle_of
from slotlookup.vocabulary import Count, Placement

HOT = Mode("throughput", 0)
"""Independent operations, nothing displaced between them."""


def capabilities(spec: StrategySpec, structures: Sequence[NativeStructure]) -> Capabilities:
    """What a strategy of these structures can do."""
    return Capabilities(Family.NATIVE, spec.update, obstacle_of(structures), tuple(Count))


class NativeStrategy(SelfTimed):
    """A native strategy, timed (no hooks in its machine code) or counted."""

    def __init__(
        self,
        name: str,
        spec: StrategySpec,
        structures: Sequence[NativeStructure],
        *,
        counted: bool = False,
        placement: str = Placement.PACKED,
        seed: int = 0,
        stride: int = 0,
    ) -> None:
        """`structures` are the declarations that serve gfn lookups and hva visits, in that order.

        `stride` is the distance of slots in bytes, 0 for what the nodes in them need. Raises UsageError if it is less.
        """
        self.name = name
        self.spec = str(spec)
        self.note = ""
        self.counted = counted
        self.capabilities = capabilities(spec, structures)
        hva = f"{spec.hva}+unaliased" if spec.unaliased else spec.hva
        try:
            self.native = native.Strategy(
                spec.gfn,
                hva,
                cache=spec.cache,
                update=spec.update,
                counted=counted,
                placement=placement,
                seed=seed,
                stride=stride,
            )
        except ValueError as error:
            if not stride:
                raise
            raise UsageError(f"--stride: {name}: {error}; give a larger one, or leave the strategy out") from None

    def stage(self, change: SlotChange) -> None:
        self.native.stage(change_table([change]))

    def publish(self) -> None:
        self.native.publish()

    def apply_table(self, changes: Words) -> None:
        self.native.apply(changes)

    def load_table(self, changes: Words) -> None:
        self.native.load(changes)

    def lookup_gfn(self, gfn: Gfn, as_id: int = 0, vcpu: int = 0) -> int:
        return self.native.find(as_id, gfn, vcpu)

    def visit_hva(self, start: Hva, end: Hva) -> list[int]:
        return self.native.visit(start, end)

    def answer_gfns(self, stream: GfnStream) -> Numbers:
        line = stream.timeline
        return self.native.answer_gfn(stream.gfns, stream.vcpus, line.segments, line.changes)

    def answer_hvas(self, stream: HvaStream) -> HvaAnswers:
        line = stream.timeline
        return HvaAnswers(*self.native.answer_hva(stream.starts, stream.ends, line.segments, line.changes))

    def replay_gfns(self, stream: GfnStream, mode: Mode = HOT) -> tuple[int, int]:
        line = stream.timeline
        return self.native.replay_gfn(stream.gfns, stream.vcpus, line.segments, line.changes, mode)

    def replay_hvas(self, stream: HvaStream, mode: Mode = HOT) -> tuple[int, int]:
        line = stream.timeline
        return self.native.replay_hva(stream.starts, stream.ends, line.segments, line.changes, mode)

    def replay_changes(self, changes: Words, mode: Mode = HOT) -> int:
        return self.native.replay_changes(changes, mode)

    def replay_load(self, changes: Words) -> int:
        return self.native.replay_load(changes)

    def generation(self, as_id: int = 0) -> int:
        return self.native.generation(as_id)

    def flags_at(self, gfn: Gfn, as_id: int = 0) -> int | None:
        return self.native.flags_at(as_id, gfn)

    def counters(self) -> Counters:
        if not self.counted:
            return Counters(None, None, None, None)
        return Counters(*self.native.counters())

    def reset_counters(self) -> None:
        self.native.reset_counters()

    def check(self) -> None:
        self.native.check()

    def bytes(self) -> int:
        return self.native.bytes

    def stride(self) -> int:
        return self.native.stride

    def __len__(self) -> int:
        return len(self.native)
