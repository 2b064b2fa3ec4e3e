"""Option types shared by several commands."""

from __future__ import annotations

import math
import re
from typing import Any

import click

from slotlookup.config.settings import MOST_PROCESSES, PROCESSES
from slotlookup.errors import UsageError

LONGEST = 86_400
"""Seconds: a day."""


class Seconds(click.FloatRange):
    """A duration above 0 and up to a day. `nan`, which compares as neither inside nor outside a range, is refused."""

    def __init__(self) -> None:
        super().__init__(0, LONGEST, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number. Raises click.BadParameter."""
        seconds = float(super().convert(value, param, ctx))
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a duration.", param, ctx)
        return seconds


processes_option = click.option(
    "--processes",
    type=click.IntRange(1, MOST_PROCESSES),
    metavar="N",
    help="New processes that time, one after another. From 6 on, intervals hold between runs; with 1, this process "
    f"times, and intervals cover its own noise only [default: the configured number, or {PROCESSES}].",
)


def memory_size(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """A number of bytes with an optional suffix, as for QEMU's -m."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d{1,18})([KMG]?)", value.strip().upper())
    if found is None:
        raise click.BadParameter(f"'{value}' is not a size; write bytes, or 64M, or 4G", ctx, param)
    return int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[found[2]]


def choice(*words: str) -> click.Choice[str]:
    """One of `words`, as plain text: click would show an enumeration's members by the names that only code knows."""
    return click.Choice([str(word) for word in words])


def check_name(name: str | None) -> None:
    """Raise UsageError if `--name` is empty, or contains characters that a terminal does not print as themselves."""
    if name is None:
        return
    if not name.strip():
        raise UsageError("--name is empty")
    if not name.isprintable():
        raise UsageError(f"--name: {name!r} is not printable")
