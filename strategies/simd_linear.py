"""simd-linear: starts and lasts in columns, scanned from the front sixteen slots at a time.

Structure: three columns in the order of creation: starts, lasts, pointers to the slots. Sixteen slots are compared by
four AVX-512 comparisons or eight of AVX2, depending on the CPU at creation; without either, scalar code
compares all sixteen before it tests the result, so the counts are the same. There is only one branch per sixteen slots,
because the branch at which a scan ends is mispredicted.

Invariants:
  1. The columns hold one element per slot, at the same place, with the slot's own range.
  2. Starts and lasts are stored with their top bit inverted: AVX2 has only signed comparison, which then orders them as
     unsigned numbers.
  3. After the last slot, ranges that match no question pad the columns to a multiple of sixteen.
  4. A new slot is appended; removal closes the gap and keeps the order of the others.

Costs, for n slots and k slots visited:
  gfn lookup   O(n), in blocks of sixteen: 4 lines and one branch per block
  hva visit    O(n), always all of it
  update       insertion O(1), removal O(n)
Every slot of a block counts as examined, and both its ends as compared.

Bytes per slot: 8 in each of three columns, which double as they grow; nothing inside the slot.

Origin: the array of `linear` as columns. No hypervisor is known to use this structure.

Do not choose it for more than some tens of slots, or for a kernel, which cannot use vector registers freely. For three
slots `sorted-branchless` costs the same and touches four lines instead of seven: a block is read whole.
"""

from slotlookup.structure import Costs, NativeStructure

STRUCTURE = NativeStructure(
    name="simd-linear",
    summary="columns of starts and lasts, scanned by vectors",
    costs=Costs(gfn="O(n)", hva="O(n)", update="O(n)"),
    source="textbooks",
    kernel=False,
    simd=True,
)
