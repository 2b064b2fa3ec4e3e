"""A history as series of comparable runs, and what changed from each run to the next.

Runs are comparable if they have the same questions and options on the same machine: only then do their figures differ
because of the code. Other runs are another series, and what separates the two is named.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from slotlookup.structure import Family
from slotlookup.vocabulary import Count, Operation, TimingMode

from ..results.compare import EFFECT, MACHINE_KEYS, Change, Shift, TimeChange, blocks_apart
from ..results.verdict import enumerated, significant
from .entries import Entry, KeptRow

MOST_NAMED = 6
"""The number of changes that a sentence names; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Step:
    """From one run to the next of a series. `changes` are in words; `timed` says whether both were timed."""

    before: Entry
    after: Entry
    changes: Sequence[str]
    timed: bool

    @property
    def sentence(self) -> str:
        """What changed."""
        where = f"{self.before.label} → {self.after.label}"
        if not self.changes:
            rest = "no time beyond noise and effect" if self.timed else "nothing was timed"
            return f"{where}: no count, no row and no state changed; {rest}."
        more = len(self.changes) - MOST_NAMED
        named = list(self.changes) if more <= 1 else [*self.changes[:MOST_NAMED], f"{more} more changes"]
        return f"{where}: {'; '.join(named)}."


@dataclass(frozen=True, slots=True)
class Series:
    """Comparable runs by date. `apart` says how this series differs from the first of the history."""

    entries: Sequence[Entry]
    apart: str

    @property
    def title(self) -> str:
        """The workload and the machine."""
        first = self.entries[0]
        return f"{first.workload['name']}, {first.workload['slots']:,} slots, on {first.machine['cpu']}"

    def steps(self, effect: float = EFFECT) -> Iterator[Step]:
        """The changes from each run to the next; `effect` is the smallest share by which times must differ."""
        for before, after in zip(self.entries, self.entries[1:], strict=False):
            timed = not (before.options["counts_only"] or after.options["counts_only"])
            yield Step(before, after, list(_changes(before, after, effect)), timed)


def series_of(entries: Sequence[Entry]) -> list[Series]:
    """The series of a history, in the order of their first runs."""
    grouped: dict[str, list[Entry]] = {}
    for entry in entries:
        grouped.setdefault(json.dumps(_conditions(entry), sort_keys=True), []).append(entry)
    first = next(iter(grouped.values()))[0]
    return [Series(found, _apart(first, found[0])) for found in grouped.values()]


def _conditions(entry: Entry) -> dict[str, Any]:
    """All that must be the same for figures to be comparable, by its name."""
    workload, options = entry.workload, entry.options
    machine = {name: entry.machine.get(key) for key, name in MACHINE_KEYS.items()}
    return {
        "workload": f"{workload['name']}, {workload['slots']:,} slots, {workload['events']:,} events",
        "fingerprint": workload["fingerprint"],
        "seed": workload["seed"],
        "displaced bytes": options["displaced"],
        "placement": options["placement"],
        "stride": options["stride"],
        "reference": entry.references,
        **{f"origin of the {role} questions": workload["origin"][role] for role in Operation},
        **machine,
    }


def _apart(first: Entry, other: Entry) -> str:
    old, new = _conditions(first), _conditions(other)
    if old["workload"] != new["workload"]:  # all else about the questions follows from that
        new |= {key: old[key] for key in old if key == "fingerprint" or key.startswith("origin")}
    return "; ".join(f"another {name}: {new[name]}, not {old[name]}" for name in old if old[name] != new[name])


def _changes(before: Entry, after: Entry, effect: float) -> Iterator[str]:
    if before.machine.get("python") != after.machine.get("python"):
        yield f"Python {before.machine.get('python')}, then {after.machine.get('python')}"
    for role in Operation:
        old, new = before.rows[role], after.rows[role]
        for words, names in (("no longer there", old.keys() - new.keys()), ("new", new.keys() - old.keys())):
            if names:
                yield f"{role.plural}, {words}: {enumerated(sorted(names))}"
        for name in (name for name in new if name in old):
            for words in _row_changes(old[name], new[name], before, after, role, name, effect):
                yield f"{role.plural}, {name}: {words}"


def _row_changes(
    old: KeptRow, new: KeptRow, before: Entry, after: Entry, role: str, name: str, effect: float
) -> Iterator[str]:
    if old.uses != new.uses:
        yield f"uses {new.uses}, not {old.uses}"
    if (old.state, old.reason) != (new.state, new.reason):
        yield f"{_state(old)}, then {_state(new)}"
        return
    if old.operations != new.operations:
        yield f"{new.operations:,} operations, not {old.operations:,}, so its figures are not compared"
        return
    for count in Count:
        change = Change(old.counts.get(count), new.counts.get(count))
        if change.changed:
            yield f"{count.words} {significant(change.old, 4)} → {significant(change.new, 4)}"
    same_python = before.machine.get("python") == after.machine.get("python")
    if old.family != Family.NATIVE and not same_python:
        yield "times are of another Python and not compared"
        return
    for mode in TimingMode:
        if mode in old.ns and mode in new.ns:
            found = _time_change(old, new, mode, _least(before, after, role, mode, effect), after, name)
            if found.verdict is not None:
                ratio = "" if found.ns.ratio is None else f" by {found.ns.ratio:.2f}"
                yield f"{found.verdict}{ratio} ({mode.unit})"
        elif mode in old.ns or mode in new.ns:
            yield f"{mode.unit}: only {'the earlier' if mode in old.ns else 'the later'} run has it"


def _state(row: KeptRow) -> str:
    return row.state if row.reason is None else f"{row.state} ({row.reason})"


def _least(before: Entry, after: Entry, role: str, mode: str, effect: float) -> float:
    return max(effect, *(entry.noise.get(role, {}).get(mode, 0.0) for entry in (before, after)))


def _time_change(old: KeptRow, new: KeptRow, mode: str, least: float, after: Entry, name: str) -> TimeChange:
    then, now = old.ns[mode], new.ns[mode]
    apart = blocks_apart(then.samples, now.samples)
    ratio = None
    if name not in after.references.values() and then.ratio is not None and now.ratio is not None:
        ratio = Shift(then.ratio.interval(), now.ratio.interval(), least, apart)
    return TimeChange(Shift(then.interval(), now.interval(), least, apart), ratio)


def overview(found: Sequence[Series]) -> list[str]:
    """One sentence per series after the first: why it is apart."""
    return [f"{one.title} is a series of its own: {one.apart}." for one in found if one.apart]
