"""Results in other people's formats: CSV for spreadsheets and data frames, Markdown for pull requests.

CSV is wide, one row a strategy and role, the shape in which the tables are read and a data frame filters. A figure that
is not known or was not measured is an empty field; void rows keep their name and their fault and have no figures.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from slotlookup.errors import UsageError
from slotlookup.structure import Family
from slotlookup.vocabulary import Count, Operation, TimingMode

from .model import RoleResult, RunResult, StrategyResult, write_text
from .statistics import Interval
from .verdict import closing_sentence, significant

RUN_COLUMNS = ("date", "cpu", "workload", "slots", "events", "seed", "fingerprint", "displaced", "placement")
ROW_COLUMNS = ("strategy", "family", "spec", "verified", "fault", "note", "bytes_per_slot", "role", "operations")
TIME_COLUMNS = ("ns", "ns_low", "ns_high", "ratio", "ratio_low", "ratio_high")
"""Of each timing, prefixed with its name: `throughput_hot_ns` and so on. The ratio is to the family's reference."""
CSV_COLUMNS = (
    *RUN_COLUMNS,
    *ROW_COLUMNS,
    *Count,
    *(f"{mode}_{column}" for mode in TimingMode for column in TIME_COLUMNS),
)


def check_export_path(path: Path) -> None:
    """Raises UsageError where `path` does not end in .csv or .md, or its folder does not exist."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path}: results are exported as {' or '.join(FORMATS)}; give a name that ends in one")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: no such directory; {path.name} needs one that exists")


def write_export(path: Path, runs: Sequence[RunResult]) -> None:
    """Write `runs` to `path` in the format of its ending. Raises UsageError as `check_export_path`, or on writing."""
    check_export_path(path)
    write_text(path, FORMATS[path.suffix.lower()](runs))


def to_csv(runs: Sequence[RunResult]) -> str:
    """All runs as one CSV text with CSV_COLUMNS as its first line; figures in full precision."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for run in runs:
        of_run = {**run.workload, **run.machine, **run.options, "workload": run.workload["name"]}
        for row in run.results:
            for role in Operation:
                writer.writerow([of_run.get(c) for c in RUN_COLUMNS] + _csv_row(row, role))
    return text.getvalue()


def _csv_row(row: StrategyResult, role: str) -> list[Any]:
    result = row.roles.get(role) if row.verified else None
    size = row.bytes_per_slot if row.verified else None
    verified = "true" if row.verified else "false"
    cells: list[Any] = [row.strategy, row.family, row.spec, verified, row.fault, row.note, size, role]
    cells += [getattr(result, name) if result else None for name in ("operations", *Count)]
    for mode in TimingMode:
        timing = result.ns.get(mode) if result else None
        for interval in (timing.interval, timing.ratio) if timing else (None, None):
            cells += [interval.median, interval.low, interval.high] if interval else [None] * 3
    return cells


def to_markdown(runs: Sequence[RunResult]) -> str:
    """All runs as GitHub tables: one a role and family, since families are never ranked together."""
    return "\n".join(_run_markdown(run) for run in runs)


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A GitHub table, its first `left` columns aligned left and the others right. Cells are escaped."""
    marks = [":---" if i < left else "---:" for i in range(len(headings))]
    lines = [[escape(h) for h in headings], marks, *([escape(cell) for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


_SPECIAL = re.compile(r"[\\`*<|~]|\](?=[(\[])|(?<!\w)_|_(?!\w)")
"""What Markdown would take for markup. Underscores within words and brackets that link nothing stay readable."""


def escape(text: str) -> str:
    """Text as one line that Markdown leaves as it is, in a table's cell too."""
    return " ".join(_SPECIAL.sub(r"\\\g<0>", text).split())


def _run_markdown(run: RunResult) -> str:
    workload, machine = run.workload, run.machine
    parts = [
        f"### {escape(workload['name'])}: {workload['slots']:,} slots, {workload['events']:,} events\n",
        f"Seed {workload['seed']}, fingerprint {workload['fingerprint']}. {escape(str(machine['cpu']))}, "
        f"Linux {escape(str(machine['kernel']))}, {escape(str(machine['compiler']))}, {machine['date']}.\n",
    ]
    for role in Operation:
        for family in Family:
            rows = [row for row in run.results if row.family == family]
            if rows:
                parts.append(f"**{role.plural}**, {family}{_asked(run, rows, role)}\n")
                parts.append(_role_markdown(rows, role))
    remarks = [f"- **{escape(r.strategy)} is void:** {escape(r.fault or '')}\n" for r in run.results if not r.verified]
    remarks += [f"- {escape(r.strategy)}: {escape(r.note)}.\n" for r in run.results if r.verified and r.note]
    if remarks:
        parts.append("".join(remarks))
    parts.append(f"{escape(closing_sentence(run))}\n")
    return "\n".join(parts)


def _asked(run: RunResult, rows: Sequence[StrategyResult], role: str) -> str:
    """What of the role the table covers."""
    first = next((row.roles[role] for row in rows if row.verified and role in row.roles), None)
    if first is None:
        return ": nothing to show"
    text = f": {first.operations:,} operations, {escape(run.workload['origin'][role])}"
    if any(result.ns for row in rows if (result := row.roles.get(role))):
        text += f"; ratio to {escape(run.references[rows[0].family])}"
    return text


def _role_markdown(rows: Sequence[StrategyResult], role: str) -> str:
    """A family's table in one role, with the timings that were taken."""
    results = [row.roles.get(role) if row.verified else None for row in rows]
    modes = [mode for mode in TimingMode if any(result and mode in result.ns for result in results)]
    headings = ["strategy", *Count, "bytes per slot"]
    for mode in modes:
        headings += [f"{mode} ns", "ratio"]
    table: list[list[str]] = []
    for row, result in zip(rows, results, strict=True):
        if result is None:
            table.append([row.strategy, *["void" if not row.verified else "n/a"] * (len(headings) - 1)])
            continue
        figures = [*(getattr(result, name) for name in Count), row.bytes_per_slot]
        cells = [row.strategy, *(significant(figure) for figure in figures)]
        for mode in modes:
            cells += _time_cells(result, mode)
        table.append(cells)
    return markdown_table(headings, table)


def _time_cells(result: RoleResult, mode: str) -> list[str]:
    timing = result.ns.get(mode)
    if timing is None:
        return ["n/a", "n/a"]
    return [with_span(timing.interval), with_span(timing.ratio) if timing.ratio else "n/a"]


def with_span(interval: Interval) -> str:
    """`median [low, high]`, or what stands for the interval where there were too few samples."""
    if interval.low is None or interval.high is None:
        return f"{significant(interval.median)} [too few]"
    return f"{significant(interval.median)} [{significant(interval.low)}, {significant(interval.high)}]"


FORMATS: dict[str, Callable[[Sequence[RunResult]], str]] = {".csv": to_csv, ".md": to_markdown}
