"""The shape of a saved result, as pydantic checks it: the same keys and types as `schemas/run.schema.json`.

Apart from `load.py`, so that only reading a result pays for importing pydantic.
"""

from __future__ import annotations

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
    """No key more, none less, and nothing converted."""

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
    """Nanoseconds an operation."""

    ratio: SavedRatio | None
    samples: Annotated[list[Number], Field(min_length=1)]


# mypy does not know the keys that an enumeration gives.
class SavedTimes(words.keyed(_Saved, TimingMode, (SavedTiming | None, ...))):  # type: ignore[misc]
    """The timings of a role; null where one was not taken."""


class SavedRole(words.keyed(_Saved, Count, (Mean | None, ...))):  # type: ignore[misc]
    """One strategy in one role; a count is null where it is not known."""

    operations: Annotated[int, Field(ge=1)]
    ns: SavedTimes


class SavedOps(words.keyed(_Saved, Operation, (SavedRole | None, ...))):  # type: ignore[misc]
    """One strategy in every role; null where there was nothing to ask."""


class SavedRow(_Saved):
    """One strategy."""

    strategy: Text
    family: FamilyName
    spec: Text
    note: str
    verified: bool
    fault: Text | None
    bytes_per_slot: Mean | None
    ops: SavedOps

    @model_validator(mode="after")
    def _void_rows_hold_no_figures(self) -> Self:
        if self.verified == (self.fault is not None):
            raise ValueError("a row is either verified or has a fault")
        figures = [self.bytes_per_slot, *(getattr(self.ops, role) for role in Operation)]
        if not self.verified and any(figure is not None for figure in figures):
            raise ValueError("a void row holds no figures")
        return self


class SavedWorkload(_Saved):
    """What was asked."""

    name: str
    slots: Whole
    events: Whole
    seed: Whole
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    origin: dict[words.Operation, str]

    @model_validator(mode="after")
    def _every_stream_has_an_origin(self) -> Self:
        if set(self.origin) != set(Operation):
            raise ValueError(f"origin must say where {', '.join(Operation)} come from")
        return self


class SavedOptions(_Saved):
    """How it was asked."""

    counts_only: bool
    budget: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    displaced: Whole
    placement: words.Placement


class SavedMachine(_Saved):
    """Where it was asked."""

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


class SavedRun(_Saved):
    """A whole run."""

    schema_version: int
    machine: SavedMachine
    workload: SavedWorkload
    options: SavedOptions
    references: dict[FamilyName, str]
    empty_ns: dict[words.Operation, dict[words.TimingMode, SavedInterval]]
    control: dict[words.Operation, dict[words.TimingMode, SavedRatio]]
    results: Annotated[list[SavedRow], Field(min_length=1)]

    @model_validator(mode="after")
    def _check_across_rows(self) -> Self:
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(f"schema_version must be {SCHEMA_VERSION}")
        names = [row.strategy for row in self.results]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"results holds {' and '.join(sorted(twice))} twice")
        if set(self.references) != {"native", "python"}:
            raise ValueError("references must name a strategy for native and for python")
        return self
