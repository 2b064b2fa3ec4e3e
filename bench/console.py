"""The terminal: decides on colour, width and animation."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from .measure.run_options import Report
from .printable import printable

PROSE_WIDTH = 120
"""Sentences are wrapped at this width if there is no terminal."""
ENDLESS = 100_000
"""The width without a terminal: every column of a table is shown, and no line is folded."""
WIDEST_CELL = 100
"""Longer cells are not folded either, but the cells above and below are not aligned with them."""


class _Harmless(Console):
    """A console whose text cannot drive the terminal, whatever file it came from. Newlines are the layout's."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                text = "\n".join(map(printable, segment.text.split("\n")))
                yield Segment(text, segment.style, segment.control)


class _Plain(_Harmless):
    """The console for pipes and files, whose readers are programs: rows are not folded, and no line ends in blanks."""

    def print(self, *objects: Any, **options: Any) -> None:
        with self.capture() as captured:
            if len(objects) == 1 and isinstance(objects[0], Table):
                for line in _plain_lines(objects[0]):
                    super().print(line, soft_wrap=True, markup=False)
            else:
                super().print(*objects, width=PROSE_WIDTH, **options)
        self.file.write(re.sub(r"[ \t]+$", "", captured.get(), flags=re.MULTILINE))


def _plain_lines(table: Table) -> Iterator[str]:
    """The headings and the rows of a table, one line each; cells are aligned, and two or more blanks separate them."""
    columns = [[_in_a_line(cell) for cell in (column.header, *column.cells)] for column in table.columns]
    widths = [min(max(map(len, column)), WIDEST_CELL) for column in columns]
    for row in zip(*columns, strict=True):
        cells = [
            text.rjust(width) if column.justify == "right" else text.ljust(width)
            for text, width, column in zip(row, widths, table.columns, strict=True)
        ]
        if any(row):
            yield "  ".join(cells).rstrip()


def _in_a_line(cell: object) -> str:
    """A cell's text in one line. A line that was broken after punctuation within a name continues without a blank."""
    text = cell.plain if isinstance(cell, Text) else Text.from_markup(str(cell)).plain
    return re.sub(r"(?<![-=,+\s])\s*\n\s*", " ", text).replace("\n", "")


def output() -> Console:
    """The console for results. Without a terminal it is as wide as its tables; $COLUMNS sets another width."""
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return _Harmless(highlight=False)
    return _Plain(highlight=False, width=ENDLESS)


def prose_width(console: Console) -> int:
    """The width at which a page of text is filled."""
    return min(console.width, PROSE_WIDTH)


@contextmanager
def progress_bar(shown: bool) -> Iterator[Report]:
    """A bar on stderr while the block runs; silent if `shown` is false or stderr is not a terminal."""
    console = Console(stderr=True, highlight=False)
    if not shown or not console.is_terminal or console.is_dumb_terminal:
        yield lambda what, part: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda what, part: bar.update(task, description=f"{what:<28}", completed=part)
