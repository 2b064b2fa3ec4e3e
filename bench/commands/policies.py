"""`slotlookup policies`."""

from __future__ import annotations

import json
import sys

import click

from slotlookup.model.outcome import Outcome
from slotlookup.model.scenario import Size as GuestSize

from ..helpful import EachOnce
from ..measure.policies import ACCESSES, MEMORY, SLOTS, PolicyOutcome, compare_policies, policy_scenarios
from ..options import SEED, Number, Size

SCHEMA_VERSION = 1


@click.command(cls=EachOnce)
@click.option("--slots", type=Number(min=1), default=SLOTS, show_default=True, help="Number of slots.")
@click.option(
    "--memory",
    type=Size(),
    help="Guest memory; the host has five eighths of it [default: 32M].",
)
@click.option(
    "--accesses",
    type=Number(min=1),
    default=ACCESSES,
    show_default=True,
    help="Accesses of the guest, the same for each policy.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the accesses.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else on stdout.")
def command(slots: int, memory: int | None, accesses: int, seed: int, as_json: bool) -> int:
    """Compare the answers to ageing requests on hardware without accessed bits, as the EPT of 2008, with accessed bits.

    A modelled guest with more memory than its host makes the same accesses under each policy. Counts only: they are the
    same on every machine.
    """
    from ..console import output, progress_bar

    size = policy_scenarios()[0].size(slots=slots, events=None, seed=seed, memory=MEMORY if memory is None else memory)
    with progress_bar(shown=not as_json or sys.stderr.isatty()) as report:
        found = compare_policies(size, accesses, report)
    if as_json:
        click.echo(json.dumps(_as_json(found, size), indent=2))
        return 0
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = found[0].outcome.accesses
    console = output()
    host = f"{size.memory >> 20:,} MiB of guest memory on {size.memory * 5 // 8 >> 20:,} MiB of the host"
    console.print(f"{slots:,} slots, {host}, {made:,} accesses, seed {seed}")
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("policy")
    headings = (
        "exits",
        "minor\nfaults",
        "from swap\ncache",
        "major\nfaults",
        "ageing\ncalls",
        "pinned",
        "wrongly\nevicted",
    )
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for one in found:
        o = one.outcome
        faults = (o.minor_faults, one.swap_cache_faults, o.major_faults)
        figures = (o.exits, *faults, o.ageing_calls, o.pinned, o.wrongly_evicted)
        table.add_row(one.policy, *(f"{figure:,}" for figure in figures))
    console.print(table)
    console.print(sentence(found))
    return 0


def sentence(found: list[PolicyOutcome]) -> str:
    """What each policy costs against accessed bits, the first of `found`."""
    base = found[0].outcome

    def against(one: Outcome) -> str:
        parts = [
            f"{one.exits / base.exits - 1:+.0%} exits",
            f"{one.major_faults / base.major_faults - 1:+.0%} major faults",
        ]
        if base.ageing_calls and one.ageing_calls > 2 * base.ageing_calls:
            parts.append(f"{one.ageing_calls / base.ageing_calls:.0f} times the ageing calls")
        return ", ".join(parts)

    if not base.exits or not base.major_faults:
        return "Nothing was evicted; more --accesses are needed."
    return f"Against {found[0].policy}: " + "; ".join(f"{one.policy} {against(one.outcome)}" for one in found[1:]) + "."


def _as_json(found: list[PolicyOutcome], size: GuestSize) -> dict[str, object]:
    return {
        "schema_version": SCHEMA_VERSION,
        "slots": size.slots,
        "memory": size.memory,
        "seed": size.seed,
        "policies": [
            {
                "policy": one.policy,
                "workload": one.workload,
                **one.outcome.as_json(),
                "swap_cache_faults": one.swap_cache_faults,
            }
            for one in found
        ],
    }
