"""Advice: the search, the trial of the best few, and the choice among those that were measured whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import fmean

from slotlookup.questions import Questions
from slotlookup.registry import parse_spec
from slotlookup.vocabulary import Count, Operation

from ..measure.run_options import Report
from ..results.mix import Mix
from ..results.ranking import DecidedBy, Entry, cheapest
from ..results.statistics import Interval, median, median_interval, ratio_interval
from .measuring import HOPELESS, Measured
from .search import Change, Combine, Limits, Predicted, Setting, changed_by, finalists, pareto, predict, within
from .space import Space

SEARCHED = 0.4
"""The share of the whole that the parts of all traces take."""
TOO_MUCH_WORK = f"not timed: over {HOPELESS} times the lines and slots of the best in its role"
MeasureParts = Callable[[Space, Questions, Report], Measured]
MeasureWhole = Callable[[Sequence[str], Questions, Report], Measured]


class Reason(StrEnum):
    """What decided for the choice."""

    TIME = DecidedBy.TIME.value
    COUNTS = DecidedBy.COUNTS.value
    NOW = "now"
    """Time and counts do not distinguish the cheapest from the present strategy, which therefore stays."""
    MEMORY = "memory"
    """Time and counts do not decide; of those tied, the choice takes the fewest bytes per slot."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A workload or trace with its questions and the mix under which costs are added."""

    name: str
    workload: Mapping[str, object]
    questions: Questions
    mix: Mix


@dataclass(frozen=True, slots=True)
class Outcome:
    """A strategy measured whole on one trace: nanoseconds per event, and the sum of its parts.

    `ratio` is to the present strategy, `regret` the share by which it costs more than the cheapest one there. Both are
    None if there is no such figure, and `predicted` if the strategy is no combination of measured parts.
    """

    cost: Interval
    ratio: Interval | None
    regret: float | None
    predicted: float | None
    update_ns: float

    @property
    def error(self) -> float | None:
        """The share by which the prediction differs from the measured cost."""
        return None if self.predicted is None else self.predicted / self.cost.median - 1


@dataclass(frozen=True, slots=True)
class Trial:
    """A strategy that was built and measured whole, with its outcome on each trace.

    `refused` is the reason why it cannot be the choice; "" if it can.
    """

    strategy: str
    outcomes: tuple[Outcome, ...]
    bytes_per_slot: float | None
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    """The result. `trials` are in order of cost; the present strategy is one of them.

    `combinations` are those that the target permits, `compared` those of known cost, `permitted` those within the
    limits. `front` are the permitted ones that nothing surpasses in predicted cost, memory and changes together.
    `changes` has for each trace the share of slot changes that would change the answer.
    """

    subjects: tuple[Subject, ...]
    now: str
    combinations: int
    compared: int
    permitted: int
    trials: tuple[Trial, ...]
    choice: str | None
    reason: Reason | None
    tied: tuple[str, ...]
    noise: float
    front: tuple[Predicted, ...] = ()
    changes: tuple[Change | None, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def chosen(self) -> Trial | None:
        """The trial of the choice."""
        return next((trial for trial in self.trials if trial.strategy == self.choice), None)

    @property
    def prediction_error(self) -> float | None:
        """The median share by which predictions differ from measured costs, whatever the sign; None without any."""
        errors = [abs(o.error) for trial in self.trials for o in trial.outcomes if o.error is not None]
        return median(errors) if errors else None


def advise(
    subjects: Sequence[Subject],
    space: Space,
    limits: Limits,
    now: str,
    now_permitted: str,
    measure_parts: MeasureParts,
    measure_whole: MeasureWhole,
    report: Report,
    combine: Combine = fmean,
) -> Advice:
    """Search `space`, try the best few whole, and choose. `now_permitted` is why the target forbids `now`, or ""."""
    share = 1 / len(subjects)
    parts: list[Measured] = []
    for i, subject in enumerate(subjects):

        def tell_parts(what: str, part: float, at: int = i) -> None:
            report(what, SEARCHED * (at + part) * share)

        parts.append(measure_parts(space, subject.questions, tell_parts))
    settings = [Setting(s.name, s.mix, m.medians()) for s, m in zip(subjects, parts, strict=True)]
    compared = predict(space, settings, combine)
    permitted = within(compared, limits)
    chosen = finalists(permitted)
    present = str(parse_spec(now))
    texts = [*(text for one in chosen if (text := str(one.spec)) != present), now]
    wholes: list[Measured] = []
    for i, subject in enumerate(subjects):

        def tell_whole(what: str, part: float, at: int = i) -> None:
            report(what, SEARCHED + (1 - SEARCHED) * (at + part) * share)

        wholes.append(measure_whole(texts, subject.questions, tell_whole))
    left_out = {text: TOO_MUCH_WORK for found in parts for text in found.hopeless}
    left_out |= {text: why for found in (*parts, *wholes) for text, why in found.faults.items()}
    predictions = {str(one.spec): one.costs for one in compared}
    costs = [_costs(subject, whole, texts) for subject, whole in zip(subjects, wholes, strict=True)]
    sound = [text for text in texts if all(text in found for found in costs)]
    trials = [_trial(text, costs, wholes, predictions, now, limits, now_permitted) for text in sound]
    eligible = [trial for trial in trials if not trial.refused]
    trials = _with_regret(trials, eligible)
    noise = max(whole.noise(subject.mix) for subject, whole in zip(subjects, wholes, strict=True))
    entries = [_entry(trial, subjects, wholes, costs, now, combine) for trial in eligible]
    name, reason, tied = _choice(entries, {t.strategy: t.bytes_per_slot for t in eligible}, noise, now)
    by_spec = {str(one.spec): one for one in compared}
    answer = None if name is None else by_spec.get(str(parse_spec(name)))
    order = {entry.name: median(entry.samples) for entry in entries}
    return Advice(
        tuple(subjects),
        now,
        sum(1 for _ in space.combinations()),
        len(compared),
        len(permitted),
        tuple(sorted(trials, key=lambda trial: (order.get(trial.strategy, float("inf")), trial.strategy))),
        name,
        reason,
        tied,
        noise,
        tuple(pareto(permitted)),
        tuple(changed_by(answer, permitted, s.mix, i) if answer else None for i, s in enumerate(subjects)),
        left_out,
    )


def _costs(subject: Subject, whole: Measured, texts: Sequence[str]) -> dict[str, list[float]]:
    """Nanoseconds per event by strategy, one sample per process; only strategies with figures in all roles."""
    found: dict[str, list[float]] = {}
    for text in texts:
        series: dict[str, Sequence[float]] = {role: whole.samples.get(role, {}).get(text, []) for role in Operation}
        samples = subject.mix.costs(series)
        if samples and text not in whole.faults:
            found[text] = samples
    return found


def _trial(
    text: str,
    costs: Sequence[Mapping[str, list[float]]],
    wholes: Sequence[Measured],
    predictions: Mapping[str, tuple[float, ...]],
    now: str,
    limits: Limits,
    now_permitted: str,
) -> Trial:
    outcomes = []
    for i, (of_trace, whole) in enumerate(zip(costs, wholes, strict=True)):
        predicted = predictions.get(str(parse_spec(text)))
        outcomes.append(
            Outcome(
                median_interval(of_trace[text]),
                _ratio(of_trace[text], of_trace.get(now, [])),
                None,
                None if predicted is None else predicted[i],
                median(whole.samples[Operation.UPDATE][text]),
            )
        )
    sizes = [whole.bytes_per_slot.get(text) for whole in wholes]
    size = None if None in sizes else max(one for one in sizes if one is not None)
    update = max(one.update_ns for one in outcomes)
    refused = now_permitted if text == now else ""
    if not refused and not limits.permits(size, update):
        refused = "beyond the limits, measured whole"
    return Trial(text, tuple(outcomes), size, refused)


def _ratio(samples: Sequence[float], base: Sequence[float]) -> Interval | None:
    common = min(len(samples), len(base))
    if not common or min(*samples, *base) <= 0:
        return None
    return ratio_interval(samples[:common], base[:common])


def _with_regret(trials: Sequence[Trial], eligible: Sequence[Trial]) -> list[Trial]:
    """The trials with what each costs more than the cheapest eligible one, on each trace."""
    if not eligible:
        return list(trials)
    best = [min(trial.outcomes[i].cost.median for trial in eligible) for i in range(len(eligible[0].outcomes))]
    return [
        Trial(
            trial.strategy,
            tuple(
                Outcome(o.cost, o.ratio, o.cost.median / least - 1 if least > 0 else None, o.predicted, o.update_ns)
                for o, least in zip(trial.outcomes, best, strict=True)
            ),
            trial.bytes_per_slot,
            trial.refused,
        )
        for trial in trials
    ]


def _entry(
    trial: Trial,
    subjects: Sequence[Subject],
    wholes: Sequence[Measured],
    costs: Sequence[Mapping[str, list[float]]],
    now: str,
    combine: Combine,
) -> Entry:
    """A trial for the ranking. Its samples combine its costs on all traces, in units of the present strategy's."""
    relative: list[list[float]] = []
    for of_trace in costs:
        base = median(of_trace[now]) if now in of_trace else 1.0
        relative.append([sample / base for sample in of_trace[trial.strategy]])
    samples = [combine(values) for values in zip(*relative, strict=False)]
    return Entry(
        trial.strategy,
        samples,
        _count(trial.strategy, Count.LINES, subjects, wholes),
        _count(trial.strategy, Count.SLOTS_EXAMINED, subjects, wholes),
    )


def _count(text: str, count: Count, subjects: Sequence[Subject], wholes: Sequence[Measured]) -> float | None:
    """The mean over the traces of a count per event; None if it is unknown in one."""
    found: list[float] = []
    for subject, whole in zip(subjects, wholes, strict=True):
        roles = whole.counts.get(text, {})
        mean = subject.mix.cost({role: getattr(figures, count) for role, figures in roles.items()})
        if mean is None:
            return None
        found.append(mean)
    return sum(found) / len(found)


def _choice(
    entries: Sequence[Entry], sizes: Mapping[str, float | None], noise: float, now: str
) -> tuple[str | None, Reason | None, tuple[str, ...]]:
    """The choice, what decided for it, and all that time does not distinguish from the cheapest."""
    found = cheapest(entries, noise)
    if found is None:
        return None, None, ()
    if found.winner is not None:
        return found.winner, Reason(found.by.value), found.tied
    if now in found.tied:
        return now, Reason.NOW, found.tied
    least = min(found.tied, key=lambda name: (sizes[name] is None, sizes[name] or 0.0, name))
    return least, Reason.MEMORY, found.tied
