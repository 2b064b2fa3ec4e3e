"""`slotlookup strategies` and `slotlookup workloads`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from slotlookup.address import PAGE_SHIFT
from slotlookup.errors import UsageError
from slotlookup.memslots import USER_SLOTS, make_memslot
from slotlookup.model.scenario import Scenario
from slotlookup.registry import (
    describe,
    find_workload,
    in_known_case,
    left_out_strategies,
    left_out_workloads,
    make_strategy,
    parse_spec,
    presets,
    strategy_names,
    structures,
    workloads,
)
from slotlookup.spec import StrategySpec
from slotlookup.stream import creation_table
from slotlookup.structure import Family, NativeStructure, Structure
from slotlookup.vocabulary import Operation, Role, UpdateDiscipline

from ..helpful import EachOnce

if TYPE_CHECKING:
    from rich.console import Console


@click.command(cls=EachOnce)
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else on stdout.")
def list_strategies(name: str | None, as_json: bool) -> None:
    """List the available strategies: structures, complexity, size, and whether a kernel could use them.

    With NAME, show this one in full: structure, invariants, costs, source, and when not to choose it. Strategies are
    combined from these names as `slotlookup help specs` explains.
    """
    known = strategy_names()
    if name is not None:
        name = in_known_case(name, known)
        parse_spec(name)  # reports an unknown name
        if name not in known:
            raise UsageError(f"'{name}' is a combination; give the name of a structure or of a preset")
    left_out = left_out_strategies() if name is None else {}
    rows = [strategy_row(one) for one in ([name] if name is not None else known)]
    if as_json:
        click.echo(json.dumps({"schema_version": 1, "strategies": rows, "left_out": dict(left_out)}, indent=2))
        return
    from ..console import output

    console = output()
    if name is not None:
        from .explaining import explain_strategy

        (row,) = rows
        facts = {
            "spec": row["spec"],
            **{f"{role} cost": row[role] for role in Operation},
            "bytes per slot": f"{_bytes(row)}, with {FILLED:,} slots",
            "in a kernel": _in_a_kernel(row),
            "source": row["source"],
            "note": row["note"],
        }
        explain_strategy(row, facts, console)
        return
    if console.width < TABLE_WIDTH:
        _print_blocks(rows, console)
        _print_left_out(left_out, console)
        return
    _print_table(
        ("strategy", "roles", "gfn", "hva", "change", "bytes\nper slot", "in a\nkernel", "description; source"),
        [
            (
                row["strategy"],
                "\n".join(row["roles"]),
                *(_bound(row[key]) for key in Operation),
                _bytes(row),
                _in_a_kernel(row).replace(", ", ", \n").replace(": ", ": \n"),
                f"{_described(row)}; {row['source']}",
            )
            for row in rows
        ],
        console,
    )
    console.print(
        "n: slots; k: slots visited. --json and narrow terminals show the definitions of other letters.", style="dim"
    )
    _print_left_out(left_out, console)


TABLE_WIDTH = 132
"""Columns of the table; on narrower terminals, strategies are listed as paragraphs."""
FILLED = 1_024
"""Number of slots with which the size of a strategy is measured."""


def strategy_row(name: str) -> dict[str, Any]:
    """A strategy as a row of the JSON list, including the effects of presets and partners."""
    known = describe(name)
    declared = presets().get(name) or structures()[name]
    gfn, hva = structures()[known.spec.gfn], structures()[known.spec.hva]
    serving = [gfn, hva] if len(known.roles) == len(Role) else [structures()[name]]
    obstacle = known.capabilities.obstacle
    # No strategy reports the bytes of Python objects.
    sized = known.family is Family.NATIVE and not known.missing
    return {
        "strategy": name,
        "family": str(known.family),
        "spec": str(known.spec),
        "roles": list(known.roles),
        "summary": declared.summary,
        "gfn": gfn.costs.gfn,
        "hva": hva.costs.hva,
        "update": "; ".join(dict.fromkeys(s.costs.update for s in serving)),
        "kernel": "no" if obstacle else "yes",
        "obstacle": obstacle,
        "readers": _readers(known.spec, serving),
        "bytes_per_slot": _bytes_per_slot(name) if sized else None,
        "source": declared.source,
        "installed": not known.missing,
        "note": known.missing or known.note,
    }


def _readers(spec: StrategySpec, serving: Sequence[Structure]) -> str:
    """The effect of a change on concurrent readers: they continue ("look on"), perhaps on the old slots, or wait."""
    in_place = all(isinstance(s, NativeStructure) and s.readers_in_place for s in serving)
    return "look on" if spec.update != UpdateDiscipline.IN_PLACE or in_place else "wait"


def _bytes_per_slot(name: str) -> float | None:
    """Measured with 1,024 slots of 1 to 16 MiB, with a hole before every other slot."""
    strategy = make_strategy(name)
    slots, gfn, hva_page = [], 0, 0x7F00_0000_0
    for number in range(FILLED):
        npages = 256 << number % 5
        gfn += npages * (number % 2)
        slots.append(make_memslot(number, gfn << PAGE_SHIFT, npages << PAGE_SHIFT, hva_page << PAGE_SHIFT))
        gfn += npages
        hva_page += npages + 1
    strategy.load_table(creation_table(slots))
    size = strategy.bytes()
    return None if size is None else round(size / FILLED, 1)


def _bound(cost: str) -> str:
    """A cost without its explanation, for columns; different costs of a combination on separate lines."""
    return "\n".join(part.split(", ")[0] for part in cost.split("; "))


def _bytes(row: dict[str, Any]) -> str:
    return "n/a" if row["bytes_per_slot"] is None else f"{row['bytes_per_slot']:,.0f}"


def _in_a_kernel(row: dict[str, Any]) -> str:
    if row["kernel"] == "no":
        return f"no: {row['obstacle']}"
    return "yes" if row["readers"] == "look on" else "yes, readers wait"


def _described(row: dict[str, Any]) -> str:
    parts = [row["summary"]]
    if row["spec"] != f"gfn={row['strategy']},hva={row['strategy']}":
        parts.append(f"[{row['spec']}]")
    if row["note"]:
        parts.append(f"({row['note']})")
    return " ".join(parts)


def _print_blocks(rows: list[dict[str, Any]], console: Console) -> None:
    """One paragraph per strategy, for terminals that are too narrow for a table."""
    from rich.padding import Padding
    from rich.text import Text

    for row in rows:
        console.print(Text.assemble((row["strategy"], "bold"), f"  {row['family']}, {' and '.join(row['roles'])}"))
        costs = f"gfn {row['gfn']}; hva {row['hva']}; change {row['update']}"
        lines = (
            _described(row),
            costs,
            f"{_bytes(row)} bytes per slot; in a kernel: {_in_a_kernel(row)}",
            f"source: {row['source']}",
        )
        for line in lines:
            console.print(Padding(Text(line), (0, 0, 0, 4)))


def _print_left_out(left_out: Mapping[str, str], console: Console) -> None:
    """A line for each module or declaration that could not be loaded."""
    from rich.text import Text

    for name, reason in left_out.items():
        console.print(Text(f"{name}  left out: {reason}", style="yellow"))


@click.command(cls=EachOnce)
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else on stdout.")
def list_workloads(name: str | None, as_json: bool) -> None:
    """List the available workloads, with the part of a strategy that each stresses.

    With NAME, show this one in full: slots, origin, what it stresses, and its mix of lookups, visits and slot changes.
    """
    if name is not None:
        name = find_workload(in_known_case(name, workloads())).name
    left_out = left_out_workloads() if name is None else {}
    rows = [
        {
            "workload": w.name,
            "origin": str(w.origin),
            "slots": w.slots,
            "sizable": w.sizable,
            "summary": w.summary,
            "stresses": w.stresses,
        }
        for w in workloads().values()
        if name in (None, w.name)
    ]
    if as_json:
        click.echo(json.dumps({"schema_version": 1, "workloads": rows, "left_out": dict(left_out)}, indent=2))
        return
    from ..console import output

    console = output()
    if name is not None:
        from .explaining import explain_workload

        (row,) = rows
        explain_workload(row, f"{row['slots']}{_other_sizes(name)}", workloads()[name].build(), console)
        return
    _print_table(
        ("workload", "origin", "slots", "description", "stresses"),
        [
            (
                str(r["workload"]),
                str(r["origin"]),
                f"{r['slots']}{_other_sizes(str(r['workload']))}",
                r["summary"],
                r["stresses"],
            )
            for r in rows
        ],
        console,
    )
    _print_left_out(left_out, console)


def _other_sizes(name: str) -> str:
    """The other numbers of slots that a workload may have, in words."""
    workload = workloads()[name]
    if not workload.sizable:
        return ""
    if not isinstance(workload, Scenario) or (workload.fewest_slots, workload.most_slots) == (1, USER_SLOTS):
        return " or any"
    most = " and more" if workload.most_slots == USER_SLOTS else f" to {workload.most_slots:,}"
    return f" or {workload.fewest_slots}{most}"


def _print_table(headings: tuple[str, ...], rows: list[tuple[Any, ...]], console: Console) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for i, heading in enumerate(headings):
        table.add_column(heading, no_wrap=i == 0, overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    console.print(table)


commands = {"strategies": list_strategies, "workloads": list_workloads}
