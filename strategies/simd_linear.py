"""simd-linear: starts and lasts in columns, scanned from the front sixteen slots at a time.

Structure: three columns in the order of creation: starts, lasts, pointers to the slots. Sixteen slots are compared by
four AVX-512 comparisons or eight of AVX2, whichever the CPU has when the structure is made; without either, scalar code
compares all sixteen before it looks at the outcome, so that the counts are the same. One branch in sixteen slots, since
the branch at which a scan ends is mispredicted.

Invariants:
  1. The columns hold one element a slot, at the same place, with the slot's own range.
  2. Starts and lasts are stored with their top bit turned over: signed comparison, which is what AVX2 has, then orders
     them as unsigned numbers.
  3. Behind the last slot, up to a multiple of sixteen, stand ranges that nothing meets.
  4. A new slot goes to the end; removal closes the gap, and the order of the others stays.

Costs, in n slots and k slots met:
  gfn lookup   O(n), in blocks of sixteen: 4 lines and one branch a block
  hva visit    O(n), always all of it
  update       insertion O(1), removal O(n)
Every slot of a block counts as examined, and both its ends as compared.

Bytes a slot: 8 in each of three columns, which double as they grow; nothing inside the slot.

Origin: the array of `linear` turned into columns. No hypervisor is known to find slots so.

Do not choose it for more than some tens of slots, or for a kernel: vector registers are not its own there. For three
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
