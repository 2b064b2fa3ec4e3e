"""Checks of what readers see while slots change: slots, flags and the generation, between staging and publication."""

from __future__ import annotations

from collections.abc import Iterator

from slotlookup.address import Gfn
from slotlookup.conformance.tandem import (
    Make,
    Operation,
    Tandem,
    create,
    delete,
    flags,
    move,
    page,
    require,
    workout,
)
from slotlookup.errors import BrokenStrategy, DeadStrategy, present
from slotlookup.memslots import ADDRESS_SPACES, INVALID, SlotChange
from slotlookup.strategy import Strategy
from slotlookup.stream import change_table
from slotlookup.vocabulary import UpdateDiscipline

SECOND = 1 << 16
"""Slot 0 of address space 1."""

_START = (create(0, 0, 8, page(0)), create(1, 0x100, 8, page(6)), create(SECOND, 0x100, 8, page(6), 1))
_STEPS = (create(5, 0x200, 8, page(4)), move(1, 0x300), delete(1), flags(1, 1), move(1, 0x104))
_POINTS = (0, 0x100, 0x104, 0x107, 0x10B, 0x200, 0x300, 0x307)
"""Changes of slot 1 or 5, and gfns in, beside and between the old and the new places."""


_MARKING = (UpdateDiscipline.TWO_SETS, UpdateDiscipline.COPY)
"""The disciplines of KVM since readers are not locked out (Linux 2.6.34)."""
_REPEATED = 400
"""A slot that no workout has."""


def accepted(tandem: Tandem, step: Operation) -> SlotChange:
    """The slot change of a step; the rules of KVM accept the steps of all checks."""
    return present(tandem.model.change(step), f"the slot change of {step}")


def _phases(tandem: Tandem, step: Operation) -> Iterator[str]:
    """Stage and publish a change, and after each have the model hold the slots that readers see."""
    strategy = tandem.strategy
    change = accepted(tandem, step)
    at_once = strategy.capabilities.update == UpdateDiscipline.IN_PLACE
    tandem.note(f"stage of {step}")
    strategy.stage(change)
    if at_once:
        tandem.model.follow(change)
    yield "staged"
    tandem.note(f"publish of {step}")
    strategy.publish()
    if not at_once:
        tandem.model.follow(change)
    yield "published"


def update_discipline(make: Make) -> None:
    """Readers see a change when the discipline says, and then see another generation too."""
    for step in _STEPS:
        tandem = Tandem(make)
        tandem.play(_START)
        strategy = tandem.strategy
        discipline = strategy.capabilities.update
        tandem.ask(0x104, 0)  # so that a cache contains the slot that changes
        before = strategy.generation(0)
        for phase in _phases(tandem, step):
            try:
                for point in _POINTS:
                    for as_id in range(ADDRESS_SPACES):
                        tandem.ask(point, as_id)
                for n in range(16):
                    tandem.visit(page(n), page(n) + 1)
                now = strategy.generation(0)
                if (phase == "staged") == (discipline == UpdateDiscipline.IN_PLACE):
                    require(now != before, f"readers see other slots in the same generation, {now}")
                before = now
                strategy.check()
            except DeadStrategy:
                raise
            except BrokenStrategy as error:
                raise BrokenStrategy(f"{step} was {phase}, update={discipline}: {error}") from error


def slots_that_go(make: Make) -> None:
    """In KVM's disciplines a slot that is deleted or moved is first swapped in as INVALID; no other slot ever is."""
    for step in _STEPS:
        tandem = Tandem(make)
        tandem.play(_START)
        strategy = tandem.strategy
        goes = strategy.capabilities.update in _MARKING and step.what in ("delete", "move")
        before = strategy.generation(0)
        for phase in _phases(tandem, step):
            for point in _POINTS:
                for as_id in range(ADDRESS_SPACES):
                    found, right = strategy.flags_at(Gfn(point), as_id), tandem.model.flags(point, as_id)
                    if phase == "staged" and goes and tandem.model.gfn(point, as_id) == 1:
                        right = present(right, "the slot that goes") | INVALID
                    require(
                        found == right,
                        f"{step} was {phase}: flags_at({point:#x}, as_id={as_id}) gave {found}; {right} is right",
                    )
            now = strategy.generation(0)
            if goes:
                require(
                    now != before, f"{step} was {phase}, and the generation is {now} as before; one swap is missing"
                )
            before = now


def generation(make: Make) -> None:
    """The generation of an address space advances with each of its changes; no generation comes twice."""
    tandem = Tandem(make)
    strategy, model = tandem.strategy, tandem.model
    held = _generations(strategy)
    require(held == list(range(ADDRESS_SPACES)), f"the generations are {held} at first, not the address spaces")
    many = [flags(_REPEATED, 1 + n % 2) for n in range(150)]  # more changes than eight bits count
    for step in [*workout(5, 200), create(_REPEATED, 0x8000, 1, page(0x800)), *many]:
        if step.what not in ("create", "delete", "move", "flags"):
            continue
        change = model.change(step)
        if change is None or strategy.capabilities.refusal(change.slot):  # a slot refused earlier cannot change either
            continue
        tandem.note(f"apply of {step}")
        strategy.apply(change)
        model.follow(change)
        held = _advanced(strategy, held, {change.slot.as_id}, str(step))
    loaded = make()
    creations = [accepted(tandem, create(number, 0x9000, 1, page(0x1000))) for number in (300, SECOND + 300)]
    if not any(loaded.capabilities.refusal(change.slot) for change in creations):
        loaded.load_table(change_table(creations))
        _advanced(loaded, list(range(ADDRESS_SPACES)), set(range(ADDRESS_SPACES)), "load_table")


def _generations(strategy: Strategy) -> list[int]:
    return [strategy.generation(as_id) for as_id in range(ADDRESS_SPACES)]


def _advanced(strategy: Strategy, before: list[int], spaces: set[int], what: str) -> list[int]:
    """The generations now. They must have advanced in `spaces`, by steps that no two spaces share, and only there."""
    now = _generations(strategy)
    for as_id in range(ADDRESS_SPACES):
        steps, beside = divmod(now[as_id] - before[as_id], ADDRESS_SPACES)
        place = f"{what}: the generation of address space {as_id} went from {before[as_id]} to {now[as_id]}"
        if as_id in spaces:
            require(steps > 0 and not beside, f"{place}; it must rise by a multiple of {ADDRESS_SPACES}")
        else:
            require(now[as_id] == before[as_id], f"{place}, and none of its slots changed")
    return now
