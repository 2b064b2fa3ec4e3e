"""The Python interface: the example of its page, the table against the JSON, and refusals."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from results import gfn, result, row, timing
from source_tree import ROOT

import slotlookup as sl
from slotlookup.bench.api import Result
from slotlookup.bench.results.document import to_json
from slotlookup.errors import SlotlookupError, UsageError
from slotlookup.vocabulary import Count


def test_the_example_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "python.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(example, "docs/python.md", "exec"), {})
    assert (tmp_path / "result.json").exists()


def made() -> Result:
    hot = timing(20.0, 19.0, 21.0, (1.0, 1.0, 1.0))
    return Result(
        result(
            row("linear", gfn(throughput_hot=hot)),
            row("<tree>", gfn(5.0, throughput_hot=timing(10.0, 9.0, 11.0, (0.5, 0.4, 0.6)))),
            row("wrong", {}, fault="a wrong answer"),
        )
    )


def test_the_table_has_every_row_of_the_json() -> None:
    one = made()
    rows = {(row["role"], row["strategy"]): row for row in one.table().to_pylist()}
    document = json.loads(to_json(one.run))
    assert len(rows) == sum(map(len, document["roles"].values()))
    for role, of_role in document["roles"].items():
        for found in of_role:
            row = rows[role, found["name"]]
            assert (row["state"], row["reason"]) == (found["state"], found["reason"])
            if found["figures"] is None:
                assert row["operations"] is row["lines"] is row["throughput_hot"] is None
                continue
            assert all(row[count] == found["figures"][count] for count in Count)
            hot = found["figures"]["ns"]["throughput_hot"]
            parts = [row[f"throughput_hot{part}"] for part in ("", "_low", "_high", "_ratio")]
            assert parts == [hot["median"], hot["low"], hot["high"], hot["ratio"]["median"]]
            assert row["latency_cold"] is None
    assert {row["role"] for row in one.table("gfn").to_pylist()} == {"gfn"}
    assert one.table("gfn").schema == one.table().schema


def test_a_data_frame_where_pandas_is_installed() -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    frame = made().table("gfn").to_pandas()
    assert list(frame["strategy"]) == ["linear", "<tree>", "wrong"]
    assert frame["throughput_hot"].tolist()[:2] == [20.0, 10.0]


class Cells(HTMLParser):
    """The texts of the cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.feed(text)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_notebooks_show_a_table() -> None:
    shown = made()._repr_html_()
    texts = Cells(shown).texts
    assert "<tree>" in texts and "linear" in texts  # the name is text, not an element
    assert "10" in texts  # ms per million lookups of 10 ns
    assert any("Cheapest in all: <tree>, 10 ms per million events" in text for text in texts)
    assert "Cheapest in all: <tree>" in repr(made()) and "small, 4 slots" in repr(made())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"workload": "two-slots"}, "did you mean 'two-slot'"),
        ({"strategies": ["rbtre"]}, "did you mean 'rbtree'"),
        ({"strategies": "rbtree"}, r"strategies are a list: \['rbtree'\]"),
        ({"effort": "fast"}, "choose one of default, quick, rigorous"),
        ({"mix": {"gfn": -1}}, "needs a weight of 0 or more"),
        ({"workload": "q35-1G", "slots": 40}, "q35-1G"),
    ],
)
def test_what_cannot_be_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(SlotlookupError, match=words):
        sl.run(**{"workload": "two-slot", "counts_only": True, **arguments})


def test_other_names() -> None:
    assert "rbtree" in sl.strategy_names() and "boot" in sl.workload_names()
    with pytest.raises(UsageError, match="'visits' is no role; the roles are gfn, hva, update"):
        made().table("visits")
    with pytest.raises(AttributeError, match="module 'slotlookup' has no attribute 'nosuch'"):
        sl.nosuch  # noqa: B018


def test_importing_the_package_does_not_import_the_bench() -> None:
    import subprocess

    code = "import sys, slotlookup; print('slotlookup.bench.api' in sys.modules, 'pyarrow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
