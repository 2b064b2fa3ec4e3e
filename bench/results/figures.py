"""The figures of the gate: totals by workload, strategy and role, and the ratios of times. A baseline contains them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from slotlookup.config import words
from slotlookup.vocabulary import Count

Total = Annotated[int, Field(ge=0)]
Name = Annotated[str, Field(min_length=1)]


class Exact(BaseModel):
    """Exactly the declared keys, without type conversion."""

    model_config = ConfigDict(extra="forbid", strict=True)


# mypy cannot derive keys from an enumeration.
class Figures(words.keyed(Exact, Count, (Total | None, None))):  # type: ignore[misc]
    """One strategy in one role: sums over all operations; None for counts that a strategy does not report."""

    operations: Annotated[int, Field(ge=1)]


class TimeFigure(Exact):
    """A time as a ratio to another strategy's, in millionths, and the facts on which it depends.

    `displaced` is the number of bytes walked between operations for cold timings, else 0.
    """

    role: words.Operation
    mode: words.TimingMode
    cpu: str
    displaced: Total
    ratio_ppm: Annotated[int, Field(ge=1)]


class WorkloadFigures(Exact):
    """A workload's parameters, its fingerprints, and its figures by strategy and role.

    `fingerprint` is a digest of the trace (slots and events); `questions` of all questions, derived streams included.
    """

    name: Name
    slots: Total
    events: Total
    seed: Total
    fingerprint: Name
    questions: Name
    strategies: dict[str, dict[words.Operation, Figures]]
    times: dict[str, TimeFigure] = {}
