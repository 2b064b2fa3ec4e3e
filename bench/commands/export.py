"""`slotlookup export`."""

from __future__ import annotations

from pathlib import Path

import click

from slotlookup.errors import UsageError

from ..results.export import check_export_path, write_export
from ..results.load import load_result
from ..results.model import write_text
from ..results.side_by_side import to_side_by_side


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
@click.option(
    "--side-by-side",
    is_flag=True,
    help="Markdown: one table a role for all RESULTs, a strategy a row, a result a column.",
)
def command(results: tuple[Path, ...], outputs: tuple[Path, ...], side_by_side: bool) -> int:
    """Write saved RESULTs as CSV or Markdown tables, one after another."""
    for path in outputs:
        check_export_path(path)
        if side_by_side and path.suffix.lower() != ".md":
            raise UsageError(f"{path}: --side-by-side writes Markdown; give a name that ends in .md")
    runs = [load_result(path) for path in results]
    for path in outputs:
        if side_by_side:
            write_text(path, to_side_by_side(runs))
        else:
            write_export(path, runs)
    return 0
