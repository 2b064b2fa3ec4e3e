"""Invalid baselines of every kind: none passes, and each is reported."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checking import BASELINE, call, code, edit, gfn_of, set_gfn, settle, update


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settle(monkeypatch, tmp_path)


def rename(held: dict[str, Any], new: str) -> None:
    held["workloads"][new] = held["workloads"].pop("small")


def strategies(held: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = held["workloads"]["small"]["strategies"]
    return found


IN_JSON: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "another schema": (lambda held: held.update(schema_version=2), "baseline schema 2; this slotlookup reads schema 1"),
    "a schema that is true": (lambda held: held.update(schema_version=True), "baseline schema true"),
    "no schema": (lambda held: held.pop("schema_version"), "it has no schema_version"),
    "no workloads": (lambda held: held.update(workloads={}), "the baseline has no figures"),
    "no strategies": (lambda held: strategies(held).clear(), "the baseline has no figures"),
    "an unknown key": (lambda held: held.update(extra=1), "extra is not a key of schema 1"),
    "other slots or events": (
        lambda held: held["workloads"]["small"].update(fingerprint="0" * 16),
        "workload 'small' differs: fingerprint was 0000000000000000 in the baseline and is ",
    ),
    "other questions": (
        lambda held: held["workloads"]["small"].update(questions="0" * 16),
        "workload 'small' differs: questions was 0000000000000000",
    ),
    "another seed": (
        lambda held: held["workloads"]["small"].update(seed=7),
        "workload 'small' differs: seed was 7 in the baseline and is 0 now",
    ),
    "other events": (lambda held: held["workloads"]["small"].update(events=11), "events was 11 in the baseline and is"),
    "no seed": (lambda held: held["workloads"]["small"].pop("seed"), "workloads.small.seed is missing"),
    "another workload": (lambda held: rename(held, "large"), "workload 'small' is not in the baseline (and 1 more)"),
    "a workload too many": (
        lambda held: held["workloads"].update(large=held["workloads"]["small"]),
        "workload 'large' is in the baseline but is no longer checked",
    ),
    "a strategy that is missing": (
        lambda held: strategies(held).pop("rbtree"),
        "strategy 'rbtree' is not in the baseline",
    ),
    "a strategy too many": (
        lambda held: strategies(held).update(gone=strategies(held)["rbtree"]),
        "strategy 'gone' is in the baseline but is no longer checked",
    ),
    "a role that is missing": (
        lambda held: strategies(held)["linear"].pop("hva"),
        "the baseline lacks hva of strategy 'linear' on workload 'small'",
    ),
    "an unknown role": (
        lambda held: strategies(held)["linear"].update(hvas=gfn_of(held)),
        "workloads.small.strategies.linear.hvas: input should be 'gfn', 'hva' or 'update'",
    ),
    "a count that is missing": (
        lambda held: gfn_of(held).pop("compares"),
        "the baseline lacks compares for gfn of strategy 'linear' on workload 'small'",
    ),
    "a count that is null": (set_gfn("compares", None), "the baseline lacks compares for gfn"),
    "a count that is no integer": (set_gfn("compares", 1.5), "workloads.small.strategies.linear.gfn.compares: input"),
    "a count that is text": (set_gfn("compares", "1"), "linear.gfn.compares: input should be a valid integer"),
    "a count that is true": (set_gfn("compares", True), "linear.gfn.compares: input should be a valid integer"),
    "a count below zero": (set_gfn("lines", -1), "linear.gfn.lines: input should be greater than or equal to 0"),
    "an unknown count": (set_gfn("comparisons", 1), "linear.gfn.comparisons is not a key of schema 1"),
    "no operations": (lambda held: gfn_of(held).pop("operations"), "linear.gfn.operations is missing"),
    "other operations": (set_gfn("operations", 8), "8 operations in the baseline and 9 now"),
    "another placement": (
        lambda held: held.update(placement="scattered"),
        "slots were placed scattered in the baseline and are placed packed now",
    ),
}


@pytest.mark.parametrize("name", IN_JSON)
def test_a_baseline_with_a_fault_inside_is_not_comparable(name: str) -> None:
    update()
    change, words = IN_JSON[name]
    edit(change)
    result = call()
    assert code(result) == 4, result.output
    message = str(result.exception)
    assert message.startswith(str(Path.cwd() / BASELINE))
    assert words in message
    assert "`slotlookup check --update`" in message
    assert "\n" not in message


def loop() -> None:
    BASELINE.unlink()
    BASELINE.symlink_to(BASELINE)


def directory() -> None:
    BASELINE.unlink()
    BASELINE.mkdir()


def pipe() -> None:
    BASELINE.unlink()
    os.mkfifo(BASELINE)


AS_FILE: dict[str, tuple[Callable[[], object], str]] = {
    "missing": (lambda: BASELINE.unlink(), "there is no baseline"),
    "empty": (lambda: BASELINE.write_text(""), "the file is empty"),
    "blank": (lambda: BASELINE.write_text("\n \n"), "the file is empty"),
    "an empty object": (lambda: BASELINE.write_text("{}"), "it has no schema_version"),
    "a list": (lambda: BASELINE.write_text("[]"), "it has no schema_version"),
    "cut off": (lambda: BASELINE.write_text(BASELINE.read_text()[:-300]), "not JSON: "),
    "in conflict": (lambda: BASELINE.write_text("<<<<<<< HEAD\n" + BASELINE.read_text()), "at line 1, column 1"),
    "merged badly": (
        lambda: BASELINE.write_text(BASELINE.read_text().replace('"compares"', '"lines": 1, "compares"', 1)),
        'the key "lines" is present twice',
    ),
    "nested too deeply": (lambda: BASELINE.write_text("[" * 100_000), "nested too deeply"),
    "not text": (lambda: BASELINE.write_bytes(b"\xff\xfe"), "not text in UTF-8"),
    "a directory": (directory, "it is a directory"),
    "a pipe": (pipe, "it is not a regular file"),
    "unreadable": (loop, "cannot be read: "),
}


@pytest.mark.parametrize("name", AS_FILE)
def test_a_file_that_is_no_baseline(name: str) -> None:
    update()
    change, words = AS_FILE[name]
    change()
    result = call()
    assert code(result) == 4
    assert words in str(result.exception)
    assert "\n" not in str(result.exception)
