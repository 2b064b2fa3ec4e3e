"""Combines recordings of one VM: from files of any format to one trace and a summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from slotlookup.address import HOLE
from slotlookup.architecture import OTHER, Architecture
from slotlookup.arrays import Ints
from slotlookup.errors import InputFileError, MixedForms, RegionError, UnknownForm, UnknownSlot, UsageError, present
from slotlookup.memslots import ChangeKind, Memslot, Memslots
from slotlookup.oracle import expected_gfns
from slotlookup.recordings.importing import HEAD, Importer, Limits, Recording, Source, open_source, with_remedy
from slotlookup.recordings.merging import merge
from slotlookup.recordings.ownership import Chosen, claim
from slotlookup.recordings.pasted import LARGEST_PASTE, cleaned, decoded, nearest
from slotlookup.registry import importers
from slotlookup.trace import EventKind, Events, SlotOrder, Trace, replay_changes

_KEPT = {EventKind.GFN_LOOKUP: "gfn lookups", EventKind.HVA_VISIT: "hva visits", EventKind.SLOT_CHANGE: "slot changes"}
# Finding a member in its class takes 0.1 us, and a recording may have a hundred thousand changes.
_CREATE, _MOVE = ChangeKind.CREATE, ChangeKind.MOVE
SEARCHED = 1 << 24
"""The number of bytes in which a line of a known form is looked for."""
_JUDGED = 256
"""From this number of lookups on, a format without a mark can be distinguished from arbitrary bytes."""


@dataclass
class FileSummary:
    """The summary of one file: format, lines, events kept, counted and dropped, and remarks.

    `names` has the kernel's names of events, with the numbers of kept and of understood ones.
    """

    path: Path
    form: str
    lines: int
    kept: dict[str, int]
    counted: dict[str, int]
    remarks: list[str]
    dropped: dict[str, int] = field(default_factory=dict)
    names: dict[str, tuple[int, int]] = field(default_factory=dict)

    def text(self) -> list[str]:
        """Lines of text for the terminal."""
        read = f" ({self.lines:,} lines)" if self.lines else ""
        out = [f"{self.path}: {self.form}{read}"]
        kept = ", ".join(f"{n:,} {what}" for what, n in self.kept.items() if n)
        out.append(f"  kept: {kept or 'nothing'}")
        of = (f"{k:,} of {n:,} {what}" if k < n else f"{n:,} {what}" for what, (k, n) in self.names.items())
        if self.names:
            out.append(f"  from: {', '.join(of)}")
        out += [f"  dropped: {n:,} {what}" for what, n in self.dropped.items()]
        if any(self.counted.values()):
            out.append(f"  counted: {', '.join(f'{n:,} {what}' for what, n in self.counted.items() if n)}")
        return out + [f"  remark: {remark}" for remark in self.remarks]


_ORDERS = {SlotOrder.GPA: "in order of gpa", SlotOrder.UNKNOWN: "in the order in which they were listed"}


@dataclass
class Summary:
    """The summary of an import.

    `final` are the slots at the end of the trace, in `slot_order`; `outside` is the number of gfn lookups outside every
    slot.
    """

    files: list[FileSummary]
    final: Memslots
    slot_order: SlotOrder
    changes: Counter[ChangeKind] = field(default_factory=Counter)
    lookups: int = 0
    outside: int = 0
    visits: int = 0

    def text(self) -> list[str]:
        """Lines of text for the terminal."""
        out = [line for file in self.files for line in file.text()]
        out.append(f"slots at the end: {len(self.final):,}, {len(self.final.aliased()):,} of them aliased")
        if self.slot_order is not SlotOrder.CREATION:
            out.append(f"order of creation: not recorded; the slots are {_ORDERS[self.slot_order]}")
        if self.changes:
            kinds = (f"{self.changes[k]:,} {k.name.lower().replace('_', ' ')}" for k in ChangeKind if self.changes[k])
            out.append(f"slot changes: {', '.join(kinds)}")
        if self.lookups:
            out.append(f"gfn lookups: {self.lookups:,}, {self.outside:,} of them outside every slot")
        if self.visits:
            out.append(f"hva visits: {self.visits:,}")
        return out


def recognise(source: Source, known: Sequence[Importer]) -> Importer:
    """The importer of the file's lines. Raises InputFileError if there is none, or more than one."""
    by_content = [importer for importer in known if importer.recognises(source.head[:HEAD])]
    beginning = b""
    if not by_content and (source.more or len(source.head) > HEAD):
        beginning = source.beginning(SEARCHED)
        by_content = [importer for importer in known if importer.recognises(beginning)]
    found = by_content or [importer for importer in known if importer.recognises_name(source.name)]
    if len(found) > 1:
        titles = " and ".join(importer.title for importer in found)
        line = _where_mixed(source, found)
        raise MixedForms(source.path, line, f"contains {titles}; put each recording in a file of its own")
    if not found:
        titles = "; ".join(sorted(importer.title for importer in known))
        searched = f" (its first {SEARCHED >> 20} MiB were searched)" if len(beginning) == SEARCHED else ""
        raise UnknownForm(
            source.path, None, f"not a recording in a known format{searched}; known formats are: {titles}"
        )
    return found[0]


def _where_mixed(source: Source, found: Sequence[Importer]) -> int | None:
    """The first line of another importer than the previous line."""
    first: Importer | None = None
    for number, line in enumerate(source.data.split(b"\n"), 1):
        for importer in found:
            if importer.recognises(line):
                if first is not None and importer is not first:
                    return number
                first = importer
    return None


def read_recording(path: Path | str, limits: Limits | None = None, architecture: Architecture = OTHER) -> Recording:
    """Read one file with the importer that recognises it, as it is or, failing that, as pasted text.

    `architecture` is that of the recorded host. Raises InputFileError.
    """
    source = replace(open_source(path, limits), architecture=architecture)
    recording = _read(source, list(importers().values()))
    recording.architecture = architecture
    return recording


def _read(source: Source, known: Sequence[Importer]) -> Recording:
    try:
        importer = recognise(source, known)
        return importer.read(_for(importer, source, known))
    except MixedForms:
        raise
    except InputFileError as error:
        if source.more and len(source.beginning(LARGEST_PASTE + 1)) > LARGEST_PASTE:
            raise
        return _read_pasted(source, known, error)


def _for(importer: Importer, source: Source, known: Sequence[Importer]) -> Source:
    others = tuple(other for other in known if other is not importer)
    return replace(source, form=importer.title, others=others)


def _read_pasted(source: Source, known: Sequence[Importer], refused: InputFileError) -> Recording:
    """The recording in pasted text. Raises `refused` where there is none in it, or where it is damaged."""
    try:
        lines, undone, open_end = decoded(source)
    except InputFileError:
        raise refused from None
    found = []
    for importer in known:
        if importer.lines is not None:
            clean = cleaned(lines, undone, open_end, importer.lines)
            if clean.records:
                found.append((importer, clean))
    if not found:
        near = nearest(lines, known)
        if near is None or not isinstance(refused, UnknownForm):
            raise refused
        importer, number, line = near
        raise source.fault(
            number, f"the nearest form is {importer.title}, and this is no line of it: {line[:80]!a}; copy it whole"
        )
    if len(found) > 1:
        raise refused
    importer, clean = found[0]
    if not clean.counted:
        raise refused  # nothing was undone, so that it would be refused again
    recording = importer.read(_for(importer, clean.source(source), known))
    recording.lines = len(lines)
    numbers = np.array(clean.numbers, dtype=np.int64)
    if recording.event_lines is not None:
        recording.event_lines = numbers[recording.event_lines - 1]
    recording.counted.update(clean.counted)
    inside = [(number, text) for number, text, between in clean.elided if between]
    recording.elided = tuple(inside)
    missing = "slots may be missing" if recording.changes or recording.table is not None else "events are missing"
    recording.remarks += [f"line {number}: lines were left out here ({text}); {missing}" for number, text in inside]
    return recording


@dataclass
class _Part:
    """A recording and the slots at its end (None if it records none).

    `accepted` are the indices of the events that changed a slot, `kinds` the kinds of these changes, `ever` every slot
    that existed.
    """

    recording: Recording
    final: Memslots | None = None
    accepted: list[int] = field(default_factory=list)
    ever: list[Memslot] = field(default_factory=list)
    kinds: Counter[ChangeKind] = field(default_factory=Counter)


def _play(recording: Recording) -> _Part:
    """Check the slots of a recording against the rules, once."""
    if recording.table is not None:
        return _Part(recording, final=Memslots(recording.table, recording.architecture), ever=list(recording.table))
    if not recording.changes:
        return _Part(recording)

    def refused(index: int, error: RegionError) -> InputFileError:
        line = None if recording.event_lines is None else int(recording.event_lines[index])
        for number, text in recording.elided:
            if line is not None and number < line:
                return InputFileError(
                    recording.path,
                    line,
                    f'{error}; lines were left out at line {number} ("{text}"); give the recording whole, from the '
                    "VM's start",
                )
        if isinstance(error, UnknownSlot):
            return InputFileError(
                recording.path,
                line,
                f"{error}: the recording begins late or lacks lines; record from the start of the VM",
            )
        return InputFileError(
            recording.path,
            line,
            f"recorded as successful, but KVM refuses it: {with_remedy(error, recording.architecture)}",
        )

    part = _Part(recording, slots := Memslots((), recording.architecture))
    kinds = [0] * len(ChangeKind)
    # The changes are dropped one by one: a hundred thousand live objects would slow down the garbage collector.
    for index, change in replay_changes(slots, recording.events, refused):
        part.accepted.append(index)
        kind = change.kind
        kinds[kind] += 1
        if kind is _CREATE or kind is _MOVE:
            part.ever.append(change.slot)
    if not part.accepted:
        raise InputFileError(recording.path, None, "no slot change succeeded; record from the start of the VM")
    part.kinds.update({kind: n for kind, n in zip(ChangeKind, kinds, strict=True) if n})
    return part


def _ranges(slots: Memslots, complete: bool) -> list[tuple[int, int, int]]:
    return [(s.as_id, s.gpa, s.size) for s in slots if complete or s.as_id == 0]


def _final(part: _Part) -> Memslots:
    return present(part.final, "the slots of a recording")


def _must_agree(main: _Part, other: _Part) -> None:
    """Check that both end with the same ranges. Raises InputFileError at the first difference."""
    complete = main.recording.complete and other.recording.complete
    ours, theirs = (_ranges(_final(part), complete) for part in (main, other))
    differing = set(ours) ^ set(theirs)
    if not differing:
        return
    as_id, gpa, size = first = min(differing)
    where = f"[{gpa:#x}, {gpa + size:#x})" + (f" of address space {as_id}" if as_id else "")
    has, lacks = (main, other) if first in ours else (other, main)
    raise InputFileError(
        other.recording.path,
        None,
        f"not the same VM: {has.recording.path.name} ends with a slot {where} that {lacks.recording.path.name} lacks; "
        "import recordings of one VM at a time",
    )


@dataclass
class _Kept:
    """The part of a recording that enters the trace: events, times and lines; and a summary of the rest."""

    part: _Part
    events: Events
    times: Ints | None
    summary: FileSummary


def _keep(part: _Part, main: _Part, chosen: Chosen) -> _Kept:
    """Remove calls that change nothing, slot changes that another file also records, and events of other VMs."""
    recording = part.recording
    change = recording.events["kind"] == EventKind.SLOT_CHANGE
    keep = ~change
    remarks, dropped = list(recording.remarks), Counter[str]()
    idle = 0
    if recording.changes and recording.table is None:
        if part is main:
            keep[np.array(part.accepted, dtype=np.intp)] = True
        idle = int(np.count_nonzero(change)) - len(part.accepted)
    if recording.origins is not None:
        claimed = claim(recording, main.ever, chosen)
        keep &= claimed.kept
        dropped += claimed.dropped
        remarks += claimed.remarks
    events = recording.events if keep.all() else recording.events[keep]
    counts = {what: int(np.count_nonzero(events["kind"] == kind)) for kind, what in _KEPT.items()}
    if part.final is not None and part is not main:
        remarks.append("its slots agree with those of the files before and are not repeated")
    elif recording.table is not None:
        counts["slots"] = len(recording.table)
    counted = {what: n for what, n in recording.counted.items() if n}
    if idle:
        counted["calls that change nothing"] = idle
    times = None if recording.times is None else recording.times[keep]
    summary = FileSummary(recording.path, recording.form, recording.lines, counts, counted, remarks, dict(dropped))
    if recording.origins is not None:
        read = np.bincount(recording.origins.name, minlength=len(recording.origins.names))
        left = np.bincount(recording.origins.name[keep], minlength=len(recording.origins.names))
        pairs = zip(recording.origins.names, left.tolist(), read.tolist(), strict=True)
        summary.names = {name: (k, n) for name, k, n in pairs if n}
    return _Kept(part, events, times, summary)


def _escaped(name: str) -> str:
    """A file's name; one with control characters, or bytes that are not UTF-8, is escaped as in Python's source."""
    return name if name.isprintable() else ascii(name)[1:-1]


def _provenance(kept: Sequence[_Kept]) -> dict[str, str]:
    out = {"source": "; ".join(f"{_escaped(k.summary.path.name)} ({k.summary.form})" for k in kept)}
    for kind in EventKind:
        names = [_escaped(k.summary.path.name) for k in kept if bool((k.events["kind"] == kind).any())]
        if names:
            out[kind.operation] = f"recorded ({', '.join(names)})"
    return out


def import_files(
    paths: Iterable[Path | str],
    name: str | None = None,
    chosen: Chosen | None = None,
    limits: Limits | None = None,
    architecture: Architecture = OTHER,
) -> tuple[Trace, Summary]:
    """Combine recordings of one VM. `limits` are those of each file.

    One recording provides the slots: the first with slot changes, else the first table (tables with recorded host
    addresses before others). All other recordings of slots must end with the same ranges. Recordings with times of one
    clock are merged by time; otherwise slot changes are first, followed by lookups and visits in the order of `paths`.
    Of recordings of a whole machine the VM's events are kept (module `ownership`), or those selected by `chosen`.
    `architecture` is that of the VM's host.
    Raises InputFileError, or UsageError if there are no files.
    """
    return put_together([read_recording(path, limits, architecture) for path in paths], name, chosen)


def put_together(
    recordings: Sequence[Recording], name: str | None = None, chosen: Chosen | None = None
) -> tuple[Trace, Summary]:
    """The same for recordings that have been read."""
    parts = [_play(recording) for recording in recordings]
    if not parts:
        raise UsageError("no files to import")
    telling = [part for part in parts if part.final is not None]
    if not telling:
        raise InputFileError(
            parts[0].recording.path,
            None,
            "contains accesses but no slots; add the VM's slots (a slot table, `info mtree -f` or a KVM trace)",
        )
    main = min(telling, key=lambda part: (not part.recording.changes, not part.recording.hva_recorded))
    for other in telling:
        if other is not main:
            _must_agree(main, other)
    chosen = chosen or Chosen()
    if chosen and all(part.recording.origins is None for part in parts):
        raise UsageError(
            "--pid and --comm select events of a whole machine; none of the files records the threads of its events"
        )

    files = [_keep(part, main, chosen) for part in parts]
    kept = sorted(files, key=lambda k: k.part is not main)
    merged = merge([k.events for k in kept], [k.times for k in kept], [k.summary.path for k in kept])
    for k, remarks in zip(kept, merged.remarks, strict=True):
        k.summary.remarks += remarks
    start: tuple[Memslot, ...] = main.recording.table or ()
    order = SlotOrder.CREATION if main.recording.changes else main.recording.slot_order
    name = name or _escaped(_stem(parts[0].recording.path))
    architecture = main.recording.architecture
    trace = Trace(name, start, merged.events, _provenance(files), order, architecture)
    outside = _outside(trace, main, kept, merged.origin)
    kinds = np.bincount(merged.events["kind"], minlength=len(EventKind))
    lookups, visits = int(kinds[EventKind.GFN_LOOKUP]), int(kinds[EventKind.HVA_VISIT])
    return trace, Summary([k.summary for k in files], _final(main), order, main.kinds, lookups, outside, visits)


def _outside(trace: Trace, main: _Part, kept: Sequence[_Kept], origin: npt.NDArray[np.uint32]) -> int:
    """The lookups outside every slot. Raises InputFileError if they show that a file is not a gfn stream.

    `origin` has the index in `kept` of each event.
    """
    asked = trace.events["kind"] == EventKind.GFN_LOOKUP
    if not asked.any():
        return 0
    changed = np.flatnonzero(trace.events["kind"] == EventKind.SLOT_CHANGE)
    if len(changed) and changed[-1] > int(np.argmax(asked)):
        misses = expected_gfns(trace.start, trace.gfn_stream()) == HOLE
    else:
        # If no slot changes between lookups, they all use the final slots, and no change needs to be replayed.
        settled = replace(trace, start=tuple(_final(main)), events=trace.events[asked])
        misses = expected_gfns(settled.start, settled.gfn_stream()) == HOLE
    of = origin[asked]
    for index, k in enumerate(kept):
        lookups = int(np.count_nonzero(of == index))
        missed = int(np.count_nonzero(misses[of == index]))
        if k.part.recording.doubtful and lookups >= _JUDGED and missed * 10 > lookups * 9:
            raise InputFileError(
                k.summary.path,
                None,
                f"{missed:,} of {lookups:,} values are outside every slot: they are not gfns, or belong to another VM",
            )
    return int(np.count_nonzero(misses))


def _stem(path: Path) -> str:
    """A file's name without its suffixes."""
    return path.name.split(".")[0] or path.name
