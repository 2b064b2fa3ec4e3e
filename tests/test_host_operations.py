"""The model against a real kernel: every recorded host operation, and the faults of a recorded guest.

Recorded on Linux 6.18 with KVM on shadow paging. The table in docs/model.md lists the operations that differ, with the
reason of each; it must list exactly those.
"""

from __future__ import annotations

import re

import pytest
from fault_prediction import Prediction, predict
from host_operations import Process
from host_recording import Operation, read_operations
from source_tree import ROOT

from slotlookup.model.notifier import InvalidateState

PAGE = ROOT / "docs" / "model.md"


@pytest.fixture(scope="module")
def both() -> list[tuple[Operation, Operation]]:
    recording = read_operations()
    return list(zip(recording.operations, Process(recording).perform(recording.operations), strict=True))


def differs(recorded: Operation, performed: Operation) -> bool:
    """Whether kinds, order or ranges of the notifier events differ. Sampled ages can never be the same."""
    return recorded.unmapped != performed.unmapped or recorded.aged > 0 or performed.aged > 0


def test_the_recording_is_read_whole() -> None:
    operations = {operation.name: operation for operation in read_operations().operations}
    assert len(operations) == 49
    # As counted with grep and awk.
    assert len(operations["fork"].unmapped) == 12
    assert len(operations["ksm_run"].unmapped) == 2044
    assert operations["clear_refs_4(softdirty)"].unmapped == [(0, (1 << 64) - 1)]
    assert operations["madvise_DONTNEED_1page_of_THP(split)"].unmapped == [
        (0x7F9ADE807000, 0x7F9ADE808000),
        (0x7F9ADE800000, 0x7F9ADEA00000),
    ]


def test_differences_are_those_explained(both: list[tuple[Operation, Operation]]) -> None:
    different = {recorded.name for recorded, performed in both if differs(recorded, performed)}
    listed = re.findall(r"^\| `([^`]+)` \| [^|]{20,} \|$", PAGE.read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(different)
    share = re.search(r"\*\*(\d+) of (\d+)\*\* operations match", PAGE.read_text())
    assert share is not None
    assert (int(share[1]), int(share[2])) == (len(both) - len(different), len(both))


def test_where_they_differ_the_guests_memory_does_not(both: list[tuple[Operation, Operation]]) -> None:
    """The recorded process has mappings of its own; of those in slots nothing is missed and nothing made up."""
    slots = [(hva, hva + size) for _, _, size, hva in read_operations().slots]

    def inside(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
        return [r for r in ranges if any(r[0] < end and r[1] > start for start, end in slots)]

    for recorded, performed in both:
        assert inside(recorded.unmapped) == inside(performed.unmapped), recorded.name
    sampled = next(recorded for recorded, _ in both if recorded.aged)
    assert sampled.name == "idle_with_damon" and not sampled.unmapped


@pytest.fixture(scope="module")
def prediction() -> Prediction:
    return predict()


def test_the_host_is_followed_exactly(prediction: Prediction) -> None:
    assert prediction.misplaced == 0 and prediction.accesses == 20 * 512


def test_faults_are_predicted(prediction: Prediction) -> None:
    recorded, predicted = sum(prediction.recorded), sum(prediction.predicted)
    print(f"{predicted} faults predicted, {recorded} recorded: {predicted / recorded - 1:+.1%}")
    assert abs(predicted - recorded) < 0.005 * recorded
    rounds = zip(prediction.predicted, prediction.recorded, strict=True)
    assert max(abs(p - r) / r for p, r in rounds) < 0.02


def test_the_prediction_needs_faults_that_are_overtaken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InvalidateState, "overtaken", lambda self, snapshot, gfn: False)
    broken = predict(most=3)
    assert sum(broken.predicted) < 0.98 * sum(broken.recorded)
