"""The tables people read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from slotlookup.structure import Family

from .results import COUNTS, RoleResult, RunResult, StrategyResult, Timing
from .statistics import Interval, ratio_interval

TITLES = {"gfn": "gfn lookups", "hva": "hva visits", "update": "slot changes"}
ONE = {"gfn": "a gfn lookup", "hva": "an hva visit", "update": "a slot change"}
MODE = "throughput_hot"
NOT_KNOWN = "n/a"


def significant(value: float | None, digits: int = 3) -> str:
    """A figure with as many digits as it deserves; whole numbers above a thousand are grouped."""
    if value is None:
        return NOT_KNOWN
    if value >= 1000:
        return f"{value:,.0f}"
    if value == 0:
        return "0"
    text = f"{value:.{digits}g}"
    return text if "e" not in text else f"{value:.{digits}f}"


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
OTHERS = {"latency_hot": "lat-\nency\nns", "throughput_cold": "\ncold\nns", "latency_cold": "cold\nlat-\nency"}


def _cells(result: RoleResult | None, width: int) -> list[Text | str]:
    cells: list[Text | str] = [significant(getattr(result, name) if result else None) for name in COUNTS]
    ns = result.ns if result else {}
    timing = ns.get(MODE)
    ratio = timing.ratio if timing else None
    cells.append(significant(timing.interval.median if timing else None))
    cells.append(Text(span(timing.interval) if timing else "", style="dim"))
    cells.append(Text(f"{ratio.median:.2f}", style=_ratio_style(ratio)) if ratio else NOT_KNOWN)
    if width >= WIDE:
        cells.append(Text(span(ratio) if ratio else "", style="dim"))
    if width >= WIDEST:
        cells.extend(significant(ns[mode].interval.median if mode in ns else None) for mode in OTHERS)
    return cells


def role_table(run: RunResult, role: str, width: int) -> Table:
    """One role's table, with a section for each family; families are never ranked together."""
    title = Text.assemble((TITLES[role], "bold"), "  ", (run.workload["origin"][role], "dim"))
    table = Table(
        title=title,
        title_justify="left",
        caption_justify="left",
        title_style="",
        caption_style="",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1),
    )
    table.add_column("strategy", overflow="fold")
    for heading in ("slots\nexam-\nined", "com-\npares", "hops", "lines", "ns"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("95 %", no_wrap=True)
    table.add_column("ratio", justify="right", no_wrap=True)
    if width >= WIDE:
        table.add_column("95 %", no_wrap=True)
    if width >= WIDEST:
        for heading in OTHERS.values():
            table.add_column(heading, justify="right", no_wrap=True)
    scope: list[str] = []
    for family in (Family.NATIVE, Family.PYTHON):
        rows = [row for row in run.results if row.family == family]
        if not rows:
            continue
        first = next((r.roles[role] for r in rows if role in r.roles), None)
        asked = f"{first.operations:,} operations" if first else "nothing to ask"
        scope.append(f"{family}: {asked}, ratio to {run.references[family]}.")
        table.add_row(Text(str(family), style="bold"))
        for row in rows:
            result = row.roles.get(role) if row.verified else None
            void: list[Text | str] = [Text("void", style="bold red")] * 5
            table.add_row(Text(f"  {row.strategy}"), *(_cells(result, width) if row.verified else void))
        table.add_section()
    table.caption = Text(" ".join(scope), style="dim")
    return table


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
    for role in TITLES:
        console.print()
        console.print(role_table(run, role, console.width))
    for line in _remarks(run.results):
        console.print(line)
    if run.empty_ns:
        costs = ", ".join(f"{TITLES[r]} {significant(i[MODE].median)} ns" for r, i in run.empty_ns.items() if MODE in i)
        console.print(f"[dim]An empty native strategy, for the loop's own cost: {costs}; not taken off.[/dim]")
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


def closing_sentence(run: RunResult) -> str:
    """Which native strategy is cheapest here in each role, and by how much."""
    if not any(row.verified and row.family == Family.NATIVE for row in run.results):
        return "No native strategy was compared; Python strategies are not ranked against them."
    parts = [_verdict(run, role) for role in TITLES]
    return "Cheapest here: " + "; ".join(part for part in parts if part) + "."


def _verdict(run: RunResult, role: str) -> str:
    rows = [
        (row.strategy, row.roles[role])
        for row in run.results
        if row.verified and row.family == Family.NATIVE and role in row.roles
    ]
    timed = [(name, result.ns[MODE]) for name, result in rows if MODE in result.ns]
    if not timed:
        return _verdict_by_counts(rows, role)
    timed.sort(key=lambda item: item[1].interval.median)
    name, best = timed[0]
    level = [other for other, timing in timed[1:] if not _clearly_apart(best, timing)]
    words = f"for {TITLES[role]}, {name} at {significant(best.interval.median)} ns"
    if best.ratio is not None and name != run.references[Family.NATIVE]:
        words += f", {best.ratio.median:.2f} of {run.references[Family.NATIVE]}"
    if level:
        words += f" (no telling it from {' or '.join(level)})"
    elif len(timed) > 1:
        words += f" ({timed[1][1].interval.median / best.interval.median:.2f} times cheaper than {timed[1][0]})"
    return words


def _clearly_apart(a: Timing, b: Timing) -> bool:
    """Whether the two, paired block by block, differ at 95 %."""
    ratio = ratio_interval(a.samples, b.samples)
    return ratio.low is not None and ratio.high is not None and not ratio.low <= 1 <= ratio.high


def _verdict_by_counts(rows: Sequence[tuple[str, RoleResult]], role: str) -> str:
    counted = [(name, r.compares) for name, r in rows if r.compares is not None]
    if not counted:
        return ""
    name, compares = min(counted, key=lambda item: item[1])
    return f"for {TITLES[role]}, {name} with {significant(compares)} compares {ONE[role]}"
