"""The suite in processes of its own: what ends or stops such a process is named, with the script that led to it."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from foreign_sources import CC
from planted_bugs import (
    CrashesOnMoved,
    ExitsInABatch,
    HangsOnAliases,
    KeepsDeleted,
    KillsItsHost,
    Plain,
    RecursesInC,
    TakesAllMemory,
)

from slotlookup.conformance import checks as conformance
from slotlookup.conformance.checks import Failure
from slotlookup.conformance.isolated import Suite, run_isolated
from slotlookup.conformance.tandem import Operation
from slotlookup.errors import SlotlookupError
from slotlookup.strategy import Strategy

BROKEN = (KeepsDeleted, CrashesOnMoved, HangsOnAliases, ExitsInABatch, TakesAllMemory)


@pytest.fixture(scope="module")
def found() -> dict[type[Strategy], list[Failure]]:
    reported: list[int] = []
    kinds: tuple[type[Strategy], ...] = (Plain, *BROKEN)
    suites = [Suite(kind, kind, rounds=0, patience=1.0) for kind in kinds]
    failures = dict(zip(kinds, run_isolated(suites, reported.append), strict=True))
    assert reported == list(range(1, len(kinds) + 1))
    return failures


def script(failure: Failure) -> list[Operation]:
    """The steps that a failure's message lists."""
    return [Operation.parse(line.strip()) for line in failure.message.splitlines()[1:]]


def test_a_right_strategy_passes(found: dict[type[Strategy], list[Failure]]) -> None:
    assert found[Plain] == []


def test_failures_are_those_of_the_suite_in_this_process(found: dict[type[Strategy], list[Failure]]) -> None:
    assert found[KeepsDeleted] == conformance.run(KeepsDeleted, make_counted=KeepsDeleted, rounds=0)
    assert found[KeepsDeleted]


def test_a_crash_is_named_with_its_call_and_its_script(found: dict[type[Strategy], list[Failure]]) -> None:
    (failure,) = found[CrashesOnMoved]
    # The first of the checks that moves a slot.
    assert failure.check == "aliases created and deleted"
    assert failure.message.startswith("crashed with SIGSEGV in lookup_gfn(0x0, 0x0, 0x0); the remaining checks were")
    # A slot at gfn 0, and its move, after which its old place is asked for first.
    created, moved = script(failure)
    assert (created.what, moved.what) == ("create", "move")
    assert created.arguments[0] == moved.arguments[0] and created.arguments[1] == 0


def test_a_call_without_end_is_named_with_its_script(found: dict[type[Strategy], list[Failure]]) -> None:
    (failure,) = found[HangsOnAliases]
    assert failure.check == "nested aliases"
    assert failure.message.startswith("no answer for 1 seconds in visit_hva(0x7f")
    one, other = script(failure)
    assert (one.what, other.what) == ("create", "create")
    assert one.arguments[3] == other.arguments[3]


def test_an_end_of_the_process_comes_after_the_failures_before_it(
    found: dict[type[Strategy], list[Failure]],
) -> None:
    *before, last = found[ExitsInABatch]
    assert before and all("is right" in failure.message for failure in before)
    assert last.check == "batches"
    assert last.message.startswith("ended its process with exit(7) in answer_gfns, saying: no more; the remaining")
    # The script does not lead there alone, so none of it is left out: the slots of the check.
    assert len(script(last)) == 90


def test_memory_is_limited(found: dict[type[Strategy], list[Failure]]) -> None:
    first = found[TakesAllMemory][0]
    assert (first.check, first.message.splitlines()[0].partition(";")[0]) == ("empty", "MemoryError: ")


@pytest.mark.skipif(CC is None, reason="there is no C compiler")
def test_a_recursion_without_end_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, library = tmp_path / "recurse.c", tmp_path / "recurse.so"
    source.write_text("int recurse(int n) { volatile char held[256]; held[0] = 1; return recurse(n + 1) + held[0]; }")
    subprocess.run([str(CC), "-w", "-shared", "-fPIC", "-o", library, source], check=True)
    monkeypatch.setenv("RECURSING", str(library))
    ((failure,),) = run_isolated([Suite(RecursesInC, rounds=0)])
    words = r"crashed with SIGSEGV in visit_hva\(0x\w+, 0x\w+\), saying: a recursion used up the stack of \d+ MiB; the"
    assert re.match(words, failure.message)


HANG = """
from planted_bugs import HangsAndSaysWhere
from slotlookup.conformance.isolated import Suite, run_isolated

run_isolated([Suite(HangsAndSaysWhere, patience=600.0)])
"""


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda way: way.name)
def test_a_caller_that_ends_takes_its_processes_along(way: signal.Signals, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pid")
    environment = {**os.environ, "HANGING": str(tmp_path / "pid")}
    command = [sys.executable, "-c", HANG]
    with subprocess.Popen(command, cwd=Path(__file__).parent, env=environment, stderr=subprocess.DEVNULL) as caller:
        hanging = os.pidfd_open(int((tmp_path / "pid").read_text()))
        try:
            assert select.select([hanging], [], [], 0)[0] == []
            caller.send_signal(way)
            assert select.select([hanging], [], [], 30)[0] == [hanging]
        finally:
            os.close(hanging)


def test_a_host_that_is_killed_is_an_error() -> None:
    with pytest.raises(SlotlookupError, match="the process that ran the conformance suite was killed"):
        run_isolated([Suite(KillsItsHost)])


@pytest.mark.parametrize("text", ["create(3, 0x100, 0x10, 0x7000, 1)", "gfn(0xffffffffffffffff, 1)", "delete(0)"])
def test_an_operation_is_read_back_from_what_it_prints(text: str) -> None:
    assert str(Operation.parse(text)) == text
