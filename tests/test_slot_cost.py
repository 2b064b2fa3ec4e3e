"""The pytest plugin: the documented example runs unchanged, and exceeding a limit fails a test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from slotlookup.bench.pytest_plugin import Measure
from slotlookup.errors import UsageError
from slotlookup.memslots import make_memslot
from slotlookup.trace import Trace, gfn_events

pytest_plugins = ["pytester"]

GUIDE = Path(__file__).parent.parent / "docs" / "testing-costs.md"


@pytest.fixture(autouse=True)
def no_settings_of_the_surroundings(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\n")


def test_the_guides_example_passes(pytester: pytest.Pytester) -> None:
    found = re.search(r"`(test_\w+\.py)`:\n\n```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert found is not None
    (pytester.path / found[1]).write_text(found[2])
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=3)


def test_an_exceeded_limit_fails(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_too_dear(slot_cost):
            assert slot_cost("linear", "two-slot", events=1000).gfn.compares < 1
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(failed=1)


def test_counts_are_those_of_the_hand(slot_cost: Measure) -> None:
    slots = (make_memslot(0, 0x0, 0x4000, 0x7000_0000_0000), make_memslot(1, 0x10000, 0x4000, 0x6000_0000_0000))
    cost = slot_cost("linear", Trace("hand", slots, gfn_events([0, 0x13, 0x99])))
    # First slot at once; second after the first; a hole after both.
    assert cost.gfn.slots_examined == pytest.approx((1 + 2 + 2) / 3)
    # In order: two compares (inside the first); past the first's end, two each; the same for the hole.
    assert cost.gfn.compares == pytest.approx((2 + 4 + 4) / 3)
    assert slot_cost("py-sortedcontainers", Trace("hand", slots, gfn_events([0]))).gfn.lines is None


def test_unknown_names_are_usage_errors(slot_cost: Measure) -> None:
    with pytest.raises(UsageError, match="did you mean 'linear'"):
        slot_cost("liner", "two-slot")
    with pytest.raises(UsageError, match="no workload is called"):
        slot_cost("linear", "three-slots")


def test_a_role_with_nothing_to_ask_has_no_counts(slot_cost: Measure) -> None:
    # A lookup that meets a hole leaves no host page to visit.
    cost = slot_cost("linear", Trace("hole", (make_memslot(0, 0x0, 0x4000, 0x7000_0000_0000),), gfn_events([0x99])))
    assert cost.gfn.operations == 1
    assert (cost.hva.operations, cost.hva.compares) == (0, None)
