"""The file of a sweep in progress: one line of JSON about the sweep, then one line per point.

    {"sweep": 1, "options": {...}, "slots": [1, 2, 4], "machine": {...}}
    {"slots": 1, "result": {a run in its published form}}

A line is written as soon as its point is measured, so an interruption loses at most the point in progress.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from slotlookup.errors import InputFileError
from slotlookup.registry import parse_spec
from slotlookup.vocabulary import Count, TimingMode
from slotlookup.writing import replacing

from ..results.load import run_of
from ..results.model import SCHEMA_VERSION as RUN_SCHEMA_VERSION
from ..results.model import State
from .curves import panels
from .points import EFFORTS, Point, SweepOptions
from .points import SCHEMA_VERSION as SWEEP_SCHEMA_VERSION

FILE_VERSION = 1
TRANSIENT = ("date", "load")
"""Facts about a machine that may differ within one sweep."""


@dataclass(slots=True)
class Kept:
    """The content of a file. `remark` is a note for the user, `whole` the number of bytes up to the last whole line."""

    options: SweepOptions
    slots: tuple[int, ...]
    machine: dict[str, Any]
    points: dict[int, Point]
    remark: str
    whole: int


def begin(path: Path, options: SweepOptions, slots: Sequence[int], machine: Mapping[str, object]) -> None:
    """Start a file. Raises InputFileError if it exists, or cannot be written."""
    if path.is_file() and path.stat().st_size:
        raise InputFileError(path, None, "the file exists; continue a sweep with --resume, or save to another file")
    first = {"sweep": FILE_VERSION, "options": options.as_json(), "slots": list(slots), "machine": dict(machine)}
    with replacing(path) as file:
        file.write(_line(first))


def append(path: Path, slots: int, point: Point) -> None:
    """Add a point with one write, which is on the disk on return. Raises InputFileError if that fails."""
    line = _line({"slots": slots, "result": point})
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            while line:
                line = line[os.write(descriptor, line) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise InputFileError(path, None, f"cannot be written: {error.strerror or error}") from None


def _line(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, allow_nan=False).encode() + b"\n"


def read(path: Path) -> Kept:
    """The content of the file. A truncated last line is left out and reported in the remark.

    Raises InputFileError, with the line, if the file cannot be read or any other line is not part of a sweep.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputFileError(path, None, "no such file; start a sweep with --save") from None
    except OSError as error:
        raise InputFileError(path, None, f"cannot be read: {error.strerror or error}") from None
    lines = data.splitlines(keepends=True)
    documents = [_parse(line) for line in lines]
    remark, whole = "", len(data)
    if len(lines) > 1 and (documents[-1] is None or not lines[-1].endswith(b"\n")):
        remark = f"{path}:{len(lines)}: the last line is truncated; its point is measured again"
        whole -= len(lines.pop())
        documents.pop()
    kept = Kept(*_read_first(path, documents[0] if documents else None), points={}, remark=remark, whole=whole)
    for number, document in enumerate(documents[1:], 2):
        slots, point = _read_point(path, number, document, kept.options)
        kept.points[slots] = point
    return kept


def read_document(path: Path, document: Mapping[str, Any]) -> Kept:
    """The sweep in a document that `sweep --json` printed into the file `path`. Raises InputFileError."""
    if document["schema_version"] != SWEEP_SCHEMA_VERSION:
        found = json.dumps(document["schema_version"])
        raise InputFileError(
            path, None, f"sweep schema {found}; this slotlookup reads {SWEEP_SCHEMA_VERSION}: sweep again"
        )
    try:
        options = SweepOptions(**document["options"])
        machine = dict(document["machine"])
        points = {int(point["workload"]["slots"]): point for point in document["points"]}
    except (KeyError, TypeError, ValueError):
        raise InputFileError(path, None, "not a sweep: its options, machine or points are damaged") from None
    for point in points.values():
        run_of(point, path)
    return Kept(options, tuple(sorted(points)), machine, points, remark="", whole=0)


def cut(path: Path, kept: Kept) -> None:
    """Remove a truncated last line, so that the next point does not continue it."""
    try:
        if kept.remark:
            os.truncate(path, kept.whole)
    except OSError as error:
        raise InputFileError(path, None, f"cannot be written: {error.strerror or error}") from None


def _parse(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _read_first(path: Path, first: Any) -> tuple[SweepOptions, tuple[int, ...], dict[str, Any]]:
    if not isinstance(first, dict) or "sweep" not in first:
        raise InputFileError(path, 1, "not a saved sweep; start one with --save")
    if first["sweep"] != FILE_VERSION:
        raise InputFileError(
            path,
            1,
            f"sweep file version {first['sweep']}; this slotlookup reads {FILE_VERSION}: start again with --save",
        )
    try:
        options = SweepOptions(**first["options"])
        slots = tuple(int(n) for n in first["slots"])
        options = replace(options, timing=TimingMode(options.timing))
        if options.effort not in EFFORTS or not isinstance(options.strategies, dict):
            raise ValueError
        return options, slots, dict(first["machine"])
    except (KeyError, TypeError, ValueError):
        raise InputFileError(path, 1, "the line about the sweep is damaged; start again with --save") from None


def _read_point(path: Path, number: int, document: Any, options: SweepOptions) -> tuple[int, Point]:
    try:
        slots, point = int(document["slots"]), document["result"]
        version = point["schema_version"]
        if version == RUN_SCHEMA_VERSION:
            # All parts of a point that are used later are read here, so that damage is reported with its line.
            for metric in (options.timing, *Count):
                list(panels({slots: point}, metric))
            if point["workload"]["slots"] != slots or not isinstance(point["workload"]["fingerprint"], str):
                raise ValueError
            if {row["strategy"] for row in point["strategies"] if State(row["state"])} != set(options.strategies):
                raise ValueError
            run_of(point, path)
            return slots, point
    except (AttributeError, InputFileError, KeyError, OverflowError, TypeError, ValueError):
        raise InputFileError(
            path, number, "not a point of a sweep; delete the line to have it measured again"
        ) from None
    raise InputFileError(
        path, number, f"result schema {version}; this slotlookup reads {RUN_SCHEMA_VERSION}: start again with --save"
    )


def check_same(path: Path, kept: Kept, asked: Mapping[str, Any], machine: Mapping[str, object]) -> None:
    """Raise InputFileError if a given option, or the machine, differs from that of the file.

    `asked` are the values given on the command line, by name in SweepOptions.
    """
    for name, spec in kept.options.strategies.items():
        if str(parse_spec(name)) != spec:
            raise InputFileError(
                path, None, f"strategy '{name}' was {spec} and is {parse_spec(name)} now; start again with --save"
            )
    held = kept.options.as_json()
    for name, value in asked.items():
        if held[name] != value:
            raise InputFileError(
                path,
                None,
                f"this sweep has {name} {_short(held[name])}, not {_short(value)}; leave it out, or start another "
                "with --save",
            )
    for name in dict.fromkeys([*kept.machine, *machine]):
        was, now = kept.machine.get(name), json.loads(json.dumps(machine.get(name)))
        if name not in TRANSIENT and was != now:
            raise InputFileError(
                path,
                None,
                f"measured on another machine: {name} was {_short(was)} and is {_short(now)}; start again with --save",
            )


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return (
            ", ".join(f"{key}" if isinstance(item, str) else f"{key}={item}" for key, item in value.items()) or "none"
        )
    return "unknown" if value is None else str(value)
