"""`slotlookup kernel` on the running kernel; skipped without access to KVM."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import _slotlookup_native as native
import jsonschema  # type: ignore[import-untyped]
import numpy as np
import pytest

from slotlookup.bench.kernel.layout import BASE_GFN, Layout, regions
from slotlookup.bench.kernel.measure import DEVICE, EFFORTS, missing
from slotlookup.bench.kernel.worker import CHANGES, Worker

REASON = missing(DEVICE)
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

GPA = BASE_GFN << 12


def gpas(page: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.full(native.KernelVm.batch, GPA + (page << 12), dtype=np.uint64)


def test_a_lookup_finds_slots_and_refuses_holes() -> None:
    """That the kernel refuses an address outside all slots shows that it did look."""
    memory = native.SlotMemory(64 << 12)
    vm = native.KernelVm(DEVICE)
    vm.set(np.array([[0, 0, GPA, 4 << 12, memory.hva], [1, 0, GPA + (5 << 12), 4 << 12, memory.hva]], dtype=np.uint64))
    for page in (0, 3, 5, 8):
        assert len(vm.time_lookups(gpas(page), True)) == 1
    for page in (4, 9):
        with pytest.raises(OSError, match="MSR_KVM_PV_EOI_EN"):
            vm.time_lookups(gpas(page), True)
        assert len(vm.time_lookups(gpas(page), False)) == 1


def test_overlapping_slots_are_refused_with_errno() -> None:
    memory = native.SlotMemory(64 << 12)
    vm = native.KernelVm(DEVICE)
    vm.set(np.array([[0, 0, GPA, 4 << 12, memory.hva]], dtype=np.uint64))
    with pytest.raises(FileExistsError, match="setting slot 1 of 4096 bytes") as refused:
        vm.set(np.array([[1, 0, GPA + 4096, 4096, memory.hva]], dtype=np.uint64))
    assert refused.value.errno == errno.EEXIST


def test_every_change_is_made_and_the_slots_are_as_before() -> None:
    worker = Worker(DEVICE)
    worker.build(4, False, 1)
    spent = worker.time_changes(3)
    assert {name: len(samples) for name, samples in spent.items()} == dict.fromkeys(CHANGES, 3)
    assert worker.vm is not None
    # All four are there, or the kernel would not call it an overlap; a fifth is not.
    layout = Layout(4, worker.memory.hva)
    for call in regions(layout.creations(1)):
        call[0] += 10
        with pytest.raises(FileExistsError):
            worker.vm.set(call.reshape(1, 5))


def test_a_measurement_of_few_slots(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    saved = tmp_path / "saved.json"
    arguments = ["kernel", "--quick", "--slots", "1,4", "--json", "--save", str(saved)]
    done = subprocess.run([sys.executable, "-m", "slotlookup", *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert json.loads(saved.read_bytes()) == found
    schema = files("slotlookup.bench") / "schemas" / "kernel.schema.json"
    jsonschema.validate(found, json.loads(schema.read_text(encoding="utf-8")))
    assert [point["slots"] for point in found["points"]] == [1, 4]
    for point in found["points"]:
        for each in point["lookups"]:
            for how in ("kernel", "hot", "called"):
                assert len(each[how]["one"]) == len(each[how]["many"]) == EFFORTS["quick"].rounds
    assert os.sched_getaffinity(0) == before
