"""`slotlookup verify`."""

from __future__ import annotations

from functools import partial

import click

from slotlookup.config.load import load_config
from slotlookup.conformance.checks import run
from slotlookup.errors import EXIT_FAILED
from slotlookup.registry import make_strategy

from ..options import Seconds


@click.command()
@click.argument("strategy")
@click.option(
    "--seed", type=click.IntRange(0, (1 << 63) - 1), default=0, show_default=True, help="Seed of the workout."
)
@click.option(
    "--patience",
    type=Seconds(),
    metavar="SECONDS",
    help="How long a structure from a file may take for one answer; 10 if not configured.",
)
def command(strategy: str, seed: int, patience: float | None) -> int:
    """Put STRATEGY through the conformance suite: fixed edge cases and a seeded random workout.

    STRATEGY is a name, a spec, or a structure of your own: ./mytree.so, ./mytree.py:CLASS.
    """
    make = partial(make_strategy, strategy, patience=load_config().settings.patience if patience is None else patience)
    make()
    failures = run(make, seed=seed)
    for failure in failures:
        click.echo(str(failure))
    if failures:
        click.echo(f"{strategy}: {len(failures)} checks failed", err=True)
        return EXIT_FAILED
    click.echo(f"{strategy}: conforms")
    return 0
