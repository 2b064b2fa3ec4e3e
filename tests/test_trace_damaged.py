"""Trace files that are damaged or made to harm: one clear line, no exception of Python, no cast."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_import_recordings import CALL

from slotlookup import trace as traces
from slotlookup.errors import InputFileError
from slotlookup.memslots import make_memslot
from slotlookup.recordings.recordings import import_files
from slotlookup.trace import Trace, gfn_events, read_trace, write_trace

SLOT = [0, 0x1000, 0x2000, 0x7F0000000000, 0]
VALID: dict[str, Any] = {
    "schema_version": 1,
    "name": "small",
    "provenance": {"gfn": "made by hand"},
    "slot_order": "creation",
    "slots": [SLOT],
}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """The columns of a small valid trace."""
    path = tmp_path_factory.mktemp("valid") / "t.parquet"
    write_trace(Trace("small", (make_memslot(*SLOT),), gfn_events([1, 2, 1])), path, 1)
    return pq.read_table(path)


def refused(path: Path, table: pa.Table, metadata: str | bytes) -> str:
    """The message for a trace with these columns and this metadata."""
    pq.write_table(table.replace_schema_metadata({"slotlookup": metadata}), path)
    with pytest.raises(InputFileError) as caught:
        read_trace(path)
    message = str(caught.value)
    assert message.isprintable() and "Error" not in message and len(message) < 400 + len(str(path))
    return message.removeprefix(f"{path}: ")


def test_the_unedited_trace_is_read(tmp_path: Path, table: pa.Table) -> None:
    pq.write_table(table.replace_schema_metadata({"slotlookup": edited()}), tmp_path / "t")
    trace = read_trace(tmp_path / "t")
    assert trace.start == (make_memslot(*SLOT),) and trace.events["a"].tolist() == [1, 2, 1]


def edited(**changes: object) -> str:
    return json.dumps(VALID | changes)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ("[" * 100_000, "not valid JSON"),
        (edited(slots="?").replace('"?"', "[" * 5000 + "]" * 5000), "not valid JSON"),
        (edited(slots=[[0, 0, float("inf"), 0, 0]]), "not valid JSON"),
        (edited(slots=[[0, "X", 0, 0, 0]]).replace('"X"', "1e999"), "slots.0.1"),
        (edited(slots=[[0, 10**30, 4096, 4096, 0]]), "slots.0.1"),
        (edited(slots=[[0, -4096, 4096, 4096, 0]]), "slots.0.1"),
        (edited(slots=[[0, 4096.0, 4096, 4096, 0]]), "slots.0.1"),
        (edited(slots=[[0, True, 4096, 4096, 0]]), "slots.0.1"),
        (edited(slots=[SLOT[:4]]), "slots.0.4: missing"),
        (edited(slots=[SLOT, SLOT]), "slot 0.* listed twice"),
        (edited(slots=[SLOT, [0, 0x9000, 0x1000, 0x7F0000009000, 0]]), "slot 0.* listed twice"),
        (edited(slots=[SLOT, [1, *SLOT[1:]]]), "break KVM's rules"),
        (edited(provenance={"gfn": "\ud800"}), "not valid JSON"),
        (edited(provenance={"gfn": "\x1b[2Jgate passed"}), "provenance.gfn: not printable"),
        (edited(provenance={"\x1b[2J": "x"}), "provenance"),
        (edited(name="a\nb"), "name: not printable"),
        (edited(schema_version="\x1b[2J"), r"trace schema '\\x1b"),
        (edited(schema_version=True), "trace schema True"),
        (edited(slot_order="sorted"), "slot_order"),
        (json.dumps({k: v for k, v in VALID.items() if k != "slots"}), "damaged at slots: missing"),
        (b"\xff\xfe", "not valid JSON"),
        ("3", "not a slotlookup trace"),
    ],
)
def test_metadata_that_breaks_the_schema_is_one_line(
    tmp_path: Path, table: pa.Table, metadata: str | bytes, message: str
) -> None:
    found = refused(tmp_path / "t", table, metadata)
    assert re.search(message, found), found


@pytest.mark.parametrize("raw", [b"a\x1b[2Jb", b"a\xffb", b"a\nb"])
def test_names_of_recordings_are_escaped_in_the_trace_made_of_them(tmp_path: Path, raw: bytes) -> None:
    recorded = tmp_path / os.fsdecode(raw)
    recorded.write_text(CALL)
    trace, _ = import_files([recorded])
    write_trace(trace, tmp_path / "t", 1)
    again = read_trace(tmp_path / "t")
    assert again.provenance == trace.provenance and again.provenance["source"].startswith("a\\")


@pytest.mark.parametrize("kind", [pa.string(), pa.float64(), pa.decimal128(20, 0), pa.binary(), pa.int64()])
def test_a_column_of_another_type_is_never_cast(tmp_path: Path, table: pa.Table, kind: pa.DataType) -> None:
    values = [str(v) for v in table["a"].to_pylist()]
    wrong = pa.array([v.encode() for v in values]) if kind == pa.binary() else pa.array(values).cast(kind)
    at = table.column_names.index("a")
    assert "the column a is of type" in refused(tmp_path / "t", table.set_column(at, "a", wrong), edited())


def test_a_column_twice_and_a_missing_one_are_named(tmp_path: Path, table: pa.Table) -> None:
    assert "has the column a 2 times" in refused(tmp_path / "t", table.append_column("a", table["a"]), edited())
    assert "lacks the column hva" in refused(tmp_path / "t", table.drop_columns("hva"), edited())


def test_the_number_of_events_is_limited_before_they_are_read(
    tmp_path: Path, table: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "MOST_EVENTS", 2)
    monkeypatch.setattr(traces, "_read_group", None)
    assert "3 events; the limit is 2" in refused(tmp_path / "t", table, edited())


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(VALID)), _JSON, st.booleans())
@settings(max_examples=100, deadline=None)
def test_any_edit_of_the_metadata_is_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, table: pa.Table, key: str, value: object, inner: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "edited.parquet"
    change = {"slots": [[value, *SLOT[1:]]]} if inner else {key: value}
    pq.write_table(table.replace_schema_metadata({"slotlookup": edited(**change)}), path)
    try:
        trace = read_trace(path)
    except InputFileError as error:
        assert str(error).isprintable()
    else:
        assert trace.name.isprintable() and all(v.isprintable() for v in trace.provenance.values())


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damaged_bytes_lead_to_no_other_exception(
    tmp_path_factory: pytest.TempPathFactory, table: pa.Table, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.parquet"
    pq.write_table(table.replace_schema_metadata({"slotlookup": edited()}), path)
    whole = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    path.write_bytes(whole)
    try:
        read_trace(path)
    except InputFileError as error:
        assert str(error).isprintable()
