"""The summary of a run: which strategy is cheapest for the workload's own mix, and which in each role.

It is calculated from the other parts of a result, so a reader of a saved result calculates it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slotlookup.structure import Family
from slotlookup.vocabulary import RANKED, Count, Operation

from .mix import Mix, Weight
from .model import RoleResult, Row, RunResult, State
from .ranking import Cheapest, DecidedBy, Entry, cheapest, in_order, ranks
from .statistics import Interval, median_interval, ratio_interval
from .verdict import enumerated, significant

ALL = "all"
"""The key of the whole mix, next to those of the roles."""
NAMED = 3
"""The number of tied strategies that a sentence names; the rest are counted."""
REMEDY = "To distinguish them, repeat with --rigorous, or with --cpu N on one processor."


@dataclass(frozen=True, slots=True)
class Ranked:
    """Strategies that the same rows serve in every role of the mix, and their cost.

    Costs are in nanoseconds per event, which is milliseconds per million events. `rank` is None without times; those of
    equal rank are tied. `own` is the cost of the trace's own events alone, None if none are derived. `at_least` is a
    lower bound of the cost of strategies that were not run further.
    """

    strategies: tuple[str, ...]
    rank: int | None = None
    cost: Interval | None = None
    ratio: Interval | None = None
    own: Interval | None = None
    lines: float | None = None
    slots_examined: float | None = None
    at_least: float | None = None

    def as_json(self) -> dict[str, Any]:
        """All keys."""

        def form(interval: Interval | None) -> Any:
            return None if interval is None else interval.as_json()

        return {
            "strategies": list(self.strategies),
            "rank": self.rank,
            "cost": form(self.cost),
            "ratio": form(self.ratio),
            "own_cost": form(self.own),
            "lines": self.lines,
            str(Count.SLOTS_EXAMINED): self.slots_examined,
            "at_least": self.at_least,
        }


@dataclass(frozen=True, slots=True)
class Summary:
    """The ranking of one family under the mix, and the cheapest in all and in each role; None for a role without rows.

    `noise` is the share by which the cost of identical work differed.
    """

    family: Family | None
    mix: Mix
    noise: float
    ranking: tuple[Ranked, ...]
    cheapest: Mapping[str, Cheapest | None]
    sentences: tuple[str, str]

    @property
    def places(self) -> tuple[str, ...]:
        """The rank of each of the ranking in words, with "=" where several are tied; "" without times."""
        of_all = [one.rank for one in self.ranking]
        return tuple("" if rank is None else f"{rank}{'=' if of_all.count(rank) > 1 else ''}" for rank in of_all)

    def as_json(self) -> dict[str, Any]:
        """All keys."""
        return {
            "family": None if self.family is None else str(self.family),
            "noise": self.noise,
            "ranking": [one.as_json() for one in self.ranking],
            "cheapest": {
                key: None if one is None else {"winner": one.winner, "tied": list(one.tied), "by": str(one.by)}
                for key, one in self.cheapest.items()
            },
            "sentences": list(self.sentences),
        }


def mix_in(run: RunResult) -> Mix:
    """The mix under which a run is summarised: the given weights, or those of the workload's events."""
    weights = {Operation(role): Weight(**weight) for role, weight in run.workload["mix"].items()}
    mix = Mix(weights)
    given = run.options["mix"]
    return mix if given is None else mix.weighted({Operation(role): weight for role, weight in given.items()})


def mix_words(mix: Mix) -> str:
    """The mix in words; derived roles say so."""
    parts = []
    for role in mix.roles:
        derived = " (derived)" if mix.weights[role].derived else ""
        parts.append(f"{_percent(mix.share(role))} {role.plural}{derived}")
    return f"{'given ' if mix.given else ''}mix: {', '.join(parts)}"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share in (0, 1) or 0.0995 <= share < 0.995 else f"{float(f'{100 * share:.2g}'):g}%"


def summarise(run: RunResult) -> Summary:
    """The summary of a run: of its native strategies if any answered right, else of its Python ones."""
    mix = mix_in(run)
    sound = {one.family for one in run.strategies if one.state is State.VERIFIED}
    family = next((family for family in Family if family in sound), None)
    if family is None:
        words = ("No strategy answered correctly, so none is named the cheapest.", "")
        return Summary(None, mix, 0.0, (), dict.fromkeys((ALL, *Operation)), words)
    rows = {role: {row.name: row for row in run.roles[role] if row.family == family} for role in Operation}
    noise = {role: run.noise(family, role, RANKED) for role in Operation}
    of_mix = _noise_of_mix(mix, rows, run.references[family], noise)
    ranking = _ranking(run, mix, family, rows, of_mix)
    found: dict[str, Cheapest | None] = {
        ALL: cheapest([entry for entry, _ in ranking if entry is not None], of_mix),
        **{
            role: cheapest([_entry(row) for row in rows[role].values() if row.verified], noise[role])
            for role in Operation
        },
    }
    sentences = (
        _in_all([ranked for _, ranked in ranking], found[ALL], run, family, of_mix),
        _by_role(rows, found, run, family, mix),
    )
    return Summary(family, mix, of_mix, tuple(ranked for _, ranked in ranking), found, sentences)


_Rows = Mapping[Operation, Mapping[str, Row[RoleResult]]]


def _samples(row: Row[RoleResult] | None) -> Sequence[float]:
    if row is None or row.figures is None or RANKED not in row.figures.ns:
        return ()
    return row.figures.ns[RANKED].samples


def _entry(row: Row[RoleResult]) -> Entry:
    figures = row.figures
    return Entry(
        row.name,
        _samples(row),
        None if figures is None else figures.lines,
        None if figures is None else figures.slots_examined,
    )


def _noise_of_mix(mix: Mix, rows: _Rows, reference: str, noise: Mapping[Operation, float]) -> float:
    """The noise of the roles, weighted by what each costs the reference."""
    cost = dict.fromkeys(mix.roles, 0.0)
    for role in mix.roles:
        row = rows[role].get(reference)
        if row is not None and row.figures is not None and RANKED in row.figures.ns:
            cost[role] = mix.share(role) * row.figures.ns[RANKED].interval.median
    whole = sum(cost.values())
    if not whole > 0:
        return max((noise[role] for role in mix.roles), default=0.0)
    return sum(cost[role] * noise[role] for role in mix.roles) / whole


def _ranking(run: RunResult, mix: Mix, family: Family, rows: _Rows, noise: float) -> list[tuple[Entry | None, Ranked]]:
    """The strategies in order, those that the same rows serve together; those that were not run further last."""
    grouped: dict[tuple[str, ...], list[str]] = {}
    for one in run.strategies:
        if one.family == family and one.state is State.VERIFIED:
            grouped.setdefault(tuple(one.rows[role] for role in mix.roles), []).append(one.strategy)
    served = {
        tuple(members): {role: rows[role].get(name) for role, name in zip(mix.roles, names, strict=True)}
        for names, members in grouped.items()
    }
    whole = {members: _entry_of_mix(members, mix, by_role) for members, by_role in served.items()}
    base = next((one.samples for members, one in whole.items() if one and run.references[family] in members), ())
    found: list[tuple[Entry | None, Ranked]] = []
    ordered = in_order([entry for entry in whole.values() if entry is not None])
    places = ranks([entry for entry in ordered if entry.samples], noise)
    members_of = {entry.name: members for members, entry in whole.items() if entry is not None}
    for i, entry in enumerate(ordered):
        members = members_of[entry.name]
        own = mix.own if mix.derived else None
        costs = own.costs({role: _samples(row) for role, row in served[members].items()}) if own else []
        timed = bool(entry.samples)
        found.append(
            (
                entry,
                Ranked(
                    members,
                    places[i] if timed else None,
                    median_interval(entry.samples) if timed else None,
                    ratio_interval(entry.samples, base) if timed and base else None,
                    median_interval(costs) if costs else None,
                    entry.lines,
                    entry.slots_examined,
                ),
            )
        )
    bounds = [Ranked(members, at_least=_bound(mix, served[members])) for members, one in whole.items() if one is None]
    return found + [(None, one) for one in sorted(bounds, key=lambda one: one.at_least or 0.0)]


def _entry_of_mix(
    members: tuple[str, ...], mix: Mix, by_role: Mapping[Operation, Row[RoleResult] | None]
) -> Entry | None:
    """What is compared; None if a role of the mix was not run further, or is void."""
    figures = {role: row.figures for role, row in by_role.items() if row is not None and row.figures is not None}
    if len(figures) < len(mix.roles):
        return None
    return Entry(
        members[0],
        mix.costs({role: _samples(row) for role, row in by_role.items()}),
        mix.cost({role: one.lines for role, one in figures.items()}),
        mix.cost({role: one.slots_examined for role, one in figures.items()}),
    )


def _bound(mix: Mix, by_role: Mapping[Operation, Row[RoleResult] | None]) -> float:
    """The least that an event costs, by the roles that were not run further and the times of the others."""
    least = 0.0
    for role, row in by_role.items():
        if row is None:
            continue
        if row.at_least_ns is not None:
            least += mix.share(role) * row.at_least_ns
        elif row.figures is not None and RANKED in row.figures.ns:
            least += mix.share(role) * row.figures.ns[RANKED].interval.median
    return least


def _list(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return enumerated(list(names) if more <= 1 else [*names[:NAMED], f"{more} others"])


def _in_all(ranking: Sequence[Ranked], found: Cheapest | None, run: RunResult, family: Family, noise: float) -> str:
    if found is None:
        return "No strategy was run to the end in every role, so none is named the cheapest in all."
    first = next(one for one in ranking if found.tied[0] in one.strategies)
    if found.by is DecidedBy.TIME and first.cost is not None:
        words = f"Cheapest in all: {found.winner}, {significant(first.cost.median)} ms per million events"
        if first.ratio is not None and run.references[family] not in first.strategies:
            words += f", {first.ratio.median:.2f} of {run.references[family]}"
        return f"{words}."
    if first.cost is None:
        if found.winner is None:
            return "In all, counts decide nothing: no strategy has both the fewest lines and the fewest slots examined."
        return f"In all, by lines and slots examined: {found.winner}. Nothing was timed."
    why = f"they differ by less than the noise ({noise:.0%})"
    if first.cost.low is None:
        why = "there are too few processes for an interval"
    words = f"In all, {_list(found.tied)} are tied: {why}"
    if found.winner is not None:
        words += f"; {found.winner} is the cheapest of them by lines and slots examined"
    return f"{words}. {REMEDY}"


def _by_role(rows: _Rows, found: Mapping[str, Cheapest | None], run: RunResult, family: Family, mix: Mix) -> str:
    parts: list[str] = []
    for role in Operation:
        one = found[role]
        if one is None:
            continue
        derived = " (derived)" if role in mix.weights and mix.weights[role].derived else ""
        row = rows[role][one.tied[0]]
        timing = row.figures.ns.get(RANKED) if row.figures is not None else None
        if timing is None:
            words = f"{one.winner} by lines and slots examined" if one.winner else "counts decide nothing"
        else:
            words = (
                f"{_list(one.tied)}{' tied' if len(one.tied) > 1 else ''} at {significant(timing.interval.median)} ns"
            )
            if one.by is DecidedBy.COUNTS:
                words += f", {one.winner} by counts"
        parts.append(f"{role.plural}{derived}: {words}")
    return f"Cheapest in each role: {'; '.join(parts)}." if parts else ""
