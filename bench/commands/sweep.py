"""`slotlookup sweep`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from slotlookup.errors import EXIT_FAILED, UsageError
from slotlookup.registry import parse_spec
from slotlookup.vocabulary import RANKED, Count, Operation, TimingMode
from slotlookup.writing import must_differ, write_then_show

from ..configuration import announce_code, announce_left_out, configuration
from ..helpful import EachOnce
from ..interruption import interrupted_code
from ..measure.default_set import default_set
from ..measure.machine import describe_machine
from ..measure.selection import require_available, require_sizable
from ..options import (
    SEED,
    choice,
    effort_option,
    floor_option,
    processes_option,
    refuse_with,
    strategy_texts,
    stride_option,
    workload_name,
)
from ..printable import printable, printable_all
from ..sweep import file as sweep_file
from ..sweep import points as sweep
from ..sweep.parallel import sweep_in_parallel
from ..sweep.points import Point, SweepOptions


@click.command(cls=EachOnce)
@click.argument("workload", required=False, callback=workload_name)
@click.option(
    "-s",
    "--strategy",
    "strategies",
    multiple=True,
    callback=strategy_texts,
    help="Name or spec; may be repeated [default: the configured strategies, or the default set of `run`].",
)
@click.option(
    "--slots", metavar="1,2,4-64,…", help="The slot counts, and ranges of them [default: powers of two, and 32,764]."
)
@click.option(
    "--seed",
    type=SEED,
    help="Seed of all random draws [default: the configured one, or 0].",
)
@click.option("--counts-only", is_flag=True, help="Check and count only; do not time.")
@effort_option("quick", "Measure less precisely, and by default only up to 4,096 slots.")
@effort_option("rigorous", "Measure more precisely, in three to four times the time.")
@click.option(
    "--timing",
    type=choice(*TimingMode),
    default=str(RANKED),
    show_default=True,
    help="The timing: independent operations (throughput), or each waiting for the previous answer (latency); with "
    "caches as they are (hot) or displaced (cold).",
)
@processes_option
@stride_option
@floor_option
@click.option(
    "--jobs",
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    help="Number of processes; needs --counts-only if above 1.",
)
@click.option(
    "--plot",
    "plot_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.svg|png",
    help="Also draw the curves to this file.",
)
@click.option("--plot-role", type=choice(*Operation), help="Draw only this role [default: all roles].")
@click.option(
    "--plot-metric",
    type=choice("ns", *Count),
    help="Draw this metric [default: ns; compares with --counts-only].",
)
@click.option("--plot-ratio", metavar="STRATEGY", help="Draw the ratio to this row of the tables.")
@click.option(
    "--save",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write each point to this file as soon as it is measured.",
)
@click.option(
    "--resume",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Resume the sweep in this file, which --save wrote.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else on stdout.")
def command(
    workload: str | None,
    strategies: tuple[str, ...],
    slots: str | None,
    seed: int | None,
    counts_only: bool,
    effort: str | None,
    timing: str,
    processes: int | None,
    stride: int,
    floor: bool,
    jobs: int,
    plot_file: Path | None,
    plot_role: str | None,
    plot_metric: str | None,
    plot_ratio: str | None,
    save: Path | None,
    resume: Path | None,
    as_json: bool,
) -> int:
    """Run WORKLOAD at many slot counts; report the cheapest strategies by slot count, and the crossovers.

    A crossover is a slot count at which two strategies change rank; it is reported with its uncertainty. At each slot
    count strategies are checked, counted and timed as in `slotlookup run`.
    """
    if save is not None and resume is not None:
        raise UsageError("give --save to start a sweep, or --resume to continue one in its file, but not both")
    for name, value in {"role": plot_role, "metric": plot_metric, "ratio": plot_ratio}.items():
        if plot_file is None and value:
            raise UsageError(f"--plot-{name}: nothing is drawn without a file; add --plot FILE.svg")
    must_differ(save or resume, plot_file)
    if counts_only:
        refuse_with("--counts-only", {"--timing": _is_given("timing"), "--processes": processes, "--floor": floor})
    announce_left_out()
    require_available(strategies)  # before a file or a workload is read
    wanted = None if slots is None else sweep.parse_slots(slots)
    machine = describe_machine()
    points: dict[int, Point] = {}
    kept_in = save or resume
    if resume is not None:
        kept = sweep_file.read(resume)
        given = {
            "workload": workload,
            "strategies": _specs(strategies) or None,
            "seed": seed,
            "effort": effort,
            "processes": processes,
        }
        of_flags: dict[str, str | int] = {
            "counts_only": counts_only,
            "timing": str(timing),
            "stride": stride,
            "floor": floor,
        }
        given |= {name: value for name, value in of_flags.items() if _is_given(name)}
        asked = {name: value for name, value in given.items() if value is not None}
        sweep_file.check_same(resume, kept, asked, machine)
        options, points, counts = kept.options, kept.points, wanted or kept.slots
        if not strategies:
            announce_code(str(resume), options.strategies)
    else:
        options = _options(
            workload, strategies, seed, effort or "default", counts_only, timing, processes, stride, floor
        )
        counts = wanted or (sweep.QUICK_SLOTS if effort == "quick" else sweep.DEFAULT_SLOTS)
    require_sizable(options.workload)
    require_available(options.strategies)
    if jobs > 1 and not options.counts_only:
        raise UsageError("--jobs: parallel timings disturb each other; leave it out or add --counts-only")
    metric = _plot_metric(plot_file, plot_metric, plot_ratio, options)
    if resume is not None:
        sweep.check_points(options, points, str(resume))
        sweep_file.cut(resume, kept)
        if kept.remark:
            click.echo(printable(f"slotlookup: {kept.remark}"), err=True)
    elif save is not None:
        sweep_file.begin(save, options, counts, machine)
    again = slots if resume is not None else None  # a file started in this call contains its slot counts

    def measure() -> None:
        _measure(options, counts, points, kept_in, jobs, shown=not as_json or sys.stderr.isatty(), again=again)

    def show() -> None:
        if points:
            _present(options, machine, sweep.chosen(points, counts), as_json)

    write_then_show(measure, show)
    points = sweep.chosen(points, counts)
    if plot_file is not None:
        from ..sweep.plot import draw

        draw(options, machine, points, metric, plot_role, plot_file, plot_ratio)
        if not as_json:
            click.echo(printable(f"drawn: {plot_file}"), err=True)
    return EXIT_FAILED if sweep.faults(points) else 0


def _is_given(parameter: str) -> bool:
    return click.get_current_context().get_parameter_source(parameter) is ParameterSource.COMMANDLINE


def _specs(strategies: tuple[str, ...]) -> dict[str, str]:
    return {text: str(parse_spec(text)) for text in strategies}


def _options(
    workload: str | None,
    strategies: tuple[str, ...],
    seed: int | None,
    effort: str,
    counts_only: bool,
    timing: str,
    processes: int | None,
    stride: int,
    floor: bool,
) -> SweepOptions:
    config = configuration()
    settings = config.settings
    if not strategies:
        announce_code(config.place("strategies"), settings.strategies)
    return SweepOptions(
        sweep.DEFAULT_WORKLOAD if workload is None else workload,
        settings.seed if seed is None else seed,
        _specs(strategies or settings.strategies or default_set()),
        effort,
        counts_only,
        TimingMode(timing),
        settings.displaced,
        settings.placement,
        settings.processes if processes is None else processes,
        stride,
        floor,
    )


def _plot_metric(plot_file: Path | None, metric: str | None, ratio: str | None, options: SweepOptions) -> str:
    """The metric to draw. Raises UsageError, before any measurement, if it cannot be drawn."""
    if metric == "ns" and options.counts_only:
        raise UsageError(f"--plot-metric ns: --counts-only measures no times; choose one of {', '.join(Count)}")
    if plot_file is not None:
        from ..charts.picture import check_plot_path

        check_plot_path(plot_file)
    if ratio is not None:
        specs = [parse_spec(spec) for spec in options.strategies.values()]
        rows = {*options.strategies, *(spec.serving(role) for spec in specs for role in Operation)}
        if ratio not in rows:
            raise UsageError(f"--plot-ratio {ratio}: the sweep has no such row; name one of {', '.join(sorted(rows))}")
    if metric is None:
        metric = Count.COMPARES if options.counts_only else "ns"
    return options.timing if metric == "ns" else metric


def _measure(
    options: SweepOptions,
    counts: tuple[int, ...],
    points: dict[int, Point],
    kept_in: Path | None,
    jobs: int,
    *,
    shown: bool,
    again: str | None,
) -> None:
    """Measure the missing slot counts. After an interruption, print how to resume, and exit with 130."""
    from ..console import progress_bar

    patience = configuration().settings.patience

    def keep(slots: int, point: Point) -> None:
        if kept_in is not None:
            sweep_file.append(kept_in, slots, point)

    try:
        with progress_bar(shown=shown) as report:
            if jobs > 1:
                sweep_in_parallel(options, counts, points, keep, report, jobs, patience)
            else:
                sweep.sweep(options, counts, points, keep, report, patience)
    except KeyboardInterrupt as interrupt:
        done = f"{sum(n in points for n in counts)} of {len(counts)} slot counts done"
        if kept_in is None:
            words = f"{done} and lost; add --save FILE to keep them"
        else:
            rest = f" --slots {again}" if again else ""
            words = f"{done}; resume with: slotlookup sweep --resume {shlex.quote(str(kept_in))}{rest}"
        click.echo(printable(f"slotlookup: interrupted: {words}"), err=True)
        raise SystemExit(interrupted_code(interrupt)) from None


def _present(options: SweepOptions, machine: Mapping[str, Any], points: Mapping[int, Point], as_json: bool) -> None:
    if as_json:
        click.echo(sweep.to_json(options, machine, points), nl=False)
        return
    from ..console import output
    from ..sweep.tables import print_sweep

    metric = Count.COMPARES if options.counts_only else options.timing
    print_sweep(printable_all(options), machine, printable_all(points), metric, output())
