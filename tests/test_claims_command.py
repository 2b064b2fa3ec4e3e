"""The output of `slotlookup claims`, its schema, and runs that were saved."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from click.testing import CliRunner, Result
from test_command_lines import check_line

from slotlookup.bench.claims import report, rules
from slotlookup.bench.claims.judging import Verdict
from slotlookup.bench.claims.saved import read_result, recorded_path
from slotlookup.bench.claims.thread import find_claim
from slotlookup.bench.commands import run
from slotlookup.bench.commands.claims import command
from slotlookup.bench.results.verdict import significant
from slotlookup.errors import InputFileError, UsageError

SCHEMA = files("slotlookup.bench") / "schemas" / "claims.schema.json"


def invoke(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(command, list(arguments), standalone_mode=False)


def test_json_follows_the_published_schema() -> None:
    done = invoke("7", "--json", "--quick")
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert (found["command"], found["options"]["quick"]) == ("slotlookup claims 7 --quick", True)
    assert found["seconds"] > 0
    jsonschema.validate(found, json.loads(SCHEMA.read_text(encoding="utf-8")))
    (claim,) = found["claims"]
    assert claim["id"] == 7
    assert claim["verdict"] in list(Verdict)
    for figures in claim["figures"]:
        words = shlex.split(figures["command"])
        assert words[0] == "slotlookup"
        check_line(words[1:])


def test_the_published_schema_is_that_of_the_code() -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == report.schema()


def test_the_exit_code_is_0_when_a_claim_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "STOPS_AT", -100.0)
    done = invoke("7")
    assert done.exit_code == 0
    assert "does not" in done.stdout
    assert "does not hold: 1" in done.stdout


@pytest.fixture(scope="module")
def saved() -> str:
    """A run of claim 7, as JSON."""
    return invoke("7", "--json").stdout


def test_a_saved_run_is_shown_with_the_verdict_that_its_figures_call_for(saved: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(saved)
    again = json.loads(invoke("--from", str(path), "--json").stdout)
    assert again == json.loads(saved)
    edited = json.loads(saved)
    for figures in edited["claims"][0]["figures"]:
        figures["rbtree"] = figures["below"] + 2
    edited["machine"]["cpu"] = "\x1b[2J"
    path.write_text(json.dumps(edited))
    (claim,) = json.loads(invoke("--from", str(path), "--json").stdout)["claims"]
    assert edited["claims"][0]["verdict"] == Verdict.HOLDS
    assert claim["verdict"] == Verdict.DOES_NOT_HOLD
    shown = " ".join(invoke("--from", str(path)).stdout.split())
    assert f"Recorded, not measured now: {path}" in shown
    for form in ((), ("--markdown",), ("--explain",)):
        assert "\x1b" not in invoke("--from", str(path), *form).stdout


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda claim: claim["figures"][0].update(rbtree="many"), "not a result of `slotlookup claims`: at claims.0"),
        (lambda claim: claim.update(id=9), "not figures of claim 9"),
        (lambda claim: claim.update(figures=[]), "no verdict follows from the figures of claim 7"),
        (lambda claim: claim.update(id=99), "it has none of the claims"),
    ],
)
def test_an_edited_run_is_refused_in_one_line(
    edit: Callable[[dict[str, Any]], None], message: str, saved: str, tmp_path: Path
) -> None:
    found = json.loads(saved)
    edit(found["claims"][0])
    path = tmp_path / "run.json"
    path.write_text(json.dumps(found))
    done = invoke("--from", str(path))
    assert isinstance(done.exception, InputFileError)
    assert message in str(done.exception) and "\n" not in str(done.exception)


def test_explain_shows_steps_rule_figures_and_commands() -> None:
    done = invoke("7", "--explain")
    assert done.exit_code == 0
    claim = find_claim(7)
    text = " ".join(done.stdout.split())
    for words in (*claim.steps, claim.rule_text, "(Andrea Arcangeli, 2008-06-06, <20080606", "Verdict: holds"):
        assert words in text
    shown = [line.split(maxsplit=1)[1] for line in done.stdout.splitlines() if "slotlookup " in line and "run" in line]
    assert len(shown) == 3
    for line in shown:
        check_line(shlex.split(line)[1:])


def test_a_time_below_its_noise_is_not_shown() -> None:
    shown = " ".join(invoke("--recorded", "2", "--markdown").stdout.split())
    assert "below the noise, size-sorted below the noise (" in shown
    assert not re.search(r"-[0-9.]+ ns|size-sorted -\d", shown)


def test_the_table_is_brief_and_an_explanation_has_all() -> None:
    settled = read_result(recorded_path(), [find_claim(12)]).settled[0]
    assert settled.judgement.details
    words = settled.judgement.details.split("; ")[0]
    assert words not in " ".join(invoke("--recorded", "12").stdout.split())
    assert words in " ".join(invoke("--recorded", "12", "--explain").stdout.split())


@pytest.mark.parametrize("width", ["60", "80", "140"])
def test_no_figure_is_cut_at_any_width(width: str) -> None:
    arguments = ["--recorded", "--explain"]
    shown = CliRunner(env={"COLUMNS": width}).invoke(command, arguments, standalone_mode=False).stdout
    words = {word.strip(";,.") for word in shown.split()}
    assert "…" not in shown
    for one in read_result(recorded_path()).settled:
        for figures in one.figures:
            texts = [value for value in figures.cells().values() if isinstance(value, str)]
            counts = [f"{value:,}" for value in figures.cells().values() if type(value) is int]
            assert {word.strip(";,.") for text in (*texts, *counts) for word in text.split()} <= words


@pytest.mark.parametrize(("number", "workload"), [(1, "mm-operations"), (5, "two-slot")])
def test_a_command_shows_the_figure_that_it_repeats(number: int, workload: str) -> None:
    (one,) = read_result(recorded_path(), [find_claim(number)]).settled
    (figures,) = (each for each in one.figures if each.workload == workload)
    words = shlex.split(figures.command)[2:]
    shown = CliRunner(env={"COLUMNS": "160"}).invoke(run.command, words, standalone_mode=False).stdout
    _, table = shown.split(f"{'gfn lookups' if number == 1 else 'hva visits'}  ")
    for value in figures.cells().values():
        if isinstance(value, float):
            assert significant(value) in table.split()


def test_commands_repeat_the_draws_of_a_seed() -> None:
    found = json.loads(invoke("7", "--json", "--seed", "3").stdout)["claims"][0]["figures"]
    assert all("--seed 3" in figures["command"] for figures in found)
    assert "claims 7 --explain --seed 3" in invoke("7", "--explain", "--seed", "3").stdout


def test_markdown_has_the_table_and_a_section() -> None:
    done = invoke("7", "--markdown")
    assert done.exit_code == 0
    assert "| 7 | An rbtree by start" in done.stdout
    assert "### 7. An rbtree by start" in done.stdout
    assert "Command: `slotlookup claims 7`" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("99",), "there is no claim 99; there are: 1"),
        (("7", "--json", "--markdown"), "exclude each other"),
        (("7", "--explain", "--json"), "exclude each other"),
        (("7", "--quick", "--rigorous"), "exclude each other"),
        (("7", "--recorded", "--quick"), "exclude each other"),
        (("7", "--recorded", "--seed", "1"), "leave --seed out"),
    ],
)
def test_bad_usage_is_one_line(arguments: tuple[str, ...], message: str) -> None:
    done = invoke(*arguments)
    assert isinstance(done.exception, UsageError)
    assert message in str(done.exception)
