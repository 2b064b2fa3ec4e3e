"""Vector code has the answers and counts of the scalar code, and the declared number of branches."""

from __future__ import annotations

import platform
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from test_machine_code import COMPILER, ROOT, functions

pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler")

NATIVE = ROOT / "strategies" / "native"
SOURCES = [
    *(ROOT / "slotlookup" / "native" / f"{name}.cpp" for name in ("arena", "mode", "registry", "strategy")),
    *(NATIVE / f"{name}.cpp" for name in ("simd_linear", "static_btree_simd")),
]

PROGRAM = r"""
#include <cstdio>
#include "slotlookup/native/strategy.hpp"
#include "strategies/native/simd.hpp"

using namespace slotlookup;

std::uint64_t drawn = 1;
std::uint64_t draw(std::uint64_t below) {
  drawn = drawn * 6364136223846793005ull + 1442695040888963407ull;
  return (drawn >> 33) % below;
}

int main() {
  std::fprintf(stderr, "%d\n", static_cast<int>(widest_vectors()));
  for (const char* gfn : {"simd-linear", "static-btree-simd"}) {
    for (std::uint64_t n : {1, 2, 7, 8, 9, 17, 72, 73, 700}) {
      Strategy strategy({.gfn = gfn, .hva = "simd-linear", .counted = true});
      for (std::uint64_t i = 0; i < n; ++i) {
        const std::uint64_t id = (i * 383 + 5) % n;
        strategy.apply({ChangeKind::create, id, 3 + 8 * id, 1 + id % 8, 0x7f0000000000 + (draw(4 * n) << 12), 0});
      }
      std::vector<std::uint64_t> points{0, ~0ull, 1ull << 63, (1ull << 63) - 1, (1ull << 63) - 2};
      std::vector<std::uint64_t> starts{0, 0, ~0ull - 1}, ends{1, ~0ull, ~0ull};
      for (int i = 0; i < 300; ++i) {
        points.push_back(draw(8 * n + 16));
        starts.push_back(0x7f0000000000 + (draw(4 * n + 9) << 12));
        ends.push_back(starts.back() + 1 + draw(40000));
      }
      std::vector<std::int32_t> found(points.size()), met;
      std::vector<std::uint16_t> askers(points.size());
      std::vector<std::uint64_t> counts(starts.size());
      strategy.gfn(0).answer(points, askers, found);
      strategy.hva(0).answer(starts, ends, met, counts);
      for (std::int32_t number : found) std::printf("%d ", number);
      for (std::int32_t number : met) std::printf("%d ", number);
      const Counters& c = strategy.counters();
      std::printf("\n%s %lu: ", gfn, n);
      std::printf("%lu %lu %lu %lu\n", c.slots_examined, c.compares, c.hops, c.lines);
      strategy.check();
    }
  }
}
"""


def built(directory: Path, vectors: int) -> tuple[int, str]:
    """Which vectors a build that may use so many uses here, and what it answers and counts."""
    source, program = directory / f"vectors{vectors}.cpp", directory / f"vectors{vectors}"
    source.write_text(PROGRAM)
    assert COMPILER is not None
    flags = ["-std=c++20", "-O1", "-DSLOTLOOKUP_COUNTED", f"-DSLOTLOOKUP_VECTORS={vectors}", f"-I{ROOT}"]
    subprocess.run([COMPILER, *flags, str(source), *map(str, SOURCES), "-o", str(program)], check=True)
    done = subprocess.run([str(program)], check=True, capture_output=True, text=True)
    return int(done.stderr), done.stdout


@pytest.mark.builds
def test_vectors_answer_and_count_as_scalar_code_does(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        none, avx2, widest = pool.map(lambda vectors: built(tmp_path, vectors), range(3))
    assert none[0] == 0
    assert avx2[0] <= 1
    assert len(none[1]) > 10_000
    assert avx2[1] == none[1]
    assert widest[1] == none[1]


def loops(name: str, directory: Path) -> str:
    """The timed replay loops without a cache in front, in whichever functions the compiler left them."""
    compiled = functions(NATIVE / f"{name}.cpp", directory)
    return "\n".join(code for symbol, code in compiled.items() if "NoCache" in symbol and "replay" in symbol)


SELECTED = re.compile(r"\tcmp +[^\n]*\(%[^\n]*\n[^\n]*\tcmov")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="reads x86-64 code")
def test_branches_are_where_they_are_said_to_be(tmp_path: Path) -> None:
    """In sorted-branchless each step's comparison with a key in memory selects a half; in sorted it jumps."""
    branchless, branching = loops("sorted_branchless", tmp_path), loops("sorted", tmp_path)
    assert branchless and branching
    # One loop for each of throughput and latency, hot and cold.
    assert len(SELECTED.findall(branchless)) >= 4
    assert not SELECTED.search(branching)
