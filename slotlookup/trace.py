"""Traces: the starting slots of a VM and every event that concerns them, in order, in one Parquet file.

Columns, one row per event:

    kind   uint8   EventKind
    vcpu   uint16  the asking vCPU (0 if unknown)
    a, b   uint64  gfn lookup: gfn, address space. hva visit: start, end (half-open). slot change: gpa, size in bytes
    slot   uint32  slot change: the slot number (as_id << 16 | id)
    hva    uint64  slot change: userspace_addr
    flags  uint32  slot change: flags

The schema's metadata holds the starting slots, the name and the provenance as JSON under the key `slotlookup`.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slotlookup.architecture import ARCHITECTURES, X86_64, Architecture
from slotlookup.arrays import Words
from slotlookup.errors import HostLimit, InputFileError, RegionError
from slotlookup.memslots import Memslot, Memslots, SlotChange, describe_number, make_memslot
from slotlookup.stream import GfnStream, HvaStream, Timeline, change_table, creation_table
from slotlookup.vocabulary import Operation
from slotlookup.writing import Writer, replacing

if TYPE_CHECKING:
    from typing import BinaryIO

    import pyarrow as pa
    import pyarrow.parquet as pq

    from slotlookup.trace_header import TraceHeader

SCHEMA_VERSION = 1
ROW_GROUP = 1 << 20
MOST_EVENTS = 1 << 26
"""The maximum number of events of a trace that is read whole: 2.2 GiB of memory."""
_AGAIN = "write the trace again with `slotlookup import`"
_DAMAGED = f"damaged or truncated; {_AGAIN}"


class EventKind(IntEnum):
    """The kind of a row of a trace."""

    GFN_LOOKUP = 0
    HVA_VISIT = 1
    SLOT_CHANGE = 2

    @property
    def operation(self) -> Operation:
        """The operation that replays events of this kind."""
        return _OPERATIONS[self]


_OPERATIONS = {
    EventKind.GFN_LOOKUP: Operation.GFN,
    EventKind.HVA_VISIT: Operation.HVA,
    EventKind.SLOT_CHANGE: Operation.UPDATE,
}


class SlotOrder(StrEnum):
    """What the order of a trace's starting slots is: lists are scanned, and trees take their shape, in this order."""

    CREATION = "creation"
    """The order in which the VM created them."""
    GPA = "gpa"
    """Ascending guest addresses, as memory maps are printed. The order of creation is not known."""
    UNKNOWN = "unknown"
    """As they were listed, for whatever reason. The order of creation is not known."""


EVENT_DTYPE = np.dtype(
    [
        ("kind", np.uint8),
        ("vcpu", np.uint16),
        ("a", np.uint64),
        ("b", np.uint64),
        ("slot", np.uint32),
        ("hva", np.uint64),
        ("flags", np.uint32),
    ]
)
_CALL_COLUMNS = ("slot", "a", "b", "hva", "flags")
Events = npt.NDArray[np.void]
"""A structured array of EVENT_DTYPE, one element per event."""


def empty_events(n: int) -> Events:
    """`n` events, all fields zero."""
    return np.zeros(n, dtype=EVENT_DTYPE)


def gfn_events(gfns: npt.ArrayLike, as_id: int = 0) -> Events:
    """A gfn lookup for each of `gfns`."""
    values = np.asarray(gfns, dtype=np.uint64)
    events = empty_events(len(values))
    events["kind"] = EventKind.GFN_LOOKUP
    events["a"] = values
    events["b"] = as_id
    return events


def hva_events(starts: npt.ArrayLike, ends: npt.ArrayLike) -> Events:
    """An hva visit for each half-open range."""
    first = np.asarray(starts, dtype=np.uint64)
    events = empty_events(len(first))
    events["kind"] = EventKind.HVA_VISIT
    events["a"] = first
    events["b"] = np.asarray(ends, dtype=np.uint64)
    return events


def slot_events(calls: Iterable[tuple[int, int, int, int, int]]) -> Events:
    """A slot change for each (slot number, gpa, size, hva, flags)."""
    table = np.array(list(calls), dtype=np.uint64).reshape(-1, 5)
    events = empty_events(len(table))
    events["kind"] = EventKind.SLOT_CHANGE
    for column, values in zip(_CALL_COLUMNS, table.T, strict=True):
        events[column] = values
    return events


def replay_changes(
    memslots: Memslots, events: Events, refused: Callable[[int, RegionError], Exception]
) -> Iterator[tuple[int, SlotChange]]:
    """Apply the slot changes among `events` to `memslots`: each effective change with its event index.

    If KVM would refuse one, raises the exception that `refused` makes of the event's index and the error.
    """
    where = np.flatnonzero(events["kind"] == EventKind.SLOT_CHANGE).tolist()
    rows = events[where]
    changes = memslots.play(zip(*(rows[column].tolist() for column in _CALL_COLUMNS), strict=True))
    for index in where:
        try:
            change = next(changes)
        except RegionError as error:
            raise refused(index, error) from None
        if change is not None:
            yield index, change
    changes.close()


@dataclass(frozen=True)
class Trace:
    """The starting slots and the events of one VM.

    `provenance` describes the source of each part in words; its keys `gfn`, `hva` and `update` label the streams.
    `slot_order` is the order of `start`. Slots that the trace's own events create are in order of creation.
    `architecture` is that of the recorded host, whose limits its slots keep.
    """

    name: str
    start: tuple[Memslot, ...]
    events: Events
    provenance: Mapping[str, str] = field(default_factory=dict)
    slot_order: SlotOrder = SlotOrder.CREATION
    architecture: Architecture = X86_64

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the trace, 16 hex digits: equal for equal slots and events, whatever the file's encoding."""
        digest = hashlib.sha256()
        digest.update(creation_table(self.start).tobytes())
        for column in EVENT_DTYPE.names or ():
            digest.update(np.ascontiguousarray(self.events[column]).tobytes())
        return digest.hexdigest()[:16]

    @cached_property
    def _accepted(self) -> tuple[tuple[SlotChange, ...], Words]:
        """The accepted slot changes, and the event index of each."""
        accepted = list(
            replay_changes(
                Memslots(self.start, self.architecture),
                self.events,
                lambda index, error: InputFileError(self.name, None, f"event {index}: {error}"),
            )
        )
        return tuple(change for _, change in accepted), np.array([index for index, _ in accepted], dtype=np.uint64)

    @property
    def changes(self) -> tuple[SlotChange, ...]:
        """The slot changes, classified. Raises InputFileError if KVM would refuse one."""
        return self._accepted[0]

    @cached_property
    def change_table(self) -> Words:
        """The slot changes as uint64[n, 6]."""
        return change_table(self.changes)

    def final_slots(self) -> Memslots:
        """The slots after the last event."""
        memslots = Memslots(self.start, self.architecture)
        for change in self.changes:
            slot = change.slot
            size = 0 if change.kind == change.kind.DELETE else slot.size
            memslots.set_recorded(slot.number, slot.gpa, size, slot.userspace_addr, slot.flags)
        return memslots

    def gfn_stream(self) -> GfnStream:
        """The gfn lookups."""
        where = np.flatnonzero(self.events["kind"] == EventKind.GFN_LOOKUP)
        return GfnStream(
            np.ascontiguousarray(self.events["a"][where]),
            self._timeline(where, self.events["b"][where]),
            np.ascontiguousarray(self.events["vcpu"][where]),
        )

    def hva_stream(self) -> HvaStream:
        """The hva visits."""
        where = np.flatnonzero(self.events["kind"] == EventKind.HVA_VISIT)
        return HvaStream(
            np.ascontiguousarray(self.events["a"][where]),
            np.ascontiguousarray(self.events["b"][where]),
            self._timeline(where, np.zeros(len(where), dtype=np.uint64)),
        )

    def _timeline(self, where: npt.NDArray[np.intp], as_ids: Words) -> Timeline:
        precede = np.searchsorted(self._accepted[1], where.astype(np.uint64)).astype(np.uint64)
        if not len(where):
            return Timeline(np.zeros((0, 3), dtype=np.uint64), self.change_table)
        cut = np.flatnonzero((np.diff(precede) != 0) | (np.diff(as_ids.astype(np.int64)) != 0))
        ends = np.append(cut + 1, len(where))
        last = ends - 1
        return Timeline(
            np.ascontiguousarray(np.column_stack([ends.astype(np.uint64), as_ids[last], precede[last]])),
            self.change_table,
        )


def _schema(trace_metadata: Mapping[str, Any]) -> pa.Schema:
    import pyarrow as pa

    fields = [(name, pa.from_numpy_dtype(EVENT_DTYPE[name])) for name in EVENT_DTYPE.names or ()]
    return pa.schema(fields, metadata={"slotlookup": json.dumps(trace_metadata, sort_keys=True)})


def _to_batch(events: Events, schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    return pa.table({name: np.ascontiguousarray(events[name]) for name in schema.names}, schema=schema)


def _write(file: BinaryIO, events: Events, schema: pa.Schema, level: int) -> None:
    import pyarrow.parquet as pq

    # Dictionaries are smaller than plain, delta and split encodings here: real streams return to the same pages.
    with pq.ParquetWriter(file, schema, compression="zstd", compression_level=level, version="2.6") as writer:
        for begin in range(0, max(len(events), 1), ROW_GROUP):
            writer.write_table(_to_batch(events[begin : begin + ROW_GROUP], schema))


def write_trace(trace: Trace, path: Path | str, compression_level: int = 19) -> None:
    """Write a trace, with zstd's strongest useful compression or less. No partial file is ever visible.

    Raises InputFileError if the file cannot be written.
    """
    with replacing(path) as file:
        trace_writer(trace, compression_level)(file)


def trace_writer(trace: Trace, compression_level: int = 19) -> Writer:
    """What writes a trace into an open file."""
    schema = _schema(
        {
            "schema_version": SCHEMA_VERSION,
            "name": trace.name,
            "provenance": dict(trace.provenance),
            "slot_order": trace.slot_order,
            "architecture": trace.architecture.name,
            "slots": [[s.number, s.gpa, s.size, s.userspace_addr, s.flags] for s in trace.start],
        }
    )
    return lambda file: _write(file, trace.events, schema, compression_level)


def _open(path: Path) -> tuple[pq.ParquetFile, TraceHeader]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from slotlookup.trace_header import read_header

    try:
        file = pq.ParquetFile(path)
        schema = file.schema_arrow
    except FileNotFoundError:
        raise InputFileError(path, None, "no such file") from None
    except OSError as error:
        reason = error.strerror if error.errno else None
        raise InputFileError(path, None, f"cannot be read: {reason or _DAMAGED}") from None
    except (pa.ArrowException, ValueError):
        raise InputFileError(path, None, f"not a readable Parquet file: {_DAMAGED}") from None
    header = read_header(path, (schema.metadata or {}).get(b"slotlookup"), SCHEMA_VERSION)
    for name in EVENT_DTYPE.names or ():
        found = [column.type for column in schema if column.name == name]
        if len(found) != 1:
            many = f"has the column {name} {len(found)} times" if found else f"lacks the column {name}"
            raise InputFileError(path, None, f"the trace {many}; {_AGAIN}")
        wanted = pa.from_numpy_dtype(EVENT_DTYPE[name])
        if found[0] != wanted:
            raise InputFileError(
                path, None, f"the column {name} is of type {str(found[0])[:60]!a}, not {wanted}; {_AGAIN}"
            )
    return file, header


def _read_group(file: pq.ParquetFile, group: int, path: Path) -> Events:
    import pyarrow as pa

    try:
        table = file.read_row_group(group, columns=list(EVENT_DTYPE.names or ()))
        events = empty_events(table.num_rows)
        for name in EVENT_DTYPE.names or ():
            column = table.column(name)
            if column.null_count:
                raise InputFileError(path, None, f"column {name} has nulls in row group {group}")
            events[name] = column.to_numpy()
    except (OSError, pa.ArrowException, ValueError):
        raise InputFileError(path, None, f"row group {group} cannot be read: {_DAMAGED}") from None
    _validate(events, path, group)
    return events


def _validate(events: Events, path: Path, group: int) -> None:
    kinds = events["kind"]
    if len(kinds) and int(kinds.max()) > max(EventKind):
        raise InputFileError(path, None, f"row group {group} has an event of unknown kind {int(kinds.max())}")
    empty = np.flatnonzero((kinds == EventKind.HVA_VISIT) & (events["a"] >= events["b"]))
    if len(empty):
        raise InputFileError(path, None, f"row group {group}, row {empty[0]}: an hva range that is empty or reversed")
    outside = np.flatnonzero((kinds == EventKind.GFN_LOOKUP) & (events["b"] > 1))
    if len(outside):
        raise InputFileError(path, None, f"row group {group}, row {outside[0]}: a lookup in an unknown address space")


def iterate_trace(path: Path | str) -> Iterator[Events]:
    """The events of a trace, one row group at a time, so that a trace may be larger than memory."""
    source = Path(path)
    file, _ = _open(source)
    for group in range(file.num_row_groups):
        yield _read_group(file, group, source)


def read_trace(path: Path | str) -> Trace:
    """Read a whole trace. Raises InputFileError if the file is not a trace or is damaged."""
    source = Path(path)
    file, header = _open(source)
    if file.metadata.num_rows > MOST_EVENTS:
        raise InputFileError(
            source,
            None,
            f"{file.metadata.num_rows:,} events; the limit is {MOST_EVENTS:,}: import a part of the recording",
        )
    # An unknown name is of a later version.
    if header.architecture not in ARCHITECTURES:
        raise InputFileError(
            source, None, f"the architecture {header.architecture!a} is none of {', '.join(ARCHITECTURES)}; {_AGAIN}"
        )
    architecture = ARCHITECTURES[header.architecture]
    # Traces written before the order was kept do not say what it was.
    order = SlotOrder(header.slot_order or (SlotOrder.UNKNOWN if header.slots else SlotOrder.CREATION))
    twice = next((number for number, n in Counter(row[0] for row in header.slots).items() if n > 1), None)
    if twice is not None:
        raise InputFileError(source, None, f"slot {describe_number(twice)} is listed twice; {_AGAIN}")
    try:
        start = tuple(make_memslot(*row, architecture=architecture) for row in header.slots)
        Memslots(start, architecture)
    except RegionError as error:
        remedy = f"{_AGAIN}{' --architecture' if isinstance(error, HostLimit) else ''}"
        raise InputFileError(source, None, f"the trace's starting slots break KVM's rules: {error}; {remedy}") from None
    groups = list(iterate_trace(source))
    events = np.concatenate(groups) if groups else empty_events(0)
    return Trace(header.name, start, events, header.provenance, order, architecture)
