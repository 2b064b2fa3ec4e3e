"""Counts against a trace of memory: what hooks report is what the timed instances access.

The timed instances are compiled with -fsanitize=thread, so that every load and store of theirs is recorded (see
native/memory_trace.hpp); native/traced_counts.cpp compares the record with what the hooks of the counted instances
report for the same operations. For every structure, role and update discipline:

    lookups and visits   each line accessed is reported; each report has a line that is accessed; the hops are those of
                         the record; no word is loaded more often than reports name it
    slot changes         the same of lines; of all words loaded, at most a quarter are loaded more often than reports
                         name them, in trees that rotate nodes at most half
    all                  at most a quarter more lines are reported than accessed, because a report may name a whole node
                         or entry of which a part is enough

`slots_examined` and `compares` leave no trace in memory. Cases calculated by hand hold them (test_counts*.py).
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from native_programs import CORE, compile_cpp, compiles_with_gcc
from source_tree import ROOT

from slotlookup import registry
from slotlookup.structure import NativeStructure
from slotlookup.vocabulary import Role, UpdateDiscipline

pytestmark = [
    pytest.mark.builds,
    pytest.mark.skipif(
        not compiles_with_gcc(), reason="needs GCC, whose instrumentation of memory the trace is made of"
    ),
]

SOURCES = sorted((ROOT / "strategies" / "native").glob("*.cpp"))
EMPTY = CORE / "structures" / "empty.cpp"
NATIVE_TESTS = ROOT / "tests" / "native"
TIMED = ("-O2", "-fsanitize=thread", "-w")  # -w: sanitizers make the compiler warn of what it does not warn of without
COUNTED = ("-Og", "-DSLOTLOOKUP_COUNTED", "-DSLOTLOOKUP_TRACED")
PLAIN = ("-O1", "-DSLOTLOOKUP_TRACED")
WRAPPED = (
    "memcpy",
    "memmove",
    "memset",
    "_ZN10slotlookup5Arena15allocate_objectEm",
    "_ZN10slotlookup5Arena14allocate_arrayEm",
)
LOOKUPS = ("lookup", "visit")
ROTATING = ("rbtree", "interval-tree", "prio-tree")


@dataclass
class Comparison:
    """One kind of operation on one structure: sums over all operations, and the faults found."""

    structure: str
    role: str
    update: str
    cache: str
    operation: str
    operations: int
    lines_reported: int
    lines_accessed: int
    hops_reported: int
    hops_accessed: int
    words_loaded: int
    words_unreported: int
    faults: list[str] = field(default_factory=list, kw_only=True)

    def found(self) -> Iterator[str]:
        """What breaks the rules, with its place."""
        place = f"{self.structure} {self.role} {self.update} {self.cache} {self.operation}"
        for fault in self.faults:
            yield f"{place}: {fault}"
        if self.lines_reported > 1.25 * self.lines_accessed:
            yield f"{place}: {self.lines_reported} lines reported, {self.lines_accessed} accessed"
        most = (1 / 2 if self.structure in ROTATING else 1 / 4) * self.words_loaded
        if self.operation not in LOOKUPS and self.words_unreported > most:
            yield f"{place}: {self.words_unreported} of {self.words_loaded} words loaded again without a report"


def compile_object(target: Path, source: Path, *flags: str | Path) -> Path:
    built = compile_cpp(*flags, "-c", "-o", target, source)
    assert built.returncode == 0, built.stderr
    return target


def objects_of(directory: Path, source: Path, *flags: str | Path) -> list[Path]:
    """A structure's source, timed and counted. The timed objects come first when linked: functions of the C++ library
    that are in several objects are then those that are traced."""
    return [
        compile_object(directory / f"1-{source.stem}.o", source, *TIMED, *flags),
        compile_object(directory / f"2-{source.stem}.o", source, *COUNTED, *flags),
    ]


def linked(directory: Path, objects: list[Path]) -> Path:
    program = directory / "program"
    wraps = [f"-Wl,--wrap={name}" for name in WRAPPED]
    built = compile_cpp(*sorted(objects, key=lambda o: o.name), *wraps, "-ldl", "-o", program)
    assert built.returncode == 0, built.stderr
    return program


def compared(program: Path, *arguments: str) -> list[Comparison]:
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    comparisons: list[Comparison] = []
    for line in done.stdout.splitlines():
        if line.startswith("  "):
            comparisons[-1].faults.append(line.strip())
        else:
            structure, role, update, cache, operation, *sums = line.split("\t")
            comparisons.append(Comparison(structure, role, update, cache, operation, *map(int, sums)))
    return comparisons


def found(comparisons: list[Comparison]) -> list[str]:
    return [fault for comparison in comparisons for fault in comparison.found()]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The objects that all programs share: the core without hooks to report, the comparison, and `empty`."""
    directory = tmp_path_factory.mktemp("shared")
    core = [CORE / f"{name}.cpp" for name in ("arena", "mode", "registry", "replay", "strategy")]
    rest = [NATIVE_TESTS / "memory_trace.cpp", NATIVE_TESTS / "traced_counts.cpp", EMPTY]
    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(lambda s: compile_object(directory / f"3-{s.stem}.o", s, *PLAIN), [*core, *rest]))
    stripped = ("-Og", "-DSLOTLOOKUP_COUNTED", "-DSLOTLOOKUP_STRIP_HOOKS")
    return [*objects, compile_object(directory / "4-empty.o", EMPTY, *stripped)]


@pytest.fixture(scope="module")
def program(shared: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("traced")
    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(lambda source: objects_of(directory, source), SOURCES))
    return linked(directory, [*shared, *(o for pair in objects for o in pair)])


def test_hooks_report_what_is_accessed(program: Path) -> None:
    comparisons = compared(program)
    assert found(comparisons) == []
    # Nothing is left out: every structure in its roles, with every update discipline and kind of operation.
    seen = {(c.structure, c.role) for c in comparisons}
    assert seen == set(structures_and_roles())
    for structure, role in seen:
        kinds = {(c.update, c.operation) for c in comparisons if (c.structure, c.role) == (structure, role)}
        operations = ("create", "delete", "move", "flags", "lookup" if role == "gfn" else "visit")
        assert kinds == {(u, o) for u in UpdateDiscipline for o in operations}
    assert all(c.lines_accessed > 0 for c in comparisons if c.operation in LOOKUPS)


def structures_and_roles() -> Iterator[tuple[str, str]]:
    """Of the structures that ship, under the names in C++. Structures of rivals have memory outside the arena."""
    for source in SOURCES:
        structure = registry.structures()[source.stem.replace("_", "-")]
        assert isinstance(structure, NativeStructure)
        for role in structure.roles:
            yield structure.name, role
        if structure.unaliased:
            yield f"{structure.name}+unaliased", Role.HVA


def test_caches_report_what_they_access(program: Path) -> None:
    comparisons = compared(program, "--caches=rbtree", "rbtree")
    assert found(comparisons) == []
    assert {c.cache for c in comparisons} == {"none", "last-used", "per-vcpu", "direct-mapped", "mru-section"}


@dataclass(frozen=True)
class Planted:
    """A fault in a structure: text of a file replaced, and what is found, as a pattern."""

    structure: str
    file: str
    old: str
    new: str
    found: str


LOOK = """
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < size_; ++i) seen += entries_[i].start;
    if (seen == 1) return nullptr;
"""
BEGIN = "  Slot* find(std::uint64_t point) const {"
SEARCH = (
    "    SLOTLOOKUP_TOUCH(&size_, sizeof size_);\n    SLOTLOOKUP_HOP();\n    for (std::size_t i = 0; i < size_; ++i) {"
)
PLANTED = {
    "a hook left out of hva updates": Planted(
        "rbtree",
        "rb.hpp",
        "      if (child) see(child);\n      if (next->parent() == node) {",
        "      if (next->parent() == node) {",
        r"rbtree hva in-place none delete: lines: (read|written), not reported: \d+-byte piece",
    ),
    "an array read twice in lookups": Planted(
        "linear",
        "range_array.hpp",
        BEGIN,
        BEGIN + LOOK,
        r"linear gfn in-place none lookup: words: loaded again without a report: \d+-byte piece",
    ),
    "an array read twice in updates": Planted(
        "linear",
        "range_array.hpp",
        SEARCH,
        f"    for (std::size_t i = 0; i < size_; ++i) if (entries_[i].slot == 1) return i;\n{SEARCH}",
        r"linear gfn two-sets none delete: \d+ of \d+ words loaded again without a report",
    ),
    "a link followed without a hook": Planted(
        "maple-tree",
        "maple_tree.cpp",
        "    if (slot) SLOTLOOKUP_HOP();\n",
        "",
        r"maple-tree gfn in-place none lookup: hops: more than reported",
    ),
    "other work where nothing is counted": Planted(
        "linear",
        "range_array.hpp",
        BEGIN,
        f"{BEGIN}\n    if constexpr (!Probe::counting) {{{LOOK}    }}\n",
        r"linear gfn in-place none lookup: words: loaded again without a report: \d+-byte piece",
    ),
    "a report of what is not accessed": Planted(
        "linear",
        "range_array.hpp",
        BEGIN,
        f"{BEGIN}\n    SLOTLOOKUP_TOUCH(entries_.data() + size_ + 8, 8);\n",
        r"linear gfn in-place none lookup: idle: reported, not accessed: 8 bytes",
    ),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault: str, shared: list[Path], tmp_path: Path) -> None:
    planted = PLANTED[fault]
    native = tmp_path / "strategies" / "native"
    native.mkdir(parents=True)
    stem = planted.structure.replace("-", "_")
    for name in {f"{stem}.cpp", planted.file}:
        text = (ROOT / "strategies" / "native" / name).read_text(encoding="utf-8")
        if name == planted.file:
            assert text.count(planted.old) == 1
            text = text.replace(planted.old, planted.new)
        (native / name).write_text(text, encoding="utf-8")
    # Headers are looked for beside the source first, then in these folders.
    folders = (f"-I{tmp_path}", "-iquote", ROOT / "strategies" / "native")
    objects = objects_of(tmp_path, native / f"{stem}.cpp", *folders)
    faults = found(compared(linked(tmp_path, [*shared, *objects])))
    assert any(re.match(planted.found, each) for each in faults), faults[:20]
