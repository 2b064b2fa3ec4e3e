"""The figures of the gate: totals by workload, strategy and role, and the ratios of times. A baseline holds them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from slotlookup.config import words
from slotlookup.vocabulary import Count

Total = Annotated[int, Field(ge=0)]
Name = Annotated[str, Field(min_length=1)]


class Exact(BaseModel):
    """No key more, none less, and nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True)


# mypy does not know the keys that an enumeration gives.
class Figures(words.keyed(Exact, Count, (Total | None, None))):  # type: ignore[misc]
    """One strategy in one role: sums over all operations; None where a strategy cannot tell."""

    operations: Annotated[int, Field(ge=1)]


class TimeFigure(Exact):
    """A time as a ratio to another strategy's, in millionths, and what it depends on.

    `displaced` is the number of bytes walked between operations where caches were cold, else 0.
    """

    role: words.Operation
    mode: words.TimingMode
    cpu: str
    displaced: Total
    ratio_ppm: Annotated[int, Field(ge=1)]


class WorkloadFigures(Exact):
    """A workload as it was asked for, what it came to, and its figures by strategy and role.

    `fingerprint` is of the trace (slots and events); `questions` of all that was asked, derived streams included.
    """

    name: Name
    slots: Total
    events: Total
    seed: Total
    fingerprint: Name
    questions: Name
    strategies: dict[str, dict[words.Operation, Figures]]
    times: dict[str, TimeFigure] = {}
