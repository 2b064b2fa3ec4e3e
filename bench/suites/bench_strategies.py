"""Every native strategy on recorded and synthetic workloads: times from native loops, exact counts in `extra_info`.

    pytest bench/ --benchmark-only --benchmark-save=before
    pytest bench/ --benchmark-only --benchmark-compare=before

A round is one replay of the whole stream. pytest-benchmark measures one strategy after another; for figures to
quote, `slotlookup run` interleaves strategies and pairs their blocks.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from slotlookup.families.native import NativeStrategy
from slotlookup.questions import Questions, questions_of
from slotlookup.registry import find_workload, make_strategy, presets, structures
from slotlookup.structure import NativeStructure
from slotlookup.vocabulary import Count

pytestmark = pytest.mark.benchmark(max_time=0.2)
EVENTS = 100_000
WORKLOADS = ("q35-4G-numa64", "q35-1G", "synthetic-uniform")
STRATEGIES = [name for name, s in structures().items() if isinstance(s, NativeStructure)] + list(presets())


@cache
def _questions(workload: str) -> Questions:
    return questions_of(find_workload(workload).build(events=EVENTS), seed=0)


def _loaded(text: str, questions: Questions, *, counted: bool = False) -> NativeStrategy:
    strategy = make_strategy(text, counted=counted)
    assert isinstance(strategy, NativeStrategy)
    strategy.apply_table(questions.start)
    strategy.reset_counters()
    return strategy


def _note(benchmark: Any, counting: NativeStrategy, operations: int) -> None:
    counters = counting.counters()
    for name in Count:
        benchmark.extra_info[name] = getattr(counters, name) / operations
    benchmark.extra_info["operations"] = operations


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("text", STRATEGIES)
def test_gfn_lookups(benchmark: Any, text: str, workload: str) -> None:
    questions = _questions(workload)
    benchmark.group = f"gfn lookups, {workload}"
    counting = _loaded(text, questions, counted=True)
    answers = counting.answer_gfns(questions.gfn)
    _note(benchmark, counting, len(questions.gfn))
    timed = _loaded(text, questions)
    _, checksum = benchmark(timed.replay_gfns, questions.gfn)
    assert checksum == int((answers.astype("int64") + 1).sum())


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("text", STRATEGIES)
def test_hva_visits(benchmark: Any, text: str, workload: str) -> None:
    questions = _questions(workload)
    stream = questions.hva.part(0, 20_000)
    benchmark.group = f"hva visits, {workload}"
    counting = _loaded(text, questions, counted=True)
    answers = counting.answer_hvas(stream)
    _note(benchmark, counting, len(stream))
    timed = _loaded(text, questions)
    _, checksum = benchmark(timed.replay_hvas, stream)
    assert checksum == int((answers.numbers.astype("int64") + 1).sum())


@pytest.mark.parametrize("text", STRATEGIES)
def test_slot_changes_of_a_boot(benchmark: Any, text: str) -> None:
    questions = _questions("q35-2G-dynamic")
    benchmark.group = "slot changes, q35-2G-dynamic"
    counting = _loaded(text, questions, counted=True)
    counting.apply_table(questions.update)
    _note(benchmark, counting, len(questions.update))

    def fresh() -> tuple[tuple[NativeStrategy], dict[str, Any]]:
        return (_loaded(text, questions),), {}

    benchmark.pedantic(lambda s: s.replay_changes(questions.update), setup=fresh, rounds=50)
