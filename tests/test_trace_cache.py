"""Generated traces are cached within a limit, and generated again if damaged."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from slotlookup.bench.cli import cli
from slotlookup.errors import UsageError
from slotlookup.model import scenario as scenarios
from slotlookup.model.scenario import Scenario
from slotlookup.model.trace_cache import cache_folder
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


def fill(*sizes: int) -> list[Path]:
    """Files of these sizes in KiB as traces, the first used the longest time ago; and a file that is no trace."""
    folder = cache_folder()
    folder.mkdir(parents=True)
    (folder / "notes.parquet").write_bytes(bytes(1 << 20))
    made = [folder / f"old-{number:016x}.parquet" for number in range(len(sizes))]
    for number, (path, size) in enumerate(zip(made, sizes, strict=True)):
        for file in (path, path.with_suffix(".json")):
            file.write_bytes(bytes(size << 9))
            os.utime(file, (1_000 + number, 1_000 + number))
    return made


def test_a_new_trace_pushes_out_those_used_the_longest_time_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = fill(100, 100, 100)
    SCENARIOS["steady"].build(events=EVENTS, memory=MEMORY)
    (made,) = set(cache_folder().glob("steady-*.parquet"))
    size = sum(file.stat().st_size for file in cache_folder().glob("steady-*"))
    monkeypatch.setattr(scenarios, "LIMIT", (200 << 10) + 3 * size)
    os.utime(made, (1, 1))
    os.utime(made.with_suffix(".json"), (1, 1))
    SCENARIOS["steady"].build(events=EVENTS, memory=MEMORY)  # used again, so not the oldest any more
    SCENARIOS["steady"].build(events=EVENTS, memory=MEMORY, seed=1)
    assert not first.exists() and not first.with_suffix(".json").exists()
    assert second.exists() and third.exists() and made.exists()
    monkeypatch.setattr(scenarios, "LIMIT", 0)
    SCENARIOS["steady"].build(events=EVENTS, memory=MEMORY, seed=2)  # larger than the limit, and kept
    assert len(list(cache_folder().glob("steady-*.parquet"))) == 1
    assert (cache_folder() / "notes.parquet").exists()


def test_the_cache_is_shown_and_pruned() -> None:
    def cache(*words: str) -> str:
        result = CliRunner().invoke(cli, ["cache", *words], standalone_mode=False)
        assert result.exception is None
        return result.stdout

    assert cache() == f"{cache_folder()}\n0 traces, 0.0 MiB; at most 512.0 MiB are kept\n"
    first, second, third = fill(1024, 512, 2048)
    assert "3 traces, 3.5 MiB" in cache()
    assert "2 traces, 2.5 MiB" in (shown := cache("--prune", "2.5M")) and "1 trace deleted, 1.0 MiB" in shown
    assert third.exists() and second.exists() and not first.exists()
    assert "2 traces deleted" in cache("--prune", "0")
    assert [path.name for path in cache_folder().iterdir()] == ["notes.parquet"]
