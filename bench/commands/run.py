"""`slotlookup run`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from slotlookup.config.settings import Settings
from slotlookup.errors import EXIT_FAILED
from slotlookup.registry import strategy_names
from slotlookup.vocabulary import Operation, Placement
from slotlookup.writing import must_be_writable, must_differ, write_then_show

from ..configuration import announce_code, announce_left_out, configuration
from ..helpful import EachOnce
from ..measure.default_set import RULE
from ..measure.run_options import EFFORTS, RunOptions
from ..measure.runner import run
from ..measure.selection import select
from ..options import (
    SEED,
    SIZES,
    Number,
    Seconds,
    Size,
    choice,
    effort_option,
    floor_option,
    processes_option,
    refuse_with,
    strategy_texts,
    stride_option,
    workload_name,
)
from ..printable import printable_all
from ..results.document import to_json
from ..results.export import check_export_path, exported
from ..results.mix import parse_weights
from ..results.model import RunResult, State, write_texts
from ..results.order import SETUP, SORTS


@click.command(
    cls=EachOnce,
    epilog=f"The default workload is {Settings.model_fields['workload'].default}. `slotlookup workloads` lists the "
    "others, `slotlookup strategies` the strategies; `slotlookup help specs` explains how to combine them.",
)
@click.argument("workload", required=False, callback=workload_name)
@click.option(
    "-s",
    "--strategy",
    "strategies",
    multiple=True,
    callback=strategy_texts,
    help="Name, spec or file of a strategy; may be repeated [default: the configured strategies, or the default set: "
    f"{RULE}].",
)
@click.option(
    "--all", "every", is_flag=True, help="Replay every strategy unless some are named, and show all full tables."
)
@click.option(
    "--role",
    "tables",
    type=choice(*Operation, SETUP),
    multiple=True,
    help="Also show the full table of this role, or of the set-up; may be repeated.",
)
@click.option(
    "--sort",
    type=choice(*SORTS),
    default=SORTS[0],
    show_default=True,
    help="Order of full tables: cost (ns, or counts if nothing was timed), name, count (lines, then slots examined), "
    "ns, ratio.",
)
@click.option(
    "--mix",
    metavar="gfn=90,hva=9,update=1",
    help="Weights of lookups, visits and slot changes in the summary [default: the workload's own events].",
)
@click.option(
    "--slots",
    type=Number(hint="; for several slot counts use `slotlookup sweep --slots`"),
    help="Number of slots, for workloads of variable size [default: the workload's].",
)
@click.option("--events", type=Number(min=1), help="Number of events [default: the workload's].")
@click.option(
    "--seed",
    type=SEED,
    help="Seed of all random draws [default: the configured one, or 0].",
)
@click.option(
    "--memory",
    type=Size(),
    help=f"Guest memory of a modelled workload, such as 64M or 1.5G ({SIZES}).",
)
@click.option("--counts-only", is_flag=True, help="Check and count only; do not time.")
@effort_option("quick", "Time for about 5 seconds.")
@effort_option("rigorous", "Time for about a minute and a half.")
@click.option(
    "--displace",
    type=Size(1 << 30),
    help="Memory walked between operations in the cold timings [default: the configured number, or 64K].",
)
@click.option(
    "--placement",
    type=choice(*Placement),
    help="Placement of native strategies' slots: packed, one after another; scattered, as from an aged allocator; or "
    "slab, as Linux places its own [default: the configured placement, or packed].",
)
@stride_option
@floor_option
@click.option(
    "--save", type=click.Path(path_type=Path, dir_okay=False), help="Also write the result as JSON to this file."
)
@click.option(
    "--export",
    "exports",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the tables to this file, as CSV or Markdown according to its ending (.csv, .md); may be repeated.",
)
@processes_option
@click.option(
    "--patience",
    type=Seconds(),
    metavar="SECONDS",
    help="Seconds that a structure from a file may take for one answer [default: the configured number, or 10].",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else on stdout.")
def command(
    workload: str | None,
    strategies: tuple[str, ...],
    every: bool,
    tables: tuple[str, ...],
    sort: str,
    mix: str | None,
    slots: int | None,
    events: int | None,
    seed: int | None,
    memory: int | None,
    counts_only: bool,
    effort: str | None,
    displace: int | None,
    placement: str | None,
    stride: int,
    floor: bool,
    save: Path | None,
    exports: tuple[Path, ...],
    processes: int | None,
    patience: float | None,
    as_json: bool,
) -> int:
    """Replay WORKLOAD (a name or a TRACE.parquet) through strategies.

    Without WORKLOAD, the configured workload is replayed. Every answer is compared with an independent oracle. A wrong
    answer voids the strategy's row and makes the exit code 1.
    """
    config = configuration()
    announce_left_out()
    settings = config.settings
    seed = settings.seed if seed is None else seed
    if save is not None:
        must_be_writable(save)
    for path in exports:
        check_export_path(path)
    must_differ(save, *exports)
    if counts_only:
        refuse_with(
            "--counts-only", {f"--{effort}": effort, "--displace": displace, "--processes": processes, "--floor": floor}
        )
    weights = None if mix is None else parse_weights(mix)
    named = strategies or (() if every else settings.strategies)
    if named and not strategies:
        announce_code(config.place("strategies"), settings.strategies)
    selection = select(
        settings.workload if workload is None else workload,
        named,
        seed,
        slots=slots,
        events=events,
        memory=memory,
        every=every,
    )
    options = RunOptions(
        counts_only,
        seed,
        settings.budget if effort is None else EFFORTS[effort],
        settings.displaced if displace is None else displace,
        placement or settings.placement,
        settings.patience if patience is None else patience,
        processes=settings.processes if processes is None else processes,
        stride=stride,
        floor=floor,
        mix=weights,
        complete=bool(named),
    )
    from ..console import progress_bar

    with progress_bar(shown=not as_json or sys.stderr.isatty()) as report:
        result = run(selection.trace, selection.workload, selection.strategies, options, report, selection.left_out)

    def write() -> None:
        saved = [] if save is None else [(save, to_json(result))]
        write_texts([*saved, *((path, exported(path, [result])) for path in exports)])

    def show() -> None:
        if as_json:
            click.echo(to_json(result), nl=False)
        else:
            _print(printable_all(result), [*Operation, SETUP] if every else tables, sort)

    write_then_show(write, show)
    return EXIT_FAILED if any(one.state is State.VOID for one in result.strategies) else 0


def _print(result: RunResult, tables: Sequence[str], sort: str) -> None:
    from ..console import output
    from ..results.screen import print_screen
    from ..results.summary import summarise
    from ..results.tables import print_tables

    console = output()
    others = len(strategy_names()) - len(result.strategies)
    more = (
        f"--all replays {others} more strategies and shows every table." if others > 0 else "--all shows every table."
    )
    hint = f"Full tables: --role {'|'.join((*Operation, SETUP))}; {more}"
    print_screen(result, summarise(result), hint, console)
    if tables:
        print_tables(result, tables, sort, console)
