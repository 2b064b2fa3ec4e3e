"""implicit-intervals: a sorted array read as a binary tree, in which each place knows how far its left side reaches.

Structure: an array of starts in order, for a search by halving without branches, and at the same places entries of 32
bytes {last, the largest last of the entry and its left subtree, the largest last of the entry and all before it,
pointer to the slot}. There are no links: counted from 1, place p stands as high above the leaves as p has trailing zero
bits, and its left subtree is what lies between p and p without its lowest one bit. A visit begins at the last entry
that starts in time and goes towards the front, past whole left subtrees that end too early.

Invariants:
  1. Both arrays hold one element a slot, with the slot's own range.
  2. Starts ascend; of two equal starts the longer range comes first.
  3. An entry's side_last is the largest last of itself and its left subtree.
  4. An entry's front_last is the largest last of itself and everything before it.
  5. Readers never see a new range out of its place: what waits is sorted in when the change settles.

Costs, in n slots and k slots met:
  gfn lookup   O(log n): halving, then one entry
  hva visit    O(log n) for the first slot and at most O(log n) for each further one; answers from the last start to the
               first. Where ranges do not overlap, one entry beyond those met
  update       O(d) for d entries behind the place of the change, which move and are made anew; O(log n) at the end;
               O(n log n) for a whole table at once

Bytes a slot: 40 a role and slot set in arrays, which double as they grow; nothing inside the slot.

Origin: the implicit interval tree of Heng Li (cgranges; Li and Rong, Bioinformatics 2021), a sorted array with the
subtree's largest end at each place. There a subtree counts with both sides and the search goes down from the root with
a stack; here it comes from the start's place, for which left sides suffice (Fenwick 1994 numbers his sums so), and
front_last tells when to stop.

Do not choose it where slots change often: a change in front moves everything. For a handful of slots a flat array
touches fewer lines.
"""

from slotlookup.structure import Costs, NativeStructure

STRUCTURE = NativeStructure(
    name="implicit-intervals",
    summary="sorted array read as a binary tree that knows how far left sides reach",
    costs=Costs(gfn="O(log n)", hva="O(log n + k log n)", update="O(n)"),
    source="Li and Rong 2021 (cgranges)",
)
