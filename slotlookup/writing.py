"""Output files that are either whole or not there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from slotlookup.errors import InputFileError


@contextmanager
def replacing(path: Path | str) -> Iterator[BinaryIO]:
    """A file open for writing that takes the place of `path` when the block ends well, and leaves nothing otherwise.

    What is no regular file (a device, a pipe) is written directly, as renaming would replace it; a symbolic link stays
    and what it points to is replaced. Raises InputFileError where writing fails, inside the block too.
    """
    target = Path(path)
    try:
        real = target.resolve()
        if real.is_dir():
            raise InputFileError(target, None, "cannot be written: it is a directory")
        if real.exists() and not real.is_file():
            with real.open("wb") as file:
                yield file
            return
        if not real.parent.is_dir():
            raise InputFileError(target, None, f"cannot be written: there is no directory {real.parent}")
        beside = real.with_name(f".{real.name[:200]}.{secrets.token_hex(4)}.part")
        try:
            with beside.open("xb") as file:
                yield file
            os.replace(beside, real)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise InputFileError(target, None, f"cannot be written: {error.strerror or error}") from None
