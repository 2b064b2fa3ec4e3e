"""Saved results, read back. What `run --json` and `run --save` write is taken, and nothing else.

A file is checked in full, so that whoever compares or gates on it need not: keys and types as the published schema has
them and, beyond what a schema can say, that medians and intervals are in order and medians those of their samples.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from slotlookup.errors import InputFileError
from slotlookup.vocabulary import Count, Operation, TimingMode

from .model import SCHEMA_VERSION, RoleResult, RunResult, StrategyResult, Timing
from .statistics import Interval, median

if TYPE_CHECKING:
    from .saved import SavedInterval, SavedRole, SavedRow, SavedRun, SavedTiming

TOLERANCE = 1e-9
"""Relative; medians are computed alike everywhere, but another tool may have written fewer digits."""


class OtherSchemaVersion(InputFileError):
    """A result that another version of slotlookup wrote."""


def load_result(path: Path | str) -> RunResult:
    """The result in a file.

    Raises InputFileError where there is no file, where it is not JSON or ends too soon, is no result of a run or breaks
    a rule of the schema, whose key the message names; OtherSchemaVersion where it follows another schema.
    """
    source = Path(path)
    document = _parse(source)
    if not isinstance(document, dict) or "schema_version" not in document or "results" not in document:
        raise InputFileError(source, None, "not a result of a run; make one with `slotlookup run --save FILE`")
    version = document["schema_version"]
    if isinstance(version, bool) or version != SCHEMA_VERSION:
        found = json.dumps(version)
        raise OtherSchemaVersion(
            source, None, f"result schema {found}; this slotlookup reads schema {SCHEMA_VERSION}, so run again with it"
        )
    return _to_run(_validate(document, source), source)


def _parse(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputFileError(path, None, "no such file") from None
    except OSError as error:
        raise InputFileError(path, None, f"cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InputFileError(path, None, "not a result of a run: not text in UTF-8") from None
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        # What is cut off stops where more was expected, or in the middle of something, before the last brace.
        if not text[error.pos :].strip() or (text.lstrip()[:1] == "{" and text.rstrip()[-1:] != "}"):
            raise InputFileError(path, error.lineno, "the file ends too soon: empty or cut off") from None
        raise InputFileError(path, error.lineno, f"not JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputFileError(path, None, f"not JSON: {reason}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _validate(document: dict[str, Any], path: Path) -> SavedRun:
    # pydantic takes as long to import as everything else together.
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
    rows: list[StrategyResult] = []
    for i, saved_row in enumerate(saved.results):
        try:
            rows.append(_to_row(saved_row))
        except ValueError as error:
            raise InputFileError(path, None, f"results[{i}] ({saved_row.strategy}).{error}") from None
    try:
        empty, control = _to_intervals(saved.empty_ns, "empty_ns"), _to_intervals(saved.control, "control")
    except ValueError as error:
        raise InputFileError(path, None, str(error)) from None
    references = {str(family): name for family, name in saved.references.items()}
    machine, workload, options = (part.model_dump() for part in (saved.machine, saved.workload, saved.options))
    return RunResult(workload, machine, rows, empty, references, options=options, control=control)


def _to_intervals(saved: Mapping[Any, Mapping[Any, SavedInterval]], key: str) -> dict[str, dict[str, Interval]]:
    return {
        role: {mode: _to_interval(interval, f"{key}.{role}.{mode}") for mode, interval in modes.items()}
        for role, modes in saved.items()
    }


def _to_row(saved: SavedRow) -> StrategyResult:
    row = StrategyResult(
        saved.strategy, saved.spec, saved.family, saved.note, saved.fault, bytes_per_slot=saved.bytes_per_slot
    )
    for role in Operation:
        ops: SavedRole | None = getattr(saved.ops, role)
        if ops is not None:
            counts = {name: getattr(ops, name) for name in Count}
            ns: dict[str, Timing] = {
                mode: _to_timing(timing, f"ops.{role}.ns.{mode}")
                for mode, timing in ((mode, getattr(ops.ns, mode)) for mode in TimingMode)
                if timing is not None
            }
            row.roles[role] = RoleResult(ops.operations, **counts, ns=ns)
    return row


def _to_timing(saved: SavedTiming, key: str) -> Timing:
    interval = _to_interval(saved, key)
    if not math.isclose(interval.median, median(saved.samples), rel_tol=TOLERANCE, abs_tol=TOLERANCE):
        raise ValueError(f"{key}.median: {saved.median} is not the median of the samples, {median(saved.samples)}")
    ratio = None if saved.ratio is None else _to_interval(saved.ratio, f"{key}.ratio")
    return Timing(tuple(saved.samples), interval, ratio)


def _to_interval(saved: SavedInterval, key: str) -> Interval:
    """Raises ValueError, beginning with `key`, where the ends are not on either side of the median."""
    if (saved.low is None) != (saved.high is None):
        raise ValueError(f"{key}: low and high must both be numbers or both be null")
    if saved.low is not None and saved.high is not None and not saved.low <= saved.median <= saved.high:
        raise ValueError(f"{key}: the median, {saved.median}, is not within [{saved.low}, {saved.high}]")
    return Interval(saved.median, saved.low, saved.high)
