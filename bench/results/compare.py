"""Two saved results of the same questions: the changes, and which of them are certain.

Counts are exact, so any difference is a change. Times of two runs are not paired, unlike those within one run: the
state of the machine may have changed. Therefore a time is reported as faster or slower only if the two intervals and
most blocks do not overlap, and the medians differ by a stated share and by more than identical work did within either
run. The reference ran in both runs, so in the ratio to it a slowdown of a whole run cancels: the ratio decides if there
is one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from slotlookup.errors import Incomparable, present
from slotlookup.structure import Family
from slotlookup.vocabulary import Count, Operation, TimingMode

from .model import (
    SCHEMA_VERSION,
    Figures,
    RoleResult,
    Row,
    RunResult,
    SetupResult,
    State,
    StrategyResult,
    Timing,
)
from .statistics import Interval

EFFECT = 0.05
"""The default for the smallest share by which medians of two runs must differ to be reported as different."""
TAIL = 0.1
"""The share of blocks at either end that may overlap with the other run's.

An interval covers the uncertainty of the median within one run. A machine in use changes between states, in different
proportions during two runs: for identical code, the intervals alone reported one ratio in twelve as different, and with
this rule one in 160.
"""
MACHINE_KEYS = {
    "cpu": "CPU",
    "architecture": "architecture",
    "caches": "caches",
    "virtualised": "virtualisation",
    "kernel": "kernel",
    "mitigations": "mitigations",
    "governor": "governor",
    "boost": "boost",
    "compiler": "compiler",
    "flags": "flags",
}
"""The facts, other than questions and tested code, on which times depend; for Python strategies also `python`."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A fact about the environment that differs between the two results."""

    what: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.what} ({_brief(self.old)}, then {_brief(self.new)})"

    def as_json(self) -> dict[str, Any]:
        """`what`, `old`, `new`."""
        return {"what": self.what, "old": self.old, "new": self.new}


@dataclass(frozen=True, slots=True)
class Change:
    """An exact figure in both results; None if unknown."""

    old: float | None
    new: float | None

    @property
    def changed(self) -> bool:
        """Whether the two differ at all."""
        return self.old != self.new

    @property
    def difference(self) -> float | None:
        """The new figure minus the old, if both are known."""
        return None if self.old is None or self.new is None else self.new - self.old

    @property
    def relative(self) -> float | None:
        """The difference as a share of the old figure; None from 0 or if one is unknown."""
        return None if self.difference is None or not self.old else self.difference / self.old

    def as_json(self) -> dict[str, float | None]:
        """Both figures, the difference and its share."""
        return {"old": self.old, "new": self.new, "difference": self.difference, "relative": self.relative}


@dataclass(frozen=True, slots=True)
class Shift:
    """A measured figure in both results.

    `least` is the share by which medians must differ to be reported as different, `blocks_apart` whether the blocks in
    ns, except for the tails, do not overlap.
    """

    old: Interval
    new: Interval
    least: float
    blocks_apart: bool = True

    @property
    def ratio(self) -> float | None:
        """The new median over the old; None if noise made either negative."""
        return self.new.median / self.old.median if self.old.median > 0 and self.new.median > 0 else None

    @property
    def verdict(self) -> str | None:
        """`faster` or `slower` if intervals and blocks do not overlap and medians differ enough; otherwise None."""
        if (
            self.ratio is None
            or not self.blocks_apart
            or self.old.low is None
            or self.old.high is None
            or self.new.low is None
            or self.new.high is None
        ):
            return None
        if self.new.low > self.old.high and self.ratio >= 1 + self.least:
            return "slower"
        if self.new.high < self.old.low and self.old.median / self.new.median >= 1 + self.least:
            return "faster"
        return None

    def as_json(self) -> dict[str, Any]:
        """Both intervals, the ratio of their medians, the criteria, and the verdict."""
        return {
            "old": self.old.as_json(),
            "new": self.new.as_json(),
            "ratio": self.ratio,
            "least": self.least,
            "blocks_apart": self.blocks_apart,
            "verdict": self.verdict,
        }


@dataclass(frozen=True, slots=True)
class TimeChange:
    """A timing in both results, in nanoseconds and as a ratio to the reference (None for the reference itself)."""

    ns: Shift
    to_reference: Shift | None

    @property
    def verdict(self) -> str | None:
        """By the ratio to the reference if there is one, otherwise by nanoseconds."""
        return (self.to_reference or self.ns).verdict

    def as_json(self) -> dict[str, Any]:
        """Both shifts and the verdict."""
        reference = None if self.to_reference is None else self.to_reference.as_json()
        return {"ns": self.ns.as_json(), "to_reference": reference, "verdict": self.verdict}


SETUP = "setup"
"""The key of the set-up's rows next to those of the roles, and the name of their timing."""


@dataclass(frozen=True, slots=True)
class RowChange:
    """A row of a role or of the set-up. Nothing is compared if the numbers of operations differ.

    `state` is like that of a strategy. `uses` and `operations` are None for a result without the row or its figures.
    """

    name: str
    family: str
    state: str
    uses: tuple[str | None, str | None]
    operations: tuple[int | None, int | None] = (None, None)
    counts: Mapping[str, Change] = field(default_factory=dict)
    ns: Mapping[str, TimeChange] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Counts and timings by name, as far as they were compared."""
        return {
            "name": self.name,
            "family": self.family,
            "state": self.state,
            "uses": {"old": self.uses[0], "new": self.uses[1]},
            "operations": {"old": self.operations[0], "new": self.operations[1]},
            "counts": {name: count.as_json() for name, count in self.counts.items()},
            "ns": {mode: time.as_json() for mode, time in self.ns.items()},
        }


@dataclass(frozen=True, slots=True)
class StrategyChange:
    """A strategy. `state` is compared, added, removed, or its states in the two results if it is void or absent."""

    strategy: str
    family: str
    state: str
    spec: tuple[str | None, str | None]

    def as_json(self) -> dict[str, Any]:
        """All keys."""
        return {
            "strategy": self.strategy,
            "family": self.family,
            "state": self.state,
            "spec": {"old": self.spec[0], "new": self.spec[1]},
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """The comparison. `times_left_out` are, by family, the differences that make times incomparable; may be empty.

    `rows` are by role, those of the set-up under SETUP.
    """

    old: RunResult
    new: RunResult
    effect: float
    times_left_out: Mapping[str, Sequence[Difference]]
    strategies: Sequence[StrategyChange]
    rows: Mapping[str, Sequence[RowChange]]
    remarks: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        """The published form."""
        return {
            "schema_version": SCHEMA_VERSION,
            "old": dict(self.old.machine),
            "new": dict(self.new.machine),
            "workload": dict(self.new.workload),
            "effect": self.effect,
            "paired": False,
            "times_left_out": {
                family: [difference.as_json() for difference in differences]
                for family, differences in self.times_left_out.items()
            },
            "remarks": list(self.remarks),
            "strategies": [strategy.as_json() for strategy in self.strategies],
            "rows": {role: [row.as_json() for row in rows] for role, rows in self.rows.items()},
        }


def compare(old: RunResult, new: RunResult, effect: float = EFFECT) -> Comparison:
    """Compare two results. `effect` is the smallest share by which times must differ to be reported as different.

    Raises Incomparable, with the differences, if the two do not have the same questions and options, or if they are the
    same run.
    """
    _require_comparable(old, new)
    left_out = _machine_differences(old, new)
    before, after = ({one.strategy: one for one in run.strategies} for run in (old, new))
    strategies = [_compare_strategies(before.get(name), after.get(name)) for name in dict.fromkeys([*after, *before])]
    rows: dict[str, list[RowChange]] = {
        role: [
            _compare_rows(a, b, role, old, new, effect, left_out) for a, b in _pairs(old.roles[role], new.roles[role])
        ]
        for role in Operation
    }
    rows[SETUP] = [_compare_rows(a, b, SETUP, old, new, effect, left_out) for a, b in _pairs(old.setup, new.setup)]
    return Comparison(old, new, effect, left_out, strategies, rows, _remarks(old, new, strategies, rows))


def _pairs(
    old: Sequence[Row[Figures]], new: Sequence[Row[Figures]]
) -> Iterator[tuple[Row[Figures] | None, Row[Figures] | None]]:
    """Pairs of rows: by name, or by use if only one result has the name. In NEW's order, then the removed ones."""
    left = {row.name: row for row in old}
    named = {row.name for row in new}
    for row in new:
        match = left.pop(row.name, None)
        if match is None:
            alike = (o for o in left.values() if (o.uses, o.family) == (row.uses, row.family) and o.name not in named)
            match = next(alike, None)
            if match is not None:
                del left[match.name]
        yield match, row
    for row in left.values():
        yield row, None


def _require_comparable(old: RunResult, new: RunResult) -> None:
    if old == new:
        raise Incomparable(f"OLD and NEW contain the same run, of {new.machine['date']}: one is a copy of the other")
    asked = [
        Difference("the seed", old.workload["seed"], new.workload["seed"]),
        Difference("the displaced bytes", old.options["displaced"], new.options["displaced"]),
        Difference("the placement", old.options["placement"], new.options["placement"]),
        Difference("the stride of slots", old.options["stride"], new.options["stride"]),
        Difference("the reference", old.references, new.references),
    ]
    asked += [
        Difference(f"the origin of the {role} questions", old.workload["origin"][role], new.workload["origin"][role])
        for role in Operation
    ]
    differ = [str(difference) for difference in asked if difference.old != difference.new]
    if old.workload["fingerprint"] != new.workload["fingerprint"]:
        differ.insert(0, str(Difference("the workload's fingerprint", _named(old), _named(new))))
    if differ:
        raise Incomparable(f"OLD and NEW cannot be compared; they differ in {', '.join(differ)}")


def _named(run: RunResult) -> str:
    """The fingerprint, which decides, and the name, which is easier to read."""
    return f"{run.workload['fingerprint']} of {run.workload['name']}"


def _machine_differences(old: RunResult, new: RunResult) -> dict[str, list[Difference]]:
    def differ(keys: dict[str, str]) -> list[Difference]:
        pairs = [Difference(name, old.machine.get(key), new.machine.get(key)) for key, name in keys.items()]
        return [pair for pair in pairs if pair.old != pair.new]

    found = {
        str(Family.NATIVE): differ(MACHINE_KEYS),
        str(Family.PYTHON): differ({**MACHINE_KEYS, "python": "Python"}),
    }
    return {family: differences for family, differences in found.items() if differences}


def _compare_strategies(old: StrategyResult | None, new: StrategyResult | None) -> StrategyChange:
    one = present(new or old, "the strategy in either result")
    spec = (None if old is None else old.spec, None if new is None else new.spec)
    return StrategyChange(one.strategy, one.family, _state(old, new), spec)


def _compare_rows(
    old: Row[Figures] | None,
    new: Row[Figures] | None,
    role: str,
    old_run: RunResult,
    new_run: RunResult,
    effect: float,
    left_out: Mapping[str, Sequence[Difference]],
) -> RowChange:
    row = present(new or old, "the row in either result")
    uses = (None if old is None else old.uses, None if new is None else new.uses)
    before, after = None if old is None else old.figures, None if new is None else new.figures
    operations = (_operations(before), _operations(after))
    change = RowChange(row.name, row.family, _state(old, new), uses, operations)
    if before is None or after is None or operations[0] != operations[1]:
        return change
    names = ("bytes_per_slot",) if role == SETUP else Count
    counts = {name: Change(getattr(before, name), getattr(after, name)) for name in names}
    times: dict[str, TimeChange] = {}
    if row.family not in left_out:
        is_reference = row.name == new_run.references[row.family]
        then, now = _times(before), _times(after)
        for mode in (*TimingMode, SETUP):
            if mode in then and mode in now:
                least = max(effect, *(run.noise(row.family, role, mode) for run in (old_run, new_run)))
                times[mode] = _compare_times(then[mode], now[mode], least, is_reference)
    return replace(change, counts=counts, ns=times)


def _operations(figures: RoleResult | SetupResult | None) -> int | None:
    if figures is None:
        return None
    return figures.operations if isinstance(figures, RoleResult) else figures.slots


def _times(figures: RoleResult | SetupResult) -> Mapping[str, Timing]:
    if isinstance(figures, RoleResult):
        return figures.ns
    return {} if figures.ns is None else {SETUP: figures.ns}


def _state(old: StrategyResult | Row[Figures] | None, new: StrategyResult | Row[Figures] | None) -> str:
    """Compared, added or removed; otherwise the states in the two results."""
    if old is None or new is None:
        return "added" if old is None else "removed"
    if old.state is new.state:
        return "compared" if old.state is State.VERIFIED else f"{old.state} in both"
    sides = (("OLD", old.state), ("NEW", new.state))
    return ", ".join(f"{state} in {side}" for side, state in sides if state is not State.VERIFIED)


def _compare_times(old: Timing, new: Timing, least: float, is_reference: bool) -> TimeChange:
    apart = blocks_apart(old.samples, new.samples)
    ratio = None
    if not is_reference and old.ratio is not None and new.ratio is not None:
        ratio = Shift(old.ratio, new.ratio, least, apart)
    return TimeChange(Shift(old.interval, new.interval, least, apart), ratio)


def blocks_apart(old: Sequence[float], new: Sequence[float]) -> bool:
    """Whether the samples of the two runs do not overlap, except for a tenth at either end."""
    (old_low, old_high), (new_low, new_high) = (_middle(samples) for samples in (old, new))
    return old_high < new_low or new_high < old_low


def _middle(samples: Sequence[float]) -> tuple[float, float]:
    ordered = sorted(samples)
    left_out = int(len(ordered) * TAIL)
    return ordered[left_out], ordered[-1 - left_out]


def _remarks(
    old: RunResult, new: RunResult, changes: Sequence[StrategyChange], rows: Mapping[str, Sequence[RowChange]]
) -> list[str]:
    """Remarks on the figures."""
    lines: list[str] = []
    if str(old.machine["date"]) > str(new.machine["date"]):  # ISO 8601 in one time zone sorts as time does
        lines.append("OLD was measured after NEW")
    for label, run in (("OLD", old), ("NEW", new)):
        if run.options["counts_only"]:
            lines.append(f"{label} was run with --counts-only and has no times")
        load, cpus = run.machine.get("load"), run.machine.get("cpus")
        if isinstance(load, list) and isinstance(cpus, int) and load[0] > cpus and not run.options["counts_only"]:
            lines.append(f"{label} was measured under a load of {load[0]} on {cpus} CPUs; times are doubtful")
    processes = Difference("number of processes that timed", old.options["processes"], new.options["processes"])
    if processes.old != processes.new and not (old.options["counts_only"] or new.options["counts_only"]):
        lines.append(f"another {processes}; their intervals cover different noise")
    versions = Difference("slotlookup", old.machine.get("slotlookup"), new.machine.get("slotlookup"))
    packages = [
        Difference(name, before, after)
        for name in sorted({*_packages(old), *_packages(new)})
        if (before := _packages(old).get(name)) != (after := _packages(new).get(name))
    ]
    lines += [f"another version of {d}" for d in (versions, *packages) if d.old != d.new]
    for change in changes:
        if None not in change.spec and change.spec[0] != change.spec[1]:
            lines.append(f"{change.strategy} has changed: {change.spec[0]}, then {change.spec[1]}")
    for role, of_role in rows.items():
        for row in of_role:
            asked, then = row.operations
            if asked is not None and then is not None and asked != then:
                lines.append(f"{row.name} answered {asked:,} {role} operations, then {then:,}; not compared")
            if row.name == new.references.get(row.family) and role != SETUP:
                lines += _reference_remarks(role, row)
    return lines


def _reference_remarks(role: str, reference: RowChange) -> list[str]:
    """Remarks for references that changed, which changes all ratios to them."""
    lines: list[str] = []
    if any(count.changed for count in reference.counts.values()):
        lines.append(f"{reference.name}, the reference, does other work in {role}; ratios to it have changed as well")
    moved = [f"{mode} {time.ns.ratio:.2f}" for mode, time in reference.ns.items() if time.ns.verdict is not None]
    if moved:
        lines.append(
            f"{reference.name}, the reference, took other times in {role} ({', '.join(moved)} of its old times): "
            "the machine's state or the reference changed"
        )
    return lines


def _packages(run: RunResult) -> dict[str, str]:
    packages = run.machine.get("packages")
    return packages if isinstance(packages, dict) else {}


def _brief(value: object) -> str:
    """A value for a message: a mapping's parts, or the text."""
    if isinstance(value, dict):
        return "; ".join(f"{key} {part}" for key, part in value.items()) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "not known" if value is None else str(value)
