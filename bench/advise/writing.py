"""Puts the choice into a configuration file, without a change to anything else in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tomlkit
from pydantic import ValidationError
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

from slotlookup.config.load import FILE_NAME
from slotlookup.config.settings import Settings
from slotlookup.errors import InputFileError
from slotlookup.writing import replacing

PROJECT = "pyproject.toml"


def with_strategies(path: Path, text: str, strategies: Sequence[str]) -> str:
    """The text of a configuration file with `strategies` set; comments, order and all other keys stay as they are.

    In a `pyproject.toml` it is the table `tool.slotlookup`. Raises InputFileError for a file that is no configuration.
    """
    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        raise InputFileError(path, None, f"is not valid TOML: {error}; nothing was written") from None
    table = _table(path, document)
    table["strategies"] = list(strategies)
    try:
        Settings.model_validate(table.unwrap())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise InputFileError(
            path, None, f"is no valid configuration: {key}: {first['msg']}; nothing was written"
        ) from None
    return tomlkit.dumps(document)


def _table(path: Path, document: tomlkit.TOMLDocument) -> tomlkit.TOMLDocument | Table:
    if path.name != PROJECT:
        return document
    table: tomlkit.TOMLDocument | Table = document
    for key in ("tool", "slotlookup"):
        inner = table.setdefault(key, tomlkit.table(is_super_table=key == "tool"))
        if not isinstance(inner, Table):
            raise InputFileError(path, None, f"'{key}' is not a table; nothing was written")
        table = inner
    return table


def check_configuration(path: Path) -> None:
    """Raise InputFileError, before anything is measured, for a file in which the choice could not be written."""
    if path.name not in (FILE_NAME, PROJECT):
        raise InputFileError(path, None, f"is not read as a configuration; write to {FILE_NAME} or {PROJECT}")
    with_strategies(path, read_text(path), ["linear"])


def read_text(path: Path) -> str:
    """The text of a file; "" if it does not exist. Raises InputFileError if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise InputFileError(path, None, f"cannot be read: {error}") from None


def write_strategies(path: Path, strategies: Sequence[str]) -> None:
    """Set `strategies` in a configuration file, which is replaced whole or not at all."""
    text = with_strategies(path, read_text(path), strategies)
    with replacing(path) as file:
        file.write(text.encode())
