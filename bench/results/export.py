"""Export of results: CSV for spreadsheets and data frames, Markdown for pull requests.

CSV is wide: one line per row of a role and of the set-up, which is the shape of the tables and is easy to filter in a
data frame. A figure that is unknown or was not measured is an empty field; void and absent rows have their name and
reason, and no figures.
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
from slotlookup.writing import must_be_writable

from .floor import floor_rows
from .model import RoleResult, Row, RunResult, SetupResult, State, Timing
from .order import in_order
from .statistics import Interval
from .summary import Summary, mix_words, summarise
from .verdict import significant, what_rows_are

RUN_COLUMNS = ("date", "cpu", "workload", "slots", "events", "seed", "fingerprint", "displaced", "placement")
ROW_COLUMNS = (
    "role",
    "name",
    "uses",
    "family",
    "strategies",
    "measured_in",
    "state",
    "reason",
    "slot_stride",
    "operations",
)
SETUP = "setup"
"""The value of the column `role` for the set-up, whose operations are the loaded slots."""
TIME_COLUMNS = ("ns", "ns_low", "ns_high", "ratio", "ratio_low", "ratio_high")
"""The columns of each timing, prefixed with its name (`throughput_hot_ns`). The ratio is to the family's reference."""
CSV_COLUMNS = (
    *RUN_COLUMNS,
    *ROW_COLUMNS,
    *Count,
    *(f"{mode}_{column}" for mode in TimingMode for column in TIME_COLUMNS),
    "bytes_per_slot",
    *(f"{SETUP}_{column}" for column in TIME_COLUMNS),
)


def check_export_path(path: Path) -> None:
    """Raises UsageError if `path` does not end in .csv or .md, and InputFileError if it cannot be written."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(
            f"{path}: results are exported as {' or '.join(FORMATS)}; give a name with one of these endings"
        )
    must_be_writable(path)


def exported(path: Path, runs: Sequence[RunResult]) -> str:
    """The text of `runs` in the format of the ending of `path`, which `check_export_path` accepted."""
    return FORMATS[path.suffix.lower()](runs)


def to_csv(runs: Sequence[RunResult]) -> str:
    """All runs as one CSV text with CSV_COLUMNS as its first line; figures in full precision."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for run in runs:
        of_run = {**run.workload, **run.machine, **run.options, "workload": run.workload["name"]}
        first = [of_run.get(column) for column in RUN_COLUMNS]
        for role in Operation:
            for row in (*run.roles[role], *floor_rows(run, role)):
                writer.writerow(first + _row_cells(role, row) + _role_cells(row.figures))
        for setup in run.setup:
            writer.writerow(first + _row_cells(SETUP, setup) + _setup_cells(setup.figures))
    return text.getvalue()


def _row_cells(role: str, row: Row[RoleResult] | Row[SetupResult]) -> list[Any]:
    return [role, row.name, row.uses, row.family, " ".join(row.strategies), row.measured_in, str(row.state), row.reason]


def _role_cells(figures: RoleResult | None) -> list[Any]:
    cells: list[Any] = [getattr(figures, name) if figures else None for name in ("slot_stride", "operations", *Count)]
    for mode in TimingMode:
        cells += _timing_cells(figures.ns.get(mode) if figures else None)
    return cells + [None] * (1 + len(TIME_COLUMNS))


def _setup_cells(figures: SetupResult | None) -> list[Any]:
    cells: list[Any] = [figures.slot_stride, figures.slots] if figures else [None, None]
    cells += [None] * (len(Count) + len(TimingMode) * len(TIME_COLUMNS))
    cells.append(figures.bytes_per_slot if figures else None)
    return cells + _timing_cells(figures.ns if figures else None)


def _timing_cells(timing: Timing | None) -> list[Any]:
    cells: list[Any] = []
    for interval in (timing.interval, timing.ratio) if timing else (None, None):
        cells += [interval.median, interval.low, interval.high] if interval else [None] * 3
    return cells


def to_markdown(runs: Sequence[RunResult]) -> str:
    """All runs as GitHub tables: one per role and family, since families are never ranked together."""
    return "\n".join(_run_markdown(run) for run in runs)


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A GitHub table, its first `left` columns aligned left and the others right. Cells are escaped."""
    marks = [":---" if i < left else "---:" for i in range(len(headings))]
    lines = [[escape(h) for h in headings], marks, *([escape(cell) for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


_SPECIAL = re.compile(r"[\\`*<|~]|\](?=[(\[])|(?<!\w)_|_(?!\w)")
"""Characters that Markdown reads as markup. Underscores within words and brackets without a link stay readable."""


def escape(text: str) -> str:
    """Text as one line that Markdown leaves unchanged, also in a cell of a table."""
    return " ".join(_SPECIAL.sub(r"\\\g<0>", text).split())


def _run_markdown(run: RunResult) -> str:
    workload, machine = run.workload, run.machine
    parts = [
        f"### {escape(workload['name'])}: {workload['slots']:,} slots, {workload['events']:,} events\n",
        f"Seed {workload['seed']}, fingerprint {workload['fingerprint']}. {escape(str(machine['cpu']))}, "
        f"Linux {escape(str(machine['kernel']))}, {escape(str(machine['compiler']))}, {machine['date']}.\n",
    ]
    parts.append(_summary_markdown(run, summarise(run)))
    for role in Operation:
        for family in Family:
            rows = in_order([row for row in (*run.roles[role], *floor_rows(run, role)) if row.family == family], "cost")
            if rows:
                parts.append(f"**{role.plural}**, {family}{_asked(run, rows, role)}\n")
                parts += [_role_markdown(rows), _what_rows_are(rows)]
    for family in Family:
        setup = in_order([row for row in run.setup if row.family == family], "cost")
        if setup:
            parts.append(f"**set-up**, {family}: loading the starting slots\n")
            parts += [_setup_markdown(setup), _what_rows_are(setup)]
    void = [one for one in run.strategies if one.state is State.VOID]
    remarks = [f"- **{escape(one.strategy)} is void:** {escape(one.reason or '')}\n" for one in void]
    noted = [one for one in run.strategies if one.state is State.VERIFIED and one.note]
    remarks += [f"- {escape(one.strategy)}: {escape(one.note)}.\n" for one in noted]
    if remarks:
        parts.append("".join(remarks))
    return "\n".join(part for part in parts if part)


def _summary_markdown(run: RunResult, summary: Summary) -> str:
    """The ranking under the mix, and the two sentences."""
    if not summary.ranking:
        return "".join(f"{escape(sentence)}\n" for sentence in summary.sentences if sentence)
    headings = ["strategy", "rank", "ms per million events", "ratio"]
    headings += ["recorded part alone"] if summary.mix.derived else []
    table: list[list[str]] = []
    for one, place in zip(summary.ranking, summary.places, strict=True):
        own = [with_span(one.own) if one.own else "n/a"] if summary.mix.derived else []
        cost = (
            with_span(one.cost)
            if one.cost
            else "n/a"
            if one.at_least is None
            else f"at least {significant(one.at_least)}"
        )
        ratio = with_span(one.ratio) if one.ratio else "n/a"
        counts = [significant(one.lines), significant(one.slots_examined)]
        table.append([", ".join(one.strategies), place, cost, ratio, *own, *counts])
    headings += ["lines per event", "slots examined per event"]
    sentences = "\n".join(f"{escape(sentence)}\n" for sentence in summary.sentences if sentence)
    return f"**{escape(mix_words(summary.mix))}**\n\n{markdown_table(headings, table)}\n{sentences}"


def _what_rows_are(rows: Sequence[Row[RoleResult] | Row[SetupResult]]) -> str:
    told = what_rows_are((row.name, row.uses, row.strategies) for row in rows if row.state is not State.ABSENT)
    return f"{escape(told)}\n" if told else ""


def _asked(run: RunResult, rows: Sequence[Row[RoleResult]], role: str) -> str:
    """The operations that the table covers."""
    first = next((row.figures for row in rows if row.figures is not None), None)
    if first is None:
        return ": nothing to show"
    text = f": {first.operations:,} operations, {escape(run.workload['origin'][role])}"
    if any(row.figures.ns for row in rows if row.figures is not None):
        text += f"; ratio to {escape(run.references[rows[0].family])}"
    return text


def _role_markdown(rows: Sequence[Row[RoleResult]]) -> str:
    """A family's table in one role, with the measured timings."""
    modes = [mode for mode in TimingMode if any(row.figures and mode in row.figures.ns for row in rows)]
    headings = ["strategy", *Count, "slot stride"]
    for mode in modes:
        headings += [f"{mode} ns", "ratio"]
    table: list[list[str]] = []
    for row in rows:
        if row.figures is None:
            table.append(_without_figures(row, len(headings)))
            continue
        cells = [row.name, *(significant(getattr(row.figures, name)) for name in (*Count, "slot_stride"))]
        for mode in modes:
            cells += _time_cells(row.figures.ns.get(mode))
        table.append(cells)
    return markdown_table(headings, table)


def _setup_markdown(rows: Sequence[Row[SetupResult]]) -> str:
    """A family's table of the set-up: memory and load time."""
    timed = any(row.figures and row.figures.ns for row in rows)
    headings = ["strategy", "slot stride", "bytes per slot", *(("ns per slot", "ratio") if timed else ())]
    table: list[list[str]] = []
    for row in rows:
        if row.figures is None:
            table.append(_without_figures(row, len(headings)))
            continue
        cells = [row.name, significant(row.figures.slot_stride), significant(row.figures.bytes_per_slot)]
        table.append([*cells, *(_time_cells(row.figures.ns) if timed else ())])
    return markdown_table(headings, table)


def _without_figures(row: Row[RoleResult] | Row[SetupResult], columns: int) -> list[str]:
    """A row without figures: its state, and the reason if it is not given elsewhere."""
    name = f"{row.name} ({row.reason})" if row.state is State.ABSENT else row.name
    return [name, *[str(row.state)] * (columns - 1)]


def _time_cells(timing: Timing | None) -> list[str]:
    if timing is None:
        return ["n/a", "n/a"]
    return [with_span(timing.interval), with_span(timing.ratio) if timing.ratio else "n/a"]


def with_span(interval: Interval) -> str:
    """`median [low, high]`, with `[too few]` instead of an interval if there were too few samples."""
    if interval.low is None or interval.high is None:
        return f"{significant(interval.median)} [too few]"
    return f"{significant(interval.median)} [{significant(interval.low)}, {significant(interval.high)}]"


FORMATS: dict[str, Callable[[Sequence[RunResult]], str]] = {".csv": to_csv, ".md": to_markdown}
