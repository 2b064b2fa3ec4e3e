"""QEMU's memory map as its monitor prints it: `info mtree -f`, or `info mtree`, or both.

    FlatView #1
     AS "memory", root: system
     Root memory region: system
      0000000000000000-00000000000effff (prio 0, ram): ram0 KVM
      00000000000f0000-00000000000fffff (prio 0, ram): pc.bios KVM

The ram, rom, romd and nv-ram lines of the address space "memory" are KVM's slots, with identical ranges
(compared on QEMU 7.2 for every recorded machine). Slot ids, host addresses and dirty logging are not printed. The
regions' own types are in `info mtree`: a rom line of a ram region is a shadow (PAM), which KVM maps writable. If
there is only `info mtree`, its trees are rendered (`_memory_tree.py`). Other monitor output around the map is
ignored.

QEMU 2.9 and 2.10 begin a flat view with `address-space (flat view): memory`. QEMU 4.1 and 4.2 print the accelerator's
name (`kvm`, `kvm:tcg`, `kvm-accel`) where others print `KVM`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from slotlookup.address import PAGE_SIZE
from slotlookup.memslots import READONLY
from slotlookup.recordings.importing import Importer, LineRules, Recording, SlotRow, Source, lay_out_hvas, slot_table
from slotlookup.trace import SlotOrder

from ._memory_tree import OLD_TREE, OWNER, RANGE, TREE, Renderer, Trees, region_of

_NAMED = r"(?:kvm|tcg|hax|hvf|whpx|xen|nvmm|mshv|qtest)(?:-accel)?"
_LABEL = rf"(?: (?:KVM|{_NAMED}(?::{_NAMED})*))?"
_FLAT = re.compile(rf"  {RANGE}(.+?)(?: @([0-9a-f]{{16}}))?{OWNER}{_LABEL}", re.ASCII)
_TORN = re.compile(r"\(prio |@[0-9a-f]+|[0-9a-f]{16}-| KVM ")
"""What no region's name holds: parts of another line, an offset that is cut, or what stands after a name."""
_VIEW = re.compile(r"FlatView #\d+", re.ASCII)
_SPACE = re.compile(r' AS "([^"]*)", root: .+')
_OLD_SPACE = re.compile(r"address-space \(flat view\): (.+)")
_ROOT = re.compile(r" ?Root memory region: (.+)|  No rendered FlatView.*")
_SECTION = re.compile(r"(address-space|memory-region): (.+)")
_BEGINS = re.compile(r" *[0-9a-f]{16}-[0-9a-f]{16} \(prio")
_DAMAGED = re.compile(
    r"^ *[0-9a-f]+(?:-[0-9a-f]*)?$|[0-9a-f]{8,}-|\bKVM$|\(prio|FlatView|\bAS \"|Root memory|@[0-9a-f]{8,}|"
    r"(?:address-space|memory-region): |\b(?:ram|rom|romd|ramd|i/o|container)\): "
)
_MARK = re.compile(
    rb'^(?:FlatView #\d| AS "[^"\n]*", root: | ?Root memory region: |'
    rb"address-space(?: \(flat view\))?: |memory-region: )",
    re.MULTILINE,
)
_SLOT_TYPES = frozenset({"ram", "rom", "romd", "ramd"})
_MACHINE_SPACES = ("memory", "cpu-memory-0")
_MOST_BLANKS = 64
"""The maximum number of blanks in a row within a line; the time to match a line grows with their square."""
_BLANKS = " " * (_MOST_BLANKS + 1)
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
    root: str = ""


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
        """Whether a line begins a flat view or a tree."""
        return _MARK.search(head) is not None

    @property
    def lines(self) -> LineRules:
        """Leading blanks are the depth in a tree, and tell a range from a heading."""
        return LineRules(_whole, _BEGINS, _DAMAGED, columns=True)

    def read(self, source: Source) -> Recording:
        """The slots of the address space "memory". Raises InputFileError."""
        recording = Recording(source.path, self.title, len(source.lines), hva_recorded=False, complete=False)
        reader = _Reader(source, recording)
        views, regions = reader.read()
        view = _machine_view(source, views, recording) if views else _rendered(source, reader.trees, recording)
        _check_names(source, view)
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
        recording.slot_order = SlotOrder.GPA
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
        self.trees = Trees()

    def read(self) -> tuple[list[_View], _Regions]:
        view: _View | None = None
        section: tuple[str, str] | None = None
        for number, text in self.source.numbered():
            line = text.rstrip(" \t") if text.strip() else text  # a region's name does not end in blanks
            if line != text:
                self.recording.counted["lines with blanks at their end"] += 1
            if _BLANKS in line.lstrip(" "):
                raise self.source.fault(
                    number, f"more than {_MOST_BLANKS} blanks in a row, the limit within a line; {_REMEDY}"
                )
            begun = self._begun(view, number, line)
            if begun is not None:
                view, section = begun, None
                continue
            head = _SECTION.fullmatch(line)
            if view is not None:
                if line and head is None and not line.startswith(("#", "(qemu)")):
                    self._view_line(view, number, line)
                    continue
                view = None
            if not line.strip() or line.startswith("#"):
                section = None
                continue
            if head is not None:
                section = (head[1], head[2])
                self.trees.begin(*section)
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

    def _begun(self, view: _View | None, number: int, line: str) -> _View | None:
        """The flat view that a line begins, or None."""
        old = _OLD_SPACE.fullmatch(line)
        root = _ROOT.fullmatch(line)
        if _VIEW.fullmatch(line):
            begun = _View(number)
        elif old is not None:
            begun = _View(number, {old[1]})
        elif view is None and root is not None and root[1] is not None:
            begun = _View(number, root=root[1])
        else:
            return None
        self.views.append(begun)
        return begun

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
        if match is None or _TORN.search(match[6]):
            raise self.source.unparsed(number, _REMEDY)
        start, last = int(match[1], 16), int(match[2], 16)
        if last < start:
            raise self.source.fault(number, f"the range ends at {last:#x}, before it starts at {start:#x}")
        if start <= view.last:
            raise self.source.fault(number, f"the range starts at {start:#x}, inside or before the one above it")
        view.last = last
        if match[5] in _SLOT_TYPES:
            offset = int(match[7], 16) if match[7] else 0
            view.parts.append(_Part(number, start, last - start + 1, match[5], match[6], offset))

    def _tree_line(self, section: tuple[str, str], number: int, line: str) -> None:
        match = TREE.fullmatch(line)
        if match is None:
            if OLD_TREE.fullmatch(line):
                raise self.source.fault(
                    number,
                    "this `info mtree` (QEMU before 2.9: RW, R-) does not tell RAM from devices; save `info mtree -f` "
                    "(QEMU 2.9 and later)",
                )
            raise self.source.unparsed(number, _REMEDY)
        depth, region = region_of(match, number)
        if region.end <= region.start:
            raise self.source.fault(number, f"the range ends at {region.end - 1:#x}, before it starts")
        self.trees.add(depth, region, self.source)
        if region.target:
            return
        name, kind = region.name, region.type
        if self.regions.types.get(name) not in ("rom", "romd"):
            self.regions.types[name] = kind
        if section == ("address-space", "memory"):
            self.regions.placed[name] += 1

    def _other_line(self, number: int, line: str) -> None:
        broken = line.startswith(("FlatView", ' AS "', "  No rendered")) or _BEGINS.match(line)
        if broken or self.source.whose(line) is not None:
            raise self.source.unparsed(number, _REMEDY)
        self.recording.counted["lines of other monitor output"] += 1


def _whole(line: str) -> bool:
    if _BLANKS in line.lstrip(" "):
        return False
    flat = _FLAT.fullmatch(line)
    if flat is not None:
        return _TORN.search(flat[6]) is None
    tree = TREE.fullmatch(line)
    if tree is not None:
        return _TORN.search(tree[8] or tree[12] or "") is None
    patterns = (_VIEW, _SPACE, _OLD_SPACE, _ROOT, _SECTION, OLD_TREE)
    return line == "  Dispatch" or any(pattern.fullmatch(line) for pattern in patterns)


def _check_names(source: Source, view: _View) -> None:
    """Raise InputFileError where a region's name ends in a word that is none of its own."""
    names = {part.region for part in view.parts}
    for part in view.parts:
        name, _, word = part.region.rpartition(" ")
        if name in names:
            raise source.fault(
                part.line,
                f"{word!a} after the region {name!a} is not known; if it is no part of the line, delete it",
            )


def _rendered(source: Source, trees: Trees, recording: Recording) -> _View:
    """The flat view of the machine's memory, made from its tree."""
    root = next((trees.spaces[name] for name in _MACHINE_SPACES if name in trees.spaces), None)
    if root is None:
        raise source.fault(None, 'no address space "memory" among the trees; save the whole output of `info mtree -f`')
    view = _View(root.line, {"memory"})
    for piece in Renderer(source, trees, root).render():
        kind = piece.region.type
        if kind in _SLOT_TYPES:
            shown = "rom" if piece.readonly and kind == "ram" else kind
            view.parts.append(
                _Part(piece.region.line, piece.start, piece.end - piece.start, shown, piece.region.name, piece.offset)
            )
    if not view.parts:
        raise source.fault(root.line, "the tree shows no ram or rom; was it cut short?")
    if trees.switched_off:
        recording.counted["regions below one that is switched off"] += trees.switched_off
    recording.remarks.append(
        "the flat view is rendered from the tree, by priority and alias; `info mtree -f` prints QEMU's own"
    )
    return view


def _machine_view(source: Source, views: list[_View], recording: Recording) -> _View:
    """The flat view that KVM's slots follow."""
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
    unnamed = [view for view in views if not view.spaces and view.root == "system" and view.parts]
    if len(unnamed) == len(views) == 1:
        recording.remarks.append("which address space the view is of is not told; its root, system, is the machine's")
        return unnamed[0]
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
