"""`slotlookup advise`: sums of parts against brute force, planted timings, constraints, the whole command, --write."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import tomlkit
from click.testing import CliRunner

from slotlookup.bench.advise import writing
from slotlookup.bench.advise.advice import Advice, Reason, Subject, advise
from slotlookup.bench.advise.measuring import Measured
from slotlookup.bench.advise.report import sentences
from slotlookup.bench.advise.search import Limits, Predicted, Setting, changed_by, finalists, pareto, predict
from slotlookup.bench.advise.space import MEMORY, Space, parts_of, readers_continue, space_of
from slotlookup.bench.cli import cli
from slotlookup.bench.results.mix import Mix, Weight
from slotlookup.errors import InputFileError, UsageError
from slotlookup.questions import Questions, questions_of
from slotlookup.registry import find_workload, parse_spec, structures
from slotlookup.spec import StrategySpec
from slotlookup.structure import NativeStructure
from slotlookup.vocabulary import CachePolicy, Operation, Target, UpdateDiscipline

GFN, HVA, UPDATE = Operation
BASE = StrategySpec("rbtree", "interval-tree")
MIX = Mix({GFN: Weight(90), HVA: Weight(9), UPDATE: Weight(1)})
SPACE = Space(
    Target.VMM,
    ("rbtree", "linear"),
    (("interval-tree", False), ("linear", False)),
    (CachePolicy.NONE, CachePolicy.LAST_USED),
    (UpdateDiscipline.IN_PLACE, UpdateDiscipline.COPY),
    BASE,
)
# The costs of a world in which the shares of both structures add up: by structure, cache and discipline.
LOOKUP = {
    ("rbtree", "none"): 20.0,
    ("rbtree", "last-used"): 8.0,
    ("linear", "none"): 10.0,
    ("linear", "last-used"): 9.0,
}
VISIT = {"interval-tree": 30.0, "linear": 12.0}
CHANGE = {
    ("rbtree", "in-place"): 100.0,
    ("rbtree", "copy"): 700.0,
    ("linear", "in-place"): 40.0,
    ("linear", "copy"): 300.0,
    ("interval-tree", "in-place"): 150.0,
    ("interval-tree", "copy"): 500.0,
}
SIZE = {"rbtree": 40.0, "interval-tree": 48.0, "linear": 8.0}


def lookup(spec: StrategySpec) -> float:
    return LOOKUP[spec.gfn, str(spec.cache)]


def change(spec: StrategySpec) -> float:
    return CHANGE[spec.gfn, str(spec.update)] + CHANGE[spec.hva, str(spec.update)]


def cost(spec: StrategySpec) -> float:
    return 0.9 * lookup(spec) + 0.09 * VISIT[spec.hva] + 0.01 * change(spec)


def of_world(text: str) -> dict[str, float]:
    """Nanoseconds per operation of a whole combination, and its bytes per slot."""
    spec = parse_spec(text)
    return {GFN: lookup(spec), HVA: VISIT[spec.hva], UPDATE: change(spec), MEMORY: SIZE[spec.gfn] + SIZE[spec.hva]}


def part_texts(space: Space) -> set[str]:
    return {text for spec in space.combinations() for parts in parts_of(spec, BASE).values() for text, _ in parts}


def parts_of_world(space: Space = SPACE) -> dict[str, dict[str, float]]:
    figures = {text: of_world(text) for text in part_texts(space)}
    return {role: {text: one[role] for text, one in figures.items()} for role in (*Operation, MEMORY)}


def predicted(mix: Mix = MIX) -> list[Predicted]:
    return predict(SPACE, [Setting("world", mix, parts_of_world())], max)


def test_sums_of_parts_are_the_costs_of_the_wholes() -> None:
    found = predicted()
    assert len(found) == 2 * 2 * 2 * 2
    for one in found:
        assert one.costs[0] == pytest.approx(cost(one.spec))
        assert one.bytes_per_slot == pytest.approx(SIZE[one.spec.gfn] + SIZE[one.spec.hva])
        assert one.update_ns == pytest.approx(change(one.spec))


def test_the_cheapest_is_that_of_brute_force() -> None:
    every = [
        StrategySpec(gfn, hva, cache, update)
        for gfn, (hva, _), cache, update in product(SPACE.gfn, SPACE.hva, SPACE.caches, SPACE.disciplines)
    ]
    # By hand: 0.9 * 8 + 0.09 * 12 + 0.01 * (100 + 40) = 9.68; the linear array with a cache costs 9.98.
    assert min(map(cost, every)) == pytest.approx(9.68)
    assert predicted()[0].spec == min(every, key=cost) == parse_spec("gfn=rbtree,hva=linear,cache=last-used")


def test_the_front_is_that_of_brute_force() -> None:
    found = predicted()

    def axes(one: Predicted) -> tuple[float, ...]:
        return (round(cost(one.spec), 9), SIZE[one.spec.gfn] + SIZE[one.spec.hva], change(one.spec))

    def surpassed(one: Predicted) -> bool:
        mine = axes(one)
        return any(all(a <= b for a, b in zip(axes(o), mine, strict=True)) and axes(o) != mine for o in found)

    assert {one.spec for one in pareto(found)} == {one.spec for one in found if not surpassed(one)}
    assert len(pareto(found)) > 1


def test_finalists_differ_in_more_than_the_discipline() -> None:
    chosen = finalists(predicted(), 5)
    assert len({(one.spec.gfn, one.spec.hva, one.spec.cache) for one in chosen}) == 5
    assert [one.costs[0] for one in chosen] == sorted(one.costs[0] for one in chosen)


def test_the_share_of_changes_that_changes_the_answer() -> None:
    found = predicted()
    first = changed_by(found[0], found, MIX)
    assert first is not None

    def share_at(spec: StrategySpec, share: float) -> float:
        return (1 - share) * (90 * lookup(spec) + 9 * VISIT[spec.hva]) / 99 + share * change(spec)

    def cheaper(share: float) -> bool:
        return any(share_at(one.spec, share) < 0.9 * share_at(found[0].spec, share) for one in found)

    # Found again in steps of a ten-thousandth.
    assert next(i / 10_000 for i in range(100, 10_000) if cheaper(i / 10_000)) == pytest.approx(first.share, abs=2e-4)
    assert share_at(first.spec, first.share) == pytest.approx(0.9 * share_at(found[0].spec, first.share))


def test_a_part_without_a_figure_excludes_its_combinations() -> None:
    parts = parts_of_world()
    parts[HVA] = {text: ns for text, ns in parts[HVA].items() if parse_spec(text).hva != "linear"}
    found = predict(SPACE, [Setting("world", MIX, parts)], max)
    assert {one.spec.hva for one in found} == {"interval-tree"}


@pytest.fixture(scope="module")
def questions() -> Questions:
    return questions_of(find_workload("two-slot").build(slots=None, events=200, seed=0), 0)


class World:
    """Measures as the world has it, or as a planted fault has it."""

    def __init__(
        self,
        planted: Mapping[str, float] | None = None,
        whole: Mapping[str, float] | None = None,
        noise: float = 0.0,
    ) -> None:
        self.noise = noise
        self.planted = planted or {}
        self.whole = whole or {}
        self.built: list[str] = []

    def parts(self, space: Space, questions: Questions, report: object) -> Measured:
        figures = parts_of_world(space)
        times: dict[str, dict[str, list[float]]] = {
            role: {text: [self.planted.get(text, ns) if role == GFN else ns] * 8 for text, ns in figures[role].items()}
            for role in Operation
        }
        return Measured(times, figures[MEMORY])

    def wholes(self, texts: Sequence[str], questions: Questions, report: object) -> Measured:
        self.built += texts
        factor = {text: self.whole.get(text, 1.0) for text in texts}
        times: dict[str, dict[str, list[float]]] = {
            role: {text: [of_world(text)[role] * factor[text]] * 8 for text in texts} for role in Operation
        }
        sizes = {text: of_world(text)[MEMORY] for text in texts}
        return Measured(times, sizes, identical={role: ([1 + self.noise] * 8, [1.0] * 8) for role in Operation})


def ask(
    questions: Questions, world: World, limits: Limits | None = None, now: str = "gfn=rbtree,hva=interval-tree"
) -> Advice:
    subject = Subject("two-slot", {}, questions, MIX)
    return advise([subject], SPACE, limits or Limits(), now, "", world.parts, world.wholes, lambda what, share: None)


def test_the_choice_is_measured(questions: Questions) -> None:
    world = World()
    found = ask(questions, world)
    assert (found.choice, found.reason) == ("gfn=rbtree,hva=linear,cache=last-used", Reason.TIME)
    assert found.choice in world.built
    assert found.prediction_error == pytest.approx(0)
    assert found.chosen is not None
    ratio = found.chosen.outcomes[0].ratio
    # 9.68 ns against 0.9 * 20 + 0.09 * 30 + 0.01 * 250 = 23.2.
    assert ratio is not None
    assert ratio.median == pytest.approx(9.68 / 23.2)


def test_a_wrong_timing_of_a_part_does_not_win(questions: Questions) -> None:
    """The part of the slowest lookup is planted as free: it leads the search, and loses when it is measured whole."""
    planted = str(StrategySpec("rbtree", "interval-tree"))
    world = World({planted: 0.0})
    found = ask(questions, world)
    assert found.choice == "gfn=rbtree,hva=linear,cache=last-used"
    victim = next(t for t in found.trials if t.strategy == "gfn=rbtree,hva=linear")
    assert victim.outcomes[0].error is not None
    assert victim.outcomes[0].error < -0.8


def test_a_whole_that_costs_more_than_its_parts_does_not_win(questions: Questions) -> None:
    found = ask(questions, World(whole={"gfn=rbtree,hva=linear,cache=last-used": 3.0}))
    assert found.choice == "gfn=linear,hva=linear,cache=last-used"


def test_limits_exclude(questions: Questions) -> None:
    small = ask(questions, World(), Limits(bytes_per_slot=20))
    assert small.choice == "gfn=linear,hva=linear,cache=last-used"
    assert {trial.strategy for trial in small.trials if not trial.refused} == {
        "gfn=linear,hva=linear,cache=last-used",
        "gfn=linear,hva=linear",
    }
    quick = ask(questions, World(), Limits(update_ns=90))
    assert quick.choice == "gfn=linear,hva=linear,cache=last-used"
    nothing = ask(questions, World(), Limits(update_ns=1))
    assert nothing.choice is None
    assert sentences(nothing)[0].startswith("No combination")


def test_a_limit_applies_to_what_was_measured_whole(questions: Questions) -> None:
    """The sums keep the limit of 150 ns per change; three times as much, measured whole, does not."""
    first = "gfn=rbtree,hva=linear,cache=last-used"
    found = ask(questions, World(whole={first: 3.0}), Limits(update_ns=150))
    refused = next(trial for trial in found.trials if trial.strategy == first)
    assert refused.refused
    assert found.choice != first


def test_what_time_does_not_distinguish_leaves_the_present_strategy(questions: Questions) -> None:
    """With a noise of 10 %, 9.98 ns and 9.68 ns are tied. The counts of this world are unknown."""
    linear, tree = "gfn=linear,hva=linear,cache=last-used", "gfn=rbtree,hva=linear,cache=last-used"
    kept = ask(questions, World(noise=0.1), now=linear)
    assert (kept.choice, kept.reason) == (linear, Reason.NOW)
    assert kept.tied[:2] == (tree, linear)
    # Of those tied, two arrays take 8 bytes per slot each; the tree takes 40.
    least = ask(questions, World(noise=0.1))
    assert (least.choice, least.reason) == (linear, Reason.MEMORY)


def test_a_kernel_has_no_simd_no_large_allocation_and_readers_that_continue() -> None:
    kernel, vmm = space_of(Target.KERNEL, unaliased=False), space_of(Target.VMM, unaliased=False)
    natives = {name: one for name, one in structures().items() if isinstance(one, NativeStructure)}
    excluded = set(vmm.gfn) - set(kernel.gfn)
    assert "simd-linear" in excluded
    assert excluded == {name for name in vmm.gfn if natives[name].simd or natives[name].big_allocation}
    assert all(readers_continue(spec) for spec in kernel.combinations())
    assert not readers_continue(parse_spec("rbtree"))
    assert readers_continue(parse_spec("rbtree,update=two-sets"))
    assert StrategySpec("rbtree", "rbtree") in set(vmm.combinations())
    assert StrategySpec("rbtree", "rbtree") not in set(kernel.combinations())
    python = space_of(Target.PYTHON, unaliased=False)
    assert not set(python.gfn) & set(natives)


def test_visits_that_stop_early_take_part_only_if_asked_for() -> None:
    assert not any(spec.unaliased for spec in space_of(Target.VMM, unaliased=False).combinations())
    assert any(spec.unaliased for spec in space_of(Target.VMM, unaliased=True).combinations())


def call(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["advise", *arguments], standalone_mode=False)


def test_the_command_measures_and_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    target = tmp_path / "slotlookup.toml"
    target.write_text("# ours\nseed = 3  # kept\n\n[check]\nbaseline = 'b.json'\n")
    done = call("two-slot", "--for", "python", "--events", "300", "--quick", "--json", "--write", str(target))
    assert done.exception is None, done.exception
    found = json.loads(done.stdout)
    schema = json.loads((files("slotlookup.bench") / "schemas" / "advise.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(found, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**found, "more": 1}, schema)
    assert found["choice"] in {trial["strategy"] for trial in found["trials"]}
    assert found["combinations"]["known"] > 20
    text = target.read_text()
    assert tomlkit.parse(text)["strategies"] == list(dict.fromkeys([found["choice"], "py-linear"]))
    assert "# ours" in text
    assert "seed = 3  # kept" in text
    assert text.index("strategies") < text.index("[check]")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--markdown", "--json"), "exclude each other"),
        (("--for", "python", "--cold"), "hot caches only"),
        (("--for", "python", "--now", "linear"), "compares python strategies"),
        (("--now", "lineal"), "did you mean 'linear'"),
        (("no-such-workload",), "no workload"),
        (("--write", "other.toml"), "slotlookup.toml or pyproject.toml"),
    ],
)
def test_bad_usage_is_refused(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        raise call(*arguments).exception


@pytest.mark.parametrize("text", ["strategies = [", "sead = 1\n", "tool = 3\n"])
def test_a_file_that_is_no_configuration_stays_as_it_is(text: str, tmp_path: Path) -> None:
    name = "pyproject.toml" if text.startswith("tool") else "slotlookup.toml"
    target = tmp_path / name
    target.write_text(text)
    with pytest.raises(InputFileError, match="nothing was written"):
        writing.write_strategies(target, ["linear"])
    assert target.read_text() == text
    assert list(tmp_path.iterdir()) == [target]


def test_a_project_keeps_its_other_tables(tmp_path: Path) -> None:
    target = tmp_path / "pyproject.toml"
    target.write_text('[project]\nname = "vmm"  # ours\n\n[tool.ruff]\nline-length = 100\n')
    writing.write_strategies(target, ["linear", "rbtree"])
    text = target.read_text()
    assert text.startswith('[project]\nname = "vmm"  # ours\n\n[tool.ruff]\nline-length = 100\n')
    assert tomlkit.parse(text).unwrap()["tool"]["slotlookup"] == {"strategies": ["linear", "rbtree"]}


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "slotlookup.toml"
    target.write_text("seed = 1\n")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputFileError, match="No space left"):
        writing.write_strategies(target, ["linear"])
    assert target.read_text() == "seed = 1\n"
    assert list(tmp_path.iterdir()) == [target]
