"""The configuration keys with type, bounds and default, and the JSON Schema that editors use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from slotlookup.config import words
from slotlookup.structure import PATIENCE
from slotlookup.vocabulary import RANKED, Operation, Placement, Target

LARGEST_SEED = (1 << 63) - 1
PROCESSES = 6
"""The least number of samples whose extremes bound their median at 95 % (a sign test)."""
MOST_PROCESSES = 100

Text = Annotated[str, Field(min_length=1)]
Seed = Annotated[int, Field(strict=True, ge=0, le=LARGEST_SEED)]
Count = Annotated[int, Field(strict=True, ge=1)]
Percent = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]


class Table(BaseModel):
    """A table of the configuration; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CheckWorkload(Table):
    """A workload that `check` replays. A plain name stands for a table with that name alone."""

    name: Text = Field(description="A workload's name, or a TRACE.parquet relative to the file that sets it.")
    slots: Count | None = Field(default=None, description="Number of slots, for workloads of variable size.")
    events: Count | None = Field(
        default=None, description="Number of events, if fewer than the workload has are enough."
    )
    seed: Seed | None = Field(default=None, description="Seed of all random draws; the top-level `seed` if not given.")
    label: Text | None = Field(
        default=None,
        description="Name in tables and in the baseline; if not set, NAME, or NAME@SLOTS if slots are given.",
    )

    @property
    def title(self) -> str:
        """The name in tables and in the baseline."""
        return self.label or (self.name if self.slots is None else f"{self.name}@{self.slots}")

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if not isinstance(value, Mapping | CheckWorkload):
            raise PydanticCustomError("not_a_workload", "should be a name or a table with a name")
        return value

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        table = handler.resolve_ref_schema(handler(schema))
        return {"anyOf": [{"type": "string", "minLength": 1}, table]}


class Tolerance(Table):
    """An accepted rise of counts. If several match, the last applies; if none does, counts gate exactly."""

    strategy: Text = Field(
        default="*",
        description="Pattern of strategies as written in the suite; * stands for any characters, ? for one.",
    )
    workload: Text = Field(default="*", description="Pattern of workloads' labels.")
    role: words.Operation | None = Field(default=None, description="One kind of operation; all if not given.")
    metric: words.Count | None = Field(default=None, description="One count; all if not given.")
    percent: Percent = Field(description="Rise in percent of the baseline's figure that passes.")


class TimeGate(Table):
    """A time that gates, as its ratio to another strategy in the same run."""

    strategy: Text = Field(description="The strategy that must not become slower.")
    against: Text = Field(description="The strategy with which it is compared in the same run.")
    role: words.Operation = Field(default=Operation.GFN, description="The kind of operation.")
    mode: words.TimingMode = Field(default=RANKED, description="The timing.")
    workload: Text = Field(description="The workload's label.")
    percent: Percent = Field(description="A smaller rise of the ratio is not a regression, even if it is certain.")

    @model_validator(mode="after")
    def _possible(self) -> TimeGate:
        if self.strategy == self.against:
            raise PydanticCustomError("same_strategy", "strategy and against are the same; name two strategies")
        if self.role == Operation.UPDATE and self.mode.waits:
            raise PydanticCustomError(
                "no_latency", "slot changes have no latency, as none waits for another; use a throughput"
            )
        return self


DEFAULT_BASELINE = "slotlookup-baseline.json"
DEFAULT_SUITE = (
    CheckWorkload(name="two-slot", events=20_000),
    CheckWorkload(name="microvm-1G"),
    CheckWorkload(name="q35-2G-dynamic"),
    CheckWorkload(name="q35-4G-numa64", events=100_000),
    CheckWorkload(name="synthetic-misses", slots=64, events=50_000),
    CheckWorkload(name="synthetic-uniform", slots=64, events=50_000),
    CheckWorkload(name="synthetic-uniform", slots=512, events=20_000),
)


class CheckSettings(Table):
    """The gate `slotlookup check`."""

    baseline: Text = Field(
        default=DEFAULT_BASELINE,
        description="The baseline with which figures are compared, relative to this file.",
    )
    strategies: tuple[str, ...] | None = Field(
        default=None,
        description="Names or specs; if not given, the top-level `strategies`; if those are empty, every native one.",
    )
    workloads: tuple[CheckWorkload, ...] = Field(default=DEFAULT_SUITE, description="The workloads to replay.")
    tolerances: tuple[Tolerance, ...] = Field(default=(), description="Accepted rises of counts.")
    times: tuple[TimeGate, ...] = Field(default=(), description="Times that gate as well; none by default.")

    @field_validator("workloads")
    @classmethod
    def _told_apart(cls, workloads: tuple[CheckWorkload, ...]) -> tuple[CheckWorkload, ...]:
        titles = [workload.title for workload in workloads]
        for title in titles:
            if titles.count(title) > 1:
                raise PydanticCustomError(
                    "same_title", "two workloads are called '{title}'; give one a label", {"title": title}
                )
        return workloads


Limit = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]


class AdviseSettings(Table):
    """The search `slotlookup advise`."""

    target: words.Target = Field(default=Target.KERNEL, description="Where the strategy is used; `--for`.")
    now: Text | None = Field(
        default=None, description="The strategy of today; if not given, kvm-5.17, or py-linear for python."
    )
    max_bytes_per_slot: Limit | None = Field(default=None, description="Limit of memory in bytes per slot.")
    max_update_ns: Limit | None = Field(default=None, description="Limit of the nanoseconds per slot change.")
    worst_case: bool = Field(
        default=False, strict=True, description="Whether the adversarial workloads are replayed as well."
    )
    cold: bool = Field(default=False, strict=True, description="Whether times are those with displaced caches.")


class Settings(Table):
    """Every setting. An empty `strategies` means the default set."""

    model_config = ConfigDict(title="slotlookup configuration")

    workload: Text = Field(default="q35-4G-numa64", description="The workload that `run` replays if none is named.")
    strategies: tuple[str, ...] = Field(
        default=(), description="Names or specs of the strategies to compare; if empty, the default set of `run`."
    )
    seed: Seed = Field(default=0, description="Seed of all random draws.")
    displaced: Annotated[int, Field(strict=True, ge=0, le=1 << 30)] = Field(
        default=64 << 10, description="Bytes of memory walked between operations for the cold timings."
    )
    placement: words.Placement = Field(
        default=Placement.PACKED,
        description="Placement of native strategies' slots: packed, as from an aged allocator, or as Linux's slabs.",
    )
    budget: Annotated[float, Field(strict=True, ge=0.01, le=100)] = Field(
        default=1.0, description="Time spent on timing as a multiple of the default."
    )
    processes: Annotated[int, Field(strict=True, ge=1, le=MOST_PROCESSES)] = Field(
        default=PROCESSES,
        description="New processes that time, one after another; from 6 on, intervals between them are at 95 %.",
    )
    patience: Annotated[float, Field(strict=True, gt=0, le=86_400)] = Field(
        default=PATIENCE, description="Seconds without an answer after which a structure from a file counts as hanging."
    )
    check: CheckSettings = Field(default_factory=CheckSettings, description="The gate `slotlookup check`.")
    advise: AdviseSettings = Field(default_factory=AdviseSettings, description="The search `slotlookup advise`.")


TABLES: Mapping[str, type[Table]] = {"check": CheckSettings, "advise": AdviseSettings}
"""The keys that are tables, which only files set."""


class _TomlSchema(GenerateJsonSchema):
    """Remove null from a schema: TOML has no null, so an optional key is absent, never null."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        if "default" in schema and schema["default"] is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def encode_default(self, dft: Any) -> Any:
        return without_nulls(super().encode_default(dft))

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def without_nulls(value: Any) -> Any:
    """A JSON value without keys whose value is null, at any depth."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def config_schema() -> str:
    """The JSON Schema of the configuration, as the text of the published file."""
    schema = Settings.model_json_schema(schema_generator=_TomlSchema)
    return json.dumps({"$schema": _TomlSchema.schema_dialect, **schema}, indent=2) + "\n"
