"""Configuration: `slotlookup.toml`, or `[tool.slotlookup]` in `pyproject.toml`.

A flag overrides the environment (`SLOTLOOKUP_*`), which overrides the file, which overrides the default. A wrong key,
value or name gives one line with the key's path. `slotlookup.config.settings` defines the keys.
"""

from __future__ import annotations

import os
import reprlib
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from slotlookup.config.settings import TABLES
from slotlookup.config.settings import Settings as Settings
from slotlookup.errors import ConfigError

FILE_NAME = "slotlookup.toml"
ENVIRONMENT_PREFIX = "SLOTLOOKUP_"
DEFAULT = "default"

# Errors of this project, and these, include the given value in their text; to all others it is added.
_SELF_EXPLAINING = {"missing", "same_title", "same_strategy", "no_latency"}
_KINDS = {"tuple_type": "should be an array", "model_type": "should be a table", "dict_type": "should be a table"}


@dataclass(frozen=True)
class Config:
    """The effective settings, and the source of each: a file, an environment variable or `default`.

    `source` is keyed by dotted key (`seed`, `check`, `check.baseline`). Paths in the settings are relative to
    `directory`: the folder of the configuration file, or the current folder if there is no file.
    """

    settings: Settings
    source: Mapping[str, str]
    directory: Path

    def place(self, key: str) -> str:
        """Where a dotted key, or the nearest table around it, was set."""
        return _place(self.source, key)

    def error(self, key: str, message: str) -> ConfigError:
        """An error message for a setting, which begins with its place and its dotted key."""
        return ConfigError(f"{self.place(key)}: {key}: {message}")


def _place(source: Mapping[str, str], key: str) -> str:
    """Where a dotted key, or the nearest table around it, was set."""
    while key not in source and "." in key:
        key = key.rpartition(".")[0]
    return source.get(key, DEFAULT)


def _from_file(directory: Path) -> tuple[dict[str, Any], str, Path]:
    """The settings table nearest to `directory`, upwards; the name of its file in messages; and its folder."""
    for folder in (directory, *directory.parents):
        above = folder != directory
        own = folder / FILE_NAME
        if _exists(own):
            if above:
                _require_trust(own)
            return _parse(own), str(own), folder
        project = folder / "pyproject.toml"
        if _exists(project):
            tool = _parse(project).get("tool", {})
            if isinstance(tool, dict) and "slotlookup" in tool:
                if not isinstance(tool["slotlookup"], dict):
                    raise ConfigError(f"{project}: tool.slotlookup is not a table")
                if above:
                    _require_trust(project)
                return tool["slotlookup"], f"{project} [tool.slotlookup]", folder
    return {}, "", directory


def _exists(path: Path) -> bool:
    """Whether `path` is a file. Raises ConfigError if it is anything else, a link to nothing, or cannot be examined."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        if path.is_file():
            return True
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    kind = "a link to a file that does not exist" if path.is_symlink() and not path.exists() else "not a file"
    raise ConfigError(f"{path}: {kind}; mend or remove it")


def _require_trust(path: Path) -> None:
    """Raise ConfigError if another user could have written a file in a folder above the current one.

    A configuration names code to load. Root, who can change every file, is trusted.
    """
    remedy = f"run slotlookup in {path.parent} if you trust the file"
    for what, status in (("folder", path.parent.stat()), ("file", path.lstat()), ("file", path.stat())):
        where = f"{path}: not used, because it lies above the current folder and"
        if status.st_uid not in (os.geteuid(), 0):
            raise ConfigError(f"{where} its {what} belongs to another user (uid {status.st_uid}); {remedy}")
        if not stat.S_ISLNK(status.st_mode) and status.st_mode & stat.S_IWOTH:
            raise ConfigError(f"{where} its {what} is world-writable; {remedy}")


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{path}: not valid TOML: nested too deeply") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None


def _from_environment(environment: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The top-level keys that variables set; only files set tables."""
    variables = {ENVIRONMENT_PREFIX + name.upper(): name for name in Settings.model_fields if name not in TABLES}
    values: dict[str, Any] = {}
    source: dict[str, str] = {}
    for variable, text in environment.items():
        if variable in variables:
            name = variables[variable]
            values[name] = _converted(name, text)
            source[name] = variable
        elif (name := variable.removeprefix(ENVIRONMENT_PREFIX).lower()) in TABLES and variable.isupper():
            raise ConfigError(f"{variable}: {name} is a table; set its keys in a file")
        elif variable.startswith(ENVIRONMENT_PREFIX):
            # Variables of other tools may have the same prefix, so only names close to a known one are errors.
            near = get_close_matches(variable, list(variables), n=1, cutoff=0.85)
            if near:
                raise ConfigError(f"{variable}: no setting is called that; did you mean {near[0]}?")
    return values, source


def _converted(name: str, text: str) -> Any:
    """A variable's text converted to the type of its key; unchanged if that fails, so that validation reports it."""
    if name == "strategies":
        # Specs contain commas, so a list is separated by semicolons.
        return [part.strip() for part in text.split(";") if part.strip()]
    kind = {"seed": int, "displaced": int, "processes": int, "budget": float, "patience": float}.get(name, str)
    try:
        return kind(text)
    except ValueError:
        return text


def load_config(directory: Path | None = None, environment: Mapping[str, str] | None = None) -> Config:
    """The effective configuration in `directory` (default: the current folder). Raises ConfigError.

    The registry decides whether the named strategies and workloads exist.
    """
    table, file, folder = _from_file((directory or Path.cwd()).resolve())
    values, source = _from_environment(os.environ if environment is None else environment)
    for name in Settings.model_fields:
        source.setdefault(name, file if name in table else DEFAULT)
    for key, kind in TABLES.items():
        inner = table.get(key)
        for name in kind.model_fields:
            source[f"{key}.{name}"] = file if isinstance(inner, Mapping) and name in inner else DEFAULT
    try:
        settings = Settings.model_validate({**table, **values})
    except ValidationError as error:
        raise ConfigError(_explain(error.errors(include_url=False)[0], source, file)) from None
    return Config(settings, source, folder)


def _explain(error: ErrorDetails, source: Mapping[str, str], file: str) -> str:
    key = ".".join(str(part) for part in error["loc"])
    place = _place(source, key)
    if error["type"] == "extra_forbidden":
        # Only a file can contain an unknown key.
        last, known = str(error["loc"][-1]), _keys_beside(error["loc"])
        near = get_close_matches(last, known, n=1)
        path = key.removesuffix(last)
        hint = f"did you mean '{path}{near[0]}'?" if near else f"there are: {', '.join(known)}"
        return f"{file}: no setting is called '{key}'; {hint}"
    if error["type"] == "missing":
        return f"{place}: {key}: is required here"
    message = _KINDS.get(error["type"]) or f"{error['msg'][:1].lower()}{error['msg'][1:]}"
    if error["type"] in _SELF_EXPLAINING:
        return f"{place}: {key}: {message}"
    if error["type"] == "literal_error" and isinstance(error["input"], str):
        choices = error["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        near = get_close_matches(error["input"], choices, n=1)
        message += f" (did you mean '{near[0]}'?)" if near else ""
    return f"{place}: {key}: {message}, not {reprlib.repr(error['input'])}"


def _keys_beside(loc: tuple[int | str, ...]) -> list[str]:
    """The keys of the table that contains the last part of `loc`."""
    table: type[BaseModel] = Settings
    for part in loc[:-1]:
        if isinstance(part, str):
            table = _table_in(table.model_fields[part].annotation) or table
    return list(table.model_fields)


def _table_in(annotation: Any) -> type[BaseModel] | None:
    """The table type of a key's value, or of the elements of its array."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _table_in(inner))), None)
