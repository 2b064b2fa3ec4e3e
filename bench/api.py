"""The Python interface, for notebooks and scripts: `import slotlookup as sl`.

The package offers these names as its own: `sl.run`, `sl.load`, `sl.strategy_names` and `sl.workload_names`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from slotlookup import registry
from slotlookup.config.settings import Settings
from slotlookup.errors import UsageError
from slotlookup.structure import PATIENCE
from slotlookup.vocabulary import Count, Operation, Placement, TimingMode

from .measure.run_options import DISPLACED, EFFORTS, RunOptions
from .measure.runner import run as _run
from .measure.selection import require_available, select
from .results.document import to_json
from .results.load import load_result
from .results.mix import parse_weights
from .results.model import RoleResult, Row, RunResult, write_texts

if TYPE_CHECKING:
    from .results.summary import Summary

_DEFAULTS = Settings()
_PREVIEW = 12
"""Rows of a ranking that a notebook shows."""


class Result:
    """The result of a run. Notebooks show it as a table; `print` shows the sentences that answer."""

    def __init__(self, run: RunResult) -> None:
        self.run = run
        """All parts of the result, as in `slotlookup run --json`."""

    @property
    def summary(self) -> Summary:
        """The ranking under the workload's mix, and what is cheapest in all and in each role."""
        from .results.summary import summarise

        return summarise(self.run)

    def table(self, role: str | None = None) -> pa.Table:
        """One row per row of a role, of `role` ("gfn", "hva" or "update") or of all.

        Columns: `role`, `strategy`, `family`, `state`, `reason`, `operations`, `slot_stride` (bytes); each count, a
        mean per operation; for each timing, for example `throughput_hot`, nanoseconds per operation: the median under
        its name, the 95 % interval in `…_low` and `…_high`, and the ratio to the reference in `…_ratio`. Unknown
        figures are null. Raises UsageError for another role.
        """
        if role is not None and role not in list(Operation):
            raise UsageError(f"'{role}' is no role; the roles are {', '.join(Operation)}")
        rows = [_values(one, row) for one in Operation if role in (None, one) for row in self.run.roles[one]]
        return pa.Table.from_pylist(rows, schema=_SCHEMA)

    def save(self, path: str | Path) -> None:
        """Write the result as `run --save` does. Raises InputFileError if that fails."""
        write_texts([(Path(path), to_json(self.run))])

    def __repr__(self) -> str:
        workload = self.run.workload
        head = f"<{workload['name']}, {workload['slots']:,} slots, {len(self.run.strategies)} strategies>"
        return "\n".join([head, *(sentence for sentence in self.summary.sentences if sentence)])

    def _repr_html_(self) -> str:
        """The ranking and the sentences, for Jupyter."""
        from .report.sources import Run
        from .report.text import answer_of_run

        answer = answer_of_run(Run("this run", self.run, {}))
        heads = "".join(f"<th>{escape(name)}</th>" for name in answer.columns)
        body = "".join(
            f"<tr>{''.join(_cell(cell, line.best) for cell in line.cells)}</tr>" for line in answer.lines[:_PREVIEW]
        )
        more = len(answer.lines) - _PREVIEW
        rest = f"<p>{more} more; <code>table()</code> has every row.</p>" if more > 0 else ""
        sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in answer.sentences)
        caption = f"<caption>{escape(answer.title)}. {escape(answer.caption)}</caption>"
        return f"{sentences}<table>{caption}<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>{rest}"


def _cell(text: str, best: bool) -> str:
    return f"<td>{f'<b>{escape(text)}</b>' if best else escape(text)}</td>"


_SCHEMA = pa.schema(
    [
        ("role", pa.string()),
        ("strategy", pa.string()),
        ("family", pa.string()),
        ("state", pa.string()),
        ("reason", pa.string()),
        ("operations", pa.int64()),
        ("slot_stride", pa.int64()),
        *((str(count), pa.float64()) for count in Count),
        *((f"{mode}{part}", pa.float64()) for mode in TimingMode for part in ("", "_low", "_high", "_ratio")),
    ]
)


def _values(role: Operation, row: Row[RoleResult]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "role": str(role),
        "strategy": row.name,
        "family": row.family,
        "state": str(row.state),
        "reason": row.reason,
    }
    return found if row.figures is None else found | dict(_figures(row.figures))


def _figures(figures: RoleResult) -> Iterator[tuple[str, float | int | None]]:
    yield "operations", figures.operations
    yield "slot_stride", figures.slot_stride
    for count in Count:
        yield str(count), getattr(figures, count)
    for mode, timing in figures.ns.items():
        yield str(mode), timing.interval.median
        yield f"{mode}_low", timing.interval.low
        yield f"{mode}_high", timing.interval.high
        yield f"{mode}_ratio", None if timing.ratio is None else timing.ratio.median


def run(
    workload: str = _DEFAULTS.workload,
    strategies: Sequence[str] = (),
    *,
    slots: int | None = None,
    events: int | None = None,
    memory: int | None = None,
    seed: int = 0,
    counts_only: bool = False,
    effort: Literal["quick", "default", "rigorous"] = "default",
    mix: Mapping[str, float] | None = None,
    processes: int = _DEFAULTS.processes,
    displaced: int = DISPLACED,
    placement: str = Placement.PACKED,
    stride: int = 0,
    floor: bool = False,
    patience: float = PATIENCE,
    progress: Callable[[str, float], None] | None = None,
) -> Result:
    """Replay a workload through strategies: check every answer, count, and time unless `counts_only`.

    `workload` is a name or the path of a trace, `strategies` are names, specs or files, those of the default set if
    none are given; `slots`, `events` and `memory` (bytes) size the workload, `seed` is that of all draws. `mix` has
    weights by role for the summary. `processes` time, one after another. `displaced` is in bytes, `stride` too (0 for
    each strategy's own), `patience` in seconds. `progress` is called with the activity and the completed share.

    Configuration files are not read. A wrong answer voids its row and does not raise. Raises SlotlookupError for a
    workload, strategy or option that cannot be.
    """
    if effort not in ("default", *EFFORTS):
        raise UsageError(f"effort '{effort}': choose one of default, {', '.join(EFFORTS)}")
    if isinstance(strategies, str):
        raise UsageError(f"strategies are a list: ['{strategies}'], not '{strategies}'")
    require_available(strategies)
    selection = select(workload, tuple(strategies), seed, slots=slots, events=events, memory=memory)
    options = RunOptions(
        counts_only=counts_only,
        seed=seed,
        budget=EFFORTS.get(effort, 1.0),
        displaced=displaced,
        placement=placement,
        patience=patience,
        processes=processes,
        stride=stride,
        floor=floor,
        mix=None if mix is None else parse_weights(",".join(f"{role}={weight}" for role, weight in mix.items())),
        complete=bool(strategies),
    )
    report = progress or (lambda activity, share: None)
    found = _run(selection.trace, selection.workload, selection.strategies, options, report, selection.left_out)
    return Result(found)


def load(path: str | Path) -> Result:
    """A result that `run --save` or `Result.save` wrote. Raises InputFileError."""
    return Result(load_result(path))


def strategy_names() -> list[str]:
    """The names of all strategies."""
    return registry.strategy_names()


def workload_names() -> list[str]:
    """The names of all workloads."""
    return list(registry.workloads())
