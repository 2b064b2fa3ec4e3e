"""The answers to ageing requests on hardware without accessed bits, compared under one workload.

Each policy has a scenario of its own. All of them play the same accesses of the same guest, because
equal numbers of events would favour the policy that causes fewer of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from slotlookup.model.mmu.reference import ReferenceStrategy
from slotlookup.model.outcome import Outcome
from slotlookup.model.scenario import PolicyScenario, Size
from slotlookup.registry import workloads

from .run_options import Report

SLOTS = 2
MEMORY = 32 << 20
ACCESSES = 50_176
"""A quarter of those of the table in docs/model.md, for which the policy that pins pages takes half a minute."""


@dataclass(frozen=True, slots=True)
class PolicyOutcome:
    """What a policy costs; `workload` is the scenario that plays it.

    `swap_cache_faults` are those of the minor faults whose page was still in the swap cache.
    """

    policy: str
    workload: str
    outcome: Outcome
    swap_cache_faults: int


def policy_scenarios() -> list[PolicyScenario]:
    """The scenario of each policy, the one with accessed bits first."""
    return [workload for workload in workloads().values() if isinstance(workload, PolicyScenario)]


def compare_policies(size: Size, accesses: int, report: Report) -> list[PolicyOutcome]:
    """Every policy under `accesses` of a guest of `size`, whose `events` are not used. Accessed bits come first."""
    found: list[PolicyOutcome] = []
    scenarios = policy_scenarios()
    for i, scenario in enumerate(scenarios):
        report(scenario.policy, i / len(scenarios))

        def tell(share: float, i: int = i, policy: str = scenario.policy) -> None:
            report(policy, (i + share) / len(scenarios))

        vm = scenario.play_accesses(ReferenceStrategy(), size, accesses, tell)
        # Nothing was in the swap cache before the start: until then the guest fills memory that is free.
        cached = vm.report()["host"]["swap_cache_hits"]
        found.append(PolicyOutcome(scenario.policy, scenario.name, vm.outcome(), cached))
    return found
