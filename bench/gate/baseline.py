"""Baselines: the figures with which `check` compares, as a JSON file that is kept in git.

The file has totals instead of means, so that every figure is an integer, sorted keys and one line per group of figures,
so that a diff shows only the changes. It also contains the inputs of the figures: the schema, the placement, and the
size, seed and fingerprints of each workload.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from slotlookup.config import words
from slotlookup.config.settings import TimeGate, without_nulls
from slotlookup.errors import Incomparable
from slotlookup.writing import replacing

from ..results.figures import Exact, Figures, WorkloadFigures

SCHEMA_VERSION = 1
PARTS_PER_MILLION = 1_000_000
RENEW = "`slotlookup check --update` writes a new one"


class Baseline(Exact):
    """All figures, by workload."""

    schema_version: int = SCHEMA_VERSION
    placement: words.Placement
    workloads: dict[str, WorkloadFigures]

    def groups(self) -> Iterator[tuple[str, str, str, Figures]]:
        """Workload, strategy, role and figures of every group."""
        for workload, held in self.workloads.items():
            for strategy, roles in held.strategies.items():
                for role, figures in roles.items():
                    yield workload, strategy, role, figures


def time_key(strategy: str, against: str, role: str, mode: str) -> str:
    """The key of a time within its workload."""
    return f"{strategy} against {against}, {role} {mode}"


def key_of(gate: TimeGate) -> str:
    """The key of a configured time within its workload."""
    return time_key(gate.strategy, gate.against, gate.role, gate.mode)


def to_text(baseline: Baseline) -> str:
    """The text of the file. The same figures give the same bytes."""
    return "".join(f"{line}\n" for line, _ in _lines(baseline))


def line_numbers(baseline: Baseline) -> dict[tuple[str, ...], int]:
    """The 1-based line in `to_text` of each (workload, strategy, role), each (workload, time) and workload."""
    return {place: number for number, (_, place) in enumerate(_lines(baseline), 1) if place}


def _lines(baseline: Baseline) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each line of the file, with its group of figures, if any."""
    yield "{", ()
    yield f'  "placement": {json.dumps(baseline.placement)},', ()
    yield f'  "schema_version": {baseline.schema_version},', ()
    yield '  "workloads": {', ()
    for workload, held, comma in _in_order(baseline.workloads):
        yield f"    {json.dumps(workload)}: {{", (workload,)
        for key in ("events", "fingerprint", "name", "questions", "seed", "slots"):
            yield f"      {json.dumps(key)}: {json.dumps(getattr(held, key))},", ()
        yield '      "strategies": {', ()
        for strategy, roles, after_strategy in _in_order(held.strategies):
            yield f"        {json.dumps(strategy)}: {{", (workload, strategy)
            for role, figures, after_role in _in_order(roles):
                text = json.dumps(without_nulls(figures.model_dump()), sort_keys=True)
                yield f"          {json.dumps(role)}: {text}{after_role}", (workload, strategy, role)
            yield f"        }}{after_strategy}", ()
        yield f"      }}{',' if held.times else ''}", ()
        if held.times:
            yield '      "times": {', ()
            for key, time, after_time in _in_order(held.times):
                text = json.dumps(time.model_dump(), sort_keys=True)
                yield f"        {json.dumps(key)}: {text}{after_time}", (workload, key)
            yield "      }", ()
        yield f"    }}{comma}", ()
    yield "  }", ()
    yield "}", ()


def _in_order(table: dict[Any, Any]) -> Iterator[tuple[Any, Any, str]]:
    """Key, value, and the comma after all but the last."""
    for i, key in enumerate(sorted(table), 1):
        yield key, table[key], "," if i < len(table) else ""


def write_baseline(baseline: Baseline, path: Path) -> None:
    """Write the whole file or nothing. Raises InputFileError if that fails."""
    with replacing(path) as file:
        file.write(to_text(baseline).encode())


def read_baseline(path: Path) -> Baseline:
    """The baseline in a file. Raises Incomparable if there is none, or none that this version reads."""
    document = _parse(path, _read(path))
    if not isinstance(document, dict) or "schema_version" not in document:
        raise Incomparable(f"{path}: not a baseline: it has no schema_version; {RENEW}")
    version = document["schema_version"]
    if isinstance(version, bool) or version != SCHEMA_VERSION:
        raise Incomparable(
            f"{path}: baseline schema {json.dumps(version)}; this slotlookup reads schema {SCHEMA_VERSION}; {RENEW}"
        )
    try:
        baseline = Baseline.model_validate(document)
    except ValidationError as error:
        raise Incomparable(f"{path}: {_explain(error)}; {RENEW}") from None
    if not any(True for _ in baseline.groups()):
        raise Incomparable(f"{path}: the baseline has no figures; {RENEW}")
    return baseline


def _read(path: Path) -> str:
    try:
        # Reading a pipe or a device could block.
        if path.exists() and not path.is_file():
            kind = "a directory" if path.is_dir() else "not a regular file"
            raise Incomparable(f"{path}: cannot be read: it is {kind}; name a file")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Incomparable(f"{path}: there is no baseline; {RENEW}") from None
    except UnicodeDecodeError:
        raise Incomparable(f"{path}: not a baseline: not text in UTF-8; {RENEW}") from None
    except OSError as error:
        raise Incomparable(f"{path}: cannot be read: {error.strerror or error}") from None


def _parse(path: Path, text: str) -> Any:
    if not text.strip():
        raise Incomparable(f"{path}: the file is empty; {RENEW}")
    try:
        return json.loads(text, object_pairs_hook=_without_repeats)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise Incomparable(f"{path}: not JSON: {error.msg} at {place}; {RENEW}") from None
    except ValueError as error:
        raise Incomparable(f"{path}: {error}; {RENEW}") from None
    except RecursionError:
        raise Incomparable(f"{path}: not a baseline: nested too deeply; {RENEW}") from None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object without duplicate keys, which a merge can leave and which would be ambiguous."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {json.dumps(key)} is present twice, perhaps after a bad merge")
        found[key] = value
    return found


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"] if part != "[key]")
    if first["type"] == "missing":
        return f"{key} is missing"
    if first["type"] == "extra_forbidden":
        return f"{key} is not a key of schema {SCHEMA_VERSION}"
    return f"{key}: {first['msg'][:1].lower()}{first['msg'][1:]}"
