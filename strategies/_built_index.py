"""What indexes of libraries share that can only be built and then asked: an update leaves them to be built anew."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

from slotlookup.address import HOLE
from slotlookup.structure import RangeIndex


class BuiltIndex(RangeIndex):
    """The ranges held, by slot number, and the library's object made of them; None until it is next asked for."""

    name: str
    limit: int
    """The last address that the library's keys can hold."""

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
        """The numbers alone; a library may have a quicker way."""
        return [number for _, _, number in self.ask(built, start, last)]

    def insert(self, start: int, last: int, number: int) -> None:
        if last > self.limit:
            raise OverflowError(f"{self.name}: {last:#x} lies beyond {self.limit:#x}, the last that can be held")
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
            assert built == self._held, f"{self.name}: what was built is not what it was to be built from"

    def __len__(self) -> int:
        return len(self._held)
