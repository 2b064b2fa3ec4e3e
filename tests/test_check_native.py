"""The gate against native modules that differ: by one extra comparison in a source, or by the optimisation level."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from source_tree import copy_tree

pytestmark = pytest.mark.builds

SOURCE = "strategies/native/range_array.hpp"
BEFORE = "if (SLOTLOOKUP_COMPARE(point >= entry->start)"
SLOWER = f"SLOTLOOKUP_COMPARE(true);\n      {BEFORE}"
CONFIG = """
[check]
strategies = ["linear", "rbtree"]
workloads = ["microvm-1G", { name = "two-slot", events = 2_000 }]
"""


def tool(name: str) -> str:
    """A build tool of this environment or of the machine."""
    found = shutil.which(name, path=f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ.get('PATH', '')}")
    assert found, f"{name} is needed to build the native module"
    return found


def run(*command: str, cwd: Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLOTLOOKUP_")}
    if path is not None:
        environment["PYTHONPATH"] = path
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def check(tree: Path, *arguments: str, module: Path | None = None) -> subprocess.CompletedProcess[str]:
    """`slotlookup check` over a tree, with the native module found first in `module`."""
    site = [sysconfig.get_path("platlib"), sysconfig.get_path("purelib")]
    path = os.pathsep.join([str(tree), *([str(module)] if module else []), *site])
    return run(sys.executable, "-S", "-m", "slotlookup", "check", *arguments, cwd=tree, path=path)


def module_of(tree: Path) -> Path:
    """The folder of a native module built from a tree's sources."""
    build = tree / "build" / "native"
    nanobind = run(sys.executable, "-m", "nanobind", "--cmake_dir", cwd=tree).stdout.strip()
    hints = [f"-DPython_EXECUTABLE={sys.executable}", f"-Dnanobind_DIR={nanobind}"]
    for command in (
        [tool("cmake"), "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}", *hints, "-B", str(build)],
        [tool("ninja"), "-C", str(build), "_slotlookup_native"],
    ):
        done = run(*command, cwd=tree)
        assert done.returncode == 0, done.stdout + done.stderr
    return build


def test_one_comparison_too_many_in_the_native_source(tmp_path: Path) -> None:
    tree = copy_tree(tmp_path / "tree", ("linear", "rbtree"))
    (tree / "slotlookup.toml").write_text(CONFIG, encoding="utf-8")
    # With the module that is installed: what the source is before the change.
    assert check(tree, "--update").returncode == 0
    assert check(tree).returncode == 0

    source = tree / SOURCE
    text = source.read_text(encoding="utf-8")
    assert text.count(BEFORE) == 1
    source.write_text(text.replace(BEFORE, SLOWER), encoding="utf-8")
    build = module_of(tree)

    done = check(tree, "--format", "json", module=build)
    assert done.returncode == 3, done.stdout + done.stderr
    worse = [row for row in json.loads(done.stdout)["counts"] if row["verdict"] == "regression"]
    # The comparison comes with each slot that a lookup examines, and with nothing else.
    assert {(row["strategy"], row["role"], row["metric"]) for row in worse} == {("linear", "gfn", "compares")}
    assert {row["workload"] for row in worse} == {"microvm-1G", "two-slot"}
    examined = {row["workload"]: row["now"] for row in json.loads(done.stdout)["counts"] if is_examined(row)}
    assert all(row["now"] - row["baseline"] == examined[row["workload"]] for row in worse)


def test_counts_do_not_depend_on_the_optimisation(tmp_path: Path) -> None:
    """Every structure, counted at -O2."""
    tree = copy_tree(tmp_path / "tree")
    text = (tree / "CMakeLists.txt").read_text(encoding="utf-8")
    assert text.count("set(optimisation_counted -Og)") == text.count("set(optimisation_timed -O2)") == 1
    swapped = text.replace("optimisation_counted -Og", "optimisation_counted -O2")
    # Nothing is timed here.
    swapped = swapped.replace("optimisation_timed -O2", "optimisation_timed -Og")
    (tree / "CMakeLists.txt").write_text(swapped, encoding="utf-8")
    build = module_of(tree)
    compiled = run(tool("ninja"), "-C", str(build), "-t", "commands", "_slotlookup_native", cwd=tree).stdout
    counted = [line for line in compiled.splitlines() if "-DSLOTLOOKUP_COUNTED" in line and " -c " in line]
    assert counted and all(" -O2 " in line and " -Og " not in line for line in counted)

    done = check(tree, module=build)
    assert done.returncode == 0, done.stdout + done.stderr
    done = check(tree)
    assert done.returncode == 0, done.stdout + done.stderr


def is_examined(row: dict[str, object]) -> bool:
    return (row["strategy"], row["role"], row["metric"]) == ("linear", "gfn", "slots_examined")
