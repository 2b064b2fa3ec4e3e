"""`slotlookup verify`."""

from __future__ import annotations

from functools import partial

import click

from slotlookup.config.load import load_config
from slotlookup.errors import EXIT_FAILED
from slotlookup.registry import make_strategy

from ..helpful import EachOnce
from ..measure.conforming import failures_of
from ..options import SEED, Seconds
from ..printable import printable


@click.command(cls=EachOnce)
@click.argument("strategy")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the random operations.")
@click.option(
    "--patience",
    type=Seconds(),
    metavar="SECONDS",
    help="Seconds that a structure may take for one answer [default: the configured number, or 10].",
)
def command(strategy: str, seed: int, patience: float | None) -> int:
    """Run the conformance suite on STRATEGY: fixed edge cases and seeded random operations.

    STRATEGY is a name, a spec, or a structure from a file: ./mytree.so, ./mytree.py:CLASS. Native structures and those
    from files run in processes of their own: a crash, or a call that does not end, is reported with its script.
    """
    from ..console import progress_bar

    seconds = load_config().settings.patience if patience is None else patience
    with progress_bar(shown=True) as report:
        make = partial(make_strategy, patience=seconds)
        failures = failures_of([strategy], make, report, patience=seconds, seed=seed)[strategy]
    for failure in failures:
        click.echo("\n".join(map(printable, str(failure).split("\n"))))
    if failures:
        click.echo(printable(f"{strategy}: {len(failures)} checks failed"), err=True)
        return EXIT_FAILED
    click.echo(printable(f"{strategy}: conforms"))
    return 0
