"""Several results in one Markdown table per role: rows are strategies, columns results; cells have hot and cold."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from slotlookup.structure import Family
from slotlookup.vocabulary import Count, Operation, TimingMode

from .export import escape, markdown_table
from .floor import floor_rows
from .model import RoleResult, Row, RunResult
from .verdict import significant

_Cell = Callable[[RoleResult], str]


def to_side_by_side(runs: Sequence[RunResult]) -> str:
    """The tables of all `runs`: times and counts by role and family, which are never ranked together.

    A cell of times is `hot / cold` in ns, one of counts `slots examined / compares / hops / lines`; if a result
    lacks a row, or it is void or absent there, the cell says so.
    """
    parts = [_machines(runs)]
    for role in Operation:
        for family in Family:
            names = [row.name for run in runs for row in _rows(run, role) if row.family == family]
            rows = list(dict.fromkeys(names))
            if rows:
                parts.append(f"**{role.plural}**, {family}: ns hot / cold\n")
                parts.append(_table(runs, rows, role, _times))
                parts.append(f"**{role.plural}**, {family}: {' / '.join(count.words for count in Count)}\n")
                parts.append(_table(runs, rows, role, _counts))
                if family is Family.NATIVE:
                    parts.append(f"**{role.plural}**, {family}: bytes from one slot to the next\n")
                    parts.append(_table(runs, rows, role, lambda figures: significant(figures.slot_stride)))
    return "\n".join(parts)


def _rows(run: RunResult, role: str) -> Sequence[Row[RoleResult]]:
    return (*run.roles[role], *floor_rows(run, role))


def _machines(runs: Sequence[RunResult]) -> str:
    """The machines, each once, and the number of bytes displaced between cold operations."""
    lines = []
    for run in runs:
        machine = run.machine
        line = f"{machine['cpu']}, Linux {machine['kernel']}, {machine['compiler']}"
        lines.append(escape(f"{line}; cold: {run.options['displaced']:,} bytes walked between operations"))
    return "".join(f"{line}.\n" for line in dict.fromkeys(lines))


def _table(runs: Sequence[RunResult], names: Sequence[str], role: str, cell: _Cell) -> str:
    headings = ["strategy", *(f"{run.workload['name']}, {run.workload['slots']:,}" for run in runs)]
    table: list[list[str]] = []
    for name in names:
        cells = [name]
        for run in runs:
            row = next((row for row in _rows(run, role) if row.name == name), None)
            if row is None:
                cells.append("not run")
            else:
                cells.append(str(row.state) if row.figures is None else cell(row.figures))
        table.append(cells)
    return markdown_table(headings, table)


def _times(result: RoleResult) -> str:
    modes = (TimingMode.THROUGHPUT_HOT, TimingMode.THROUGHPUT_COLD)
    return " / ".join(significant(result.ns[m].interval.median) if m in result.ns else "n/a" for m in modes)


def _counts(result: RoleResult) -> str:
    return " / ".join(significant(getattr(result, name)) for name in Count)
