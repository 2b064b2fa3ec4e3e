"""The tables of a run."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from textwrap import TextWrapper, indent
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from slotlookup.config.settings import PROCESSES
from slotlookup.structure import Family
from slotlookup.vocabulary import RANKED, Count, Operation, TimingMode

from .floor import floor_rows, times_floor
from .model import RoleResult, Row, RunResult, SetupResult, State, StrategyResult
from .order import SETUP, in_order
from .statistics import Interval, sign_test_rank
from .verdict import significant, what_rows_are

NOT_KNOWN = "n/a"
REFERENCE = " (reference)"
REASON_WIDTH = 24
"""Width of the reason of an absent row below its name, if no name is longer."""
NARROWEST_NAME = 12
_AnyRow = Row[RoleResult] | Row[SetupResult]
_Column = tuple[str, Literal["left", "right"]]
_Line = tuple[_AnyRow, Sequence[Text | str]]


def span(interval: Interval) -> str:
    """`[low, high]`, or `[too few]` if there were too few samples."""
    if interval.low is None or interval.high is None:
        return "[too few]"
    return f"[{significant(interval.low)}, {significant(interval.high)}]"


def interval_heading(processes: int) -> str:
    """What an interval is called: one within a single process says nothing about another run."""
    return "95 %" if processes > 1 else "95 % in run"


def interval_words(processes: int) -> str:
    """What the times and their intervals are, in a sentence."""
    if processes == 1:
        return "Times are medians of blocks in one process, and intervals hold within it: another run may lie outside."
    if sign_test_rank(processes) is None:
        return f"Times are medians of {processes} processes; an interval between runs needs {PROCESSES} or more."
    return f"Times are medians of {processes} processes, one after another, and 95 % intervals hold between them."


def _ratio_style(ratio: Interval) -> str:
    if ratio.low is None or ratio.high is None or ratio.low <= 1 <= ratio.high:
        return ""
    return "green" if ratio.high < 1 else "red"


WIDE = 105
"""From this width on, tables include the ratio's interval."""
WIDEST = 130
"""From this width on, tables include the other timings."""
OTHERS = sorted((mode for mode in TimingMode if mode != RANKED), key=lambda mode: mode.cold)


def _cells(run: RunResult, role: str, row: Row[RoleResult], width: int, timed: bool) -> list[Text | str]:
    result = row.figures
    if result is None:
        return [_state(row)]
    cells: list[Text | str] = [significant(getattr(result, name)) for name in Count]
    if width >= WIDE:
        cells.append(significant(result.slot_stride))
    if not timed:
        return cells
    timing = result.ns.get(RANKED)
    ratio = timing.ratio if timing else None
    cells.append(significant(timing.interval.median if timing else None))
    cells.append(Text(span(timing.interval) if timing else "", style="dim"))
    cells.append(Text(f"{ratio.median:.2f}", style=_ratio_style(ratio)) if ratio else NOT_KNOWN)
    if run.floor_ns.get(role):
        cells.append(significant(times_floor(run, role, result) if row.family == Family.NATIVE else None))
    if width >= WIDE:
        cells.append(Text(span(ratio) if ratio else "", style="dim"))
    if width >= WIDEST:
        cells.extend(significant(result.ns[mode].interval.median if mode in result.ns else None) for mode in OTHERS)
    return cells


def _columns(width: int, timed: bool, interval: str, floor: bool) -> list[_Column]:
    found: list[_Column] = [(count.heading, "right") for count in Count]
    if width >= WIDE:
        found.append(("slot\nstride", "right"))
    if timed:
        found += [(RANKED.heading, "right"), (interval, "left"), ("ratio", "right")]
        if floor:
            found.append(("times\nfloor", "right"))
        if width >= WIDE:
            found.append((interval, "left"))
        if width >= WIDEST:
            found += [(mode.heading, "right") for mode in OTHERS]
    return found


def role_table(run: RunResult, role: str, width: int, sort: str = "cost") -> tuple[Table, str]:
    """One role's table with a section for each family, which are never ranked together; and its scope in words."""
    rows = in_order((*run.roles[role], *floor_rows(run, role)), sort)
    timed = any(row.figures is not None and RANKED in row.figures.ns for row in rows)
    lines = [(row, _cells(run, role, row, width, timed)) for row in rows]
    floor = bool(run.floor_ns.get(role))
    scope: list[str] = []
    for family in Family:
        figures = [row.figures for row in rows if row.family == family]
        if not figures:
            continue
        first = next((known for known in figures if known is not None), None)
        few = "the first " if family is Family.PYTHON else ""
        asked = f"{few}{first.operations:,} operations" if first else "no figures"
        scope.append(f"{family}: {asked}" + (f", ratio to {run.references[family]}." if timed else "."))
    columns = _columns(width, timed, interval_heading(run.options["processes"]), floor)
    return _table(columns, lines, width, run.references.values()), " ".join(scope)


def setup_table(run: RunResult, width: int, sort: str = "cost") -> Table:
    """The table of the set-up: bytes per slot, and the time to load the slots."""
    timed = any(row.figures is not None and row.figures.ns is not None for row in run.setup)
    columns: list[_Column] = [("slot\nstride", "right"), ("bytes\nper slot", "right")]
    if timed:
        columns += [("ns\nper slot", "right"), (interval_heading(run.options["processes"]), "left"), ("ratio", "right")]
    lines = [
        (row, [_state(row)] if row.figures is None else _setup_cells(row.figures)) for row in in_order(run.setup, sort)
    ]
    return _table(columns, lines, width, run.references.values())


def _setup_cells(figures: SetupResult) -> list[Text | str]:
    cells: list[Text | str] = [significant(figures.slot_stride), significant(figures.bytes_per_slot)]
    if figures.ns is not None:
        ratio = figures.ns.ratio
        cells += [significant(figures.ns.interval.median), Text(span(figures.ns.interval), style="dim")]
        cells.append(Text(f"{ratio.median:.2f}", style=_ratio_style(ratio)) if ratio else NOT_KNOWN)
    return cells


def _table(columns: Sequence[_Column], lines: Sequence[_Line], width: int, references: Collection[str]) -> Table:
    """Rows by family. Names are broken at their punctuation to fit the width that the figures leave."""
    taken = 0
    for i, (heading, _) in enumerate(columns):
        texts = [*heading.split("\n"), *(str(cells[i]) for _, cells in lines if i < len(cells))]
        taken += max(map(len, texts))
    wanted = max([len(row.name) + 1 + len(REFERENCE) * (row.name in references) for row, _ in lines] + [REASON_WIDTH])
    # Figures are two columns apart, or one if names would otherwise be broken.
    gap = 2 if width - taken - 2 * len(columns) >= REASON_WIDTH else 1
    room = max(NARROWEST_NAME, min(wanted, width - taken - gap * len(columns) - 2))
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, gap - 1), collapse_padding=True)
    table.add_column("strategy", overflow="fold")
    for heading, justify in columns:
        table.add_column(heading, justify=justify, no_wrap=True)
    for heading, of_section in _sections(lines):
        table.add_row(Text(heading, style="bold"))
        for row, cells in of_section:
            table.add_row(_name(row, room, row.name in references), *cells)
        table.add_section()
    return table


def _sections(lines: Sequence[_Line]) -> Iterator[tuple[str, list[_Line]]]:
    """Structures, presets of real systems, and Python strategies, apart from one another."""
    for family in Family:
        of_family = [line for line in lines if line[0].family == family]
        for heading, preset in ((str(family), False), ("presets of real systems", True)):
            section = [line for line in of_family if (line[0].name != line[0].uses) is preset]
            if section:
                yield heading, section


def _name(row: _AnyRow, width: int, reference: bool) -> Text:
    """A row's name; below it the reason, if the row is absent or was not run further."""
    name = indent(wrapped(row.name, width - 1), " ")
    if row.state not in (State.ABSENT, State.CUT):
        return Text.assemble(name, (REFERENCE if reference else "", "dim"))
    words = TextWrapper(width - 3, break_on_hyphens=False, break_long_words=False)
    reason = indent(words.fill(row.reason or ""), "   ")
    return Text.assemble(f"{name}\n", (reason, "dim"))


def wrapped(name: str, width: int) -> str:
    """A name in lines of about `width`, broken after its own punctuation."""
    lines = [""]
    for part in re.findall(r"[^-=,+]+[-=,+]*", name):
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > width:
            lines.append("")
        lines[-1] += part if lines[-1] else part.lstrip()
    return "\n".join(line.rstrip() for line in lines)


def _state(row: _AnyRow) -> Text:
    return Text(str(row.state), style="bold red" if row.state is State.VOID else "dim")


def print_tables(run: RunResult, tables: Sequence[str], sort: str, console: Console) -> None:
    """The tables of the given roles, and of the set-up if SETUP is among them; and what they depend on."""
    machine = run.machine
    for role in (role for role in Operation if role in tables):
        console.print()
        derived = run.workload["mix"][role]["derived"]
        origin = Text(run.workload["origin"][role], style="yellow" if derived else "dim")
        console.print(
            Text.assemble((role.plural, "bold"), ("  DERIVED" if derived else "", "bold yellow"), "  ", origin)
        )
        table, scope = role_table(run, role, console.width, sort)
        console.print(table)
        console.print(Text(scope, style="dim"))
        _print_what_rows_are(run.roles[role], console)
    if SETUP in tables and any(row.figures is not None for row in run.setup):
        console.print()
        slots = max(row.figures.slots for row in run.setup if row.figures is not None)
        what = f"loading the {slots:,} starting slots" if slots else "no starting slots; bytes at the most slots held"
        console.print(Text.assemble(("set-up", "bold"), "  ", (what, "dim")))
        console.print(setup_table(run, console.width, sort))
    for line in _notes(run.strategies):
        console.print(line)
    console.print(
        f"{machine['cpu']}, Linux {machine['kernel']}, {machine['compiler']}, load {machine['load']}", style="dim"
    )
    if run.workload["outcome"] is not None:
        console.print(Text(outcome_words(run.workload["outcome"]), style="dim"))
    if not run.options["counts_only"]:
        console.print(Text(interval_words(run.options["processes"]), style="dim"))
    if run.empty_ns:
        costs = ", ".join(
            f"{Operation(r).plural} {significant(i[RANKED].median)} ns" for r, i in run.empty_ns.items() if RANKED in i
        )
        console.print(f"[dim]An empty native strategy, for the loop's own cost: {costs}; not subtracted.[/dim]")
    if run.floor_ns:
        console.print("[dim](floor): the right slot is read without being found; no structure can be faster.[/dim]")
    if run.control:
        apart = ", ".join(f"{Operation(r).plural} {run.noise(Family.NATIVE, r, RANKED):.1%}" for r in run.control)
        console.print(f"[dim]Identical work differed by up to: {apart}. Smaller differences are ties.[/dim]")


def outcome_words(outcome: Mapping[str, int]) -> str:
    """What a modelled workload cost its guest and its host, in a sentence; ageing only where there was any."""
    words = (
        f"The guest made {outcome['accesses']:,} accesses with {outcome['exits']:,} exits; the host had "
        f"{outcome['minor_faults']:,} minor and {outcome['major_faults']:,} major faults"
    )
    if outcome["ageing_calls"]:
        words += (
            f", evicted {outcome['evicted']:,} pages and asked for the age of {outcome['ageing_calls']:,}: "
            f"{outcome['pinned']:,} pinned, {outcome['wrongly_evicted']:,} wrongly evicted"
        )
    return f"{words}."


def _print_what_rows_are(rows: Sequence[_AnyRow], console: Console) -> None:
    told = what_rows_are((row.name, row.uses, row.strategies) for row in rows if row.state is not State.ABSENT)
    if told:
        console.print(Text(told, style="dim"))


def _notes(strategies: Iterable[StrategyResult]) -> list[str]:
    return [
        f"[dim]{escape(one.strategy)}: {escape(one.note)}.[/dim]"
        for one in strategies
        if one.state is State.VERIFIED and one.note
    ]
