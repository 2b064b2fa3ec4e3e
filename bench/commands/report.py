"""`slotlookup report`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slotlookup.errors import UsageError
from slotlookup.writing import must_be_writable, write_files

from ..charts.picture import import_charts
from ..configuration import announce_code, announce_left_out, configuration
from ..helpful import EachOnce
from ..measure.run_options import EFFORTS, RunOptions
from ..printable import printable
from ..results.model import writer_of

if TYPE_CHECKING:
    from ..report.sources import Run

DEFAULT_FILE = "slotlookup-report.html"
OF_HERE = "quick run"
"""The name of the run that the command makes itself."""


@click.command(cls=EachOnce)
@click.argument("results", metavar="[RESULT.json]...", nargs=-1, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--claims",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also show the claims in this file, which `claims --json` wrote.",
)
@click.option(
    "--history",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also show the runs of this history, over commits; see `slotlookup history`.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE.html",
    default=DEFAULT_FILE,
    show_default=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write; an existing one is replaced.",
)
@click.option("--title", default="Memory slot lookup", show_default=True, help="The title of the report.")
def command(results: tuple[Path, ...], claims: Path | None, history: Path | None, output: Path, title: str) -> int:
    """Write results as one HTML file with charts, which opens without a network.

    RESULT.json are the saved results of `run`, `sweep` and `kernel`, and what `claims --json` printed, in any mix.
    Without any, the configured workload is replayed as by `run --quick`.
    """
    from ..history.entries import read_history
    from ..history.series import series_of
    from ..report.page import make_page
    from ..report.sources import Sources, read_sources

    if output.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"-o {output}: end the name in .html")
    import_charts("report")
    must_be_writable(output)
    given = [*results, *([] if claims is None else [claims])]
    if any(output.resolve() == path.resolve() for path in given):
        raise UsageError(f"-o {output}: is one of the results; write the report to another file")
    series = [] if history is None else series_of(read_history(history))
    sources = read_sources(given) if given or series else Sources(runs=[_quick_run()])
    sources = replace(sources, history=series)
    write_files([(output, writer_of(make_page(sources, title)))])
    click.echo(printable(f"written: {output} ({output.stat().st_size / 1e6:.1f} MB); open it in a browser"), err=True)
    return 0


def _quick_run() -> Run:
    """A run of the configured workload and strategies, as by `run --quick`."""
    from ..console import progress_bar
    from ..measure.runner import run
    from ..measure.selection import select
    from ..report.sources import Run
    from ..results.document import document

    config = configuration()
    announce_left_out()
    settings = config.settings
    if settings.strategies:
        announce_code(config.place("strategies"), settings.strategies)
    selection = select(settings.workload, settings.strategies, settings.seed)
    options = RunOptions(
        seed=settings.seed,
        budget=EFFORTS["quick"],
        displaced=settings.displaced,
        placement=settings.placement,
        patience=settings.patience,
        processes=settings.processes,
        complete=bool(settings.strategies),
    )
    with progress_bar(shown=sys.stderr.isatty()) as report:
        result = run(selection.trace, selection.workload, selection.strategies, options, report, selection.left_out)
    return Run(OF_HERE, result, document(result))
