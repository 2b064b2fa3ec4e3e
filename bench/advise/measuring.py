"""Measures parts and whole combinations: every answer is checked, every operation counted and timed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

from slotlookup.errors import BrokenStrategy
from slotlookup.questions import Questions
from slotlookup.registry import describe_available, parse_spec
from slotlookup.structure import Family
from slotlookup.vocabulary import Operation, TimingMode

from ..measure.counting import Counts, count
from ..measure.passes import Key, Plan, Readings, readings, time_pass
from ..measure.processes import TimingProcesses
from ..measure.rows import Contender
from ..measure.run_options import Report, RunOptions
from ..measure.runner import measure_size
from ..measure.selection import REFERENCES
from ..measure.tasks import TASKS, operations_limit
from ..measure.timing import CONTROL, Samples
from ..results.mix import Mix
from ..results.model import RoleResult
from ..results.statistics import median, noise, ratio_interval
from .space import MEMORY, Space, parts_of

PROBED = 1_024
"""Operations of each role that every part answers before any is timed."""
HOPELESS = 30
"""A part that touches this many times the lines of the best in its role, and examines as many times the slots, is not
timed."""


@dataclass(slots=True)
class Measured:
    """`samples` are nanoseconds per operation by role and spec; samples at one place in the lists are pairs.

    `faults` are those that cannot take part, each with the reason. `identical` are by role the samples of the same
    strategy, timed twice in rotation with the others.
    """

    samples: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    bytes_per_slot: dict[str, float] = field(default_factory=dict)
    counts: dict[str, dict[str, RoleResult]] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    hopeless: list[str] = field(default_factory=list)
    identical: dict[str, tuple[Sequence[float], Sequence[float]]] = field(default_factory=dict)

    def medians(self) -> dict[str, dict[str, float]]:
        """The median of each series, and the bytes per slot as MEMORY."""
        times = {role: {text: median(one) for text, one in found.items()} for role, found in self.samples.items()}
        return {**times, MEMORY: dict(self.bytes_per_slot)}

    def noise(self, mix: Mix) -> float:
        """The share by which the costs of identical work under `mix` differed; 0 if it was not timed twice."""
        first, second = (mix.costs({role: pair[i] for role, pair in self.identical.items()}) for i in (0, 1))
        return noise(ratio_interval(first, second)) if first and min(*first, *second) > 0 else 0.0


def measure_parts(
    space: Space, questions: Questions, options: RunOptions, left_out: Iterable[str], report: Report
) -> Measured:
    """The figures of every part of `space`, each timed once, in this process. `left_out` are structures."""
    found = Measured()
    texts = _part_texts(space, set(left_out))
    steps = sum(map(len, texts.values()))
    done = 0
    for role, asked in texts.items():
        counted: dict[str, RoleResult] = {}
        limit = min(PROBED, operations_limit(role, space.family, questions))
        task = TASKS[role](questions, limit, options.make)
        for text in asked:
            report(f"counting {role}", 0.4 * done / steps)
            done += 1
            try:
                counted[text] = task.count(text)
                if role == Operation.UPDATE and text not in found.bytes_per_slot:
                    _take_size(found, text, questions, options)
            except (BrokenStrategy, AssertionError) as error:
                found.faults[text] = str(error) or type(error).__name__
        cut = _hopeless(counted) if role != Operation.UPDATE else set()
        found.hopeless += sorted(cut)
        texts[role] = [text for text in asked if text in counted and text not in cut]
    plan = Plan(questions, replace(options, processes=1), _by_key(space.family, texts))
    times = time_pass(plan, lambda what, share: report(what, 0.4 + 0.6 * share), {})
    _take_times(found, [times], options.timings[0])
    return found


def measure_whole(
    texts: Sequence[str],
    questions: Questions,
    options: RunOptions,
    report: Report,
    processes: TimingProcesses | None = None,
) -> Measured:
    """The figures of whole strategies, timed in rotation, in new processes if `options` wants several."""
    found = Measured()
    counts: Counts = count(questions, texts, options.make)
    found.counts, found.faults = counts.roles, dict(counts.faults)
    sound = [text for text in texts if text not in counts.faults]
    for text in sound:
        _take_size(found, text, questions, options)
    families = {family: [t for t in sound if describe_available(t).family is family] for family in Family}
    by_key: dict[tuple[Family, str], tuple[str, ...]] = {}
    for family, members in families.items():
        if members:
            by_key |= _by_key(family, dict.fromkeys(TASKS, members))
    plan = Plan(questions, options, by_key)
    several: AbstractContextManager[TimingProcesses | None] = (
        TimingProcesses(options.processes) if options.processes > 1 and processes is None else nullcontext(processes)
    )
    with several as timing:
        times = timing.time(plan, report) if timing is not None else [time_pass(plan, report, {})]
    _take_times(found, times, options.timings[0])
    return found


def _part_texts(space: Space, left_out: set[str]) -> dict[str, list[str]]:
    """The specs to measure in each role, each once."""
    found: dict[str, dict[str, None]] = {role: {} for role in Operation}
    for spec in space.combinations():
        if left_out & {spec.gfn, spec.hva}:
            continue
        for role, parts in parts_of(spec, space.base).items():
            if role != MEMORY:
                found[role].update((text, None) for text, _ in parts)
    return {role: list(texts) for role, texts in found.items()}


def _by_key(family: Family, texts: Mapping[str, Sequence[str]]) -> dict[tuple[Family, str], tuple[str, ...]]:
    return {(family, role): tuple(asked) for role, asked in texts.items() if asked}


def _take_size(found: Measured, text: str, questions: Questions, options: RunOptions) -> None:
    described = describe_available(text)
    size = measure_size(Contender(text, parse_spec(text), described.family), questions, options).bytes_per_slot
    if size is not None:
        found.bytes_per_slot[text] = size


def _hopeless(counted: Mapping[str, RoleResult]) -> set[str]:
    """The specs that HOPELESS excludes; none whose counts are unknown."""
    known = {
        text: (one.lines, one.slots_examined)
        for text, one in counted.items()
        if one.lines is not None and one.slots_examined is not None
    }
    if not known:
        return set()
    lines = HOPELESS * max(min(lines for lines, _ in known.values()), 1.0)
    slots = HOPELESS * max(min(slots for _, slots in known.values()), 1.0)
    return {text for text, (of_lines, of_slots) in known.items() if of_lines > lines and of_slots > slots}


def _take_times(found: Measured, passes: Sequence[Mapping[Key, Samples]], mode: TimingMode) -> None:
    for times in passes:
        for samples in times.values():
            found.faults |= samples.faults
    for key in passes[0]:
        family, role, timed = key
        if timed != mode and family is Family.NATIVE:
            continue
        read: Readings = readings([times[key] for times in passes if key in times], cold=mode.cold)
        of_role = found.samples.setdefault(role, {})
        of_role |= {text: values for text, values in read.net.items() if text not in found.faults}
        reference = REFERENCES[family]
        if CONTROL in read.net and reference in read.net:
            found.identical[role] = (read.net[CONTROL], read.net[reference])
