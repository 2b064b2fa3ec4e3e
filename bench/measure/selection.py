"""The trace and the strategies of a command.

Every command that replays a trace uses this module, so that the same arguments mean the same trace and the same
strategies everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from slotlookup.errors import UsageError
from slotlookup.memslots import Memslot, by_number, follow
from slotlookup.model.outcome import Outcome
from slotlookup.model.scenario import Scenario
from slotlookup.registry import (
    describe,
    describe_available,
    family_of,
    find_workload,
    names_a_trace,
    strategy_names,
    workloads,
)
from slotlookup.structure import Family
from slotlookup.trace import Trace, read_trace
from slotlookup.workload import Origin

from .default_set import default_set

REFERENCES = {Family.NATIVE: "linear", Family.PYTHON: "py-linear"}
"""The strategy of each family to which the others' times are ratios."""

SUBSTITUTES = ("kvm-5.17", "interval-tree")
"""The native references where the usual one was not run further: Linux's own, then its structure for visits."""


@dataclass(frozen=True)
class Selection:
    """A trace, the seed of its random draws, the strategies that replay it, and the reason for each one left out.

    `parameters` are those with which the trace was requested: `slots`, `events` and `memory`, None if not given.
    """

    trace: Trace
    seed: int
    strategies: tuple[str, ...]
    parameters: Mapping[str, int | None]
    left_out: Mapping[str, str] = field(default_factory=dict)
    outcome: Outcome | None = None
    """What a modelled workload cost its guest and its host."""

    @property
    def workload(self) -> dict[str, object]:
        """The workload as `describe_workload` describes it."""
        return describe_workload(self.trace, most_slots(self.trace), self.seed, self.parameters, self.outcome)


def select(
    workload: str,
    asked: Sequence[str],
    seed: int,
    *,
    slots: int | None = None,
    events: int | None = None,
    memory: int | None = None,
    every: bool = False,
) -> Selection:
    """The trace of `workload` and the strategies `asked`; if none are given, those of the default set.

    With `every`, they are instead all in the registry. Those that cannot hold the trace's slots are left out.

    Raises SpecError, before the trace is built, for a strategy that cannot be made, and UsageError for the workload.
    """
    require_available(asked)
    trace, outcome = load_with_outcome(workload, slots, events, seed, memory)
    parameters = {"slots": slots, "events": events, "memory": memory}
    if asked:
        return Selection(trace, seed, tuple(asked), parameters, outcome=outcome)
    default = all_strategies() if every else default_set()
    left_out = unfit(trace, default)
    fit = tuple(name for name in default if name not in left_out)
    return Selection(trace, seed, fit, parameters, left_out, outcome)


def require_available(texts: Iterable[str]) -> None:
    """Raise SpecError for the first strategy that does not exist or lacks something on this machine."""
    for text in texts:
        describe_available(text)


def load_trace(name: str, slots: int | None, events: int | None, seed: int, memory: int | None = None) -> Trace:
    """The trace of a workload's name or of a file. A name that is a path or ends in .parquet is a file."""
    return load_with_outcome(name, slots, events, seed, memory)[0]


def load_with_outcome(
    name: str, slots: int | None, events: int | None, seed: int, memory: int | None = None
) -> tuple[Trace, Outcome | None]:
    """The trace as from `load_trace`; and of a modelled workload, what it cost its guest and its host."""
    if not name.strip():
        raise UsageError("the name of the workload is empty; `slotlookup workloads` lists them")
    workload = workloads().get(name)
    if isinstance(workload, Scenario):
        return workload.build_with_outcome(slots=slots, events=events, seed=seed, memory=memory)
    if memory is not None:
        raise UsageError(f"{name}: only modelled workloads have guest memory; remove --memory")
    if workload is None and (names_a_trace(name) or Path(name).exists()):
        return _read_trace(name, slots, events), None
    return find_workload(name).build(slots=slots, events=events, seed=seed), None


def _read_trace(name: str, slots: int | None, events: int | None) -> Trace:
    if slots is not None:
        raise UsageError(f"{name}: a recorded trace has fixed slots; remove --slots")
    trace = read_trace(Path(name))
    if events is not None and events < len(trace.events):
        trace = replace(trace, events=trace.events[:events])
    return trace


def require_sizable(name: str) -> None:
    """Raise UsageError if the workload does not exist or its number of slots is fixed."""
    known = workloads()
    able = next(
        workload.name for workload in known.values() if workload.sizable and workload.origin is Origin.SYNTHETIC
    )
    remedy = f"use one that `slotlookup workloads` lists with any number of slots, such as {able}"
    if names_a_trace(name):
        raise UsageError(f"{name}: a trace has fixed slots and cannot be swept; {remedy}")
    if not find_workload(name).sizable:
        raise UsageError(f"workload '{name}' has {known[name].slots} slots and no other number; {remedy}")


def describe_workload(
    trace: Trace, slots: int, seed: int, parameters: Mapping[str, int | None], outcome: Outcome | None = None
) -> dict[str, object]:
    """The description of a workload in a result."""
    return {
        "name": trace.name,
        "slots": slots,
        "events": len(trace.events),
        "seed": seed,
        "fingerprint": trace.fingerprint,
        "parameters": dict(parameters),
        "outcome": None if outcome is None else outcome.as_json(),
    }


def most_slots(trace: Trace) -> int:
    """The maximum number of slots at one time."""
    held = by_number(trace.start)
    most = len(held)
    for change in trace.changes:
        follow(held, change)
        most = max(most, len(held))
    return most


def all_strategies() -> tuple[str, ...]:
    """Every strategy in the registry, the references first."""
    names = strategy_names()
    first = [reference for reference in REFERENCES.values() if reference in names]
    return tuple(dict.fromkeys([*first, *names]))


def native_strategies() -> tuple[str, ...]:
    """The native ones of `all_strategies`: the default of a check."""
    return tuple(name for name in all_strategies() if family_of(name) is Family.NATIVE)


def unfit(trace: Trace, texts: Iterable[str]) -> dict[str, str]:
    """Those of the strategies `texts` that cannot replay `trace` on this machine, each with the reason."""
    why: dict[str, str] = {}
    held: list[Memslot] = [*trace.start, *(change.slot for change in trace.changes)]
    for text in texts:
        described = describe(text)
        if described.missing:
            why[text] = described.missing
        elif refusal := described.refusal(held):
            why[text] = f"cannot hold all slots: {refusal}"
    return why
