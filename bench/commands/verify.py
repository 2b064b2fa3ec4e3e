"""`slotlookup verify`."""

from __future__ import annotations

import click

from slotlookup.conformance import run
from slotlookup.errors import EXIT_FAILED
from slotlookup.registry import make_strategy


@click.command()
@click.argument("strategy")
@click.option(
    "--seed", type=click.IntRange(0, (1 << 63) - 1), default=0, show_default=True, help="Seed of the workout."
)
def command(strategy: str, seed: int) -> int:
    """Put STRATEGY (a name or spec) through the conformance suite: fixed edge cases and a seeded random workout."""
    make_strategy(strategy)
    failures = run(lambda: make_strategy(strategy), seed=seed)
    for failure in failures:
        click.echo(str(failure))
    if failures:
        click.echo(f"{strategy}: {len(failures)} checks failed", err=True)
        return EXIT_FAILED
    click.echo(f"{strategy}: conforms")
    return 0
