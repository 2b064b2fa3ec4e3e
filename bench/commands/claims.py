"""`slotlookup claims`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from time import monotonic

import click

from slotlookup.errors import UsageError

from ..claims.lab import ORDINARY, QUICK, RIGOROUS, Effort, Lab
from ..claims.report import Result, Settled, print_claims, print_explained, settle, to_json, to_markdown
from ..claims.saved import read_result, recorded_path
from ..claims.thread import CLAIMS, Claim, find_claim
from ..configuration import configuration
from ..helpful import EachOnce
from ..measure.machine import describe_machine
from ..measure.processes import TimingProcesses
from ..measure.run_options import RunOptions
from ..options import SEED
from ..printable import printable, printable_all


@click.command(cls=EachOnce)
@click.argument("ids", nargs=-1, type=int, metavar="[ID]...")
@click.option("--explain", is_flag=True, help="Show each experiment step by step, with the commands that repeat it.")
@click.option("--quick", is_flag=True, help="Less time per figure: about a quarter of a minute in all.")
@click.option(
    "--rigorous", is_flag=True, help="Larger workloads, and times from the configured number of new processes."
)
@click.option(
    "--recorded", is_flag=True, help="Show the full run of one machine that ships with slotlookup, without measuring."
)
@click.option(
    "--from",
    "saved",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Show the run in this file, which --json wrote, without measuring; verdicts follow from its figures.",
)
@click.option(
    "--seed",
    type=SEED,
    help="Seed of all random draws [default: the configured one, or 0].",
)
@click.option("--markdown", "as_markdown", is_flag=True, help="Print GitHub tables.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else on stdout.")
def command(
    ids: tuple[int, ...],
    explain: bool,
    quick: bool,
    rigorous: bool,
    recorded: bool,
    saved: Path | None,
    seed: int | None,
    as_markdown: bool,
    as_json: bool,
) -> int:
    """Settle the claims of the 2008 mail thread about KVM's memory slots, or those with the given numbers.

    Each claim has an experiment, and a rule that turns its figures into a verdict: holds, holds if, does not hold, or
    cannot be told on this machine. Counts decide where they can. The exit code is 0 whatever the verdicts.
    """
    if sum((explain, as_markdown, as_json)) > 1:
        raise UsageError("--explain, --markdown and --json exclude each other; use one of them")
    if sum((quick, rigorous, recorded, saved is not None)) > 1:
        raise UsageError("--quick, --rigorous, --recorded and --from exclude each other; use one of them")
    if seed is not None and (recorded or saved is not None):
        raise UsageError("--recorded and --from draw nothing; leave --seed out")
    claims = [find_claim(number) for number in dict.fromkeys(ids)] or list(CLAIMS)
    source = None
    if recorded or saved is not None:
        path = recorded_path() if saved is None else saved
        source = "the run that ships" if saved is None else printable(str(saved))
        result = read_result(path, claims)
    else:
        effort = QUICK if quick else RIGOROUS if rigorous else ORDINARY
        result = _measure(claims, [str(number) for number in ids], effort, seed, shown=not as_json)
    if as_json:
        click.echo(to_json(result), nl=False)
        return 0
    result = printable_all(result)
    if as_markdown:
        click.echo(to_markdown(result), nl=False)
        return 0
    from ..console import output

    if explain:
        print_explained(result, output(), source)
    else:
        print_claims(result, output(), source)
    return 0


def _measure(claims: Sequence[Claim], words: Sequence[str], effort: Effort, seed: int | None, *, shown: bool) -> Result:
    """Run the experiments of claims. `words` are the arguments of the command line; `shown` shows progress always."""
    settings = configuration().settings
    options = RunOptions(
        seed=settings.seed if seed is None else seed,
        displaced=settings.displaced,
        placement=settings.placement,
        patience=settings.patience,
        processes=settings.processes if effort.several else 1,
    )
    from ..console import progress_bar

    settled: list[Settled] = []
    several = options.processes > 1
    began = monotonic()
    with (
        progress_bar(shown=shown or sys.stderr.isatty()) as report,
        TimingProcesses(options.processes) if several else nullcontext() as processes,
    ):
        lab = Lab(options, report, effort=effort, processes=processes)
        for done, claim in enumerate(claims):

            def tell(what: str, part: float, done: int = done, number: int = claim.id) -> None:
                report(f"claim {number}: {what}", (done + part) / len(claims))

            lab.report = tell
            settled.append(settle(claim, claim.measure(lab)))
    line = ["slotlookup claims", *words, *([effort.option] if effort.option else [])]
    line += [f"--seed {seed}"] if seed is not None else []
    chosen = {
        "seed": options.seed,
        "quick": effort is QUICK,
        "rigorous": effort is RIGOROUS,
        "processes": options.processes,
    }
    return Result(" ".join(line), describe_machine(), chosen, monotonic() - began, settled)
