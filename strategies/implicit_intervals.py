"""implicit-intervals: a sorted array used as a binary tree; each entry stores the largest end of its left subtree.

Structure: an array of starts in order, for a branchless binary search, and at the same indices entries of 32
bytes {last, the largest last of the entry and its left subtree, the largest last of the entry and all before it,
pointer to the slot}. There are no links: counted from 1, the height of place p above the leaves is the number of
trailing zero bits of p, and its left subtree is the entries between p and p without its lowest one bit. A visit begins
at the last entry that starts before the end of the range and goes towards the front, skipping left subtrees that end
too early.

Invariants:
  1. Both arrays hold one element per slot, with the slot's own range.
  2. Starts ascend; of two equal starts the longer range comes first.
  3. An entry's side_last is the largest last of itself and its left subtree.
  4. An entry's front_last is the largest last of itself and everything before it.
  5. Readers never see a new range out of order: pending ranges are sorted in when the change settles.

Costs, for n slots and k slots visited:
  gfn lookup   O(log n): halving, then one entry
  hva visit    O(log n) for the first slot and at most O(log n) for each further one; answers from the last start to the
               first. If ranges do not overlap, one entry more than the slots visited
  update       O(d) for d entries after the place of the change, which are moved and recomputed; O(log n) at the end;
               O(n log n) for a whole table at once

Bytes per slot: 40 per role and slot set in arrays, which double as they grow; nothing inside the slot.

Origin: the implicit interval tree of Heng Li (cgranges; Li and Rong, Bioinformatics 2021), a sorted array with the
subtree's largest end at each place. There the end covers both subtrees, and the search descends from the root
with a stack. Here the search begins at the place of the start, for which left subtrees suffice (the numbering of
Fenwick 1994), and front_last ends it.

Do not choose it if slots change often: a change at the front moves all entries. For a handful of slots a flat array
touches fewer lines.
"""

from slotlookup.structure import Costs, NativeStructure

STRUCTURE = NativeStructure(
    name="implicit-intervals",
    summary="sorted array used as a binary tree with the largest end of each left subtree",
    costs=Costs(gfn="O(log n)", hva="O(log n + k log n)", update="O(n)"),
    source="Li and Rong 2021 (cgranges)",
)
