"""The cost of the set-up: loading the slots that a VM starts with."""

from __future__ import annotations

from time import perf_counter_ns

from slotlookup.address import Hva
from slotlookup.errors import BrokenStrategy
from slotlookup.families.native import Mode
from slotlookup.questions import Questions
from slotlookup.registry import make_strategy
from slotlookup.strategy import SelfTimed, Strategy

from .tasks import MakeStrategy, Task


class SetupTask(Task):
    """Loading the starting slots into an empty strategy. One operation is one slot."""

    sliceable = False
    restarts = True
    shortest_block_ns = 20_000
    """Making a strategy takes longer than loading a few slots, so the number of passes must be small."""

    def __init__(self, questions: Questions, make: MakeStrategy = make_strategy) -> None:
        super().__init__(questions, make)
        self.operations = len(questions.start_slots)
        spaces = {slot.as_id: slot for slot in questions.start_slots}
        self._first_questions = [(slot.base_gfn, as_id, slot.userspace_addr) for as_id, slot in spaces.items()]

    def verify(self, strategy: Strategy) -> None:
        if len(strategy) != self.operations:
            raise BrokenStrategy(f"{strategy.name}: holds {len(strategy)} slots when loaded, not {self.operations}")

    def time(self, strategy: Strategy, begin: int, end: int, mode: Mode, applied: int = 0) -> int:
        """Nanoseconds to load all slots; `begin` and `end` are those of all. `strategy` must be empty."""
        if isinstance(strategy, SelfTimed):
            ns = strategy.replay_load(self.questions.start)
        else:
            started = perf_counter_ns()
            strategy.load_table(self.questions.start)
            # A structure may postpone its work until the first question.
            for gfn, as_id, hva in self._first_questions:
                strategy.lookup_gfn(gfn, as_id)
                strategy.visit_hva(hva, Hva(hva + 1))
            ns = perf_counter_ns() - started
        self.verify(strategy)
        return ns
