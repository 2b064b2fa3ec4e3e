"""`slotlookup claims`."""

from __future__ import annotations

import sys
from contextlib import nullcontext

import click

from slotlookup.errors import UsageError

from ..claims.lab import Lab
from ..claims.report import Result, Settled, print_claims, print_explained, settle, to_json, to_markdown
from ..claims.thread import CLAIMS, find_claim
from ..configuration import configuration
from ..helpful import EachOnce
from ..measure.machine import describe_machine
from ..measure.processes import TimingProcesses
from ..measure.run_options import RunOptions
from ..options import SEED
from ..printable import printable_all

SECONDS, RIGOROUS_SECONDS = 0.3, 3.0
"""Time for one role and timing of one workload, shared by its strategies."""


@click.command(cls=EachOnce)
@click.argument("ids", nargs=-1, type=int, metavar="[ID]...")
@click.option("--explain", is_flag=True, help="Show each experiment step by step, with the commands that repeat it.")
@click.option(
    "--rigorous", is_flag=True, help="Larger workloads, and times from the configured number of new processes."
)
@click.option(
    "--seed",
    type=SEED,
    help="Seed of all random draws [default: the configured one, or 0].",
)
@click.option("--markdown", "as_markdown", is_flag=True, help="Print GitHub tables.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else on stdout.")
def command(
    ids: tuple[int, ...], explain: bool, rigorous: bool, seed: int | None, as_markdown: bool, as_json: bool
) -> int:
    """Settle the claims of the 2008 mail thread about KVM's memory slots, or those with the given numbers.

    Each claim has an experiment, and a rule that turns its figures into a verdict: holds, holds if, does not hold, or
    cannot be told on this machine. Counts decide where they can. The exit code is 0 whatever the verdicts.
    """
    if sum((explain, as_markdown, as_json)) > 1:
        raise UsageError("--explain, --markdown and --json exclude each other; use one of them")
    claims = [find_claim(number) for number in dict.fromkeys(ids)] or list(CLAIMS)
    settings = configuration().settings
    options = RunOptions(
        seed=settings.seed if seed is None else seed,
        displaced=settings.displaced,
        placement=settings.placement,
        patience=settings.patience,
        processes=settings.processes if rigorous else 1,
    )
    from ..console import output, progress_bar

    settled: list[Settled] = []
    several = rigorous and options.processes > 1
    with (
        progress_bar(shown=not as_json or sys.stderr.isatty()) as report,
        TimingProcesses(options.processes) if several else nullcontext() as processes,
    ):
        seconds = RIGOROUS_SECONDS if rigorous else SECONDS
        lab = Lab(options, report, rigorous=rigorous, seconds=seconds, processes=processes)
        for done, claim in enumerate(claims):

            def tell(what: str, part: float, done: int = done, number: int = claim.id) -> None:
                report(f"claim {number}: {what}", (done + part) / len(claims))

            lab.report = tell
            settled.append(settle(claim, claim.measure(lab)))
    words = ["slotlookup claims", *map(str, ids), *(["--rigorous"] if rigorous else [])]
    words += [f"--seed {seed}"] if seed is not None else []
    chosen = {"seed": options.seed, "rigorous": rigorous, "processes": options.processes}
    result = Result(" ".join(words), printable_all(describe_machine()), chosen, settled)
    if as_json or as_markdown:
        click.echo(to_json(result) if as_json else to_markdown(result), nl=False)
    elif explain:
        print_explained(result, output())
    else:
        print_claims(result, output())
    return 0
