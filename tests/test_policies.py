"""What a modelled workload costs its guest and its host: in runs, in the cache, and as a comparison of policies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from slotlookup.bench.cli import cli
from slotlookup.bench.commands.policies import sentence
from slotlookup.bench.measure.policies import PolicyOutcome
from slotlookup.model.mmu.reference import ReferenceStrategy
from slotlookup.model.outcome import Outcome
from slotlookup.registry import workloads
from slotlookup.workloads.swap import SWAP

SMALL = ("--slots", "2", "--memory", "4M", "--events", "6000")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "slotlookup" / "traces"


def call(*arguments: str) -> Result:
    result = CliRunner().invoke(cli, list(arguments), standalone_mode=False)
    assert result.exception is None, result.exception
    return result


def outcome_of(workload: str) -> dict[str, Any]:
    text = call("run", workload, *SMALL, "-s", "linear", "--counts-only", "--json").stdout
    found: dict[str, Any] = json.loads(text)["workload"]["outcome"]
    return found


def test_a_run_reports_what_the_model_counted_since_the_start() -> None:
    swap = next(one for one in SWAP if one.name == "swap")
    size = swap.size(slots=2, memory=4 << 20, events=6000, seed=0)
    vm = swap.play(ReferenceStrategy(), size)
    report, found = vm.report(), outcome_of("swap")
    # Before the start the guest fills the host's memory: five eighths of 1,024 pages, each touched once, by a batch.
    filled = report["guest"]["accesses"] - found["accesses"]
    assert 600 <= filled <= 640
    # Nothing is aged before the host's memory is full.
    assert found["ageing_calls"] == report["notifier"]["aged"] > 0
    assert found["evicted"] == report["host"]["evicted"] > 0
    assert found["major_faults"] == report["host"]["major"] > 0
    assert report["host"]["minor"] - found["minor_faults"] == filled


@pytest.mark.parametrize("damage", ["nothing", "no outcome", "not JSON", "another document", "a count that is none"])
def test_the_cache_gives_the_outcome_again(damage: str, cache: Path) -> None:
    first = outcome_of("swap-2008-not-young")
    (kept,) = cache.glob("*.json")
    if damage == "no outcome":
        kept.unlink()
    elif damage != "nothing":
        wrong = {"not JSON": "{", "another document": "[]", "a count that is none": json.dumps({**first, "exits": -1})}
        kept.write_text(wrong[damage])
    assert outcome_of("swap-2008-not-young") == first
    assert json.loads(kept.read_text()) == first


def test_other_workloads_have_no_outcome() -> None:
    found = json.loads(call("run", "two-slot", "-s", "linear", "--counts-only", "--json").stdout)
    assert found["workload"]["outcome"] is None


def test_every_modelled_workload_has_one_and_its_table_says_it() -> None:
    printed = call("run", "swap", *SMALL, "-s", "linear", "--counts-only", "--role", "gfn").stdout
    text = " ".join(printed.split())
    found = outcome_of("swap")
    assert f"with {found['exits']:,} exits" in text
    assert f"{found['major_faults']:,} major faults" in text
    assert f"{found['wrongly_evicted']:,} wrongly evicted" in text
    printed = call(
        "run",
        "boot",
        "--slots",
        "2",
        "--memory",
        "4M",
        "--events",
        "500",
        "-s",
        "linear",
        "--counts-only",
        "--role",
        "gfn",
    ).stdout
    assert "The guest made" in printed and "wrongly evicted" not in printed


def test_policies_play_the_same_accesses() -> None:
    found = json.loads(call("policies", "--slots", "2", "--memory", "2M", "--accesses", "1000", "--json").stdout)
    of = {one["policy"]: one for one in found["policies"]}
    assert list(of) == ["accessed bits", "always young", "young and unmap", "not young"]
    assert {one["workload"] for one in found["policies"]} == {one.name for one in SWAP} <= set(workloads())
    assert len({one["accesses"] for one in found["policies"]}) == 1
    # By definition: bits are never wrong, "always young" reports every page as used, "not young" none.
    assert of["accessed bits"]["pinned"] == of["accessed bits"]["wrongly_evicted"] == 0
    assert of["always young"]["young"] == of["always young"]["ageing_calls"] > 0
    assert of["not young"]["young"] == 0 < of["not young"]["wrongly_evicted"]
    # Whatever is found in the swap cache is a minor fault of a page that was unmapped and not yet written out.
    assert all(0 <= one["swap_cache_faults"] <= one["minor_faults"] for one in found["policies"])
    # Whatever is asked for and used again must fault, but nothing else is evicted than with bits.
    assert of["young and unmap"]["exits"] > of["accessed bits"]["exits"]
    assert of["young and unmap"]["major_faults"] == of["accessed bits"]["major_faults"]


def test_the_sentence_by_hand() -> None:
    def outcome(exits: int, major: int, calls: int) -> Outcome:
        return Outcome(1000, exits, 10, major, calls, 0, 0, 0, 5, 0)

    found = [
        PolicyOutcome("accessed bits", "swap", outcome(100, 50, 10), 1),
        PolicyOutcome("always young", "a", outcome(110, 60, 490), 1),
        PolicyOutcome("not young", "b", outcome(150, 45, 10), 1),
    ]
    assert sentence(found) == (
        "Against accessed bits: always young +10% exits, +20% major faults, 49 times the ageing calls; "
        "not young +50% exits, -10% major faults."
    )
    assert "more --accesses" in sentence([PolicyOutcome("accessed bits", "swap", outcome(0, 0, 0), 0)])
