"""`slotlookup import`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from time import perf_counter

import click

from slotlookup.architecture import ARCHITECTURES, OTHER
from slotlookup.errors import InputFileError, UsageError
from slotlookup.memslots import Memslots
from slotlookup.recordings.importing import Limits, Progress
from slotlookup.recordings.ownership import Chosen
from slotlookup.recordings.recordings import import_files
from slotlookup.trace import SlotOrder, trace_writer
from slotlookup.writing import Writer, must_be_writable, must_differ, write_files, write_then_show

from ..helpful import EachOnce
from ..measure.run_options import Report
from ..options import SIZES, Size, check_name
from ..printable import printable

STDOUT = Path("-")
SLOTS_HEADER = "slot,gpa,size,hva,flags"


@click.command("import", cls=EachOnce)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="TRACE.parquet", help="Write the trace to this file."
)
@click.option(
    "--slots",
    "slots_csv",
    type=click.Path(path_type=Path),
    metavar="OUT.csv",
    help="Write the final slots to this file; - is stdout.",
)
@click.option(
    "--pid",
    "pids",
    multiple=True,
    type=click.IntRange(min=0),
    help="Keep the events of this process or thread only; may be repeated.",
)
@click.option(
    "--comm",
    "comms",
    multiple=True,
    metavar="NAME",
    help="Keep the events of threads of this name only; * and ? are wildcards; may be repeated.",
)
@click.option(
    "--architecture",
    type=click.Choice(list(ARCHITECTURES)),
    default=OTHER.name,
    show_default=True,
    help="Architecture of the recorded host, whose limits the slots are held to; other has none.",
)
@click.option("--name", help="Name of the trace [default: the name of the output file, or of the first recording].")
@click.option(
    "--max-bytes",
    type=Size(),
    default="64G",
    show_default=True,
    help=f"Refuse a file of more bytes when decompressed ({SIZES}).",
)
@click.option(
    "--max-memory",
    type=Size(),
    default="1G",
    show_default=True,
    help="Refuse a file that takes more memory: of text, lines or events.",
)
def command(
    files: tuple[Path, ...],
    output: Path | None,
    slots_csv: Path | None,
    pids: tuple[int, ...],
    comms: tuple[str, ...],
    architecture: str,
    name: str | None,
    max_bytes: int,
    max_memory: int,
) -> int:
    """Convert FILES, recordings of one real VM, to a trace.

    Formats are detected from the content. Slots: QEMU's kvm_set_user_memory trace, strace of KVM ioctls, `info mtree
    -f`, slot tables as CSV. Accesses: the kernel's trace events (tracefs, `trace-cmd report`, `perf script`), streams
    of gfns (first touches as text, *.u32le). gzip and xz files are read directly. If several files contain slots, they
    must agree. Files with times of one clock are merged; other files are placed one after another, in the order given.
    A summary of the events read, kept and dropped is printed on stderr.
    """
    from ..console import progress_bar

    outputs = [path for path in (output, slots_csv) if path is not None]
    if not outputs:
        raise UsageError("nothing to write; give -o TRACE.parquet, --slots OUT.csv or both")
    if output == STDOUT:
        raise UsageError("a trace is binary and cannot go to stdout; give -o a file name")
    must_differ(*outputs)
    check_name(name)
    for path in outputs:
        _must_not_be_input(path, files)
        if path != STDOUT:
            must_be_writable(path)
    name = name or (output.stem if output is not None else None)
    with progress_bar(shown=True) as report:
        limits = Limits(max_bytes, max_memory, _rates(report))
        selected = Chosen(frozenset(pids), comms)
        trace, summary = import_files(files, name, selected, limits, ARCHITECTURES[architecture])
    table = slots_as_csv(summary.final, summary.slot_order)
    writers: list[tuple[Path, Writer]] = [] if output is None else [(output, trace_writer(trace))]
    if slots_csv is not None and slots_csv != STDOUT:
        writers.append((slots_csv, lambda file: file.write(table.encode())))
    if slots_csv == STDOUT:
        click.echo(table, nl=False)  # first, because it cannot be taken back
        sys.stdout.flush()
    write_then_show(partial(write_files, writers), partial(_tell, summary.text()))
    _tell([f"written: {', '.join(map(str, outputs))}"])
    return 0


def _rates(report: Report) -> Progress:
    """Reports the file that is read, how much of it, and how fast."""
    last = perf_counter()
    begun: dict[tuple[Path, str], float] = {}

    def progress(path: Path, unit: str, done: int, share: float) -> None:
        nonlocal last
        since = begun.setdefault((path, unit), last)
        last = perf_counter()
        seconds = max(last - since, 1e-9)
        amount, rate = f"{done >> 20:,} MiB", f"{done / seconds / (1 << 20):,.0f} MiB/s"
        if unit == "lines":
            amount, rate = f"{done:,} lines", f"{done / seconds:,.0f} lines/s"
        report(f"{printable(path.name)}: {amount}, {rate}", share)

    return progress


def _must_not_be_input(output: Path, files: tuple[Path, ...]) -> None:
    for file in files:
        try:
            same = output.samefile(file)
        except OSError:
            continue  # one of them does not exist or cannot be accessed; reading and writing report that
        if same:
            raise InputFileError(output, None, "the output is one of the recordings; write to another file")


def slots_as_csv(slots: Memslots, order: SlotOrder) -> str:
    """The text of a slot table, one row per slot: numbers decimal (as_id << 16 | id), the rest hexadecimal.

    The rows keep the slots' order. Where that is the order of creation, a column `created` says so, so that importing
    the table again gives the same slots in the same order.
    """
    rows = [f"{s.number},{s.gpa:#x},{s.size:#x},{s.userspace_addr:#x},{s.flags:#x}" for s in slots.by_creation()]
    if order is not SlotOrder.CREATION:
        return "\n".join([SLOTS_HEADER, *rows, ""])
    return "\n".join([f"{SLOTS_HEADER},created", *(f"{row},{rank}" for rank, row in enumerate(rows)), ""])


def _tell(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(printable(line), err=True)
