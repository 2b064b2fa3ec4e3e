"""The timed instances contain no code of the counting hooks: their machine code is that of a source without hooks."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "strategies" / "native").glob("*.cpp"))
COMPILER = shutil.which("c++") or shutil.which("g++")

pytestmark = [
    pytest.mark.builds,
    pytest.mark.skipif(
        COMPILER is None or shutil.which("objdump") is None or not SOURCES,
        reason="needs a C++ compiler, objdump and the C++ sources",
    ),
]


def compile_to(target: Path, *arguments: str) -> None:
    assert COMPILER is not None
    always = ("-std=c++20", "-O2", "-fPIC", "-ffunction-sections", f"-I{ROOT}")
    subprocess.run([COMPILER, *always, *arguments, "-c", "-o", str(target)], check=True)


def functions(source: Path, directory: Path, *flags: str) -> dict[str, str]:
    """The instructions of every function, by mangled name, without addresses. Each function has a section of
    its own, so offsets begin at 0 in both builds and a jump that moved shows."""
    target = directory / f"{source.stem}{len(flags)}.o"
    compile_to(target, *flags, str(source))
    listing = subprocess.run(
        ["objdump", "-dr", "--no-show-raw-insn", str(target)], check=True, capture_output=True, text=True
    ).stdout
    return dict(split(listing))


def split(listing: str) -> Iterator[tuple[str, str]]:
    """Name and body of each function in objdump's output."""
    for block in listing.split("\n\n"):
        head = re.match(r"[0-9a-f]+ <(\S+)>:\n", block)
        if head:
            # Constants are numbered through the whole object, counting code's included.
            yield head[1], re.sub(r"\.LC\d+", ".LC", re.sub(r"<\.LC\d+\+0x[0-9a-f]+>", "<.LC>", block[head.end() :]))


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """For each source: its functions as they are built to be timed, and with the hooks stripped from the source."""
    directory = tmp_path_factory.mktemp("objects")
    with ThreadPoolExecutor(2) as pool:
        plain = list(pool.map(lambda s: functions(s, directory), SOURCES))
        stripped = list(pool.map(lambda s: functions(s, directory, "-DSLOTLOOKUP_STRIP_HOOKS"), SOURCES))
    return {s.stem: pair for s, pair in zip(SOURCES, zip(plain, stripped, strict=True), strict=True)}


@pytest.fixture(scope="module")
def behind_precompiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """For each source: its functions as they are built with the precompiled header that CMakeLists.txt sets up."""
    directory = tmp_path_factory.mktemp("precompiled")
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    shared = re.search(r"target_precompile_headers\(\$\{target\} PRIVATE ([^)]+)\)", cmake)
    assert shared, "CMakeLists.txt precompiles no header for the structures"
    header = directory / "shared.hpp"
    header.write_text("".join(f"#include {name}\n" for name in shared[1].split()), encoding="utf-8")
    compile_to(directory / "shared.hpp.gch", "-x", "c++-header", str(header))
    use = ("-Werror=invalid-pch", "-include", str(header))
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda s: functions(s, directory, *use), SOURCES))
    return {s.stem: each for s, each in zip(SOURCES, made, strict=True)}


# Not on any timed path: answers are checked outside the clock, and invariants in tests.
UNTIMED = re.compile(r"5check|12black_height|11check_order|13check_balance|6answer|D[012]Ev|bytes|4size")


def timed(names: dict[str, str]) -> set[str]:
    return {n for n in names if "NoProbe" in n and not UNTIMED.search(n)}


@pytest.mark.parametrize("stem", [s.stem for s in SOURCES])
def test_timed_instances_are_what_a_source_without_hooks_gives(
    stem: str, builds: dict[str, tuple[dict[str, str], dict[str, str]]]
) -> None:
    plain, stripped = builds[stem]
    assert any("replay" in name for name in timed(plain)), "no timed replay loop was found; the test looks at nothing"
    assert timed(plain) == timed(stripped)
    differing = [name for name in sorted(timed(plain)) if plain[name] != stripped[name]]
    assert differing == []


@pytest.mark.parametrize("stem", [s.stem for s in SOURCES])
def test_a_precompiled_header_changes_no_timed_instance(
    stem: str,
    builds: dict[str, tuple[dict[str, str], dict[str, str]]],
    behind_precompiled: dict[str, dict[str, str]],
) -> None:
    plain, _ = builds[stem]
    assert behind_precompiled[stem] == plain


def test_the_comparison_sees_hooks_where_there_are_some(tmp_path: Path) -> None:
    source = SOURCES[0]
    counted = functions(source, tmp_path, "-DSLOTLOOKUP_COUNTED")
    stripped = functions(source, tmp_path, "-DSLOTLOOKUP_COUNTED", "-DSLOTLOOKUP_STRIP_HOOKS")
    loops = {name for name in counted if "replay" in name}
    assert loops
    assert any(counted[name] != stripped.get(name) for name in loops)


def test_the_timed_objects_hold_nothing_that_counts(builds: dict[str, tuple[dict[str, str], dict[str, str]]]) -> None:
    for plain, _ in builds.values():
        assert [name for name in plain if "CountProbe" in name] == []
