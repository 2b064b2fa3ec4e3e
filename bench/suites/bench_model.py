"""The limits of the model's speed and memory: `pytest bench/suites/bench_model.py`.

Each case runs in a process of its own, so that its peak memory is measured separately.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

ACCESSES_A_SECOND = 3_000_000
MEMORY_MIB = 512
MILLION_EVENTS_SECONDS = 2.0

_CLOSED_LOOP = """
import json, resource, time
import numpy as np
from slotlookup.address import GIANT_PAGES, PAGE_SHIFT
from slotlookup.model.host import Host
from slotlookup.registry import make_strategy
from slotlookup.model.vm import Vm

host = Host(9 << 30)
vm = Vm(make_strategy("kvm-5.17"), host, vcpus=4, limit=0)
hva = host.mmap(8 << 30)
for slot in range(8):
    vm.set_user_memory_region(slot, slot << 31, 1 << 30, hva + (slot << 30))
vm.start()
draw = np.random.Generator(np.random.PCG64(1))
page = np.arange(1 << 21)
first = page + (page & -GIANT_PAGES)
begin = time.perf_counter()
vm.access(0, first, True)
filled = time.perf_counter() - begin
batches = [draw.integers(0, 1 << 21, 1 << 19) for _ in range(4)]
count = 1 << 21
begin = time.perf_counter()
for _ in range(8):
    for batch in batches:
        vm.access(draw.integers(0, 4, len(batch)), batch + (batch & -GIANT_PAGES), batch % 3 == 0)
        host.dontneed_pages((hva >> PAGE_SHIFT) + np.unique(batch[:2000]))
        count += len(batch)
seconds = time.perf_counter() - begin + filled
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"rate": count / seconds, "peak": peak, "filled": (1 << 21) / filled}))
"""

_MILLION_EVENTS = """
import json, time
from slotlookup.model.mmu.reference import ReferenceStrategy
from slotlookup.registry import find_workload

begin = time.perf_counter()
vm = find_workload("steady").run(ReferenceStrategy(), events=1_000_000)
print(json.dumps({"seconds": time.perf_counter() - begin, "events": len(vm.recorder)}))
"""


def _run(source: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


@pytest.mark.short
def test_memory_of_the_closed_loop() -> None:
    assert _run(_CLOSED_LOOP)["peak"] < MEMORY_MIB


def test_guest_accesses_in_closed_loop(benchmark: Any) -> None:
    runs = []
    benchmark.pedantic(lambda: runs.append(_run(_CLOSED_LOOP)), rounds=3)
    best = max(run["rate"] for run in runs)
    peak = max(run["peak"] for run in runs)
    benchmark.extra_info.update(accesses_a_second=best, peak_mib=peak, filled=max(run["filled"] for run in runs))
    assert best >= ACCESSES_A_SECOND and peak < MEMORY_MIB


def test_a_million_events_are_generated(benchmark: Any) -> None:
    runs = []
    benchmark.pedantic(lambda: runs.append(_run(_MILLION_EVENTS)), rounds=5)
    best = min(run["seconds"] for run in runs)
    benchmark.extra_info.update(seconds=best, limit=MILLION_EVENTS_SECONDS)
    assert all(run["events"] >= 1_000_000 for run in runs) and best < MILLION_EVENTS_SECONDS
