"""Text of files, traces and names, made safe to print."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""`text` in one line that a terminal prints as it is written.

    Every character but printable ones and the space becomes its escape: `\x1b`, `\n`, `\u202e`.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
