"""What a file in the strategies folder declares: a native structure, a Python structure, or a preset.

A structure indexes ranges by start and inclusive last. The registry finds module-level instances of the declarations
below; the name in the declaration is the only name there is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

from slotlookup.address import ADDRESS_LIMIT
from slotlookup.vocabulary import Role


class Family(StrEnum):
    """Native and Python structures answer different questions and are never ranked together."""

    NATIVE = "native"
    PYTHON = "python"


@dataclass(frozen=True, slots=True)
class Costs:
    """Complexity by operation, in n slots and k slots met, as documentation writes it; "-" for a role not served."""

    gfn: str
    hva: str
    update: str


@dataclass(frozen=True, slots=True)
class NativeStructure:
    """A structure whose code is a C++ source registered under the same `name`.

    `kernel` says whether a kernel could use it as it is; `simd` whether it needs vector instructions;
    `unaliased` whether a variant `NAME+unaliased` visits hvas with the early stop. `roles` are those the structure can
    serve; where it serves one, `partner` serves the other when the structure is asked for by its name alone.
    `big_allocation` says that it takes memory in pieces that a kernel does not get while it runs (beyond what its
    allocator of virtually contiguous memory gives). `readers_in_place` says that readers may look while it is edited;
    any other needs a second set or a copy for that, or a lock.
    """

    name: str
    summary: str
    costs: Costs
    source: str
    kernel: bool = True
    simd: bool = False
    unaliased: bool = False
    roles: tuple[Role, ...] = tuple(Role)
    partner: str = ""
    big_allocation: bool = False
    readers_in_place: bool = False

    @property
    def family(self) -> Family:
        """Native."""
        return Family.NATIVE

    @property
    def obstacle(self) -> str:
        """Why a kernel could not use it, in a word or two; "" where it could."""
        found = [word for word, stands in (("SIMD", self.simd), ("big allocation", self.big_allocation)) if stands]
        return ", ".join(found) or ("" if self.kernel else "not as it is")


class RangeIndex(ABC):
    """A Python structure at work in one role. Keys are ints or, when counting, ints that count their comparisons.

    `start` and `last` are inclusive; the number identifies the range. Ranges of the hva role may overlap.
    """

    @abstractmethod
    def insert(self, start: int, last: int, number: int) -> None:
        """Add a range that is not in the structure."""

    @abstractmethod
    def remove(self, start: int, last: int, number: int) -> None:
        """Take out a range that is in the structure."""

    @abstractmethod
    def find(self, point: int) -> int:
        """The number of the range that holds `point`, or -1. Only asked where ranges do not overlap."""

    @abstractmethod
    def visit(self, start: int, last: int) -> Iterable[int]:
        """The numbers of all ranges that meet [start, last], each once."""

    @abstractmethod
    def check(self) -> None:
        """Raise AssertionError where an invariant of the structure does not hold."""

    def settle(self) -> None:  # noqa: B027
        """Do now what changes have put off: for structures that are built in one go. Called after every change.

        After a bulk load it is not: what was put off must be done when the first question comes.
        """

    @abstractmethod
    def __len__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class PythonStructure:
    """A structure written in Python or taken from a library.

    `make` returns an empty index; `note` says, for the machine at hand, which implementation runs (or "").
    `own_code` is False for other people's libraries, of which only `compares` is known, and not even that where they
    are compiled and do not compare the keys that they are given (`compares`). `roles` and `partner` are as a native
    structure's. No address beyond `limit` can be held. `package` is what must be importable, where that is not certain,
    and `extra` the extra of slotlookup that brings it.
    """

    name: str
    summary: str
    costs: Costs
    source: str
    make: Callable[[], RangeIndex]
    note: Callable[[], str] = lambda: ""
    own_code: bool = False
    compares: bool = True
    roles: tuple[Role, ...] = tuple(Role)
    partner: str = ""
    limit: int = ADDRESS_LIMIT - 1
    package: str = ""
    extra: str = ""

    @property
    def family(self) -> Family:
        """Python."""
        return Family.PYTHON

    @property
    def obstacle(self) -> str:
        """Why a kernel could not use it."""
        return "Python"

    @property
    def missing(self) -> str:
        """What to do for the library that is not there; "" where it is."""
        if not self.package or find_spec(self.package) is not None:
            return ""
        return f"not installed: pip install 'slotlookup[{self.extra}]'"


@dataclass(frozen=True, slots=True)
class Preset:
    """A named combination: what a real system does, or what somebody proposed."""

    name: str
    spec: str
    summary: str
    source: str


PATIENCE = 10.0
"""Seconds after which a structure from a file is given up, unless another number is given."""


@dataclass(frozen=True, slots=True)
class FileStructure:
    """A structure of the user's own: a shared library that speaks slotlookup.h, or a RangeIndex in a Python file.

    `name` is as the user wrote it; `class_name` is empty for libraries.
    """

    name: str
    path: Path
    class_name: str = ""

    @property
    def family(self) -> Family:
        """By what the file is."""
        return Family.PYTHON if self.class_name else Family.NATIVE

    @property
    def obstacle(self) -> str:
        """Why a kernel could not use it: whether it could is not declared."""
        return "Python" if self.class_name else "from a file"

    @property
    def roles(self) -> tuple[Role, ...]:
        """Both: the functions of slotlookup.h, and the methods of a RangeIndex, are those of either role."""
        return tuple(Role)


Structure = NativeStructure | PythonStructure


def obstacle_of(structures: Iterable[Structure | FileStructure]) -> str:
    """Why a kernel could not use a strategy of these structures, in a word or two; "" where it could."""
    return ", ".join(dict.fromkeys(s.obstacle for s in structures if s.obstacle))
