"""The common part of library indexes that cannot be changed once built: an update causes a rebuild."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

from slotlookup.address import HOLE
from slotlookup.errors import BrokenStrategy
from slotlookup.structure import RangeIndex


class BuiltIndex(RangeIndex):
    """The ranges by slot number, and the library's object made of them, which is None until the next question."""

    name: str
    limit: int
    """The last address that the library's keys can represent."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[int, int]] = {}
        self._built: Any = None

    @abstractmethod
    def build(self, ranges: dict[int, tuple[int, int]]) -> Any:
        """The library's object, of {number: (start, last)}."""

    @abstractmethod
    def ask(self, built: Any, start: int, last: int) -> Iterable[tuple[int, int, int]]:
        """The (start, last, number) of all that overlap [start, last]."""

    def numbers(self, built: Any, start: int, last: int) -> Iterable[int]:
        """The numbers only; overridden if the library has a faster way."""
        return [number for _, _, number in self.ask(built, start, last)]

    def insert(self, start: int, last: int, number: int) -> None:
        if last > self.limit:
            raise OverflowError(f"{self.name}: {last:#x} is beyond {self.limit:#x}, its last address")
        self._held[number] = (start, last)
        self._built = None

    def remove(self, start: int, last: int, number: int) -> None:
        del self._held[number]
        self._built = None

    def settle(self) -> None:
        if self._built is None:
            self._built = self.build(self._held)

    def find(self, point: int) -> int:
        for number in self.visit(point, point):
            return number
        return HOLE

    def visit(self, start: int, last: int) -> Iterable[int]:
        if start > self.limit:
            return []
        self.settle()
        return self.numbers(self._built, start, min(last, self.limit))

    def check(self) -> None:
        if self._built is not None:
            built = {number: (start, last) for start, last, number in self.ask(self._built, 0, self.limit)}
            if built != self._held:
                raise BrokenStrategy(f"{self.name}: the built index differs from the ranges from which it was built")

    def __len__(self) -> int:
        return len(self._held)
