"""Advice as a screen, as Markdown and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from slotlookup.vocabulary import Operation

from ..results.export import escape, markdown_table, with_span
from ..results.summary import mix_words
from ..results.verdict import enumerated, significant
from .advice import Advice, Reason, Subject, Trial
from .search import Predicted

SCHEMA_VERSION = 1
SHOWN = 8
"""Members of the front that are printed; JSON has all."""
WHY = {
    Reason.TIME: "by time",
    Reason.COUNTS: "by counts; time does not distinguish it from the next",
    Reason.NOW: "as today: neither time nor counts distinguish it from the cheapest",
    Reason.MEMORY: "by memory: neither time nor counts distinguish the cheapest",
}


def sentences(advice: Advice) -> list[str]:
    """The choice, its cost next to the present strategy's, the prediction's error, and what would change the answer."""
    chosen = advice.chosen
    if chosen is None or advice.reason is None:
        return ["No combination that was measured whole is permitted; relax --max-bytes-per-slot or --max-update-ns."]
    found = [f"Choice, {WHY[advice.reason]}: {chosen.strategy}"]
    ratios = [
        f"{with_span(outcome.ratio)} on {subject.name}"
        for subject, outcome in zip(advice.subjects, chosen.outcomes, strict=True)
        if outcome.ratio is not None
    ]
    if chosen.strategy == advice.now:
        found.append("It is the present strategy.")
    elif ratios:
        found.append(f"Its cost as a ratio to {advice.now}: {enumerated(ratios)}.")
    if len(advice.tied) > 1:
        found.append(
            f"Time does not distinguish the {len(advice.tied)} strategies marked as tied: identical work differs by "
            f"{advice.noise:.0%}. --rigorous measures five times as long."
        )
    if advice.prediction_error is not None:
        found.append(f"The sums of parts differ from the measured wholes by {advice.prediction_error:.1%} (median).")
    for subject, change in zip(advice.subjects, advice.changes, strict=True):
        where = f"{subject.name} (now {subject.mix.share(Operation.UPDATE):.2%})"
        if change is None:
            found.append(f"No share of slot changes would change the answer on {where}, by the sums of parts.")
        else:
            found.append(
                f"From a share of slot changes of {change.share:.2%} on, {change.spec} would cost less on {where}, "
                "by the sums of parts."
            )
    return found


def _summary_line(advice: Advice) -> str:
    return (
        f"{advice.combinations:,} combinations; the costs of {advice.compared:,} are known from their parts; "
        f"{advice.permitted:,} are within the limits; {len(advice.trials)} strategies were measured whole"
    )


TRIAL_HEADINGS = ("strategy", "ns per event", "ratio", "regret", "sum of parts", "bytes per slot", "ns per change")
FRONT_HEADINGS = ("combination", *("ns per event", "bytes per slot", "ns per change"))


def _trial_cells(trial: Trial, at: int, advice: Advice) -> list[str]:
    outcome = trial.outcomes[at]
    predicted = "n/a"
    if outcome.predicted is not None and outcome.error is not None:
        predicted = f"{significant(outcome.predicted)} ({outcome.error:+.0%})"
    tied = len(advice.tied) > 1 and trial.strategy in advice.tied
    notes = [("choice", trial.strategy == advice.choice), ("now", trial.strategy == advice.now), ("tied", tied)]
    words = [note for note, holds in notes if holds] + ([trial.refused] if trial.refused else [])
    return [
        " ".join([trial.strategy, *(f"({word})" for word in words)]),
        with_span(outcome.cost),
        "n/a" if outcome.ratio is None else with_span(outcome.ratio),
        "n/a" if outcome.regret is None else f"{outcome.regret:.1%}",
        predicted,
        significant(trial.bytes_per_slot),
        significant(outcome.update_ns),
    ]


def _front_cells(one: Predicted) -> list[str]:
    costs = " / ".join(map(significant, one.costs))
    return [str(one.spec), costs, significant(one.bytes_per_slot), significant(one.update_ns)]


def _subject_line(subject: Subject) -> str:
    slots, events = subject.workload["slots"], subject.workload["events"]
    return f"{subject.name}: {slots} slots, {events} events; {mix_words(subject.mix)}"


def print_advice(advice: Advice, console: Console) -> None:
    """Print the choice, the trials on each trace, and the front."""
    for line in sentences(advice):
        console.print(Text(line))
    console.print()
    for i, subject in enumerate(advice.subjects):
        console.print(Text(_subject_line(subject)))
        _print_table(TRIAL_HEADINGS, [_trial_cells(trial, i, advice) for trial in advice.trials], console)
    front = advice.front[:SHOWN]
    console.print(
        Text(f"Pareto front of cost, memory and changes by the sums of parts ({len(front)} of {len(advice.front)}):")
    )
    _print_table(FRONT_HEADINGS, [_front_cells(one) for one in front], console)
    console.print(Text(f"{_summary_line(advice)}."))
    for text, why in advice.left_out.items():
        console.print(Text(f"left out: {text}: {why}"))


def _print_table(headings: tuple[str, ...], rows: list[list[str]], console: Console) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="right" if i else "left", no_wrap=not i)
    for row in rows:
        # A spec breaks between its keys, a figure before what belongs to it.
        table.add_row(
            Text(row[0].replace(",", ",\n").replace(" (", "\n(")),
            *(Text(cell.replace(" [", "\n[").replace(" (", "\n(")) for cell in row[1:]),
        )
    console.print(table)


def to_markdown(advice: Advice, command: str, machine: Mapping[str, object]) -> str:
    """The same as GitHub tables, with the machine and the command."""
    parts = [
        f"{escape(str(machine['cpu']))}, Linux {escape(str(machine['kernel']))}, {machine['date']}: `{command}`\n",
        "".join(f"- {escape(line)}\n" for line in sentences(advice)),
    ]
    for i, subject in enumerate(advice.subjects):
        parts.append(f"**{escape(_subject_line(subject))}**\n")
        parts.append(markdown_table(TRIAL_HEADINGS, [_trial_cells(trial, i, advice) for trial in advice.trials]))
    parts.append(f"**Pareto front by the sums of parts** ({_summary_line(advice)})\n")
    parts.append(markdown_table(FRONT_HEADINGS, [_front_cells(one) for one in advice.front]))
    return "\n".join(parts)


def to_json(advice: Advice, options: Mapping[str, object], machine: Mapping[str, object]) -> str:
    """The published form."""
    return json.dumps(as_json(advice, options, machine), indent=2, allow_nan=False) + "\n"


def as_json(advice: Advice, options: Mapping[str, object], machine: Mapping[str, object]) -> dict[str, Any]:
    """All keys, null where there is no figure."""
    return {
        "schema_version": SCHEMA_VERSION,
        "machine": dict(machine),
        "options": dict(options),
        "workloads": [
            {
                **subject.workload,
                "mix": {role: subject.mix.share(role) for role in Operation},
                "derived": subject.mix.derived,
            }
            for subject in advice.subjects
        ],
        "choice": advice.choice,
        "reason": advice.reason,
        "tied": list(advice.tied),
        "noise": advice.noise,
        "now": advice.now,
        "prediction_error": advice.prediction_error,
        "combinations": {
            "permitted_by_target": advice.combinations,
            "known": advice.compared,
            "within_limits": advice.permitted,
        },
        "trials": [
            {
                "strategy": trial.strategy,
                "bytes_per_slot": trial.bytes_per_slot,
                "refused": trial.refused,
                "workloads": [
                    {
                        "ns_per_event": outcome.cost.as_json(),
                        "ratio": None if outcome.ratio is None else outcome.ratio.as_json(),
                        "regret": outcome.regret,
                        "predicted": outcome.predicted,
                        "error": outcome.error,
                        "update_ns": outcome.update_ns,
                    }
                    for outcome in trial.outcomes
                ],
            }
            for trial in advice.trials
        ],
        "front": [
            {
                "spec": str(one.spec),
                "ns_per_event": list(one.costs),
                "bytes_per_slot": one.bytes_per_slot,
                "update_ns": one.update_ns,
            }
            for one in advice.front
        ],
        "changes": [
            None if change is None else {"update_share": change.share, "spec": str(change.spec)}
            for change in advice.changes
        ],
        "left_out": dict(advice.left_out),
    }
