"""What can be configured: every key with its type, bounds and default, and the JSON Schema that editors read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from slotlookup.config import words
from slotlookup.structure import PATIENCE
from slotlookup.vocabulary import RANKED, Operation, Placement

LARGEST_SEED = (1 << 63) - 1

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
    slots: Count | None = Field(default=None, description="How many slots, for workloads that come in any size.")
    events: Count | None = Field(
        default=None, description="How many events, where fewer than the workload has will do."
    )
    seed: Seed | None = Field(
        default=None, description="Seed of what is drawn at random; the top-level `seed` if not given."
    )
    label: Text | None = Field(
        default=None,
        description="What tables and the baseline call it; NAME, or NAME@SLOTS where slots are given, if not set.",
    )

    @property
    def title(self) -> str:
        """What tables and the baseline call it."""
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
    """By how much counts may rise. Of several that match, the last holds; where none does, counts gate exactly."""

    strategy: Text = Field(
        default="*", description="Pattern of strategies as the suite writes them; * and ? stand for any."
    )
    workload: Text = Field(default="*", description="Pattern of workloads as tables write them.")
    role: words.Operation | None = Field(default=None, description="One kind of operation; all if not given.")
    metric: words.Count | None = Field(default=None, description="One count; all if not given.")
    percent: Percent = Field(description="Rise in percent of the baseline's figure that passes.")


class TimeGate(Table):
    """A time that gates: as a ratio to another strategy, in pairs measured in the same run."""

    strategy: Text = Field(description="The strategy that must not become slower.")
    against: Text = Field(description="The strategy it is timed against, in turns.")
    role: words.Operation = Field(default=Operation.GFN, description="The kind of operation.")
    mode: words.TimingMode = Field(default=RANKED, description="The timing.")
    workload: Text = Field(description="The workload, as tables write it.")
    percent: Percent = Field(description="A rise of the ratio below this is no regression, however certain.")

    @model_validator(mode="after")
    def _possible(self) -> TimeGate:
        if self.strategy == self.against:
            raise PydanticCustomError("same_strategy", "strategy and against are the same; name two")
        if self.role == Operation.UPDATE and self.mode.waits:
            raise PydanticCustomError(
                "no_latency", "slot changes have no latency, as none waits for another; take a throughput"
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
    """What `slotlookup check` gates."""

    baseline: Text = Field(
        default=DEFAULT_BASELINE,
        description="The file of figures that new ones are compared with, relative to this file.",
    )
    strategies: tuple[str, ...] | None = Field(
        default=None,
        description="Names or specs; the top-level `strategies` if not given, every native one if that is empty.",
    )
    workloads: tuple[CheckWorkload, ...] = Field(default=DEFAULT_SUITE, description="What is replayed.")
    tolerances: tuple[Tolerance, ...] = Field(default=(), description="Where counts may rise a little.")
    times: tuple[TimeGate, ...] = Field(default=(), description="Times that gate too; none unless asked for.")

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


class Settings(Table):
    """Every setting. An empty `strategies` means all that the registry finds."""

    model_config = ConfigDict(title="slotlookup configuration")

    workload: Text = Field(default="q35-4G-numa64", description="What `run` replays where no workload is named.")
    strategies: tuple[str, ...] = Field(
        default=(), description="Names or specs of the strategies to compare; all if empty."
    )
    seed: Seed = Field(default=0, description="Seed of everything that is drawn at random.")
    displaced: Annotated[int, Field(strict=True, ge=0, le=1 << 30)] = Field(
        default=64 << 10, description="Bytes of memory walked between operations where caches are to be cold."
    )
    placement: words.Placement = Field(
        default=Placement.PACKED,
        description="Where native strategies' slots lie: one after another, or as from an aged allocator.",
    )
    budget: Annotated[float, Field(strict=True, ge=0.01, le=100)] = Field(
        default=1.0, description="Share of the usual time that is spent on timing."
    )
    patience: Annotated[float, Field(strict=True, gt=0, le=86_400)] = Field(
        default=PATIENCE, description="Seconds without an answer after which a structure from a file is given up."
    )
    check: CheckSettings = Field(default_factory=CheckSettings, description="What `slotlookup check` gates.")


class _TomlSchema(GenerateJsonSchema):
    """TOML has no null: a key that may be absent is not one that may be null."""

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
    """A value of JSON without the keys that hold null, at any depth."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def config_schema() -> str:
    """The JSON Schema of the configuration, as the text of the published file."""
    schema = Settings.model_json_schema(schema_generator=_TomlSchema)
    return json.dumps({"$schema": _TomlSchema.schema_dialect, **schema}, indent=2) + "\n"
