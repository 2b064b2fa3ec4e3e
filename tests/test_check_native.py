"""The gate against native modules that differ: by one comparison, by the optimisation level, or by planted bugs."""

from __future__ import annotations

import json
import os
import re
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
    return slotlookup(tree, "check", *arguments, module=module)


def slotlookup(tree: Path, *arguments: str, module: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command over a tree."""
    site = [sysconfig.get_path("platlib"), sysconfig.get_path("purelib")]
    path = os.pathsep.join([str(tree), *([str(module)] if module else []), *site])
    return run(sys.executable, "-S", "-m", "slotlookup", *arguments, cwd=tree, path=path)


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


CORE = "slotlookup/native/strategy.cpp"
TWO_SETS = "gfn=rbtree,hva=interval-tree,update=two-sets"
COPY = "gfn=linear,hva=linear,update=copy"
PLANTED: list[dict[str, tuple[str, str, str, str]]] = [
    {
        "linear": (
            CORE,
            "if (spec_.discipline == Discipline::in_place) in.generation += kAddressSpaces;",
            "",
            "update discipline: create(5, 0x200, 8, 0x7f0000004000, 0) was staged, update=in-place: readers see other",
        ),
        TWO_SETS: (
            CORE,
            "  in.active = 1 - in.active;\n  in.generation += kAddressSpaces;",
            "  in.active = 1 - in.active;",
            "update discipline: create(5, 0x200, 8, 0x7f0000004000, 0) was published, update=two-sets: readers see",
        ),
    },
    {
        TWO_SETS: (
            CORE,
            "if (spec_.discipline == Discipline::two_sets && goes) {",
            "if (spec_.discipline == Discipline::two_sets && goes && false) {",
            "slots that go are invalid: move(1, 0x300) was staged: flags_at(0x100, as_id=0) gave 0; 65536 is right",
        ),
        COPY: (
            CORE,
            "if (spec_.discipline == Discipline::copy && goes) {",
            "if (spec_.discipline == Discipline::copy && goes && false) {",
            "slots that go are invalid: move(1, 0x300) was staged: flags_at(0x100, as_id=0) gave 0; 65536 is right",
        ),
        # The structure still has the old node where the slot is when the node of the new place is put in.
        "rbtree": (
            CORE,
            "    in.gfn[0]->erase(*old_slot);\n    old_slot->base_gfn = change.base_gfn;",
            "    old_slot->base_gfn = change.base_gfn;\n    in.gfn[0]->insert(*old_slot);\n"
            "    in.gfn[0]->erase(*old_slot);",
            "aliases created and deleted: ",
        ),
    },
    {
        "linear": (
            "slotlookup/native/strategy.hpp",
            "return *space(as_id).gfn[space(as_id).active];",
            "return *space(as_id * 0).gfn[space(as_id).active];",
            "empty: lookup_gfn(0x5, as_id=1) gave 0; -1 is right",
        ),
    },
    {
        "linear": (
            "strategies/native/range_array.hpp",
            "SLOTLOOKUP_COMPARE(point <= entry->last)) {",
            "SLOTLOOKUP_COMPARE(point <= entry->last + 1)) {",
            "empty: lookup_gfn(0x6, as_id=0) gave 0; -1 is right",
        ),
        "gfn=interval-tree,hva=rbtree": (
            "strategies/native/rbtree.cpp",
            "if (SLOTLOOKUP_COMPARE(Role::last(here) >= start)) visit(here);",
            "if (SLOTLOOKUP_COMPARE(Role::last(here) >= start)) visit(here), visit(here);",
            "empty: visit_hva(",
        ),
        "interval-tree": (
            "strategies/native/interval_tree.cpp",
            "      node = next_meeting(node, start, last);\n",
            "      const std::uint64_t seen = interval(node)->start;\n"
            "      while (node && interval(node)->start == seen) node = next_meeting(node, start, last);\n",
            "nested aliases: visit_hva(",
        ),
        "gfn=rbtree,hva=max-array": (
            "strategies/native/max_array.cpp",
            "place = entry.branch;\n",
            "place -= entry.branch + 1 == place;\n",
            "hole: no answer for 2 seconds in visit_hva(0x7f",
        ),
        "sorted": (
            "strategies/native/sorted.cpp",
            "    return entry.slot;\n",
            "    return behind > 2 ? *reinterpret_cast<Slot**>(8) : entry.slot;\n",
            "adjacent slots: crashed with SIGSEGV in ",
        ),
        "gfn=rbtree,hva=linear,cache=last-used": (
            "slotlookup/native/cache.hpp",
            "    if (slot_ == &slot) slot_ = nullptr;\n",
            "",
            "empty: lookup_gfn(0x5, as_id=0) gave 0; -1 is right",
        ),
        "gfn=rbtree,hva=linear,cache=per-vcpu": (
            "slotlookup/native/cache.hpp",
            "    ++generation_;\n",
            "",
            "empty: lookup_gfn(0x5, as_id=0) gave 0; -1 is right",
        ),
    },
]
"""For each build: the strategies that the gate names, each with a file, text in it, the bug instead, and the fault."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with the baseline of every strategy of PLANTED, from the module that is installed."""
    wanted = ("linear", "rbtree", "interval_tree", "max_array", "sorted")
    tree = copy_tree(tmp_path_factory.mktemp("planted") / "tree", wanted)
    strategies = list(dict.fromkeys(spec for bugs in PLANTED for spec in bugs))
    text = CONFIG.replace('["linear", "rbtree"]', json.dumps(strategies))
    (tree / "slotlookup.toml").write_text(f"patience = 2.0\n{text}", encoding="utf-8")
    assert check(tree, "--update").returncode == 0
    assert check(tree).returncode == 0
    return tree


@pytest.mark.parametrize("bugs", PLANTED, ids=range(len(PLANTED)))
def test_planted_bugs_fail_the_check(bugs: dict[str, tuple[str, str, str, str]], tree: Path) -> None:
    sources = {tree / file: (tree / file).read_text(encoding="utf-8") for file, _, _, _ in bugs.values()}
    broken = dict(sources)
    for file, right, bug, _ in bugs.values():
        assert broken[tree / file].count(right) == 1, right
        broken[tree / file] = broken[tree / file].replace(right, bug)
    try:
        for path, text in broken.items():
            path.write_text(text, encoding="utf-8")
        module = module_of(tree)
    finally:
        for path, text in sources.items():
            path.write_text(text, encoding="utf-8")
    done = check(tree, "--format", "json", module=module)
    assert done.returncode == 1, done.stdout + done.stderr
    faults = {fault["strategy"]: fault["message"] for fault in json.loads(done.stdout)["faults"]}
    for strategy, (_, _, _, words) in bugs.items():
        assert faults[strategy].startswith(f"{strategy}: {words}"), faults[strategy]
        script = "to reproduce it, run (numbers are as_id << 16 | id): create(" in faults[strategy]
        assert script or re.search(r": \w+\([0-9a-fx, ]+\) was (staged|published)", faults[strategy])
        told = slotlookup(tree, "verify", strategy, module=module)
        assert told.returncode == 1
        assert told.stdout.startswith(words)
        assert told.stderr.startswith(f"{strategy}: ") and "failed" in told.stderr
