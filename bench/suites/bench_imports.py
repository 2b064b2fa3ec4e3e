"""Importing a long trace of the kernel's: `pytest bench/suites/bench_imports.py`, with limits on time and memory.

The text is generated here, as from a busy guest; about half of its lines become events.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slotlookup.address import PAGE_SHIFT, PAGE_SIZE

MEGABYTES = 100
SECONDS = 20
MEMORY = 500 << 20
SLOTS = 64
SLOT_BYTES = 1 << 26
HVA = 0x7F0000000000

_SCRIPT = """
import resource, sys
from slotlookup.recordings.recordings import import_files
from slotlookup.trace import write_trace

trace, summary = import_files(sys.argv[1:3])
write_trace(trace, sys.argv[3])
print(len(trace.events), summary.outside, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, int]:
    """The trace's text, its slots, and the number of events in it."""
    folder = tmp_path_factory.mktemp("long")
    slots = folder / "slots.csv"
    rows = [f"{i},{i * SLOT_BYTES:#x},{SLOT_BYTES:#x},{HVA + i * SLOT_BYTES:#x},0x0" for i in range(SLOTS)]
    slots.write_text("\n".join(["slot,gpa,size,hva,flags", *rows, ""]))
    text = folder / "long.trace"
    rng = np.random.default_rng(1)
    events = time = 0
    with text.open("w") as file:
        file.write("# tracer: nop\n#\n")
        while file.tell() < MEGABYTES * 10**6:
            for page, choice in rng.integers(0, [SLOTS * SLOT_BYTES >> PAGE_SHIFT, 4], (10_000, 2)).tolist():
                time += 3
                head = f"       CPU 0/KVM-4243    [001] ...1.  {time // 10**6}.{time % 10**6:06d}: "
                if choice:
                    file.write(f"{head}kvm_mmu_pagetable_walk: addr {page << PAGE_SHIFT:x} pferr 6 W|U\n")
                    file.write(f"{head}kvm_mmu_spte_requested: gfn {page:x} pfn 1d9caa level 1\n")
                else:
                    hva = HVA + (page << PAGE_SHIFT)
                    file.write(
                        f"{head}kvm_unmap_hva_range: mmu notifier unmap range: {hva:#018x} -- {hva + PAGE_SIZE:#018x}\n"
                    )
                events += 1
    return text, slots, events


def test_importing_a_hundred_megabytes(benchmark: Any, recording: tuple[Path, Path, int], tmp_path: Path) -> None:
    text, slots, events = recording

    def import_it() -> list[int]:
        output = tmp_path / "long.parquet"
        told = subprocess.run(
            [sys.executable, "-c", _SCRIPT, text, slots, output], check=True, capture_output=True, text=True
        )
        return [int(word) for word in told.stdout.split()]

    found, outside, kilobytes = benchmark.pedantic(import_it, rounds=2)
    assert (found, outside) == (events, 0)
    best = benchmark.stats.stats.min
    benchmark.extra_info.update(seconds=best, limit=SECONDS, memory=kilobytes << 10, memory_limit=MEMORY)
    assert best < SECONDS
    assert kilobytes << 10 < MEMORY
