"""Configuration: precedence, places, and one clear line for whatever is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from slotlookup.config import load_config
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
    ],
)
def test_what_is_wrong_is_one_line_with_the_keys_path(tmp_path: Path, text: str, parts: list[str]) -> None:
    (tmp_path / "slotlookup.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path, {})
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_a_table_that_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool]\nslotlookup = 3\n")
    with pytest.raises(ConfigError, match=r"tool\.slotlookup is not a table"):
        load_config(tmp_path, {})


def test_a_wrong_environment_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="SLOTLOOKUP_SEED"):
        load_config(tmp_path, {"SLOTLOOKUP_SEED": "soon"})
