"""Configuration: precedence, places, and one clear line for every error."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from slotlookup.bench.cli import cli
from slotlookup.bench.configuration import announce_code, configuration
from slotlookup.config.load import load_config
from slotlookup.errors import ConfigError


def test_defaults(tmp_path: Path) -> None:
    config = load_config(tmp_path, {})
    assert config.settings.strategies == ()
    assert set(config.source.values()) == {"default"}


def test_own_file_beats_the_project_table_beside_it(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.slotlookup]\nseed = 1\n")
    assert load_config(tmp_path, {}).settings.seed == 1
    (tmp_path / "slotlookup.toml").write_text("seed = 2\n")
    config = load_config(tmp_path, {})
    assert config.settings.seed == 2
    assert config.source["seed"] == str(tmp_path / "slotlookup.toml")


def test_the_nearest_file_upwards_counts(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (tmp_path / "slotlookup.toml").write_text('strategies = ["linear", "gfn=rbtree,hva=linear"]\n')
    (tmp_path / "a" / "pyproject.toml").write_text("[project]\nname = 'no table of ours'\n")
    assert load_config(below, {}).settings.strategies == ("linear", "gfn=rbtree,hva=linear")


def test_environment_beats_file(tmp_path: Path) -> None:
    (tmp_path / "slotlookup.toml").write_text('seed = 2\nstrategies = ["linear"]\n')
    config = load_config(
        tmp_path, {"SLOTLOOKUP_SEED": "5", "SLOTLOOKUP_STRATEGIES": "rbtree; gfn=rbtree,hva=interval-tree"}
    )
    assert config.settings.seed == 5
    assert config.settings.strategies == ("rbtree", "gfn=rbtree,hva=interval-tree")
    assert config.source["seed"] == "SLOTLOOKUP_SEED"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("stratgies = ['linear']\n", ["slotlookup.toml", "'stratgies'", "did you mean 'strategies'?"]),
        ("zzz = 1\n", ["'zzz'", "there are:"]),
        ("seed = -1\n", ["seed", "greater than or equal to 0", "-1"]),
        ("seed = 'many'\n", ["seed", "'many'"]),
        ("strategies = 'linear'\n", ["strategies", "'linear'"]),
        ("strategies = [1]\n", ["strategies.0", "1"]),
        ("seed = \n", ["not valid TOML"]),
        ("seed = true\n", ["seed: ", "not True"]),
        ("placement = 'scatered'\n", ["placement: ", "did you mean 'scattered'?", "not 'scatered'"]),
        ("displaced = 1.5\n", ["displaced: ", "1.5"]),
        ("budget = 0\n", ["budget: ", "greater than or equal to 0.01", "not 0"]),
        ("workload = 'two-slott'\n", ["workload: no workload is called 'two-slott'; did you mean 'two-slot'?"]),
        ("strategies = ['linear', 'rbtre']\n", ["strategies.1: ", "did you mean 'rbtree'?"]),
        ("strategies = ['gfn=rbtree']\n", ["strategies.0: ", "hva not given"]),
        ("check = 3\n", ["slotlookup.toml: check: should be a table, not 3"]),
        ("[check]\nbaselin = 'x'\n", ["no setting is called 'check.baselin'; did you mean 'check.baseline'?"]),
        ("[check]\nworkloads = 'two-slot'\n", ["check.workloads: should be an array, not 'two-slot'"]),
        ("[check]\nworkloads = [5]\n", ["check.workloads.0: should be a name or a table with a name, not 5"]),
        ("[check]\nworkloads = [{slots = 5}]\n", ["check.workloads.0.name: is required here"]),
        (
            "[check]\nworkloads = ['one-slot', {name = 'two-slot', slot = 5}]\n",
            ["no setting is called 'check.workloads.1.slot'; did you mean 'check.workloads.1.slots'?"],
        ),
        ("[check]\nworkloads = [{name = 'two'}]\n", ["check.workloads.0.name: no workload is called 'two'"]),
        ("[check]\nstrategies = ['rbtre']\n", ["check.strategies.0: ", "did you mean 'rbtree'?"]),
        (
            "[[check.tolerances]]\nstrategie = 'x'\npercent = 1\n",
            ["'check.tolerances.0.strategie'; did you mean 'check.tolerances.0.strategy'?"],
        ),
        ("[[check.tolerances]]\nzzz = 1\npercent = 1\n", ["'check.tolerances.0.zzz'; there are: strategy, workload"]),
        ("[[check.tolerances]]\nmetric = 'line'\npercent = 1\n", ["check.tolerances.0.metric: ", "mean 'lines'?"]),
    ],
)
def test_what_is_wrong_is_one_line_with_the_keys_path(tmp_path: Path, text: str, parts: list[str]) -> None:
    (tmp_path / "slotlookup.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        configuration(tmp_path, {})
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_a_table_that_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool]\nslotlookup = 3\n")
    with pytest.raises(ConfigError, match=r"tool\.slotlookup is not a table"):
        load_config(tmp_path, {})


def test_every_top_level_key_has_a_variable(tmp_path: Path) -> None:
    given = {
        "SLOTLOOKUP_WORKLOAD": "one-slot",
        "SLOTLOOKUP_STRATEGIES": "linear",
        "SLOTLOOKUP_SEED": "1",
        "SLOTLOOKUP_DISPLACED": "0",
        "SLOTLOOKUP_PLACEMENT": "scattered",
        "SLOTLOOKUP_BUDGET": "0.5",
    }
    config = load_config(tmp_path, given)
    settings = config.settings
    assert (settings.workload, settings.strategies, settings.seed) == ("one-slot", ("linear",), 1)
    assert (settings.displaced, settings.placement, settings.budget) == (0, "scattered", 0.5)
    assert [config.source[name] for name in ("workload", "budget")] == ["SLOTLOOKUP_WORKLOAD", "SLOTLOOKUP_BUDGET"]


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        ("SLOTLOOKUP_STRATEGIES", "linear; rbtre", "SLOTLOOKUP_STRATEGIES: strategies.1: .*did you mean 'rbtree'"),
        ("SLOTLOOKUP_BUDGET", "much", "SLOTLOOKUP_BUDGET: budget: .*not 'much'"),
        ("SLOTLOOKUP_STRATEGY", "linear", "SLOTLOOKUP_STRATEGY: .*did you mean SLOTLOOKUP_STRATEGIES"),
        ("SLOTLOOKUP_CHECK", "x", "SLOTLOOKUP_CHECK: check is a table; set its keys in a file"),
    ],
)
def test_what_is_wrong_with_a_variable(tmp_path: Path, variable: str, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        configuration(tmp_path, {variable: text})


def test_variables_of_others_are_left_alone(tmp_path: Path) -> None:
    assert load_config(tmp_path, {"SLOTLOOKUP_SANITIZE": "ON"}).settings.seed == 0


def test_keys_of_the_check_table_know_their_source(tmp_path: Path) -> None:
    (tmp_path / "slotlookup.toml").write_text("[check]\nbaseline = 'b.json'\n")
    config = load_config(tmp_path, {})
    assert config.source["check.baseline"] == str(tmp_path / "slotlookup.toml")
    assert config.source["check.workloads"] == "default"
    assert config.directory == tmp_path


def test_a_workload_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "slotlookup.toml").write_text("workload = 'none.parquet'\n[check]\nworkloads = ['traces/x.parquet']\n")
    assert configuration(tmp_path, {}).settings.check.workloads[0].title == "traces/x.parquet"


def test_a_wrong_environment_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="SLOTLOOKUP_SEED"):
        load_config(tmp_path, {"SLOTLOOKUP_SEED": "soon"})


def nested(tmp_path: Path) -> tuple[Path, Path]:
    """A folder, and one below it."""
    above, below = tmp_path / "above", tmp_path / "above" / "below"
    below.mkdir(parents=True)
    return above, below


def give_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `path` belong to another user than the one who runs slotlookup."""
    if os.geteuid() == 0:
        os.chown(path, 65534, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)


@pytest.mark.parametrize(
    ("name", "text"), [("slotlookup.toml", "seed = 3\n"), ("pyproject.toml", "[tool.slotlookup]\nseed = 3\n")]
)
@pytest.mark.parametrize("whose", ["file", "folder"])
def test_a_file_above_that_belongs_to_another_is_refused(
    name: str, text: str, whose: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    above, below = nested(tmp_path)
    (above / name).write_text(text)
    assert load_config(below, {}).settings.seed == 3
    give_away(above / name if whose == "file" else above, monkeypatch)
    with pytest.raises(
        ConfigError, match=rf"above/{name}: not used, .* belongs to another user .*; run slotlookup in "
    ):
        load_config(below, {})
    assert load_config(above, {}).settings.seed == 3


@pytest.mark.parametrize(("whose", "mode"), [("file", 0o666), ("folder", 0o777), ("folder", 0o1777)])
def test_a_file_above_that_everybody_can_write_is_refused(whose: str, mode: int, tmp_path: Path) -> None:
    above, below = nested(tmp_path)
    file = above / "slotlookup.toml"
    file.write_text("seed = 3\n")
    (file if whose == "file" else above).chmod(mode)
    with pytest.raises(ConfigError, match=rf"slotlookup.toml: not used, .* its {whose} is world-writable"):
        load_config(below, {})
    assert load_config(above, {}).settings.seed == 3


def test_a_project_above_without_settings_is_nobodys_concern(tmp_path: Path) -> None:
    above, below = nested(tmp_path)
    (above / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    above.chmod(0o777)
    assert load_config(below, {}).settings.seed == 0


@pytest.mark.parametrize("name", ["slotlookup.toml", "pyproject.toml"])
@pytest.mark.parametrize("kind", ["dangling", "folder", "loop", "fifo"])
def test_what_is_no_file_is_not_skipped(name: str, kind: str, tmp_path: Path) -> None:
    above, below = nested(tmp_path)
    (above / "slotlookup.toml").write_text("seed = 3\n")
    path = below / name
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("gone" if kind == "dangling" else name)
    with pytest.raises(ConfigError, match=f"below/{name}: "):
        load_config(below, {})


def test_code_that_a_file_names_is_announced_before_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text("raise SystemExit('loaded')\n")
    file = tmp_path / "slotlookup.toml"
    for text in ("strategies = ['linear', './evil.py:C']\n", "[check]\nstrategies = ['gfn=./evil.py:C,hva=linear']\n"):
        file.write_text(text)
        command = ["check"] if "check" in text else ["run", "one-slot", "--counts-only"]
        shown = CliRunner().invoke(cli, command).stderr
        assert shown.startswith(f"slotlookup: loading {tmp_path}/evil.py:C, which {file} names\n")
    shown = CliRunner().invoke(cli, ["run", "one-slot", "--counts-only", "-s", "linear"]).stderr
    assert "loading" not in shown


def test_the_name_of_announced_code_is_printable(capsys: pytest.CaptureFixture[str]) -> None:
    announce_code("a file", ["./\x1b[2J\n.so"])
    assert capsys.readouterr().err.endswith("/\\x1b[2J\\n.so, which a file names\n")
