"""Derived questions for kinds that a trace lacks, checked against the slots at each moment."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from slotlookup.address import PAGE_SIZE
from slotlookup.memslots import Memslot, make_memslot
from slotlookup.questions import (
    ASKED_AND_HELD,
    CHANGED_AND_HELD,
    DERIVED_LOOKUPS,
    LEAST_ASKED,
    LEAST_CHANGED,
    derive_changes,
    questions_of,
)
from slotlookup.trace import EventKind, SlotOrder, Trace, gfn_events, read_trace, slot_events, write_trace

LOW = make_memslot(0, 0x0, 0x4000, 0x7000_0000_0000)
HIGH = make_memslot(3, 0x10000, 0x8000, 0x6000_0000_0000)


def trace(*parts: np.ndarray, start: tuple[Memslot, ...] = ()) -> Trace:
    return Trace("t", start, np.concatenate(parts) if parts else gfn_events([]))


def test_visits_follow_the_pages_that_were_looked_up() -> None:
    asked = questions_of(trace(gfn_events([1, 0x12, 0x9999, 0x17]), start=(LOW, HIGH)), seed=0)
    # gfn 1 is the second page of LOW, 0x12 and 0x17 the third and eighth of HIGH; 0x9999 lies in no slot.
    expected = [0x7000_0000_1000, 0x6000_0000_2000, 0x6000_0000_7000]
    assert asked.hva.starts.tolist() == expected
    assert (asked.hva.ends - asked.hva.starts).tolist() == [PAGE_SIZE] * 3
    assert asked.origin["gfn"] == "recorded"
    assert asked.origin["hva"].startswith("derived")


def test_visits_follow_slot_changes() -> None:
    moved = (3, 0x40000, 0x8000, 0x6000_0000_0000, 0)
    gone = (3, 0x40000, 0, 0x6000_0000_0000, 0)
    asked = questions_of(
        trace(
            gfn_events([0x10]), slot_events([moved]), gfn_events([0x10, 0x41]), slot_events([gone]), start=(LOW, HIGH)
        ),
        seed=0,
    )
    assert asked.hva.starts.tolist() == [0x6000_0000_0000, 0x6000_0000_1000]
    assert asked.hva.timeline.segments.tolist() == [[1, 0, 0], [2, 0, 1]]
    assert asked.origin["update"] == "recorded"


def test_lookups_are_drawn_from_the_slots_of_their_moment() -> None:
    make = [(s.number, s.gpa, s.size, s.userspace_addr, 0) for s in (LOW, HIGH)]
    asked = questions_of(trace(slot_events([*make, (0, 0, 0, LOW.userspace_addr, 0)])), seed=3)
    begin = 0
    held = {1: (LOW,), 2: (LOW, HIGH), 3: (HIGH,)}
    for end, as_id, changes in asked.gfn.timeline.segments.tolist():
        assert as_id == 0
        gfns = asked.gfn.gfns[begin:end].tolist()
        assert all(any(s.base_gfn <= g < s.end_gfn for s in held[changes]) for g in gfns)
        assert {g for s in held[changes] for g in range(s.base_gfn, s.end_gfn)} == set(gfns)
        begin = end
    assert begin == len(asked.gfn)


def test_lookups_follow_slots_that_come_and_go() -> None:
    """More deletions than there are slots, in both address spaces: no page is drawn from a slot that is gone."""
    held: dict[int, int] = {}
    calls, states = [], []
    for turn in range(600):
        number = turn * 7 % 100 | (turn % 3 == 0) << 16
        if number in held:
            del held[number]
            calls.append((number, 0, 0, 0x7000_0000_0000, 0))
        else:
            held[number] = 16 * (number & 0xFFFF) + turn % 4
            calls.append((number, held[number] << 12, 0x2000, 0x7000_0000_0000, 0))
        states.append(dict(held))
    asked = questions_of(trace(slot_events(calls)), seed=0)
    begin, seen = 0, set()
    for end, as_id, changes in asked.gfn.timeline.segments.tolist():
        there = {
            base + page for number, base in states[changes - 1].items() if number >> 16 == as_id for page in (0, 1)
        }
        drawn = set(asked.gfn.gfns[begin:end].tolist())
        assert drawn and drawn <= there
        seen.add((changes, as_id))
        begin = end
    assert begin == len(asked.gfn)
    spaces = [{number >> 16 for number in state} for state in states]
    assert seen == {(n, as_id) for n, there in enumerate(spaces, 1) for as_id in there}


def test_of_many_slots_fewer_questions_are_derived() -> None:
    few, many = (
        tuple(make_memslot(i, i << 20, 0x1000, 0x7000_0000_0000 + (i << 20)) for i in range(count))
        for count in (16, 30_000)
    )
    flag = slot_events([(0, 0, 0x1000, 0x7000_0000_0000, 1)])
    assert len(questions_of(trace(flag, start=few), seed=0).gfn) == DERIVED_LOOKUPS
    asked = questions_of(trace(flag, start=many), seed=0)
    # Two moments have slots, so an odd number is rounded down.
    assert len(asked.gfn) == len(asked.hva) == max(ASKED_AND_HELD // 30_000, LEAST_ASKED) // 2 * 2
    visits = questions_of(trace(gfn_events(np.zeros(10_000)), flag, start=many), seed=0).hva
    assert len(visits) == max(ASKED_AND_HELD // 30_000, LEAST_ASKED)


def test_the_same_seed_asks_the_same() -> None:
    boot = slot_events([(s.number, s.gpa, s.size, s.userspace_addr, 0) for s in (LOW, HIGH)])
    one, two, other = (questions_of(trace(boot), seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.gfn.gfns, two.gfn.gfns)
    assert not np.array_equal(one.gfn.gfns, other.gfn.gfns)


def test_every_slot_is_deleted_and_created_again() -> None:
    asked = questions_of(trace(gfn_events([0]), start=(HIGH, LOW)), seed=0)
    kinds, numbers = asked.update[:, 0].tolist(), asked.update[:, 1].tolist()
    assert kinds == [1, 0] * (len(kinds) // 2)
    assert numbers[::2] == numbers[1::2] and set(numbers) == {0, 3}
    assert asked.update_is_closed


def slots_passed(start: list[int], deleted: list[int]) -> float:
    """Entries of a list, front first, up to the one to delete; it is appended again. The mean of all deletions."""
    held, passed = list(start), 0
    for number in deleted:
        passed += held.index(number) + 1
        held.remove(number)
        held.append(number)
    return passed / len(deleted)


@pytest.mark.parametrize("count", [16, 64, 512])
def test_derived_changes_are_no_best_case_of_a_list(count: int) -> None:
    start = tuple(make_memslot(i, i << 20, 0x1000, 0x7000_0000_0000 + (i << 20)) for i in range(count))
    numbers = list(range(count))
    for seed in range(3):
        deleted = [int(row[1]) for row in derive_changes(start, seed) if row[0] == 1]
        middle = (count + 1) / 2
        assert abs(slots_passed(numbers, deleted) - middle) < middle * 0.15
        # Replayed once more, on the order that the first replay left behind.
        left = sorted(numbers, key=lambda n: max((i for i, d in enumerate(deleted) if d == n), default=-1))
        assert abs(slots_passed(left, deleted) - middle) < middle * 0.15
    in_order = [int(row[1]) for row in derive_changes(start, None) if row[0] == 1]
    assert slots_passed(numbers, in_order) == 1.0


def test_of_many_slots_fewer_are_changed() -> None:
    start = tuple(make_memslot(i, i << 20, 0x1000, 0x7000_0000_0000 + (i << 20)) for i in range(20_000))
    changes = derive_changes(start, 0)
    assert 2 * LEAST_CHANGED <= len(changes) <= 2 * max(CHANGED_AND_HELD // len(start), LEAST_CHANGED)
    assert len(derive_changes((), 0)) == 0


def test_an_open_list_of_changes_is_told_from_a_closed_one() -> None:
    grow = slot_events([(7, 0x100000, 0x1000, 0x5000_0000_0000, 0)])
    shrink = slot_events([(7, 0x100000, 0, 0x5000_0000_0000, 0)])
    flag = slot_events([(0, 0, 0x4000, LOW.userspace_addr, 1)])
    assert not questions_of(trace(grow, start=(LOW,)), seed=0).update_is_closed
    assert not questions_of(trace(grow, shrink, flag, start=(LOW,)), seed=0).update_is_closed
    assert questions_of(trace(grow, shrink, start=(LOW,)), seed=0).update_is_closed


def test_recorded_streams_are_asked_as_they_are() -> None:
    events = gfn_events([5, 6])
    events["kind"][1] = EventKind.HVA_VISIT
    events["a"][1], events["b"][1] = 0x1000, 0x3000
    asked = questions_of(trace(events, start=(LOW,)), seed=0)
    assert asked.gfn.gfns.tolist() == [5]
    assert (asked.hva.starts.tolist(), asked.hva.ends.tolist()) == ([0x1000], [0x3000])
    assert asked.origin["hva"] == "recorded"


@pytest.mark.parametrize("order", list(SlotOrder))
def test_every_table_says_where_the_order_of_creation_is_not_known(order: SlotOrder) -> None:
    asked = questions_of(Trace("t", (LOW, HIGH), gfn_events([5]), slot_order=order), seed=0)
    known = order is SlotOrder.CREATION
    assert all(("order of creation not recorded" in source) != known for source in asked.origin.values())
    assert len(asked.origin) == 3


def test_a_trace_keeps_the_order_and_old_ones_do_not_tell_it(tmp_path: Path) -> None:
    for order in SlotOrder:
        write_trace(Trace("t", (HIGH, LOW), gfn_events([5]), slot_order=order), tmp_path / "t")
        assert read_trace(tmp_path / "t").slot_order is order and read_trace(tmp_path / "t").start == (HIGH, LOW)
    # A trace as it was written before the order was kept.
    table = pq.read_table(tmp_path / "t")
    metadata = json.loads(table.schema.metadata[b"slotlookup"])
    del metadata["slot_order"]
    pq.write_table(table.replace_schema_metadata({"slotlookup": json.dumps(metadata)}), tmp_path / "old")
    assert read_trace(tmp_path / "old").slot_order is SlotOrder.UNKNOWN
