"""The conformance suite on strategies by name, each where it can do no harm.

Native structures run in processes of their own. Structures from files have such processes already, and Python
structures run in this process.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from slotlookup.conformance.checks import Failure, run
from slotlookup.conformance.isolated import Suite, run_isolated
from slotlookup.conformance.tandem import Make
from slotlookup.errors import BrokenStrategy
from slotlookup.registry import describe_available, mentions_a_file
from slotlookup.structure import Family

from .run_options import Report
from .tasks import MakeStrategy

SHORT_ROUNDS = 1
"""Random workouts in the short form of the suite; it has all fixed checks."""


def failures_of(
    strategies: Sequence[str],
    make: MakeStrategy,
    report: Report,
    *,
    patience: float,
    seed: int = 0,
    rounds: int = 4,
    counted: bool = False,
) -> dict[str, list[Failure]]:
    """The failures of each strategy in the suite, with `rounds` workouts; if `counted`, of its counting instance too.

    `patience` is the number of seconds that a native structure may take for one call. Raises SpecError.
    """
    found: dict[str, list[Failure]] = {}
    isolated: dict[str, Suite] = {}
    for text in strategies:
        described = describe_available(text)
        alone = described.family is Family.NATIVE and not mentions_a_file(text)
        name = str(described.spec) if alone else text  # another process may not know a name that was declared here
        plain = partial(make, name)
        counting = partial(make, name, counted=True) if counted else None
        if alone:
            isolated[text] = Suite(plain, counting, seed, rounds, patience)
        else:
            report(f"verifying {text}", len(found) / len(strategies))
            found[text] = _cannot_start(plain) or run(plain, seed, make_counted=counting, rounds=rounds)

    def tell(ended: int) -> None:
        report("verifying", (len(found) + ended) / len(strategies))

    tell(0)
    found.update(zip(isolated, run_isolated([*isolated.values()], tell), strict=True))
    return found


def _cannot_start(make: Make) -> list[Failure]:
    """The failure of a structure from a file that cannot be loaded, to which no script leads."""
    try:
        len(make())
    except BrokenStrategy as error:
        return [Failure("loading", str(error))]
    return []
