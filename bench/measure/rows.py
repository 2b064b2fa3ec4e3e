"""The rows of a run: in each role, one row for all strategies that run the same code (`StrategySpec.serving`).

One strategy of a row is counted and timed for all of them. The answers of each are checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

from slotlookup.registry import presets
from slotlookup.spec import StrategySpec
from slotlookup.structure import Family
from slotlookup.vocabulary import Operation

from ..results.model import Figures, Row, State, StrategyResult


@dataclass(slots=True)
class Contender:
    """A strategy of the run and its state so far. `text` is its name or spec as given.

    `absent` is the reason why it cannot take part, and `fault` the wrong answer or failure.
    """

    text: str
    spec: StrategySpec
    family: Family
    note: str = ""
    fault: str | None = None
    absent: str | None = None

    @property
    def sound(self) -> bool:
        """Whether it takes part and has answered right so far."""
        return self.fault is None and self.absent is None

    @property
    def state(self) -> State:
        """As results have it."""
        if self.absent is not None:
            return State.ABSENT
        return State.VERIFIED if self.fault is None else State.VOID


@dataclass(slots=True)
class Group(Generic[Figures]):
    """The contenders of one family that `uses` serves in one role; `figures` are those of `measured`.

    If the row is `cut`, it was not run further, for that reason; `at_least_ns` is then a lower bound per operation.
    """

    uses: str
    members: list[Contender]
    measured: Contender | None = None
    figures: Figures | None = None
    cut: str | None = None
    at_least_ns: float | None = None

    def choice(self) -> Contender | None:
        """The sound member to measure, if any. It gives the row its name.

        A structure without options keeps its own name. Longer combinations have a preset's name if there is one.
        """
        sound = [member for member in self.members if member.sound]
        plain = not ({",", "+"} & set(self.uses))
        return min(
            sound, key=lambda member: (member.text != self.uses, (member.text in presets()) is plain), default=None
        )

    def row(self) -> Row[Figures]:
        """The row, in the state of the contender that was measured."""
        present = [member for member in self.members if member.absent is None] or self.members
        shown = self.measured or present[0]
        cut = self.cut if shown.sound else None
        return Row(
            name=shown.text if shown.text in presets() else self.uses,
            uses=self.uses,
            family=str(shown.family),
            strategies=tuple(member.text for member in present),
            measured_in=None if shown.absent is not None else shown.text,
            state=shown.state if cut is None else State.CUT,
            reason=shown.absent or shown.fault or cut,
            figures=self.figures if shown.sound else None,
            at_least_ns=None if cut is None else self.at_least_ns,
        )


def groups(contenders: Sequence[Contender], role: str) -> list[Group[Figures]]:
    """The contenders grouped by what serves them in a role, native ones first, absent ones last."""
    found: dict[tuple[Family, str], list[Contender]] = {}
    in_order = sorted(contenders, key=lambda one: (list(Family).index(one.family), one.absent is not None))
    for contender in in_order:
        found.setdefault((contender.family, contender.spec.serving(role)), []).append(contender)
    return [Group(uses, members) for (_, uses), members in found.items()]


def strategy_results(
    contenders: Sequence[Contender], roles: Mapping[str, Sequence[Group[Figures]]]
) -> tuple[StrategyResult, ...]:
    """The strategies in the order given, each with the names of its rows."""
    names = {role: {m.text: group.row().name for group in roles[role] for m in group.members} for role in Operation}
    return tuple(
        StrategyResult(
            one.text,
            str(one.spec),
            str(one.family),
            {role: names[role][one.text] for role in Operation},
            one.note,
            one.state,
            one.absent or one.fault,
        )
        for one in contenders
    )
