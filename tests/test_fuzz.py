"""A short run of `make fuzz`, and the faults that it has found."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz_importers import CORPUS, check, choices, recordings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slotlookup.recordings.ownership import Chosen


@pytest.mark.parametrize("name", sorted(CORPUS))
def test_the_corpus_imports(tmp_path: Path, name: str) -> None:
    files = [CORPUS[name]] if name == "slots.csv" else [CORPUS[name], CORPUS["slots.csv"]]
    expected = "refused" if name in ("mtree.txt", "qemu.trace", "strace.txt", "tdp.trace", "ranges.csv") else "imported"
    assert check(tmp_path, files, Chosen()) == expected
    if expected == "refused":
        assert check(tmp_path, files[:1], Chosen()) == "imported", "its own slots are not those of the table"


@given(st.lists(recordings(), min_size=1, max_size=2), st.booleans(), choices())
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_damaged_recordings(
    tmp_path_factory: pytest.TempPathFactory, files: list[bytes], with_slots: bool, chosen: Chosen
) -> None:
    check(tmp_path_factory.getbasetemp(), [*files, CORPUS["slots.csv"]] if with_slots else files, chosen)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("strace.txt", b"memory_size=1048576", b"memory_size=01048576"),
        ("strace.txt", b"ioctl(10,", b"ioctl(" + b"9" * 5000 + b","),
        ("strace.txt", b"1700000001.000000", b"9" * 400 + b".000000"),
        ("qemu.trace", b"9@1700000001.000000", b"9@" + b"9" * 5000 + b".000000"),
        ("tdp.trace", b"[LOST 3 EVENTS]", b"[LOST " + b"9" * 5000 + b" EVENTS]"),
        ("tdp.trace", b"9/12 ", b"9/" + b"9" * 5000 + b" "),
    ],
)
def test_numbers_that_python_does_not_read(tmp_path: Path, name: str, old: bytes, new: bytes) -> None:
    assert old in CORPUS[name]
    # tracefs' heading is a comment, and may say what it likes.
    expected = "imported" if old == b"9/12 " else "refused"
    assert check(tmp_path, [CORPUS[name].replace(old, new, 1)], Chosen()) == expected
