"""Output files that are either complete or absent."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from slotlookup.errors import InputFileError

_OPEN_FILES = (Path("/dev"), Path("/dev/fd"), Path("/proc/self/fd"))
"""Folders whose links represent the open files of a process."""


@contextmanager
def replacing(path: Path | str) -> Iterator[BinaryIO]:
    """A file open for writing that replaces `path` if the block succeeds; otherwise it is removed.

    A file that is not regular (a device, a pipe) is written directly, as renaming would replace it. A symbolic link is
    refused, because anyone who can write to its folder can redirect it; the system's own, such as /dev/stdout, are
    accepted. Raises InputFileError if writing fails, also inside the block.
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
    """Raise the errors of `replacing` that can be detected before there is something to write."""
    target = Path(path)
    try:
        real = _destination(target)
    except OSError as error:
        raise InputFileError(target, None, f"cannot be written: {error.strerror or error}") from None
    if not os.access(real if real.exists() and not real.is_file() else real.parent, os.W_OK):
        raise InputFileError(target, None, "cannot be written: Permission denied")


def _destination(target: Path) -> Path:
    """The file to write, with all links resolved. Raises InputFileError if it cannot be written."""
    real = target.parent.resolve() / target.name
    if target.is_symlink():
        if target.parent not in _OPEN_FILES:
            raise InputFileError(
                target, None, "cannot be written: it is a symbolic link; give the file to which it points"
            )
        real = target.resolve()
    if real.is_dir():
        raise InputFileError(target, None, "cannot be written: it is a directory")
    if not real.parent.is_dir():
        raise InputFileError(target, None, f"cannot be written: there is no directory {real.parent}")
    return real
