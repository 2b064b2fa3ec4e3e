"""The published schema of the configuration, and `slotlookup config`."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from click.testing import CliRunner
from source_tree import ROOT

from slotlookup.bench.commands.config import command
from slotlookup.bench.measure.run_options import DISPLACED
from slotlookup.config import settings
from slotlookup.config.load import load_config
from slotlookup.config.settings import config_schema
from slotlookup.errors import ConfigError

PUBLISHED = ROOT / "slotlookup" / "schemas" / "config.schema.json"


def test_the_published_schema_is_that_of_the_settings() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == config_schema(), (
        "write it again: slotlookup config schema > slotlookup/schemas/config.schema.json"
    )


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(config_schema()))


def test_every_key_is_described() -> None:
    schema = json.loads(config_schema())
    tables = [schema, *schema["$defs"].values()]
    keys = [(name, key) for t in tables for o in t.get("anyOf", [t]) for name, key in o.get("properties", {}).items()]
    assert len(keys) > 25
    assert [name for name, key in keys if not (key.get("description") or "$ref" in key)] == []


def test_every_key_is_documented() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    schema = json.loads(config_schema())
    tables = [schema, *schema["$defs"].values()]
    keys = {name for t in tables for o in t.get("anyOf", [t]) for name in o.get("properties", {})}
    assert {key for key in keys if f"`{key}`" not in text} == set()
    variables = {f"SLOTLOOKUP_{key.upper()}" for key in settings.Settings.model_fields if key not in settings.TABLES}
    assert {variable for variable in variables if f"`{variable}`" not in text} == set()


def test_the_example_of_the_documentation_is_valid() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    example = text.split("```toml\n")[1].split("```")[0]
    jsonschema.validate(tomllib.loads(example), json.loads(config_schema()))


FULL = """
workload = "two-slot"
strategies = ["linear", "gfn=rbtree,hva=linear"]
seed = 3
displaced = 4096
placement = "scattered"
budget = 2

[check]
baseline = "b.json"
strategies = ["linear", "kvm-5.17"]
workloads = ["two-slot", { name = "synthetic-uniform", slots = 8, events = 100, seed = 1, label = "eight" }]

[[check.tolerances]]
strategy = "kvm-*"
workload = "*"
role = "gfn"
metric = "lines"
percent = 5

[[check.times]]
strategy = "kvm-5.17"
against = "linear"
role = "gfn"
mode = "latency_cold"
workload = "eight"
percent = 10.5

[advise]
target = "vmm"
now = "rbtree"
max_bytes_per_slot = 400
max_update_ns = 1000.5
worst_case = true
cold = true
"""
WRONG = [
    "stratgies = []",
    "seed = -1",
    "seed = true",
    "seed = 9223372036854775808",
    "displaced = 1.5",
    "placement = 'pack'",
    "budget = 0",
    "workload = ''",
    "strategies = 'linear'",
    "strategies = [1]",
    "check = 1",
    "check.baselin = 'x'",
    "check.workloads = 'two-slot'",
    "check.workloads = [1]",
    "check.workloads = [{slots = 1}]",
    "check.workloads = [{name = 'two-slot', slot = 1}]",
    "check.workloads = [{name = 'two-slot', slots = 0}]",
    "check.workloads = [{name = 'two-slot', events = '5'}]",
    "check.tolerances = [{strategy = 'linear'}]",
    "check.tolerances = [{percent = -1}]",
    "check.tolerances = [{percent = 1, metric = 'compare'}]",
    "check.times = [{strategy = 'linear', percent = 1}]",
    "advise = 'kernel'",
    "advise.target = 'hypervisor'",
    "advise.now = ''",
    "advise.max_update_ns = -1",
    "advise.max_bytes_per_slot = '8'",
    "advise.cold = 1",
]


@pytest.mark.parametrize("text", ["", FULL, "check = {}", "check.workloads = ['two-slot']"])
def test_what_is_accepted_is_valid_for_editors(tmp_path: Path, text: str) -> None:
    (tmp_path / "slotlookup.toml").write_text(text)
    load_config(tmp_path, {})
    jsonschema.validate(tomllib.loads(text), json.loads(config_schema()))


@pytest.mark.parametrize("text", WRONG)
def test_what_is_refused_is_marked_by_editors(tmp_path: Path, text: str) -> None:
    (tmp_path / "slotlookup.toml").write_text(text)
    with pytest.raises(ConfigError):
        load_config(tmp_path, {})
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(text), json.loads(config_schema()))


def test_the_project_s_own_configuration_is_valid() -> None:
    own = ROOT / "slotlookup.toml"
    if not own.exists():
        pytest.skip("a distribution may leave it out")
    text = own.read_text(encoding="utf-8")
    assert text.startswith("#:schema ./slotlookup/schemas/config.schema.json\n")
    jsonschema.validate(tomllib.loads(text), json.loads(config_schema()))
    load_config(ROOT, {})


def test_cold_caches_are_displaced_by_as_much_as_in_a_run() -> None:
    assert settings.Settings().displaced == DISPLACED


def call(*arguments: str) -> str:
    result = CliRunner().invoke(command, list(arguments), standalone_mode=False)
    assert result.exception is None, result.exception
    return result.stdout


def test_schema_prints_the_schema() -> None:
    assert call("schema") == config_schema()


def shown(tmp_path: Path) -> dict[str, dict[str, Any]]:
    document = json.loads(call("show", "--json"))
    assert document["schema_version"] == 1
    assert document["directory"] == str(tmp_path)
    return {row["key"]: row for row in document["settings"]}


def test_show_tells_value_and_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLOTLOOKUP_SEED", "5")
    (tmp_path / "pyproject.toml").write_text("[tool.slotlookup]\nbudget = 2\n[tool.slotlookup.check]\nbaseline = 'b'\n")
    rows = shown(tmp_path)
    project = f"{tmp_path / 'pyproject.toml'} [tool.slotlookup]"
    assert (rows["seed"]["value"], rows["seed"]["source"]) == (5, "SLOTLOOKUP_SEED")
    assert (rows["budget"]["value"], rows["budget"]["source"]) == (2.0, project)
    assert (rows["check.baseline"]["value"], rows["check.baseline"]["source"]) == ("b", project)
    assert (rows["placement"]["value"], rows["placement"]["source"]) == ("packed", "default")
    assert rows["check.strategies"] == {"key": "check.strategies", "value": None, "source": "default"}
    assert {"name": "microvm-1G"} in rows["check.workloads"]["value"]


def test_show_as_a_table_names_every_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "500")  # nothing is folded
    text = call("show")
    assert all(key in text for key in shown(tmp_path))
    assert '{ name = "two-slot", events = 20000 }' in text
