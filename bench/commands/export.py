"""`slotlookup export`."""

from __future__ import annotations

from pathlib import Path

import click

from ..export import check_export_path, write_export
from ..load import load_result


@click.command()
@click.argument("results", nargs=-1, required=True, metavar="RESULT...", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    "outputs",
    required=True,
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV or Markdown by its ending (.csv, .md); repeat for both.",
)
def command(results: tuple[Path, ...], outputs: tuple[Path, ...]) -> int:
    """Write saved RESULTs as CSV or Markdown tables, one after another."""
    for path in outputs:
        check_export_path(path)
    runs = [load_result(path) for path in results]
    for path in outputs:
        write_export(path, runs)
    return 0
