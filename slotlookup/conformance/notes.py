"""What a process of checks is doing, written to memory that another process can read after its end.

Before each step of a script and each call of a strategy, the process notes it. If the call crashes or never returns,
the notes name it, and the script that led to it. A process that writes no notes has none of the cost.
"""

from __future__ import annotations

import mmap
import struct

NOTES_BYTES = 1 << 20
_CALL_BYTES = 256
_HEAD = struct.Struct("QIII")
"""Calls so far, the check, and the bytes of the call and of the script, which follow."""
_CALL_AT = _HEAD.size
_SCRIPT_AT = _CALL_AT + _CALL_BYTES


class Notes:
    """The notes of one process. `memory` has NOTES_BYTES and is shared with the process that reads them."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self._calls = 0
        self._check = 0
        self._call = b""
        self._script = 0
        self._of: object = None

    def begin(self, check: int) -> None:
        """The check of that index begins."""
        self._check, self._call, self._script = check, b"", 0
        self._beat()

    def operation(self, script: object, text: str) -> None:
        """A step of a script, which is any object that is the same in all its steps."""
        if script is not self._of:
            self._of, self._script = script, 0
        line = f"{text}\n".encode()
        end = _SCRIPT_AT + self._script + len(line)
        if end <= NOTES_BYTES:
            self._memory[end - len(line) : end] = line
            self._script += len(line)
        self._call = b""
        self._beat()

    def call(self, text: str) -> None:
        """A call of the strategy."""
        self._call = text.encode()[:_CALL_BYTES]
        self._memory[_CALL_AT : _CALL_AT + len(self._call)] = self._call
        self._beat()

    def _beat(self) -> None:
        self._calls += 1
        _HEAD.pack_into(self._memory, 0, self._calls, self._check, len(self._call), self._script)

    def read(self) -> tuple[int, int, str, list[str]]:
        """The number of notes so far, the index of the check, the last call ("" if none), and the script's steps."""
        calls, check, call, script = _HEAD.unpack_from(self._memory)
        text = self._memory[_SCRIPT_AT : _SCRIPT_AT + min(script, NOTES_BYTES)].decode(errors="replace")
        last = self._memory[_CALL_AT : _CALL_AT + min(call, _CALL_BYTES)].decode(errors="replace")
        return calls, check, last, text.splitlines()


_written: list[Notes] = []


def write_to(notes: Notes) -> None:
    """From now on this process writes these notes."""
    _written[:] = [notes]


def written() -> Notes | None:
    """The notes that this process writes, if any."""
    return _written[0] if _written else None
