"""Text of files, traces and names, made safe to print."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

_T = TypeVar("_T")


def printable(text: str) -> str:
    r"""`text` in one line that a terminal prints as it is written.

    Every character but printable ones and the space becomes its escape: `\x1b`, `\n`, `\u202e`.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable_all(value: _T) -> _T:
    """A value for printing: every text inside dataclasses, mappings, lists and tuples is printable.

    Parts without such text are the same objects.
    """
    return _all(value)  # type: ignore[no-any-return]


def _all(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isprintable() else printable(value)
    if isinstance(value, Mapping):
        return {_all(key): _all(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_all(item) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        old = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
        new = {name: _all(item) for name, item in old.items()}
        return replace(value, **new)
    return value
