"""docs/adding-a-strategy.md, followed exactly in a copy of the tree."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from guides import CONFORM, Copy, follow, guide
from results import by_strategy
from source_tree import copy_tree, files_of

GUIDE = guide("adding-a-strategy.md")
pytestmark = pytest.mark.builds

NAMES = ["py-bisect-demo", "sorted-demo"]

# Enough slots for the array to grow, all of them found, with holes between and behind, and some hvas met twice.
RECORD = """
import numpy as np
from slotlookup.memslots import make_memslot
from slotlookup.trace import Trace, gfn_events, hva_events, write_trace

slots = [make_memslot(i, i << 16, 0x8000, 0x7F0000000000 + (i % 10 << 16), 0) for i in range(12)]
starts = [0x7F0000000000 + (i << 14) for i in range(64)]
events = np.concatenate([gfn_events(range(0, 256, 3)), hva_events(starts, [s + 0x9000 for s in starts])])
write_trace(Trace("demo", tuple(slots), events), "demo.parquet")
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    tree = copy_tree(tmp_path_factory.mktemp("adding") / "tree", ("linear", "interval_tree", "rbtree", "py_linear"))
    (tree / "slotlookup.toml").unlink()  # it names strategies that the copy lacks
    before = files_of(tree)
    follow(GUIDE, tree)
    assert files_of(tree) - before == {
        "strategies/py_bisect_demo.py",
        "strategies/sorted_demo.py",
        "strategies/native/sorted_demo.cpp",
    }
    made = Copy(tree)
    made.make()
    return made


def test_the_copy_runs_its_own_code(copy: Copy) -> None:
    where = copy.python("-c", "import slotlookup, _slotlookup_native as n; print(slotlookup.__file__, n.__file__)")
    assert all(Path(path).is_relative_to(copy.tree) for path in where.split())


def test_the_new_strategies_are_listed(copy: Copy) -> None:
    listed = json.loads(copy.python("-m", "slotlookup", "strategies", "--json"))
    assert set(NAMES) <= {row["strategy"] for row in listed["strategies"]}


def test_the_new_strategies_conform(copy: Copy) -> None:
    assert copy.python("-c", CONFORM, *NAMES).splitlines() == [f"{name} conforms" for name in NAMES]


def test_the_new_strategies_appear_in_a_run(copy: Copy) -> None:
    copy.python("-c", RECORD)
    run = ["-m", "slotlookup", "run", "demo.parquet", "--all", "--counts-only", "--json"]
    rows = by_strategy(json.loads(copy.python(*run)))
    assert set(NAMES) <= set(rows)
    assert all(rows[name]["state"] == "verified" for name in NAMES)
    # Halving 12 entries takes at most 4 steps, a scan 6 and more.
    gfn = {name: row["figures"]["gfn"] for name, row in rows.items() if row["state"] == "verified"}
    assert gfn["sorted-demo"]["slots_examined"] < 5 < gfn["linear"]["slots_examined"]
    assert gfn["py-bisect-demo"]["compares"] < gfn["py-linear"]["compares"]


def test_the_specs_of_the_guide_work(copy: Copy) -> None:
    spec = "gfn=sorted-demo,hva=interval-tree"
    assert spec in GUIDE
    assert copy.python("-c", CONFORM, spec) == f"{spec} conforms\n"
