"""Strategy specs: their meaning, and the error of each wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest
from specs import every_spec

from slotlookup import registry
from slotlookup.errors import EXIT_USAGE, SpecError
from slotlookup.families.native import NativeStrategy
from slotlookup.families.python import PythonStrategy
from slotlookup.memslots import make_memslot
from slotlookup.registry import make_strategy, parse_spec
from slotlookup.spec import StrategySpec
from slotlookup.structure import Costs, Family, PythonStructure
from slotlookup.vocabulary import CachePolicy, UpdateDiscipline


@pytest.mark.parametrize(
    ("text", "spec", "canonical"),
    [
        ("linear", StrategySpec("linear", "linear"), "gfn=linear,hva=linear"),
        ("gfn=rbtree,hva=interval-tree", StrategySpec("rbtree", "interval-tree"), "gfn=rbtree,hva=interval-tree"),
        ("hva=interval-tree,gfn=rbtree", StrategySpec("rbtree", "interval-tree"), "gfn=rbtree,hva=interval-tree"),
        ("rbtree,hva=interval-tree", StrategySpec("rbtree", "interval-tree"), "gfn=rbtree,hva=interval-tree"),
        (
            " rbtree , cache=last-used ",
            StrategySpec("rbtree", "rbtree", CachePolicy.LAST_USED),
            "gfn=rbtree,hva=rbtree,cache=last-used",
        ),
        ("rbtree,cache=none,update=in-place", StrategySpec("rbtree", "rbtree"), "gfn=rbtree,hva=rbtree"),
        (
            "kvm-5.17",
            StrategySpec("rbtree", "interval-tree", CachePolicy.LAST_USED, UpdateDiscipline.TWO_SETS),
            "gfn=rbtree,hva=interval-tree,cache=last-used,update=two-sets",
        ),
        (
            "kvm-5.17,cache=none,update=in-place",
            StrategySpec("rbtree", "interval-tree"),
            "gfn=rbtree,hva=interval-tree",
        ),
        (
            "kivity-2008",
            StrategySpec("size-sorted", "size-sorted", unaliased=True),
            "gfn=size-sorted,hva=size-sorted,unaliased",
        ),
        (
            "gfn=rbtree,hva=linear,unaliased,update=two-sets",
            StrategySpec("rbtree", "linear", update=UpdateDiscipline.TWO_SETS, unaliased=True),
            "gfn=rbtree,hva=linear,update=two-sets,unaliased",
        ),
        ("py-bintrees", StrategySpec("py-bintrees", "py-bintrees"), "gfn=py-bintrees,hva=py-bintrees"),
    ],
)
def test_specs(text: str, spec: StrategySpec, canonical: str) -> None:
    assert parse_spec(text) == spec
    assert str(spec) == canonical
    assert parse_spec(canonical) == spec
    strategy = make_strategy(text)
    assert strategy.name == text
    assert strategy.spec == canonical


@pytest.mark.parametrize("text", every_spec())
def test_the_canonical_text_means_the_same(text: str) -> None:
    assert parse_spec(str(parse_spec(text))) == parse_spec(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("liner", "no strategy is called 'liner'; did you mean 'linear'?"),
        ("kvm-5.71", "no strategy is called 'kvm-5.71'; did you mean 'kvm-5.17'?"),
        ("rbtree,hva=intervaltree", "no structure is called 'intervaltree'; did you mean 'interval-tree'?"),
        ("gfn=rbtre,hva=linear", "no structure is called 'rbtre'; did you mean 'rbtree'?"),
        ("xyzzy", "no strategy is called 'xyzzy'; there are: "),
        ("", "no strategy is called ''; there are: "),
        ("linear,", "no strategy is called ''"),
        ("linear,linear", "several strategies; give each by itself: -s linear -s linear"),
        ("linear,rbtree,cache=last-used", "give each by itself: -s linear -s rbtree,cache=last-used"),
        ("kvm", "there are: kvm-2.6.27, kvm-3.19, kvm-3.3, kvm-5.15, kvm-5.17, kvm-5.17-vcpu"),
        ("kvm-6.1", "this Linux finds slots as since 5.17; use kvm-5.17"),
        ("kvm-3.10", "this Linux finds slots as since 3.3; use kvm-3.3"),
        ("kvm-2.6.26", "no strategy is called 'kvm-2.6.26'; did you mean"),
        ("RBTree", "no strategy is called 'RBTree'; did you mean 'rbtree'?"),
        ("linear,cash=none", "no key is called 'cash'; did you mean 'cache'?"),
        ("linear,cache=last-use", "no cache is called 'last-use'; did you mean 'last-used'?"),
        ("linear,cache=", "no cache is called ''; there are: direct-mapped, last-used, mru-section, none, per-vcpu"),
        ("linear,update=in-situ", "no update is called 'in-situ'; there are: copy, in-place, rebuild, two-sets"),
        ("linear,unaliased=yes", "'unaliased' takes no value"),
        ("linear,cache", "'cache' needs a value"),
        ("linear,cache=none,cache=last-used", "'cache' is given twice"),
        ("linear,unaliased,unaliased", "'unaliased' is given twice"),
        ("gfn=linear", "hva not given; write gfn=STRUCTURE,hva=STRUCTURE"),
        ("hva=linear", "gfn not given"),
        ("cache=last-used", "gfn and hva not given"),
        ("gfn=kvm-5.17,hva=linear", "no structure is called 'kvm-5.17'"),
        ("gfn=rbtree,hva=py-linear", "rbtree is native and py-linear is python; take one family"),
        ("gfn=py-linear,hva=rbtree", "py-linear is python and rbtree is native; take one family"),
        ("py-linear,update=two-sets", "Python strategies update in place only"),
        ("rbtree,unaliased", "rbtree has no unaliased variant; linear, size-sorted have"),
        ("gfn=linear,hva=rbtree,unaliased", "rbtree has no unaliased variant"),
        ("py-linear,unaliased", "py-linear has no unaliased variant"),
        ("linear+unaliased", "no strategy is called 'linear+unaliased'"),
        ("empty", "no strategy is called 'empty'"),
    ],
)
def test_wrong_specs(text: str, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        make_strategy(text)
    message = str(caught.value)
    assert message.startswith(f"strategy '{text}': ")
    assert words in message
    assert "\n" not in message
    assert caught.value.exit_code == EXIT_USAGE


def test_families_and_their_strategies() -> None:
    for name, structure in registry.structures().items():
        if registry.missing(name):
            continue
        strategy = make_strategy(name)
        assert strategy.capabilities.family is structure.family
        assert isinstance(strategy, NativeStrategy if structure.family is Family.NATIVE else PythonStrategy)
        assert len(strategy) == 0


def test_declared_capabilities() -> None:
    native = make_strategy("rbtree,update=two-sets").capabilities
    assert (native.family, native.update, native.obstacle) == (Family.NATIVE, "two-sets", "")
    assert native.counts == ("slots_examined", "compares", "hops", "lines")
    library = make_strategy("py-bintrees").capabilities
    assert (library.family, library.update, library.obstacle) == (Family.PYTHON, "in-place", "Python")
    assert library.counts == ("compares",)


def test_a_description_says_what_the_strategy_says(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [name for name in registry.strategy_names() if not registry.missing(name)]
    texts += ["rbtree,update=copy", "gfn=rbtree,hva=interval-tree,cache=last-used", "gfn=py-bintrees,hva=py-linear"]
    strategies = [make_strategy(text) for text in texts]
    for family in (NativeStrategy, PythonStrategy):
        monkeypatch.delattr(family, "__init__")  # nothing is built from here on: the arguments would be refused
    for text, strategy in zip(texts, strategies, strict=True):
        described = registry.describe(text)
        assert (described.name, str(described.spec)) == (strategy.name, strategy.spec)
        assert (described.capabilities, described.note) == (strategy.capabilities, strategy.note)
        assert described.family is strategy.capabilities.family
        assert described.missing == ""


def test_what_a_description_knows() -> None:
    simd = registry.describe("simd-linear")
    assert (simd.capabilities.obstacle, simd.roles) == ("SIMD", ("gfn", "hva"))
    assert registry.describe("kvm-5.17").roles == ("gfn", "hva")
    assert registry.describe("radix-table").roles == ("gfn",)
    assert registry.describe("radix-table,cache=last-used").roles == ("gfn", "hva"), "its partner is asked for, too"


def test_a_strategy_that_cannot_be_built_is_described(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def absent(self: PythonStructure) -> str:
        return f"not installed: {self.name}"

    monkeypatch.setattr(PythonStructure, "missing", property(absent))
    described = registry.describe("py-bintrees")
    assert (described.missing, described.note) == ("not installed: py-bintrees", "")
    assert described.capabilities.counts == ("compares",)
    (tmp_path / "broken.so").write_text("no library")
    described = registry.describe(f"{tmp_path}/broken.so")
    assert described.note == "through the C ABI, in a process of its own"
    assert (described.family, described.capabilities.obstacle) == (Family.NATIVE, "from a file")
    with pytest.raises(SpecError, match="there is no such file"):
        registry.describe(f"{tmp_path}/none.so")


def test_the_first_slot_that_cannot_be_held_is_named() -> None:
    limited = registry.describe("py-superintervals")  # its keys are signed 32-bit numbers
    low, high = (make_memslot(i, gfn << 12, 0x1000, 0x1000) for i, gfn in enumerate((0x7FFF_FFFF, 0x8000_0000)))
    assert limited.refusal([low]) == ""
    assert limited.refusal([low, high]) == "the last gfn of slot 1 is 0x80000000, and the largest key is 0x7fffffff"
    assert registry.describe("py-linear").refusal([low, high]) == ""


def test_what_is_declared_can_be_read() -> None:
    for structure in registry.structures().values():
        assert structure.summary and structure.source
        assert isinstance(structure.costs, Costs)
        for role, cost in (("gfn", structure.costs.gfn), ("hva", structure.costs.hva)):
            assert cost.startswith("O(") if role in structure.roles else cost == "-"
        assert structure.costs.update.startswith("O(")
    for preset in registry.presets().values():
        assert preset.summary and preset.source
        assert parse_spec(preset.name) == parse_spec(preset.spec)
    assert set(registry.strategy_names()) == {*registry.structures(), *registry.presets()}


def test_which_trees_ran_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without a compiler has pure Python trees and does not say so itself."""
    import bintrees

    for compiled, words in ((False, "pure Python trees: no compiled extension"), (True, "compiled trees")):
        monkeypatch.setattr(bintrees, "has_fast_tree_support", lambda compiled=compiled: compiled)
        assert make_strategy("py-bintrees").note == words
        assert make_strategy("gfn=py-bintrees,hva=py-linear").note == words
    assert make_strategy("py-linear").note == ""
    assert make_strategy("rbtree").note == ""
