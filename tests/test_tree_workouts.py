"""Structures of nodes, with nodes of a few entries, so that a few slots split, share and join all of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from source_tree import ROOT

COMPILER = shutil.which("c++") or shutil.which("g++")

pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler")

CASES = [
    ("bplus_tree", "BplusTreeOf", "3,3", ["-DWORKOUT_HVA"]),
    ("bplus_tree", "BplusTreeOf", "4,5", ["-DWORKOUT_HVA"]),
    ("maple_tree", "MapleTreeOf", "4,4", []),
    ("maple_tree", "MapleTreeOf", "5,6", []),
    ("radix_table", "RadixTableOf", "2,26", []),
    ("radix_table", "RadixTableOf", "5,11", []),
]


@pytest.mark.parametrize(("source", "template", "constants", "flags"), CASES)
def test_workout(tmp_path: Path, source: str, template: str, constants: str, flags: list[str]) -> None:
    assert COMPILER is not None
    program = tmp_path / "workout"
    core = ROOT / "slotlookup" / "native"
    subprocess.run(
        [
            COMPILER,
            "-std=c++20",
            "-O1",
            f"-I{ROOT}",
            f'-DWORKOUT_SOURCE="strategies/native/{source}.cpp"',
            f"-DWORKOUT_STRUCTURE={template}",
            f"-DWORKOUT_CONSTANTS={constants}",
            *flags,
            str(ROOT / "tests" / "native" / "workout.cpp"),
            str(core / "arena.cpp"),
            str(core / "mode.cpp"),
            "-o",
            str(program),
        ],
        check=True,
        capture_output=True,
    )
    done = subprocess.run([program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
