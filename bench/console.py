"""The terminal: decides on colour, width and animation."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.segment import Segment

from .measure.run_options import Report
from .printable import printable

PIPED_WIDTH = 120


class _Harmless(Console):
    """A console whose text cannot drive the terminal, whatever file it came from. Newlines are the layout's."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                text = "\n".join(map(printable, segment.text.split("\n")))
                yield Segment(text, segment.style, segment.control)


def output() -> Console:
    """The console for results. Without a terminal, lines are not folded to a guessed width."""
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return _Harmless(highlight=False)
    return _Harmless(highlight=False, width=PIPED_WIDTH)


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
