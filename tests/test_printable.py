"""Texts of traces and files on the terminal: no escape sequence, and no line that a file made up."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from results import gfn, result, row

from slotlookup.bench.cli import cli
from slotlookup.bench.console import output
from slotlookup.bench.printable import printable, printable_all
from slotlookup.bench.results.document import to_json

HOSTILE = "nice\x1b[2J\x1b]0;title\x07\nVerdict: rbtree is the cheapest.\r\u202e\x9b1m"


@given(text=st.text(st.characters(codec="utf-8") | st.sampled_from(HOSTILE)))
def test_printable_text_is_one_line_and_drives_nothing(text: str) -> None:
    made = printable(text)
    assert made.isprintable()
    assert printable(made) == made
    if text.isprintable():
        assert made == text


def test_escapes() -> None:
    assert printable("a\x1b[1m\n\u202e\udc80\u00e9 b") == "a\\x1b[1m\\n\\u202e\\udc80\u00e9 b"


def harmless(text: str) -> None:
    """Require lines of printable text, none of which the hostile text made up."""
    assert all(line.isprintable() for line in text.split("\n"))
    assert not [line for line in text.split("\n") if line.strip().startswith("Verdict:")]


def test_what_a_file_says_is_printed_harmlessly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "500")  # nothing is folded
    for name, compares in (("a.json", 1.0), ("b.json", 2.0)):
        made = result(
            row("linear", gfn(compares)), row(HOSTILE, gfn(compares), note=HOSTILE), workload={"name": HOSTILE}
        )
        Path(name).write_text(to_json(made))
    done = CliRunner().invoke(cli, ["compare", "a.json", "b.json"])
    assert done.exit_code == 0, done.exception
    assert "\\x1b" in done.stdout
    harmless(done.stdout)


def test_the_console_lets_no_escape_through(capsys: pytest.CaptureFixture[str]) -> None:
    output().print(HOSTILE, markup=False)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and "\x07" not in shown and "\u202e" not in shown


def test_what_needs_no_change_is_the_same() -> None:
    made = result(row("linear", gfn()))
    assert printable_all(made) == made
