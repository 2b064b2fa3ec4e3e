"""Damaged recordings: each results in a valid trace, or in one line for the user.

`make fuzz` runs this for FUZZ_SECONDS (600). Hypothesis varies the recordings of `fuzz_corpus` by cutting, splicing,
inserting critical text and pasting (`disguises.py`), imports two of them with a slot table, and shrinks failures.
Failures are stored in .hypothesis and repeated first.
"""

from __future__ import annotations

import gzip
import lzma
import os
import sys
import tempfile
import time
from pathlib import Path

from disguises import DISGUISES, ENCODINGS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slotlookup.errors import UsageError
from slotlookup.recordings.ownership import Chosen
from slotlookup.recordings.recordings import import_files
from slotlookup.trace import read_trace, write_trace

CORPUS = {path.name: path.read_bytes() for path in sorted((Path(__file__).parent / "fuzz_corpus").iterdir())}
SECONDS_A_RECORDING = 10
"""Processor time beyond which a recording of a few thousand bytes hangs the import."""

_STUMBLES = [
    *(
        b"0",
        b"-1",
        b"0x",
        b"0xffffffffffffffff",
        b"ffffffffffffffff",
        b"10000000000000000",
        b"9" * 40,
        b"9" * 5000,
        b"1e999",
    ),
    *(
        b"nan",
        b"\0",
        b"\xff\xfe",
        b"\x1b[2J",
        b"\r\n",
        b"\n",
        b"\n\n",
        b" " * 70,
        b" " * 5000,
        b"[0] " * 2000,
        b"[",
        b"]",
        b"(",
        b"-",
        b"/",
        b": ",
    ),
    *(b"\xd9\xa3", b"SLOT 0 gpa=0x0 size=0x0 hva=0x0", b"<...>", b"unfinished ...>", b"CPU:0 [LOST ", b"#", b",", b"="),
]


def _span(data: bytes, begin: float, length: float) -> tuple[int, int]:
    first = int(begin * len(data))
    return first, min(len(data), first + int(length * length * (len(data) - first)))


@st.composite
def recordings(draw: st.DrawFn) -> bytes:
    """A recording of the corpus with up to three changes, perhaps disguised as a paste, perhaps compressed."""
    names = st.sampled_from(sorted(CORPUS))
    data = CORPUS[draw(names)]
    part = st.floats(0, 1, exclude_max=True)
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(["cut", "drop", "repeat", "put", "put", "replace", "splice", "flip", "swap"]))
        first, last = _span(data, draw(part), draw(part))
        if kind == "cut":
            data = data[:first]
        elif kind == "drop":
            data = data[:first] + data[last:]
        elif kind == "repeat":
            data = data[:last] + data[first:]
        elif kind == "put":
            data = data[:first] + draw(st.sampled_from(_STUMBLES)) + data[first:]
        elif kind == "replace":
            # The next word gives way, so that a field keeps its place.
            end = next((i for i in range(first, len(data)) if data[i : i + 1] in b" \n,=:"), len(data))
            data = data[:first] + draw(st.sampled_from(_STUMBLES)) + data[end:]
        elif kind == "splice":
            other = CORPUS[draw(names)]
            begin, end = _span(other, draw(part), draw(part))
            data = data[:first] + other[begin:end] + data[first:]
        elif kind == "flip" and data:
            data = data[:first] + bytes([data[first] ^ (1 << draw(st.integers(0, 7)))]) + data[first + 1 :]
        elif kind == "swap":
            lines = data.split(b"\n")
            i, j = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, len(lines) - 1))
            lines[i], lines[j] = lines[j], lines[i]
            data = b"\n".join(lines)
    if draw(st.integers(0, 3)) == 0:
        text = data.decode("utf-8", "replace").splitlines()
        for name in draw(st.lists(st.sampled_from(sorted(DISGUISES)), max_size=3)):
            text = DISGUISES[name](text)
        data = ENCODINGS[draw(st.sampled_from(sorted(ENCODINGS)))]("\n".join([*text, ""]))
    pack = draw(st.sampled_from([None, None, None, None, gzip.compress, lzma.compress]))
    if pack is not None:
        data = pack(data)
        data = data[: len(data) - draw(st.sampled_from([0, 0, 0, 1, 9]))]
    return data


def check(folder: Path, files: list[bytes], chosen: Chosen) -> str:
    """Import some files: what came of it, for counting. Raises whatever should not be."""
    paths = []
    for index, data in enumerate(files):
        paths.append(folder / f"{index}.u32le" if index == 1 else folder / str(index))
        paths[-1].write_bytes(data)
    begin = time.process_time()
    try:
        trace, summary = import_files(paths, chosen=chosen)
    except UsageError as error:
        assert str(error).isprintable(), repr(str(error))
        return "refused"
    finally:
        assert time.process_time() - begin < SECONDS_A_RECORDING, "hangs"
    assert all(line.isprintable() for line in summary.text()), summary.text()
    assert [(s.number, s.gpa) for s in trace.final_slots()] == [(s.number, s.gpa) for s in summary.final]
    assert len(trace.gfn_stream().gfns) == summary.lookups
    assert len(trace.hva_stream().starts) == summary.visits
    write_trace(trace, folder / "trace")
    assert read_trace(folder / "trace").fingerprint == trace.fingerprint
    return "imported"


def choices() -> st.SearchStrategy[Chosen]:
    """Mostly nobody; sometimes threads that the corpus has."""
    chosen = [Chosen(), Chosen(), Chosen(), Chosen(frozenset([4240])), Chosen(comms=("w*",))]
    return st.sampled_from(chosen)


def main() -> int:
    """Fuzz for FUZZ_SECONDS; 0 where nothing was found. Hypothesis prints what was."""
    seconds = float(os.environ.get("FUZZ_SECONDS", "600"))
    end = time.monotonic() + seconds
    outcomes = {"refused": 0, "imported": 0}
    with tempfile.TemporaryDirectory() as name:

        @given(st.lists(recordings(), min_size=1, max_size=2), st.booleans(), choices())
        @settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
        def one_round(files: list[bytes], with_slots: bool, chosen: Chosen) -> None:
            outcomes[check(Path(name), [*files, CORPUS["slots.csv"]] if with_slots else files, chosen)] += 1

        while time.monotonic() < end:
            one_round()
    total = sum(outcomes.values())
    print(f"{total:,} recordings in {seconds:g} s: {outcomes['imported']:,} imported, {outcomes['refused']:,} refused")
    return 0


if __name__ == "__main__":
    sys.exit(main())
