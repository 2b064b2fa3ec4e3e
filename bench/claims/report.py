"""The results of `slotlookup claims`: as JSON with a schema, as tables and as Markdown."""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, create_model
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..results.export import escape, markdown_table
from ..results.saved import SavedMachine
from ..results.verdict import enumerated, significant
from .figures import Difference, Figures
from .judging import Judgement, Verdict
from .thread import CLAIMS, Claim

SCHEMA_VERSION: Literal[1] = 1
WIDE = 110
"""The columns of a console from which on a table has a column for everything."""
STYLES = {
    Verdict.HOLDS: "green",
    Verdict.HOLDS_IF: "yellow",
    Verdict.DOES_NOT_HOLD: "red",
    Verdict.CANNOT_BE_TOLD: "dim",
}


@dataclass(frozen=True, slots=True)
class Settled:
    """A claim with its figures and its verdict."""

    claim: Claim
    figures: Sequence[Figures]
    judgement: Judgement


def settle(claim: Claim, figures: Sequence[Figures]) -> Settled:
    """Apply the claim's rule. Raises ValueError without figures."""
    if not figures:
        raise ValueError(f"claim {claim.id} has no figures")
    return Settled(claim, figures, claim.rule(figures))


@dataclass(frozen=True, slots=True)
class Result:
    """A whole run. `command` is the command line; `options` are those of `PublishedOptions`; it took `seconds`."""

    command: str
    machine: Mapping[str, Any]
    options: Mapping[str, Any]
    seconds: float
    settled: Sequence[Settled]


class _Published(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class PublishedQuote(_Published):
    """Where a claim was made: a few words of a message, its author, its day and its Message-ID."""

    words: str
    author: str
    date: str
    message: str


class PublishedOptions(_Published):
    """The seed of all draws, the effort, and the number of processes that timed."""

    seed: int
    quick: bool
    rigorous: bool
    processes: int


def published() -> type[BaseModel]:
    """The model of the published form. The figures of a claim have the type that its rule takes."""
    figures: Any = reduce(operator.or_, dict.fromkeys(claim.figure_type for claim in CLAIMS))
    claim = create_model(
        "PublishedClaim",
        __base__=_Published,
        __doc__="A claim, its experiment, the verdict and the figures.",
        id=(int, ...),
        claim=(str, ...),
        held_by=(list[str], ...),
        quotes=(list[PublishedQuote], ...),
        experiment=(str, ...),
        steps=(list[str], ...),
        rule=(str, ...),
        verdict=(Verdict, ...),
        reason=(str, ...),
        figures=(list[figures], ...),
    )
    return create_model(
        "PublishedClaims",
        __base__=_Published,
        __doc__="The result of `slotlookup claims`.",
        schema_version=(Literal[1], ...),
        command=(str, ...),
        machine=(SavedMachine, ...),
        options=(PublishedOptions, ...),
        seconds=(float, ...),
        claims=(list[claim], ...),  # type: ignore[valid-type]
    )


def schema() -> dict[str, Any]:
    """The JSON Schema of the published form."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:slotlookup:schema:claims:{SCHEMA_VERSION}",
        **published().model_json_schema(),
        "title": "Result of slotlookup claims",
    }


def as_json(result: Result) -> dict[str, Any]:
    """The published form."""
    return {
        "schema_version": SCHEMA_VERSION,
        "command": result.command,
        "machine": dict(result.machine),
        "options": dict(result.options),
        "seconds": result.seconds,
        "claims": [
            {
                "id": one.claim.id,
                "claim": one.claim.text,
                "held_by": list(one.claim.held_by),
                "quotes": [
                    {
                        "words": quote.words,
                        "author": quote.message.author,
                        "date": quote.message.date,
                        "message": quote.message.id,
                    }
                    for quote in one.claim.quotes
                ],
                "experiment": one.claim.experiment,
                "steps": list(one.claim.steps),
                "rule": one.claim.rule_text,
                "verdict": str(one.judgement.verdict),
                "reason": one.judgement.text,
                "figures": [asdict(figures) for figures in one.figures],
            }
            for one in result.settled
        ],
    }


def to_json(result: Result) -> str:
    """The JSON text."""
    return json.dumps(as_json(result), indent=2, allow_nan=False) + "\n"


def machine_line(machine: Mapping[str, Any]) -> str:
    """The machine in one line."""
    return f"{machine['cpu']}, Linux {machine['kernel']}, {machine['compiler']}, load {machine['load']}"


def duration(seconds: float) -> str:
    """Seconds in words."""
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{seconds:.0f} s"


def tally(settled: Sequence[Settled]) -> str:
    """How many claims have each verdict."""
    counts = {verdict: sum(one.judgement.verdict is verdict for one in settled) for verdict in Verdict}
    parts = [f"{verdict}: {count}" for verdict, count in counts.items() if count]
    return f"Claims by verdict: {'; '.join(parts)}."


def _places(claim: Claim) -> str:
    """Where a claim was made, as a sentence."""
    return f"Quotation: {enumerated([str(quote) for quote in claim.quotes])}."


def _print_source(result: Result, console: Console, source: str | None) -> None:
    """The machine, and where a run comes from that was not measured now."""
    if source is not None:
        measured = f"{result.machine['date']}, `{result.command}`"
        console.print(Text(f"Recorded, not measured now: {source}, {measured}"))
    console.print(Text(machine_line(result.machine), "dim"))


def print_claims(result: Result, console: Console, source: str | None = None) -> None:
    """One table of all claims. `source` is that of a run that was not measured now.

    On a narrow console a claim, who held it, its experiment and its figures stand below each other.
    """
    wide = console.width >= WIDE
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("#", justify="right", no_wrap=True)
    if wide:
        table.add_column("claim", ratio=5)
        table.add_column("held by", width=9)
        table.add_column("experiment", ratio=4)
        table.add_column("verdict", width=10)
        table.add_column("figures", ratio=7, min_width=26)
    else:
        table.add_column("claim, held by, experiment, figures", ratio=1)
        table.add_column("verdict", width=10)
    for one in result.settled:
        number, verdict = str(one.claim.id), one.judgement.verdict
        shown = Text(verdict, STYLES[verdict])
        claim, experiment, brief = Text(one.claim.text), Text(one.claim.experiment), Text(one.judgement.brief)
        holders = Text(" and ".join(one.claim.held_by))
        if wide:
            table.add_row(number, claim, holders, experiment, shown, brief)
        else:
            claim.stylize("bold")
            labelled = [
                Text.assemble(("held by: ", "dim"), holders),
                Text.assemble(("experiment: ", "dim"), experiment),
            ]
            labelled.append(Text.assemble(("figures: ", "dim"), brief))
            table.add_row(number, Text("\n").join([claim, *labelled]), shown, end_section=True)
    console.print(Text("The 2008 thread, claim by claim", "bold"))
    _print_source(result, console, source)
    console.print(table)
    console.print(Text(f"{tally(result.settled)} Measured in {duration(result.seconds)}."))
    console.print(
        Text(
            "slotlookup claims ID --explain shows an experiment, all its figures and the commands that repeat it.",
            "dim",
        )
    )


def _cell(value: object) -> str:
    if isinstance(value, Difference):
        span = "too few samples"
        if value.low is not None and value.high is not None:
            span = f"{value.low:+.3g} to {value.high:+.3g}"
        ns, base = (
            f"{significant(time)} ns" if time > value.noise else "below the noise" for time in (value.ns, value.base_ns)
        )
        return f"{ns}, {value.base} {base} ({span}, noise {value.noise:.2g})"
    if isinstance(value, float):
        return significant(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def _numbered(figures: Sequence[Figures]) -> dict[str, int]:
    """The commands, each once, with numbers from 1."""
    return {command: i for i, command in enumerate(dict.fromkeys(one.command for one in figures), 1)}


@dataclass(frozen=True, slots=True)
class _Cells:
    """A claim's figures as text. The first column is the number of the command.

    `common` names the figures that are the same in every row; they have no column.
    """

    headings: list[str]
    rows: list[list[str]]
    common: list[str]

    @classmethod
    def of(cls, one: Settled) -> _Cells:
        commands = _numbered(one.figures)
        found = [{name.replace("_", " "): _cell(value) for name, value in f.cells().items()} for f in one.figures]
        same = [name for name, cell in found[0].items() if len(found) > 1 and all(row[name] == cell for row in found)]
        varied = [name for name in found[0] if name not in same]
        rows = [
            [str(commands[f.command]), *(row[name] for name in varied)]
            for f, row in zip(one.figures, found, strict=True)
        ]
        return cls(["command", *varied], rows, [f"{name} {found[0][name]}" for name in same])

    @property
    def common_line(self) -> str:
        """The figures that are the same in every row, in a sentence; "" if there are none."""
        return f"In every row: {', '.join(self.common)}." if self.common else ""


def print_explained(result: Result, console: Console, source: str | None = None) -> None:
    """Every claim: the experiment step by step, the rule, every figure, and the commands that repeat them."""
    _print_source(result, console, source)
    for one in result.settled:
        console.print()
        _explain(one, console)
        options = [f"--{name}" for name in ("quick", "rigorous") if result.options[name]]
        options += [f"--seed {result.options['seed']}"] if result.options["seed"] else []
        again = " ".join([f"slotlookup claims {one.claim.id} --explain", *options])
        console.print(Text(f"All figures again: {again}", "dim"), soft_wrap=True)


def _explain(one: Settled, console: Console) -> None:
    claim = one.claim
    console.print(Text(f"Claim {claim.id}: {claim.text}", "bold"))
    console.print(Text(_places(claim), "dim"))
    console.print()
    for i, step in enumerate(claim.steps, 1):
        console.print(Text(f"  {i}. {step}"))
    console.print()
    console.print(Text(f"Rule: {claim.rule_text}"))
    console.print()
    cells = _Cells.of(one)
    _print_figures(cells, console)
    if cells.common_line:
        console.print(Text(cells.common_line))
    console.print(Text("Commands that repeat these figures:"))
    for command, number in _numbered(one.figures).items():
        console.print(Text(f"  {number:>2}  {command}"), soft_wrap=True)
    console.print()
    verdict = one.judgement.verdict
    console.print(Text.assemble((f"Verdict: {verdict}: ", STYLES[verdict]), one.judgement.text + "."))


def _print_figures(cells: _Cells, console: Console) -> None:
    """A table; one paragraph per row where the console is too narrow for its longest words."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    least = 0
    for i, heading in enumerate(cells.headings):
        texts = [row[i] for row in cells.rows]
        is_number = all(text.replace(",", "").replace(".", "").isdigit() for text in texts)
        longest = max(len(word) for text in (heading, *texts) for word in text.split())
        table.add_column(heading, justify="right" if is_number else "left", min_width=longest)
        least += longest + 2
    for row in cells.rows:
        table.add_row(*map(Text, row))
    if least <= console.width:
        console.print(table)
        return
    for row in cells.rows:
        named = [f"{heading} {cell}" for heading, cell in zip(cells.headings, row, strict=True)]
        console.print(Text("; ".join(named)))
    console.print()


def to_markdown(result: Result) -> str:
    """The machine, the table, and a section for each claim with its rule, figures and commands."""
    return "\n".join([summary(result), *map(_section, result.settled)])


def summary(result: Result) -> str:
    """The machine, the command, the table of verdicts and their tally, as Markdown."""
    head = ["#", "claim", "held by", "experiment", "figures", "verdict"]
    rows = [
        [
            str(one.claim.id),
            one.claim.text,
            " and ".join(one.claim.held_by),
            one.claim.experiment,
            one.judgement.brief,
            str(one.judgement.verdict),
        ]
        for one in result.settled
    ]
    parts = [
        f"Machine: {escape(machine_line(result.machine))}. Command: `{result.command}`, "
        f"slotlookup {result.machine['slotlookup']}, {result.machine['date']}, {duration(result.seconds)}.\n",
        markdown_table(head, rows, left=len(head)),
        f"{tally(result.settled)}\n",
    ]
    return "\n".join(parts)


def opening(one: Settled) -> str:
    """A claim, where it was made, the verdict and its figures, as Markdown."""
    return "\n".join(
        [
            f"### {one.claim.id}. {escape(one.claim.text)}\n",
            f"{escape(_places(one.claim))}\n",
            f"**{one.judgement.verdict}**: {escape(one.judgement.text)}.\n",
        ]
    )


def _section(one: Settled) -> str:
    claim = one.claim
    cells = _Cells.of(one)
    commands = "".join(f"    {command}\n" for command in _numbered(one.figures))
    return "\n".join(
        [
            opening(one),
            f"{' '.join(claim.steps)}\n",
            f"{claim.rule_text}\n",
            markdown_table(cells.headings, cells.rows, left=2),
            *([f"{cells.common_line}\n"] if cells.common_line else []),
            commands,
        ]
    )
