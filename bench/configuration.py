"""The configuration for commands: loaded, and with all names of strategies and workloads checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import click

from slotlookup.config.load import DEFAULT, Config, load_config
from slotlookup.config.settings import Settings
from slotlookup.errors import UsageError
from slotlookup.registry import (
    find_workload,
    left_out_strategies,
    left_out_workloads,
    mentions_a_file,
    names_a_file,
    names_a_trace,
    parse_spec,
)

from .printable import printable


def configuration(directory: Path | None = None, environment: Mapping[str, str] | None = None) -> Config:
    """The effective configuration from `load_config`. Raises ConfigError.

    Every command reports an unknown name, also a command that does not use that setting.
    """
    config = load_config(directory, environment)
    for key, name in _workload_names(config.settings):
        # The command that replays it may find a file of that name in the current folder.
        if config.place(key) != DEFAULT and not names_a_trace(name) and not Path(name).exists():
            try:
                find_workload(name)
            except UsageError as error:
                raise config.error(key, str(error)) from None
    for key, text in _strategy_names(config.settings):
        if not mentions_a_file(text):  # the path may be relative to another folder; the command that uses it checks
            try:
                parse_spec(text)
            except UsageError as error:
                raise config.error(key, str(error)) from None
    return config


def announce_left_out() -> None:
    """Name on stderr what could not be loaded, so that nobody takes the rest for everything."""
    for name, reason in {**left_out_strategies(), **left_out_workloads()}.items():
        click.echo(printable(f"slotlookup: left out: {name}: {reason}"), err=True)


def announce_code(place: str, strategies: Iterable[str]) -> None:
    """Name on stderr, before it is loaded, the code among strategies that a file or variable, `place`, asks for."""
    for text in strategies:
        parts = [item.partition("=")[2] or item for item in text.split(",")]
        for file in dict.fromkeys(part.strip() for part in parts):
            if names_a_file(file):
                path = Path(file).expanduser().absolute()
                click.echo(printable(f"slotlookup: loading {path}, which {place} names"), err=True)


def _workload_names(settings: Settings) -> Iterator[tuple[str, str]]:
    yield "workload", settings.workload
    for i, workload in enumerate(settings.check.workloads):
        yield f"check.workloads.{i}.name", workload.name


def _strategy_names(settings: Settings) -> Iterator[tuple[str, str]]:
    for i, text in enumerate(settings.strategies):
        yield f"strategies.{i}", text
    for i, text in enumerate(settings.check.strategies or ()):
        yield f"check.strategies.{i}", text
    for i, gate in enumerate(settings.check.times):
        yield f"check.times.{i}.strategy", gate.strategy
        yield f"check.times.{i}.against", gate.against
    if settings.advise.now is not None:
        yield "advise.now", settings.advise.now
