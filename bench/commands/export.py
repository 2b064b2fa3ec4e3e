"""`slotlookup export`."""

from __future__ import annotations

from pathlib import Path

import click

from slotlookup.errors import UsageError
from slotlookup.writing import must_differ

from ..helpful import EachOnce
from ..results.export import check_export_path, exported
from ..results.load import load_result
from ..results.model import write_texts
from ..results.side_by_side import to_side_by_side


@click.command(cls=EachOnce)
@click.argument("results", nargs=-1, required=True, metavar="RESULT...", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    "outputs",
    required=True,
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write, as CSV or Markdown according to its ending (.csv, .md); may be repeated.",
)
@click.option(
    "--side-by-side",
    is_flag=True,
    help="Write one Markdown table per role for all RESULTs: one row per strategy, one column per result.",
)
def command(results: tuple[Path, ...], outputs: tuple[Path, ...], side_by_side: bool) -> int:
    """Write saved RESULTs as CSV or Markdown tables, one result after another."""
    for path in outputs:
        check_export_path(path)
        if side_by_side and path.suffix.lower() != ".md":
            raise UsageError(f"{path}: --side-by-side writes Markdown; give a name that ends in .md")
    must_differ(*outputs)
    runs = [load_result(path) for path in results]
    write_texts([(path, to_side_by_side(runs) if side_by_side else exported(path, runs)) for path in outputs])
    return 0
