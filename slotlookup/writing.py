"""Output files that are either whole or not there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from slotlookup.errors import InputFileError

_OPEN_FILES = (Path("/dev"), Path("/dev/fd"), Path("/proc/self/fd"))
"""Folders whose links stand for the files that a process has open."""


@contextmanager
def replacing(path: Path | str) -> Iterator[BinaryIO]:
    """A file open for writing that takes the place of `path` when the block ends well, and leaves nothing otherwise.

    What is no regular file (a device, a pipe) is written directly, as renaming would replace it. A symbolic link is
    refused, as whoever may write to its folder says where it leads; the system's own, such as /dev/stdout, are not.
    Raises InputFileError where writing fails, inside the block too.
    """
    target = Path(path)
    try:
        real = _destination(target)
        if real.exists() and not real.is_file():
            with open(os.open(real, os.O_WRONLY | os.O_NOFOLLOW), "wb") as file:  # noqa: PTH123
                yield file
            return
        beside = real.with_name(f".{real.name[:200]}.{secrets.token_hex(4)}.part")
        try:
            with beside.open("xb") as file:
                yield file
            os.replace(beside, real)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise InputFileError(target, None, f"cannot be written: {error.strerror or error}") from None


def must_be_writable(path: Path | str) -> None:
    """Raise what `replacing` would, as far as it can be told before there is something to write."""
    target = Path(path)
    try:
        real = _destination(target)
    except OSError as error:
        raise InputFileError(target, None, f"cannot be written: {error.strerror or error}") from None
    if not os.access(real if real.exists() and not real.is_file() else real.parent, os.W_OK):
        raise InputFileError(target, None, "cannot be written: Permission denied")


def _destination(target: Path) -> Path:
    """The file to write, with no link left in its path. Raises InputFileError where it cannot be one."""
    real = target.parent.resolve() / target.name
    if target.is_symlink():
        if target.parent not in _OPEN_FILES:
            raise InputFileError(target, None, "cannot be written: it is a symbolic link; give what it points to")
        real = target.resolve()
    if real.is_dir():
        raise InputFileError(target, None, "cannot be written: it is a directory")
    if not real.parent.is_dir():
        raise InputFileError(target, None, f"cannot be written: there is no directory {real.parent}")
    return real
