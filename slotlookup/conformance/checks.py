"""The conformance suite: the answers and invariants required of every strategy, shipped or third-party.

A check makes strategies with the given `make` and raises BrokenStrategy if one is wrong. None uses `assert`, which
`python -O` leaves out. Most checks are scripts that run on the strategy and on the model of
`slotlookup.conformance.tandem`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from slotlookup.address import GFN_LIMIT, PAGE_SIZE, Hva
from slotlookup.architecture import ARCHITECTURES
from slotlookup.conformance.notes import written
from slotlookup.conformance.readers import SECOND, accepted, generation, slots_that_go, update_discipline
from slotlookup.conformance.tandem import (
    FAILURES,
    HVA,
    TOP,
    Death,
    Make,
    Operation,
    Tandem,
    create,
    delete,
    flags,
    gfn,
    hva,
    move,
    page,
    play,
    require,
    to_reproduce,
    workout,
)
from slotlookup.errors import BrokenStrategy, DeadStrategy
from slotlookup.memslots import ADDRESS_SPACES, USER_SLOTS
from slotlookup.strategy import Counters
from slotlookup.stream import GfnStream, HvaAnswers, HvaStream, Timeline, change_table, one_segment


@dataclass(frozen=True, slots=True)
class Check:
    """A named check. `summary` states the requirement."""

    name: str
    summary: str
    run: Callable[[Make], None]


@dataclass(frozen=True, slots=True)
class Failure:
    """A check that a strategy failed, and how to reproduce the failure."""

    check: str
    message: str

    def __str__(self) -> str:
        return f"{self.check}: {self.message}"


CHECKS: list[Check] = []
"""The fixed checks, in order."""

LARGEST_HVA = max(architecture.hva_limit for architecture in ARCHITECTURES.values())

REST_LEFT_OUT = "; the remaining checks were left out"


def _check(summary: str) -> Callable[[Callable[[Make], None]], Callable[[Make], None]]:
    def keep(function: Callable[[Make], None]) -> Callable[[Make], None]:
        CHECKS.append(Check(function.__name__.strip("_").replace("_", " "), summary, function))
        return function

    return keep


def _script(name: str, summary: str, operations: Iterable[Operation]) -> None:
    CHECKS.append(Check(name, summary, partial(play, operations=tuple(operations))))


_script(
    "empty",
    "a strategy without slots finds nothing, also after its last slot was deleted",
    [gfn(0), gfn(TOP), gfn(0, 1), hva(0, TOP), hva(HVA, HVA + 1), create(0, 5, 1, HVA), delete(0), gfn(5), hva(0, TOP)],
)
_script("one slot", "both ends of a slot, and addresses outside it", [create(0, 0x100, 16, HVA)])
_script(
    "hole",
    "addresses between two slots are in neither",
    [create(0, 0, 4, page(0)), create(1, 8, 4, page(100)), *(gfn(n) for n in range(14)), hva(page(4), page(100))],
)
_script(
    "adjacent slots",
    "a slot ends where the next begins, in gfns and in hvas; a range that ends at a start misses it",
    [
        *(create(n, 16 * n, 16, page(16 * n)) for n in (2, 0, 1, 3)),
        *(operation for n in (0, 16, 32, 48, 64) for operation in (gfn(n), hva(page(n) - PAGE_SIZE, page(n)))),
        hva(page(15), page(17)),
        hva(page(16), page(16) + 1),
        hva(page(8), page(56)),
    ],
)
_script(
    "first and last gfn",
    "gfn 0 and the last gfn of 64-bit addresses, with and without a slot there",
    [
        gfn(0),
        gfn(GFN_LIMIT - 1),
        create(0, 0, 1, page(0)),
        create(1, GFN_LIMIT - 2, 1, page(8)),
        *(gfn(n) for n in (0, 1, GFN_LIMIT - 3, GFN_LIMIT - 2, GFN_LIMIT - 1, GFN_LIMIT)),
        delete(0),
        delete(1),
    ],
)
_script(
    "top of the address space",
    "nothing wraps at 2^64, nor at 2^63, the largest limit of user memory on any architecture",
    [
        create(0, GFN_LIMIT - 17, 16, LARGEST_HVA - 16 * PAGE_SIZE),
        create(USER_SLOTS - 1, 0, 1, 0),
        *(gfn(n) for n in (TOP, TOP - 1, 1 << 63, (1 << 63) - 1, GFN_LIMIT, 1 << 52)),
        hva(LARGEST_HVA - 1, TOP),
        hva(LARGEST_HVA, TOP),
        hva(TOP - 1, TOP),
        hva(0, 1),
        hva(0, TOP),
    ],
)
_script(
    "partial aliases",
    "host memory that two slots share partially belongs to both",
    [create(0, 0, 8, page(0)), create(1, 16, 8, page(4)), *(hva(page(n), page(n) + 1) for n in range(13)), delete(0)],
)
_script(
    "nested aliases",
    "slots inside another's host memory, at its start, in its middle and at its end",
    [
        create(0, 0, 32, page(0)),
        create(1, 64, 2, page(0)),
        create(2, 68, 2, page(15)),
        create(3, 72, 2, page(30)),
        create(4, 76, 1, page(15)),
        *(hva(page(n), page(n + 1)) for n in (0, 1, 2, 14, 15, 16, 17, 29, 30, 31, 32)),
        delete(0),
        delete(2),
    ],
)
_script(
    "identical host ranges",
    "slots of one host range are all found, whichever of them is deleted",
    [
        *(create(n, 16 * n, 4, page(0)) for n in range(5)),
        hva(page(0), page(1)),
        *(operation for n in (2, 0, 4, 3, 1) for operation in (delete(n), hva(page(1), page(2)))),
    ],
)
_script(
    "order of a visit",
    "a visit gives slot numbers in ascending order, whatever the order of creation and of host addresses",
    [
        *(create(n, 16 * n, 2, page(8 - 2 * n)) for n in (2, 0, 3, 1)),
        create(1 << 16, 0, 2, page(9)),
        create(4, 64, 1, page(4)),
        hva(page(2), page(9)),
        hva(page(0), page(11)),
        hva(page(4), page(5)),
    ],
)
_script(
    "aliases created and deleted",
    "a visit may end early only at a slot without aliases; creation, deletion and move preserve that",
    [
        create(0, 0, 16, page(0)),
        create(1, 32, 8, page(32)),
        hva(page(4), page(5)),
        create(2, 64, 4, page(4)),
        hva(page(4), page(5)),
        create(3, 80, 4, page(6)),
        delete(2),
        hva(page(6), page(7)),
        create(2, 64, 40, page(0)),
        hva(page(33), page(34)),
        delete(3),
        hva(page(1), page(2)),
        move(2, 256),
        hva(page(1), page(2)),
        hva(page(39), page(40)),
        delete(2),
        hva(page(1), page(2)),
        hva(page(0), page(40)),
        move(0, 512),
        hva(page(0), page(1)),
    ],
)
_script(
    "the slot found last is deleted",
    "a deleted slot is not found, even if it was found directly before",
    [create(0, 0, 8, page(0)), create(1, 8, 8, page(8)), gfn(3), delete(0), gfn(3), gfn(9), gfn(3), delete(1), gfn(9)],
)
_script(
    "the slot found last is moved",
    "a moved slot is found at its new place and not at its old one, where another slot may be created",
    [
        create(0, 0, 8, page(0)),
        gfn(3),
        move(0, 64),
        gfn(3),
        gfn(67),
        create(1, 0, 8, page(8)),
        gfn(3),
        gfn(67),
        move(1, 128),
        move(0, 0),
        gfn(3),
        move(1, 64),
        gfn(67),
        move(0, 4),
        *(gfn(n) for n in (0, 3, 4, 7, 11, 12)),
        move(0, 0),
        gfn(11),
    ],
)
_script(
    "flags only",
    "other flags change no answer",
    [create(0, 0, 8, page(0)), gfn(3), flags(0, 1), gfn(3), hva(page(0), page(1)), flags(0, 0), delete(0), gfn(3)],
)
_script(
    "address spaces",
    "gfns belong to one address space, hvas to all",
    [
        create(0, 0, 8, page(0)),
        create(SECOND, 0, 4, page(4)),
        *(gfn(n, as_id) for n in (0, 3, 4, 7, 8) for as_id in range(ADDRESS_SPACES)),
        hva(page(4), page(5)),
        move(SECOND, 4),
        gfn(0, 1),
        delete(0),
        gfn(5, 0),
        gfn(5, 1),
        create(SECOND + USER_SLOTS - 1, 100, 1, page(0)),
        delete(SECOND),
    ],
)
_script(
    "empty ranges",
    "a range that ends at or before its start overlaps no slot",
    [create(0, 0, 8, page(0)), hva(page(4), page(4)), hva(page(5), page(4)), hva(0, 0), hva(TOP, TOP), hva(TOP, 0)],
)
for _order, _sequence in (
    ("ascending", list(range(96))),
    ("descending", list(range(95, -1, -1))),
    ("scattered", random.Random(96).sample(range(96), 96)),
):
    _script(
        f"many slots, {_order}",
        "creation in that order, and deletion of every other slot and of the rest",
        [
            *(create(n, 8 * n, 1 + n % 8, page(6 * n)) for n in _sequence),
            *(delete(n) for n in _sequence[::2]),
            *(delete(n) for n in reversed(_sequence[1::2])),
        ],
    )


VCPUS = (0, 1, 2, 7, 1023, 1024, 65535)
"""The vCPUs in the scripts: neighbours, and some that may share an entry of a table."""


def _each(*points: int, as_id: int = 0) -> list[Operation]:
    """Every vCPU looks up every point, one after another."""
    return [gfn(point, as_id, vcpu) for point in points for vcpu in VCPUS]


_script(
    "many vCPUs",
    "all vCPUs get the same answer, after each has looked up a different address",
    [
        *(create(n, 16 * n, 8, page(16 * n)) for n in range(len(VCPUS))),
        create(SECOND, 0, 64, page(0)),
        *(gfn(16 * n + 1, 0, vcpu) for n, vcpu in enumerate(VCPUS)),
        *(gfn(16 * n + 2, 0, vcpu) for n, vcpu in enumerate(VCPUS)),
        *_each(*range(3, 16 * len(VCPUS), 16)),
        *_each(17, as_id=1),
        *_each(17),
    ],
)
_script(
    "slots change under many vCPUs",
    "no vCPU finds a slot at its old place: deleted, moved, replaced by another, or moved back",
    [
        create(0, 0, 8, page(0)),
        create(1, 16, 8, page(16)),
        *_each(3),
        delete(0),
        *_each(3),
        create(2, 0, 4, page(32)),
        *_each(3, 5),
        move(2, 4),
        *_each(3, 5),
        *_each(17),
        flags(1, 1),
        *_each(17),
        move(1, 64),
        *_each(17, 65),
        create(0, 16, 8, page(0)),
        *_each(17, 65),
        delete(1),
        *_each(65),
        delete(0),
        *_each(17),
    ],
)
_script(
    "misses are not cached",
    "a gfn that was in no slot is found once a slot contains it, whichever vCPU looked it up",
    [
        *_each(3, 20),
        create(0, 0, 8, page(0)),
        *_each(3, 20),
        create(1, 16, 8, page(16)),
        *_each(20, 3, 9),
        move(1, 8),
        *_each(9, 20),
    ],
)


def _require_visits(given: HvaAnswers, right: list[list[int]], where: str) -> None:
    """Require that a batch of visits answers `right`, the ascending slots of each visit."""
    require(given.counts.tolist() == [len(met) for met in right], f"answer_hvas{where} gives wrong counts")
    numbers = [number for met in right for number in met]
    require(given.numbers.tolist() == numbers, f"answer_hvas{where} gives wrong slots, or not in ascending order")


def _populated(make: Make, seed: int = 7) -> Tandem:
    tandem = Tandem(make)
    tandem.play(workout(seed, 80))
    tandem.play(create(n, 0x1000 + 16 * n, 8, page(24 + 4 * n)) for n in range(30, 40))
    return tandem


@_check("a batch has the same answers as its questions one by one")
def _batches(make: Make) -> None:
    tandem = _populated(make)
    strategy, model = tandem.strategy, tandem.model
    points = [*range(80), *range(0x11D0, 0x1280), TOP, 5, 5, GFN_LIMIT - 40]
    for as_id in range(ADDRESS_SPACES):
        line = Timeline(one_segment(len(points), as_id), change_table([]))
        tandem.note("answer_gfns")
        found = strategy.answer_gfns(gfn_stream(points, line)).tolist()
        right = [model.gfn(point, as_id) for point in points]
        require(found == right, f"answer_gfns of address space {as_id} gave {found}; {right} is right")
        singly = [strategy.lookup_gfn(point, as_id) for point in points]
        require(found == singly, f"answer_gfns of address space {as_id} gave {found}, but lookup_gfn {singly}")
    ranges = [(page(n), page(n) + size) for n in range(-2, 70) for size in (1, PAGE_SIZE, 50 * PAGE_SIZE)]
    ranges.append((0, TOP))
    tandem.note("answer_hvas")
    given = strategy.answer_hvas(hva_stream(ranges))
    _require_visits(given, [model.hva(*range_) for range_ in ranges], "")
    one_by_one = [number for range_ in ranges for number in strategy.visit_hva(Hva(range_[0]), Hva(range_[1]))]
    require(given.numbers.tolist() == one_by_one, "answer_hvas gives other answers than visit_hva")
    require(len(strategy.answer_gfns(gfn_stream([]))) == 0, "an empty batch has answers")
    require(len(strategy.answer_hvas(hva_stream([])).counts) == 0, "an empty batch has answers")


@_check("a batch of many vCPUs has the same answers as its questions one by one, also between changes")
def _vcpus_of_a_batch(make: Make) -> None:
    tandem = _populated(make)
    strategy, model = tandem.strategy, tandem.model
    points = [0x11E0, 0x11F0, 0x1200, 0x9001, 5] * len(VCPUS)
    vcpus = np.array([vcpu for vcpu in VCPUS for _ in range(5)], dtype=np.uint16)
    steps = [create(200, 0x9000, 4, page(0)), move(200, 0x11EC), delete(200)]
    changes, right, segments = [], [], []
    for step in [None, *steps]:
        if step is not None:
            change = accepted(tandem, step)
            changes.append(change)
            model.follow(change)
        right += [model.gfn(point, 0) for point in points]
        segments.append((len(right), 0, len(changes)))
    line = Timeline(np.array(segments, dtype=np.uint64), change_table(changes))
    asked = np.array(points * len(segments), dtype=np.uint64)
    tandem.note("answer_gfns")
    found = strategy.answer_gfns(GfnStream(asked, line, np.tile(vcpus, len(segments)))).tolist()
    require(found == right, f"answer_gfns with vCPUs {VCPUS} gave {found}; {right} is right")


@_check("a stream's slot changes take place between its segments, none of them after the last")
def _timelines(make: Make) -> None:
    tandem = _populated(make)
    strategy, model = tandem.strategy, tandem.model
    steps = [
        create(200, 0x9000, 4, page(0)),
        move(200, 0xA000),
        flags(200, 1),
        delete(200),
    ]
    points = [0x9000, 0x9003, 0xA000, 0x11E0, 5]
    ranges = [(page(0), page(0) + 1), (page(3), page(4)), (0, TOP)]
    changes, gfns, hvas = [], [], []
    segments: list[tuple[int, int, int]] = []
    for step in [None, *steps]:
        if step is not None:
            change = accepted(tandem, step)
            changes.append(change)
            model.follow(change)
        for as_id in range(ADDRESS_SPACES):
            gfns += [model.gfn(point, as_id) for point in points]
            hvas += [model.hva(*range_) for range_ in ranges]
            segments.append((len(segments) + 1, as_id, len(changes)))
    behind = accepted(tandem, create(200, 0x9000, 1, HVA))  # after the last segment
    table = change_table([*changes, behind])
    line = Timeline(np.array([(end * len(points), *row) for end, *row in segments], dtype=np.uint64), table)
    tandem.note("answer_gfns")
    found = strategy.answer_gfns(gfn_stream(points * len(segments), line)).tolist()
    require(found == gfns, f"answer_gfns along a timeline gave {found}; {gfns} is right")
    tandem.ask_everything()  # the last change of the segments deleted the slot, so the same stream can run again
    line = Timeline(np.array([(end * len(ranges), *row) for end, *row in segments], dtype=np.uint64), table)
    tandem.note("answer_hvas")
    _require_visits(strategy.answer_hvas(hva_stream(ranges * len(segments), line)), hvas, " along a timeline")
    tandem.ask_everything()
    strategy.check()


for _name, _summary, _run in (
    (
        "update discipline",
        "between stage and publish, readers see the slots that the declared update discipline defines",
        update_discipline,
    ),
    (
        "slots that go are invalid",
        "with two-sets and copy, a slot that is deleted or moved is marked INVALID for readers, in a swap of its own",
        slots_that_go,
    ),
    (
        "generation",
        "the generation of an address space advances with each change that readers see, and never comes twice",
        generation,
    ),
):
    CHECKS.append(Check(_name, _summary, _run))


def check_counted(make: Make, make_counted: Make, seed: int = 0) -> None:
    """The counting instance gives the same answers and the declared counters; the other gives no counters."""
    script = workout(seed, 300)
    plain, counted = Tandem(make), Tandem(make_counted)
    for tandem in (plain, counted):
        tandem.play(script)
        tandem.play([create(0x3000, 0x1_0000, 1, HVA)])
    for start in range(HVA, HVA + 64 * PAGE_SIZE, PAGE_SIZE):
        ours, theirs = (t.strategy.visit_hva(Hva(start), Hva(start + 1)) for t in (plain, counted))
        require(ours == theirs, f"the counting instance gives other slots at {start:#x}: {theirs} for {ours}")
    nothing = Counters(None, None, None, None)
    require(plain.strategy.counters() == nothing, "a strategy that was not made to count gives counters")
    given = counted.strategy.counters()
    for name in Counters.__slots__:
        value = getattr(given, name)
        if name in counted.strategy.capabilities.counts:
            require(bool(value), f"the counter {name} is declared but is {value} after lookups")
        else:
            require(value is None, f"the counter {name} is not declared but is {value}")
    counted.strategy.reset_counters()
    after = counted.strategy.counters()
    require(all(getattr(after, name) in (None, 0) for name in Counters.__slots__), f"a reset leaves {after}")


def all_checks(seed: int = 0, *, make_counted: Make | None = None, rounds: int = 4) -> list[Check]:
    """Every check, then `rounds` random workouts from `seed` on, then that of the counting instance if it is given."""
    checks = [*CHECKS]
    for one in range(seed, seed + rounds):
        checks.append(Check(f"workout seed {one}", "random operations", partial(play, operations=workout(one))))
    if make_counted is not None:
        counted = make_counted
        checks.append(Check("counted", "counting changes no answer", lambda m: check_counted(m, counted, seed)))
    return checks


def run(make: Make, seed: int = 0, *, make_counted: Make | None = None, rounds: int = 4) -> list[Failure]:
    """The failures in `all_checks`. Empty if the strategy conforms."""
    return list(failures(make, seed, make_counted=make_counted, rounds=rounds))


def failures(make: Make, seed: int = 0, *, make_counted: Make | None = None, rounds: int = 4) -> Iterator[Failure]:
    """Those of `run`, each as soon as it is found."""
    notes = written()
    for i, check in enumerate(all_checks(seed, make_counted=make_counted, rounds=rounds)):
        if notes is not None:
            notes.begin(i)
        try:
            check.run(make)
        except Death as error:
            yield Failure(check.name, f"{error.what}{REST_LEFT_OUT}{to_reproduce(error.operations)}")
            return
        except DeadStrategy as error:
            yield Failure(check.name, f"{error}{REST_LEFT_OUT}")
            return
        except BrokenStrategy as error:
            yield Failure(check.name, str(error))
        except FAILURES as error:
            yield Failure(check.name, f"{type(error).__name__}: {error}")


def gfn_stream(gfns: Sequence[int], timeline: Timeline | None = None) -> GfnStream:
    """Lookups in address space 0, or along a timeline."""
    line = timeline or Timeline(one_segment(len(gfns)), change_table([]))
    return GfnStream(np.array(gfns, dtype=np.uint64), line)


def hva_stream(ranges: Sequence[tuple[int, int]], timeline: Timeline | None = None) -> HvaStream:
    """Visits of half-open ranges, along a timeline if one is given."""
    line = timeline or Timeline(one_segment(len(ranges)), change_table([]))
    table = np.array(ranges, dtype=np.uint64).reshape(-1, 2)
    return HvaStream(np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1]), line)
