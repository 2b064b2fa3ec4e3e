"""Output without a terminal: rows in one line each, and a reader that exits early."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from slotlookup import registry
from slotlookup.bench.cli import cli

SLOTLOOKUP = Path(sys.executable).with_name("slotlookup")
LONG = "gfn=implicit-intervals,hva=implicit-intervals,cache=last-used,update=copy"
LONG_ROW = LONG.removeprefix("gfn=implicit-intervals,hva=")


def piped(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": None}).invoke(cli, words, standalone_mode=False)


@pytest.mark.parametrize(("command", "names"), [("strategies", registry.strategy_names()), ("workloads", None)])
def test_a_list_has_one_line_for_each_name(command: str, names: list[str] | None) -> None:
    first, *rows = piped(command).stdout.splitlines()
    assert first.split()[0] == command.removesuffix("s").replace("strategie", "strategy")
    listed = [row.split()[0] for row in rows if not row.startswith("n: ")]
    assert listed == list(names or registry.workloads())


def test_a_table_has_one_line_for_each_row_with_the_whole_name() -> None:
    words = ("two-slot", "-s", LONG, "-s", "linear", "--counts-only", "--events", "100", "--role", "gfn")
    shown = piped("run", *words).stdout.splitlines()
    assert not [line for line in shown if line != line.rstrip()]
    headings = [line for line in shown if line.startswith("strategy")]
    for ranked, row in ((LONG, f" {LONG_ROW}"), ("linear (reference)", " linear")):
        for heading, name in zip(headings, (ranked, row), strict=True):  # the ranking, and the table of gfn lookups
            (line,) = (line for line in shown if line.startswith(f"{name} "))
            assert len(line) == len(heading)  # figures are aligned to the right, below their headings


def test_names_of_columns_are_whole() -> None:
    words = ("synthetic-uniform", "--slots", "2,4", "-s", LONG, "-s", "interval-tree", "--counts-only")
    shown = piped("sweep", *words).stdout.splitlines()
    headings = [line.split() for line in shown if line.startswith("slots")]
    assert headings[0] == ["slots", LONG_ROW, "interval-tree"]


@pytest.mark.parametrize("words", [("strategies",), ("run", "two-slot", "-s", "linear", "--counts-only", "--json")])
def test_a_reader_that_exits_early_is_no_failure(words: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run([SLOTLOOKUP, *words], stdout=writer, stderr=subprocess.PIPE, check=False, timeout=60)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_an_error_keeps_its_exit_code_without_a_reader() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run([SLOTLOOKUP, "run", "nothing"], stdout=writer, stderr=writer, check=False, timeout=60)
    finally:
        os.close(writer)
    assert done.returncode == 2
