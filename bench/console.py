"""The terminal: decides on colour, width and animation."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from .measure.runner import Report

PIPED_WIDTH = 120


def output() -> Console:
    """The console for results. Without a terminal, lines are not folded to a guessed width."""
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return Console(highlight=False)
    return Console(highlight=False, width=PIPED_WIDTH)


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
