"""Saved files with one edit: their readers accept the edit or refuse it in one line, and never crash."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from results import MACHINE, gfn, result, row, timing
from sweep_points import options, point, role

from slotlookup.bench.cli import cli
from slotlookup.bench.kernel.measure import recorded_path
from slotlookup.bench.results.document import to_json
from slotlookup.bench.sweep import file as sweep_file
from slotlookup.bench.sweep import points as bench_sweep
from slotlookup.errors import SlotlookupError

GONE = object()
EDITS: tuple[Any, ...] = (
    GONE, None, True, False, -1, 0, 1, 2, 0.5, -0.0, 1e308, 1 << 64, 10**400, "", "x", "1", [], [None], [1], {},
    {"x": 1},
)  # fmt: skip
EXAMPLES = settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))


def places(document: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every value in a document of JSON, but for the document itself."""
    inside = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in inside:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


def edits(document: Any) -> st.SearchStrategy[str]:
    """The text of `document` with one value replaced or removed."""
    paths = st.sampled_from(list(places(document)))
    return st.builds(lambda path, value: edited(document, path, value), paths, st.sampled_from(EDITS))


def edited(document: Any, path: tuple[str | int, ...], value: Any) -> str:
    changed = copy.deepcopy(document)
    table = changed
    for key in path[:-1]:
        table = table[key]
    if value is GONE:
        del table[path[-1]]
    else:
        table[path[-1]] = value
    return json.dumps(changed)


RUN = json.loads(
    to_json(
        result(
            row("linear", gfn(1 / 3, throughput_hot=timing(2, 1, 3, (1, 1, 1))), setup=timing(80, 70, 90, (1, 1, 1))),
            row("py-linear", gfn(), "python", bytes_per_slot=None, note="slow"),
            row("rbtree", {}, fault="answered wrong"),
        )
    )
)
SWEEP = options("linear", "rbtree")
POINT = point(4, {"linear": {"gfn": role(2.0)}, "rbtree": {"gfn": role(3.0)}})
HEAD = {"sweep": sweep_file.FILE_VERSION, "options": SWEEP.as_json(), "slots": [4], "machine": MACHINE}
COMPARES = ("result", "roles", "gfn", 0, "figures", "compares")
KERNEL = json.loads(recorded_path().read_text())


def calmly(*arguments: str) -> None:
    """Run a command, which may refuse its file in one line."""
    outcome = CliRunner().invoke(cli, list(arguments))
    if outcome.exception is not None and not isinstance(outcome.exception, SlotlookupError):
        raise outcome.exception


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps(RUN))
    return tmp_path


@EXAMPLES
@given(text=edits(RUN))
def test_edited_runs(text: str, folder: Path) -> None:
    (folder / "edited.json").write_text(text)
    calmly("compare", "run.json", "edited.json")
    calmly("export", "edited.json", "-o", "out.csv")


@EXAMPLES
@given(text=edits(KERNEL))
@example(text=edited(KERNEL, ("machine", "date"), GONE))
def test_edited_measurements_of_the_kernel(text: str, folder: Path) -> None:
    (folder / "edited.json").write_text(text)
    calmly("kernel", "--from", "edited.json")


@EXAMPLES
@given(
    lines=st.one_of(
        st.tuples(edits(HEAD), st.just(json.dumps({"slots": 4, "result": POINT}))),
        st.tuples(st.just(json.dumps(HEAD)), edits({"slots": 4, "result": POINT})),
    )
)
@example(lines=(json.dumps(HEAD), edited({"slots": 4, "result": POINT}, COMPARES, 10**400)))
def test_edited_sweeps(lines: tuple[str, str], folder: Path) -> None:
    path = folder / "sweep.jsonl"
    path.write_text("\n".join(lines) + "\n")
    try:
        kept = sweep_file.read(path)
        sweep_file.check_same(path, kept, {}, MACHINE)
    except SlotlookupError:
        return
    bench_sweep.to_json(kept.options, kept.machine, kept.points)
    bench_sweep.faults(kept.points)


def test_a_file_without_edits_is_taken(folder: Path) -> None:
    path = folder / "sweep.jsonl"
    path.write_text("\n".join([json.dumps(HEAD), json.dumps({"slots": 4, "result": POINT})]) + "\n")
    assert sweep_file.read(path).points == {4: json.loads(json.dumps(POINT))}
    for arguments in (["export", "run.json", "-o", "out.csv"], ["kernel", "--from", str(recorded_path())]):
        assert CliRunner().invoke(cli, arguments).exit_code == 0
