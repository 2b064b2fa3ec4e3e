"""The entries of a history: the figures of one run each, with the commit that it measured.

An entry is a file of its own, in a folder that is kept in git. Two branches that add runs therefore merge without a
conflict, a diff shows what a run added, and the history travels with the code that it describes; a database would be
one binary file that git can neither merge nor show. An entry has fewer facts than a saved result and a form of its own,
so that a later schema of results leaves the history readable.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from slotlookup.errors import InputFileError, UsageError
from slotlookup.vocabulary import Count, Operation
from slotlookup.writing import replacing

from ..results.compare import MACHINE_KEYS
from ..results.model import RoleResult, Row, RunResult, Timing
from ..results.statistics import Interval

ASKED = ("displaced", "placement", "stride", "counts_only")
"""The options on which figures depend."""


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class KeptInterval(_Kept):
    """A median and its interval; None where there were too few samples for one."""

    median: float
    low: float | None
    high: float | None

    def interval(self) -> Interval:
        """As the statistics have it."""
        return Interval(self.median, self.low, self.high)


class KeptTime(KeptInterval):
    """Nanoseconds per operation, with the samples, and the ratio to the reference."""

    samples: list[float]
    ratio: KeptInterval | None


class KeptRow(_Kept):
    """One row of a role. `reason` says why it has no figures."""

    uses: str
    family: str
    state: str
    reason: str | None
    operations: int | None
    counts: dict[str, float | None]
    ns: dict[str, KeptTime]


class Entry(_Kept):
    """One run. `commit` is what it measured, `changed` whether the work tree differed from it.

    `noise` is the share by which identical work differed, by role and timing.
    """

    history: Literal[1]
    commit: str
    subject: str
    changed: bool
    date: str
    machine: dict[str, Any]
    workload: dict[str, Any]
    options: dict[str, Any]
    references: dict[str, str]
    noise: dict[str, dict[str, float]]
    rows: dict[str, dict[str, KeptRow]]

    @property
    def label(self) -> str:
        """The commit, short, with + if the work tree differed."""
        return f"{self.commit[:10]}{'+' if self.changed else ''}"


def entry_of(run: RunResult, commit: str, subject: str, changed: bool) -> Entry:
    """The entry of a run."""
    workload = {key: run.workload[key] for key in ("name", "slots", "events", "seed", "fingerprint")}
    return Entry(
        history=1,
        commit=commit,
        subject=subject,
        changed=changed,
        date=str(run.machine["date"]),
        machine={key: run.machine.get(key) for key in (*MACHINE_KEYS, "python")},
        workload={**workload, "origin": {role: run.workload["origin"][role] for role in Operation}},
        options={key: run.options[key] for key in ASKED},
        references=dict(run.references),
        noise={
            str(role): {mode: run.noise("native", role, mode) for mode in modes} for role, modes in run.control.items()
        },
        rows={str(role): {row.name: _row(row) for row in run.roles[role]} for role in Operation},
    )


def _row(row: Row[RoleResult]) -> KeptRow:
    figures = row.figures
    return KeptRow(
        uses=row.uses,
        family=row.family,
        state=str(row.state),
        reason=row.reason,
        operations=None if figures is None else figures.operations,
        counts={} if figures is None else {str(count): getattr(figures, count) for count in Count},
        ns={} if figures is None else {str(mode): _time(timing) for mode, timing in figures.ns.items()},
    )


def _time(timing: Timing) -> KeptTime:
    ratio = None if timing.ratio is None else _interval(timing.ratio)
    return KeptTime(samples=list(timing.samples), ratio=ratio, **_interval(timing.interval).model_dump())


def _interval(interval: Interval) -> KeptInterval:
    return KeptInterval(median=interval.median, low=interval.low, high=interval.high)


def add(folder: Path, entry: Entry) -> Path:
    """Write the entry into the folder, which is made if it is not there.

    Raises InputFileError if the run is in it already, or if the file cannot be written.
    """
    path = folder / _file_name(entry)
    held = read_history(folder) if folder.is_dir() and any(folder.glob("*.json")) else []
    for one in held:
        if (one.date, one.rows) == (entry.date, entry.rows):
            raise InputFileError(folder, None, f"has the run of {entry.date} already, as {one.label}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputFileError(folder, None, f"cannot be made: {error.strerror or error}") from None
    with replacing(path) as file:
        file.write(_text(entry).encode())
    return path


def _file_name(entry: Entry) -> str:
    """The date and commit, so that files sort by time, and what distinguishes runs of one moment."""
    date = re.sub(r"[^0-9TZ]", "", entry.date.partition(".")[0])
    content = hashlib.sha256(_text(entry).encode()).hexdigest()
    return f"{date}-{re.sub(r'[^0-9A-Za-z.-]', '_', entry.commit)[:10]}-{content[:8]}.json"


def _text(entry: Entry) -> str:
    """One line per row, so that a diff in git shows rows."""
    found = entry.model_dump()
    rows = found.pop("rows")
    head = json.dumps(found, indent=1, allow_nan=False)[:-2]
    roles = []
    for role, named in rows.items():
        lines = ",\n".join(f"   {json.dumps(name)}: {json.dumps(row, allow_nan=False)}" for name, row in named.items())
        roles.append(f"  {json.dumps(role)}: {{\n{lines}\n  }}" if lines else f"  {json.dumps(role)}: {{}}")
    return f'{head},\n "rows": {{\n' + ",\n".join(roles) + "\n }\n}\n"


def read_history(folder: Path) -> list[Entry]:
    """All entries, by date. Raises InputFileError if the folder has none, or a file in it is no entry."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".json")
    except OSError as error:
        raise InputFileError(folder, None, f"cannot be read: {error.strerror or error}") from None
    if not paths:
        raise InputFileError(folder, None, "has no runs; add one with `slotlookup history add RESULT.json`")
    return sorted((_read(path) for path in paths), key=lambda entry: entry.date)


def _read(path: Path) -> Entry:
    try:
        return Entry.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputFileError(path, None, f"cannot be read: {error.strerror or error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InputFileError(path, None, f"not a run of a history: {place or 'JSON'}: {first['msg']}") from None


def commit_here(asked: str | None, folder: Path) -> Mapping[str, Any]:
    """The commit `asked`, or the one checked out in the folder's repository: `commit`, `subject` and `changed`.

    Raises UsageError where there is no such commit.
    """
    where = folder if folder.is_dir() else Path.cwd()
    found = _git(where, "log", "-1", "--format=%H%n%s", asked or "HEAD", "--")
    if found is None:
        name = "a commit" if asked is None else f"a commit '{asked}'"
        raise UsageError(f"git knows no {name.removeprefix('a ')} here; give --label NAME instead")
    commit, subject = found.splitlines()[:2] if "\n" in found.strip() else (found.strip(), "")
    changed = asked is None and bool((_git(where, "status", "--porcelain", "--untracked-files=no") or "").strip())
    return {"commit": commit, "subject": subject, "changed": changed}


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints; None if it fails or is not installed."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None
