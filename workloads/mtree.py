"""QEMU's memory map as its monitor prints it: `info mtree -f`, optionally with `info mtree`.

    FlatView #1
     AS "memory", root: system
     Root memory region: system
      0000000000000000-00000000000effff (prio 0, ram): ram0 KVM
      00000000000f0000-00000000000fffff (prio 0, ram): pc.bios KVM

The ram, rom, romd and nv-ram lines of the address space "memory" are KVM's slots, with identical ranges
(compared on QEMU 7.2 for every recorded machine). Slot ids, host addresses and dirty logging are not printed. The
regions' own types are in `info mtree`: a rom line of a ram region is a shadow (PAM), which KVM maps writable.
Other monitor output around the map is ignored.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from slotlookup.address import PAGE_SIZE
from slotlookup.memslots import READONLY
from slotlookup.recordings.importing import Importer, Recording, SlotRow, Source, lay_out_hvas, slot_table

_RANGE = r"([0-9a-f]{16})-([0-9a-f]{16}) \(prio -?\d+, (nv-)?(ram|rom|romd|ramd|i/o|container)\): "
_OWNER = r"(?: +(?:owner|parent):\S*(?:\{[^}]*\})?)*"
_FLAT = re.compile(rf"  {_RANGE}(.+?)(?: @([0-9a-f]{{16}}))?{_OWNER}(?: KVM)?", re.ASCII)
_TREE = re.compile(rf" +{_RANGE}(alias )?(.+?){_OWNER}(?: \[disabled\])?", re.ASCII)
_VIEW = re.compile(r"FlatView #\d+", re.ASCII)
_SPACE = re.compile(r' AS "([^"]*)", root: .+')
_ROOT = re.compile(r" Root memory region: .+|  No rendered FlatView")
_SECTION = re.compile(r"(address-space|memory-region): (.+)")
_MARK = re.compile(rb'^(?:FlatView #\d| AS "[^"\n]*", root: )', re.MULTILINE)
_SLOT_TYPES = frozenset({"ram", "rom", "romd", "ramd"})
_MACHINE_SPACES = ("memory", "cpu-memory-0")
_REMEDY = "save the output of `info mtree -f` again"


@dataclass(frozen=True, slots=True)
class _Part:
    """A line of the map with a slot in KVM: [gpa, gpa + size) maps `region` from `offset` on."""

    line: int
    gpa: int
    size: int
    type: str
    region: str
    offset: int


@dataclass
class _View:
    """One flat view. `last` is the last address so far."""

    line: int
    spaces: set[str] = field(default_factory=set)
    parts: list[_Part] = field(default_factory=list)
    last: int = -1
    dispatch: bool = False


@dataclass
class _Regions:
    """The content of `info mtree`: each region's own type, and the number of regions with a name."""

    types: dict[str, str] = field(default_factory=dict)
    sections: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    placed: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    def bearing(self, name: str) -> int:
        return max(1, self.sections[name], self.placed[name])


class Mtree(Importer):
    """Reads a memory map."""

    name = "mtree"
    title = "QEMU info mtree -f"

    def recognises(self, head: bytes) -> bool:
        """Whether a line begins a flat view."""
        return _MARK.search(head) is not None

    def read(self, source: Source) -> Recording:
        """The slots of the address space "memory". Raises InputFileError."""
        recording = Recording(source.path, self.title, len(source.lines), hva_recorded=False, complete=False)
        views, regions = _Reader(source, recording).read()
        view = _machine_view(source, views)
        parts = list(_whole_pages(view.parts, recording))
        own = regions.types
        writable = {part.region for part in parts if part.type in ("ram", "ramd")}
        untold = sorted({part.region for part in parts if part.type == "rom" and part.region not in own})
        rows: list[SlotRow] = []
        try:
            blocks = _blocks(parts, regions)
            hvas = lay_out_hvas((block, p.offset, p.size) for p, block in zip(parts, blocks, strict=True))
        except OverflowError as error:
            raise source.fault(view.line, str(error)) from None
        for slot, (part, hva) in enumerate(zip(parts, hvas, strict=True)):
            if part.region in own:
                readonly = part.type == "romd" or own[part.region] in ("rom", "romd")
            else:
                readonly = part.type == "romd" or (part.type == "rom" and part.region not in writable)
            rows.append(SlotRow(part.line, slot, part.gpa, part.size, hva, READONLY if readonly else 0))
        recording.table = slot_table(source, rows)
        recording.remarks.append(
            "slot ids, host addresses and dirty logging are not recorded: ids follow gpa, addresses are constructed "
            "from region and offset, so that aliases stay aliases"
        )
        if untold:
            recording.remarks.append(
                f"`info mtree` does not contain the type of {', '.join(untold)}: READONLY taken from the flat view"
            )
        return recording


class _Reader:
    """Goes through the lines."""

    def __init__(self, source: Source, recording: Recording) -> None:
        self.source = source
        self.recording = recording
        self.views: list[_View] = []
        self.regions = _Regions()

    def read(self) -> tuple[list[_View], _Regions]:
        view: _View | None = None
        section: tuple[str, str] | None = None
        for number, line in enumerate(self.source.lines, 1):
            if _VIEW.fullmatch(line):
                view, section = _View(number), None
                self.views.append(view)
                continue
            if view is not None:
                if line and not line.startswith(("#", "(qemu)")):
                    self._view_line(view, number, line)
                    continue
                view = None
            if not line.strip() or line.startswith("#"):
                section = None
                continue
            head = _SECTION.fullmatch(line)
            if head is not None:
                section = (head[1], head[2])
                if head[1] == "memory-region":
                    self.regions.sections[head[2]] += 1
            elif section is not None and line.startswith(" "):
                self._tree_line(section, number, line)
            else:
                section = None
                self._other_line(number, line)
        if self.source.unterminated and (view is not None or section is not None):
            raise self.source.unparsed(len(self.source.lines), _REMEDY)
        if view is not None:
            self.recording.remarks.append("the file ends within the memory map: ranges may be missing")
        return self.views, self.regions

    def _view_line(self, view: _View, number: int, line: str) -> None:
        space = _SPACE.fullmatch(line)
        if space is not None:
            view.spaces.add(space[1])
            return
        if _ROOT.fullmatch(line) or view.dispatch:
            return
        if line == "  Dispatch":
            view.dispatch = True
            return
        match = _FLAT.fullmatch(line)
        if match is None or "(prio " in match[5]:  # two damaged lines, joined into one
            raise self.source.unparsed(number, _REMEDY)
        start, last = int(match[1], 16), int(match[2], 16)
        if last < start:
            raise self.source.fault(number, f"the range ends at {last:#x}, before it starts at {start:#x}")
        if start <= view.last:
            raise self.source.fault(number, f"the range starts at {start:#x}, inside or before the one above it")
        view.last = last
        if match[4] in _SLOT_TYPES:
            offset = int(match[6], 16) if match[6] else 0
            view.parts.append(_Part(number, start, last - start + 1, match[4], match[5], offset))

    def _tree_line(self, section: tuple[str, str], number: int, line: str) -> None:
        match = _TREE.fullmatch(line)
        if match is None:
            raise self.source.unparsed(number, _REMEDY)
        if match[5]:
            return
        name, kind = match[6], match[4]
        if self.regions.types.get(name) not in ("rom", "romd"):
            self.regions.types[name] = kind
        if section == ("address-space", "memory"):
            self.regions.placed[name] += 1

    def _other_line(self, number: int, line: str) -> None:
        broken = line.startswith(("FlatView", ' AS "', "  No rendered")) or re.match(rf" *{_RANGE}", line)
        if broken or self.source.whose(line) is not None:
            raise self.source.unparsed(number, _REMEDY)
        self.recording.counted["lines of other monitor output"] += 1


def _machine_view(source: Source, views: list[_View]) -> _View:
    """The flat view of the address space that KVM uses."""
    for space in _MACHINE_SPACES:
        found = [view for view in views if space in view.spaces]
        if not found:
            continue
        maps = {tuple((p.gpa, p.size, p.type, p.region, p.offset) for p in view.parts) for view in found}
        if len(maps) > 1:
            raise source.fault(found[1].line, f"a second memory map, unequal to that of line {found[0].line}; keep one")
        if not found[0].parts:
            raise source.fault(found[0].line, "the memory map has no ram or rom; is it truncated?")
        return found[0]
    raise source.fault(None, 'no flat view of the address space "memory"; save the whole output of `info mtree -f`')


def _whole_pages(parts: Iterable[_Part], recording: Recording) -> Iterable[_Part]:
    """The pages that each part covers completely, as QEMU passes them to KVM."""
    for part in parts:
        start = -(-part.gpa // PAGE_SIZE) * PAGE_SIZE
        end = (part.gpa + part.size) // PAGE_SIZE * PAGE_SIZE
        if end <= start:
            recording.counted["ranges smaller than a page, which have no slot"] += 1
            continue
        yield _Part(part.line, start, end - start, part.type, part.region, part.offset + start - part.gpa)


def _blocks(parts: list[_Part], regions: _Regions) -> list[str]:
    """The memory block behind each part.

    Blocks are identified by the region's name, so that two mappings of one region share their host memory. If several
    regions have one name (two graphics cards), parts that would share memory are assigned to different regions, as far
    as there are enough.
    """
    taken: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    out: list[str] = []
    for part in parts:
        start, end = part.offset, part.offset + part.size
        names = [part.region, *(f"{part.region}\0{i}" for i in range(1, regions.bearing(part.region)))]
        free = (name for name in names if all(e <= start or end <= s for s, e in taken[name]))
        block = next(free, part.region)
        taken[block].append((start, end))
        out.append(block)
    return out


MTREE = Mtree()
