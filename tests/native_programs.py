"""C++ programs over the core's sources, compiled by tests."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from source_tree import ROOT

COMPILER = shutil.which("c++") or shutil.which("g++")
CORE = ROOT / "slotlookup" / "native"

needs_compiler = pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler")


def compile_cpp(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the compiler for C++20 with the tree's root as include path."""
    assert COMPILER is not None
    return subprocess.run(
        [COMPILER, "-std=c++20", "-Wall", "-Wextra", *map(str, arguments), f"-I{ROOT}"],
        capture_output=True,
        text=True,
        check=False,
    )


def compiles_with_gcc() -> bool:
    """Whether the compiler is there and is GCC."""
    if COMPILER is None:
        return False
    version = subprocess.run([COMPILER, "--version"], capture_output=True, text=True, check=False).stdout
    return "Free Software Foundation" in version


def run_program(directory: Path, *arguments: str | Path) -> None:
    """Build a program into `directory` from sources and flags, and run it: it must exit with 0."""
    program = directory / "program"
    built = compile_cpp(*arguments, "-o", program)
    assert built.returncode == 0, built.stderr
    done = subprocess.run([program], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
