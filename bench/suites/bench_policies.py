"""The cost of each answer to ageing requests on hardware without accessed bits, for 200,704 accesses.

They are the figures of docs/model.md. A change of the model that moves them belongs there too.
"""

from __future__ import annotations

import pytest

from ..measure.policies import MEMORY, SLOTS, compare_policies, policy_scenarios

EXPECTED = {
    "accessed bits": (68_361, 59_904),
    "always young": (77_699, 68_593),
    "young and unmap": (116_933, 59_904),
    "not young": (80_378, 71_483),
}
"""Exits and major faults."""


@pytest.mark.short
def test_the_policies_cost_what_the_documentation_says() -> None:
    size = policy_scenarios()[0].size(slots=SLOTS, memory=MEMORY, events=None, seed=0)
    compared = compare_policies(size, 200_704, lambda what, share: None)
    found = {one.policy: one.outcome for one in compared}
    assert {policy: (one.exits, one.major_faults) for policy, one in found.items()} == EXPECTED
    assert {one.accesses for one in found.values()} == {200_704}
    assert [one.swap_cache_faults for one in compared] == [1_120, 1_769, 1_120, 1_558]
    assert found["not young"].wrongly_evicted == 27_473
    assert round(found["always young"].ageing_calls / found["accessed bits"].ageing_calls) == 49
