"""The picture of a sweep: every figure in it, the same bytes each time, readable with many strategies."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from charts_read import grey_lines, symbols, words
from results import MACHINE
from sweep_points import MODE, options, point, role

from slotlookup.bench.charts.picture import check_plot_path
from slotlookup.bench.sweep.plot import MOST_NAMED, draw
from slotlookup.errors import SlotlookupError, UsageError

NAMES = ("linear", "rbtree", "gfn=rbtree,hva=interval-tree,cache=last-used")
SLOTS = (1, 8, 64)


def points(names: tuple[str, ...] = NAMES) -> dict[int, dict[str, Any]]:
    """The i-th strategy costs (i + 1) ns per slot in lookups and 5 + i in visits; py-linear is there as well."""
    return {
        n: point(
            n,
            {
                name: {
                    "gfn": role([float((i + 1) * n)] * 3 + [(i + 1) * n * 1.1] * 4, compares=n),
                    "hva": role(5.0 + i, compares=0.0),
                }
                for i, name in enumerate(names)
            },
            {"py-linear": {"gfn": role(900.0)}},
        )
        for n in SLOTS
    }


def drawn(tmp_path: Path, metric: str = MODE, only: str | None = None, name: str = "plot.svg", **more: str) -> Path:
    path = tmp_path / name
    draw(options(*NAMES, "py-linear"), MACHINE, points(), metric, only, path, **more)
    return path


def test_every_figure_is_drawn(tmp_path: Path) -> None:
    found = symbols(drawn(tmp_path))
    for i, name in enumerate(NAMES):
        for n in SLOTS:  # four samples of seven are 1.1 times the others, so that is the median
            assert found[name, n] == pytest.approx([(i + 1) * n * 1.1, 5.0 + i]), (name, n)
    assert {place: values for place, values in found.items() if place[0] == "py-linear"} == {
        ("py-linear", n): [900.0] for n in SLOTS
    }


def test_one_role_alone(tmp_path: Path) -> None:
    assert symbols(drawn(tmp_path, only="hva")) == {(name, n): [5.0 + i] for i, name in enumerate(NAMES) for n in SLOTS}


def test_the_ratio_to_one_row(tmp_path: Path) -> None:
    path = drawn(tmp_path, only="gfn", reference="rbtree")
    found = symbols(path)
    # 1, 2 and 3 ns per slot: 0.5, 1 and 1.5 of rbtree at every slot count. Python's rows have no such row.
    assert found == {(name, n): [pytest.approx((i + 1) / 2)] for i, name in enumerate(NAMES) for n in SLOTS}
    assert any("ratio to rbtree" in text for text in words(path))
    with pytest.raises(UsageError, match=r"--plot-ratio prio-tree: no such row in this sweep; its rows are linear, "):
        drawn(tmp_path, reference="prio-tree")


def test_it_has_workload_machine_timing_band_and_every_name(tmp_path: Path) -> None:
    text = "\n".join(words(drawn(tmp_path)))
    for found in ("synthetic-uniform, seed 0", "Model A", "gfn lookups (native)", "gfn lookups (python)", *NAMES):
        assert found in text, found
    assert "ns per operation" in text and "95 % interval" in text


def test_the_same_sweep_gives_the_same_bytes(tmp_path: Path) -> None:
    for kind, start in (("svg", b"<svg"), ("png", b"\x89PNG\r\n\x1a\n")):
        first = drawn(tmp_path, only="hva", name=f"a.{kind}").read_bytes()
        assert first.startswith(start)
        assert drawn(tmp_path, only="hva", name=f"b.{kind}").read_bytes() == first


def test_zeros_are_left_out_of_a_logarithmic_axis_and_counted(tmp_path: Path) -> None:
    path = drawn(tmp_path, "compares")
    found = symbols(path)
    assert found["linear", 64] == [64.0]  # its visits make no compares
    assert "9 figures at or below zero are not on the logarithmic axis" in words(path)


def test_of_many_strategies_few_have_a_style_and_the_others_are_grey(tmp_path: Path) -> None:
    names = ("linear", "kvm-5.17", *(f"strategy-{i}" for i in range(18)))
    path = tmp_path / "many.svg"
    draw(options(*names, "py-linear"), MACHINE, points(names), MODE, "gfn", path)
    named = {name for name, _ in symbols(path)} - {"py-linear"}
    assert len(named) == MOST_NAMED and {"linear", "kvm-5.17"} <= named
    assert grey_lines(path) == len(names) - MOST_NAMED
    assert f"grey: {len(names) - MOST_NAMED} others, cheapest at the fewest slot counts" in words(path)


def test_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no figures for update by ns"):
        drawn(tmp_path, only="update")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "words"), [("plot.pdf", "end the name in .svg or .png"), ("no/plot.svg", "there is no directory")]
)
def test_where_it_cannot_be_drawn(name: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SlotlookupError, match=words):
        check_plot_path(Path(name))


@pytest.mark.parametrize("module", ["altair", "vl_convert"])
def test_without_the_library_the_remedy_is_stated(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=rf"--plot needs {module}; install it: pip install 'slotlookup\[plot\]'"):
        check_plot_path(tmp_path / "plot.svg")
