"""`slotlookup kernel`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from slotlookup.errors import UsageError
from slotlookup.writing import Writer, must_be_writable, must_differ, write_files, write_then_show

from ..charts.picture import check_plot_path, plot_kind
from ..helpful import EachOnce
from ..kernel.figures import read_measurement, to_json
from ..kernel.measure import DEVICE, EFFORTS, QUICK_SLOTS, measure, recorded_path
from ..printable import printable, printable_all
from ..results.model import writer_of
from ..sweep.points import parse_slots


@click.command(cls=EachOnce)
@click.option(
    "--slots", "slots_text", metavar="1,2,8,...", help="The slot counts [default: from 1 to the kernel's limit]."
)
@click.option("--quick", is_flag=True, help="Measure few slot counts in few rounds, in about ten seconds.")
@click.option(
    "--recorded",
    is_flag=True,
    help="Show the measurement of one machine that ships with slotlookup, without measuring.",
)
@click.option(
    "--from",
    "saved",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Show the measurement in this file, which --save wrote, without measuring.",
)
@click.option(
    "--plot",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also draw the curves to this .svg or .png file.",
)
@click.option(
    "--save",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the measurement as JSON to this file.",
)
@click.option("--device", default=DEVICE, show_default=True, metavar="PATH", help="KVM's device.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else on stdout.")
def command(
    slots_text: str | None,
    quick: bool,
    recorded: bool,
    saved: Path | None,
    plot: Path | None,
    save: Path | None,
    device: str,
    as_json: bool,
) -> int:
    """Measure the cost of memslots in the running kernel, and compare it with the strategy kvm-5.17.

    Measures gfn lookups and invalidations by hva at several slot counts, and slot changes. Needs /dev/kvm, no guest.
    """
    if (recorded or saved is not None) and (slots_text is not None or quick):
        raise UsageError("--recorded and --from measure nothing; leave --slots and --quick out")
    if recorded and saved is not None:
        raise UsageError("--recorded and --from exclude each other")
    if plot is not None:
        check_plot_path(plot)
    if save is not None:
        must_be_writable(save)
    must_differ(save, plot)
    source: str | None = None
    if recorded or saved is not None:
        path = recorded_path() if saved is None else saved
        measured = read_measurement(path)
        source = "the measurement that ships" if saved is None else str(saved)
    else:
        from ..console import progress_bar

        wanted = parse_slots(slots_text) if slots_text is not None else QUICK_SLOTS if quick else ()
        with progress_bar(shown=not as_json or sys.stderr.isatty()) as report:
            measured = measure(wanted, EFFORTS["quick" if quick else "default"], device, report)

    def write() -> None:
        writers: list[tuple[Path, Writer]] = [] if save is None else [(save, writer_of(to_json(measured)))]
        if plot is not None:
            from ..kernel.draw import drawing

            writers.append((plot, drawing(measured, plot_kind(plot))))
        write_files(writers)

    def show() -> None:
        if as_json:
            click.echo(to_json(measured), nl=False)
        else:
            from ..console import output
            from ..kernel.tables import print_measurement

            safe = measured.model_copy(update={"machine": printable_all(measured.machine)})
            print_measurement(safe, output(), source and printable(source))

    write_then_show(write, show)
    return 0
