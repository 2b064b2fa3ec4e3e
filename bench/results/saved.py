"""The schema of a saved result for pydantic: the same keys and types as `schemas/run.schema.json`.

It is separate from `load.py`, so that only reading a result imports pydantic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from slotlookup.config import words
from slotlookup.vocabulary import Count, Operation, TimingMode

from .model import SCHEMA_VERSION

Number = Annotated[float, Field(allow_inf_nan=False)]
Mean = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Whole = Annotated[int, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]
FamilyName = Literal["native", "python"]


class _Saved(BaseModel):
    """Exactly the declared keys, without type conversion."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class SavedInterval(_Saved):
    """A median and its interval."""

    median: Number
    low: Number | None
    high: Number | None


class SavedRatio(SavedInterval):
    """A ratio of times, which is above zero."""

    median: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class SavedTiming(SavedInterval):
    """Nanoseconds per operation."""

    ratio: SavedRatio | None
    samples: Annotated[list[Number], Field(min_length=1)]
    raw_samples: Annotated[list[Number], Field(min_length=1)] | None


# mypy cannot derive keys from an enumeration.
class SavedTimes(words.keyed(_Saved, TimingMode, (SavedTiming | None, ...))):  # type: ignore[misc]
    """The timings of a role; null if not measured."""


class SavedRole(words.keyed(_Saved, Count, (Mean | None, ...))):  # type: ignore[misc]
    """The cost of a role; a count is null if unknown."""

    operations: Annotated[int, Field(ge=1)]
    slot_stride: Whole | None
    ns: SavedTimes


class SavedSetup(_Saved):
    """The cost of holding the slots."""

    slots: Whole
    bytes_per_slot: Mean | None
    slot_stride: Whole | None
    ns: SavedTiming | None


class _Outcome(_Saved):
    """The state of a row or a strategy."""

    state: Literal["verified", "void", "cut", "absent"]
    reason: Text | None

    @model_validator(mode="after")
    def _whatever_is_not_verified_says_why(self) -> Self:
        if (self.state == "verified") != (self.reason is None):
            raise ValueError("a verified row or strategy has no reason, and any other has one")
        return self


class _SavedRow(_Outcome):
    """A row without its figures."""

    name: Text
    uses: Text
    family: FamilyName
    strategies: Annotated[list[Text], Field(min_length=1)]
    measured_in: Text | None
    at_least_ns: Mean | None

    @model_validator(mode="after")
    def _verified_rows_alone_have_figures(self) -> Self:
        if (self.state == "verified") != (getattr(self, "figures", None) is not None):
            raise ValueError("a verified row has figures, and no other has")
        if (self.state == "cut") != (self.at_least_ns is not None):
            raise ValueError("a row that was cut has a lower bound, and no other has")
        if (self.state == "absent") != (self.measured_in is None):
            raise ValueError("a row was measured in a strategy unless it is absent")
        return self


class SavedRoleRow(_SavedRow):
    """A row of gfn lookups, hva visits or slot changes."""

    figures: SavedRole | None


class SavedSetupRow(_SavedRow):
    """A row of the set-up."""

    figures: SavedSetup | None


class SavedRoles(words.keyed(_Saved, Operation, (list[SavedRoleRow], ...))):  # type: ignore[misc]
    """The rows of each role; none without questions."""


class SavedNames(words.keyed(_Saved, Operation, (Text, ...))):  # type: ignore[misc]
    """The row that serves a strategy in each role."""


class SavedStrategy(_Outcome):
    """One strategy, as it was requested."""

    strategy: Text
    family: FamilyName
    spec: Text
    note: str
    rows: SavedNames


class SavedParameters(_Saved):
    """The parameters given for the workload; null for its own."""

    slots: Whole | None
    events: Whole | None
    memory: Whole | None


class SavedOutcome(_Saved):
    """What a modelled workload cost its guest and its host: the counters of `slotlookup.model.outcome`."""

    accesses: Whole
    exits: Whole
    minor_faults: Whole
    major_faults: Whole
    ageing_calls: Whole
    young: Whole
    pinned: Whole
    wrongly_evicted: Whole
    evicted: Whole
    forced: Whole


class SavedWeight(_Saved):
    """The events of a role."""

    events: Whole
    derived: bool


class SavedMix(words.keyed(_Saved, Operation, (SavedWeight, ...))):  # type: ignore[misc]
    """The events of each role."""


class SavedWorkload(_Saved):
    """The workload."""

    name: str
    slots: Whole
    events: Whole
    seed: Whole
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    parameters: SavedParameters
    outcome: SavedOutcome | None
    origin: dict[words.Operation, str]
    mix: SavedMix

    @model_validator(mode="after")
    def _something_happens(self) -> Self:
        if not sum(getattr(self.mix, role).events for role in Operation) > 0:
            raise ValueError("mix must have an event")
        return self

    @model_validator(mode="after")
    def _every_stream_has_an_origin(self) -> Self:
        if set(self.origin) != set(Operation):
            raise ValueError(f"origin must have {', '.join(Operation)}")
        return self


class SavedOptions(_Saved):
    """The options."""

    counts_only: bool
    budget: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    displaced: Whole
    placement: words.Placement
    patience: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    timings: list[words.TimingMode]
    processes: Annotated[int, Field(ge=1)]
    stride: Whole
    floor: bool
    mix: dict[words.Operation, Mean] | None
    complete: bool

    @model_validator(mode="after")
    def _a_mix_weighs_something(self) -> Self:
        if self.mix is not None and not sum(self.mix.values()) > 0:
            raise ValueError("mix must have a weight above 0")
        return self


class SavedMachine(_Saved):
    """The machine."""

    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$")]
    cpu: str | None
    architecture: str
    cpus: Whole | None
    caches: dict[str, str]
    virtualised: bool | None
    kernel: str
    mitigations: dict[str, str] | None
    governor: str | None
    boost: bool | None
    load: Annotated[list[Mean], Field(min_length=3, max_length=3)] | None
    compiler: str
    flags: str
    python: str
    packages: dict[str, str]
    slotlookup: str


class SavedRanked(_Saved):
    """Strategies of one cost."""

    strategies: Annotated[list[Text], Field(min_length=1)]
    rank: Annotated[int, Field(ge=1)] | None
    cost: SavedInterval | None
    ratio: SavedRatio | None
    own_cost: SavedInterval | None
    lines: Mean | None
    slots_examined: Mean | None
    at_least: Mean | None


class SavedCheapest(_Saved):
    """The cheapest strategy or row."""

    winner: Text | None
    tied: Annotated[list[Text], Field(min_length=1)]
    by: Literal["time", "counts", "nothing"]


class SavedCheapestOf(words.keyed(_Saved, Operation, (SavedCheapest | None, ...))):  # type: ignore[misc]
    """The cheapest under the mix and in each role."""

    all: SavedCheapest | None


class SavedSummary(_Saved):
    """The summary, which a reader calculates again."""

    family: FamilyName | None
    noise: Mean
    ranking: list[SavedRanked]
    cheapest: SavedCheapestOf
    sentences: Annotated[list[str], Field(min_length=2, max_length=2)]


class SavedRun(_Saved):
    """A whole run."""

    schema_version: int
    machine: SavedMachine
    workload: SavedWorkload
    options: SavedOptions
    references: dict[FamilyName, str]
    summary: SavedSummary
    empty_ns: dict[words.Operation, dict[words.TimingMode, SavedInterval]]
    floor_ns: dict[words.Operation, dict[words.TimingMode, SavedInterval]]
    control: dict[words.Operation, dict[words.TimingMode, SavedRatio]]
    strategies: Annotated[list[SavedStrategy], Field(min_length=1)]
    roles: SavedRoles
    setup: list[SavedSetupRow]

    @model_validator(mode="after")
    def _check_across_rows(self) -> Self:
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(f"schema_version must be {SCHEMA_VERSION}")
        _require_once("strategies", [one.strategy for one in self.strategies])
        tables: dict[str, Sequence[_SavedRow]] = {role: getattr(self.roles, role) for role in Operation}
        for role, rows in {**tables, "setup": self.setup}.items():
            _require_once(role, [row.name for row in rows])
            for one in self.strategies:
                name = getattr(one.rows, "update" if role == "setup" else role)
                if rows and name not in [row.name for row in rows]:
                    raise ValueError(f"{one.strategy} is served by {name}, and {role} has no such row")
        if set(self.references) != {"native", "python"}:
            raise ValueError("references must name a strategy for native and for python")
        return self


def _require_once(where: str, names: Sequence[str]) -> None:
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"{where} holds {' and '.join(sorted(twice))} twice")
