"""`slotlookup verify`."""

from __future__ import annotations

from functools import partial

import click

from slotlookup.config.load import load_config
from slotlookup.conformance.checks import run
from slotlookup.errors import EXIT_FAILED
from slotlookup.registry import make_strategy

from ..options import Seconds
from ..printable import printable


@click.command()
@click.argument("strategy")
@click.option(
    "--seed", type=click.IntRange(0, (1 << 63) - 1), default=0, show_default=True, help="Seed of the random operations."
)
@click.option(
    "--patience",
    type=Seconds(),
    metavar="SECONDS",
    help="Seconds that a structure from a file may take for one answer [default: the configured number, or 10].",
)
def command(strategy: str, seed: int, patience: float | None) -> int:
    """Run the conformance suite on STRATEGY: fixed edge cases and seeded random operations.

    STRATEGY is a name, a spec, or a structure from a file: ./mytree.so, ./mytree.py:CLASS.
    """
    make = partial(make_strategy, strategy, patience=load_config().settings.patience if patience is None else patience)
    make()
    failures = run(make, seed=seed)
    for failure in failures:
        click.echo("\n".join(map(printable, str(failure).split("\n"))))
    if failures:
        click.echo(printable(f"{strategy}: {len(failures)} checks failed"), err=True)
        return EXIT_FAILED
    click.echo(printable(f"{strategy}: conforms"))
    return 0
