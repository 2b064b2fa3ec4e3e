"""Option types shared by several commands."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import click

from slotlookup.config.settings import LARGEST_SEED, MOST_PROCESSES, PROCESSES
from slotlookup.errors import UsageError
from slotlookup.registry import in_known_case, in_known_cases, names_a_trace, workloads

_F = TypeVar("_F", bound=Callable[..., Any])
if TYPE_CHECKING:  # generic only in later versions of click
    _IntType = click.ParamType[int]
else:
    _IntType = click.ParamType

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

stride_option = click.option(
    "--stride",
    type=click.IntRange(64, 4096),
    callback=lambda ctx, param, value: value or 0,
    metavar="BYTES",
    help="Distance of native strategies' slots in memory, the same for all [default: what the nodes of each need].",
)
floor_option = click.option(
    "--floor", is_flag=True, help="Also time reading the right slot without finding it: no structure can be faster."
)


class Size(_IntType):
    """A number of bytes, in one of the forms of SIZES, from 0 to `most`."""

    name = "size"

    def __init__(self, most: int = (1 << 63) - 1) -> None:
        self.most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of bytes. Raises click.BadParameter."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d{1,18}(?:\.\d{1,9})?)\s*(?:([KMGT])(?:I?B)?|B)?", value.strip().upper())
        if found is None:
            self.fail(f"'{value}' is not a size; write bytes, or 64K, 1.5G, 64MiB", param, ctx)
        size = Decimal(found[1]) * (1 << {None: 0, "K": 10, "M": 20, "G": 30, "T": 40}[found[2]])
        if size != int(size):
            self.fail(f"'{value}' is not a whole number of bytes", param, ctx)
        if size > self.most:
            self.fail(f"'{value}' is more than {self.most:,} bytes", param, ctx)
        return int(size)


SIZES = "K, M, G and T, also as KiB or KB, are powers of 1,024"
"""The suffixes of a Size, for help texts."""


class Number(click.IntRange):
    """A whole number within a range, also written as 1e6, 1,000,000 or 1_000_000; `hint` ends the refusal of others."""

    def __init__(self, min: int | None = None, max: int | None = None, *, hint: str = "") -> None:
        super().__init__(min, max)
        self.hint = hint

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number. Raises click.BadParameter."""
        if isinstance(value, str):
            text = value.strip()
            exponent = re.fullmatch(r"(\d{1,18}(?:\.\d{1,9})?)e\+?(\d{1,2})", text, re.IGNORECASE)
            if re.fullmatch(r"\d{1,3}([,_]\d{3})+", text):
                value = re.sub("[,_]", "", text)
            elif exponent is not None and (number := Decimal(exponent[1]).scaleb(int(exponent[2]))) == int(number):
                value = int(number)
            elif not re.fullmatch(r"[+-]?\d{1,100}", text):
                self.fail(f"'{value}' is not a whole number{self.hint}", param, ctx)
        return int(super().convert(value, param, ctx))


SEED = Number(0, LARGEST_SEED)


def strategy_texts(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Strategies with their names in the case in which they are known. One that is given twice is refused."""
    texts = tuple(map(in_known_cases, value))
    for text in texts:
        if texts.count(text) > 1:
            raise click.BadParameter(f"'{text}' is given twice; remove one", ctx, param)
    return texts


def workload_name(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """A workload's name in the case in which it is known; a file as it is."""
    return value if value is None or names_a_trace(value) else in_known_case(value, workloads())


def effort_option(effort: str, text: str) -> Callable[[_F], _F]:
    """A flag that sets the parameter `effort`, such as --quick. A second one is refused."""

    def chosen(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
        held = ctx.params.setdefault("effort", None)
        if wanted and held is not None:
            raise UsageError(f"give --{held} or --{effort}, but not both")
        if wanted:
            ctx.params["effort"] = effort

    return click.option(f"--{effort}", is_flag=True, expose_value=False, callback=chosen, help=text)


def refuse_with(given: str, without_effect: Mapping[str, object]) -> None:
    """Raise UsageError for the first option that has a value and no effect next to the option `given`."""
    for option, value in without_effect.items():
        if value is not None and value is not False:
            raise UsageError(f"{option} has no effect with {given}; remove one of them")


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
