"""What has a name is written by its name: page sizes and array types stand in one module each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from source_tree import ROOT

FOLDERS = ("slotlookup", "strategies", "workloads", "bench")
NAMED = {
    r"(<<|>>) *(12\b|np\.uint64\(12\))": ("slotlookup/address.py", "PAGE_SHIFT"),
    r"\b512 *\* *512\b|~511\b|& 511\b": ("slotlookup/address.py", "HUGE_PAGES, GIANT_PAGES"),
    r"\bnpt\.NDArray\[np\.(int64|uint64|uint8|bool_)\]": ("slotlookup/arrays.py", "Ints, Words, Bytes, Bools"),
    r"\w+ = npt\.NDArray\[np\.(uint16|int32)\]": ("slotlookup/arrays.py", "Vcpus, Numbers"),
}
"""What must not be written out, by pattern: the file where the names are defined, and the names."""
NOT_PAGES = re.compile(r"1 << 12\b")
"""4,096 of something else."""


def written_out(path: str, text: str) -> Iterator[str]:
    """The lines of a file that write out what has a name."""
    for pattern, (home, names) in NAMED.items():
        for number, line in enumerate(text.splitlines(), 1):
            if path != home and re.search(pattern, NOT_PAGES.sub("", line)):
                yield f"{path}:{number}: {line.strip()} (use {names} of {home})"


def sources() -> Iterator[tuple[str, str]]:
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*.py")):
            yield file.relative_to(ROOT).as_posix(), Path(file).read_text(encoding="utf-8")


def test_pages_and_arrays_are_named() -> None:
    assert [line for path, text in sources() for line in written_out(path, text)] == []


@pytest.mark.parametrize(
    "code",
    [
        "page = hva >> 12",
        "hva = (page & -span) << 12",
        "points << np.uint64(12)",
        "span = 512 * 512 if giant else 512",
        "first = page & ~511",
        "Ints = npt.NDArray[np.int64]",
        "def f(flags: npt.NDArray[np.bool_]) -> None: ...",
        "Vcpus = npt.NDArray[np.uint16]",
    ],
)
def test_what_is_written_out_is_found(code: str) -> None:
    assert len(list(written_out("slotlookup/vm.py", code))) == 1


@pytest.mark.parametrize("code", ["count = 1 << 12", "key << 120", "flags: npt.NDArray[np.uint16]"])
def test_what_only_looks_alike_passes(code: str) -> None:
    assert list(written_out("slotlookup/vm.py", code)) == []
