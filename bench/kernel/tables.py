"""What `slotlookup kernel` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..statistics import Interval, median, median_interval
from ..verdict import significant
from .figures import GOAL, HOWS, Measurement, row_of

WORDS = {
    "within": "",
    "beyond": f"beyond {GOAL}x",
    "open": f"about {GOAL}x",
    "equal": "not told apart",
    "too small": "too small",
}
STYLES = {"within": "green", "equal": "green", "beyond": "red"}
CHANGES = {"add": "add", "log_on": "log dirty on", "log_off": "log dirty off", "move": "move", "delete": "delete"}


def print_measurement(measured: Measurement, console: Console, source: str | None) -> None:
    """Everything; `source` names the recording where this is one."""
    machine = measured.machine
    if source is not None:
        console.print(f"[bold]Recorded, not measured now[/bold]: {escape(source)}, {machine['date']}")
    console.print(
        f"{machine['cpu']}, Linux {machine['kernel']}, {machine['compiler']}, load {machine['load']}", style="dim"
    )
    console.print()
    console.print(
        f"[bold]What N slots cost more than one[/bold]  [dim]ns an operation, with 95 % intervals; the kernel, and "
        f"{measured.strategy} asked hot and as the kernel calls its own[/dim]"
    )
    console.print(fidelity_table(measured))
    console.print(summary(measured))
    console.print()
    console.print("[bold]Slot changes in the kernel[/bold]  [dim]us a call, median and 95 % interval[/dim]")
    console.print(change_table(measured))
    for line in remarks(measured):
        console.print(Text(line, style="dim"))


def fidelity_table(measured: Measurement) -> Table:
    """The kernel's marginal costs and the tool's, side by side."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("slots", justify="right", no_wrap=True)
    for heading in ("kernel", *HOWS):
        table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("95 %", no_wrap=True)
        if heading != "kernel":
            table.add_column("ratio", justify="right", no_wrap=True)
            table.add_column("", no_wrap=True)
    for title, points in measured.lookups().items():
        base = median([ns for _, lookups in points for ns in lookups.kernel.one])
        table.add_row("", "")
        table.add_row(Text(""), Text(""), Text(f"{title}; one slot: {significant(base)} ns", style="bold"))
        noise = measured.noise(title)
        for slots, lookups in points:
            if slots > 1:
                table.add_row(f"{slots:,}", *_cells(row_of(slots, lookups, noise)))
    return table


def _cells(row: dict[str, Any]) -> list[str | Text]:
    cells: list[str | Text] = [_plain(row["kernel"]["median"]), Text(_span(row["kernel"]), style="dim")]
    for how in HOWS:
        found = row[how]["fidelity"]
        ratio = found["ratio"]
        cells += [_plain(row[how]["median"]), Text(_span(row[how]), style="dim")]
        cells.append(Text("" if ratio is None else f"{ratio:.2f}", style=STYLES.get(found["verdict"], "")))
        cells.append(Text(WORDS[found["verdict"]], style=STYLES.get(found["verdict"], "dim")))
    return cells


def _plain(ns: float) -> str:
    """Nanoseconds; of a difference near 0 no more digits than it deserves."""
    return f"{ns:.1f}" if abs(ns) < 100 else f"{ns:,.0f}"


def _span(interval: dict[str, float | None]) -> str:
    low, high = interval["low"], interval["high"]
    return "[too few]" if low is None or high is None else f"[{_plain(low)}, {_plain(high)}]"


def summary(measured: Measurement) -> str:
    """How many points lie where, for each way of asking, over the patterns of single pages."""
    parts: list[str] = []
    for how in HOWS:
        verdicts = [
            row_of(slots, lookups, measured.noise(title))[how]["fidelity"]["verdict"]
            for title, points in measured.lookups().items()
            for slots, lookups in points
            if slots > 1 and lookups.pages == 1
        ]
        fine = sum(verdict in ("within", "equal") for verdict in verdicts)
        beyond, little = verdicts.count("beyond"), verdicts.count("too small")
        unsure = len(verdicts) - fine - beyond - little
        parts.append(
            f"{how}: {fine} of {len(verdicts)} within {GOAL}x or not told apart, {unsure} about {GOAL}x, "
            f"{beyond} beyond, {little} where the kernel's own cost is too small to tell"
        )
    return "Single pages, " + ";\n              ".join(parts) + "."


def change_table(measured: Measurement) -> Table:
    """What changing one slot beside N others costs."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    for heading in ("slots", "fill, a slot"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in CHANGES.values():
        table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("95 %", no_wrap=True)
    for point in sorted(measured.points, key=lambda point: point.slots):
        cells: list[str | Text] = [f"{point.slots:,}", significant(point.changes.fill / 1e3)]
        for name in CHANGES:
            found = _in_us(getattr(point.changes, name))
            cells += [significant(found.median), Text(_span_us(found), style="dim")]
        table.add_row(*cells)
    return table


def _in_us(samples: Sequence[float]) -> Interval:
    return median_interval(samples).mapped(lambda ns: ns / 1e3)


def _span_us(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return "[too few]"
    return f"[{significant(interval.low)}, {significant(interval.high)}]"


def remarks(measured: Measurement) -> list[str]:
    """What does not depend on the number of slots, how the ranges reached the kernel, and what separates nobody."""
    base = measured.baselines
    lines = [
        f"Without a lookup: {significant(median(base.gfn_no_lookup))} ns an MSR. An invalidation without a VM: "
        f"{significant(median(base.hva_no_vm))} ns, with a VM whose slot lies elsewhere: "
        f"{significant(median(base.hva_no_slot))} ns.",
        "too small: the kernel's marginal cost is not told from 0. not told apart: the two marginals are not.",
    ]
    if not measured.batched:
        lines.append("This kernel takes one range of madvise a call: each carries a whole system call.")
    if controls := [f"{title} {_plain(measured.noise(title))}" for title in measured.lookups() if measured.noise(title)]:
        lines.append(f"VMs of one slot each came out apart by, in ns: {'; '.join(controls)}.")
    return lines
