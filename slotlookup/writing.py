"""Output files that are either complete or absent."""

from __future__ import annotations

import errno
import io
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from slotlookup.errors import InputFileError, SlotlookupError

_OPEN_FILES = {Path("/dev/fd"), Path("/proc/self/fd")}
"""Folders whose entries are the open files of this process, by their numbers."""
_STANDARD = {Path(f"/dev/std{name}"): number for number, name in enumerate(("in", "out", "err"))}
_pipes: dict[Path, int] = {}
"""Named pipes that `must_be_writable` opened. They stay open: a reader ends when the last writer closes its pipe."""

Writer = Callable[[BinaryIO], object]
"""Writes the content of one file."""


@contextmanager
def replacing(path: Path | str) -> Iterator[BinaryIO]:
    """A file open for writing that replaces `path`, with its mode, if the block succeeds; otherwise it is removed.

    A file that is not regular (a device, a pipe) and an open file of this process, such as /dev/stdout, are written
    directly, at the end of the block. Any other symbolic link is refused, because anyone who can write to its folder
    can redirect it. Raises InputFileError if writing fails, also inside the block.
    """
    with _faults_of(Path(path)), ExitStack() as stack:
        output = _Output(Path(path), stack)
        yield output.file
        output.flush()
        output.place()


def write_files(writers: Sequence[tuple[Path, Writer]]) -> None:
    """Write several files, so that all or none of them are replaced. Raises InputFileError as `replacing`.

    What cannot be taken back is written first: devices, pipes and open files.
    """
    with ExitStack() as stack:
        outputs = []
        for path, write in writers:
            with _faults_of(path):
                outputs.append(_Output(path, stack))
                write(outputs[-1].file)
                outputs[-1].flush()
        for output in sorted(outputs, key=lambda output: output.beside is not None):
            with _faults_of(output.path):
                output.place()


def must_be_writable(path: Path | str) -> None:
    """Raise the errors of `replacing` before there is something to write, by trying to create the file.

    A named pipe is opened here and stays open until it is written.
    """
    with _faults_of(Path(path)), ExitStack() as stack:
        pipe = _Output(Path(path), stack).keep_pipe()
        if pipe is not None:
            _pipes[Path(path)] = pipe


def must_differ(*paths: Path | None) -> None:
    """Raise InputFileError if two outputs are one file, of which the first would be lost. None is no output."""
    found: set[Path] = set()
    for path in paths:
        if path is None:
            continue
        real = _without_links(path)
        if real in found and not real.is_char_device():
            raise InputFileError(path, None, "is given for two outputs; write them to two files")
        found.add(real)


def write_then_show(write: Callable[[], object], show: Callable[[], object]) -> None:
    """Call `write`, which saves results, and then `show`, which prints them, so that no fault of `write` loses them.

    An error of `write` is raised when they are printed.
    """
    fault: SlotlookupError | None = None
    try:
        write()
    except SlotlookupError as error:
        fault = error
    show()
    if fault is not None:
        raise fault


class _Output:
    """One file to write. `file` takes the content; `beside`, if any, replaces the destination by it."""

    file: BinaryIO

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.path = path
        self.beside: Path | None = None
        self._real = _destination(path)
        self._direct = _opened_directly(path, self._real)
        if self._direct is not None:
            stack.callback(self._close)
            self.file = io.BytesIO()
            return
        self.beside = self._real.with_name(f".{self._real.name[:200]}.{secrets.token_hex(4)}.part")
        self.file = self.beside.open("xb")
        stack.callback(self._discard)
        if self._real.exists():
            os.fchmod(self.file.fileno(), stat.S_IMODE(self._real.stat().st_mode))

    def flush(self) -> None:
        """Bring the content to the disk, because some file systems report a full disk only then."""
        if self.beside is not None:
            self.file.flush()
            os.fsync(self.file.fileno())

    def place(self) -> None:
        """Put the content where it belongs."""
        if self.beside is not None:
            self.beside.replace(self._real)
        elif self._direct is not None and isinstance(self.file, io.BytesIO):
            rest = self.file.getbuffer()
            while rest:
                rest = rest[os.write(self._direct, rest) :]

    def keep_pipe(self) -> int | None:
        """A descriptor of the named pipe for later; None if it is something else."""
        if self._direct is None or not self._real.is_fifo():
            return None
        return os.dup(self._direct)

    def _discard(self) -> None:
        with suppress(OSError):  # `flush` reported it; closing tries to write again
            self.file.close()
        if self.beside is not None:
            self.beside.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._direct is not None:
            os.close(self._direct)


def _opened_directly(path: Path, real: Path) -> int | None:
    """A descriptor of a file that is not replaced; None for a regular file, or if there is none."""
    number = _open_number(path)
    if number is not None:
        os.write(number, b"")  # fails if it is open for reading only
        return os.dup(number)
    if path in _pipes:
        return _pipes.pop(path)
    if not real.exists() or real.is_file():
        return None
    try:
        # Without O_NONBLOCK, opening a pipe waits until another process reads it.
        direct = os.open(real, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ENXIO and real.is_fifo():
            raise InputFileError(
                path, None, "cannot be written: no process reads this pipe; start its reader first"
            ) from None
        raise
    os.set_blocking(direct, True)
    return direct


def _open_number(path: Path) -> int | None:
    """The number of an open file of this process that `path` names."""
    if path.parent in _OPEN_FILES and path.name.isdecimal():
        return int(path.name)
    return _STANDARD.get(path)


@contextmanager
def _faults_of(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputFileError(path, None, f"cannot be written: {error.strerror or error}") from None


def _without_links(path: Path) -> Path:
    """As Path.resolve, which raises RuntimeError for a link to itself."""
    return Path(os.path.realpath(path))


def _destination(target: Path) -> Path:
    """The file to write. Raises InputFileError if it cannot be written."""
    if _open_number(target) is not None:
        return target
    real = _without_links(target.parent) / target.name
    if target.is_symlink():
        raise InputFileError(target, None, "cannot be written: it is a symbolic link; give the file to which it points")
    if real.is_dir():
        raise InputFileError(target, None, "cannot be written: it is a directory")
    if not real.parent.is_dir():
        raise InputFileError(target, None, f"cannot be written: there is no directory {real.parent}")
    return real
