"""`slotlookup report` without a browser: what it takes, what the file has in it, and where its rows come from."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shlex
from functools import cache
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from report_files import SLOTS, WRONG, a_run, sweep_points, write_all
from test_command_lines import check_line

from slotlookup.bench.charts.styles import DISTINCT, ON_BLACK, ON_WHITE, names_in, styles
from slotlookup.bench.cli import cli
from slotlookup.bench.report import commands
from slotlookup.bench.report.figures import make_figures, pareto_front
from slotlookup.bench.report.sources import Sources, read_sources
from slotlookup.bench.results.document import document, to_json
from slotlookup.bench.results.model import SCHEMA_VERSION
from slotlookup.errors import InputFileError


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, ["report", *map(str, words)], standalone_mode=False)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_all(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def page(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "r.html"
    outcome = call(*files[:3], "--claims", files[3], "-o", path, "--title", "Here & there")
    assert outcome.exception is None, outcome.exception
    assert f"written: {path}" in outcome.stderr
    return path.read_text()


class Text(HTMLParser):
    """The texts of a page outside of scripts and styles, and the addresses that it names."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.skipped = False
        self.texts: list[str] = []
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.skipped = tag in ("script", "style")
        self.addresses += [value or "" for name, value in attributes if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        self.skipped = False

    def handle_data(self, data: str) -> None:
        if not self.skipped:
            self.texts.append(data)


@cache
def data_of(page: str) -> dict[str, Any]:
    """The data in a page."""
    (packed,) = re.findall(r'id="data">([^<]*)<', page)
    found: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(packed)))
    return found


def test_the_answer_is_text_before_any_chart(page: str) -> None:
    text = " ".join(" ".join(Text(page).texts).split())
    # 90 lookups and 10 visits of 8 ns each: 8 ns per event, 8 ms per million.
    assert "Cheapest in all: rbtree, 8 ms per million events, 0.40 of linear." in text
    assert text.index("Cheapest in all: rbtree") < text.index("Slot axis")
    assert "Mix: 90% gfn lookups, 10% hva visits (derived)." in text
    assert "up to 4 slots linear; from 16 slots on rbtree" in text
    assert f"wrong-tree: void: {WRONG}" in text and "no-tree: absent: not installed" in text
    assert "Here & there" in text and "Model A, Linux 6.1.0" in text


def test_it_is_small_and_names_no_address(page: str) -> None:
    assert len(page.encode()) < 3_000_000
    assert all(address.startswith("#") for address in Text(page).addresses)
    assert "default-src 'none'" in page


def test_the_same_results_give_the_same_bytes(files: list[Path], tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        assert call(files[0], "-o", tmp_path / name).exception is None
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_every_row_with_a_path_leads_to_its_figures(page: str) -> None:
    data = data_of(page)
    followed = 0
    for chart in data["charts"]:
        for row in chart["rows"]:
            if "at" not in row:
                continue
            found = data["documents"][row["source"]]
            for key in row["at"].split("/"):
                found = found[int(key)] if isinstance(found, list) else found[key]
            name = row.get("strategy", row.get("cheapest"))
            assert name in (found["name"], "tied")
            if row.get("kind", "median") == "median" and "strategy" in row:
                ns, metric = found["figures"]["ns"], row["metric"]
                value = ns[metric]["median"] if metric in ns else found["figures"][metric]
                assert row["value"] == value
            followed += 1
    assert followed > 100


def test_the_map_has_the_cheapest_of_each_slot_count(page: str) -> None:
    (chart,) = [one for one in data_of(page)["charts"] if one["title"].startswith("gfn lookups, native: the cheapest")]
    cells = {
        row["slots"]: row["cheapest"]
        for row in chart["rows"]
        if row["metric"] == "throughput_hot" and "sweep" in row["workload"]
    }
    assert cells == {1: "linear", 4: "linear", 16: "rbtree", 64: "rbtree"}


def test_ties_are_drawn_as_ties() -> None:
    one = a_run()
    (rbtree,) = [row for row in one.roles["gfn"] if row.name == "rbtree"]
    assert rbtree.figures is not None
    twice = document(one)
    for role in ("gfn", "hva"):
        rows = {row["name"]: row for row in twice["roles"][role]}
        rows["prio-tree"]["figures"] = rows["rbtree"]["figures"]
    from slotlookup.bench.report.sources import Run
    from slotlookup.bench.results.load import result_of

    figures = make_figures(Sources(runs=[Run("r.json", result_of(twice, Path("r.json")), twice)]))
    cells = [row for chart in figures.charts if chart.section == "map" for row in chart.rows]
    hot = [row for row in cells if row["metric"] == "throughput_hot"]
    assert [row["cheapest"] for row in hot] == ["tied", "tied"]
    assert all(row["label"] == "tied: rbtree and prio-tree" and row["mark"] == "=2" for row in hot)


@given(st.dictionaries(st.text("abcdef", min_size=1), st.tuples(st.integers(1, 5), st.integers(1, 5)), max_size=12))
def test_the_front_has_what_nothing_beats(points: dict[str, tuple[float, float]]) -> None:
    # By hand: a point is beaten by another that is at most as dear in both, and not the same.
    beaten = set()
    for a, b in product(points, points):
        no_dearer = all(of_b <= of_a for of_b, of_a in zip(points[b], points[a], strict=True))
        if no_dearer and points[a] != points[b]:
            beaten.add(a)
    assert pareto_front(points) == set(points) - beaten


def test_every_kind_has_its_charts(page: str) -> None:
    kinds = {chart["id"].partition("-")[0] for chart in data_of(page)["charts"]}
    assert kinds == {"curve", "standing", "samples", "setup", "memory", "kernel"}
    assert {"The running kernel", "The claims of 2008", "Every row", "Machine and commands"} <= set(Text(page).texts)


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.1 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_colours_stand_out_from_their_paper_and_are_never_the_only_mark() -> None:
    for colours, paper in ((ON_WHITE, 1.0), (ON_BLACK, luminance("#14171A"))):
        for colour in colours:
            light, dark = sorted((luminance(colour), paper), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 3, colour
    found = styles(f"name-{i}" for i in range(DISTINCT)).values()
    assert len({(style.on_white, style.symbol, style.dash) for style in found}) == DISTINCT
    first = list(found)[:8]
    assert len({style.symbol for style in first}) == 8


def test_legends_have_the_names_that_are_shown() -> None:
    spec = {"layer": [{"encoding": {"color": {"scale": {"domain": ["a", "b", "c"], "range": ["1", "2", "3"]}}}}]}
    assert names_in(spec, [{"strategy": "c"}, {"cheapest": "a"}]) == {
        "layer": [{"encoding": {"color": {"scale": {"domain": ["a", "c"], "range": ["1", "3"]}}}}]
    }


def test_the_commands_repeat_the_results(files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asked = "run synthetic-uniform --slots 5 --events 300 --seed 3 --counts-only --placement slab -s rbtree -s kvm-5.17"
    first = CliRunner().invoke(cli, [*asked.split(), "--json"], standalone_mode=False)
    line = commands.of_run(json.loads(first.stdout))
    check_line(shlex.split(line)[1:])
    again = CliRunner().invoke(cli, [*shlex.split(line)[1:], "--json"], standalone_mode=False)
    same = [{key: json.loads(text.stdout)[key] for key in ("workload", "options", "roles")} for text in (first, again)]
    assert same[0] == same[1]
    sources = read_sources(files)
    for words in (
        commands.of_run(sources.runs[0].document),
        commands.of_sweep(sources.sweeps[0].options, SLOTS),
        commands.of_kernel(sources.kernels[0].measured),
    ):
        check_line(shlex.split(words)[1:], declared=("wrong-tree", "no-tree"))
    assert "--slots 1,4,16,64" in commands.of_sweep(sources.sweeps[0].options, SLOTS)
    assert "--quick" in commands.of_sweep(sources.sweeps[0].options, SLOTS)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{]", "empty or truncated"),
        ("{}", "not a result of slotlookup"),
        ("[]", "not a result of slotlookup"),
        ('{"claims": []}', "claims"),
        (json.dumps({"strategies": [], "schema_version": SCHEMA_VERSION}), "machine"),
        ("", "empty or truncated"),
    ],
)
def test_what_is_no_result_is_refused_in_one_line(content: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    output = tmp_path / "o.html"
    outcome = call(path, "-o", output)
    assert isinstance(outcome.exception, InputFileError), outcome.exception
    assert words in str(outcome.exception) and "\n" not in str(outcome.exception)
    assert outcome.exception.exit_code == 2 and not output.exists()


def test_wrong_names_are_refused_before_anything_is_read(files: list[Path], tmp_path: Path) -> None:
    for arguments, words in (
        ((files[0], files[0]), "the same file as"),
        ((files[0], "-o", files[0].with_suffix(".json")), "end the name in .html"),
        ((files[0], "-o", tmp_path / "o.pdf"), "end the name in .html"),
        ((files[0], "-o", tmp_path / "no/o.html"), "there is no directory"),
        ((tmp_path / "missing.json",), "no such file"),
    ):
        outcome = call(*arguments)
        assert words in str(outcome.exception), outcome.exception
        assert getattr(outcome.exception, "exit_code", None) == 2


def test_an_interrupted_sweep_is_shown_with_what_it_has(tmp_path: Path) -> None:
    whole = write_all(tmp_path)[1]
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(whole.read_bytes()[:-40])  # the last point is not whole
    sources = read_sources([cut])
    assert sorted(sources.sweeps[0].points) == list(SLOTS[:-1]) and sources.remarks
    assert sweep_points().keys() == set(SLOTS)


def test_hostile_texts_stay_text(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    evil = "</script><script>alert(1)</script>"
    path.write_text(to_json(a_run()).replace('"two-slot"', json.dumps(evil)))
    output = tmp_path / "o.html"
    assert call(path, "-o", output).exception is None
    assert evil not in output.read_text()
    assert evil in " ".join(Text(output.read_text()).texts)


def test_without_files_it_makes_a_quick_run_of_the_configured_workload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("slotlookup.toml").write_text('workload = "two-slot"\nstrategies = ["linear", "rbtree"]\n')
    monkeypatch.setattr("slotlookup.bench.measure.passes.NATIVE_SECONDS", 0.02)
    outcome = call()
    assert outcome.exception is None, outcome.exception
    text = " ".join(Text(Path("slotlookup-report.html").read_text()).texts)
    assert "two-slot, 2 slots" in text and "quick run" in text and "--quick" in text
