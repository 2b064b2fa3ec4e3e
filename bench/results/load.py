"""Reads saved results, as written by `run --json` and `run --save`.

A file is checked completely, so that its users need no further checks: keys and types as in the published schema, and,
in addition to a schema, that medians are within their intervals and are those of their samples.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from slotlookup.errors import InputFileError
from slotlookup.vocabulary import Count, Operation, TimingMode

from .model import (
    SCHEMA_VERSION,
    Figures,
    RoleResult,
    Row,
    RunResult,
    SetupResult,
    State,
    StrategyResult,
    Timing,
)
from .statistics import Interval, median

if TYPE_CHECKING:
    from .saved import SavedInterval, SavedRole, SavedRoleRow, SavedRun, SavedSetup, SavedSetupRow, SavedTiming

TOLERANCE = 1e-9
"""Relative tolerance of medians, since another tool may have written fewer digits."""


class OtherSchemaVersion(InputFileError):
    """A result of another schema version."""


def load_result(path: Path | str) -> RunResult:
    """The result in a file.

    Raises InputFileError if there is no file, or if it is not JSON, is truncated, is not a result of a run or violates
    the schema, with the key in the message; OtherSchemaVersion for another schema version.
    """
    source = Path(path)
    return result_of(parse_json(source), source)


def result_of(document: Any, source: Path) -> RunResult:
    """As `load_result`, of the parsed content of the file `source`."""
    if (
        not isinstance(document, dict)
        or "schema_version" not in document
        or ("strategies" not in document and "results" not in document)
    ):
        raise InputFileError(source, None, "not a result of a run; make one with `slotlookup run --save FILE`")
    version = document["schema_version"]
    if isinstance(version, bool) or version != SCHEMA_VERSION:
        found = json.dumps(version)
        raise OtherSchemaVersion(
            source, None, f"result schema {found}; this slotlookup reads schema {SCHEMA_VERSION}, so run again with it"
        )
    return run_of(document, source)


def run_of(document: dict[str, Any], source: Path) -> RunResult:
    """The result in a document. Raises InputFileError, for `source`, if the document breaks a rule of the schema."""
    return _to_run(_validate(document, source), source)


def parse_json(path: Path) -> Any:
    """The content of a file. Raises InputFileError, with the line, if there is no file or it is not whole JSON."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputFileError(path, None, "no such file") from None
    except OSError as error:
        raise InputFileError(path, None, f"cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InputFileError(path, None, "not a result: not text in UTF-8") from None
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        # A truncated file ends where more is expected, or within a token, before the last brace.
        if not text[error.pos :].strip() or (text.lstrip()[:1] == "{" and text.rstrip()[-1:] != "}"):
            raise InputFileError(path, error.lineno, "the file is empty or truncated") from None
        raise InputFileError(path, error.lineno, f"not JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputFileError(path, None, f"not JSON: {reason}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _validate(document: dict[str, Any], path: Path) -> SavedRun:
    # Importing pydantic takes as long as all other imports together.
    from pydantic import ValidationError

    from .saved import SavedRun

    try:
        return SavedRun.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        key = _key_path(first["loc"])
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        if first["type"] == "extra_forbidden":
            raise InputFileError(path, None, f"{key}: schema {SCHEMA_VERSION} has no such key{more}") from None
        if first["type"] == "missing":
            raise InputFileError(path, None, f"{key}: missing{more}") from None
        message = first["msg"].removeprefix("Value error, ")
        place = f"{key}: " if key else ""
        raise InputFileError(path, None, f"{place}{message[:1].lower()}{message[1:]}{more}") from None


def _key_path(parts: tuple[int | str, ...]) -> str:
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _to_run(saved: SavedRun, path: Path) -> RunResult:
    try:
        roles: dict[str, tuple[Row[RoleResult], ...]] = {
            role: tuple(
                _to_row(row, _to_role(row.figures, f"roles.{role}[{i}] ({row.name}).figures") if row.figures else None)
                for i, row in enumerate(getattr(saved.roles, role))
            )
            for role in Operation
        }
        setup = tuple(
            _to_row(row, _to_setup(row.figures, f"setup[{i}] ({row.name}).figures") if row.figures else None)
            for i, row in enumerate(saved.setup)
        )
        floor = _to_intervals(saved.floor_ns, "floor_ns")
        empty, control = _to_intervals(saved.empty_ns, "empty_ns"), _to_intervals(saved.control, "control")
    except ValueError as error:
        raise InputFileError(path, None, str(error)) from None
    strategies = tuple(
        StrategyResult(
            one.strategy, one.spec, one.family, one.rows.model_dump(), one.note, State(one.state), one.reason
        )
        for one in saved.strategies
    )
    references = {str(family): name for family, name in saved.references.items()}
    machine, workload, options = (part.model_dump() for part in (saved.machine, saved.workload, saved.options))
    return RunResult(workload, machine, options, references, strategies, roles, setup, empty, control, floor)


def _to_intervals(saved: Mapping[Any, Mapping[Any, SavedInterval]], key: str) -> dict[str, dict[str, Interval]]:
    return {
        role: {mode: _to_interval(interval, f"{key}.{role}.{mode}") for mode, interval in modes.items()}
        for role, modes in saved.items()
    }


def _to_row(saved: SavedRoleRow | SavedSetupRow, figures: Figures | None) -> Row[Figures]:
    return Row(
        saved.name,
        saved.uses,
        saved.family,
        tuple(saved.strategies),
        saved.measured_in,
        State(saved.state),
        saved.reason,
        figures,
        saved.at_least_ns,
    )


def _to_role(saved: SavedRole, key: str) -> RoleResult:
    counts = {name: getattr(saved, name) for name in Count}
    times = {mode: getattr(saved.ns, mode) for mode in TimingMode}
    ns: dict[str, Timing] = {
        mode: _to_timing(timing, f"{key}.ns.{mode}") for mode, timing in times.items() if timing is not None
    }
    return RoleResult(saved.operations, **counts, ns=ns, slot_stride=saved.slot_stride)


def _to_setup(saved: SavedSetup, key: str) -> SetupResult:
    ns = None if saved.ns is None else _to_timing(saved.ns, f"{key}.ns")
    return SetupResult(saved.slots, saved.bytes_per_slot, ns, saved.slot_stride)


def _to_timing(saved: SavedTiming, key: str) -> Timing:
    interval = _to_interval(saved, key)
    if not math.isclose(interval.median, median(saved.samples), rel_tol=TOLERANCE, abs_tol=TOLERANCE):
        raise ValueError(f"{key}.median: {saved.median} is not the median of the samples, {median(saved.samples)}")
    if saved.raw_samples is not None and len(saved.raw_samples) != len(saved.samples):
        raise ValueError(
            f"{key}.raw_samples: there are {len(saved.raw_samples)}, but {len(saved.samples)} samples made from them"
        )
    ratio = None if saved.ratio is None else _to_interval(saved.ratio, f"{key}.ratio")
    raw = None if saved.raw_samples is None else tuple(saved.raw_samples)
    return Timing(tuple(saved.samples), interval, ratio, raw)


def _to_interval(saved: SavedInterval, key: str) -> Interval:
    """Raises ValueError, beginning with `key`, if the median is not between the ends."""
    if (saved.low is None) != (saved.high is None):
        raise ValueError(f"{key}: low and high must both be numbers or both be null")
    if saved.low is not None and saved.high is not None and not saved.low <= saved.median <= saved.high:
        raise ValueError(f"{key}: the median, {saved.median}, is not within [{saved.low}, {saved.high}]")
    return Interval(saved.median, saved.low, saved.high)
