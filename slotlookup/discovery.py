"""Finds declarations: the module-level instances in the modules of a folder and of other packages' entry points.

What cannot be loaded breaks only itself. It is left out, and `Found.left_out` has the reason.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Found(Generic[T]):
    """The declarations of a group by name, the module of each, and what was left out, each with the reason."""

    items: Mapping[str, T]
    modules: Mapping[str, ModuleType]
    left_out: Mapping[str, str] = field(default_factory=dict)


@cache
def modules(group: str) -> tuple[tuple[ModuleType, ...], Mapping[str, str]]:
    """The modules of a folder package, then those of other packages' entry points, in name order; and those left out.

    An entry point that is left out is named by its own name, a module of the folder by its full name.
    """
    loaded: list[ModuleType] = []
    left_out: dict[str, str] = {}
    package = importlib.import_module(group)
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda m: m.name):
        if info.ispkg or info.name.startswith("_"):
            continue
        name = f"{group}.{info.name}"
        try:
            loaded.append(importlib.import_module(name))
        except (Exception, SystemExit) as error:
            left_out[name] = f"cannot be imported: {_in_a_line(error)}"
    for entry in sorted(entry_points(group=group), key=lambda e: e.name):
        try:
            module = entry.load()
        except (Exception, SystemExit) as error:
            left_out[entry.name] = f"{_place(entry)} cannot be imported: {_in_a_line(error)}"
            continue
        if isinstance(module, ModuleType):
            loaded.append(module)
        else:
            left_out[entry.name] = f"{_place(entry)} is not a module; point it at one that declares"
    return tuple(loaded), left_out


def _place(entry: EntryPoint) -> str:
    package = "" if entry.dist is None else f" of {entry.dist.name}"
    return f"the entry point {entry.value}{package}"


def _in_a_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def declared(group: str, kinds: tuple[type[T], ...]) -> Found[T]:
    """The module-level instances of `kinds` in a group; of two of one name the second is left out."""
    found: dict[str, T] = {}
    origin: dict[str, ModuleType] = {}
    loaded, left_out = modules(group)
    without = dict(left_out)
    for module in loaded:
        for item in _instances(module, kinds):
            name: str = item.name  # type: ignore[attr-defined]
            if name not in found:
                found[name], origin[name] = item, module
            elif found[name] is not item:
                first = origin[name].__name__
                without[f"{module.__name__}: {name}"] = f"{first} has declared '{name}' already; rename one of them"
    return Found(found, origin, without)


def _instances(module: ModuleType, kinds: tuple[type[T], ...]) -> Iterator[T]:
    for value in vars(module).values():
        items: Iterable[object] = value if isinstance(value, tuple | list) else (value,)
        for item in items:
            if isinstance(item, kinds):
                yield item
