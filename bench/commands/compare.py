"""`slotlookup compare`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from slotlookup.errors import Incomparable, UsageError
from slotlookup.vocabulary import RANKED, Operation

from ..helpful import EachOnce
from ..printable import printable_all
from ..results.compare import EFFECT, SETUP, Change, Comparison, Shift, compare
from ..results.export import escape, markdown_table, with_span
from ..results.load import OtherSchemaVersion, load_result
from ..results.model import RunResult
from ..results.verdict import significant

COUNT_HEADINGS = ("role", "strategy", "figure", "OLD", "NEW", "change", "")
TIME_HEADINGS = ("strategy", "timing", "figure", "OLD", "NEW", "NEW/OLD", "")
UNPAIRED = (
    "Two saved runs are not paired. A time is reported as faster or slower if its intervals and most blocks do not "
    "overlap, and its medians differ by {effect:g} % or more and by more than identical work did in either run. Ratios "
    "to the reference are more reliable than ns."
)


@click.command(cls=EachOnce)
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option(
    "--effect",
    type=click.FloatRange(0, 1000),
    default=EFFECT * 100,
    show_default=True,
    metavar="PERCENT",
    help="Smallest difference of times that is reported as faster or slower.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else on stdout.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print GitHub tables.")
def command(old: Path, new: Path, effect: float, as_json: bool, as_markdown: bool) -> int:
    """Report the differences between two results that `slotlookup run --save` wrote.

    Counts are compared exactly. Times are compared if machine, kernel and compiler are the same. The exit code is 0
    whatever changed, and 4 if the two results answer different questions.
    """
    if math.isnan(effect):
        raise UsageError("--effect: not a number")
    if as_json and as_markdown:
        raise UsageError("--json and --markdown exclude each other; give one")
    comparison = compare(*_load_pair(old, new), effect / 100)
    if as_json:
        click.echo(json.dumps(comparison.as_json(), indent=2, allow_nan=False))
    elif as_markdown:
        click.echo(to_markdown(comparison), nl=False)
    else:
        _print(printable_all(comparison))
    return 0


def _load_pair(old: Path, new: Path) -> tuple[RunResult, RunResult]:
    """Raises Incomparable for a file given twice and for results of another schema."""
    try:
        results = load_result(old), load_result(new)
    except OtherSchemaVersion as error:
        raise Incomparable(str(error)) from None
    if old.samefile(new):
        raise Incomparable(f"{new}: OLD and NEW are the same file; give two different results")
    return results


def to_markdown(comparison: Comparison) -> str:
    """The comparison as a GitHub comment."""
    parts = [f"### {escape(_subject(comparison))}\n"]
    counts = list(_count_rows(comparison))
    parts.append(f"{escape(_count_sentence(comparison))}\n")
    if counts:
        parts.append(markdown_table(COUNT_HEADINGS, counts, left=3))
    parts += [f"{escape(line)}\n" for line in _left_out(comparison)]
    for title, rows in _time_tables(comparison):
        parts += [f"**{title}**\n", markdown_table(TIME_HEADINGS, rows, left=3)]
    parts.append("".join(f"- {escape(line)}.\n" for line in _remarks(comparison)))
    parts.append(f"{escape(_time_sentence(comparison))}\n")
    return "\n".join(part for part in parts if part)


def _print(comparison: Comparison) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from ..console import output

    console = output()
    colours = {"faster": "green", "slower": "red"}

    def draw(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
        for i, heading in enumerate(headings):
            left = i < 3 or not heading
            table.add_column(heading, justify="left" if left else "right", overflow="fold")
        for row in rows:
            table.add_row(*row[:-1], Text(row[-1], style=colours.get(row[-1], "")))
        console.print(Text(title, style="bold"))
        console.print(table)

    console.print(Text(_subject(comparison), style="bold"))
    counts = list(_count_rows(comparison))
    if counts:
        draw("counts", COUNT_HEADINGS, counts)
    console.print(Text(_count_sentence(comparison)))
    for line in _left_out(comparison):
        console.print(Text(line, style="bold yellow"))
    for title, rows in _time_tables(comparison):
        console.print()
        draw(title, TIME_HEADINGS, rows)
    for line in _remarks(comparison):
        console.print(Text(f"{line}.", style="dim"))
    console.print(Text(_time_sentence(comparison)))


def _subject(comparison: Comparison) -> str:
    workload = comparison.new.workload
    return (
        f"{workload['name']}: {workload['slots']:,} slots, seed {workload['seed']}, "
        f"fingerprint {workload['fingerprint']}; "
        f"OLD of {comparison.old.machine['date']}, NEW of {comparison.new.machine['date']}"
    )


def _figures(comparison: Comparison) -> Iterator[tuple[str, str, str, Change]]:
    """(role, row, name, change) of every exact figure."""
    for role, rows in comparison.rows.items():
        for row in rows:
            for name, count in row.counts.items():
                yield role, row.name, name, count


def _count_rows(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    """A row for each exact figure that changed, by role."""
    for role, row, name, figure in _figures(comparison):
        if figure.changed:
            yield role, row, name, *_change_cells(figure)


def _change_cells(change: Change) -> tuple[str, str, str, str]:
    if change.difference is None:
        return significant(change.old), significant(change.new), "n/a", ""
    relative = "" if change.relative is None else f"{change.relative:+.1%}"
    # Show enough digits that different figures do not look equal.
    digits = next((d for d in range(3, 17) if significant(change.old, d) != significant(change.new, d)), 17)
    sign = "+" if change.difference > 0 else "-"
    difference = f"{sign}{significant(abs(change.difference))}"
    return significant(change.old, digits), significant(change.new, digits), difference, relative


def _count_sentence(comparison: Comparison) -> str:
    figures = [figure for *_, figure in _figures(comparison)]
    known = [figure for figure in figures if figure.old is not None or figure.new is not None]
    changed = sum(figure.changed for figure in known)
    if not known:
        return "Counts: no strategy is in both results."
    if not changed:
        return f"Counts: all {len(known)} are the same."
    return f"Counts: {changed} of {len(known)} changed."


def _left_out(comparison: Comparison) -> list[str]:
    """One line for each family whose times are in both results but are not compared."""
    lines = []
    for family, differences in comparison.times_left_out.items():
        if all(_timed(run, family) for run in (comparison.old, comparison.new)):
            lines.append(f"Times of {family} strategies are left out: different {', '.join(map(str, differences))}.")
    return lines


def _timed(run: RunResult, family: str) -> bool:
    rows = (row for rows in run.roles.values() for row in rows if row.family == family)
    return any(row.figures.ns for row in rows if row.figures is not None)


def _time_tables(comparison: Comparison) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    """By role, two rows per timing: ns, and the ratio to the reference. throughput_hot, and timings with a verdict."""
    for role, changes in comparison.rows.items():
        rows: list[tuple[str, ...]] = []
        for change in changes:
            for mode, time in change.ns.items():
                if mode != RANKED and time.verdict is None and time.ns.verdict is None:
                    continue
                rows.append((change.name, mode.replace("_", " "), "ns", *_shift_cells(time.ns)))
                if time.to_reference is not None:
                    reference = comparison.new.references[change.family]
                    rows.append(("", "", f"to {reference}", *_shift_cells(time.to_reference)))
        if rows:
            yield "set-up" if role == SETUP else Operation(role).plural, rows


def _shift_cells(shift: Shift) -> tuple[str, str, str, str]:
    ratio = "n/a" if shift.ratio is None else f"{shift.ratio:.2f}"
    return with_span(shift.old), with_span(shift.new), ratio, shift.verdict or ""


def _remarks(comparison: Comparison) -> list[str]:
    states: dict[str, list[str]] = {}
    for change in comparison.strategies:
        states.setdefault(change.state, []).append(change.strategy)
    lines = [f"{state}: {', '.join(names)}" for state, names in states.items() if state != "compared"]
    return [*lines, *comparison.remarks]


def _time_sentence(comparison: Comparison) -> str:
    times = [time for rows in comparison.rows.values() for row in rows for time in row.ns.values()]
    if not times:
        return "Times: none compared."
    parts = []
    related = [time.verdict for time in times if time.to_reference is not None]
    alone = [time.verdict for time in times if time.to_reference is None]
    if related:
        parts.append(f"to the reference, {_tally(related)}")
    if alone:
        parts.append(f"in ns, without such a ratio, {_tally(alone)}")
    return f"Times: {'; '.join(parts)}. {UNPAIRED.format(effect=comparison.effect * 100)}"


def _tally(verdicts: list[str | None]) -> str:
    counted = ", ".join(f"{verdicts.count(word)} {word}" for word in ("slower", "faster"))
    return f"{counted}, {verdicts.count(None)} without a verdict"
