"""`slotlookup check`."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import click

from slotlookup.config.load import Config
from slotlookup.config.settings import TimeGate
from slotlookup.errors import BrokenStrategy, Incomparable
from slotlookup.writing import must_be_writable, write_then_show

from ..configuration import announce_code, announce_left_out, configuration
from ..gate.baseline import Baseline, line_numbers, read_baseline, to_text, write_baseline
from ..gate.judge import Outcome, Problem, compare
from ..gate.renewal import new_baseline
from ..gate.suite import Counted, Suite, count, make_suite, require_figures, require_matches, time_gates, verify
from ..gate.time import TimeMeasurement, compare_times, measure
from ..helpful import EachOnce
from ..printable import printable, printable_all

FORMATS = ("table", "json", "github", "markdown", "junit")


@click.command(cls=EachOnce)
@click.option(
    "--baseline",
    "baseline_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Compare with this file instead of the configured one.",
)
@click.option("--update", is_flag=True, help="Print the differences, then write the new figures to the baseline.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="Format of stdout. github prints annotations, and writes all figures to the step's summary.",
)
@click.option("--no-verify", is_flag=True, help="Leave out the conformance suite, which checks the answers first.")
@click.option("--no-times", is_flag=True, help="Leave the configured times out, for example on another machine.")
def command(baseline_file: Path | None, update: bool, form: str, no_verify: bool, no_times: bool) -> int:
    """Count the operations of configured strategies on configured workloads, and compare with a baseline in git.

    The strategies go through a short form of the conformance suite (`slotlookup verify`) first; one that fails is not
    counted.

    Exit codes: 0 no figure exceeds its limit, 1 an answer is wrong, 3 a figure exceeds its limit, 4 there is no
    baseline, or it cannot be compared. 1 takes precedence over 3, and 3 over 4. Improvements pass, and are listed so
    that the baseline can be updated.
    """
    config = configuration()
    announce_left_out()
    path = baseline_file or config.directory / config.settings.check.baseline
    own = config.settings.check.strategies
    key = "strategies" if own is None else "check.strategies"
    announce_code(config.place(key), config.settings.strategies if own is None else own)
    if update:
        must_be_writable(path)
    suite = make_suite(config)
    gates = () if no_times else time_gates(config, suite)
    require_matches(config, suite)
    held: Baseline | None = None
    try:
        require_figures(suite, config.settings.check.times, timed=not no_times)
    except Incomparable as error:
        _show_problem(error, form, path)
        raise Incomparable(f"{config.place(key)}: {error}") from None
    try:
        held = read_baseline(path)
    except Incomparable as error:
        if not update:
            _show_problem(error, form, path)
            raise
    counted, times = _measure(config, suite, gates, form, no_verify)
    if held is None:
        outcome = Outcome(shown(path), faults=list(counted.faults))
    else:
        outcome = compare(counted, suite.placement, held, config.settings.check.tolerances, shown(path))
        if held.placement == suite.placement and not no_times:
            compare_times(outcome, times, held)
    if no_verify:
        outcome.notes.append("The conformance suite was left out.")
    if no_times and config.settings.check.times:
        outcome.notes.append(f"{len(config.settings.check.times)} configured times were left out.")
    if update:
        return _update(outcome, counted, times, suite, held, path, form, no_times)
    show(outcome, form, path, held, update=False)
    raise_for(outcome, path)
    return outcome.exit_code


def _show_problem(error: Incomparable, form: str, path: Path) -> None:
    """Print an outcome with nothing but this problem, in a format that programs read."""
    if form != "table":
        show(Outcome(shown(path), problems=[Problem(str(error))]), form, path, None, update=False)


def raise_for(outcome: Outcome, path: Path) -> None:
    """Raise the error for stderr: BrokenStrategy for wrong answers, Incomparable for exit code 4."""
    if outcome.faults:
        first = outcome.faults[0]
        where = "" if first.workload is None else f"{first.workload}: "
        raise BrokenStrategy(f"{where}{first.message}{_more(len(outcome.faults))}")
    if outcome.exit_code == Incomparable.exit_code:
        raise Incomparable(
            f"{path}: {outcome.problems[0].message}{_more(len(outcome.problems))}; "
            "if this is intended, store the new figures with `slotlookup check --update`"
        )


def _more(count: int) -> str:
    return f" (and {count - 1} more)" if count > 1 else ""


def shown(path: Path) -> str:
    """A path for messages: relative to the current folder if it is below it."""
    here, real = Path.cwd(), Path(os.path.abspath(path))  # noqa: PTH100 - a symbolic link keeps its name
    return str(real.relative_to(here)) if real.is_relative_to(here) else str(path)


def _measure(
    config: Config, suite: Suite, gates: tuple[TimeGate, ...], form: str, no_verify: bool
) -> tuple[Counted, list[TimeMeasurement]]:
    from ..console import progress_bar

    settings = config.settings
    with progress_bar(shown=form == "table" or sys.stderr.isatty()) as report:
        faults = [] if no_verify else verify(suite, report)
        broken = {fault.strategy for fault in faults}
        counted = count(replace(suite, strategies=tuple(s for s in suite.strategies if s not in broken)), report)
        counted.faults[:0] = faults
        if not gates or counted.faults:
            return counted, []
        times, wrong = measure(gates, counted.questions, suite.run_options(settings), report)
        counted.faults += wrong
        return counted, times


def _update(
    outcome: Outcome,
    counted: Counted,
    times: list[TimeMeasurement],
    suite: Suite,
    held: Baseline | None,
    path: Path,
    form: str,
    keep_times: bool,
) -> int:
    """Write the new baseline. If an answer was wrong, raises BrokenStrategy and writes nothing."""
    if outcome.faults:
        outcome.notes.append(f"{outcome.baseline} is unchanged.")
        show(outcome, form, path, held, update=True)
        raise_for(outcome, path)
    new = new_baseline(counted, times, suite.placement, held, keep_times=keep_times)
    before = path.read_bytes() if held is not None else b""
    changed, updated = to_text(new).encode() != before, False

    def write() -> None:
        nonlocal updated
        if changed:
            write_baseline(new, path)
        updated = True

    def show_differences() -> None:
        groups = sum(1 for _ in new.groups())
        words = f"written, {groups} groups of figures" if changed else "is up to date"
        outcome.notes.append(f"{outcome.baseline}: {words}." if updated else f"{outcome.baseline} is unchanged.")
        show(outcome, form, path, new if updated else held, update=True, updated=updated)

    write_then_show(write, show_differences)
    return 0


def show(
    outcome: Outcome, form: str, path: Path, held: Baseline | None, *, update: bool, updated: bool = False
) -> None:
    """Print the outcome: the requested format on stdout, everything else on stderr."""
    from ..console import output
    from ..gate.ci_formats import append_summary, github, junit, within_repository
    from ..gate.formats import markdown, print_table, sentences, to_json

    if form == "table":
        print_table(printable_all(outcome), output())
        return
    if form == "json":
        click.echo(to_json(outcome, updated=updated), nl=False)
    elif form == "markdown":
        click.echo(markdown(outcome), nl=False)
    elif form == "junit":
        click.echo(junit(outcome), nl=False)
    else:
        lines = line_numbers(held) if held is not None and _is_canonical(held, path) else {}
        click.echo(github(outcome, within_repository(path, os.environ), lines), nl=False)
        trouble = append_summary(outcome, os.environ)
        if trouble:
            click.echo(printable(f"slotlookup: {trouble}"), err=True)
    if outcome.exit_code not in (BrokenStrategy.exit_code, Incomparable.exit_code) or update:
        # These two end with a line on stderr in any case.
        for sentence in sentences(outcome):
            click.echo(printable(sentence), err=True)


def _is_canonical(baseline: Baseline, path: Path) -> bool:
    """Whether the file is exactly as written by this version, so that line numbers are valid."""
    try:
        return path.read_text(encoding="utf-8") == to_text(baseline)
    except (OSError, UnicodeDecodeError):
        return False
