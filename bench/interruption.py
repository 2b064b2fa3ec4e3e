"""Signals that end a command: all of them clean up as Ctrl-C does."""

from __future__ import annotations

import signal
from types import FrameType
from typing import NoReturn

ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Ended(KeyboardInterrupt):
    """A terminating signal other than SIGINT; `number` is the signal."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def raise_ended(number: int, _: FrameType | None) -> NoReturn:
    """A signal handler that raises Ended."""
    raise Ended(number)


def end_as_interrupted() -> None:
    """Make the terminating signals raise Ended. One that the caller ignores, as nohup does, stays ignored."""
    for number in ENDING:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, raise_ended)


def interrupted_code(interrupt: BaseException) -> int:
    """The exit code after an interrupt, as shells form it."""
    return 128 + (interrupt.number if isinstance(interrupt, Ended) else signal.SIGINT)
