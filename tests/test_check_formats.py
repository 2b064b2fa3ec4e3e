"""The output of the gate for the terminal and for CI: complete, escaped, and within the limits of its readers."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from checking import BASELINE, call, code, edit, gfn_of, set_gfn, settle, update

from slotlookup.bench.gate import ci_formats
from slotlookup.bench.gate.ci_formats import annotation, append_summary, escape_data, escape_property, github, junit
from slotlookup.bench.gate.formats import change_text, markdown, markdown_text
from slotlookup.bench.gate.judge import Outcome, Problem, Row, Verdict
from slotlookup.bench.gate.suite import Fault

HOSTILE = 'a"<&>|\x00\x1b[31m\ufffe\ud800]]>%0A\n::error::,:`@x'


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settle(monkeypatch, tmp_path)


def row(verdict: Verdict, workload: str = "w", now: float = 11, metric: str = "lines") -> Row:
    return Row(workload, "s", "gfn", metric, 10, now, 0.0, verdict, operations=5)


def hostile() -> Outcome:
    rows = [Row(HOSTILE, HOSTILE, "gfn", "lines", 10, 11, 0.0, Verdict.REGRESSION, operations=5)]
    faults, problems = [Fault(HOSTILE, HOSTILE, HOSTILE)], [Problem(HOSTILE, HOSTILE, HOSTILE)]
    return Outcome("b.json", [(HOSTILE, HOSTILE, "gfn")], rows=rows, faults=faults, problems=problems)


def test_json_tells_everything() -> None:
    update()
    edit(set_gfn("hops", 0))
    edit(lambda held: gfn_of(held, "rbtree").update(lines=10**6))
    result = call("--format", "json")
    found = json.loads(result.stdout)
    assert (found["schema_version"], found["verdict"], found["exit_code"], found["stale"]) == (1, "regression", 3, True)
    assert len(found["counts"]) == 24 and found["times"] == []
    by_verdict = {r["verdict"]: r for r in found["counts"]}
    assert set(by_verdict) == {"same", "regression", "cheaper"}
    # From nothing to something is no percentage.
    assert by_verdict["regression"]["change_percent"] is None
    assert by_verdict["cheaper"]["baseline"] == 10**6


def test_json_of_what_cannot_be_compared() -> None:
    result = call("--format", "json")
    assert code(result) == 4
    found = json.loads(result.stdout)
    assert (found["verdict"], found["exit_code"], found["counts"]) == ("not comparable", 4, [])
    assert "there is no baseline" in found["problems"][0]["message"]


def test_escapes_as_github_undoes_them() -> None:
    assert escape_data("50%\r\n: a,b") == "50%25%0D%0A: a,b"
    assert escape_property("50%\r\n: a,b") == "50%25%0D%0A%3A a%2Cb"
    assert annotation("error", "x\n::error::y", "t:u,v", "a,b.json", 3) == (
        "::error file=a%2Cb.json,line=3,title=t%3Au%2Cv::x%0A::error::y"
    )
    # A line means nothing without its file.
    assert annotation("notice", "m", "t", None, 3) == "::notice title=t::m"


def test_names_cannot_bring_commands_of_their_own() -> None:
    lines = github(hostile(), "b.json", {}).splitlines()
    assert len(lines) == 3
    assert all(line.startswith("::error file=b.json,title=") for line in lines)


def test_github_points_at_the_line_of_the_baseline() -> None:
    update()
    # Kept in its own form: only then are the lines known.
    text = BASELINE.read_text()
    wrong = text.replace('"compares": ', '"compares": 1', 1)
    BASELINE.write_text(wrong)
    (at,) = [n for n, line in enumerate(wrong.splitlines(), 1) if line not in text.splitlines()]
    edited = json.loads(wrong)
    assert gfn_of(edited)["compares"] > gfn_of(json.loads(text))["compares"]
    result = call("--format", "github")
    assert code(result) == 0 and result.stdout.startswith("::notice file=slotlookup-baseline.json,title=")
    low = text.replace(f'"compares": {gfn_of(json.loads(text))["compares"]}', '"compares": 0', 1)
    BASELINE.write_text(low)
    result = call("--format", "github")
    assert code(result) == 3
    assert result.stdout.startswith(f"::error file=slotlookup-baseline.json,line={at},title=slotlookup%3A regression::")
    assert "linear on small, gfn compares: 0 in the baseline" in result.stdout


def test_github_takes_ten_of_each_level() -> None:
    def commands(count: int) -> list[str]:
        rows = [row(Verdict.REGRESSION, f"w{i}") for i in range(count)]
        rows += [row(Verdict.NOISY, f"w{i}") for i in range(count)]
        return github(Outcome("b.json", rows=rows), "b.json", {}).splitlines()

    for count, last in ((10, "s on w9"), (11, "and 2 more"), (500, "and 491 more")):
        errors = [line for line in commands(count) if line.startswith("::error ")]
        warnings = [line for line in commands(count) if line.startswith("::warning ")]
        assert len(errors) == len(warnings) == 10
        assert last in errors[-1]


def test_github_says_so_when_there_is_no_baseline() -> None:
    result = call("--format", "github")
    assert code(result) == 4
    assert result.stdout.startswith("::error file=slotlookup-baseline.json,title=slotlookup%3A not comparable::")


def test_a_baseline_outside_the_repository_is_not_pointed_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "repository").mkdir()
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path / "repository"))
    assert call("--format", "github").stdout.startswith("::error title=")


def test_the_summary_is_appended_with_every_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    update()
    edit(set_gfn("hops", 0))
    assert code(call("--format", "github")) == 3
    text = summary.read_text()
    assert text.startswith("before\n### slotlookup check: regression\n")
    assert len([line for line in text.splitlines() if line.startswith("| small |")]) == 24
    assert "**regression**" in text


def test_the_summary_keeps_to_what_github_takes(tmp_path: Path) -> None:
    rows = [row(Verdict.SAME, f"w{i}", 10) for i in range(30_000)] + [row(Verdict.REGRESSION, "the worst")]
    outcome = Outcome("b.json", rows=rows)
    assert len(markdown(outcome).encode()) > ci_formats.SUMMARY_BYTES
    summary = tmp_path / "summary.md"
    for held in (0, 5_000, ci_formats.SUMMARY_BYTES - 1_000):
        summary.write_text("x" * held)
        assert append_summary(outcome, {"GITHUB_STEP_SUMMARY": str(summary)}) is None
        text = summary.read_text()
        assert ci_formats.SUMMARY_BYTES - 300 < len(text.encode()) <= ci_formats.SUMMARY_BYTES
        assert "the worst" in text and "Truncated" in text
    summary.write_text("x" * ci_formats.SUMMARY_BYTES)
    append_summary(outcome, {"GITHUB_STEP_SUMMARY": str(summary)})
    assert summary.stat().st_size == ci_formats.SUMMARY_BYTES


def test_a_summary_that_cannot_be_written_does_not_lose_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "no/such/folder/summary.md")
    update()
    edit(set_gfn("hops", 0))
    result = call("--format", "github")
    assert code(result) == 3
    assert "the step's summary cannot be written" in result.stderr


def test_markdown_shows_text_as_it_is() -> None:
    assert markdown_text("a|b\n`c` <d> *e* @f & \\") == ("a&#124;b \\`c\\` &#60;d&#62; \\*e\\* &#64;f &#38; \\\\")
    lines = [line for line in markdown(hostile()).splitlines() if line.startswith("|")]
    assert len(lines) == 3 and all(line.count("|") == 9 for line in lines)


def test_markdown_puts_what_moved_first() -> None:
    rows = [row(Verdict.SAME, "a", 10), row(Verdict.CHEAPER, "b", 9), row(Verdict.REGRESSION, "c")]
    text = markdown(Outcome("b.json", rows=rows))
    assert text.index("| c |") < text.index("| b |") < text.index("<details>") < text.index("| a |")


def test_junit_has_a_case_for_every_group() -> None:
    update()
    edit(set_gfn("hops", 0))
    edit(set_gfn("lines", 0))
    edit(lambda held: held["workloads"]["small"]["strategies"].pop("rbtree"))
    result = call("--format", "junit")
    assert code(result) == 3
    suite = ElementTree.fromstring(result.stdout).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("7", "1", "1")
    names = {(case.get("classname"), case.get("name")) for case in suite}
    groups = {("small", f"{s} {role}") for s in ("linear", "rbtree") for role in ("gfn", "hva", "update")}
    assert names - groups == {("baseline", "comparable 1")}
    (failure,) = suite.findall("testcase/failure")
    # Both counts of the group, one a line.
    assert failure.text is not None and len(failure.text.splitlines()) == 2


def test_junit_of_what_cannot_be_compared_has_an_error() -> None:
    result = call("--format", "junit")
    assert code(result) == 4
    assert len(ElementTree.fromstring(result.stdout).findall("testsuite/testcase/error")) == 1


def test_junit_is_xml_whatever_the_names() -> None:
    text = junit(hostile())
    suite = ElementTree.fromstring(text.encode("utf-8")).find("testsuite")
    assert suite is not None and len(suite) == 3
    (name,) = {case.get("classname") for case in suite}
    assert name is not None and 'a"<&>|\\x00\\x1b[31m\\ufffe\\ud800]]>%0A' in name


@pytest.mark.parametrize(
    ("then", "now", "text"),
    [
        (100, 100, "+0.00 %"),
        (200, 201, "+0.50 %"),
        (3, 2, "-33.33 %"),
        (10**9, 10**9 + 1, "under +0.01 %"),
        (10**9, 10**9 - 1, "under -0.01 %"),
        (0, 1, "from 0"),
        (0, 0, "+0.00 %"),
    ],
)
def test_changes_in_percent(then: int, now: int, text: str) -> None:
    assert change_text(Row("w", "s", "gfn", "lines", then, now, 0.0, Verdict.SAME)) == text
