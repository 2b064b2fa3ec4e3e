"""Compiled libraries that are built before a search: limits, missing counts and missing packages are reported."""

from __future__ import annotations

import importlib.util
import json
import random
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from results import by_strategy

from slotlookup import registry, structure
from slotlookup.address import ADDRESS_LIMIT, Gfn, Hva
from slotlookup.bench.cli import cli
from slotlookup.bench.gate import suite
from slotlookup.bench.measure import passes as bench_passes
from slotlookup.bench.measure import selection
from slotlookup.bench.sweep import points
from slotlookup.conformance.tandem import Tandem, create
from slotlookup.errors import BeyondLimit, BrokenStrategy, SpecError
from slotlookup.memslots import ChangeKind, Memslot, SlotChange, make_memslot
from slotlookup.strategy import Counters
from slotlookup.stream import creation_table
from slotlookup.structure import Family, PythonStructure, RangeIndex
from slotlookup.trace import Trace, gfn_events, write_trace

RIVALS = ("py-ncls", "py-superintervals")
THERE = [name for name in RIVALS if not registry.missing(name)]
HVA = 0x7F00_0000_0000


def declared(name: str) -> PythonStructure:
    found = registry.structures()[name]
    assert isinstance(found, PythonStructure)
    return found


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), standalone_mode=False)


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bench_passes, "NATIVE_SECONDS", 0.0)
    monkeypatch.setattr(bench_passes, "PYTHON_SECONDS", 0.0)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the rivals."""

    def find_spec(name: str) -> ModuleSpec | None:
        return None if name in ("ncls", "superintervals") else importlib.util.find_spec(name)

    monkeypatch.setattr(structure, "find_spec", find_spec)


@pytest.fixture
def small(tmp_path: Path) -> str:
    slots = (make_memslot(0, 0, 0x4000, HVA), make_memslot(1, 0x10000, 0x20000, HVA + 0x100000))
    write_trace(Trace("small", slots, gfn_events([0, 3, 0x11, 0x999])), tmp_path / "small.parquet")
    return str(tmp_path / "small.parquet")


@pytest.fixture
def high(tmp_path: Path) -> str:
    """A slot at 16 TiB: gfn 2^32."""
    slots = (make_memslot(0, 0, 0x4000, HVA), make_memslot(1, 1 << 44, 0x4000, HVA + 0x100000))
    write_trace(Trace("high", slots, gfn_events([0, 3, 1 << 32, 5])), tmp_path / "high.parquet")
    return str(tmp_path / "high.parquet")


@pytest.mark.parametrize("name", THERE)
def test_many_ranges_are_found_as_by_a_scan(name: str) -> None:
    chance = random.Random(4)
    index = declared(name).make()
    held: dict[int, tuple[int, int]] = {}
    for step in range(2500):
        if held and chance.random() < 0.2:
            number = chance.choice(list(held))
            index.remove(*held.pop(number), number)
        else:
            start = chance.randrange(4000)
            held[step] = (start, start + chance.choice((0, 1, 7, 900)))
            index.insert(*held[step], step)
        if step % 25 == 0:
            first = chance.randrange(5000)
            last = first + chance.choice((0, 3, 300, 6000))
            right = sorted(n for n, (s, e) in held.items() if s <= last and e >= first)
            assert sorted(index.visit(first, last)) == right
            index.check()
    assert len(held) > 1024
    assert sorted(index.visit(0, declared(name).limit)) == sorted(held)


@pytest.mark.parametrize("name", THERE)
def test_the_index_is_built_when_a_change_is_complete_or_at_the_first_question(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[RangeIndex] = []
    built: list[int] = []
    whole = declared(name)
    kind = type(whole.make())
    settle = kind.settle

    def counted(self: RangeIndex) -> None:
        before = vars(self).copy()
        settle(self)
        built.extend([len(self)] * (vars(self) != before))

    monkeypatch.setattr(kind, "settle", counted)
    spec = f"gfn={name},hva=py-linear"
    slots = [make_memslot(n, n << 20, 1 << 16, HVA + (n << 20)) for n in range(5)]
    strategy = registry.make_strategy(spec)
    strategy.load_table(creation_table(slots))
    assert built == [] and made == []
    assert strategy.lookup_gfn(Gfn(0x300)) == 3
    assert built == [5]
    strategy.lookup_gfn(Gfn(0x400))
    assert built == [5]
    strategy.apply(SlotChange(ChangeKind.DELETE, slots[3]))
    assert built == [5, 4]  # without a question: a change costs the building
    assert strategy.lookup_gfn(Gfn(0x300)) == -1
    strategy.apply_table(creation_table([slots[3]]))
    assert built == [5, 4, 5]
    strategy.apply(SlotChange(ChangeKind.FLAGS_ONLY, slots[2]))
    assert built == [5, 4, 5]


@pytest.mark.parametrize("name", THERE)
def test_ranges_up_to_the_limit_and_questions_beyond(name: str) -> None:
    whole, top = declared(name), ADDRESS_LIMIT - 1
    index = whole.make()
    index.insert(whole.limit, whole.limit, 1)
    index.insert(0, whole.limit, 2)
    assert sorted(index.visit(whole.limit, whole.limit)) == [1, 2]
    assert sorted(index.visit(whole.limit, top)) == [1, 2]
    assert sorted(index.visit(0, top)) == [1, 2]
    assert sorted(index.visit(whole.limit + 1, top)) == []
    assert index.find(whole.limit + 1) == index.find(top) == index.find(1 << 63) == -1
    with pytest.raises(OverflowError, match="beyond"):
        index.insert(5, whole.limit + 1, 3)
    index.remove(0, whole.limit, 2)
    assert index.find(whole.limit) == 1 and index.find(0) == -1


def at(number: int, gfn: int, hva: int = HVA) -> Memslot:
    return make_memslot(number, gfn << 12, 0x4000, hva)


@pytest.mark.skipif("py-superintervals" not in THERE, reason="not installed")
def test_a_slot_beyond_the_limit_is_refused_and_nothing_else_changes() -> None:
    strategy = registry.make_strategy("py-superintervals")
    strategy.apply(SlotChange(ChangeKind.CREATE, at(0, 0)))
    high = SlotChange(ChangeKind.CREATE, at(1, 1 << 32))
    with pytest.raises(BeyondLimit, match="the last gfn of slot 1 is 0x100000003, and the largest key is 0x7fffffff"):
        strategy.apply(high)
    strategy.check()
    assert len(strategy) == 1
    assert strategy.lookup_gfn(Gfn(1 << 32)) == -1 and strategy.lookup_gfn(Gfn(3)) == 0
    with pytest.raises(BeyondLimit):
        strategy.apply(SlotChange(ChangeKind.MOVE, at(0, 1 << 31)))
    assert strategy.lookup_gfn(Gfn(3)) == 0
    strategy.apply(SlotChange(ChangeKind.MOVE, at(0, (1 << 31) - 4)))
    assert strategy.lookup_gfn(Gfn(Gfn(1 << 31) - 1)) == 0


@pytest.mark.skipif("py-ncls" not in THERE, reason="not installed")
def test_signed_keys_hold_all_but_the_very_last_hva() -> None:
    strategy = registry.make_strategy("py-ncls")
    strategy.apply(SlotChange(ChangeKind.CREATE, at(0, 0, (1 << 63) - 0x5000)))
    with pytest.raises(BeyondLimit, match="the last hva of slot"):
        strategy.apply(SlotChange(ChangeKind.CREATE, at(1, 16, (1 << 63) - 0x4000)))
    assert strategy.visit_hva((Hva(Hva(1 << 63) - 0x5000)), Hva(1 << 63)) == [0]
    assert strategy.visit_hva((Hva(Hva(1 << 63) - 1)), Hva(1 << 63)) == []


def test_a_refusal_must_be_declared_and_a_declared_one_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite passes over slots beyond a limit, and over nothing else."""
    tandem = Tandem(lambda: registry.make_strategy("py-linear"))

    def refuse(change: SlotChange) -> None:
        raise BeyondLimit("too much")

    with monkeypatch.context() as patch:
        patch.setattr(tandem.strategy, "apply", refuse)
        with pytest.raises(BrokenStrategy, match="within the declared limits was refused"):
            tandem.play([create(0, 0, 4, HVA)])
    object.__setattr__(tandem.strategy.capabilities, "limits", (1, ADDRESS_LIMIT))
    with pytest.raises(BrokenStrategy, match="beyond the declared limits was accepted"):
        tandem.play([create(0, 0, 4, HVA)])


@pytest.mark.parametrize("name", THERE)
def test_nothing_is_counted_in_compiled_code(name: str, small: str) -> None:
    strategy = registry.make_strategy(f"{name},cache=last-used", counted=True)
    strategy.apply_table(creation_table([at(0, 0)]))
    assert strategy.lookup_gfn(Gfn(1)) == strategy.lookup_gfn(Gfn(2)) == 0
    assert strategy.capabilities.counts == ()
    assert strategy.counters() == Counters(None, None, None, None)
    result = call("run", small, "-s", name, "-s", "py-linear", "--json")
    rival, linear = by_strategy(json.loads(result.stdout)).values()
    assert result.return_value == 0 and rival["state"] == "verified"
    assert linear["figures"]["gfn"]["compares"] > 0
    for role in ("gfn", "hva", "update"):
        ops = rival["figures"][role]
        assert [ops[count] for count in ("slots_examined", "compares", "hops", "lines")] == [None] * 4
        assert ops["ns"]["throughput_hot"]["median"] > 0
    assert f" {name} " in call("run", small, "-s", name).stdout
    assert "n/a" in call("run", small, "-s", name, "--counts-only").stdout


@pytest.mark.skipif("py-superintervals" not in THERE, reason="not installed")
def test_asked_to_hold_too_much_it_is_void_and_says_why(high: str) -> None:
    result = call("run", high, "-s", "py-superintervals", "-s", "linear", "--json", "--counts-only")
    void, sound = json.loads(result.stdout)["strategies"]
    assert result.return_value == 1
    assert (void["state"], sound["state"]) == ("void", "verified")
    assert void["reason"] == (
        "py-superintervals cannot hold this: the last gfn of slot 1 is 0x100000003, and the largest key is 0x7fffffff"
    )
    assert "py-superintervals is void: py-superintervals cannot hold this" in " ".join(
        call("run", high, "-s", "py-superintervals", "--counts-only").stdout.split()
    )


@pytest.mark.skipif("py-superintervals" not in THERE, reason="not installed")
def test_by_default_it_is_absent_where_it_cannot_hold_the_slots(high: str, small: str) -> None:
    result = call("run", high, "--all", "--counts-only")
    assert result.return_value == 0
    shown = " ".join(result.stdout.split())
    assert "py-superintervals absent cannot hold all slots: the last gfn of slot 1 is" in shown
    assert "absent" not in call("run", small, "--counts-only", "-s", "py-superintervals").stdout


@pytest.mark.usefixtures("bare")
class TestWithoutTheLibraries:
    def test_the_list_says_how_to_get_them(self) -> None:
        rows = {r["strategy"]: r for r in json.loads(call("strategies", "--json").stdout)["strategies"]}
        for name in RIVALS:
            assert rows[name]["note"] == "not installed: pip install 'slotlookup[rivals]'"
            assert rows[name]["installed"] is False and rows[name]["bytes_per_slot"] is None
        assert rows["py-linear"]["installed"] is True
        assert "not installed: pip install" in " ".join(call("strategies").stdout.split())

    @pytest.mark.parametrize(
        "spec", ["py-ncls", "py-superintervals", "gfn=py-linear,hva=py-ncls", "py-ncls,cache=none"]
    )
    def test_asking_is_refused_in_one_line(self, spec: str) -> None:
        for ask in (
            lambda: registry.make_strategy(spec),
            lambda: CliRunner().invoke(
                cli, ["run", "two-slot", "-s", spec], catch_exceptions=False, standalone_mode=False
            ),
        ):
            with pytest.raises(SpecError, match=r"not installed: pip install 'slotlookup\[rivals\]'") as caught:
                ask()
            assert str(caught.value).startswith(f"strategy '{spec}': ") and "\n" not in str(caught.value)

    @pytest.mark.parametrize("command", ["run", "sweep", "check"])
    def test_a_command_refuses_before_it_builds_a_trace(self, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def load(*given: object) -> None:
            raise AssertionError("a trace was built")

        for module, name in (
            (selection, "load_with_outcome"),
            (points, "load_with_outcome"),
            (suite, "load_trace"),
        ):
            monkeypatch.setattr(module, name, load)
        Path("slotlookup.toml").write_text('strategies = ["linear", "py-ncls"]\n')
        with pytest.raises(SpecError, match="py-ncls"):
            CliRunner().invoke(cli, [command], catch_exceptions=False, standalone_mode=False)

    def test_a_run_of_everything_goes_without_and_says_so(self, small: str) -> None:
        shown = call("run", small, "--all", "--counts-only")
        assert shown.return_value == 0
        for name in RIVALS:
            row = f"{name} absent not installed: pip install 'slotlookup[rivals]'"
            assert row in " ".join(shown.stdout.split())
        found = json.loads(call("run", small, "--all", "--counts-only", "--json").stdout)
        why = {"state": "absent", "reason": "not installed: pip install 'slotlookup[rivals]'"}
        for name in RIVALS:
            assert why.items() <= by_strategy(found)[name].items()
            (row,) = (row for row in found["roles"]["gfn"] if row["name"] == name)
            assert {**why, "figures": None, "measured_in": None, "strategies": [name]}.items() <= row.items()
        # Its partner, which is there, is not absent with it.
        visits = {row["name"]: row["state"] for row in found["roles"]["hva"]}
        assert visits["py-intervaltree"] == "verified" and "py-superintervals" not in visits


def test_rivals_have_their_extra() -> None:
    import tomllib

    path = Path(__file__).parents[1] / "pyproject.toml"
    extras = tomllib.loads(path.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for whole in registry.structures().values():
        if isinstance(whole, PythonStructure) and whole.package:
            assert whole.family is Family.PYTHON
            assert any(line.startswith(whole.package) for line in extras[whole.extra])
