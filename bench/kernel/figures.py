"""The measurement of `slotlookup kernel` in its published form, and the arithmetic on it.

A **marginal cost** is the additional cost of N slots over one: the same addresses are looked up, alternately, in a VM
with N slots and in one with a single slot over the same memory, and the difference is computed round by round. System
calls, loops and all other costs that do not depend on the number of slots cancel. **Fidelity** is the tool's marginal
cost divided by the kernel's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from slotlookup.config import words
from slotlookup.errors import InputFileError
from slotlookup.vocabulary import Role

from ..results.saved import SavedMachine
from ..results.statistics import Interval, median, median_interval, ratio_interval

SCHEMA_VERSION: Literal[1] = 1
GOAL = 1.5
"""The factor by which the tool's marginal cost may differ from the kernel's, in either direction."""
HOWS = ("hot", "called")
"""The ways of calling the strategy: one question after another, and as the kernel calls its own structures."""

Nanoseconds = Annotated[float, Field(allow_inf_nan=False)]
Samples = Annotated[list[Nanoseconds], Field(min_length=1)]


class _Published(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Series(_Published):
    """Nanoseconds per operation, one sample per round, for `one` slot and for `many`. Equal indices are one round."""

    one: Samples
    many: Samples

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.one) != len(self.many):
            raise ValueError("the numbers of samples of one slot and of many must be equal")
        return self

    def marginal(self) -> list[float]:
        """The additional cost of many slots over one, round by round."""
        return [many - one for one, many in zip(self.one, self.many, strict=True)]


class Lookups(_Published):
    """One pattern at one slot count: `pages` is the length of a range, `operations` their number per sample."""

    role: words.Role
    order: Literal["random", "next", "hole"]
    pages: Annotated[int, Field(ge=1)]
    operations: Annotated[int, Field(ge=1)]
    kernel: Series
    hot: Series
    called: Series

    @property
    def title(self) -> str:
        """The pattern in words."""
        many = f", {self.pages:,} pages" if self.pages > 1 else ""
        return f"{'gfn lookup' if self.role == Role.GFN else 'hva invalidation'}, {self.order}{many}"

    def series(self, how: str) -> Series:
        """The samples of `kernel`, `hot` or `called`."""
        return {"kernel": self.kernel, "hot": self.hot, "called": self.called}[how]


class Changes(_Published):
    """Nanoseconds of each call that changed a slot with all others present; `fill` is a mean over their creation."""

    fill: Nanoseconds
    add: Samples
    log_on: Samples
    log_off: Samples
    move: Samples
    delete: Samples


class Point(_Published):
    """Everything at one slot count."""

    slots: Annotated[int, Field(ge=1)]
    builds: Annotated[int, Field(ge=1, description="The number of VMs from which the samples come.")]
    lookups: list[Lookups]
    changes: Changes


class Baselines(_Published):
    """Nanoseconds per operation of calls without a lookup.

    `gfn_no_lookup` is the MSR written with the enable bit clear; `hva_no_vm` an invalidation of an absent page in a
    process without VM; `hva_no_slot` in one whose only slot is elsewhere.
    """

    gfn_no_lookup: Samples
    hva_no_vm: Samples
    hva_no_slot: Samples


class Measurement(_Published):
    """A whole measurement. `batched` says whether madvise accepted many ranges per call."""

    schema_version: Literal[1]
    machine: dict[str, Any]
    strategy: str
    placement: str
    displaced: dict[str, int]
    limit: Annotated[int, Field(ge=1)]
    batched: bool
    rounds: Annotated[int, Field(ge=1)]
    baselines: Baselines
    points: list[Point]

    @field_validator("machine")
    @classmethod
    def _as_in_a_run(cls, machine: dict[str, Any]) -> dict[str, Any]:
        SavedMachine.model_validate(machine)
        return machine

    def lookups(self) -> dict[str, list[tuple[int, Lookups]]]:
        """By pattern: slot counts, ascending, and their measurements."""
        found: dict[str, list[tuple[int, Lookups]]] = {}
        for point in sorted(self.points, key=lambda point: point.slots):
            for lookups in point.lookups:
                found.setdefault(lookups.title, []).append((point.slots, lookups))
        return found

    def noise(self, title: str) -> float:
        """The difference in nanoseconds between VMs of one slot each, by pattern: smaller differences are ties.

        0 if one slot was not among the slot counts.
        """
        controls = [lookups.kernel.marginal() for slots, lookups in self.lookups().get(title, []) if slots == 1]
        return max((abs(median(control)) for control in controls), default=0.0)


Verdict = Literal["within", "beyond", "open", "equal", "too small"]


class Fidelity(_Published):
    """The tool's marginal cost divided by the kernel's at one point.

    `verdict`: `within` the goal; `beyond` it; `open` if the interval of the ratio contains a limit of the goal;
    `equal` if the difference of the two marginal costs cannot be distinguished from 0; `too small` if the kernel's
    own marginal cost cannot.
    """

    ratio: float | None
    low: float | None
    high: float | None
    verdict: Verdict


def fidelity(kernel: Series, tool: Series, noise: float) -> Fidelity:
    """Compare the tool's marginal cost with the kernel's; below `noise` nanoseconds the kernel's counts as 0."""
    theirs, ours = kernel.marginal(), tool.marginal()
    cost, own = median_interval(theirs), median_interval(ours)
    if cost.low is None or own.low is None or cost.low <= noise:
        return Fidelity(ratio=None, low=None, high=None, verdict="too small")
    found = _ratio(ours, theirs)
    apart = median_interval([a - b for a, b in zip(ours, theirs, strict=True)])
    verdict: Verdict
    if apart.low is not None and apart.high is not None and apart.low <= 0 <= apart.high:
        verdict = "equal"
    elif found.low is None or found.high is None:
        verdict = "open"
    elif found.low >= 1 / GOAL and found.high <= GOAL:
        verdict = "within"
    elif found.high < 1 / GOAL or found.low > GOAL:
        verdict = "beyond"
    else:
        verdict = "open"
    return Fidelity(ratio=found.median, low=found.low, high=found.high, verdict=verdict)


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """The paired ratio; if a round's difference is at or below 0, the wider one of two separate intervals.

    The median of `theirs` and the low end of its interval must be above 0.
    """
    if min(*ours, *theirs) > 0:
        return ratio_interval(ours, theirs)
    own, cost = median_interval(ours), median_interval(theirs)
    if own.low is None or own.high is None or cost.low is None or cost.high is None:
        return Interval(own.median / cost.median, None, None)
    return Interval(own.median / cost.median, own.low / (cost.high if own.low > 0 else cost.low), own.high / cost.low)


class Marginal(_Published):
    """The additional cost of many slots over one in ns; `low` and `high` are null if there were too few rounds."""

    median: float
    low: float | None
    high: float | None


class Compared(Marginal):
    """The tool's, with its fidelity; null for one slot, whose marginal cost is 0 by definition."""

    fidelity: Fidelity | None


class Row(_Published):
    """One pattern at one slot count. For one slot it is the control: two VMs of one slot each."""

    slots: int
    role: str
    order: str
    pages: int
    kernel: Marginal
    hot: Compared
    called: Compared

    def compared(self, how: str) -> Compared:
        """The measurement of `hot` or `called`."""
        return {"hot": self.hot, "called": self.called}[how]


class Result(Measurement):
    """The JSON of `slotlookup kernel`: the measurement, and the results that follow from its samples."""

    fidelity: list[Row]


def row_of(slots: int, lookups: Lookups, noise: float) -> Row:
    """One pattern at one slot count; below `noise` nanoseconds the kernel's marginal cost counts as 0."""
    compared = {
        how: Compared(
            **_marginal(lookups.series(how)),
            fidelity=fidelity(lookups.kernel, lookups.series(how), noise) if slots > 1 else None,
        )
        for how in HOWS
    }
    return Row(
        slots=slots,
        role=lookups.role,
        order=lookups.order,
        pages=lookups.pages,
        kernel=Marginal(**_marginal(lookups.kernel)),
        hot=compared["hot"],
        called=compared["called"],
    )


def _marginal(series: Series) -> dict[str, Any]:
    return median_interval(series.marginal()).as_json()


def rows(measured: Measurement) -> list[Row]:
    """One row per pattern and slot count."""
    return [
        row_of(slots, lookups, measured.noise(title))
        for title, points in measured.lookups().items()
        for slots, lookups in points
    ]


def as_json(measured: Measurement) -> dict[str, Any]:
    """The published form."""
    return {**measured.model_dump(), "fidelity": [row.model_dump() for row in rows(measured)]}


def schema() -> dict[str, Any]:
    """The JSON Schema of the published form."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:slotlookup:schema:kernel:{SCHEMA_VERSION}",
        **Result.model_json_schema(),
        "title": "Result of slotlookup kernel",
    }


def to_json(measured: Measurement) -> str:
    """The JSON text."""
    return json.dumps(as_json(measured), indent=2, allow_nan=False) + "\n"


def read_measurement(path: Path) -> Measurement:
    """A saved measurement. Raises InputFileError if the file has none, or one of another version."""
    try:
        found = Result.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputFileError(path, None, f"cannot be read: {error.strerror or error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        where = f"at {place}: " if place else ""
        raise InputFileError(path, None, f"not a result of `slotlookup kernel`: {where}{first['msg']}") from None
    return Measurement.model_validate(found.model_dump(exclude={"fidelity"}))
