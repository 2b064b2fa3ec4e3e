"""`slotlookup cache`."""

from __future__ import annotations

import click

from slotlookup.model.trace_cache import LIMIT, cache_folder, entries, prune

from ..helpful import EachOnce
from ..options import SIZES, Size
from ..printable import printable


@click.command(cls=EachOnce)
@click.option(
    "--prune",
    "limit",
    type=Size(),
    help=f"Delete the traces used the longest time ago until all take at most this size ({SIZES}); 0 deletes all.",
)
def command(limit: int | None) -> None:
    """Show the folder of generated traces and its size, or prune it.

    The traces of modelled workloads are kept in $XDG_CACHE_HOME/slotlookup/traces (~/.cache if that is not set), so
    that the second run of a workload starts at once. They may be deleted at any time.
    """
    deleted = [] if limit is None else prune(limit)
    held = entries()
    click.echo(printable(str(cache_folder())))
    click.echo(f"{_traces(len(held))}, {_mib(sum(entry.size for entry in held))}; at most {_mib(LIMIT)} are kept")
    if limit is not None:
        click.echo(f"{_traces(len(deleted))} deleted, {_mib(sum(entry.size for entry in deleted))}")


def _traces(count: int) -> str:
    return f"{count:,} trace{'' if count == 1 else 's'}"


def _mib(size: int) -> str:
    return f"{size / (1 << 20):,.1f} MiB"
