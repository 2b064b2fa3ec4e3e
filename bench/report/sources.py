"""The results that a report shows: files of `run`, `sweep`, `kernel` and `claims`, each recognised by its content."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slotlookup.errors import InputFileError

from ..results.load import parse_json, result_of
from ..results.model import RunResult
from ..sweep import file as sweep_file
from ..sweep.points import Point, SweepOptions

if TYPE_CHECKING:
    from ..history.series import Series
    from ..kernel.figures import Measurement

REMEDY = "give files that `run --save`, `sweep --save`, `kernel --save` or `claims --json` wrote"


@dataclass(frozen=True, slots=True)
class Run:
    """A saved run; `document` is its JSON."""

    source: str
    result: RunResult
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sweep:
    """A saved sweep, whole or interrupted."""

    source: str
    options: SweepOptions
    machine: Mapping[str, Any]
    points: Mapping[int, Point]


@dataclass(frozen=True, slots=True)
class Kernel:
    """A saved measurement of a running kernel."""

    source: str
    measured: Measurement


@dataclass(frozen=True, slots=True)
class Claims:
    """Settled claims in their published form."""

    source: str
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sources:
    """The results of a report by kind, each in the order given. `remarks` say what was left out of a file."""

    runs: Sequence[Run] = ()
    sweeps: Sequence[Sweep] = ()
    kernels: Sequence[Kernel] = ()
    claims: Sequence[Claims] = ()
    history: Sequence[Series] = ()
    remarks: Sequence[str] = field(default=())

    @property
    def machines(self) -> dict[str, Mapping[str, Any]]:
        """The machine of each source."""
        found = {one.source: one.result.machine for one in self.runs}
        found |= {one.source: one.machine for one in self.sweeps}
        found |= {one.source: one.measured.machine for one in self.kernels}
        found |= {one.source: one.document["machine"] for one in self.claims}
        found |= {
            f"history, {entry.label}": {**entry.machine, "date": entry.date}
            for series in self.history
            for entry in series.entries
        }
        return found

    @property
    def documents(self) -> dict[str, Any]:
        """The JSON of each source."""
        found: dict[str, Any] = {one.source: one.document for one in self.runs}
        found |= {one.source: [one.points[n] for n in sorted(one.points)] for one in self.sweeps}
        found |= {one.source: one.measured.model_dump() for one in self.kernels}
        found |= {one.source: one.document for one in self.claims}
        return found


def read_sources(paths: Sequence[Path]) -> Sources:
    """The results in the files, each checked against its schema.

    Raises InputFileError, with place and cause, if a file is not whole or holds something else, or is given twice.
    """
    runs: list[Run] = []
    sweeps: list[Sweep] = []
    kernels: list[Kernel] = []
    claims: list[Claims] = []
    remarks: list[str] = []
    seen: dict[Path, Path] = {}
    names = _names(paths)
    for path, name in zip(paths, names, strict=True):
        same = path.resolve()
        if same in seen:
            raise InputFileError(path, None, f"the same file as {seen[same]}; give each result once")
        seen[same] = path
        if _is_sweep_in_lines(path):
            kept = sweep_file.read(path)
            if not kept.points:
                raise InputFileError(path, None, "the sweep has no measured slot count yet")
            if kept.remark:
                remarks.append(kept.remark)
            sweeps.append(Sweep(name, kept.options, kept.machine, kept.points))
            continue
        document = parse_json(path)
        keys = set(document) if isinstance(document, dict) else set()
        if {"schema_version", "options", "machine", "points"} <= keys and "baselines" not in keys:
            kept = sweep_file.read_document(path, document)
            sweeps.append(Sweep(name, kept.options, kept.machine, kept.points))
        elif "fidelity" in keys:
            from ..kernel.figures import read_measurement

            kernels.append(Kernel(name, read_measurement(path)))
        elif "claims" in keys:
            from ..claims.report import as_json
            from ..claims.saved import read_result

            claims.append(Claims(name, as_json(read_result(path))))
        elif keys & {"strategies", "results"}:
            runs.append(Run(name, result_of(document, path), document))
        else:
            raise InputFileError(path, None, f"not a result of slotlookup; {REMEDY}")
    return Sources(runs, sweeps, kernels, claims, remarks=remarks)


def _names(paths: Sequence[Path]) -> list[str]:
    """A short name for each file: the file's own, or the whole path where two have the same."""
    names = [path.name for path in paths]
    return [str(path) if names.count(path.name) > 1 else path.name for path in paths]


def _is_sweep_in_lines(path: Path) -> bool:
    """Whether the first line is that of `sweep --save`, whatever follows it."""
    try:
        with path.open("rb") as file:
            first = json.loads(file.readline(1 << 20))
    except (OSError, ValueError, RecursionError):
        return False  # read again, and reported, as a document
    return isinstance(first, dict) and "sweep" in first
