"""The counters of trees and tables with wide nodes, derived by hand as in test_counts.py, with the same terms.

    bplus-tree    leaf of 256 bytes: starts at 0 (lines 0 and 1), lasts at 80, slots at 160
                  inner node by gfn: 15 keys at 0 (lines 0 and 1), children at 128
                  inner node by hva: 9 keys at 0 (lines 0 and 1), children at 80, largest lasts at 160
    maple-tree    leaf: 15 pivots at 0 (lines 0 and 1), slots at 128; inner node: 9 pivots at 0, children at 80
    radix-table   node: 512 entries of 4 bytes; section: 24 bytes

All keys of a node are compared, whether they are in use or not.
"""

from __future__ import annotations

import pytest
from test_counts import S0, S1, S2, apply, counting, lookup, slot, visit

from slotlookup.address import Gfn
from slotlookup.memslots import ChangeKind

TOP = (1 << 64) - 1
ELEVEN = [slot(n, 8 * n, 4) for n in range(11)]
"""One more than a leaf of the B+-tree holds: slots 0 to 6 stay in the left one, 7 to 10 go to the right one."""


class TestBplusTree:
    def test_one_leaf(self) -> None:
        s = counting("bplus-tree", [S0, S1, S2])
        # 10 starts, and one last. Hops: leaf, slot. Lines: head, leaf.0, leaf.1 (lasts too), leaf.2, the slot's number.
        assert lookup(s, 9, 1) == (1, 11, 2, 5)
        # A hole behind S1: head, leaf.0, leaf.1.
        assert lookup(s, 13, -1) == (1, 11, 1, 3)
        assert lookup(s, TOP, -1) == (1, 11, 1, 3)
        # Before the first start nothing is examined.
        s = counting("bplus-tree", [S1])
        assert lookup(s, 2, -1) == (0, 10, 1, 3)

    def test_two_levels(self) -> None:
        s = counting("bplus-tree", ELEVEN)
        # 15 keys, 10 starts, one last. Hops: root, leaf, slot. Lines: head, root.0 to root.2, leaf.0, leaf.1 (with the
        # last of entry 0), leaf.2 (slot of entry 0), number.
        assert lookup(s, 0, 0) == (1, 26, 3, 8)
        # Entry 6: its last is in leaf.2, its slot in leaf.3.
        assert lookup(s, 48, 6) == (1, 26, 3, 9)
        # Entry 3 of the right leaf.
        assert lookup(s, 82, 10) == (1, 26, 3, 8)
        assert lookup(s, 44, -1) == (1, 26, 2, 6)

    def test_visits(self) -> None:
        s = counting("bplus-tree", ELEVEN)
        # 9 keys; the left child's largest last; 10 starts; the last of the one entry that starts in time.
        # Hops: root, leaf, slot. Lines: head, root.0 to root.2, leaf.0 to leaf.2, number.
        assert visit(s, 1, 2, [0]) == (1, 21, 3, 8)
        # Three start in time.
        assert visit(s, 17, 18, [2]) == (3, 23, 3, 8)
        # Both leaves: 9 keys, two largest; 10 starts each; 7 lasts to the left, 2 to the right. Hops: root, two leaves,
        # three slots. Lines: head, root.0 to .2, four of the left leaf (entry 6's slot is in .3), .0 to .2 of the right
        # one, three numbers.
        assert visit(s, 50, 66, [6, 7, 8]) == (9, 40, 6, 14)
        # Behind everything: 9 keys and both largest. Lines: head, root.0 to root.2.
        assert visit(s, 200, 201, []) == (0, 11, 1, 4)

    def test_updates(self) -> None:
        s = counting("gfn=bplus-tree,hva=linear", [S0])
        # 10 starts. Hops: leaf, and linear's array. Lines: s1.1 (gfn, size), head, the leaf; s1.2 (hva), head, array.
        assert apply(s, ChangeKind.CREATE, S1) == (0, 10, 2, 9)
        # 10 starts, one pointer; linear's two. Lines: s1.1, head, the leaf; head, array.
        assert apply(s, ChangeKind.DELETE, S1) == (2, 13, 2, 8)
        # By hva the same, with s1.2 in place of s1.1 and a leaf of its own.
        s = counting("bplus-tree", [S0])
        assert apply(s, ChangeKind.CREATE, S1) == (0, 20, 2, 12)
        assert apply(s, ChangeKind.DELETE, S1) == (0, 22, 2, 12)


class TestMapleTree:
    def test_one_leaf(self) -> None:
        s = counting("maple-tree", [S0, S1, S2])
        # 15 pivots, no slot examined. Hops: leaf, slot. Lines: head, leaf.0, leaf.1, leaf.2 (entry 2), number.
        assert lookup(s, 9, 1) == (0, 15, 2, 5)
        # A hole: NULL is followed nowhere.
        assert lookup(s, 13, -1) == (0, 15, 1, 4)
        assert lookup(s, TOP, -1) == (0, 15, 1, 4)

    def test_two_levels(self) -> None:
        s = counting("maple-tree", ELEVEN)
        # 9 pivots and 15. Hops: root, leaf, slot. Lines: head, root.0, root.1 (children too), leaf.0, leaf.1, the line
        # of the entry, number.
        assert lookup(s, 0, 0) == (0, 24, 3, 7)
        assert lookup(s, 82, 10) == (0, 24, 3, 7)
        assert lookup(s, 44, -1) == (0, 24, 2, 6)

    def test_updates(self) -> None:
        s = counting("gfn=maple-tree,hva=linear", [S0])
        # 15 pivots; does the slot end in the hole, begin behind its begin, end before its end. Hops and lines as above.
        assert apply(s, ChangeKind.CREATE, S1) == (0, 18, 2, 9)
        assert apply(s, ChangeKind.DELETE, S1) == (2, 17, 2, 8)


class TestRadixTable:
    def test_one_node(self) -> None:
        s = counting("radix-table", [S0, S1, S2])
        # Five levels are skipped. Both ends of the section. Hops: node, section, slot. Lines: head, node.0, sections.0,
        # number.
        assert lookup(s, 9, 1) == (1, 2, 3, 4)
        # The third section lies in bytes 48 to 72.
        assert lookup(s, 17, 2) == (1, 2, 3, 5)
        # The way ends in the node.
        assert lookup(s, 13, -1) == (0, 0, 1, 2)
        assert lookup(s, TOP, -1) == (0, 0, 1, 2)

    def test_one_slot_needs_no_node(self) -> None:
        s = counting("radix-table", [slot(0, 1000, 4)])
        # Hops: section, slot. Lines: head, sections.0, number.
        assert lookup(s, 1001, 0) == (1, 2, 2, 3)
        assert lookup(s, 5, -1) == (1, 1, 1, 2)

    def test_two_nodes(self) -> None:
        s = counting("radix-table", [S0, S1, slot(2, 1 << 30, 4)])
        # A node for all, whose entries are of 2^27 gfns, and, two levels being skipped, one for S0 and S1.
        assert lookup(s, 2, 0) == (1, 2, 4, 5)
        # The far slot's section stands in the first. Lines: head, node.0, sections.0, sections.1, number.
        assert lookup(s, (1 << 30) + 1, 2) == (1, 2, 3, 5)
        assert lookup(s, (1 << 30) + 5, -1) == (1, 2, 2, 4)
        # By the bits of the levels that were skipped nobody tells 2^20 from 0: S0's section does.
        assert lookup(s, 1 << 20, -1) == (1, 2, 3, 4)
        assert lookup(s, 600, -1) == (0, 0, 2, 3)

    def test_updates(self) -> None:
        s = counting("gfn=radix-table,hva=linear", [S0])
        # S1's place in the order: one. What lies in all gfns: the first that reaches 0 (two) and that reaches the last
        # gfn (one). Hops: three searches to the order, the new node, and to it for each of the two; linear's array.
        # Lines: s1.1, head, head.1 (the number of nodes, 64 bytes behind the index's start), sections.0, order.0, the
        # node's 32; s1.2, head, array.
        assert apply(s, ChangeKind.CREATE, S1) == (0, 4, 7, 40)
        # Its place: two, and one pointer; then one each. linear's two. Hops: three searches, a section, the
        # node; array. All 512 entries of the node are read, for a node below would be freed with it. Lines: s1.1, head,
        # head.1, order.0, sections.0, the node's 32; head, array.
        assert apply(s, ChangeKind.DELETE, S1) == (2, 7, 6, 39)


@pytest.mark.parametrize(("spec", "levels"), [("bplus-tree", 5), ("maple-tree", 6)])
def test_nodes_are_few_on_the_way_to_32764_slots(spec: str, levels: int) -> None:
    s = counting(spec, [slot(n, 8 * n, 4) for n in range(32_764)])
    for n in (0, 1, 16_000, 32_763):
        s.lookup_gfn(Gfn(8 * n))
        hops = s.counters().hops
        assert hops is not None and hops - 1 <= levels
        s.reset_counters()
