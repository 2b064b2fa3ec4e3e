"""Runs that `slotlookup claims --json` wrote: their figures are read, and the rules give the verdicts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from slotlookup.errors import InputFileError

from .figures import Figures
from .report import Result, Settled, published, settle
from .thread import CLAIMS, Claim


def recorded_path() -> Path:
    """The full run of one machine that ships with slotlookup."""
    return Path(__file__).parent.parent / "data" / "claims.json"


def read_result(path: Path, claims: Sequence[Claim] = CLAIMS) -> Result:
    """The run in a file, with those of `claims` that it has. The rules give the verdicts. Raises InputFileError."""
    try:
        found = published().model_validate_json(path.read_bytes()).model_dump(mode="json")
    except OSError as error:
        raise InputFileError(path, None, f"cannot be read: {error.strerror or error}") from None
    except ValidationError as error:
        raise InputFileError(path, None, f"not a result of `slotlookup claims`: {_first(error)}") from None
    settled: list[Settled] = []
    for claim in claims:
        for held in (one for one in found["claims"] if one["id"] == claim.id):
            try:
                kind: TypeAdapter[list[Figures]] = TypeAdapter(list[claim.figure_type])  # type: ignore[name-defined]
                settled.append(settle(claim, kind.validate_json(json.dumps(held["figures"]), strict=True)))
            except ValidationError as error:
                raise InputFileError(path, None, f"not figures of claim {claim.id}: {_first(error)}") from None
            except (ArithmeticError, LookupError, ValueError):
                raise InputFileError(path, None, f"no verdict follows from the figures of claim {claim.id}") from None
    if not settled:
        raise InputFileError(path, None, "it has none of the claims")
    return Result(found["command"], found["machine"], found["options"], found["seconds"], settled)


def _first(error: ValidationError) -> str:
    """The first problem, with its place."""
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{f'at {place}: ' if place else ''}{first['msg']}"
