"""The first screen of a run: the workload, the ranking under its mix, and two sentences, in 24 lines of 80 columns."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from slotlookup.vocabulary import Operation

from .model import RunResult, State
from .summary import ALL, Ranked, Summary, mix_words
from .tables import REFERENCE, interval_heading, span
from .verdict import significant

LINES = 24
"""The lines of the screen, one of which the next prompt takes."""
TODAY = "kvm-5.17"
"""The preset of Linux since 5.17, which is shown wherever it stands."""
LEAST_SHOWN, MOST_SHOWN = 4, 12
WIDEST_NAME = 30


def print_screen(run: RunResult, summary: Summary, hint: str, console: Console) -> None:
    """Print the first screen. `hint` says how to see more. Strategies that are void follow it."""
    workload = run.workload
    head = [
        Text.assemble(
            (workload["name"], "bold"),
            f": {workload['slots']:,} slots, {workload['events']:,} events, seed {workload['seed']}, fingerprint "
            f"{workload['fingerprint']}",
        ),
        Text(mix_words(summary.mix), style="yellow" if summary.mix.derived else ""),
    ]
    tail = [Text(sentence) for sentence in summary.sentences if sentence] + [Text(hint, style="dim")]
    around = sum(len(text.wrap(console, console.width)) for text in [*head, *tail])
    for text in head:
        console.print(text)
    if summary.ranking:
        room = LINES - 1 - around - 5  # the table's heading of two lines, its rule, and the blank lines around it
        console.print(_table(run, summary, max(LEAST_SHOWN, min(room, MOST_SHOWN)), console.width))
    for text in tail:
        console.print(text)
    for one in run.strategies:
        if one.state is State.VOID:
            console.print(f"[bold red]{escape(one.strategy)} is void[/bold red]: {escape(one.reason or '')}")


def chosen(run: RunResult, summary: Summary, most: int) -> list[int]:
    """The places in the ranking that are shown, ascending, at most `most`.

    The cheapest, the reference, Linux's own, the cheapest of each role, and then the others in order.
    """
    of_roles = [one.tied[0] for role in Operation if (one := summary.cheapest[role]) is not None]
    serving = {name: i for i, one in enumerate(summary.ranking) for name in one.strategies}
    wanted = [0, serving.get(run.references[str(summary.family)]), serving.get(TODAY)]
    wanted += [serving.get(name) for name in of_roles]
    first = list(dict.fromkeys([*(i for i in wanted if i is not None), *range(len(summary.ranking))]))
    return sorted(first[:most])


def _table(run: RunResult, summary: Summary, most: int, width: int) -> Table:
    timed = any(one.cost is not None for one in summary.ranking)
    own = bool(summary.mix.derived) and timed
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    if timed:
        table.add_column("#", no_wrap=True)
    table.add_column("strategy", no_wrap=True, overflow="ellipsis")
    if timed:
        table.add_column("ms per\nmillion", justify="right", no_wrap=True)
        table.add_column(interval_heading(run.options["processes"]), no_wrap=True)
        table.add_column("ratio", justify="right", no_wrap=True)
    if own:
        table.add_column("recorded\nalone", justify="right", no_wrap=True)
    table.add_column("lines", justify="right", no_wrap=True)
    table.add_column("slots ex-\namined", justify="right", no_wrap=True)
    winner = summary.cheapest[ALL]
    for i in chosen(run, summary, most):
        one = summary.ranking[i]
        cells: list[Text | str] = [_name(run, one)]
        if timed:
            ratio = "" if one.ratio is None else f"{one.ratio.median:.2f}"
            cells = [summary.places[i], *cells, *_cost(one), ratio]
        if own:
            cells.append(significant(one.own.median) if one.own else "")
        cells += [significant(one.lines), significant(one.slots_examined)] if one.at_least is None else ["", ""]
        best = winner is not None and winner.winner in one.strategies
        table.add_row(*cells, style="bold green" if best else "")
    return table


def _cost(one: Ranked) -> list[Text | str]:
    if one.cost is not None:
        return [significant(one.cost.median), Text(span(one.cost), style="dim")]
    return (
        [f"≥ {significant(one.at_least)}", Text("not run further", style="dim")]
        if one.at_least is not None
        else ["", ""]
    )


def _name(run: RunResult, one: Ranked) -> Text:
    """The name, those of other strategies that run the same code if there is room, and whether it is the reference."""
    reference = REFERENCE if run.references[str(_family(run, one))] in one.strategies else ""
    name = ", ".join(one.strategies)
    if len(name) + len(reference) > WIDEST_NAME and len(one.strategies) > 1:
        name = f"{one.strategies[0]} and {len(one.strategies) - 1} more"
    return Text.assemble(name, (reference, "dim"))


def _family(run: RunResult, one: Ranked) -> str:
    return next(found.family for found in run.strategies if found.strategy == one.strategies[0])
