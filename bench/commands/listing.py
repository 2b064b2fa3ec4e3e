"""`slotlookup strategies` and `slotlookup workloads`."""

from __future__ import annotations

import json
from typing import Any

import click

from slotlookup.registry import make_strategy, parse_spec, presets, structures, workloads
from slotlookup.structure import NativeStructure


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else on stdout.")
def list_strategies(as_json: bool) -> None:
    """List the strategies there are, with what each is made of and what it costs by complexity."""
    rows = [_structure_row(name) for name in structures()] + [_preset_row(name) for name in presets()]
    if as_json:
        click.echo(json.dumps({"schema_version": 1, "strategies": rows}, indent=2))
        return
    _print_table(
        ("strategy", "family", "gfn", "hva", "change", "kernel", "what it is"),
        [(r["strategy"], r["family"], r["gfn"], r["hva"], r["update"], r["kernel"], _described(r)) for r in rows],
    )


def _described(row: dict[str, Any]) -> str:
    parts = [row["summary"]]
    if row["spec"] != f"gfn={row['strategy']},hva={row['strategy']}":
        parts.append(f"[{row['spec']}]")
    if row["note"]:
        parts.append(f"({row['note']})")
    return " ".join(parts)


def _structure_row(name: str) -> dict[str, Any]:
    structure = structures()[name]
    kernel = structure.kernel if isinstance(structure, NativeStructure) else False
    return {
        "strategy": name,
        "family": str(structure.family),
        "spec": str(parse_spec(name)),
        "summary": structure.summary,
        "gfn": structure.costs.gfn,
        "hva": structure.costs.hva,
        "update": structure.costs.update,
        "kernel": "yes" if kernel else "no",
        "source": structure.source,
        "note": make_strategy(name).note,
    }


def _preset_row(name: str) -> dict[str, Any]:
    preset, spec = presets()[name], parse_spec(name)
    gfn, hva = structures()[spec.gfn], structures()[spec.hva]
    kernel = all(isinstance(s, NativeStructure) and s.kernel for s in (gfn, hva))
    return {
        "strategy": name,
        "family": str(gfn.family),
        "spec": str(spec),
        "summary": preset.summary,
        "gfn": gfn.costs.gfn,
        "hva": hva.costs.hva,
        "update": hva.costs.update,
        "kernel": "yes" if kernel else "no",
        "source": preset.source,
        "note": make_strategy(name).note,
    }


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else on stdout.")
def list_workloads(as_json: bool) -> None:
    """List the workloads there are, with what each stresses."""
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
    ]
    if as_json:
        click.echo(json.dumps({"schema_version": 1, "workloads": rows}, indent=2))
        return
    _print_table(
        ("workload", "origin", "slots", "what it is", "what it stresses"),
        [
            (
                str(r["workload"]),
                str(r["origin"]),
                f"{r['slots']}{' or any' if r['sizable'] else ''}",
                r["summary"],
                r["stresses"],
            )
            for r in rows
        ],
    )


def _print_table(headings: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    from ..console import output

    table = Table(box=SIMPLE_HEAD)
    for i, heading in enumerate(headings):
        table.add_column(heading, no_wrap=i == 0, overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    output().print(table)


commands = {"strategies": list_strategies, "workloads": list_workloads}
