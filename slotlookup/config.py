"""Configuration: `slotlookup.toml`, or `[tool.slotlookup]` in `pyproject.toml`.

Flag beats environment (`SLOTLOOKUP_*`) beats file beats default. A wrong key or value is one line with the key's path.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from slotlookup.errors import ConfigError

FILE_NAME = "slotlookup.toml"
ENVIRONMENT_PREFIX = "SLOTLOOKUP_"


class Settings(BaseModel):
    """Every setting. An empty `strategies` means all that the registry finds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workload: str = Field("q35-4G-numa64", description="What `run` replays where no workload is named.")
    strategies: tuple[str, ...] = Field((), description="Names or specs of the strategies to compare; all if empty.")
    seed: int = Field(0, ge=0, lt=1 << 63, description="Seed of everything that is drawn at random.")


@dataclass(frozen=True)
class Config:
    """The settings in force, and for each where it came from: a file, an environment variable or `default`."""

    settings: Settings
    source: Mapping[str, str]


def _from_file(directory: Path) -> tuple[dict[str, Any], str]:
    """The settings table nearest to `directory`, upwards, and the file that holds it."""
    for folder in (directory, *directory.parents):
        own = folder / FILE_NAME
        if own.is_file():
            return _parse(own), str(own)
        project = folder / "pyproject.toml"
        if project.is_file():
            tool = _parse(project).get("tool", {})
            if "slotlookup" in tool:
                if not isinstance(tool["slotlookup"], dict):
                    raise ConfigError(f"{project}: tool.slotlookup is not a table")
                return tool["slotlookup"], f"{project} [tool.slotlookup]"
    return {}, ""


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None


def _from_environment(environment: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    values: dict[str, Any] = {}
    source: dict[str, str] = {}
    for name in Settings.model_fields:
        variable = ENVIRONMENT_PREFIX + name.upper()
        if variable in environment:
            text = environment[variable]
            # Specs contain commas, so a list is separated by semicolons.
            values[name] = [part.strip() for part in text.split(";") if part.strip()] if name == "strategies" else text
            source[name] = variable
    return values, source


def load_config(directory: Path | None = None, environment: Mapping[str, str] | None = None) -> Config:
    """The configuration in force in `directory` (default: the current one). Raises ConfigError."""
    table, file = _from_file((directory or Path.cwd()).resolve())
    values, source = _from_environment(os.environ if environment is None else environment)
    merged = {**table, **values}
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(_explain(error, source, file)) from None
    return Config(
        settings, {name: source.get(name, file if name in table else "default") for name in Settings.model_fields}
    )


def _explain(error: ValidationError, source: Mapping[str, str], file: str) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    place = source.get(str(first["loc"][0]), file)
    if first["type"] == "extra_forbidden":
        near = get_close_matches(key, list(Settings.model_fields), n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(Settings.model_fields)}"
        return f"{place}: no setting is called '{key}'; {hint}"
    return f"{place}: {key}: {first['msg'][:1].lower()}{first['msg'][1:]}, not {first['input']!r}"
