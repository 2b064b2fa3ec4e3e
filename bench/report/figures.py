"""The charts of a report: each a specification, and the rows that it shows, for every metric and strategy at once.

The page chooses among the rows by metric and by strategy, so the choice costs no new specification. A row's `at` is
the path of its figures in the JSON of its source.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from slotlookup.structure import Family
from slotlookup.vocabulary import RANKED, Count, Operation, TimingMode

from ..charts import specs
from ..charts.styles import Style, styles
from ..history.entries import Entry
from ..history.series import Series
from ..kernel.draw import UNIT, labels
from ..kernel.figures import Measurement
from ..measure.default_set import THREAD
from ..results.model import RoleResult, Row, RunResult
from ..results.screen import TODAY
from ..results.statistics import Interval, median_interval
from ..results.tables import span
from ..results.verdict import enumerated, significant
from ..sweep.crossover import Standing
from ..sweep.curves import Panel, panels
from ..sweep.tables import sentence, unit
from .sources import Kernel, Run, Sources

METRICS = (*TimingMode, *Count)
SHOWN_AT_FIRST = (*THREAD, TODAY)
"""What is selected until the reader chooses, besides all that is cheapest somewhere."""


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart. `columns` are the key and the title of each column of its table.

    With `by_metric`, rows have the key `metric`, of which one is shown; with `by_strategy`, those of the selected
    strategies are shown. `axes` says whether the reader may choose logarithmic or linear axes, and `positive` which
    keys a logarithmic axis shows. `void` are the names without figures, each with the reason.
    """

    id: str
    section: str
    title: str
    note: str
    spec: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    columns: Sequence[tuple[str, str]]
    by_metric: bool = True
    by_strategy: bool = True
    axes: bool = True
    positive: Sequence[str] = ("value",)
    void: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """What the page's script needs."""
        return {
            "id": self.id,
            "title": self.title,
            "spec": self.spec,
            "rows": list(self.rows),
            "columns": [list(column) for column in self.columns],
            "byMetric": self.by_metric,
            "byStrategy": self.by_strategy,
            "axes": self.axes,
            "positive": list(self.positive),
        }


@dataclass(frozen=True, slots=True)
class Figures:
    """All charts, the styles of all names in them, the metrics that any has, and the names that are shown at first."""

    charts: Sequence[Chart]
    styles: Mapping[str, Style]
    metrics: Mapping[str, str]
    shown: Sequence[str]
    sentences: Sequence[tuple[str, str]]


def make_figures(sources: Sources) -> Figures:
    """The charts of all sources, in the order of the page."""
    named = styles(_names(sources))
    placed = list(_placed(sources))
    cheapest = {standing.best for one in placed for standing in one.standings if standing.best}
    charts = [
        *_curves(placed, named),
        *_standings(placed, named),
        *(chart for i, run in enumerate(sources.runs) for chart in _of_run(i, run, named)),
        *(chart for i, kernel in enumerate(sources.kernels) for chart in _of_kernel(i, kernel)),
        *(chart for i, one in enumerate(sources.history) for chart in _of_series(i, one, named)),
    ]
    found = {row["metric"] for chart in charts if chart.by_metric for row in chart.rows}
    metrics = {str(metric): unit(metric) for metric in METRICS if metric in found}
    first = [name for name in named if name in cheapest or name in SHOWN_AT_FIRST]
    sentences = [(one.source, _told(one.panel)) for one in placed if one.ranked]
    return Figures(charts, named, metrics, first, sentences)


def _told(panel: Panel) -> str:
    return f"By {unit(panel.metric)}: {sentence(panel)}"


def _names(sources: Sources) -> Iterator[str]:
    """Every row's name, by the order of the sources."""
    for run in sources.runs:
        yield from (row.name for role in Operation for row in run.result.roles[role])
    for sweep in sources.sweeps:
        for point in sweep.points.values():
            yield from (row["name"] for role in Operation for row in point["roles"][role])
    for series in sources.history:
        for entry in series.entries:
            yield from (name for role in Operation for name in entry.rows[role])


@dataclass(frozen=True, slots=True)
class _Placed:
    """A panel of a source, its standings, and where the row of each slot count and name is in the source's JSON."""

    source: str
    workload: str
    panel: Panel
    standings: Sequence[Standing]
    paths: Mapping[tuple[int, str], str]

    @property
    def ranked(self) -> bool:
        """Whether its sentence is part of the answer: several strategies at several slot counts, by time or lines."""
        return self.panel.metric in (RANKED, Count.LINES) and len(self.panel.figures) > 1 and len(self.panel.slots) > 1


def _placed(sources: Sources) -> Iterator[_Placed]:
    """Every panel of every sweep and run; a run is a panel of one slot count."""
    of: list[tuple[str, Mapping[int, Mapping[str, Any]], bool]] = []
    of += [(sweep.source, sweep.points, True) for sweep in sources.sweeps]
    of += [(run.source, {run.result.workload["slots"]: run.document}, False) for run in sources.runs]
    for source, points, many in of:
        paths = {role: _paths(points, role, many) for role in Operation}
        for metric in METRICS:
            for panel in panels(points, metric):
                yield _Placed(source, _workload(points), panel, panel.standings(), paths[panel.role])


def _workload(points: Mapping[int, Mapping[str, Any]]) -> str:
    return str(next(iter(points.values()))["workload"]["name"])


def _paths(points: Mapping[int, Mapping[str, Any]], role: Operation, many: bool) -> dict[tuple[int, str], str]:
    return {
        (slots, row["name"]): f"{f'{i}/' if many else ''}roles/{role}/{j}"
        for i, slots in enumerate(sorted(points))
        for j, row in enumerate(points[slots]["roles"][role])
    }


def _spanned(interval: Interval) -> str:
    return "exact" if interval.low == interval.high else span(interval)


def _figure(interval: Interval) -> dict[str, Any]:
    """The keys of a figure. Ends that are unknown, or that a logarithmic axis cannot show, are None."""
    shown = interval.low is not None and (interval.low > 0 or interval.low == interval.high)
    return {
        "value": interval.median,
        "span": _spanned(interval),
        "low": interval.low if shown else None,
        "high": interval.high if shown else None,
    }


SLOT_COLUMNS = (("strategy", "strategy"), ("slots", "slots"), ("value", "cost"), ("span", "95 % interval"))


def _curves(placed: Sequence[_Placed], named: Mapping[str, Style]) -> Iterator[Chart]:
    """Per sweep, role and family: cost over slot counts."""
    grouped: dict[tuple[str, str, Operation], list[_Placed]] = {}
    for one in placed:
        if len(one.panel.slots) > 1:
            grouped.setdefault((one.source, one.panel.family, one.panel.role), []).append(one)
    for i, ((source, family, role), found) in enumerate(grouped.items()):
        rows = [
            {
                "metric": str(one.panel.metric),
                "strategy": name,
                "slots": n,
                **_figure(figure.interval),
                "source": source,
                "at": one.paths[n, name],
            }
            for one in found
            for name, figures in one.panel.figures.items()
            for n, figure in zip(one.panel.slots, figures, strict=True)
            if figure is not None
        ]
        first = next((one.panel for one in found if not one.panel.exact), found[0].panel)
        note = f"{source}. Questions: {first.origin}. The band is the 95 % interval."
        title = f"{role.plural}, {family}: cost by number of slots"
        yield Chart(f"curve-{i}", "crossovers", title, note, specs.curves(named, "cost"), rows, SLOT_COLUMNS)


STANDING_COLUMNS = (("workload", "workload"), ("slots", "slots"), ("label", "cheapest"), ("value", "cost"))


def _standings(placed: Sequence[_Placed], named: Mapping[str, Style]) -> Iterator[Chart]:
    """Per role and family: the cheapest strategies by workload and slot count."""
    grouped: dict[tuple[str, Operation], list[dict[str, Any]]] = {}
    for one in placed:
        for standing in one.standings:
            if len(one.panel.figures) > 1:
                grouped.setdefault((one.panel.family, one.panel.role), []).append(_cell(one, standing))
    for i, ((family, role), rows) in enumerate(grouped.items()):
        yield Chart(
            f"standing-{i}",
            "map",
            f"{role.plural}, {family}: the cheapest by slots and result",
            "Over all strategies of each result, whatever is selected above. A tie is grey, and its cell has the "
            "number of tied strategies; the table names them.",
            specs.standings(named),
            rows,
            STANDING_COLUMNS,
            by_strategy=False,
            axes=False,
            positive=(),
        )


def _cell(of: _Placed, standing: Standing) -> dict[str, Any]:
    best = of.panel.figures[standing.best][of.panel.slots.index(standing.slots)]
    tied = len(standing.contenders)
    return {
        "metric": str(of.panel.metric),
        "workload": f"{of.workload} ({of.source})",
        "slots": standing.slots,
        "cheapest": standing.best if tied == 1 else specs.TIED,
        "label": standing.best if tied == 1 else f"tied: {enumerated(standing.contenders)}",
        "mark": "" if tied == 1 else f"={tied}",
        "value": significant(None if best is None else best.value),
        "source": of.source,
        "at": of.paths[standing.slots, standing.best],
    }


SAMPLE_COLUMNS = (("strategy", "strategy"), ("kind", "figure"), ("value", "ns"), ("span", "95 % interval"))
PARETO_COLUMNS = (("strategy", "strategy"), ("x", "bytes per slot"), ("y", "cost"), ("on", "front"))


def _of_run(i: int, run: Run, named: Mapping[str, Style]) -> Iterator[Chart]:
    result = run.result
    title = f"{result.workload['name']}, {result.workload['slots']:,} slots"
    for role in Operation:
        rows = [
            sample | {"source": run.source, "at": f"roles/{role}/{j}"}
            for j, row in enumerate(result.roles[role])
            for sample in _samples(row)
        ]
        if rows:
            yield Chart(
                f"samples-{i}-{role}",
                "distributions",
                f"{title}: {role.plural}, every sample",
                f"{run.source}. A tick is a sample: {_what_a_sample_is(result)}. The symbol is the median, the bar its "
                "95 % interval.",
                specs.samples(named, "ns per operation"),
                rows,
                SAMPLE_COLUMNS,
                void=_void(result.roles[role]),
            )
    setup = [
        {"metric": "setup", **sample}
        for row in result.setup
        if row.figures is not None and row.figures.ns is not None
        for sample in _series(row.name, row.figures.ns.samples, row.figures.ns.interval)
    ]
    if setup:
        yield Chart(
            f"setup-{i}",
            "setup",
            f"{title}: loading the slots",
            f"{run.source}. Nanoseconds per slot to load the starting slots.",
            specs.samples(styles(dict.fromkeys(row["strategy"] for row in setup)), "ns per slot"),
            setup,
            SAMPLE_COLUMNS,
            by_metric=False,
            by_strategy=False,
        )
    if rows := list(_memory(result)):
        yield Chart(
            f"memory-{i}",
            "setup",
            f"{title}: memory against gfn lookups",
            f"{run.source}. On the dashed front no other strategy is better in both.",
            specs.pareto(named, "bytes per slot", "cost of a gfn lookup"),
            rows,
            PARETO_COLUMNS,
            positive=("x", "y"),
        )


def _what_a_sample_is(result: RunResult) -> str:
    return "one process" if result.options["processes"] > 1 else "one block of one process"


def _void(rows: Iterable[Row[RoleResult]]) -> dict[str, str]:
    return {row.name: f"{row.state}: {row.reason}" for row in rows if not row.verified}


def _samples(row: Row[RoleResult]) -> Iterator[dict[str, Any]]:
    if row.figures is not None:
        for metric, timing in row.figures.ns.items():
            for sample in _series(row.name, timing.samples, timing.interval):
                yield {"metric": str(metric), **sample}


def _series(name: str, series: Sequence[float], interval: Interval) -> Iterator[dict[str, Any]]:
    yield {"kind": "median", "strategy": name, **_figure(interval)}
    for value in series:
        yield {"kind": "sample", "strategy": name, "value": value, "span": ""}


def _memory(result: RunResult) -> Iterator[dict[str, Any]]:
    """Bytes per slot against each metric of gfn lookups, of strategies with both above zero."""
    sizes = {row.name: row.figures.bytes_per_slot for row in result.setup if row.figures is not None}
    lookups = {row.name: row.figures for row in result.roles[Operation.GFN]}
    for metric in METRICS:
        points: dict[str, tuple[float, float]] = {}
        for one in result.strategies:
            size, row = sizes.get(one.rows[Operation.UPDATE]), lookups.get(one.rows[Operation.GFN])
            value = None if row is None else _value(row, metric)
            if size and value and value > 0:
                points[one.strategy] = (size, value)
        front = pareto_front(points)
        for name, (x, y) in points.items():
            on = name in front
            yield {"metric": str(metric), "strategy": name, "x": x, "y": y, "front": on, "on": "yes" if on else ""}


def _value(figures: RoleResult, metric: str) -> float | None:
    if metric in list(Count):
        count: float | None = getattr(figures, metric)
        return count
    return figures.ns[metric].interval.median if metric in figures.ns else None


def pareto_front(points: Mapping[str, tuple[float, float]]) -> set[str]:
    """The names of which no other is at most as dear in both and cheaper in one."""
    return {
        name
        for name, (x, y) in points.items()
        if not any(a <= x and b <= y and (a < x or b < y) for a, b in points.values())
    }


KERNEL_COLUMNS = (("strategy", "of"), ("slots", "slots"), ("value", "ns over one slot"), ("span", "95 % interval"))


def _of_kernel(i: int, kernel: Kernel) -> Iterator[Chart]:
    measured: Measurement = kernel.measured
    names = labels(measured)
    named = styles(names.values())
    for j, (title, points) in enumerate(measured.lookups().items()):
        rows = [
            {"strategy": names[how], "slots": slots, **_figure(median_interval(lookups.series(how).marginal()))}
            for slots, lookups in points
            if slots > 1
            for how in names
        ]
        if rows:
            yield Chart(
                f"kernel-{i}-{j}",
                "kernel",
                f"{title}: the running kernel and the tool",
                f"{kernel.source}. Nanoseconds that N slots cost more than one.",
                specs.curves(named, UNIT),
                rows,
                KERNEL_COLUMNS,
                by_metric=False,
                by_strategy=False,
            )


HISTORY_COLUMNS = (
    ("commit", "commit"),
    ("strategy", "strategy"),
    ("value", "cost"),
    ("span", "95 % interval"),
    ("noise", "noise"),
)


def _of_series(i: int, series: Series, named: Mapping[str, Style]) -> Iterator[Chart]:
    """Per role: each figure over the runs of a series, with its interval widened by the noise of the run."""
    for role in Operation:
        rows = [row for place, entry in enumerate(series.entries) for row in _of_entry(place, entry, role)]
        if rows:
            yield Chart(
                f"history-{i}-{role}",
                "history",
                f"{series.title}: {role.plural} over commits",
                "The band is the 95 % interval, widened by what identical work differed by in that run. "
                "+ means that the work tree had changes.",
                specs.over_runs(named, "cost"),
                rows,
                HISTORY_COLUMNS,
            )


def _of_entry(place: int, entry: Entry, role: Operation) -> Iterator[dict[str, Any]]:
    run = f"{place + 1}. {entry.label}"
    for name, row in entry.rows[role].items():
        same = {"strategy": name, "run": run, "commit": f"{entry.label} {entry.subject}".strip()}
        for count, value in row.counts.items():
            if value is not None:
                yield {**same, "metric": count, **_figure(Interval(value, value, value)), "noise": "none"}
        for mode, time in row.ns.items():
            noise = entry.noise.get(role, {}).get(mode, 0.0) if row.family == Family.NATIVE else 0.0
            low, high = time.low, time.high
            band = Interval(
                time.median,
                None if low is None else low / (1 + noise),
                None if high is None else high * (1 + noise),
            )
            yield {**same, "metric": mode, **_figure(band), "span": _spanned(time.interval()), "noise": f"{noise:.0%}"}
