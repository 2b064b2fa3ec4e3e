"""The folder of generated traces: $XDG_CACHE_HOME/slotlookup/traces, or ~/.cache/slotlookup/traces if that is not set.

Each trace is NAME-FINGERPRINT.parquet, with its outcome as JSON beside it. When a trace is added, the traces that were
used the longest time ago are deleted until all take LIMIT bytes at most. They may also be deleted at any time by hand:
a scenario generates what is missing. No other file in the folder is touched.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LIMIT = 512 << 20
"""Bytes that the traces may take in all."""

_TRACE = re.compile(r".+-[0-9a-f]{16}\.(parquet|json)")


@dataclass(frozen=True, slots=True)
class Entry:
    """A trace with its outcome: its files, their size in bytes, and when it was used last, in seconds since 1970."""

    files: tuple[Path, ...]
    size: int
    used: float


def cache_folder() -> Path:
    """The folder, which need not exist."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "slotlookup" / "traces"


def entries() -> list[Entry]:
    """The traces in the folder, those first that were used the longest time ago. Raises OSError."""
    groups: dict[str, list[tuple[Path, os.stat_result]]] = {}
    for path, found in _files():
        groups.setdefault(path.stem, []).append((path, found))
    made = [
        Entry(tuple(path for path, _ in files), sum(s.st_size for _, s in files), max(s.st_mtime for _, s in files))
        for files in groups.values()
    ]
    return sorted(made, key=lambda entry: entry.used)


def _files() -> Iterator[tuple[Path, os.stat_result]]:
    folder = cache_folder()
    for path in folder.iterdir() if folder.is_dir() else ():
        if _TRACE.fullmatch(path.name):
            with suppress(FileNotFoundError):  # another process has deleted it
                yield path, path.stat()


def mark_used(path: Path) -> None:
    """Note that a trace was used. A folder that cannot be written is no fault: its traces can be read all the same."""
    with suppress(OSError):
        os.utime(path)


def prune(limit: int, keep: Path | None = None) -> list[Entry]:
    """Delete the traces used the longest time ago until all take `limit` bytes at most; return those deleted.

    The trace whose file is `keep` stays. Raises OSError.
    """
    found = entries()
    total = sum(entry.size for entry in found)
    deleted: list[Entry] = []
    for entry in found:
        if total <= limit:
            break
        if keep is None or keep not in entry.files:
            for file in entry.files:
                file.unlink(missing_ok=True)
            total -= entry.size
            deleted.append(entry)
    return deleted
