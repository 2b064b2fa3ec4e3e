"""The model against a real kernel: short cases of host operations, each compared line by line.

Recorded on Linux 6.18 with KVM on shadow paging; the process's own heap, stack and libraries are left out.
"""

from __future__ import annotations

import lzma

import pytest
from host_cases import Case, Performer, read_cases
from host_recording import DATA

from slotlookup.model.host.space import AddressSpace


def recorded() -> list[Case]:
    with lzma.open(DATA / "host-cases.trace.xz", "rt") as file:
        return read_cases(file)


CASES = {case.name: case for case in recorded()}


def test_the_recording_is_read_whole() -> None:
    assert len(CASES) == 40
    # As counted with grep and awk.
    assert sum(len(case.operations) for case in CASES.values()) == 178
    punched = CASES["memfd_punch_two_mappings"]
    slots, first = punched.slots, punched.operations[0]
    assert first.name == "punch F 16 16"
    assert first.unmapped == [(slots[s][2] + (16 << 12), slots[s][2] + (32 << 12)) for s in "FE"]


@pytest.mark.parametrize("name", CASES)
def test_every_operation_announces_what_the_kernel_announced(name: str) -> None:
    performer = Performer(CASES[name])
    for operation in CASES[name].operations:
        assert performer.perform(operation.name) == operation.unmapped, operation.name


def test_a_missed_announcement_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AddressSpace, "split_huge", lambda self, page: None)
    case = CASES["mprot_two_huge"]
    performer = Performer(case)
    assert any(performer.perform(operation.name) != operation.unmapped for operation in case.operations)
