"""`slotlookup config`."""

from __future__ import annotations

import json
from typing import Any

import click

from slotlookup.config.settings import TABLES, config_schema, without_nulls

from ..configuration import configuration
from ..helpful import HelpfulGroup


@click.group(cls=HelpfulGroup, context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Show the effective configuration, or the schema with which editors check it."""


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else on stdout.")
def show(as_json: bool) -> None:
    """Print every setting with its source: a file, an environment variable, or `default`."""
    config = configuration()
    values = without_nulls(config.settings.model_dump(mode="json"))
    rows = [(key, value, config.source[key]) for key, value in values.items() if key not in TABLES]
    rows += [
        (f"{table}.{key}", values[table].get(key), config.source[f"{table}.{key}"])
        for table, kind in TABLES.items()
        for key in kind.model_fields
    ]
    if as_json:
        settings = [{"key": key, "value": value, "source": source} for key, value, source in rows]
        document = {"schema_version": 1, "directory": str(config.directory), "settings": settings}
        click.echo(json.dumps(document, indent=2))
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from ..console import output

    table = Table("key", "value", "from", box=SIMPLE_HEAD, pad_edge=False)
    for key, value, source in rows:
        table.add_row(Text(key), Text(_toml(value), overflow="fold"), Text(source, overflow="fold"))
    output().print(table)


def _toml(value: Any) -> str:
    """A value in TOML syntax, with one line per element of an array of tables."""
    if value is None:
        return "not set"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        inner = [_toml(item) for item in value]
        tables = any(isinstance(item, dict) for item in value)
        return "[\n  " + ",\n  ".join(inner) + ",\n]" if tables else f"[{', '.join(inner)}]"
    return json.dumps(value, ensure_ascii=False)


@command.command()
def schema() -> None:
    """Print the JSON Schema of the configuration. It also ships as slotlookup/schemas/config.schema.json."""
    click.echo(config_schema(), nl=False)
