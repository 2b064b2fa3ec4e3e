"""No command builds a strategy without asking it questions: declarations are described without building."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from slotlookup import registry
from slotlookup.address import Gfn
from slotlookup.bench.cli import cli
from slotlookup.bench.measure import passes as bench_passes
from slotlookup.families.native import NativeStrategy
from slotlookup.families.python import PythonStrategy
from slotlookup.memslots import make_memslot
from slotlookup.trace import Trace, gfn_events, hva_events, slot_events, write_trace

ASKING = (
    *("lookup_gfn", "visit_hva", "answer_gfns", "answer_hvas", "apply", "bytes"),
    *("replay_gfns", "replay_hvas", "replay_changes", "replay_load"),
)
"""The methods whose results or times a command shows. Loading the starting slots is none of them."""
START = (make_memslot(0, 0x0, 0x4000, 0x7000_0000_0000), make_memslot(1, 0x10000, 0x20000, 0x6000_0000_0000))
STEPS = np.concatenate(
    [
        gfn_events([0, 3, 0x11]),
        hva_events([0x7000_0000_0000], [0x7000_0000_1000]),
        slot_events([(3, 0x80000, 0x1000, 0x5000_0000_0000, 0)]),
        gfn_events([0x80]),
    ]
)


class Watch:
    """Which strategies were built, in order, and how often each was asked something."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.built: list[Any] = []
        self.asked: Counter[int] = Counter()
        for family in (NativeStrategy, PythonStrategy):
            monkeypatch.setattr(family, "__init__", self._building(family.__init__))
            for name in ASKING:
                if hasattr(family, name):
                    monkeypatch.setattr(family, name, self._asking(getattr(family, name)))

    def _building(self, init: Callable[..., None]) -> Callable[..., None]:
        def build(strategy: Any, *arguments: Any, **options: Any) -> None:
            self.built.append(strategy)  # kept, so that no two have the same id
            init(strategy, *arguments, **options)

        return build

    def _asking(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def ask(strategy: Any, *arguments: Any) -> Any:
            self.asked[id(strategy)] += 1
            return method(strategy, *arguments)

        return ask

    def idle(self) -> list[str]:
        """The names of strategies that were built for nothing."""
        return [strategy.name for strategy in self.built if not self.asked[id(strategy)]]


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Watch:
    monkeypatch.setattr(bench_passes, "NATIVE_SECONDS", 0.0)
    monkeypatch.setattr(bench_passes, "PYTHON_SECONDS", 0.0)
    monkeypatch.chdir(tmp_path)
    write_trace(Trace("small", START, STEPS), tmp_path / "small.parquet")
    return Watch(monkeypatch)


def names_there() -> set[str]:
    return {name for name in registry.strategy_names() if not registry.missing(name)}


def test_a_run_of_all_strategies_asks_each_that_it_builds(watch: Watch) -> None:
    asked = ("--all", "--counts-only", "--json")
    result = CliRunner().invoke(cli, ["run", "small.parquet", *asked], standalone_mode=False)
    assert result.return_value == 0
    assert watch.idle() == []
    assert {strategy.name for strategy in watch.built} >= names_there() - {"py-superintervals"}, "whose keys are short"


def test_a_timed_run_asks_each_strategy_that_it_builds(watch: Watch) -> None:
    asked = ("-s", "rbtree", "-s", "py-bintrees")
    result = CliRunner().invoke(cli, ["run", "small.parquet", *asked, "--json"], standalone_mode=False)
    assert result.return_value == 0
    assert watch.idle() == []
    assert {strategy.name for strategy in watch.built} == {"rbtree", "linear", "empty", "py-bintrees", "py-linear"}


def test_the_list_builds_those_whose_bytes_it_measures(watch: Watch) -> None:
    result = CliRunner().invoke(cli, ["strategies", "--json"], standalone_mode=False)
    assert result.exception is None
    assert watch.idle() == []
    native = sorted(name for name in names_there() if registry.family_of(name) == "native")
    assert sorted(strategy.name for strategy in watch.built) == native, "each once"


def test_a_strategy_that_is_built_for_nothing_is_noticed(watch: Watch) -> None:
    idle, asked = registry.make_strategy("rbtree"), registry.make_strategy("py-linear")
    asked.lookup_gfn(Gfn(0))
    assert watch.built == [idle, asked]
    assert watch.idle() == ["rbtree"]
