"""Result files: a run's output follows the published schema, and other files are refused in one line."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from results import gfn, result, row, timing

from slotlookup.bench.cli import cli
from slotlookup.bench.measure import machine
from slotlookup.bench.measure import passes as bench_passes
from slotlookup.bench.measure.tasks import GfnTask
from slotlookup.bench.results.document import to_json
from slotlookup.bench.results.load import OtherSchemaVersion, load_result
from slotlookup.errors import BrokenStrategy, InputFileError
from slotlookup.memslots import make_memslot
from slotlookup.strategy import Strategy
from slotlookup.trace import Trace, gfn_events, slot_events, write_trace


def schema(name: str) -> Any:
    """A published schema."""
    return json.loads((files("slotlookup.bench") / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8"))


SCHEMA = schema("run")
VALIDATOR = Draft202012Validator(SCHEMA)
EVENTS = np.concatenate([gfn_events([0, 3, 0x11, 0x30]), slot_events([(3, 0x80000, 0x1000, 0x5000_0000_0000, 0)])])


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bench_passes, "NATIVE_SECONDS", 0.0)
    monkeypatch.setattr(bench_passes, "PYTHON_SECONDS", 0.0)
    monkeypatch.chdir(tmp_path)
    slots = (make_memslot(0, 0x0, 0x4000, 0x7000_0000_0000), make_memslot(1, 0x10000, 0x20000, 0x6000_0000_0000))
    write_trace(Trace("small", slots, EVENTS), tmp_path / "small.parquet")


def saved(*arguments: str) -> dict[str, Any]:
    """What a run of the small trace saves."""
    CliRunner().invoke(cli, ["run", "small.parquet", *arguments, "--save", "saved.json"], standalone_mode=False)
    document: dict[str, Any] = json.loads(Path("saved.json").read_text(encoding="utf-8"))
    return document


@pytest.mark.parametrize(
    "arguments",
    [
        ["-s", "linear", "-s", "rbtree", "-s", "py-bintrees"],
        ["-s", "rbtree", "--counts-only"],
        ["-s", "py-linear"],
        ["-s", "linear", "--seed", "7", "--displace", "4096", "--placement", "scattered"],
    ],
    ids=["timed", "counted", "python", "options"],
)
def test_what_a_run_saves_is_valid_and_reads_back_the_same(arguments: list[str]) -> None:
    document = saved(*arguments)
    assert [e.message for e in VALIDATOR.iter_errors(document)] == []
    assert to_json(load_result("saved.json")) == Path("saved.json").read_text(encoding="utf-8")


def test_void_rows_are_valid_and_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    right = GfnTask.verify

    def verify(self: GfnTask, strategy: Strategy) -> None:
        if strategy.name == "rbtree":
            raise BrokenStrategy("rbtree: planted")
        right(self, strategy)

    monkeypatch.setattr(GfnTask, "verify", verify)
    document = saved("-s", "rbtree", "-s", "linear")
    assert [s["state"] for s in document["strategies"]] == ["void", "verified"]
    assert [e.message for e in VALIDATOR.iter_errors(document)] == []
    assert [s.reason for s in load_result("saved.json").strategies] == ["rbtree: planted", None]


def test_the_options_are_told() -> None:
    document = saved(
        "-s",
        "linear",
        "--counts-only",
        "--placement",
        "scattered",
        "--seed",
        "7",
        "--stride",
        "512",
    )
    assert document["options"] == {
        "counts_only": True,
        "budget": 1.0,
        "displaced": 65536,
        "placement": "scattered",
        "patience": 10.0,
        "processes": 1,
        "stride": 512,
        "floor": False,
        "mix": None,
        "complete": True,
        "timings": ["throughput_hot", "throughput_cold", "latency_hot", "latency_cold"],
    }
    assert document["workload"]["seed"] == 7


def test_the_schema_is_one_and_every_key_is_described() -> None:
    Draft202012Validator.check_schema(SCHEMA)

    def look(node: Any, place: str) -> None:
        if isinstance(node, list):
            for part in node:
                look(part, place)
        if not isinstance(node, dict):
            return
        for name, part in node.get("properties", {}).items():
            if not place.endswith("/if") and "/then" not in place and "/else" not in place:
                assert part.get("description") or part.get("$ref"), f"{place}: {name}"
        if "properties" in node and node.get("type") == "object":
            assert node["additionalProperties"] is False, place
        for key, part in node.items():
            look(part, f"{place}/{key}")

    look(SCHEMA, "")


@pytest.mark.parametrize("name", ["strategies", "workloads"])
def test_the_lists_follow_their_schemas(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))
    printed = json.loads(CliRunner().invoke(cli, [name, "--json"], standalone_mode=False).stdout)
    assert [e.message for e in Draft202012Validator(schema(name)).iter_errors(printed)] == []
    broken = copy.deepcopy(printed)
    del broken[name][0]["summary"]
    assert not Draft202012Validator(schema(name)).is_valid(broken)


def whole() -> dict[str, Any]:
    """A result by hand: a timed row, a counted Python row and a void one."""
    rows = (
        row("linear", gfn(throughput_hot=timing(2, 1, 3, (1, 1, 1)))),
        row("py-linear", gfn(), "python", bytes_per_slot=None),
        row("rbtree", {}, fault="rbtree: gfn lookup 1 (0x3): answered slot -1, right is 0"),
        row("py-ncls", {}, "python", absent="not installed"),
    )
    document: dict[str, Any] = json.loads(to_json(result(*rows)))
    return document


def delete(*keys: Any) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for key in keys[:-1]:
            document = document[key]
        del document[keys[-1]]

    return change


def put(value: Any, *keys: Any) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = value

    return change


ROW = ("roles", "gfn", 0)
GFN = (*ROW, "figures")
VOID, ABSENT = ("roles", "gfn", 2), ("roles", "gfn", 3)
HOT = (*GFN, "ns", "throughput_hot")
BREAKAGES = {
    "no machine": (delete("machine"), "machine: missing"),
    "no seed": (delete("workload", "seed"), "workload.seed: missing"),
    "no options": (delete("options", "displaced"), "options.displaced: missing"),
    "no timing": (delete(*GFN, "ns", "latency_cold"), "roles.gfn[0].figures.ns.latency_cold: missing"),
    "a key too many": (put(1, "workload", "sed"), "workload.sed: schema 5 has no such key"),
    "a count as text": (put("10", *GFN, "compares"), "roles.gfn[0].figures.compares: "),
    "a negative count": (put(-1, *GFN, "hops"), "roles.gfn[0].figures.hops: "),
    "no operations": (put(0, *GFN, "operations"), "roles.gfn[0].figures.operations: "),
    "half an operation": (put(1.5, *GFN, "operations"), "roles.gfn[0].figures.operations: "),
    "another state": (put("broken", *ROW, "state"), "roles.gfn[0].state: "),
    "another family": (put("cobol", *ROW, "family"), "roles.gfn[0].family: "),
    "a row for nobody": (put([], *ROW, "strategies"), "roles.gfn[0].strategies: "),
    "no parameters": (delete("workload", "parameters"), "workload.parameters: missing"),
    "no raw samples": (put([], *HOT, "raw_samples"), "roles.gfn[0].figures.ns.throughput_hot.raw_samples: "),
    "no size": (delete("setup", 0, "figures", "bytes_per_slot"), "setup[0].figures.bytes_per_slot: missing"),
    "no samples": (put([], *HOT, "samples"), "roles.gfn[0].figures.ns.throughput_hot.samples: "),
    "a ratio of zero": (put(0, *HOT, "ratio", "median"), "roles.gfn[0].figures.ns.throughput_hot.ratio.median: "),
    "another fingerprint": (put("xyz", "workload", "fingerprint"), "workload.fingerprint: "),
    "a date without its zone": (put("2026-03-01 10:00", "machine", "date"), "machine.date: "),
    "an unknown role": (put({}, "empty_ns", "mmu"), "empty_ns.mmu"),
    "an unknown timing": (put({"warm": {}}, "control", "gfn"), "control.gfn.warm"),
    "no strategies": (put([], "strategies"), "strategies: "),
    "a reason where all is right": (
        put("wrong", *ROW, "reason"),
        "roles.gfn[0]: a verified row or",
    ),
    "a void row without a reason": (
        put(None, *VOID, "reason"),
        "roles.gfn[2]: a verified row or",
    ),
    "a void strategy without a reason": (
        put(None, "strategies", 2, "reason"),
        "strategies[2]: a verified row or strategy",
    ),
    "figures in a void row": (
        lambda d: put(d["roles"]["gfn"][0]["figures"], *VOID, "figures")(d),
        "roles.gfn[2]: a ver",
    ),
    "a verified row without figures": (put(None, *GFN), "roles.gfn[0]: a verified row has figures, and no other has"),
    "an absent row that was measured": (put("py-ncls", *ABSENT, "measured_in"), "roles.gfn[3]: a row was measured in"),
    "a void row that nobody ran": (put(None, *VOID, "measured_in"), "roles.gfn[2]: a row was measured in a strategy"),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_a_broken_result_is_refused_by_schema_and_reader(name: str, tmp_path: Path) -> None:
    change, words = BREAKAGES[name]
    document = whole()
    assert VALIDATOR.is_valid(document)
    change(document)
    assert not VALIDATOR.is_valid(document)
    (tmp_path / "broken.json").write_text(json.dumps(document))
    with pytest.raises(InputFileError) as caught:
        load_result(tmp_path / "broken.json")
    assert str(caught.value).startswith(f"{tmp_path / 'broken.json'}: {words}")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


BEYOND_THE_SCHEMA = {
    "ends reversed": (put(1.5, *HOT, "high"), "throughput_hot: the median, 2.0, is not within [1.0, 1.5]"),
    "one end": (put(None, *HOT, "low"), "throughput_hot: low and high must both be numbers or both be null"),
    "other samples": (
        put([1, 3, 3], *HOT, "samples"),
        "throughput_hot.median: 2.0 is not the median of the samples, 3",
    ),
    "raw samples of other rounds": (
        put([5, 6], *HOT, "raw_samples"),
        "throughput_hot.raw_samples: there are 2, but 7 samples made from them",
    ),
    "the same row twice": (
        lambda d: d["roles"]["gfn"].append(copy.deepcopy(d["roles"]["gfn"][0])),
        "gfn holds linear twice",
    ),
    "the same strategy twice": (
        lambda d: d["strategies"].append(copy.deepcopy(d["strategies"][0])),
        "strategies holds linear twice",
    ),
    "a strategy without its row": (
        put("rbtre", "strategies", 2, "rows", "gfn"),
        "rbtree is served by rbtre, and gfn has no such row",
    ),
}


@pytest.mark.parametrize("name", BEYOND_THE_SCHEMA)
def test_the_reader_sees_what_a_schema_cannot(name: str, tmp_path: Path) -> None:
    change, words = BEYOND_THE_SCHEMA[name]
    document = whole()
    change(document)
    (tmp_path / "broken.json").write_text(json.dumps(document))
    with pytest.raises(InputFileError, match=re.escape(words)):
        load_result(tmp_path / "broken.json")


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.json"
    text = to_json(result(row("linear", gfn())))
    # Every place of the last part, and of the rest every seventh, which falls on every kind of place there is.
    lengths = [*range(0, len(text.rstrip()), 7), *range(text.index('"setup"'), len(text.rstrip()))]
    for length in lengths:
        path.write_text(text[:length])
        with pytest.raises(InputFileError, match="the file is empty or truncated"):
            load_result(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"hello", "not JSON: Expecting value"),
        (b'{"a": 1,}', "not JSON: "),
        (b"[1, 2]", "not a result of a run; make one with `slotlookup run --save FILE`"),
        (b"{}", "not a result of a run"),
        (b'{"schema_version": 1, "figures": []}', "not a result of a run"),
        (b"\xff\xfe{}", "not text in UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"schema_version": NaN, "results": []}', "NaN is not a JSON number"),
    ],
)
def test_what_is_no_result_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(InputFileError, match=re.escape(words)):
        load_result(tmp_path / "x.json")


def test_no_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="no such file"):
        load_result(tmp_path / "none.json")
    with pytest.raises(InputFileError, match="cannot be read: Is a directory"):
        load_result(tmp_path)


@pytest.mark.parametrize("version", [1, 2, 3, 0, True, "4", None])
def test_another_schema_version_is_refused_by_its_number(version: object, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps({**whole(), "schema_version": version}))
    words = f"result schema {json.dumps(version)}; this slotlookup reads schema 5"
    with pytest.raises(OtherSchemaVersion, match=re.escape(words)):
        load_result(tmp_path / "x.json")


def test_infinity_is_no_figure(tmp_path: Path) -> None:
    text = json.dumps(whole()).replace('"compares": 10.0', '"compares": 1e999')
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputFileError, match=re.escape("roles.gfn[0].figures.compares: ")):
        load_result(tmp_path / "x.json")


def test_the_machine_is_described() -> None:
    found = machine.describe_machine()
    assert list(found) == SCHEMA["$defs"]["machine"]["required"]
    packages = found["packages"]
    assert isinstance(packages, dict)
    assert {"numpy", "pydantic", "sortedcontainers"} <= set(packages)
    assert "pytest" not in packages
    assert str(found["python"]).startswith(("CPython ", "PyPy "))


def test_virtualised_by_cpu_flag_or_device_tree() -> None:
    assert machine.virtualised("processor : 0\nflags\t\t: fpu hypervisor lahf_lm\n", False) is True
    assert machine.virtualised("processor : 0\nflags\t\t: fpu hypervisors\n", False) is False
    # ARM names its CPU's features otherwise, and no flag of theirs tells.
    assert machine.virtualised("Features\t: fp asimd hypervisor\n", False) is None
    assert machine.virtualised("Features\t: fp asimd\n", True) is True
    assert machine.virtualised(None, False) is None
