"""`slotlookup help`."""

from __future__ import annotations

import click

from slotlookup.registry import unknown
from slotlookup.vocabulary import CachePolicy, Role, UpdateDiscipline

from ..helpful import EachOnce

SPECS = "specs"


@click.command(cls=EachOnce)
@click.argument("topic", required=False)
@click.pass_context
def command(ctx: click.Context, topic: str | None) -> None:
    """Explain TOPIC: a command, or `specs`, how strategies are written."""
    root = ctx.find_root()
    group = root.command
    if not isinstance(group, click.Group):
        raise TypeError("the help command is part of no group")
    if topic is None:
        click.echo(root.get_help())
        return
    if topic == SPECS:
        click.echo(specs())
        return
    explained = group.get_command(root, topic)
    if explained is None:
        raise click.UsageError(unknown("topic", topic, [*group.list_commands(root), SPECS]), ctx)
    explained.make_context(topic, ["--help"], parent=root)


def specs() -> str:
    """How strategies are written: names, keys and their values, and examples."""
    formatter = click.HelpFormatter(max_width=100)
    formatter.write_text("A strategy is written as a name, as a file, or as a spec of keys, separated by commas.")
    with formatter.section("First"):
        formatter.write_dl(
            [
                ("NAME", "a structure or a preset; `slotlookup strategies` lists them, in any case"),
                ("./FILE.so, ./FILE.py:CLASS", "a structure of your own: docs/bring-your-own.md"),
            ]
        )
    with formatter.section("Keys"):
        formatter.write_dl(
            [
                (f"{Role.GFN}=STRUCTURE", "the structure for gfn lookups"),
                (f"{Role.HVA}=STRUCTURE", "the structure for hva visits; without a name first, both are needed"),
                ("unaliased", "visits end at a slot that no other slot overlaps, in structures with this variant"),
                ("cache=POLICY", "a cache that is tested before a gfn lookup"),
                ("update=DISCIPLINE", "how slots are changed while others read"),
            ]
        )
    for heading, values in (("Policies of cache", CachePolicy), ("Disciplines of update", UpdateDiscipline)):
        with formatter.section(heading):
            formatter.write_dl([(str(value), value.summary) for value in values])
    with formatter.section("Examples"):
        formatter.write_dl(list(EXAMPLES.items()))
    return formatter.getvalue().rstrip()


EXAMPLES = {
    "linear": "one structure for both roles",
    "kvm-5.17": "a preset",
    f"rbtree,hva=interval-tree,cache={CachePolicy.LAST_USED}": "a name, then the keys that differ from it",
    f"gfn=rbtree,hva=max-array,update={UpdateDiscipline.TWO_SETS}": "a structure for each role",
    "size-sorted,unaliased": "a variant",
    f"./mytree.so,cache={CachePolicy.LAST_USED}": "a file with keys",
}
