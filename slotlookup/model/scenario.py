"""Scenarios: workloads that run on the model. The same seed gives the same trace with every strategy.

Generated traces, each with its outcome as JSON, are kept in the folder of `slotlookup.model.trace_cache`, named by a
fingerprint of all their inputs: the scenario's name and size, and the source of the model and of the scenario.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from slotlookup.address import PAGE_SHIFT, PAGE_SIZE
from slotlookup.errors import InputFileError, UsageError
from slotlookup.memslots import USER_SLOTS
from slotlookup.model.mmu.reference import ReferenceStrategy
from slotlookup.model.outcome import Outcome
from slotlookup.model.trace_cache import LIMIT, cache_folder, mark_used, prune
from slotlookup.model.vm import Vm
from slotlookup.strategy import Strategy
from slotlookup.trace import Trace, read_trace, trace_writer
from slotlookup.workload import Origin, Workload
from slotlookup.writing import write_files

_log = logging.getLogger("slotlookup")

MOST_MEMORY = 16 << 30
"""The maximum guest memory in bytes: the state of each guest page takes memory of this machine."""
_COMPRESSION = 3
"""The compression level of cached traces, which are read a few times and not shipped."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a run is: slots, bytes of guest memory, events of the trace, and the seed."""

    slots: int
    memory: int
    events: int
    seed: int

    def draw(self) -> np.random.Generator:
        """The run's random numbers."""
        return np.random.Generator(np.random.PCG64([self.seed, 2]))


class Scenario(Workload):
    """A workload that runs on the model. `memory` is the guest's default size in bytes."""

    origin = Origin.MODELLED
    sizable = True
    slots = 16
    fewest_slots = 1
    most_slots = USER_SLOTS
    slots_apart = 0
    """The number of slots that `memory` does not include."""
    memory = 256 << 20
    default_events = 200_000

    @abstractmethod
    def play(self, strategy: Strategy, size: Size) -> Vm:
        """Run on an empty strategy until the VM's recorder is full (`Vm(limit=size.events)`)."""

    def build(
        self, *, slots: int | None = None, events: int | None = None, seed: int = 0, memory: int | None = None
    ) -> Trace:
        return self.build_with_outcome(slots=slots, events=events, seed=seed, memory=memory)[0]

    def build_with_outcome(
        self, *, slots: int | None = None, events: int | None = None, seed: int = 0, memory: int | None = None
    ) -> tuple[Trace, Outcome]:
        """The trace as from `build`, and what the guest and its host paid during it."""
        size = self.size(slots=slots, events=events, seed=seed, memory=memory)
        path = cache_folder() / f"{self.name}-{self._fingerprint(size)}.parquet"
        beside = path.with_suffix(".json")
        if path.exists() and beside.exists():
            try:
                kept = read_trace(path), Outcome.from_text(beside.read_text(encoding="utf-8"))
            except InputFileError as error:
                _log.warning("%s; it is generated again", error)
            except (OSError, ValueError) as error:
                _log.warning("%s: %s; it is generated again", beside, error)
            else:
                mark_used(path)
                return kept
        vm = self.play(ReferenceStrategy(), size)
        trace, outcome = vm.trace(self.name, f"modelled, seed {seed}"), vm.outcome()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            told = json.dumps(outcome.as_json()).encode()
            write_files(
                [
                    (path, trace_writer(trace, _COMPRESSION)),
                    (beside, lambda file: file.write(told)),
                ]
            )
            prune(LIMIT, keep=path)
        except (OSError, InputFileError) as error:
            _log.warning("the trace is not cached: %s", error)
        return trace, outcome

    def run(
        self,
        strategy: Strategy,
        *,
        slots: int | None = None,
        events: int | None = None,
        seed: int = 0,
        memory: int | None = None,
    ) -> Vm:
        """Run with `strategy`, which is empty; returns the VM after the last event."""
        return self.play(strategy, self.size(slots=slots, events=events, seed=seed, memory=memory))

    def size(self, *, slots: int | None, events: int | None, seed: int, memory: int | None) -> Size:
        """The requested size, with defaults filled in. Raises UsageError if it is not possible."""
        size = Size(
            self.slots if slots is None else slots,
            self.memory if memory is None else memory,
            self.default_events if events is None else events,
            seed,
        )
        if not self.fewest_slots <= size.slots <= self.most_slots:
            raise UsageError(
                f"{self.name} with {size.slots:,} slots: it has {self.fewest_slots:,} to {self.most_slots:,}; "
                "choose a number in this range"
            )
        if size.events < 1:
            raise UsageError(f"{size.events:,} events; --events must be at least 1")
        if size.memory & (PAGE_SIZE - 1) or size.memory > MOST_MEMORY:
            raise UsageError(
                f"{size.memory:,} bytes of guest memory: --memory must be whole pages, at most {MOST_MEMORY:,} bytes"
            )
        least = size.slots - self.slots_apart << PAGE_SHIFT
        if size.memory < least:
            raise UsageError(
                f"{size.memory:,} bytes of guest memory: {size.slots:,} slots need a page each; "
                f"increase --memory to {least:,} or more, or use fewer slots"
            )
        return size

    def _fingerprint(self, size: Size) -> str:
        source = inspect.getsourcefile(type(self))
        own = Path(source).read_bytes() if source is not None else b""
        digest = hashlib.sha256(repr((self.name, size, np.__version__, model_source())).encode() + own)
        return digest.hexdigest()[:16]


class PolicyScenario(Scenario):
    """A scenario that exists once for each answer to ageing requests. `policy` names the answer."""

    policy: str

    @abstractmethod
    def play_accesses(self, strategy: Strategy, size: Size, accesses: int, progress: Callable[[float], None]) -> Vm:
        """Run until the guest has made `accesses` since the start, whatever the number of events; none is recorded."""


@cache
def model_source() -> str:
    """A digest of the core's Python source, on which the result of a scenario depends."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
