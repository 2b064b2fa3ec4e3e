"""A check's outcome as text and as JSON: changed figures, figures that could not be compared, and the verdict."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .judge import Outcome, Row, Verdict

SCHEMA_VERSION = 1
ORDER = (Verdict.REGRESSION, Verdict.NOISY, Verdict.TOLERATED, Verdict.CHEAPER, Verdict.SAME)
"""From the most to the least important."""
STYLES = {
    Verdict.REGRESSION: "bold red",
    Verdict.NOISY: "yellow",
    Verdict.TOLERATED: "yellow",
    Verdict.CHEAPER: "green",
}
HEADINGS = ("workload", "strategy", "role", "figure", "baseline", "now", "change", "verdict")
UPDATE = "`slotlookup check --update`"


def by_severity(outcome: Outcome) -> list[Row]:
    """All rows, the worst first; rows of one verdict in their order."""
    return sorted(outcome.rows, key=lambda row: ORDER.index(row.verdict))


def moved(outcome: Outcome) -> list[Row]:
    """The rows that changed, the worst first."""
    return [row for row in by_severity(outcome) if row.verdict is not Verdict.SAME]


def change_text(row: Row) -> str:
    """The change in percent; a nonzero change that is too small to show is marked as such."""
    change = row.change
    if change is None:
        return "from 0"
    text = f"{change:+.2f} %"
    if change and abs(change) < 0.005:
        return "under +0.01 %" if change > 0 else "under -0.01 %"
    return text


def cells(row: Row) -> tuple[str, ...]:
    """A row's cells under HEADINGS."""
    if row.against is None:
        then, now = f"{row.baseline:,.0f}", f"{row.now:,.0f}"
        figure = row.metric
    else:
        interval = row.interval
        then, figure = f"{row.baseline:.3f}", f"{row.metric} against {row.against}"
        now = "n/a" if interval is None else f"{row.now:.3f}"
        if interval is not None and interval.low is not None and interval.high is not None:
            now += f" [{interval.low:.3f}, {interval.high:.3f}]"
    verdict = row.verdict.value
    if row.tolerance and row.verdict in (Verdict.TOLERATED, Verdict.REGRESSION):
        verdict += f" ({row.tolerance:g} %)"
    return row.workload, row.strategy, row.role, figure, then, now, change_text(row), verdict


def describe(row: Row) -> str:
    """A row in words."""
    workload, strategy, role, figure, then, now, change, verdict = cells(row)
    return f"{strategy} on {workload}, {role} {figure}: {then} in the baseline, {now} now, {change}: {verdict}"


def sentences(outcome: Outcome) -> Iterator[str]:
    """The result of the check in sentences, the worst first."""
    for fault in outcome.faults:
        yield f"{fault.where} has wrong answers: {fault.message}"
    worse, noisy = outcome.of(Verdict.REGRESSION), outcome.of(Verdict.NOISY)
    tolerated, cheaper = outcome.of(Verdict.TOLERATED), outcome.of(Verdict.CHEAPER)
    if worse:
        yield f"{_figures(len(worse), len(outcome.rows))} above the limit of {outcome.baseline}."
    for problem in outcome.problems:
        yield f"Not compared: {problem.message}."
    if noisy:
        yield f"{_figures(len(noisy), len(outcome.rows))} too noisy to decide; they do not fail the check."
    if tolerated:
        yield f"{_figures(len(tolerated), len(outcome.rows))} higher, within the tolerances."
    if cheaper:
        yield stale_sentence(outcome)
    if outcome.rows and not (worse or noisy or tolerated or cheaper):
        yield f"All {len(outcome.rows):,} compared figures equal {outcome.baseline}."
    yield from outcome.notes


def stale_sentence(outcome: Outcome) -> str:
    """The advice for improved figures."""
    return (
        f"{_figures(len(outcome.of(Verdict.CHEAPER)), len(outcome.rows))} lower: {outcome.baseline} is out of date; "
        f"{UPDATE} stores the improvements, so that a later loss of them is detected."
    )


def _figures(some: int, of: int) -> str:
    return f"{some:,} of {of:,} figures {'is' if some == 1 else 'are'}"


def print_table(outcome: Outcome, console: Console) -> None:
    """The changed figures, for a terminal."""
    rows = moved(outcome)
    if rows:
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for i, heading in enumerate(HEADINGS):
            table.add_column(heading, justify="right" if 4 <= i <= 6 else "left", overflow="fold")
        for row in rows:
            *others, verdict = cells(row)
            table.add_row(*(Text(cell) for cell in others), Text(verdict, style=STYLES.get(row.verdict, "")))
        console.print(table)
    for sentence in sentences(outcome):
        console.print(Text(sentence), soft_wrap=True)


def markdown(outcome: Outcome, limit: int | None = None) -> str:
    """The full outcome: changed figures, then all. Beyond `limit` bytes, whole rows are left out at the end."""
    code = outcome.exit_code
    head = [f"### slotlookup check: {outcome.verdict}", ""]
    head += [f"- {markdown_text(sentence)}" for sentence in sentences(outcome)]
    shown, rest = moved(outcome), outcome.of(Verdict.SAME)
    lines = [*head, "", *(_markdown_table(shown) if shown else [])]
    if rest:
        # GitHub reads Markdown inside details only after an empty line.
        lines += ["", "<details><summary>Unchanged figures</summary>", "", *_markdown_table(rest)]
    closing = ["", "</details>"] if rest else []
    text = "\n".join([*lines, *closing, ""])
    if limit is None or len(text.encode()) <= limit:
        return text
    cut = f"Truncated; `slotlookup check --format json` prints everything. Exit code {code}."
    # Without <details>, so that truncation leaves no element open.
    lines = [*head, "", *_markdown_table(by_severity(outcome))]
    room = limit - len(f"\n\n{cut}\n".encode())
    kept: list[str] = []
    for line in lines:
        room -= len(line.encode()) + 1
        if room < 0:
            break
        kept.append(line)
    return "\n".join([*kept, "", cut, ""]) if kept else ""


def _markdown_table(rows: list[Row]) -> list[str]:
    align = ["---:" if 4 <= i <= 6 else "---" for i in range(len(HEADINGS))]
    lines = [f"| {' | '.join(HEADINGS)} |", f"| {' | '.join(align)} |"]
    for row in rows:
        texts = [markdown_text(cell) for cell in cells(row)]
        if row.verdict is Verdict.REGRESSION:
            texts[-1] = f"**{texts[-1]}**"
        lines.append(f"| {' | '.join(texts)} |")
    return lines


_MARKDOWN = {ord(c): f"\\{c}" for c in "\\`*_[]#~"} | {ord(c): f"&#{ord(c)};" for c in "<>|&@"}
"""Characters with a meaning in Markdown; | would end a cell, and @ would notify users."""


def markdown_text(text: str) -> str:
    """Text that Markdown shows unchanged, on one line."""
    return " ".join(text.translate(_MARKDOWN).split())


def to_json(outcome: Outcome, updated: bool = False) -> str:
    """Everything, as JSON."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "verdict": outcome.verdict,
        "exit_code": outcome.exit_code,
        "baseline": outcome.baseline,
        "updated": updated,
        "stale": bool(outcome.of(Verdict.CHEAPER)),
        "faults": [{"workload": f.workload, "strategy": f.strategy, "message": f.message} for f in outcome.faults],
        "problems": [
            {"message": p.message, "workload": p.workload, "strategy": p.strategy, "role": p.role}
            for p in outcome.problems
        ],
        "counts": [_json_row(row) for row in outcome.rows if row.against is None],
        "times": [_json_row(row) for row in outcome.rows if row.against is not None],
        "notes": outcome.notes,
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _json_row(row: Row) -> dict[str, Any]:
    common = {"workload": row.workload, "strategy": row.strategy, "role": row.role}
    judged = {"change_percent": row.change, "tolerance_percent": row.tolerance, "verdict": row.verdict.value}
    if row.against is None:
        count = {"metric": row.metric, "operations": row.operations, "baseline": row.baseline, "now": row.now}
        return {**common, **count, **judged}
    interval = row.interval
    time = {
        "mode": row.metric,
        "against": row.against,
        "baseline": row.baseline,
        "now": None if interval is None else interval.as_json(),
    }
    return {**common, **time, **judged, "change_percent": None if interval is None else row.change}
