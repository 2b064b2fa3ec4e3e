"""The declarations of files in the strategies folder: a native structure, a Python structure, or a preset.

A structure indexes ranges by start and inclusive last. The registry finds module-level instances of the declarations
below; the name in the declaration is its only name.
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
    """Complexity by operation, for n slots and k slots visited, in O notation; "-" for a role not served."""

    gfn: str
    hva: str
    update: str


@dataclass(frozen=True, slots=True)
class NativeStructure:
    """A structure whose code is a C++ source registered under the same `name`.

    `kernel` says whether a kernel could use it unchanged; `simd` whether it needs vector instructions; `unaliased`
    whether a variant `NAME+unaliased` visits hvas with the early stop. `roles` are those that the structure can serve;
    if it serves one, `partner` serves the other if the structure is named alone. `big_allocation` says that it needs
    single allocations that are larger than a running kernel provides (beyond its allocator of virtually contiguous
    memory). `readers_in_place` says that readers may search while it is edited; any other structure needs a second set,
    a copy or a lock for that.
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
        """Why a kernel could not use it, in a word or two; "" if it could."""
        found = [word for word, stands in (("SIMD", self.simd), ("big allocation", self.big_allocation)) if stands]
        return ", ".join(found) or ("" if self.kernel else "not as it is")


class RangeIndex(ABC):
    """A Python structure in one role. Keys are ints or, when counting, ints that count their comparisons.

    `start` and `last` are inclusive; the number identifies the range. Ranges of the hva role may overlap.
    """

    @abstractmethod
    def insert(self, start: int, last: int, number: int) -> None:
        """Add a range that is not in the structure."""

    @abstractmethod
    def remove(self, start: int, last: int, number: int) -> None:
        """Remove a range that is in the structure."""

    @abstractmethod
    def find(self, point: int) -> int:
        """The number of the range that contains `point`, or -1. Called only if ranges do not overlap."""

    @abstractmethod
    def visit(self, start: int, last: int) -> Iterable[int]:
        """The numbers of all ranges that overlap [start, last], each once, in any order: whoever asks sorts them."""

    @abstractmethod
    def check(self) -> None:
        """Raise BrokenStrategy if an invariant does not hold. Do not use `assert`, which `python -O` leaves out.

        A library's own check may raise AssertionError.
        """

    def settle(self) -> None:  # noqa: B027
        """Do the work that changes have deferred: for structures that are built in one step. Called after every change.

        It is not called after a bulk load: the work must then be done at the first question.
        """

    @abstractmethod
    def __len__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class PythonStructure:
    """A structure written in Python or taken from a library.

    `make` returns an empty index; `note` names the implementation in use on this machine (or is ""). `own_code` is
    False for third-party libraries, which report `compares` only, and not even that if they are compiled and do not
    compare the given keys (`compares`). `roles` and `partner` are as for a native structure. It cannot hold an address
    beyond `limit`. `package` is an optional package that must be importable, and `extra` the extra of slotlookup that
    installs it.
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
        """The remedy for a missing library; "" if it is installed."""
        if not self.package or find_spec(self.package) is not None:
            return ""
        return f"not installed: pip install 'slotlookup[{self.extra}]'"


@dataclass(frozen=True, slots=True)
class Preset:
    """A named combination: that of a real system, or of a proposal."""

    name: str
    spec: str
    summary: str
    source: str


PATIENCE = 10.0
"""The default number of seconds after which a structure from a file counts as hanging."""


@dataclass(frozen=True, slots=True)
class FileStructure:
    """A structure of the user: a shared library that implements slotlookup.h, or a RangeIndex in a Python file.

    `name` is the text that the user gave; `class_name` is empty for libraries.
    """

    name: str
    path: Path
    class_name: str = ""

    @property
    def family(self) -> Family:
        """The family by the kind of file."""
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
