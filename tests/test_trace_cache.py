"""Generated traces are cached, and generated again if damaged."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from slotlookup.errors import UsageError
from slotlookup.model.scenario import Scenario, cache_folder
from slotlookup.registry import workloads

SCENARIOS = {name: workload for name, workload in workloads().items() if isinstance(workload, Scenario)}
EVENTS = 2_000
MEMORY = 32 << 20


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_traces_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    scenario = SCENARIOS["steady"]
    made = scenario.build(events=EVENTS, memory=MEMORY)
    (kept,) = cache_folder().glob("*.parquet")
    assert scenario.build(events=EVENTS, memory=MEMORY).fingerprint == made.fingerprint
    kept.write_bytes(kept.read_bytes()[:1000])
    with caplog.at_level(logging.WARNING):
        assert scenario.build(events=EVENTS, memory=MEMORY).fingerprint == made.fingerprint
    assert "it is generated again" in caplog.text and str(kept) in caplog.text
    assert scenario.build(events=EVENTS, memory=MEMORY, seed=1).fingerprint != made.fingerprint
    assert len(list(cache_folder().glob("*.parquet"))) == 2


def test_a_cache_that_cannot_be_written_is_said(caplog: pytest.LogCaptureFixture) -> None:
    cache_folder().parent.parent.mkdir(parents=True)
    cache_folder().parent.write_text("in the way")
    with caplog.at_level(logging.WARNING):
        assert len(SCENARIOS["steady"].build(events=10, memory=MEMORY).events) == 10
    assert "the trace is not cached" in caplog.text


@pytest.mark.parametrize(
    ("asked", "words"), [({"slots": 0}, "slots"), ({"events": 0}, "events"), ({"memory": 1}, "page")]
)
def test_sizes_that_cannot_be_met(asked: dict[str, int], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        SCENARIOS["steady"].build(**asked)
