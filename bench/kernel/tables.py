"""The output of `slotlookup kernel`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from slotlookup.errors import present

from ..results.statistics import Interval, median, median_interval
from ..results.verdict import significant
from .figures import GOAL, HOWS, Lookups, Marginal, Measurement, Row, row_of, rows

WORDS = {"within": "", "beyond": "beyond", "open": "near", "equal": "same", "too small": "small"}
STYLES = {"within": "green", "equal": "green", "beyond": "red"}
WIDE = 115
"""Width of a terminal from which on tables have intervals; narrower tables have medians only."""
SPANS = {True: "median and 95 % interval", False: "median (intervals on wider terminals)"}
CHANGES = {"add": "add", "log_on": "log on", "log_off": "log off", "move": "move", "delete": "delete"}


def print_measurement(measured: Measurement, console: Console, source: str | None) -> None:
    """Print everything; `source` names the recording, if it is one."""
    machine, wide = measured.machine, console.width >= WIDE
    if source is not None:
        console.print(f"[bold]Recorded, not measured now[/bold]: {escape(source)}, {machine['date']}")
    console.print(
        f"{machine['cpu']}, Linux {machine['kernel']}, {machine['compiler']}, load {machine['load']}", style="dim"
    )
    console.print()
    console.print(
        f"[bold]Additional cost of N slots over one[/bold]  [dim]ns per operation, {SPANS[wide]}[/dim]\n"
        f"[dim]kernel: Linux itself. hot: {measured.strategy}, one question after another. called: the same, called as "
        "the kernel calls its own.[/dim]"
    )
    for title, points in measured.lookups().items():
        if any(slots > 1 for slots, _ in points):
            base = median([ns for _, lookups in points for ns in lookups.kernel.one])
            console.print(Text.assemble((title, "bold"), (f"  of one slot: {significant(base)} ns", "dim")))
            console.print(fidelity_table(points, measured.noise(title), wide))
    console.print(summary(measured))
    console.print()
    console.print(f"[bold]Slot changes in the kernel[/bold]  [dim]us per call, {SPANS[wide]}[/dim]")
    console.print(change_table(measured, wide))
    for line in remarks(measured):
        console.print(Text(line, style="dim"))


def fidelity_table(points: Sequence[tuple[int, Lookups]], noise: float, wide: bool) -> Table:
    """One pattern: the kernel's marginal costs and the tool's, by slot count."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("slots", justify="right", no_wrap=True, min_width=6)
    for heading in ("kernel", *HOWS):
        table.add_column(heading, justify="right", no_wrap=True, min_width=21 if wide else 6)
        if heading != "kernel":
            table.add_column("ratio", justify="right", no_wrap=True, min_width=5)
            table.add_column("", no_wrap=True, min_width=6)
    for slots, lookups in points:
        if slots > 1:
            table.add_row(f"{slots:,}", *_cells(row_of(slots, lookups, noise), wide))
    return table


def _cells(row: Row, wide: bool) -> list[str | Text]:
    cells: list[str | Text] = [_with_span(row.kernel, wide)]
    for how in HOWS:
        compared = row.compared(how)
        found = present(compared.fidelity, "the fidelity of a row of several slots")
        style = STYLES.get(found.verdict, "dim")
        cells.append(_with_span(compared, wide))
        cells.append(Text("" if found.ratio is None else f"{found.ratio:.2f}", style=style))
        cells.append(Text(WORDS[found.verdict], style=style))
    return cells


def _with_span(found: Marginal, wide: bool) -> Text:
    if not wide:
        return Text(_plain(found.median))
    span = "[too few]" if found.low is None or found.high is None else f"[{_plain(found.low)}, {_plain(found.high)}]"
    return Text.assemble(_plain(found.median), " ", (span, "dim"))


def _plain(ns: float) -> str:
    """Nanoseconds; a difference near 0 with fewer digits."""
    return f"{ns:.1f}" if abs(ns) < 100 else f"{ns:,.0f}"


def summary(measured: Measurement) -> str:
    """The numbers of points by verdict, for each way of calling, over the patterns of single pages."""
    parts: list[str] = []
    for how in HOWS:
        found = [row.compared(how).fidelity for row in rows(measured) if row.pages == 1]
        verdicts = [each.verdict for each in found if each is not None]
        fine = sum(verdict in ("within", "equal") for verdict in verdicts)
        beyond, little = verdicts.count("beyond"), verdicts.count("too small")
        unsure = len(verdicts) - fine - beyond - little
        parts.append(
            f"Single pages, {how}: {fine} of {len(verdicts)} within {GOAL}x or tied, {unsure} near {GOAL}x, "
            f"{beyond} beyond, {little} small."
        )
    return "\n".join(parts)


def change_table(measured: Measurement, wide: bool) -> Table:
    """The cost of changing one slot with N others present."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    for heading in ("slots", "fill", *CHANGES.values()):
        table.add_column(heading, justify="right", no_wrap=True)
    for point in sorted(measured.points, key=lambda point: point.slots):
        cells: list[str | Text] = [f"{point.slots:,}", significant(point.changes.fill / 1e3)]
        for name in CHANGES:
            found = _in_us(getattr(point.changes, name))
            median_alone = Text(significant(found.median))
            cells.append(Text.assemble(median_alone, " ", (_span_us(found), "dim")) if wide else median_alone)
        table.add_row(*cells)
    return table


def _in_us(samples: Sequence[float]) -> Interval:
    return median_interval(samples).mapped(lambda ns: ns / 1e3)


def _span_us(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return "[too few]"
    return f"[{significant(interval.low)}, {significant(interval.high)}]"


def remarks(measured: Measurement) -> list[str]:
    """Costs independent of the number of slots, the way of passing ranges to the kernel, and the controls."""
    base = measured.baselines
    lines = [
        f"Without a lookup: {significant(median(base.gfn_no_lookup))} ns per MSR. An invalidation without a VM: "
        f"{significant(median(base.hva_no_vm))} ns, with a VM whose slot is elsewhere: "
        f"{significant(median(base.hva_no_slot))} ns.",
        "ratio: the tool's cost divided by the kernel's. same: the two are tied. near: the interval of the ratio "
        f"contains 1/{GOAL} or {GOAL}. beyond: it lies outside. small: the kernel's cost is tied with 0.",
    ]
    if not measured.batched:
        lines.append("This kernel accepts one range of madvise per call: each includes a whole system call.")
    noises = {title: measured.noise(title) for title in measured.lookups()}
    if controls := [f"{title} {_plain(noise)}" for title, noise in noises.items() if noise]:
        lines.append(f"VMs of one slot each differed by, in ns: {'; '.join(controls)}.")
    return lines
