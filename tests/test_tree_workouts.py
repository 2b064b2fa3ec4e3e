"""Structures of nodes, with nodes of a few entries, so that a few slots cause all kinds of splits and merges."""

from __future__ import annotations

from pathlib import Path

import pytest
from native_programs import CORE, needs_compiler, run_program
from source_tree import ROOT

pytestmark = [needs_compiler, pytest.mark.builds]

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
    run_program(
        tmp_path,
        "-O1",
        f'-DWORKOUT_SOURCE="strategies/native/{source}.cpp"',
        f"-DWORKOUT_STRUCTURE={template}",
        f"-DWORKOUT_CONSTANTS={constants}",
        *flags,
        ROOT / "tests" / "native" / "workout.cpp",
        CORE / "arena.cpp",
        CORE / "mode.cpp",
        CORE / "registry.cpp",
    )
