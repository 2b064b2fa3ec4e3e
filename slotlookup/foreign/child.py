"""The process in which structures from files run. `slotlookup.foreign.parent` starts it and documents its purpose.

Requests are pickled. Answers are JSON, followed by arrays as plain bytes, so that the parent never executes anything
from memory that a broken structure may have corrupted.
"""

from __future__ import annotations

import importlib.util
import json
import mmap
import os
import pickle
import signal
import struct
import sys
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from types import TracebackType
from typing import Any

import _slotlookup_native as native
import numpy as np
import numpy.typing as npt

from slotlookup.address import PAGE_SHIFT, PAGE_SIZE, Gfn, Hva
from slotlookup.arrays import Bytes, Words
from slotlookup.children import address_space, limit_crash
from slotlookup.conformance.tandem import FAILURES
from slotlookup.errors import BrokenStrategy, SpecError
from slotlookup.families.native import HOT, Mode, NativeStrategy
from slotlookup.families.python import PythonStrategy
from slotlookup.foreign.parent import BEAT_AT, Piece, Recipe
from slotlookup.spec import StrategySpec
from slotlookup.strategy import Strategy
from slotlookup.stream import GfnStream, HvaStream, Timeline, change_at, change_table, one_segment
from slotlookup.structure import Costs, PythonStructure, RangeIndex
from slotlookup.vocabulary import Role

AT_ONCE = 64
"""Operations of a Python structure between two updates of the shared page."""
OVERHEAD_OPERATIONS = 20_000
OVERHEAD_ROUNDS = 9


def main(channel: int, page: int) -> None:
    """Answer requests until the parent has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process; an interrupt must not
    limit_crash()
    native.watch_foreign(page)
    child = Child(Connection(channel), mmap.mmap(page, mmap.PAGESIZE))
    sys.excepthook = child.uncaught
    child.serve()


def _python_structure(name: str, path: str, class_name: str) -> PythonStructure:
    """A class of a Python file. Raises BrokenStrategy if it cannot be loaded."""
    sys.path.insert(0, str(Path(path).parent))
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None:
        raise BrokenStrategy(f"{name} is not a Python file; give it the ending .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (*FAILURES, ImportError, SyntaxError) as error:
        raise BrokenStrategy(f"{name} cannot be loaded: {_words(error, path)}") from None
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, RangeIndex)):
        kinds = [n for n, v in vars(module).items() if isinstance(v, type) and issubclass(v, RangeIndex)]
        there = ", ".join(kind for kind in kinds if kind != "RangeIndex") or "none"
        raise BrokenStrategy(
            f"{name}: {class_name} is not a subclass of slotlookup.structure.RangeIndex; there are: {there}"
        )
    return PythonStructure(name, "", Costs("", "", ""), path, found)


def _words(error: BaseException, path: str = "") -> str:
    """An exception in one line, with the place in the user's file if it is known."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == path]
    return f"{text} (line {lines[-1]})" if lines else text


class Child:
    """The strategies of this process, and the data stored for them."""

    def __init__(self, connection: Connection, page: mmap.mmap) -> None:
        self._connection = connection
        self._page = page
        self._beats = 0
        self._label = ""
        self._paths: list[str] = []
        self._served: dict[str, tuple[bool, bool]] = {}
        self._tells_bytes = True
        self._python: dict[str, PythonStructure] = {}
        self._strategies: dict[int, Strategy] = {}
        self._not_made: dict[int, str] = {}
        self._kept: dict[int, Bytes] = {}
        self._modes: dict[tuple[str, int], Mode] = {}

    def serve(self) -> None:
        """Answer requests one after another."""
        self._reply({"value": None})
        while True:
            try:
                calls, dropped = pickle.loads(self._connection.recv_bytes())
            except (EOFError, OSError):
                os._exit(0)
            for made in dropped:
                self._strategies.pop(made, None)
            self._answer(calls)

    def _answer(self, calls: list[tuple[str, tuple[Any, ...]]]) -> None:
        arrays: list[npt.NDArray[Any]] = []
        value: Any = None
        try:
            for method, arguments in calls:
                value = getattr(self, method)(*(self._unpacked(argument) for argument in arguments))
        except native.ForeignDamage as error:
            self._reply({"fault": str(error), "dead": True})
            os._exit(1)
        except (native.ForeignFault, BrokenStrategy) as error:
            self._reply({"fault": str(error), "dead": calls[-1][0] == "open"})
            return
        except FAILURES as error:
            self._reply({"fault": f"{self._label} raised {self._located(error)}"})
            return
        if isinstance(value, tuple) and value and isinstance(value[0], np.ndarray):
            arrays, value = list(value), None
        self._reply({"value": value, "arrays": [array.dtype.str for array in arrays]}, arrays)

    def uncaught(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Report an exception that ends this process."""
        self._reply({"fault": f"{self._label} raised {self._located(error)}", "dead": True})

    def _located(self, error: BaseException) -> str:
        texts = [_words(error, path) for path in self._paths]
        return max(texts, key=len, default=_words(error))

    def _reply(self, header: dict[str, Any], arrays: list[npt.NDArray[Any]] | None = None) -> None:
        self._connection.send_bytes(json.dumps(header).encode())
        for array in arrays or ():
            self._connection.send_bytes(np.ascontiguousarray(array).tobytes())

    def _unpacked(self, argument: Any) -> Any:
        if not isinstance(argument, Piece):
            return argument
        count = int(np.prod(argument.shape, dtype=np.int64))
        dtype = np.dtype(argument.dtype)
        whole = self._kept[argument.key]
        return whole[argument.offset : argument.offset + count * dtype.itemsize].view(dtype).reshape(argument.shape)

    def _beat(self) -> None:
        self._beats += 1
        self._page[BEAT_AT : BEAT_AT + 8] = struct.pack("Q", self._beats)

    # The requests.

    def open(self, files: list[tuple[str, str, str]]) -> list[str]:
        """Load the files; the names of their structures."""
        titles = []
        self._label = " and ".join(name for name, _, _ in files)
        for name, path, class_name in files:
            if class_name:
                self._paths.append(path)
                self._python[name] = _python_structure(name, path, class_name)
                titles.append(class_name)
            else:
                title, gfn, hva, tells_bytes = native.load_foreign(name, path)
                self._served[name] = (gfn, hva)
                self._tells_bytes = self._tells_bytes and tells_bytes
                titles.append(title.decode(errors="replace"))
        return titles

    def keep(self, key: int, path: str) -> None:
        """Store the bytes of a file in memory of this process."""
        self._kept[key] = np.fromfile(path, dtype=np.uint8)

    def forget(self, key: int) -> None:
        """Free them."""
        self._kept.pop(key, None)

    def make(self, made: int, recipe: Recipe) -> None:
        """A new strategy. If that fails, every later request is answered with the reason."""
        try:
            self._make(made, recipe)
        except (native.ForeignFault, BrokenStrategy) as error:
            self._not_made[made] = str(error)
            raise

    def _strategy(self, made: int) -> Strategy:
        if made in self._not_made:
            raise BrokenStrategy(self._not_made[made])
        return self._strategies[made]

    def _make(self, made: int, recipe: Recipe) -> None:
        spec = recipe.spec
        if recipe.native:
            for at, (name, role, other) in enumerate(((spec.gfn, Role.GFN, Role.HVA), (spec.hva, Role.HVA, Role.GFN))):
                if not self._served.get(name, (True, True))[at]:
                    raise BrokenStrategy(f"{name} does not serve {role}; write {other}={name},{role}=STRUCTURE")
            self._strategies[made] = NativeStrategy(recipe.name, spec, (), placement=recipe.placement, seed=recipe.seed)
            return
        gfn, hva = self._python_named(spec.gfn), self._python_named(spec.hva)
        self._strategies[made] = PythonStrategy(recipe.name, spec, (gfn, hva), counted=recipe.counted)

    def _python_named(self, name: str) -> PythonStructure:
        if name in self._python:
            return self._python[name]
        from slotlookup.registry import structures

        found = structures()[name]
        if not isinstance(found, PythonStructure):
            raise SpecError(f"{name} is not a Python structure and cannot be combined with one")
        return found

    def overhead(self) -> tuple[float, float]:
        """Nanoseconds of a lookup and of a visit with an empty library: the loop and the calls."""
        empty = NativeStrategy("", StrategySpec(native.EMPTY_FOREIGN, native.EMPTY_FOREIGN), ())
        empty.load_table(np.array([[0, 0, 0, 1, 0, 0]], dtype=np.uint64))
        native.set_foreign_care(False)
        points = np.arange(OVERHEAD_OPERATIONS, dtype=np.uint64) << np.uint64(PAGE_SHIFT)
        line = Timeline(one_segment(len(points)), change_table([]))
        lookups = GfnStream(points, line)
        visits = HvaStream(points, points + np.uint64(PAGE_SIZE), line)
        times = [(empty.replay_gfns(lookups)[0], empty.replay_hvas(visits)[0]) for _ in range(OVERHEAD_ROUNDS)]
        return (
            median(gfn for gfn, _ in times) / OVERHEAD_OPERATIONS,
            median(hva for _, hva in times) / OVERHEAD_OPERATIONS,
        )

    def stage(self, made: int, change: Words) -> None:
        """Prepare a change."""
        self._strategy(made).stage(change_at(change, 0))

    def publish(self, made: int) -> None:
        """Publish the change."""
        self._strategy(made).publish()

    def apply_table(self, made: int, changes: Words) -> None:
        """Apply changes."""
        strategy = self._strategy(made)
        if isinstance(strategy, NativeStrategy):
            strategy.apply_table(changes)
            return
        for row in range(len(changes)):
            self._beat()
            strategy.apply(change_at(changes, row))

    def load_table(self, made: int, changes: Words) -> None:
        """Apply changes in bulk."""
        strategy = self._strategy(made)
        if isinstance(strategy, NativeStrategy):
            strategy.load_table(changes)
        else:
            self.apply_table(made, changes)

    def replay_load(self, made: int, changes: Words) -> int:
        """Nanoseconds of carrying out changes in bulk."""
        strategy = self._strategy(made)
        if isinstance(strategy, NativeStrategy):
            native.set_foreign_care(False)
            return strategy.replay_load(changes)
        started = perf_counter_ns()
        self.load_table(made, changes)
        return perf_counter_ns() - started

    def lookup_gfn(self, made: int, gfn: Gfn, as_id: int, vcpu: int) -> int:
        """One lookup."""
        native.set_foreign_care(True)
        return self._number(self._strategy(made).lookup_gfn(gfn, as_id, vcpu), f"find({gfn:#x})")

    def visit_hva(self, made: int, start: Hva, end: Hva) -> list[int]:
        """One visit."""
        native.set_foreign_care(True)
        call = f"visit({start:#x}, {end - 1:#x})"
        return [self._number(number, call) for number in self._strategy(made).visit_hva(start, end)]

    def _number(self, answer: object, call: str) -> int:
        """A slot number, or -1, as a structure answered it. Nothing is converted: 3.0, "3" and True are wrong."""
        if isinstance(answer, bool) or not isinstance(answer, int | np.integer):
            raise BrokenStrategy(f"{self._label} answered {answer!r:.40} to {call}, which is not an integer")
        if not -1 <= int(answer) < 1 << 31:
            raise BrokenStrategy(f"{self._label} answered {answer} to {call}, which is not the number of a slot")
        return int(answer)

    def generation(self, made: int, as_id: int) -> int:
        """The generation of an address space."""
        return self._strategy(made).generation(as_id)

    def flags_at(self, made: int, gfn: Gfn, as_id: int) -> int | None:
        """The flags that readers see."""
        native.set_foreign_care(True)
        return self._strategy(made).flags_at(gfn, as_id)

    def answer_gfns(self, made: int, gfns: Words, vcpus: Any, segments: Words, changes: Words) -> tuple[Any, ...]:
        """The answers to a stream of lookups."""
        strategy = self._strategy(made)
        if isinstance(strategy, NativeStrategy):
            native.set_foreign_care(True)
            return (strategy.answer_gfns(GfnStream(gfns, Timeline(segments, changes), vcpus)),)
        out = np.empty(len(gfns), dtype=np.int32)
        for begin, end, line in self._pieces(strategy, segments, changes):
            out[begin:end] = strategy.answer_gfns(GfnStream(gfns[begin:end], line, vcpus[begin:end]))
        return (out,)

    def answer_hvas(self, made: int, starts: Words, ends: Words, segments: Words, changes: Words) -> tuple[Any, ...]:
        """The answers to a stream of visits."""
        strategy = self._strategy(made)
        if isinstance(strategy, NativeStrategy):
            native.set_foreign_care(True)
            answers = strategy.answer_hvas(HvaStream(starts, ends, Timeline(segments, changes)))
            return answers.counts, answers.numbers
        counts, numbers = [np.zeros(0, dtype=np.uint64)], [np.zeros(0, dtype=np.int32)]
        for begin, end, line in self._pieces(strategy, segments, changes):
            answers = strategy.answer_hvas(HvaStream(starts[begin:end], ends[begin:end], line))
            counts.append(answers.counts)
            numbers.append(answers.numbers)
        return np.concatenate(counts), np.concatenate(numbers)

    def _pieces(self, strategy: Strategy, segments: Words, changes: Words) -> Iterator[tuple[int, int, Timeline]]:
        """A stream in parts without changes; before each, the shared page is updated and the changes are applied."""
        applied = begin = 0
        for behind, as_id, wanted in segments.tolist():
            for row in range(applied, wanted):
                self._beat()
                strategy.apply(change_at(changes, row))
            applied = wanted
            while begin < behind:
                end = min(begin + AT_ONCE, behind)
                self._beat()
                yield begin, end, Timeline(one_segment(end - begin, as_id), changes[:0])
                begin = end

    def _mode(self, kind: str, displaced: int) -> Mode:
        key = (kind, displaced)
        if key not in self._modes:
            self._modes[key] = Mode(kind, displaced)
        return self._modes[key] if displaced or kind != HOT.kind else HOT

    def replay_gfns(
        self, made: int, kind: str, displaced: int, gfns: Words, vcpus: Any, segments: Words, changes: Words
    ) -> tuple[int, int]:
        """Nanoseconds and checksum of a stream of lookups."""
        strategy = self._strategy(made)
        if isinstance(strategy, NativeStrategy):
            native.set_foreign_care(False)
            stream = GfnStream(gfns, Timeline(segments, changes), vcpus)
            return strategy.replay_gfns(stream, self._mode(kind, displaced))
        spent = checksum = 0
        for begin, end, line in self._pieces(strategy, segments, changes):
            part = GfnStream(gfns[begin:end], line, vcpus[begin:end])
            started = perf_counter_ns()
            answers = strategy.answer_gfns(part)
            spent += perf_counter_ns() - started
            checksum += int((answers.astype(np.int64) + 1).sum())
        return spent, checksum

    def replay_hvas(
        self, made: int, kind: str, displaced: int, starts: Words, ends: Words, segments: Words, changes: Words
    ) -> tuple[int, int]:
        """Nanoseconds and checksum of a stream of visits."""
        strategy = self._strategy(made)
        if isinstance(strategy, NativeStrategy):
            native.set_foreign_care(False)
            stream = HvaStream(starts, ends, Timeline(segments, changes))
            return strategy.replay_hvas(stream, self._mode(kind, displaced))
        spent = checksum = 0
        for begin, end, line in self._pieces(strategy, segments, changes):
            part = HvaStream(starts[begin:end], ends[begin:end], line)
            started = perf_counter_ns()
            answers = strategy.answer_hvas(part)
            spent += perf_counter_ns() - started
            checksum += int((answers.numbers.astype(np.int64) + 1).sum())
        return spent, checksum

    def replay_changes(self, made: int, kind: str, displaced: int, changes: Words) -> tuple[int, int]:
        """Nanoseconds of slot changes, and nothing."""
        strategy = self._strategy(made)
        if isinstance(strategy, NativeStrategy):
            native.set_foreign_care(False)
            return strategy.replay_changes(changes, self._mode(kind, displaced)), 0
        spent = 0
        for row in range(len(changes)):
            self._beat()
            change = change_at(changes, row)
            started = perf_counter_ns()
            strategy.apply(change)
            spent += perf_counter_ns() - started
        return spent, 0

    def counters(self, made: int) -> tuple[int | None, ...]:
        """The four counters."""
        found = self._strategy(made).counters()
        return found.slots_examined, found.compares, found.hops, found.lines

    def reset_counters(self, made: int) -> None:
        """Reset the counters."""
        self._strategy(made).reset_counters()

    def check(self, made: int) -> None:
        """The structures' own checks, and whether the reported bytes are possible."""
        used, possible = self.bytes(made), address_space()
        if used is not None and used > possible:
            raise BrokenStrategy(f"{self._label} reports {used:,} bytes in use, and its process has {possible:,}")
        try:
            self._strategy(made).check()
        except (AssertionError, BrokenStrategy) as error:
            raise BrokenStrategy(f"{self._label} failed its own check: {' '.join(str(error).split())}") from None

    def bytes(self, made: int) -> int | None:
        """Bytes in use, if all libraries report theirs."""
        return self._strategy(made).bytes() if self._tells_bytes else None

    def slots(self, made: int) -> int:
        """Slots held."""
        return len(self._strategies[made])
