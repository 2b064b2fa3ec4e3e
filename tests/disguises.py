"""The changes that mails, terminals, logs and web pages make to a recording, as functions from lines to lines."""

from __future__ import annotations

import html
import json
import textwrap
from collections.abc import Callable

Lines = list[str]
Disguise = Callable[[Lines], Lines]


def _prose(lines: Lines) -> Lines:
    return ["Here is what I see on this host:", "", *lines, "", "Is that as it should be?"]


def _wrapped(width: int) -> Disguise:
    def wrap(lines: Lines) -> Lines:
        out: Lines = []
        for line in lines:
            depth = line[: len(line) - len(line.lstrip())]
            pieces = textwrap.wrap(line.strip(), width, break_long_words=False, break_on_hyphens=False)
            out += [depth + pieces[0], *pieces[1:]] if pieces else [line]
        return out

    return wrap


DISGUISES: dict[str, Disguise] = {
    "quoted": lambda lines: [f"> {line}".rstrip() for line in lines],
    "quoted twice": lambda lines: [f"> > {line}".rstrip() for line in lines],
    "indented by 4": lambda lines: [f"    {line}" for line in lines],
    "indented by 8": lambda lines: [f"        {line}" for line in lines],
    "trailing blanks": lambda lines: [f"{line}  " if i % 3 else line for i, line in enumerate(lines)],
    "blank lines": lambda lines: [part for line in lines for part in (line, "")],
    "fenced": lambda lines: ["```", *lines, "```"],
    "prose": _prose,
    "prompt": lambda lines: ["user@host:~$ cat recording.txt", *lines, "user@host:~$ "],
    "journal": lambda lines: [f"Jun  3 04:22:10 host qemu-system-x86_64[7781]: {line}" for line in lines],
    "kernel log": lambda lines: [f"[ {1000 + i}.{i:06}] {line}" for i, line in enumerate(lines)],
    "html": lambda lines: ["<pre>", *(html.escape(line) for line in lines), "</pre>"],
    "wrapped at 72": _wrapped(72),
    "other programs": lambda lines: [
        part
        for i, line in enumerate(lines)
        for part in ((line, "VNC server running on 127.0.0.1:5903") if i == len(lines) // 2 else (line,))
    ],
}
ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "plain": lambda text: text.encode(),
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "byte order mark": lambda text: text.encode("utf-8-sig"),
    "UTF-16": lambda text: text.replace("\n", "\r\n").encode("utf-16"),
    "no end of line": lambda text: text.rstrip("\n").encode(),
}


def monitor_json(lines: Lines) -> Lines:
    """The answer of QEMU's monitor through its machine protocol."""
    return ['{"return": {}}', json.dumps({"return": "\r\n".join([*lines, ""])})]
