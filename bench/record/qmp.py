"""QEMU's monitor on a socket: the queries for the slots of a running VM.

The machine protocol (QMP) has no command that reports both guest and host addresses; the human monitor, to which it can
pass commands, has two that together do: `info mtree -f` (guest-physical ranges) and `gpa2hva` (QEMU 2.11 and later).
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slotlookup.errors import UsageError

TIMEOUT = 10.0
"""Seconds for an answer. A monitor with another client connected does not answer."""
LONGEST = 1 << 24
_HVA = re.compile(r"Host virtual address for 0x[0-9a-f]+ \(.*\) is 0x([0-9a-f]{1,16})\s*")


class Monitor:
    """A connection to the monitor. Raises UsageError if it does not answer as a monitor."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._buffer = b""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(TIMEOUT)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise self._fault(f"cannot be connected to: {error.strerror or error}") from None
        try:
            if "QMP" not in self._receive():
                raise self._fault("does not send a QMP greeting; start QEMU with -qmp unix:SOCKET,server,nowait")
            self._command("qmp_capabilities")
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def human(self, line: str) -> str:
        """The human monitor's answer to a line."""
        answer = self._command("human-monitor-command", {"command-line": line})
        if not isinstance(answer, str):
            raise self._fault(f"gives no text for '{line}'")
        return answer

    def hva_of(self, gpa: int) -> int:
        """The host address of a byte of guest memory."""
        answer = self.human(f"gpa2hva {gpa:#x}")
        match = _HVA.fullmatch(answer)
        if match is None:
            raise self._fault(f"knows no host address of {gpa:#x}: {answer.strip()!r}")
        return int(match[1], 16)

    def _fault(self, message: str) -> UsageError:
        return UsageError(f"{self.path}: {message}")

    def _command(self, name: str, arguments: dict[str, Any] | None = None) -> object:
        request = {"execute": name} | ({"arguments": arguments} if arguments else {})
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise self._fault(f"cannot be asked: {error.strerror or error}") from None
        while True:
            answer = self._receive()
            if "error" in answer:
                refusal = answer["error"]
                told = refusal.get("desc") if isinstance(refusal, dict) else refusal
                raise self._fault(f"refuses {name}: {told}")
            if "return" in answer:
                return answer["return"]

    def _receive(self) -> dict[str, Any]:
        """The next message of any kind."""
        while b"\n" not in self._buffer:
            try:
                piece = self._socket.recv(1 << 16)
            except TimeoutError:
                raise self._fault(f"did not answer in {TIMEOUT:g} s; is another client connected?") from None
            except OSError as error:
                raise self._fault(f"cannot be read: {error.strerror or error}") from None
            if not piece or len(self._buffer) > LONGEST:
                raise self._fault("closed the connection" if not piece else "sends a message without an end")
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            raise self._fault("does not speak QMP; start QEMU with -qmp unix:SOCKET,server,nowait")
        return message


@contextlib.contextmanager
def monitor(path: Path) -> Iterator[Monitor]:
    """A connection within the block."""
    connection = Monitor(path)
    try:
        yield connection
    finally:
        connection.close()
