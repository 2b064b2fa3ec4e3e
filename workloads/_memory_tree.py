"""Plain `info mtree`: trees of memory regions, and the flat view that QEMU makes of them.

    address-space: memory
      0000000000000000-ffffffffffffffff (prio 0, i/o): system
        0000000000000000-000000002fffffff (prio 0, ram): alias ram-below-4g @pc.ram 0000000000000000-000000002fffffff
        0000000000000000-ffffffffffffffff (prio -1, i/o): pci

A region is rendered as QEMU's `render_memory_region` (softmmu/memory.c) does: its subregions first, those of higher
priority before others, then the region itself where nothing is yet. An alias is its target at another place. Containers
show nothing of their own; until QEMU 10 they are printed as i/o, so i/o with subregions is taken as a container.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

from slotlookup.recordings.importing import Source

RANGE = r"([0-9a-f]{16})-([0-9a-f]{16}) \(prio (-?\d+), (nv-)?(ram|rom|romd|ramd|i/o|container)\): "
OWNER = r"(?: +(?:owner|parent):\S*(?:\{[^}]*\})?)*"
TREE = re.compile(
    rf"( +){RANGE}(?:alias (.+?) @(.+?) ([0-9a-f]{{16}})-([0-9a-f]{{16}})|(.+?)){OWNER}( \[disabled\])?", re.ASCII
)
OLD_TREE = re.compile(r" +[0-9a-f]{16}-[0-9a-f]{16} \(prio -?\d+, (?:RW|R-|-W|--)\): .+", re.ASCII)
"""QEMU before 2.9 prints how a region can be accessed, and not what it is."""
_MOST_DEPTH = 32
_MOST_PIECES = 100_000


@dataclass(eq=False)
class Region:
    """A region as a line of a tree prints it. `start` is where that tree has it; `end` is exclusive."""

    line: int
    start: int
    end: int
    priority: int
    type: str
    name: str
    target: str = ""
    target_offset: int = 0
    enabled: bool = True
    children: list[Region] = field(default_factory=list)


@dataclass(frozen=True)
class Piece:
    """A stretch of the flat view: [start, end) shows `region` from `offset` on."""

    start: int
    end: int
    region: Region
    offset: int
    readonly: bool


def region_of(match: re.Match[str], line: int) -> tuple[int, Region]:
    """The depth and the region of a line of a tree."""
    indent, first, last, priority, _, kind, alias, target, target_first, _, name, disabled = match.groups()
    region = Region(line, int(first, 16), int(last, 16) + 1, int(priority), kind, alias or name)
    if alias is not None:
        region.target, region.target_offset = target, int(target_first, 16)
    region.enabled = disabled is None
    return len(indent) // 2 - 1, region


@dataclass
class Trees:
    """The trees of a file: `spaces` by address space, `roots` by the name of a `memory-region:` section."""

    spaces: dict[str, Region] = field(default_factory=dict)
    roots: dict[str, list[Region]] = field(default_factory=lambda: defaultdict(list))
    switched_off: int = 0
    """Regions below one that is not printed because it is switched off."""
    _path: list[Region] = field(default_factory=list)
    _names: list[tuple[str, str]] = field(default_factory=list)

    def begin(self, kind: str, name: str) -> None:
        """A section begins. Address spaces that share a tree are named one after the other."""
        if self._path:
            self._names = []
        self._path = []
        self._names.append((kind, name))

    def add(self, depth: int, region: Region, source: Source) -> None:
        """The next line of the section. Raises InputFileError where it hangs on nothing."""
        if depth == 0 and not self._path:
            for kind, name in self._names:
                if kind == "address-space":
                    self.spaces[name] = region
                else:
                    self.roots[name].append(region)
            self._path = [region]
            return
        if not self._path or depth <= 0:
            raise source.fault(region.line, "this region lies in no other; lines above it are missing")
        if depth > len(self._path):
            self.switched_off += 1
            return
        del self._path[depth:]
        self._path[-1].children.append(region)
        self._path.append(region)


class Renderer:
    """Makes the flat view of one address space."""

    def __init__(self, source: Source, trees: Trees, root: Region) -> None:
        self.source = source
        self.root = root
        self.pieces: list[Piece] = []
        self._by_name: dict[str, list[Region]] = defaultdict(list)
        for roots in ([root], *trees.roots.values()):
            for region in roots:
                self._enter(region)
        self._sections = trees.roots

    def _enter(self, region: Region) -> None:
        if not region.target:
            self._by_name[region.name].append(region)
        for child in region.children:
            self._enter(child)

    def render(self) -> list[Piece]:
        """All that is shown, by address. Raises InputFileError where the tree does not tell."""
        self._render(self.root, self.root.start, self.root.start, self.root.end, False, 0)
        merged: list[Piece] = []
        for piece in sorted(self.pieces, key=lambda p: p.start):
            before = merged[-1] if merged else None
            if (
                before is not None
                and before.end == piece.start
                and before.region is piece.region
                and before.readonly == piece.readonly
                and before.offset + before.end - before.start == piece.offset
            ):
                merged[-1] = Piece(before.start, piece.end, piece.region, before.offset, piece.readonly)
            else:
                merged.append(piece)
        return merged

    def _render(self, region: Region, at: int, low: int, high: int, readonly: bool, depth: int) -> None:
        """Show `region`, which lies at `at`, between `low` and `high`."""
        if not region.enabled:
            return
        low, high = max(low, at), min(high, at + region.end - region.start)
        if low >= high:
            return
        if depth > _MOST_DEPTH or len(self.pieces) > _MOST_PIECES:
            raise self.source.fault(region.line, f"{region.name!a} shows itself again and again; the tree has no end")
        readonly |= region.type == "rom"
        if region.target:
            self._render(self._target(region), at - region.target_offset, low, high, readonly, depth + 1)
            return
        for child in self._in_order(region):
            self._render(child, at + child.start - region.start, low, high, readonly, depth + 1)
        if region.type == "container" or (region.type == "i/o" and region.children):
            return
        self._fill(region, at, low, high, readonly)

    def _in_order(self, region: Region) -> list[Region]:
        """Subregions, of higher priority first. Raises InputFileError where two of equal priority meet."""
        ordered = sorted(region.children, key=lambda child: (-child.priority, child.start))
        for one, other in pairwise(ordered):
            meet = one.priority == other.priority and other.start < one.end and one.enabled and other.enabled
            if meet and (one.name, one.target, one.start) != (other.name, other.target, other.start):
                raise self.source.fault(
                    other.line,
                    f"{other.name!a} meets {one.name!a} of line {self.source.number(one.line)} at equal priority, and "
                    "the tree does not tell which is seen; save `info mtree -f`",
                )
        return ordered

    def _target(self, alias: Region) -> Region:
        found = self._sections.get(alias.target) or self._by_name.get(alias.target) or []
        kinds = {(region.end - region.start, region.type) for region in found}
        if not found:
            raise self.source.fault(
                alias.line, f"the alias leads to {alias.target!a}, which is not in the file; save the whole output"
            )
        if len(kinds) > 1:
            raise self.source.fault(
                alias.line,
                f"the alias leads to {alias.target!a}, and several regions have that name; save `info mtree -f`",
            )
        return found[0]

    def _fill(self, region: Region, at: int, low: int, high: int, readonly: bool) -> None:
        """Show the region itself where nothing is shown yet."""
        begin = low
        for piece in sorted((p for p in self.pieces if p.start < high and low < p.end), key=lambda p: p.start):
            if begin < piece.start:
                self.pieces.append(Piece(begin, piece.start, region, begin - at, readonly))
            begin = max(begin, piece.end)
        if begin < high:
            self.pieces.append(Piece(begin, high, region, begin - at, readonly))
