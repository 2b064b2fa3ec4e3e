"""A run: one workload through many strategies, each answer checked, each operation counted and timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TypeVar

import numpy as np

from slotlookup.errors import BrokenStrategy, UsageError, present
from slotlookup.memslots import ChangeKind
from slotlookup.questions import Questions, questions_of
from slotlookup.registry import describe, describe_available, make_strategy
from slotlookup.strategy import Strategy
from slotlookup.structure import Family
from slotlookup.trace import Trace
from slotlookup.vocabulary import TimingMode

from ..results.mix import mix_of
from ..results.model import Figures, RoleResult, RunResult, SetupResult, Timing
from ..results.statistics import Interval, median_interval, ratio_interval
from .hopeless import cut_hopeless
from .machine import describe_machine
from .passes import SETUP, Key, Plan, Readings, loaded, readings, time_pass
from .processes import TimingProcesses
from .rows import Contender, Group, groups, strategy_results
from .run_options import Report, RunOptions
from .selection import REFERENCES, SUBSTITUTES
from .tasks import EMPTY, PERFECT, TASKS, Task, make_task
from .timing import CONTROL, Samples

EXAMINED = 0.3
"""The share of a run in which strategies are checked and counted."""
T = TypeVar("T")


@dataclass(slots=True)
class _Findings:
    """The findings so far, by role."""

    groups: dict[str, list[Group[RoleResult]]]
    setup: list[Group[SetupResult]]
    empty: dict[str, dict[str, Interval]] = field(default_factory=dict)
    control: dict[str, dict[str, Interval]] = field(default_factory=dict)
    floor: dict[str, dict[str, Interval]] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    """The roles with questions."""


def run(
    trace: Trace,
    workload: Mapping[str, object],
    texts: Sequence[str],
    options: RunOptions,
    report: Report,
    absent: Mapping[str, str] | None = None,
    processes: TimingProcesses | None = None,
) -> RunResult:
    """Replay `trace` through the strategies `texts`. Wrong answers void a row; they do not raise.

    `workload` describes the workload for the result. `absent` has the strategies that cannot take part, each with the
    reason; their rows have no figures. `processes` are those of `options` if they exist already. Raises SpecError for a
    strategy of `texts` that cannot be made, SlotlookupError if a process that times fails.
    """
    if options.processes > 1 and not options.counts_only and processes is None:
        with TimingProcesses(options.processes) as new:
            return run(trace, workload, texts, options, report, absent, new)
    report("deriving questions", 0.0)
    questions = questions_of(trace, options.seed)
    if not len(questions.gfn) and not len(questions.update):
        raise UsageError(f"{trace.name}: there are no slots and no questions")
    contenders = [_contender(text) for text in dict.fromkeys(texts)]
    contenders += [_contender(text, why) for text, why in (absent or {}).items()]
    findings = _Findings({role: groups(contenders, role) for role in TASKS}, groups(contenders, SETUP))
    held: dict[str, Strategy] = {}
    whole = 1.0 if options.counts_only else EXAMINED
    _examine(contenders, questions, options, findings, held, lambda what, share: report(what, whole * share))
    references = {**REFERENCES, Family.NATIVE: _reference(contenders, findings)}
    if not options.counts_only:
        plan = replace(_plan(contenders, questions, options, findings), references=references)

        def tell(what: str, share: float) -> None:
            report(what, EXAMINED + (1 - EXAMINED) * share)

        measured = processes.time(plan, tell) if processes is not None else [time_pass(plan, tell, held)]
        _take_times(measured, findings, references)
    return RunResult(
        {**workload, "origin": questions.origin, "mix": _mix_as_json(questions)},
        describe_machine(),
        options.stored(),
        {str(family): name for family, name in references.items()},
        strategy_results(contenders, findings.groups),
        {
            role: tuple(g.row() for g in found) if role in findings.asked else ()
            for role, found in findings.groups.items()
        },
        tuple(group.row() for group in findings.setup),
        findings.empty,
        findings.control,
        findings.floor,
    )


def _reference(contenders: Sequence[Contender], findings: _Findings) -> str:
    """The native reference; if it was not run further in a role, the first of SUBSTITUTES and the others that was."""
    cut = {
        member.text for found in findings.groups.values() for group in found if group.cut for member in group.members
    }
    whole = [one.text for one in contenders if one.sound and one.family is Family.NATIVE and one.text not in cut]
    first = REFERENCES[Family.NATIVE]
    if first not in cut:
        return first
    return next((name for name in (*SUBSTITUTES, *whole) if name in whole), first)


def _mix_as_json(questions: Questions) -> dict[str, object]:
    return {str(role): asdict(weight) for role, weight in mix_of(questions).weights.items()}


def _contender(text: str, absent: str | None = None) -> Contender:
    """Raises SpecError for a strategy that does not exist or, unless it is absent, lacks something."""
    described = describe_available(text) if absent is None else describe(text)
    return Contender(text, described.spec, described.family, described.note, absent=absent)


def _of(family: Family, found: Sequence[Group[Figures]]) -> list[Group[Figures]]:
    return [group for group in found if group.members[0].family is family]


def _families(contenders: Sequence[Contender]) -> list[Family]:
    return [family for family in Family if any(one.family is family and one.sound for one in contenders)]


def _examine(
    contenders: Sequence[Contender],
    questions: Questions,
    options: RunOptions,
    findings: _Findings,
    held: dict[str, Strategy],
    report: Report,
) -> None:
    """Check every answer, count every operation, measure every size. `held` receives the strategies loaded for it."""
    families = _families(contenders)
    steps = len(families) * (len(TASKS) + 1)
    for i, family in enumerate(families):
        members = [contender for contender in contenders if contender.family is family]
        for j, role in enumerate((*TASKS, SETUP)):

            def tell(what: str, part: float, at: int = i * (len(TASKS) + 1) + j, role: str = role) -> None:
                report(f"{what} {role}", (at + part) / steps)

            if role == SETUP:
                measure_sizes(_of(family, findings.setup), questions, options, tell)
                continue
            task = make_task(role, family, questions, options.make)
            if not task.operations:
                continue
            findings.asked.add(role)
            found = _of(family, findings.groups[role])
            if not options.complete and family is Family.NATIVE:
                tell("checking", 0.0)
                cut_hopeless(task, found, partial(loaded, held=held))
            hopeless = {member.text for group in found if group.cut for member in group.members}
            for k, member in enumerate(members):
                tell("checking", 0.5 * k / len(members))
                if member.sound and member.text not in hopeless:
                    _guarded(member, partial(_verify, task, member, held))
            for k, group in enumerate(found):
                tell("counting", 0.5 + 0.5 * k / len(found))
                if group.cut is None:
                    _count(task, group)


def _verify(task: Task, member: Contender, held: dict[str, Strategy]) -> None:
    strategy = loaded(task, member.text, held)
    if (strategy.name, strategy.spec) != (member.text, str(member.spec)):
        raise BrokenStrategy(f"{member.text}: what ran is {strategy.name}, {strategy.spec}")
    task.verify(strategy)


def _count(task: Task, group: Group[RoleResult]) -> None:
    """Count the operations of one member for all members, or of the next one if its counting instance answers wrong."""
    while (member := group.choice()) is not None:
        figures = _guarded(member, partial(task.count, member.text))
        if figures is not None:
            group.measured, group.figures = member, figures
            return


def _guarded(member: Contender, work: Callable[[], T]) -> T | None:
    """The result of `work`; None if an answer is wrong, which becomes the member's fault."""
    try:
        return work()
    except (BrokenStrategy, AssertionError) as error:
        member.fault = str(error) or type(error).__name__
    return None


def measure_sizes(
    found: Sequence[Group[SetupResult]], questions: Questions, options: RunOptions, report: Report
) -> None:
    """The size of each combination of structures, and the notes that are known only after a run."""
    for i, group in enumerate(found):
        report("measuring the size of", i / len(found))
        while (member := group.choice()) is not None:
            figures = _guarded(member, partial(measure_size, member, questions, options))
            if figures is not None:
                group.measured, group.figures = member, figures
                for same in group.members:
                    same.note = member.note
                break


def measure_size(member: Contender, questions: Questions, options: RunOptions) -> SetupResult:
    """Bytes per slot at the maximum number of slots of the workload; the changes are replayed up to that moment."""
    strategy = make_strategy(member.text, stride=options.stride, patience=options.patience)
    strategy.load_table(questions.start)
    member.note = strategy.note  # notes that are known only after the run
    loaded = len(questions.start_slots)
    if strategy.bytes() is None:
        return SetupResult(loaded, slot_stride=strategy.stride())
    strategy.apply_table(questions.update[: _changes_to_most_slots(questions)])
    slots, size = len(strategy), strategy.bytes()
    return SetupResult(loaded, size / slots if size is not None and slots else None, slot_stride=strategy.stride())


def _changes_to_most_slots(questions: Questions) -> int:
    """The number of changes until there are most slots for the first time; 0 if that is the start."""
    if questions.update_is_closed:
        return 0
    kinds = questions.update[:, 0]
    more = np.cumsum((kinds == ChangeKind.CREATE).astype(np.int64) - (kinds == ChangeKind.DELETE))
    return int(np.argmax(more)) + 1 if len(more) and more.max() > 0 else 0


def _measured(found: Sequence[Group[Figures]]) -> list[tuple[Contender, Group[Figures]]]:
    """The groups with figures, each with its member that was counted and is to be timed."""
    return [(group.measured, group) for group in found if group.measured is not None and group.measured.sound]


def _plan(contenders: Sequence[Contender], questions: Questions, options: RunOptions, findings: _Findings) -> Plan:
    """What to time: the counted member of every row, and of the set-up if there is anything to load."""
    texts: dict[tuple[Family, str], tuple[str, ...]] = {}
    for family in _families(contenders):
        for role, groups_ in findings.groups.items():
            if role in findings.asked:
                texts[family, role] = tuple(member.text for member, _ in _measured(_of(family, groups_)))
        if questions.start_slots:
            texts[family, SETUP] = tuple(member.text for member, _ in _measured(_of(family, findings.setup)))
    return Plan(questions, options, {key: found for key, found in texts.items() if found})


def _take_times(
    measured: Sequence[Mapping[Key, Samples]], findings: _Findings, references: Mapping[Family, str]
) -> None:
    """Put the times of all passes into the rows. A strategy at fault in any pass is at fault."""
    faults = {text: fault for times in measured for samples in times.values() for text, fault in samples.faults.items()}
    notes = {text: note for times in measured for samples in times.values() for text, note in samples.notes.items()}
    of_roles = [pair for found in findings.groups.values() for pair in _measured(found)]
    for member in [member for member, _ in of_roles] + [member for member, _ in _measured(findings.setup)]:
        member.fault = faults.get(member.text)
        member.note = notes.get(member.text, member.note)
    for key in measured[0]:
        family, role, mode = key
        cold = mode.cold if isinstance(mode, TimingMode) else False
        read = readings([times[key] for times in measured if key in times], cold=cold)
        reference = references[family]
        if role == SETUP:
            for member, group in _measured(_of(family, findings.setup)):
                size = present(group.figures, "the size of what was loaded")
                group.figures = replace(size, ns=_timing(read, member.text, reference, cold=False))
            continue
        for member, rows in _measured(_of(family, findings.groups[role])):
            counted = present(rows.figures, "what was counted")
            rows.figures = replace(counted, ns={**counted.ns, mode: _timing(read, member.text, reference, cold=cold)})
        if EMPTY in read.raw:
            findings.empty.setdefault(role, {})[mode] = median_interval(read.raw[EMPTY])
        if PERFECT in read.net:
            findings.floor.setdefault(role, {})[mode] = median_interval(read.net[PERFECT])
        if CONTROL in read.net and reference in read.net:
            ratio = _timing(read, CONTROL, reference, cold=cold).ratio
            if ratio is not None:
                findings.control.setdefault(role, {})[mode] = ratio


def _timing(read: Readings, text: str, reference: str, *, cold: bool) -> Timing:
    """One strategy's readings as a timing."""
    values, base = read.net[text], read.net.get(reference, [])
    paired = bool(base) and min(values) > 0 and min(base) > 0
    return Timing(
        tuple(values),
        median_interval(values),
        ratio_interval(values, base) if paired else None,
        tuple(read.raw[text]) if cold and EMPTY in read.raw else None,
    )
