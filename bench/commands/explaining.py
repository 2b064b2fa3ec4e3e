"""One strategy or workload in full: its declaration, and the page that its author wrote in the docstring."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.text import Text

from slotlookup.registry import describe, page_of, presets, workloads
from slotlookup.trace import EventKind, Trace
from slotlookup.vocabulary import Operation
from slotlookup.workload import Origin

from ..console import prose_width


def explain_strategy(row: Mapping[str, Any], facts: Mapping[str, str], console: Console) -> None:
    """Print a strategy's `facts`, then the page of its file, and those of a preset's structures."""
    name = row["strategy"]
    console.print(Text.assemble((name, "bold"), f"  {row['family']}, {' and '.join(row['roles'])}"))
    _print_facts(facts, console)
    _print_page(name, console)
    if name in presets():
        spec = describe(name).spec
        for part in dict.fromkeys((spec.gfn, spec.hva)):
            _print_page(part, console)


def explain_workload(row: Mapping[str, Any], sizes: str, trace: Trace, console: Console) -> None:
    """Print a row of the list of workloads, the mix of `trace`, its default size, and the page of its file."""
    name = row["workload"]
    console.print(Text.assemble((name, "bold"), f"  {row['origin']}"))
    facts = {
        "description": row["summary"],
        "stresses": row["stresses"],
        "slots": sizes,
        "events": _mix(trace),
        "slot order": str(trace.slot_order),
        "source": trace.provenance["source"],
        **{role.plural: trace.provenance.get(role, "") for role in Operation},
    }
    _print_facts(facts, console)
    if workloads()[name].origin is not Origin.RECORDED:  # the page of recordings is about their files
        _print_page(name, console)


def _mix(trace: Trace) -> str:
    """The number of events of each role, and its share."""
    total = len(trace.events)
    counts = {kind.operation: int((trace.events["kind"] == kind).sum()) for kind in EventKind}
    shares = [f"{count:,} {role.plural} ({count / total:.0%})" for role, count in counts.items() if count]
    lacking = [role.plural for role, count in counts.items() if not count]
    derived = f"; no {' and no '.join(lacking)}: a run derives them" if lacking else ""
    return f"{', '.join(shares)}{derived}"


def _print_facts(facts: Mapping[str, str], console: Console) -> None:
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in facts.items():
        if value:
            table.add_row(f"  {key}", Text(value))
    console.print(table)


def _print_page(name: str, console: Console) -> None:
    for line in fitted(page_of(name), prose_width(console)):
        console.print(Text(line), overflow="fold")


_ITEM = re.compile(r"( +)((?:\d+\.|-) +|\S.*?  +)?")


def fitted(page: str, width: int) -> Iterator[str]:
    """The lines of a docstring, after an empty one, refilled to a width. Items of lists and tables stay indented."""
    from textwrap import wrap

    for empty, lines in groupby(page.splitlines(), key=lambda line: not line.strip()):
        if empty:
            continue
        yield ""
        items: list[tuple[str, str]] = []  # the indent of the following lines, and the text
        for line in lines:
            found = _ITEM.match(line)
            if items and len(line) - len(line.lstrip()) == len(items[-1][0]):
                items[-1] = (items[-1][0], f"{items[-1][1]} {line.strip()}")
            else:
                items.append((" " * len(found[0]) if found else "", line.rstrip()))
        for indent, text in items:
            yield from wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
