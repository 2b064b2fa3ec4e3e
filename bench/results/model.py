"""The results of a run, and their JSON form. Results are immutable.

A role's row is named after the structure that served the role. A strategy of two structures has the row of the first
among gfn lookups and the row of the second among hva visits, so strategies that share a structure share its row. Slot
changes and set-up are the work of both structures, so the rows there name both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, TypeVar

from slotlookup.structure import Family
from slotlookup.vocabulary import Count, Operation, TimingMode
from slotlookup.writing import Writer, write_files

from .statistics import Interval, noise

SCHEMA_VERSION = 5
"""The schema version of `run --json` and saved results. Any added or changed key makes a new version."""


class State(StrEnum):
    """Whether a row or a strategy has figures, and the reason if not."""

    VERIFIED = "verified"
    """Every answer agreed with the oracle."""
    VOID = "void"
    """An answer was wrong, or the structure failed in another way."""
    CUT = "cut"
    """A row only: it was not run further, since it costs many times more than others."""
    ABSENT = "absent"
    """It could not take part: a library is missing, or an address is beyond its keys."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Nanoseconds per operation, one sample per process that timed, or per block if this process timed.

    `ratio` is to the family's reference in the same blocks; None if the reference is void. In `samples` of a cold
    timing the cost of displacing is subtracted; `raw_samples` are the readings of the clock, None for a hot timing.
    """

    samples: tuple[float, ...]
    interval: Interval
    ratio: Interval | None
    raw_samples: tuple[float, ...] | None = None

    def as_json(self) -> dict[str, Any]:
        """Median, interval and all samples."""
        return {
            **self.interval.as_json(),
            "ratio": None if self.ratio is None else self.ratio.as_json(),
            "samples": list(self.samples),
            "raw_samples": None if self.raw_samples is None else list(self.raw_samples),
        }


@dataclass(frozen=True, slots=True)
class RoleResult:
    """The cost of one role. Counts are means per operation; None if unknown. `ns` is keyed by TimingMode.

    `slot_stride` is the number of bytes from one slot to the next in the strategy that was measured, None if that is
    not known. Another strategy with the same row may have another: its slots have room for its other structure too.
    """

    operations: int
    slots_examined: float | None = None
    compares: float | None = None
    hops: float | None = None
    lines: float | None = None
    ns: Mapping[str, Timing] = field(default_factory=dict)
    slot_stride: int | None = None

    def as_json(self) -> dict[str, Any]:
        """All keys, null where nothing was measured."""
        return {
            "operations": self.operations,
            "slot_stride": self.slot_stride,
            **{name: getattr(self, name) for name in Count},
            "ns": {name: self.ns[name].as_json() if name in self.ns else None for name in TimingMode},
        }


@dataclass(frozen=True, slots=True)
class SetupResult:
    """The cost of holding the workload's slots.

    `slots` is the number of slots at the start, and `ns` the nanoseconds per slot to load them (None if nothing was
    timed). `bytes_per_slot` is for the maximum number of slots of the workload; None if unknown, as `slot_stride`,
    the number of bytes from one slot to the next.
    """

    slots: int
    bytes_per_slot: float | None = None
    ns: Timing | None = None
    slot_stride: int | None = None

    def as_json(self) -> dict[str, Any]:
        """All keys, null where nothing was measured."""
        return {
            "slots": self.slots,
            "bytes_per_slot": self.bytes_per_slot,
            "slot_stride": self.slot_stride,
            "ns": None if self.ns is None else self.ns.as_json(),
        }


Figures = TypeVar("Figures", RoleResult, SetupResult)


@dataclass(frozen=True, slots=True)
class Row(Generic[Figures]):
    """One row of a role: the structures that served the role.

    `uses` is the structure or structures with the options that matter in the role (`StrategySpec.serving`). `name` is
    `uses`, or the name of a preset. `strategies` are those that the row serves. One of them, `measured_in`, was counted
    and timed, and its state is the row's. Only a verified row has figures; other rows have a reason. A row that was not
    run further has a lower bound instead, in nanoseconds per operation.
    """

    name: str
    uses: str
    family: str
    strategies: tuple[str, ...]
    measured_in: str | None
    state: State = State.VERIFIED
    reason: str | None = None
    figures: Figures | None = None
    at_least_ns: float | None = None

    def as_json(self) -> dict[str, Any]:
        """All keys."""
        return {
            "name": self.name,
            "uses": self.uses,
            "family": self.family,
            "strategies": list(self.strategies),
            "measured_in": self.measured_in,
            "state": str(self.state),
            "reason": self.reason,
            "at_least_ns": self.at_least_ns,
            "figures": None if self.figures is None else self.figures.as_json(),
        }

    @property
    def verified(self) -> bool:
        """Whether every answer agreed with the oracle."""
        return self.state is State.VERIFIED


@dataclass(frozen=True, slots=True)
class StrategyResult:
    """A strategy. `rows` is the name of its row in each role, `reason` the reason why it is void or absent.

    `note` is a remark for the user.
    """

    strategy: str
    spec: str
    family: str
    rows: Mapping[str, str]
    note: str = ""
    state: State = State.VERIFIED
    reason: str | None = None

    def as_json(self) -> dict[str, Any]:
        """All keys."""
        return {
            "strategy": self.strategy,
            "family": self.family,
            "spec": self.spec,
            "note": self.note,
            "state": str(self.state),
            "reason": self.reason,
            "rows": {role: self.rows[role] for role in Operation},
        }


@dataclass(frozen=True, slots=True)
class RunResult:
    """A whole run; `document.py` has its published form.

    `strategies` are the requested ones and those that could not take part; `roles` has the rows of each role, `setup`
    those of loading the starting slots. `empty_ns` is the cost of an empty native strategy, in nanoseconds per
    operation, by role and timing: the loop itself and, for cold timings, the walk, which the cold figures do not
    contain. `control` is the paired ratio of the reference to itself, by role and timing: the noise of the machine.
    `floor_ns` is the cost of reading the right slots without finding them, empty unless it was asked for: what any
    structure costs at least, in the terms of the rows. `options` are those of RunOptions except the
    seed, which is the workload's.
    """

    workload: Mapping[str, Any]
    machine: Mapping[str, object]
    options: Mapping[str, Any]
    references: Mapping[str, str]
    strategies: tuple[StrategyResult, ...]
    roles: Mapping[str, tuple[Row[RoleResult], ...]]
    setup: tuple[Row[SetupResult], ...] = ()
    empty_ns: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    control: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    floor_ns: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)

    def noise(self, family: str, role: str, mode: str) -> float:
        """The share by which identical work differed in a role and timing; 0 if unknown, as for Python strategies."""
        return noise(self.control.get(role, {}).get(mode) if family == Family.NATIVE else None)


def write_texts(texts: Sequence[tuple[Path, str]]) -> None:
    """Write all of the files or none. Raises InputFileError if that fails."""
    write_files([(path, writer_of(text)) for path, text in texts])


def writer_of(text: str) -> Writer:
    """Writes this text as UTF-8."""
    return lambda file: file.write(text.encode())
