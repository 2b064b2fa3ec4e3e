"""The tables people read."""

from __future__ import annotations

from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from slotlookup.structure import Family
from slotlookup.vocabulary import RANKED, Count, Operation, TimingMode

from .model import RoleResult, RunResult, StrategyResult
from .statistics import Interval
from .verdict import closing_sentence, significant

NOT_KNOWN = "n/a"


def span(interval: Interval) -> str:
    """`[low, high]`, or what stands for it where there were too few samples."""
    if interval.low is None or interval.high is None:
        return "[too few]"
    return f"[{significant(interval.low)}, {significant(interval.high)}]"


def _ratio_style(ratio: Interval) -> str:
    if ratio.low is None or ratio.high is None or ratio.low <= 1 <= ratio.high:
        return ""
    return "green" if ratio.high < 1 else "red"


WIDE = 105
"""From this many columns on, the ratio's interval has room too."""
WIDEST = 130
"""From here on, the other timings do."""
OTHERS = sorted((mode for mode in TimingMode if mode != RANKED), key=lambda mode: mode.cold)


def _cells(result: RoleResult | None, width: int, timed: bool) -> list[Text | str]:
    cells: list[Text | str] = [significant(getattr(result, name) if result else None) for name in Count]
    if not timed:
        return cells
    ns = result.ns if result else {}
    timing = ns.get(RANKED)
    ratio = timing.ratio if timing else None
    cells.append(significant(timing.interval.median if timing else None))
    cells.append(Text(span(timing.interval) if timing else "", style="dim"))
    cells.append(Text(f"{ratio.median:.2f}", style=_ratio_style(ratio)) if ratio else NOT_KNOWN)
    if width >= WIDE:
        cells.append(Text(span(ratio) if ratio else "", style="dim"))
    if width >= WIDEST:
        cells.extend(significant(ns[mode].interval.median if mode in ns else None) for mode in OTHERS)
    return cells


def _add_columns(table: Table, width: int, timed: bool) -> None:
    table.add_column("strategy", overflow="fold")
    for count in Count:
        table.add_column(count.heading, justify="right", no_wrap=True)
    if not timed:
        return
    table.add_column(RANKED.heading, justify="right", no_wrap=True)
    table.add_column("95 %", no_wrap=True)
    table.add_column("ratio", justify="right", no_wrap=True)
    if width >= WIDE:
        table.add_column("95 %", no_wrap=True)
    if width >= WIDEST:
        for mode in OTHERS:
            table.add_column(mode.heading, justify="right", no_wrap=True)


def role_table(run: RunResult, role: str, width: int) -> tuple[Table, str]:
    """One role's table with a section for each family, which are never ranked together, and what it covers."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    timed = any(RANKED in row.roles[role].ns for row in run.results if role in row.roles)
    _add_columns(table, width, timed)
    scope: list[str] = []
    for family in (Family.NATIVE, Family.PYTHON):
        rows = [row for row in run.results if row.family == family]
        if not rows:
            continue
        first = next((r.roles[role] for r in rows if role in r.roles), None)
        few = "the first " if family is Family.PYTHON else ""
        asked = f"{few}{first.operations:,} operations" if first else "nothing to ask"
        scope.append(f"{family}: {asked}" + (f", ratio to {run.references[family]}." if timed else "."))
        table.add_row(Text(str(family), style="bold"))
        for row in rows:
            void: list[Text | str] = [Text("void", style="bold red")] * len(Count)
            result = row.roles.get(role)
            table.add_row(Text(f" {row.strategy}"), *(_cells(result, width, timed) if row.verified else void))
        table.add_section()
    return table, " ".join(scope)


def print_run(run: RunResult, console: Console) -> None:
    """Every table of a run, its remarks, and the closing sentence."""
    workload, machine = run.workload, run.machine
    console.print(
        f"[bold]{escape(workload['name'])}[/bold]: {workload['slots']:,} slots, {workload['events']:,} events, "
        f"seed {workload['seed']}, fingerprint {workload['fingerprint']}"
    )
    console.print(
        f"{machine['cpu']}, Linux {machine['kernel']}, {machine['compiler']}, load {machine['load']}", style="dim"
    )
    for role in Operation:
        console.print()
        console.print(Text.assemble((role.plural, "bold"), "  ", (run.workload["origin"][role], "dim")))
        table, scope = role_table(run, role, console.width)
        console.print(table)
        console.print(Text(scope, style="dim"))
    for line in _remarks(run.results):
        console.print(line)
    if run.empty_ns:
        costs = ", ".join(
            f"{Operation(r).plural} {significant(i[RANKED].median)} ns" for r, i in run.empty_ns.items() if RANKED in i
        )
        console.print(f"[dim]An empty native strategy, for the loop's own cost: {costs}; not taken off.[/dim]")
    if run.control:
        apart = ", ".join(f"{Operation(r).plural} {run.noise(Family.NATIVE, r, RANKED):.1%}" for r in run.control)
        console.print(f"[dim]Identical work came out apart by up to: {apart}. Less than that is no difference.[/dim]")
    console.print(closing_sentence(run))


def _remarks(rows: Iterable[StrategyResult]) -> list[str]:
    lines = [
        f"[bold red]{escape(row.strategy)} is void[/bold red]: {escape(row.fault or '')}"
        for row in rows
        if not row.verified
    ]
    return lines + [
        f"[dim]{escape(row.strategy)}: {escape(row.note)}.[/dim]" for row in rows if row.verified and row.note
    ]
