"""The options of a run, and the time that it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial

from slotlookup.registry import make_strategy
from slotlookup.structure import PATIENCE
from slotlookup.vocabulary import Operation, Placement, TimingMode

from .tasks import MakeStrategy

NATIVE_SECONDS = 4.0
"""Seconds per role, shared by its timings and by the processes that time."""
PYTHON_SECONDS = 0.7
SETUP_SECONDS = 0.4
"""Seconds per family for loading the starting slots repeatedly."""
DISPLACED = 64 << 10
"""Larger than any first-level cache, smaller than a second-level one, like the memory that a fault touches."""

EFFORTS = {"quick": 0.15, "rigorous": 5.0}
"""Shares of the default time for timing."""

HOPELESS = 10
"""A strategy that takes so many times as long as the cheapest to answer a role's questions is not run further."""
WAITED_FOR = 0.3
"""Seconds that a strategy may take in any case to answer a role's questions."""

Report = Callable[[str, float], None]
"""Receives the current activity and the completed share of the whole run."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of a run.

    `budget` scales the time spent on timing; `displaced` is the number of bytes walked between cold operations;
    `placement` is the placement of native strategies' slots (`packed`, `scattered` or `slab`). `timings` that a role
    does not have are ignored. `patience` is the number of seconds that a structure from a file may take for one answer.
    `processes` is the number of new processes that time, one after another, each a share of the time; with 1, this
    process times, and intervals do not cover what differs from process to process. `stride` is the distance of native
    strategies' slots in bytes; with 0, each strategy has the one that its nodes need. With `floor`, the cost of reading
    the right slots without finding them is timed too. `mix` are weights of the user's by role, for the summary. Unless
    the run is `complete`, a strategy that costs HOPELESS times as much as the cheapest is not run to the end in that
    role.
    """

    counts_only: bool = False
    seed: int = 0
    budget: float = 1.0
    displaced: int = DISPLACED
    placement: str = Placement.PACKED
    patience: float = PATIENCE
    timings: tuple[TimingMode, ...] = tuple(TimingMode)
    processes: int = 1
    stride: int = 0
    floor: bool = False
    mix: Mapping[Operation, float] | None = None
    complete: bool = True

    @property
    def make(self) -> MakeStrategy:
        """The function that makes the strategies of a run."""
        return partial(make_strategy, placement=self.placement, stride=self.stride, patience=self.patience)

    def stored(self) -> dict[str, object]:
        """The options in a result: all except the seed, which is stored with the workload."""
        kept = {key: value for key, value in asdict(self).items() if key != "seed"}
        mix = None if self.mix is None else {str(role): weight for role, weight in self.mix.items()}
        return kept | {"timings": list(self.timings), "mix": mix}
