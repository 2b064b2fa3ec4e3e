"""Identical work must come out as no difference: every native strategy against itself, many times over.

Reports the false-positive rate: the share of comparisons whose 95 % interval of the paired ratio excludes 1. What the
sign test promises is at most 5 %; what a noisy machine does to pairs that are not quite simultaneous comes on top, and
this is where it shows.
"""

from __future__ import annotations

from typing import Any

import pytest

from slotlookup.questions import questions_of
from slotlookup.registry import find_workload, presets, structures
from slotlookup.structure import NativeStructure

from ..measure.runner import NATIVE_SECONDS
from ..measure.tasks import GfnTask, HvaTask, Task
from ..measure.timing import time_task
from ..results.statistics import ratio_interval

STRATEGIES = [name for name, s in structures().items() if isinstance(s, NativeStructure)] + list(presets())
REPEATS = 5
EVENTS = 200_000
EFFECT = 0.05
"""A difference this large between equals would mislead; a smaller one, even if significant, would not be quoted."""


def _tasks() -> list[Task]:
    questions = questions_of(find_workload("q35-4G-numa64").build(events=EVENTS), seed=0)
    return [GfnTask(questions, EVENTS), HvaTask(questions, 20_000)]


def test_identical_work_shows_no_difference(benchmark: Any) -> None:
    tasks = _tasks()
    false, misleading, compared = [], [], 0

    def compare_all() -> None:
        nonlocal compared
        for task in tasks:
            for text in STRATEGIES * REPEATS:
                # One name twice would be one strategy; a spec that says the same with a default spelt out is another.
                twin = f"{text},cache={'last-used' if text == 'kvm-5.17' else 'none'}"
                samples = time_task(task, [text, twin], task.load, NATIVE_SECONDS / 8, lambda share: None)
                ratio = ratio_interval(samples.ns[text], samples.ns[twin])
                compared += 1
                if ratio.low is not None and ratio.high is not None and not ratio.low <= 1 <= ratio.high:
                    false.append(f"{task.role} {text}: {ratio.median:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]")
                    if abs(ratio.median - 1) > EFFECT:
                        misleading.append(false[-1])

    benchmark.pedantic(compare_all, rounds=1)
    benchmark.extra_info.update(
        compared=compared, false_positives=false, rate=len(false) / compared, misleading=misleading
    )
    print(f"\nidentical work: {len(false)} of {compared} comparisons called different ({len(false) / compared:.1%})")
    for line in false:
        print(f"  {line}")
    assert not misleading, f"identical work differs by more than {EFFECT:.0%}: {misleading}"
    assert len(false) / compared <= 0.15


if __name__ == "__main__":
    pytest.main([__file__, "-s"])
