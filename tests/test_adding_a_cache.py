"""docs/adding-a-cache.md and docs/adding-a-timing.md, followed exactly, and the number of files that each changes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from guides import CONFORM, Copy, follow, guide
from results import by_strategy
from source_tree import copy_tree, files_of

CACHE, TIMING = guide("adding-a-cache.md"), guide("adding-a-timing.md")
CODE = (".py", ".hpp", ".cpp")
EXAMPLES = ("linear", "py_linear")

# 100 lookups of the first and the last of 12 slots alternately, and a slot change.
RECORD = """
import numpy as np
from slotlookup.memslots import make_memslot
from slotlookup.trace import Trace, gfn_events, hva_events, write_trace

slots = [make_memslot(i, i << 16, 0x8000, 0x7F0000000000 + (i << 16), 0) for i in range(12)]
events = np.concatenate([gfn_events([0, 11 << 4] * 50), hva_events([0x7F0000000000], [0x7F0000001000])])
write_trace(Trace("demo", tuple(slots), events), "demo.parquet")
"""


def code_files(files: set[str]) -> set[str]:
    return {file for file in files if file.endswith(CODE)}


def test_a_cache_takes_two_code_files(tmp_path: Path) -> None:
    tree = copy_tree(tmp_path / "tree", EXAMPLES)
    before = files_of(tree)
    touched = follow(CACHE, tree)
    assert files_of(tree) == before
    assert touched == {"slotlookup/native/cache.hpp", "slotlookup/vocabulary.py"}


def test_a_timing_takes_at_most_four_code_files(tmp_path: Path) -> None:
    listed = set(re.findall(r"^\| `([^`]+)` \|", TIMING, re.MULTILINE))
    assert len(code_files(listed)) <= 4
    tree = copy_tree(tmp_path / "tree", EXAMPLES)
    before = files_of(tree)
    assert follow(TIMING, tree) < listed
    assert files_of(tree) == before


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    tree = copy_tree(tmp_path_factory.mktemp("adding") / "tree", EXAMPLES)
    (tree / "slotlookup.toml").unlink()  # it names strategies that the copy lacks
    follow(CACHE, tree)
    follow(TIMING, tree)
    made = Copy(tree)
    made.make()
    made.python("-c", RECORD)
    return made


def run(copy: Copy, *arguments: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        copy.python("-m", "slotlookup", "run", "demo.parquet", "--json", "-s", "linear", *arguments)
    )
    return by_strategy(document)


@pytest.mark.builds
def test_the_new_cache_conforms(copy: Copy) -> None:
    specs = ["linear,cache=last-two", "linear,cache=last-two,update=two-sets", "linear,cache=last-two,update=copy"]
    assert copy.python("-c", CONFORM, *specs).splitlines() == [f"{spec} conforms" for spec in specs]


@pytest.mark.builds
def test_the_new_cache_counts(copy: Copy) -> None:
    rows = run(copy, "--counts-only", "-s", "linear,cache=last-used", "-s", "linear,cache=last-two")
    assert all(row["state"] == "verified" for row in rows.values())
    examined = {name: row["figures"]["gfn"]["slots_examined"] * 100 for name, row in rows.items()}
    # The scan tests 1 slot for the first slot and 12 for the last, 50 times each. The slot found last is always the
    # other one: each lookup after the first tests it in vain. Of the last two found, the second holds the gfn, so
    # lookups test 2 slots; the first lookup finds the cache empty, the second tests one slot in vain.
    assert examined["linear"] == pytest.approx(50 * 13)
    assert examined["linear,cache=last-used"] == pytest.approx(50 * 13 + 99)
    assert examined["linear,cache=last-two"] == pytest.approx(1 + 13 + 98 * 2)


@pytest.mark.builds
def test_the_new_timing_is_measured_saved_and_read_back(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLOTLOOKUP_BUDGET", "0.01")
    ops = run(copy, "--save", "run.json")["linear"]["figures"]
    assert all(sample > 0 for sample in ops["gfn"]["ns"]["fenced_hot"]["samples"])
    assert ops["hva"]["ns"]["fenced_hot"] is not None
    assert ops["update"]["ns"]["fenced_hot"] is None
    exported = copy.python("-m", "slotlookup", "export", "run.json", "-o", "run.csv")
    assert "fenced_hot_ns" in (copy.tree / "run.csv").read_text(encoding="utf-8"), exported
    assert "fenced_hot" in copy.python("-m", "slotlookup", "sweep", "--help")
    assert '"fenced_hot"' in copy.python("-m", "slotlookup", "config", "schema")


@pytest.mark.builds
def test_the_vocabulary_s_tests_ask_for_the_schema_and_for_nothing_else(copy: Copy) -> None:
    failed = copy.python(
        "-c",
        "import subprocess, sys; print(subprocess.run([sys.executable, '-S', '-m', 'pytest', '-q', '-n', '0', '-p', "
        "'no:cacheprovider', '-rf', 'tests/test_vocabulary.py'], capture_output=True, text=True).stdout)",
    )
    assert re.findall(r"^FAILED \S+::(\w+)", failed, re.MULTILINE) == [
        "test_the_schema_of_results_has_a_key_for_each_name"
    ], failed
