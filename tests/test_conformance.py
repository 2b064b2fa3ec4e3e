"""The conformance suite on every strategy in the registry, and on strategies with planted bugs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import _slotlookup_native as native
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from planted_bugs import (
    BUGS,
    WHOLLY_INSIDE_A_SCRIPT,
    Cached,
    CachedByVcpu,
    Copies,
    Crashes,
    EndBelongs,
    KeepsDeleted,
    Plain,
    TwoSets,
)
from source_tree import ROOT
from specs import every_spec, maker

import slotlookup.strategies
from slotlookup import registry
from slotlookup.address import PAGE_SIZE, Gfn
from slotlookup.conformance import checks as conformance
from slotlookup.conformance.tandem import (
    Disagreement,
    Operation,
    Tandem,
    create,
    delete,
    flags,
    gfn,
    hva,
    move,
    page,
    play,
    workout,
)
from slotlookup.errors import BrokenStrategy
from slotlookup.strategy import Capabilities, Counters, Strategy
from slotlookup.structure import Family
from slotlookup.vocabulary import Count, UpdateDiscipline

SPECS = every_spec()


@pytest.mark.parametrize("spec", SPECS)
def test_fixed_checks(spec: str) -> None:
    for check in conformance.CHECKS:
        try:
            check.run(maker(spec))
        except Exception as fault:
            fault.add_note(f"in the check {check.name!r}")
            raise


@pytest.mark.parametrize("spec", SPECS)
def test_workouts(spec: str) -> None:
    for seed in range(3):
        play(maker(spec), workout(seed))


@pytest.mark.parametrize("spec", SPECS)
def test_counting_changes_no_answer(spec: str) -> None:
    conformance.check_counted(maker(spec), maker(spec, counted=True), seed=11)


def test_what_is_found_is_tested() -> None:
    """What the suite goes through, against what lies in the folder and what is linked into the native module."""
    parsed = {spec: registry.parse_spec(spec) for spec in SPECS}
    in_gfn, in_hva = {s.gfn for s in parsed.values()}, {s.hva for s in parsed.values()}
    # Beside the structures: the one that finds nothing, the one that knows the answers, and the rivals of benchmarks.
    rivals = {path.stem.replace("_", "-") for path in (ROOT / "bench" / "native" / "rivals").glob("*.cpp")}
    linked = {name for name, _, _ in native.structures()} - {"empty", "perfect"} - rivals
    variants = {f"{s.hva}+unaliased" for s in parsed.values() if s.unaliased}
    declared = {name for name, s in registry.structures().items() if s.family is Family.NATIVE}
    assert linked == declared | variants
    there = [s for s in registry.structures().values() if not registry.missing(s.name)]
    assert in_gfn == {s.name for s in there if "gfn" in s.roles}
    assert in_hva == {s.name for s in there if "hva" in s.roles}
    assert set(registry.presets()) <= set(SPECS)
    for discipline in ("in-place", "two-sets"):
        for cache in ("none", "last-used"):
            tested = [s for s in parsed.values() if (s.update, s.cache) == (discipline, cache)]
            assert declared <= {name for s in tested for name in (s.gfn, s.hva)}, (
                f"no native structure may go untested with {discipline}, {cache}"
            )

    (folder,) = slotlookup.strategies.__path__
    files = {path.stem for path in Path(folder).glob("*.py") if not path.stem.startswith("_")}
    names = {name.replace("-", "_").replace(".", "_") for name in [*registry.structures(), *registry.presets()]}
    assert files == names, "each file declares the one thing it is named after"


def machine(spec: str) -> type[RuleBasedStateMachine]:
    """Slots come, go, move and change flags as Hypothesis likes, with lookups between; checked after each step."""
    numbers = st.sampled_from([*range(8), *range(1 << 16, (1 << 16) + 4)])
    gfns = st.integers(0, 40)

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.tandem = Tandem(maker(spec))

        @rule(number=numbers, base=gfns, npages=st.integers(1, 12), at=st.integers(0, 24), value=st.integers(0, 3))
        def insert(self, number: int, base: int, npages: int, at: int, value: int) -> None:
            self.tandem.play([create(number, base, npages, page(at), value)])

        @rule(number=numbers)
        def remove(self, number: int) -> None:
            self.tandem.play([delete(number)])

        @rule(number=numbers, base=gfns)
        def move(self, number: int, base: int) -> None:
            self.tandem.play([move(number, base)])

        @rule(number=numbers, value=st.integers(0, 1))
        def flag(self, number: int, value: int) -> None:
            self.tandem.play([flags(number, value)])

        @rule(
            point=st.one_of(gfns, st.integers(0, 2**64 - 1)),
            as_id=st.integers(0, 1),
            vcpu=st.sampled_from([0, 1, 1025]),
        )
        def look_up(self, point: int, as_id: int, vcpu: int) -> None:
            self.tandem.play([gfn(point, as_id, vcpu)])

        @rule(start=st.integers(-1, 40 * PAGE_SIZE), length=st.integers(0, 30 * PAGE_SIZE))
        def visit(self, start: int, length: int) -> None:
            self.tandem.play([hva(page(0) + start, page(0) + start + length)])

    return Machine


@pytest.mark.parametrize("spec", SPECS)
def test_stateful(spec: str) -> None:
    thorough = 40 if "," not in spec else 8
    run_state_machine_as_test(
        machine(spec),
        settings=settings(
            max_examples=thorough,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("right", [Plain, Cached, CachedByVcpu, TwoSets, Copies])
def test_a_right_strategy_passes(right: type[Strategy]) -> None:
    assert conformance.run(right, make_counted=right) == []


@pytest.mark.parametrize(("bug", "check"), BUGS, ids=[bug.__name__ for bug, _ in BUGS])
def test_a_planted_bug_is_caught(bug: type[Strategy], check: str) -> None:
    assert check in [failure.check for failure in conformance.run(bug, rounds=0)]


@pytest.mark.parametrize("bug", [bug for bug, _ in BUGS if bug not in WHOLLY_INSIDE_A_SCRIPT])
def test_a_planted_bug_is_caught_by_random_operations(bug: type[Strategy]) -> None:
    failed = [failure.check for failure in conformance.run(bug, rounds=4)]
    assert [name for name in failed if name.startswith("workout")]


WITHOUT_ASSERTS = """
import sys
from planted_bugs import BUGS, EndBelongs, Plain
from slotlookup.conformance.checks import run

print("optimize", sys.flags.optimize)
for bug, check in BUGS[::4]:
    if check not in [failure.check for failure in run(bug, rounds=0)]:
        print(bug.__name__)
if [failure.check for failure in run(Plain, make_counted=EndBelongs, rounds=0)] != ["counted"]:
    print("a counting instance with other answers")
"""


def test_planted_bugs_are_caught_without_asserts() -> None:
    done = subprocess.run(
        [sys.executable, "-O", "-c", WITHOUT_ASSERTS],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("optimize 1\n", 0), done.stderr


def test_a_failure_is_cut_down_to_what_it_takes() -> None:
    """A stale cache takes a slot, a lookup (among the edges asked for after creation), and its removal."""
    with pytest.raises(Disagreement) as caught:
        play(KeepsDeleted, workout(1))
    operations = caught.value.operations
    assert [operation.what for operation in operations] == ["create", "delete"]
    for operation in operations:
        assert str(operation) in str(caught.value)
    assert "is right" in str(caught.value)


def test_a_crash_is_reported_with_its_cause() -> None:
    (failure, *_) = [f for f in conformance.run(Crashes, rounds=0) if f.check == "hole"]
    assert "KeyError: -1" in str(failure)
    assert str(failure).startswith("hole: ")


def test_operations_print_as_they_are_written() -> None:
    assert str(Operation("create", (3, 0x100, 16, 0x7000))) == "create(3, 0x100, 0x10, 0x7000)"


def counting(claimed: tuple[Count, ...], given: Counters, after_reset: Counters) -> Callable[[], Strategy]:
    class Counting(Plain):
        def __init__(self) -> None:
            super().__init__()
            self.capabilities = Capabilities(Family.PYTHON, UpdateDiscipline.IN_PLACE, "Python", counts=claimed)
            self.was_reset = False

        def counters(self) -> Counters:
            return after_reset if self.was_reset else given

        def reset_counters(self) -> None:
            self.was_reset = True

    return Counting


NONE = Counters(None, None, None, None)


@pytest.mark.parametrize(
    ("claimed", "given", "after", "complaint"),
    [
        ((Count.COMPARES,), NONE, NONE, "compares is declared but is None"),
        ((Count.COMPARES,), Counters(None, 0, None, None), NONE, "compares is declared but is 0"),
        ((), Counters(None, None, 4, None), NONE, "hops is not declared but is 4"),
        ((Count.LINES,), Counters(None, None, None, 9), Counters(None, None, None, 9), "a reset leaves"),
    ],
)
def test_wrong_counters_are_caught(
    claimed: tuple[Count, ...], given: Counters, after: Counters, complaint: str
) -> None:
    with pytest.raises(BrokenStrategy, match=complaint):
        conformance.check_counted(Plain, counting(claimed, given, after))


def test_a_timed_instance_that_counts_is_caught() -> None:
    counts = Counters(None, 1, None, None)
    with pytest.raises(BrokenStrategy, match="not made to count"):
        conformance.check_counted(counting((), counts, counts), Plain)


def test_a_counting_instance_with_other_answers_is_caught() -> None:
    failures = conformance.run(Plain, make_counted=EndBelongs)
    assert [failure.check for failure in failures] == ["counted"]


def test_native_and_python_refuse_alike() -> None:
    for spec in ("rbtree,cache=last-used,update=two-sets", "py-linear"):
        strategy = registry.make_strategy(spec)
        with pytest.raises(ValueError, match="no change is staged"):
            strategy.publish()
        change = Tandem(maker(spec)).model.change(create(0, 0, 1, page(0)))
        assert change is not None
        strategy.stage(change)
        with pytest.raises(ValueError, match="staged already"):
            strategy.stage(change)
        strategy.publish()
        with pytest.raises(ValueError, match="address space 2"):
            strategy.lookup_gfn(Gfn(0), 2)


def test_a_broken_strategy_has_its_own_error() -> None:
    with pytest.raises(BrokenStrategy):
        play(EndBelongs, [create(0, 0, 1, page(0))])
