"""A strategy and a simple model: scripts run on both, and their answers are compared.

The model goes through all slots for every answer. It shares no code with `slotlookup.oracle` or with any structure.
After every change the strategy checks its own invariants, and the edges of the slot are looked up at its old and its
new place. A failing script is reduced to the operations that are needed for the failure.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from slotlookup.address import ADDRESS_LIMIT, GFN_LIMIT, HOLE, PAGE_SHIFT, PAGE_SIZE, Gfn, Hva, SlotNumber
from slotlookup.conformance.notes import written
from slotlookup.errors import BeyondLimit, BrokenStrategy, DeadStrategy, SlotlookupError
from slotlookup.memslots import ADDRESS_SPACES, USER_SLOTS, ChangeKind, Memslot, SlotChange, follow
from slotlookup.strategy import Strategy

Make = Callable[[], Strategy]

TOP = ADDRESS_LIMIT - 1

HVA = 0x7F00_0000_0000
"""The start of the scripts' host memory."""

FAILURES = (
    SlotlookupError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    StopIteration,
    TypeError,
    ValueError,
)
"""The exceptions that a broken strategy may raise."""


def page(n: int) -> int:
    """The hva of the scripts' host page `n`."""
    return HVA + n * PAGE_SIZE


@dataclass(frozen=True, slots=True)
class Operation:
    """One step of a script. `what` is a method of `Tandem`."""

    what: str
    arguments: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.what}({', '.join(f'{a:#x}' if a > 9 else str(a) for a in self.arguments)})"

    @staticmethod
    def parse(text: str) -> Operation:
        """The operation that prints as `text`. Raises ValueError."""
        what, _, arguments = text.removesuffix(")").partition("(")
        return Operation(what, tuple(int(argument, 0) for argument in arguments.split(", ")))


def create(number: int, base_gfn: int, npages: int, hva: int, flags: int = 0) -> Operation:
    """A new slot."""
    return Operation("create", (number, base_gfn, npages, hva, flags))


def delete(number: int) -> Operation:
    """A slot is deleted."""
    return Operation("delete", (number,))


def move(number: int, base_gfn: int) -> Operation:
    """A slot moves to another gfn."""
    return Operation("move", (number, base_gfn))


def flags(number: int, value: int) -> Operation:
    """A slot gets other flags."""
    return Operation("flags", (number, value))


def gfn(point: int, as_id: int = 0, vcpu: int = 0) -> Operation:
    """A lookup by gfn; `vcpu` performs it."""
    return Operation("gfn", (point, as_id, vcpu) if vcpu else (point, as_id))


def hva(start: int, end: int) -> Operation:
    """A visit of [start, end)."""
    return Operation("hva", (start, end))


class Disagreement(BrokenStrategy):
    """A strategy failed a script. `operations` are those performed, the failing operation last."""

    def __init__(self, message: str, operations: Sequence[Operation]) -> None:
        self.what = message
        self.operations = tuple(operations)
        super().__init__(f"{message}{to_reproduce(operations)}")


class Death(DeadStrategy):
    """The process of a structure ended in a script. `what` says how, `operations` are those performed."""

    def __init__(self, message: str, operations: Sequence[Operation]) -> None:
        self.what = message
        self.operations = tuple(operations)
        super().__init__(f"{message}{to_reproduce(operations)}")


def require(holds: bool, complaint: str) -> None:
    """Raise BrokenStrategy with `complaint` if `holds` is false, also under `python -O`."""
    if not holds:
        raise BrokenStrategy(complaint)


def to_reproduce(operations: Iterable[Operation | str]) -> str:
    """The part of a message that lists a script."""
    lines = "".join(f"\n  {operation}" for operation in operations)
    return f"; to reproduce it, run (numbers are as_id << 16 | id):{lines}"


class Model:
    """The current slots, searched in the simplest way."""

    def __init__(self) -> None:
        self.slots: dict[SlotNumber, Memslot] = {}

    def change(self, operation: Operation) -> SlotChange | None:
        """The slot change of an operation, or None if the rules refuse it."""
        number, *rest = operation.arguments
        old = self.slots.get(SlotNumber(number))
        if operation.what == "create":
            base, npages, address, value = rest
            slot = Memslot(SlotNumber(number), Gfn(base), npages, Hva(address), value)
            return SlotChange(ChangeKind.CREATE, slot) if old is None and self._free(slot) else None
        if old is None:
            return None
        if operation.what == "delete":
            return SlotChange(ChangeKind.DELETE, old)
        if operation.what == "move":
            slot = old._replace(base_gfn=Gfn(rest[0]))
            return SlotChange(ChangeKind.MOVE, slot) if rest[0] != old.base_gfn and self._free(slot) else None
        slot = old._replace(flags=rest[0])
        return SlotChange(ChangeKind.FLAGS_ONLY, slot) if rest[0] != old.flags else None

    def follow(self, change: SlotChange) -> None:
        """Apply a change."""
        follow(self.slots, change)

    def gfn(self, point: int, as_id: int) -> int:
        """The slot that holds `point`, or -1."""
        for number, slot in self.slots.items():
            if number >> 16 == as_id and slot.base_gfn <= point < slot.base_gfn + slot.npages:
                return number
        return HOLE

    def flags(self, point: int, as_id: int) -> int | None:
        """The flags of that slot, or None."""
        slot = self.slots.get(SlotNumber(self.gfn(point, as_id)))
        return None if slot is None else slot.flags

    def hva(self, start: int, end: int) -> list[int]:
        """The slots that share a byte with [start, end), ascending."""
        met = []
        for number, slot in self.slots.items():
            first, behind = slot.userspace_addr, slot.userspace_addr + slot.npages * PAGE_SIZE
            if max(first, start) < min(behind, end):
                met.append(number)
        return sorted(met)

    def _free(self, wanted: Memslot) -> bool:
        for slot in self.slots.values():
            if slot.number == wanted.number or slot.as_id != wanted.as_id:
                continue
            if max(slot.base_gfn, wanted.base_gfn) < min(slot.end_gfn, wanted.end_gfn):
                return False
        return wanted.end_gfn <= GFN_LIMIT


class Tandem:
    """A strategy and the model, with the operations performed so far."""

    def __init__(self, make: Make) -> None:
        self.strategy = make()
        self.model = Model()
        self.played: list[Operation] = []
        self._notes = written()

    def play(self, operations: Iterable[Operation]) -> None:
        """Perform operations. Raises Disagreement; operations that the rules refuse are skipped."""
        for operation in operations:
            self.played.append(operation)
            if self._notes is not None:
                self._notes.operation(self, str(operation))
            try:
                self._step(operation)
            except DeadStrategy as error:
                raise Death(str(error), self.played) from error  # not repeated for reduction
            except BrokenStrategy as error:
                raise Disagreement(str(error), self.played) from error
            except FAILURES as error:
                raise Disagreement(f"{type(error).__name__}: {error}", self.played) from error

    def note(self, call: str, *arguments: int) -> None:
        """Note a call of the strategy, where this process writes notes."""
        if self._notes is not None:
            self._notes.call(f"{call}({', '.join(map(hex, arguments))})" if arguments else call)

    def ask_everything(self) -> None:
        """Look up the edges of every slot."""
        self.play([question for slot in list(self.model.slots.values()) for question in edges(slot)])

    def ask(self, point: int, as_id: int, vcpu: int = 0) -> None:
        """One lookup."""
        self.note("lookup_gfn", point, as_id, vcpu)
        found, right = self.strategy.lookup_gfn(Gfn(point), as_id, vcpu), self.model.gfn(point, as_id)
        if found != right:
            asker = f", vcpu={vcpu}" if vcpu else ""
            raise BrokenStrategy(f"lookup_gfn({point:#x}, as_id={as_id}{asker}) gave {found}; {right} is right")

    def visit(self, start: int, end: int) -> None:
        """One visit."""
        self.note("visit_hva", start, end)
        met, right = list(self.strategy.visit_hva(Hva(start), Hva(end))), self.model.hva(start, end)
        if met != right:
            order = ": the right slots, but not in ascending order" if sorted(met) == right else ""
            raise BrokenStrategy(f"visit_hva({start:#x}, {end:#x}) gave {met}; {right} is right{order}")

    def _step(self, operation: Operation) -> None:
        if operation.what == "gfn":
            self.ask(*operation.arguments)
        elif operation.what == "hva":
            self.visit(*operation.arguments)
        else:
            change = self.model.change(operation)
            if change is None:
                return
            before = self.model.slots.get(change.slot.number)
            if self._refused(change):
                return
            self.model.follow(change)
            self.note("check")
            self.strategy.check()
            if len(self.strategy) != len(self.model.slots):
                raise BrokenStrategy(f"the strategy holds {len(self.strategy)} slots of {len(self.model.slots)}")
            # The old place is first, so that a cache that still contains the slot has not been overwritten.
            for slot in (before, change.slot):
                for question in () if slot is None else edges(slot):
                    self._step(question)
            place = change.slot.base_gfn
            self.note("flags_at", place, change.slot.as_id)
            found, right = self.strategy.flags_at(place, change.slot.as_id), self.model.flags(place, change.slot.as_id)
            require(found == right, f"flags_at({place:#x}, as_id={change.slot.as_id}) gave {found}; {right} is right")

    def _refused(self, change: SlotChange) -> bool:
        """Whether the strategy refuses a change, as it must exactly if the slot is beyond its limits."""
        refusal = self.strategy.capabilities.refusal(change.slot)
        self.note("apply")
        try:
            self.strategy.apply(change)
        except BeyondLimit as error:
            if not refusal:
                raise BrokenStrategy(f"a slot within the declared limits was refused: {error}") from error
            self.strategy.check()
            if len(self.strategy) != len(self.model.slots):
                raise BrokenStrategy(f"refusing a slot left {len(self.strategy)} of {len(self.model.slots)}") from error
            return True
        if refusal:
            raise BrokenStrategy(f"a slot beyond the declared limits was accepted: {refusal}")
        return False


def edges(slot: Memslot) -> Iterator[Operation]:
    """Questions at, before and after both ends of a slot, in every address space."""
    for as_id in range(ADDRESS_SPACES):
        for point in (slot.base_gfn - 1, slot.base_gfn, slot.end_gfn - 1, slot.end_gfn):
            if point >= 0:
                yield gfn(point, as_id)
    start, end = slot.userspace_addr, slot.userspace_addr + (slot.npages << PAGE_SHIFT)
    before, after = max(0, start - PAGE_SIZE), end + PAGE_SIZE
    for range_ in ((before, start), (start, start + 1), (start, end), (end - 1, end), (end, after), (before, after)):
        yield hva(*range_)
    yield hva(0, TOP)


def play(make: Make, operations: Sequence[Operation]) -> None:
    """Run a script on a new strategy and look up everything at its end. A failing script is reduced."""
    try:
        tandem = Tandem(make)
        tandem.play(operations)
        tandem.ask_everything()
    except Disagreement as error:
        raise _cut_down(make, error) from None


def _cut_down(make: Make, failure: Disagreement) -> Disagreement:
    """A failure with fewer operations: parts are left out as long as the script still fails."""

    def fails(operations: Sequence[Operation]) -> Sequence[Operation] | None:
        nonlocal failure
        try:
            Tandem(make).play(operations)
        except Disagreement as error:
            failure = error
            return error.operations
        return None

    reduce_script(failure.operations, fails)
    return failure


def reduce_script(
    operations: Sequence[Operation], fails: Callable[[Sequence[Operation]], Sequence[Operation] | None]
) -> Sequence[Operation]:
    """A failing script with fewer operations: parts are left out as long as it still fails.

    `fails` performs a script on a new strategy and returns the operations performed if it failed, else None.
    """
    piece = len(operations) // 2
    while piece:
        begin = 0
        while begin < len(operations):
            failed = fails([*operations[:begin], *operations[begin + piece :]])
            if failed is not None:
                operations = failed
            else:
                begin += piece
        piece //= 2
    return operations


def workout(seed: int, steps: int = 600) -> list[Operation]:
    """Random operations: few gfns and fewer hvas, so that slots overlap, alias and are created again; sizes vary."""
    chance = random.Random(seed)
    model = Model()
    script: list[Operation] = []
    numbers = [(as_id << 16) | i for as_id in range(ADDRESS_SPACES) for i in (*range(24), USER_SLOTS - 1)]
    pages = [*range(64), *range(GFN_LIMIT - 65, GFN_LIMIT - 33)]
    while len(script) < steps:
        growing = len(script) // 100 % 2 == 0
        kinds = ("create", "delete", "move", "flags", "gfn", "hva")
        what = chance.choices(kinds, (30, 8, 8, 2, 20, 12) if growing else (6, 24, 8, 2, 20, 12))[0]
        held = list(model.slots)
        start = HVA + PAGE_SIZE * chance.randrange(48)
        if what == "create":
            npages = chance.choice((1, 1, 2, 3, 5, 8, 32))
            operation = create(chance.choice(numbers), chance.choice(pages), npages, start, chance.randrange(4))
        elif what == "gfn":
            point = chance.choice((chance.choice(pages), chance.choice(pages), TOP))
            operation = gfn(point, chance.randrange(2), chance.choice((0, 1, 1025)))
        elif what == "hva":
            first = start + chance.choice((-PAGE_SIZE, -1, 0, 1))
            operation = hva(first, first + chance.choice((1, 2, PAGE_SIZE, 3 * PAGE_SIZE, 64 * PAGE_SIZE)))
        elif not held:
            continue
        elif what == "delete":
            operation = delete(chance.choice(held))
        elif what == "move":
            operation = move(chance.choice(held), chance.choice(pages))
        else:
            operation = flags(chance.choice(held), chance.randrange(2))
        if what in kinds[:4]:
            change = model.change(operation)
            if change is None:
                continue
            model.follow(change)
        script.append(operation)
    return script
