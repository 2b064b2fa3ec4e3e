"""The plot of a sweep: well-formed, one line per strategy, the same bytes each time, and labels that do not overlap."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from results import MACHINE
from sweep_points import MODE, options, point, role

from slotlookup.bench.sweep.plot import check_plot_path, draw, spread
from slotlookup.errors import SlotlookupError, UsageError

SVG = "{http://www.w3.org/2000/svg}"
NAMES = ("linear", "rbtree", "gfn=rbtree,hva=interval-tree,cache=last-used")


def points(names: tuple[str, ...] = NAMES) -> dict[int, dict[str, Any]]:
    """The i-th strategy costs (i + 1) ns per slot in lookups and a constant in visits; py-linear is there as well."""
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
        for n in (1, 8, 64)
    }


def drawn(tmp_path: Path, metric: str = MODE, only: str | None = None, name: str = "plot.svg") -> Path:
    path = tmp_path / name
    draw(options(*NAMES, "py-linear"), MACHINE, points(), metric, only, path)
    return path


def ids(path: Path) -> dict[str, ElementTree.Element]:
    return {e.attrib["id"]: e for e in ElementTree.parse(path).iter(f"{SVG}g") if "id" in e.attrib}


def test_every_strategy_has_a_line_in_every_panel(tmp_path: Path) -> None:
    groups = ids(drawn(tmp_path))
    for line in [f"native-{r}-{name}" for r in ("gfn", "hva") for name in NAMES] + ["python-gfn-py-linear"]:
        assert groups[line].find(f"{SVG}path") is not None, line
    assert "python-hva-py-linear" not in groups


def test_one_role_alone(tmp_path: Path) -> None:
    groups = ids(drawn(tmp_path, only="hva"))
    assert {g for g in groups if g.startswith("native-")} == {f"native-hva-{name}" for name in NAMES}


def test_it_tells_workload_machine_and_every_name(tmp_path: Path) -> None:
    # Letters are drawn as shapes; each text stands in a comment before them.
    text = drawn(tmp_path).read_text()
    for words in ("synthetic-uniform, seed 0", "Model A", "gfn lookups (native)", "gfn lookups (python)", *NAMES):
        assert words in text, words
    assert text.count("<!-- linear -->") == 2


def test_the_same_sweep_gives_the_same_bytes(tmp_path: Path) -> None:
    first = drawn(tmp_path, name="a.svg").read_bytes()
    assert drawn(tmp_path, name="b.svg").read_bytes() == first
    assert b"<dc:date>" not in first


def test_png(tmp_path: Path) -> None:
    first = drawn(tmp_path, name="a.png").read_bytes()
    assert first.startswith(b"\x89PNG\r\n\x1a\n")
    assert drawn(tmp_path, name="b.png").read_bytes() == first


def test_counts_are_drawn_and_zeros_leave_a_gap(tmp_path: Path) -> None:
    groups = ids(drawn(tmp_path, "compares"))
    line = groups["native-gfn-linear"].find(f"{SVG}path")
    assert line is not None and line.attrib["d"].count("L") == 2  # three points
    gap = groups["native-hva-linear"].find(f"{SVG}path")
    assert gap is not None and not gap.attrib.get("d", "").strip()


def test_more_strategies_than_colours(tmp_path: Path) -> None:
    names = tuple(f"strategy-{i}" for i in range(20))
    path = tmp_path / "many.svg"
    draw(options(*names, "py-linear"), MACHINE, points(names), MODE, "gfn", path)
    assert {f"native-gfn-{name}" for name in names} <= set(ids(path))


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


def test_without_matplotlib_the_remedy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"pip install 'slotlookup\[plot\]'"):
        check_plot_path(tmp_path / "plot.svg")


def test_labels_by_hand() -> None:
    # 10 and 12 are too close: around 11. 40 has room of its own.
    assert spread([10, 12, 40], 10, 0, 100) == pytest.approx([6, 16, 40])
    # 0 pushes 4, and both are pushed up by the floor.
    assert spread([0, 4], 10, 0, 100) == pytest.approx([0, 10])
    # 1, 9 and 12 make one group around 22 / 3, which the floor lifts to 0, 10, 20.
    assert spread([1, 9, 12], 10, 0, 100) == pytest.approx([0, 10, 20])
    assert spread([95, 99], 10, 0, 100) == pytest.approx([90, 100])


@given(st.lists(st.floats(0, 100), max_size=10).map(sorted))
def test_labels_never_overlap_where_there_is_room(wanted: list[float]) -> None:
    places = spread(wanted, 10, 0, 100)
    assert all(b - a >= 10 - 1e-9 for a, b in pairwise(places))
    assert all(-1e-9 <= place <= 100 + 1e-9 for place in places)
