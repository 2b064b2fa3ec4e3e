"""What a report says in words and tables, without charts: the answers, the claims, the machines and the commands."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..claims.judging import Verdict
from ..history.series import Series
from ..kernel.tables import summary as kernel_summary
from ..results.model import RunResult, State
from ..results.summary import ALL, mix_words, summarise
from ..results.tables import interval_words, span
from ..results.verdict import enumerated, significant
from ..sweep.crossover import count_of_slots
from ..sweep.points import faults
from . import commands
from .figures import Figures
from .sources import Claims, Kernel, Run, Sources, Sweep

SIGNS = {Verdict.HOLDS: "✓", Verdict.HOLDS_IF: "◐", Verdict.DOES_NOT_HOLD: "✗", Verdict.CANNOT_BE_TOLD: "?"}
"""A sign for each verdict, so that colour is not its only mark."""


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a ranking. The best is set in bold."""

    cells: Sequence[str]
    best: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What one result says. `gone` are the strategies without figures, each with the reason."""

    title: str
    note: str
    sentences: Sequence[str]
    caption: str = ""
    columns: Sequence[str] = ()
    lines: Sequence[Line] = ()
    gone: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Command:
    """The command that repeats a result. `remark` says what else it needs."""

    source: str
    line: str
    remark: str = ""


def answers(sources: Sources, figures: Figures) -> list[Answer]:
    """One answer per result, in the order of the page."""
    return [
        *(answer_of_run(run) for run in sources.runs),
        *(_of_sweep(sweep, figures) for sweep in sources.sweeps),
        *(_of_kernel(kernel) for kernel in sources.kernels),
        *(_of_claims(claims) for claims in sources.claims),
        *(_of_series(series) for series in sources.history),
    ]


def answer_of_run(run: Run) -> Answer:
    """The ranking of a run under its mix, and its sentences."""
    result = run.result
    summary = summarise(result)
    workload = result.workload
    timed = any(one.cost is not None for one in summary.ranking)
    derived = bool(summary.mix.derived)
    columns = ["strategy", "rank", "ms per million events", "95 % interval", "ratio"] if timed else ["strategy"]
    columns += ["recorded alone"] if timed and derived else []
    lines = []
    best = summary.cheapest[ALL]
    for place, one in zip(summary.places, summary.ranking, strict=True):
        cells = [", ".join(one.strategies)]
        if timed and one.cost is None:
            cells += [place, f"at least {significant(one.at_least)}", "not run further", ""]
        elif timed and one.cost is not None:
            ratio = "" if one.ratio is None else f"{one.ratio.median:.2f}"
            cells += [place, significant(one.cost.median), span(one.cost), ratio]
        if timed and derived:
            cells.append(significant(one.own.median) if one.own else "")
        cells += [significant(one.lines), significant(one.slots_examined)] if one.at_least is None else ["", ""]
        lines.append(Line(cells, best is not None and best.winner in one.strategies))
    gone = [
        (one.strategy, f"{one.state}: {one.reason}") for one in result.strategies if one.state is not State.VERIFIED
    ]
    return Answer(
        f"{workload['name']}, {workload['slots']:,} slots",
        f"{run.source}: {workload['events']:,} events, seed {workload['seed']}, fingerprint {workload['fingerprint']}. "
        f"{_sentence(mix_words(summary.mix))}",
        [sentence for sentence in summary.sentences if sentence],
        _caption(result, result.references.get(str(summary.family), ""), timed, derived),
        [*columns, "lines", "slots examined"],
        lines,
        gone,
    )


def _caption(result: RunResult, reference: str, timed: bool, derived: bool) -> str:
    if not timed:
        return "Counts per event of the mix. Nothing was timed."
    words = f"Equal ranks with = are ties. The ratio is to {reference}. {interval_words(result.options['processes'])}"
    return f"{words} “Recorded alone” is the cost of the events that were recorded." if derived else words


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def _of_sweep(sweep: Sweep, figures: Figures) -> Answer:
    found = sorted(sweep.points)
    options = sweep.options
    note = (
        f"{sweep.source}: from {found[0]:,} to {found[-1]:,} slots, {len(found)} counts, seed {options.seed}. "
        f"{interval_words(options.processes)}"
    )
    gone = [(name, f"void at {slots:,} slots: {fault}") for name, (slots, fault) in faults(sweep.points).items()]
    told = [words for source, words in figures.sentences if source == sweep.source]
    return Answer(f"{options.workload}, by number of slots", note, told, gone=gone)


def _of_kernel(kernel: Kernel) -> Answer:
    machine = kernel.measured.machine
    return Answer(
        f"The running kernel, Linux {machine['kernel']}",
        f"{kernel.source}: what N slots cost more than one, in the kernel and in {kernel.measured.strategy}.",
        kernel_summary(kernel.measured).split("\n"),
    )


def _of_claims(claims: Claims) -> Answer:
    by_verdict: dict[str, list[str]] = {}
    for claim in claims.document["claims"]:
        by_verdict.setdefault(claim["verdict"], []).append(str(claim["id"]))
    sentences = [
        f"{SIGNS[verdict]} {str(verdict).capitalize()}: {enumerated(found)}."
        for verdict in Verdict
        if (found := by_verdict.get(str(verdict)))
    ]
    return Answer("The claims of 2008", f"{claims.source}: the numbers of the claims by verdict.", sentences)


def _of_series(series: Series) -> Answer:
    runs = f"{len(series.entries)} run{'' if len(series.entries) == 1 else 's'}"
    apart = f" A series of its own: {series.apart}." if series.apart else ""
    return Answer(
        f"Over commits: {series.title}",
        f"{runs}, from {series.entries[0].date[:10]} to {series.entries[-1].date[:10]}.{apart}",
        [step.sentence for step in series.steps()] or ["There is no earlier run to compare with."],
    )


def settled(claims: Claims) -> dict[str, Any]:
    """What the page shows of the claims: each with its sign, and its figures as a table."""
    found = []
    for i, claim in enumerate(claims.document["claims"]):
        figures = claim["figures"]
        columns = list(figures[0]) if figures else []
        lines = [[_cell(one.get(key)) for key in columns] for one in figures]
        extra = {"at": f"claims/{i}", "sign": SIGNS[Verdict(claim["verdict"])], "columns": columns, "lines": lines}
        found.append(claim | extra)
    return {"source": claims.source, "claims": found}


def _cell(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return significant(value)
    return value if isinstance(value, str) else json.dumps(value)


def machines(sources: Sources) -> list[dict[str, Any]]:
    """The distinct machines: equal but for what changes from result to result, each with its sources."""
    transient = ("date", "load")
    found: dict[str, dict[str, Any]] = {}
    for source, machine in sources.machines.items():
        lasting = {key: value for key, value in machine.items() if key not in transient}
        key = json.dumps(lasting, sort_keys=True)
        one = found.setdefault(
            key, {"title": f"{machine['cpu']}, Linux {machine['kernel']}", "sources": [], "facts": []}
        )
        if not one["facts"]:
            one["facts"] = [(name, _fact(value)) for name, value in lasting.items() if value is not None]
        one["sources"].append(source)
        load = " ".join(f"{each:g}" for each in machine.get("load") or ())
        one["facts"].append((source, f"{machine['date']}, load {load}" if load else machine["date"]))
    return list(found.values())


def _fact(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_fact(one)}" for key, one in value.items())
    return _cell(value)


def repeating(sources: Sources) -> list[Command]:
    """The command of each result."""
    return [
        *(Command(run.source, commands.of_run(run.document), _needs(run)) for run in sources.runs),
        *(Command(one.source, commands.of_sweep(one.options, sorted(one.points))) for one in sources.sweeps),
        *(Command(one.source, commands.of_kernel(one.measured)) for one in sources.kernels),
        *(Command(one.source, one.document["command"]) for one in sources.claims),
    ]


def _needs(run: Run) -> str:
    name = run.result.workload["name"]
    return f"the trace must be at {name}" if name.endswith(".parquet") else ""


def row_lists(sources: Sources) -> Iterator[dict[str, str]]:
    """Each run in the sources: a title, its source, and where it is in that."""
    for run in sources.runs:
        yield {"title": f"{run.source}: {run.result.workload['name']}", "source": run.source, "at": ""}
    for sweep in sources.sweeps:
        for i, slots in enumerate(sorted(sweep.points)):
            yield {"title": f"{sweep.source}: {count_of_slots(slots)}", "source": sweep.source, "at": str(i)}
