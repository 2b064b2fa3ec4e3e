"""Declarations of other packages: one that cannot be loaded is left out with its reason, and everything else works."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from slotlookup import discovery, registry
from slotlookup.bench.cli import cli
from slotlookup.errors import UsageError

PACKAGES = {
    "sound": 'PRESET = Preset("theirs", "rbtree", "theirs", "there")',
    "clashing": 'A = Preset("theirs", "linear", "x", "y"); B = Preset("linear", "rbtree", "x", "y"); C = B',
    "failing": "import a_module_that_is_not_installed",
    "wrong": "PRESET = Preset(",
    "leaving": "raise SystemExit(3)",
    "object": "thing = 1",
    "combined": 'A = Preset("unknown", "gfn=nothing,hva=linear", "x", "y"); B = Preset("circle", "circle", "x", "y")',
}
"""Packages with an entry point for strategies, and the text of the module of each."""
HEAD = "from slotlookup.structure import Preset\n"


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The packages, installed as far as their entry points are found."""
    for name, text in PACKAGES.items():
        (tmp_path / f"{name}_package.py").write_text(HEAD + text + "\n", encoding="utf-8")
        meta = tmp_path / f"{name}_package-1.dist-info"
        meta.mkdir()
        (meta / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-package\nVersion: 1\n", encoding="utf-8")
        value = f"{name}_package" + (":thing" if name == "object" else "")
        point = f"[slotlookup.strategies]\n{name} = {value}\n"
        (meta / "entry_points.txt").write_text(point, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    clear()
    yield
    clear()
    for name in PACKAGES:
        sys.modules.pop(f"{name}_package", None)


def clear() -> None:
    for cached in (
        discovery.modules,
        registry._strategies,
        registry._workloads,
        registry.structures,
        registry.presets,
        registry.importers,
    ):
        cached.cache_clear()


def call(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(cli, words, standalone_mode=False)


def test_nothing_of_the_project_is_left_out() -> None:
    assert discovery.modules("slotlookup.strategies")[1] == {}
    assert registry.left_out_strategies() == {} and registry.left_out_workloads() == {}


@pytest.mark.usefixtures("packages")
def test_what_cannot_be_loaded_is_left_out_with_the_reason() -> None:
    left_out = registry.left_out_strategies()
    assert set(left_out) == {
        "circle",
        "clashing_package: linear",
        "failing",
        "leaving",
        "object",
        "sound_package: theirs",
        "unknown",
        "wrong",
    }
    assert left_out["clashing_package: linear"].startswith("slotlookup.strategies.linear has declared 'linear' already")
    assert left_out["failing"] == (
        "the entry point failing_package of failing-package cannot be imported: "
        "ModuleNotFoundError: No module named 'a_module_that_is_not_installed'"
    )
    assert "SyntaxError" in left_out["wrong"] and "SystemExit: 3" in left_out["leaving"]
    assert left_out["object"].endswith("is not a module; point it at one that declares")
    assert registry.presets()["theirs"].spec == "linear"  # of two of one name the first in the order of entry points
    assert str(registry.parse_spec("linear")) == "gfn=linear,hva=linear"


@pytest.mark.usefixtures("packages")
def test_commands_work_and_show_what_is_left_out() -> None:
    listed = json.loads(call("strategies", "--json").stdout)
    assert listed["left_out"] == dict(registry.left_out_strategies())
    assert "theirs" in {row["strategy"] for row in listed["strategies"]}
    assert "failing  left out: the entry point" in call("strategies").stdout
    ran = call("run", "two-slot", "--events", "100", "--counts-only", "--json")
    assert ran.return_value == 0
    assert "theirs" in {one["strategy"] for one in json.loads(ran.stdout)["strategies"]}
    for name, reason in registry.left_out_strategies().items():
        assert f"slotlookup: left out: {name}: {reason}\n" in ran.stderr


@pytest.mark.usefixtures("packages")
def test_asking_for_it_says_why_it_is_left_out() -> None:
    with pytest.raises(UsageError, match="'failing' is left out: the entry point failing_package"):
        registry.parse_spec("failing")


def test_a_module_of_the_folder_that_cannot_be_imported_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "a_folder_of_strategies"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "good.py").write_text(HEAD + 'PRESET = Preset("good", "linear", "x", "y")\n', encoding="utf-8")
    (package / "bad.py").write_text("1 / 0\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    modules, left_out = discovery.modules(package.name)
    assert [module.__name__ for module in modules] == ["a_folder_of_strategies.good"]
    assert left_out == {"a_folder_of_strategies.bad": "cannot be imported: ZeroDivisionError: division by zero"}
