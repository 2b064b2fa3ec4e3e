"""A sweep in several processes at the same time, for counts only, which parallel processes do not disturb."""

from __future__ import annotations

from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from slotlookup.errors import SlotlookupError, UsageError
from slotlookup.structure import PATIENCE

from ..measure.processes import Processes, serve
from ..measure.run_options import Report
from .crossover import count_of_slots
from .points import Keep, Point, SweepOptions, measure


def sweep_in_parallel(
    options: SweepOptions,
    wanted: Sequence[int],
    points: dict[int, Point],
    keep: Keep,
    report: Report,
    jobs: int,
    patience: float = PATIENCE,
) -> None:
    """The same as `sweep`, with `jobs` processes.

    Raises SlotlookupError if a point failed or its process was killed; all other points are kept.
    """
    if not options.counts_only:
        raise ValueError("times are never taken in parallel")
    # The largest first; otherwise the last process would finish long after the others.
    missing = sorted((n for n in wanted if n not in points), reverse=True)
    waiting = iter(missing)
    with _Counters(min(jobs, len(missing))) as counters:
        busy: dict[Connection[Any, Any], int] = {}

        def give(connection: Connection[Any, Any]) -> None:
            slots = next(waiting, None)
            if slots is not None:
                busy[connection] = slots
                connection.send((options, slots, patience))

        try:
            for connection in counters.connections:
                give(connection)
            done = 0
            while busy:
                ready = wait(list(busy))
                for connection in [one for one in busy if one in ready]:
                    outcome = connection.recv()
                    if isinstance(outcome, str):
                        raise UsageError(outcome)
                    slots = busy.pop(connection)
                    give(connection)
                    points[slots] = outcome
                    keep(slots, outcome)
                    done += 1
                    report(f"{count_of_slots(slots)}: counted", done / len(missing))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise SlotlookupError(
                "a process that counted was killed (out of memory?); continue with fewer --jobs"
            ) from None


class _Counters(Processes):
    """`count` processes that count points."""

    def __init__(self, count: int) -> None:
        super().__init__(count, __name__)

    @property
    def connections(self) -> Sequence[Connection[Any, Any]]:
        """The connections to the processes."""
        return self._connections


def _count(connection: Connection[Any, Any], task: tuple[SweepOptions, int, float]) -> None:
    """Send a point, or the error message: exceptions with several arguments cannot be sent through a pipe."""
    options, slots, patience = task
    try:
        connection.send(measure(options, slots, lambda what, part: None, patience))
    except SlotlookupError as error:
        connection.send(str(error))


if __name__ == "__main__":
    serve(_count)
