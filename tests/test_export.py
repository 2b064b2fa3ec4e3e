"""Exports: CSV that a data frame reads with the same figures, and Markdown that GitHub shows as tables."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from results import gfn, result, row, timing

from slotlookup.bench.cli import cli
from slotlookup.bench.commands.export import command
from slotlookup.bench.results import export
from slotlookup.bench.results.document import to_json
from slotlookup.bench.results.model import RunResult
from slotlookup.errors import InputFileError, SlotlookupError, UsageError
from slotlookup.memslots import make_memslot
from slotlookup.trace import Trace, gfn_events, write_trace


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def example() -> RunResult:
    return result(
        row("linear", gfn(1 / 3, throughput_hot=timing(2, 1, 3, (1, 1, 1))), setup=timing(80, 70, 90, (1, 1, 1))),
        row("py-linear", gfn(), "python", bytes_per_slot=None, note="slow, and why"),
        row("rbtree", {}, fault="answered | wrong"),
        row("py-ncls", {}, "python", absent="not installed"),
    )


def test_csv_has_a_line_for_each_row_of_a_role_and_of_the_set_up() -> None:
    rows = list(csv.DictReader(io.StringIO(export.to_csv([example()]))))
    names = ("linear", "py-linear", "rbtree", "py-ncls")
    assert [(r["role"], r["name"]) for r in rows] == [(role, name) for role in ("gfn", "setup") for name in names]
    first, setup = rows[0], rows[4]
    assert first["workload"] == "small"
    assert first["fingerprint"] == "0123456789abcdef"
    assert first["cpu"] == "Model A"
    assert first["displaced"] == "65536"
    assert float(first["compares"]) == 1 / 3  # every digit
    assert (first["operations"], first["hops"], first["bytes_per_slot"]) == ("1000", "3.0", "")
    assert [first[f"throughput_hot_{c}"] for c in export.TIME_COLUMNS] == ["2", "1", "3", "1", "1", "1"]
    assert (first["latency_cold_ns"], first["setup_ns"]) == ("", "")
    assert (setup["operations"], setup["compares"], setup["bytes_per_slot"]) == ("4", "", "64.0")
    assert [setup[f"setup_{c}"] for c in export.TIME_COLUMNS] == ["80", "70", "90", "1", "1", "1"]
    assert setup["throughput_hot_ns"] == ""


def test_csv_leaves_empty_what_is_not_known_or_void() -> None:
    rows = list(csv.DictReader(io.StringIO(export.to_csv([example()]))))
    assert rows[5]["bytes_per_slot"] == ""
    void, absent = rows[2:4]
    assert (void["state"], void["reason"], void["measured_in"]) == ("void", "answered | wrong", "rbtree")
    assert (absent["state"], absent["reason"], absent["measured_in"]) == ("absent", "not installed", "")
    for without in (void, absent):
        assert {without[c] for c in ("operations", "compares", "throughput_hot_ns", "bytes_per_slot")} == {""}


def test_csv_of_several_results_has_one_heading() -> None:
    lines = export.to_csv([example(), example()]).splitlines()
    assert len(lines) == 1 + 2 * 8
    assert lines[0].split(",") == list(export.CSV_COLUMNS)
    assert len({len(line) for line in csv.reader(lines)}) == 1


def test_markdown_keeps_families_apart() -> None:
    text = export.to_markdown([example()])
    native, python = text.index("**gfn lookups**, native: 1,000"), text.index("**gfn lookups**, python: 1,000")
    assert native < text.index("| linear | 5 | 0.333 | 3 | 4 | n/a | 2 [1, 3] | 1 [1, 1] |\n") < python
    assert python < text.index("| py-linear | 5 | 10 | 3 | 4 | n/a |\n")
    assert python < text.index("| py-ncls (not installed) | absent | absent | absent | absent | absent |\n")
    setup = text.index("**set-up**, native: loading the starting slots\n")
    assert setup < text.index("| linear | n/a | 64 | 80 [70, 90] | 1 [1, 1] |\n")
    assert setup < text.index("| rbtree | void | void | void | void |\n")
    assert "- **rbtree is void:** answered \\| wrong\n" in text
    assert "- py-linear: slow, and why.\n" in text


def test_every_markdown_table_is_rectangular_and_stands_apart() -> None:
    blocks = [b for b in export.to_markdown([example()]).split("\n\n") if b.lstrip().startswith("|")]
    assert len(blocks) == 5
    for block in blocks:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.strip().splitlines()}
        assert len(widths) == 1, block
    assert blocks[0].splitlines()[1].startswith("| :--- | ---: |")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("slots_examined", "slots_examined"),
        ("_x_", "\\_x\\_"),
        ("a|b*c`d<e~f\\g", "a\\|b\\*c\\`d\\<e\\~f\\\\g"),
        ("[1.5, 2]", "[1.5, 2]"),
        ("[a](http://b)", "[a\\](http://b)"),
        ("two\nlines", "two lines"),
    ],
)
def test_markup_is_escaped(text: str, escaped: str) -> None:
    assert export.escape(text) == escaped


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("x.json", "x.json: results are exported as .csv or .md; give a name with one of these endings"),
        ("csv", "exported as .csv or .md"),
        ("no/dir/x.csv", "no/dir/x.csv: cannot be written: there is no directory"),
    ],
)
def test_other_endings_and_folders_are_refused(path: str, words: str) -> None:
    with pytest.raises(SlotlookupError, match=re.escape(words)):
        export.check_export_path(Path(path))


def test_run_exports_both_forms_and_refuses_before_it_runs() -> None:
    slots = (make_memslot(0, 0x0, 0x4000, 0x7000_0000_0000),)
    write_trace(Trace("one", slots, gfn_events([0, 3, 4])), Path("one.parquet"))
    run = ["run", "one.parquet", "-s", "linear", "--counts-only"]
    done = CliRunner().invoke(cli, [*run, "--export", "x.csv", "--export", "X.MD"], standalone_mode=False)
    assert done.return_value == 0, done.exception
    assert Path("x.csv").read_text().startswith("date,cpu,workload,")
    # One slot: each of the three lookups examines it.
    assert next(csv.DictReader(io.StringIO(Path("x.csv").read_text())))["slots_examined"] == "1.0"
    assert Path("X.MD").read_text().startswith("### one: 1 slots, 3 events\n")
    refused = CliRunner().invoke(cli, [*run, "--export", "x.txt", "--save", "x.json"], standalone_mode=False)
    assert isinstance(refused.exception, SlotlookupError)
    assert not Path("x.json").exists()


def test_saved_results_are_exported() -> None:
    Path("a.json").write_text(to_json(example()))
    done = CliRunner().invoke(command, ["a.json", "a.json", "-o", "x.csv", "-o", "x.md"], standalone_mode=False)
    assert done.return_value == 0, done.exception
    read = list(csv.DictReader(io.StringIO(Path("x.csv").read_text())))
    assert len(read) == 16
    assert read[0]["compares"] == repr(1 / 3)
    assert Path("x.md").read_text() == export.to_markdown([example(), example()])


def test_a_bad_result_leaves_no_export() -> None:
    Path("bad.json").write_text("{}")
    refused = CliRunner().invoke(command, ["bad.json", "-o", "x.csv"], standalone_mode=False)
    assert isinstance(refused.exception, InputFileError)
    assert not Path("x.csv").exists()


def test_results_side_by_side() -> None:
    """By hand: two results, of which the second lacks one strategy and voids another."""
    other = result(
        row("linear", gfn(5, throughput_hot=timing(7, 6, 8), throughput_cold=timing(70, 60, 80))),
        row("rbtree", {}, fault="answered wrong"),
    )
    for name, run in (("a.json", example()), ("b.json", other)):
        Path(name).write_text(to_json(run))
    done = CliRunner().invoke(
        cli, ["export", "--side-by-side", "-o", "t.md", "a.json", "b.json"], standalone_mode=False
    )
    assert done.exception is None
    lines = Path("t.md").read_text().splitlines()
    times = lines.index("**gfn lookups**, native: ns hot / cold") + 2
    assert lines[times] == "| strategy | small, 4 | small, 4 |"
    assert lines[times + 2] == "| linear | 2 / n/a | 7 / 70 |"
    counts = lines.index("**gfn lookups**, native: slots examined / compares / hops / lines") + 2
    assert lines[counts + 2].startswith("| linear | ")
    assert lines[counts + 2].split(" | ")[1].split(" / ")[1] == "0.333"
    assert lines[counts + 2].split(" | ")[2].split(" / ")[1] == "5"
    assert any(line.startswith("| py-linear | ") and line.endswith(" | not run |") for line in lines)
    assert any(line.startswith("| rbtree | ") and line.endswith(" | void |") for line in lines)
    assert lines[0].startswith("Model A, Linux ")


def test_side_by_side_is_markdown() -> None:
    Path("a.json").write_text(to_json(example()))
    done = CliRunner().invoke(cli, ["export", "--side-by-side", "-o", "t.csv", "a.json"], standalone_mode=False)
    assert isinstance(done.exception, UsageError)
    assert "t.csv" in str(done.exception)
    assert not Path("t.csv").exists()
