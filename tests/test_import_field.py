"""Recordings as people post them: each case of data/field, and good recordings under chains of disguises."""

from __future__ import annotations

import bz2
import csv
import json
import re
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from disguises import DISGUISES, ENCODINGS, monitor_json
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from test_import_recordings import CALL, SLOTS, written

from slotlookup.errors import InputFileError
from slotlookup.recordings.recordings import Summary, import_files
from slotlookup.trace import EventKind, Trace

FIELD = Path(__file__).parent / "data" / "field"
CASES = sorted(p.name.removesuffix(".txt") for p in FIELD.glob("*.txt") if ".expected." not in p.name)
REMARKS = {
    "14-elided-events": ["line 3: ", "line 5: "],
    "15-elided-map": ["line 8: ", "slots may be missing"],
    "29-flat-no-header": ["which address space"],
    "53-s390": ["no event here tells an access", "kvm_s390_sie_enter"],
    "61-clh-old": ["flags are not logged"],
}


def imported(name: str) -> tuple[Trace, Summary]:
    return import_files([FIELD / f"{name}.txt", *sorted(FIELD.glob(f"{name}.slots.*"))])


def rows(path: Path, keys: list[str]) -> list[tuple[int, ...]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return sorted(tuple(int(row[key], 0) for key in keys) for row in csv.DictReader(file))


def of_kind(suffix: str) -> list[str]:
    return [name for name in CASES if (FIELD / f"{name}.expected.{suffix}").exists()]


def test_every_case_has_an_answer() -> None:
    assert len(CASES) == 65 == sum(len(of_kind(suffix)) for suffix in ("csv", "json", "txt"))


@pytest.mark.parametrize("name", of_kind("csv"))
def test_the_slots_are_those_expected(name: str) -> None:
    path = FIELD / f"{name}.expected.csv"
    keys = path.read_text().splitlines()[0].split(",")
    _, summary = imported(name)
    slots: list[tuple[int, ...]] = [(s.number, s.gpa, s.size, s.userspace_addr, s.flags) for s in summary.final]
    if keys == ["gpa", "size", "flags"]:
        slots = [(gpa, size, flags & 2) for _, gpa, size, _, flags in slots]
    assert sorted(slots) == rows(path, keys)


@pytest.mark.parametrize("name", [p.name.removesuffix(".blocks.csv") for p in sorted(FIELD.glob("*.blocks.csv"))])
def test_ranges_of_one_block_keep_one_host_mapping(name: str) -> None:
    hva = {int(s.gpa): (s.userspace_addr, s.userspace_end) for s in imported(name)[1].final}
    bases: dict[str, set[int]] = defaultdict(set)
    extent: dict[str, list[tuple[int, int]]] = defaultdict(list)
    with (FIELD / f"{name}.blocks.csv").open() as file:
        for row in csv.DictReader(file):
            start, end = hva[int(row["gpa"], 0)]
            bases[row["block"]].add(start - int(row["offset"], 0))
            extent[row["block"]].append((start, end))
    assert all(len(found) == 1 for found in bases.values())
    spans = sorted((min(s for s, _ in parts), max(e for _, e in parts)) for parts in extent.values())
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


@pytest.mark.parametrize("name", of_kind("json"))
def test_the_events_are_those_expected(name: str) -> None:
    expected = json.loads((FIELD / f"{name}.expected.json").read_text())
    trace, summary = imported(name)
    lookups = trace.events["kind"] == EventKind.GFN_LOOKUP
    assert trace.events["a"][lookups].tolist() == [int(gfn, 16) for gfn in expected["gfns_hex"]]
    assert (summary.visits, summary.outside) == (expected["visits"], expected["outside"])
    slots = sorted((s.number, s.gpa, s.size, s.userspace_addr, s.flags) for s in summary.final)
    assert slots == sorted(tuple(int(v, 0) for v in row.split(",")) for row in expected["slots"])


@pytest.mark.parametrize("name", of_kind("txt"))
def test_the_refusal_names_its_line(name: str) -> None:
    line, _, words = (FIELD / f"{name}.expected.txt").read_text().partition(":")
    with pytest.raises(InputFileError) as caught:
        imported(name)
    assert caught.value.line == int(line.removeprefix("line "))
    for key in ("save `info mtree -f`", "lines were left out at line 3", "delete this line", "printed as a pointer"):
        assert (key in words) <= (key in str(caught.value))


@pytest.mark.parametrize("name", sorted(REMARKS))
def test_it_is_remarked(name: str) -> None:
    told = "\n".join(line for line in imported(name)[1].text() if line.startswith("  remark: "))
    assert all(words in told for words in REMARKS[name])
    assert name != "15-elided-map" or "line 2: " not in told


def test_what_was_undone_and_left_out_is_counted() -> None:
    counted = imported("35-libvirt-log")[1].files[0].counted
    assert counted["messages of QEMU"] == 3 and counted["lines of other programs or prose"] == 10


MAP = """FlatView #1
 AS "memory", root: system
 AS "cpu-memory-0", root: system
 Root memory region: system
  0000000000000000-00000000000bffff (prio 0, ram): pc.ram KVM
  00000000000c0000-00000000000dffff (prio 0, rom): pc.ram @00000000000c0000 KVM
  00000000000e0000-000000001fffffff (prio 0, ram): pc.ram @00000000000e0000 KVM
  00000000fd000000-00000000fdffffff (prio 1, ram): R&D card.vram KVM
  00000000fec00000-00000000fec00fff (prio 0, i/o): ioapic
  00000000fffc0000-00000000ffffffff (prio 0, rom): pc.bios KVM
"""
TREE = (FIELD / "27-plain-board.txt").read_text()
QEMU = (
    "".join(CALL.replace("Slot#0", f"Slot#{i}").replace("gpa=0x0", f"gpa=0x{i}0000") for i in range(6))
    + CALL.replace("Slot#0", "Slot#3").replace("size=0x1000", "size=0x0")
    + CALL.replace("Slot#0", "Slot#9").replace("ret=0", "ret=-22")
)
STRACE = "".join(
    f"4242  ioctl(9, KVM_SET_USER_MEMORY_REGION, {{slot={i}, flags=0, guest_phys_addr={i:#x}0000, "
    f"memory_size={'4096' if i < 4 else '8192'}, userspace_addr=0x7f0000{i}00000}}) = 0\n"
    for i in range(1, 6)
)
FTRACE = "".join(
    f"       CPU 0/KVM-5210    [004] .....   733.{i:06}: kvm_page_fault: vcpu 0 rip 0xffffffffb1a02f10 "
    f"address 0x{i:02x}000 error_code 0x181\n"
    for i in range(8)
)
GOOD = {"map": MAP, "tree": TREE, "qemu": QEMU, "strace": STRACE, "ftrace": FTRACE}

Found = tuple[list[tuple[int, ...]], list[int]]


def found(folder: Path, data: bytes, with_slots: bool) -> Found | None:
    """The slots at the end and the gfns; None where the recording is refused."""
    files = [written(folder, "r", data)] + ([written(folder, "s", SLOTS)] if with_slots else [])
    try:
        trace, summary = import_files(files)
    except InputFileError as error:
        assert "\n" not in str(error)
        return None
    gfns = trace.events["a"][trace.events["kind"] == EventKind.GFN_LOOKUP].tolist()
    return [(s.number, s.gpa, s.size, s.userspace_addr, s.flags) for s in summary.final], gfns


@pytest.fixture(scope="module")
def undisguised(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Found]:
    folder = tmp_path_factory.mktemp("undisguised")
    answers = {kind: found(folder, text.encode(), kind == "ftrace") for kind, text in GOOD.items()}
    assert all(answer is not None for answer in answers.values())
    return {kind: answer for kind, answer in answers.items() if answer is not None}


@given(
    st.sampled_from(sorted(GOOD)),
    st.lists(st.sampled_from(sorted(DISGUISES)), max_size=4),
    st.sampled_from(sorted(ENCODINGS)),
)
@example("map", ["wrapped at 72", "quoted", "trailing blanks"], "UTF-16")
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_disguised_recording_tells_the_same_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory,
    undisguised: dict[str, Found],
    kind: str,
    chain: list[str],
    encoding: str,
) -> None:
    lines = GOOD[kind].splitlines()
    for name in chain:
        lines = DISGUISES[name](lines)
    data = ENCODINGS[encoding]("\n".join([*lines, ""]))
    answer = found(tmp_path_factory.getbasetemp(), data, kind == "ftrace")
    if kind == "ftrace" and encoding == "no end of line" and answer is not None:
        # Its last line may be cut inside a number, so that it is left out, with a remark.
        answer = (answer[0], answer[1] + undisguised[kind][1][len(answer[1]) :][:1])
    assert answer is None or answer == undisguised[kind]


@pytest.mark.parametrize("kind", sorted(GOOD))
@pytest.mark.parametrize("name", sorted(DISGUISES))
def test_each_disguise_alone_is_undone(tmp_path: Path, undisguised: dict[str, Found], kind: str, name: str) -> None:
    text = "\n".join([*DISGUISES[name](GOOD[kind].splitlines()), ""])
    assert found(tmp_path, text.encode(), kind == "ftrace") == undisguised[kind]


@pytest.mark.parametrize("kind", sorted(GOOD))
@pytest.mark.parametrize("name", sorted(ENCODINGS))
def test_each_encoding_is_undone(tmp_path: Path, undisguised: dict[str, Found], kind: str, name: str) -> None:
    answer = found(tmp_path, ENCODINGS[name](GOOD[kind]), kind == "ftrace")
    if name == "no end of line" and kind != "qemu":
        last = undisguised[kind][1][-1:] if kind == "ftrace" else []
        assert answer is None or (answer[0], answer[1] + last) == undisguised[kind]
    else:
        assert answer == undisguised[kind]


def test_a_map_in_the_monitors_json(tmp_path: Path, undisguised: dict[str, Found]) -> None:
    assert found(tmp_path, "\n".join([*monitor_json(MAP.splitlines()), ""]).encode(), False) == undisguised["map"]


@pytest.mark.parametrize("pack", [bz2.compress, lambda data: pa.compress(data, "zstd", asbytes=True)])
def test_compressed_recordings(tmp_path: Path, undisguised: dict[str, Found], pack: object) -> None:
    packed = written(tmp_path, "q", pack(QEMU.encode()))  # type: ignore[operator]
    assert [s.number for s in import_files([packed])[1].final] == [row[0] for row in undisguised["qemu"][0]]
    packed.write_bytes(packed.read_bytes()[:-9])
    with pytest.raises(InputFileError, match="damaged or truncated"):
        import_files([packed])


@pytest.mark.parametrize("kind", ["map", "qemu", "strace"])
@pytest.mark.parametrize("disguise", ["quoted", "journal", "prose"])
def test_a_damaged_line_is_refused_under_a_disguise_too(tmp_path: Path, kind: str, disguise: str) -> None:
    lines = GOOD[kind].splitlines()
    at = 5 if kind == "map" else 2
    lines[at] = lines[at][: len(lines[at]) // (3 if kind == "map" else 2)]
    text = "\n".join([*DISGUISES[disguise](lines), ""])
    with pytest.raises(InputFileError) as caught:
        import_files([written(tmp_path, "r", text)])
    assert caught.value.line == at + 1 + (2 if disguise == "prose" else 0)


def test_a_word_after_a_region_is_not_taken_for_its_name(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"'odd' after the region 'pc.ram'") as caught:
        import_files([written(tmp_path, "r", MAP.replace("pc.ram KVM", "pc.ram odd", 1))])
    assert caught.value.line == 5


def test_the_nearest_form_is_named(tmp_path: Path) -> None:
    text = "Some words.\n  0000000000000000-00000000000bffff [ram] pc.ram KVM\n"
    with pytest.raises(InputFileError, match="nearest form is QEMU info mtree") as caught:
        import_files([written(tmp_path, "r", text)])
    assert caught.value.line == 2


@st.composite
def trees(draw: st.DrawFn) -> list[tuple[int, int, int, int, str]]:
    """Regions as (depth, first page, pages, priority, type), priorities of neighbours all different."""
    out = [(0, 0, 16, 0, "container")]
    for priority in draw(st.lists(st.integers(-9, 9), min_size=1, max_size=6, unique=True)):
        first = draw(st.integers(0, 15))
        pages = draw(st.integers(1, 16 - first))
        kind = draw(st.sampled_from(["ram", "rom", "i/o", "container"]))
        out.append((1, first, pages, priority, kind))
        if kind == "container":
            for inner in draw(st.lists(st.integers(-9, 9), max_size=3, unique=True)):
                begin = draw(st.integers(first, first + pages - 1))
                out.append((2, begin, draw(st.integers(1, 4)), inner, draw(st.sampled_from(["ram", "i/o"]))))
    return out


@given(trees())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_trees_are_rendered_as_a_painter_would(
    tmp_path_factory: pytest.TempPathFactory, regions: list[tuple[int, int, int, int, str]]
) -> None:
    """Each page on its own: of all that cover it, the way down from the root with the highest priorities is seen."""
    lines = ["address-space: memory"]
    for number, (depth, first, pages, priority, kind) in enumerate(regions):
        start, last = first << 12, ((first + pages) << 12) - 1
        lines.append(f"{'  ' * (depth + 1)}{start:016x}-{last:016x} (prio {priority}, {kind}): r{number}")
    seen: list[int | None] = []
    for page in range(16):
        best: tuple[tuple[int, ...], int] | None = None
        outer = 0
        for number, (depth, first, pages, priority, kind) in enumerate(regions):
            outer = number if depth == 1 else outer
            covers = first <= page < first + pages
            if depth == 2:
                covers &= regions[outer][1] <= page < regions[outer][1] + regions[outer][2]
            if not covers or kind == "container":
                continue
            rank = (priority,) if depth == 1 else (regions[outer][3], priority)
            if best is None or rank > best[0]:
                best = (rank, number)
        seen.append(None if best is None or regions[best[1]][4] == "i/o" else best[1])
    expected = np.array([-1 if number is None else number for number in seen])
    got = np.full(16, -1)
    path = written(tmp_path_factory.getbasetemp(), "tree", "\n".join([*lines, ""]))
    if (expected == -1).all():
        with pytest.raises(InputFileError, match="no ram or rom"):
            import_files([path])
        return
    summary = import_files([path])[1]
    for slot in summary.final:
        got[slot.base_gfn : slot.end_gfn] = 1
        kinds = {regions[int(n)][4] for n in expected[slot.base_gfn : slot.end_gfn]}
        assert kinds == {"rom" if slot.flags & 2 else "ram"}
    assert ((got == 1) == (expected != -1)).all()


def test_the_importers_that_read_pastes_say_how_their_lines_look() -> None:
    """A line that begins a record holds what only lines of the form hold; else damage to it would pass for prose."""
    from slotlookup.registry import importers

    examples = {"mtree": MAP, "qemu-trace": QEMU, "ftrace": FTRACE, "strace": STRACE}
    for name, text in examples.items():
        rules = importers()[name].lines
        assert rules is not None
        records = [line for line in text.splitlines() if rules.begins.match(line)]
        assert len(records) >= 5
        assert all(rules.whole(line) and rules.damaged.search(line) for line in records)
        assert not any(re.search(r"\S", line) and rules.damaged.search(line) for line in ("Is that right?", "--"))


@pytest.mark.parametrize(
    "text",
    [
        f"24960@9999999999.000000:{CALL}",
        STRACE.replace("4242  ", "4242  9999999999.000000 "),
        FTRACE.replace("   733.", " 9999999999."),
    ],
)
def test_times_that_no_trace_holds_are_refused_with_their_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputFileError, match="beyond what a trace can hold") as caught:
        import_files([written(tmp_path, "r", text), written(tmp_path, "s", SLOTS)])
    assert caught.value.line == 1
