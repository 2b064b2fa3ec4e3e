"""The claims of the thread "kvm with mmu notifier v18", kvm mailing list, June 2008, in the order of the table."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

from slotlookup.errors import UsageError

from . import host, layouts, lookups, rules, streams, timed, visits
from .figures import Figures
from .judging import Judgement
from .lab import Lab


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the thread; `id` is its Message-ID, with which archives find it."""

    author: str
    date: str
    id: str


FIRST = Message("Avi Kivity", "2008-06-05", "48480C36.6050309@qumranet.com")
SECOND = Message("Andrea Arcangeli", "2008-06-05", "20080605164717.GH15502@duo.random")
THIRD = Message("Avi Kivity", "2008-06-06", "4848FA13.6040204@qumranet.com")
FOURTH = Message("Andrea Arcangeli", "2008-06-06", "20080606125019.GN15502@duo.random")
FIFTH = Message("Avi Kivity", "2008-06-06", "484967DC.901@qumranet.com")
"""In the order in which they were sent. Each answers the one before; the first answers version 18 of the patch."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A few words of a message by which a claim can be found in it."""

    message: Message
    words: str

    def __str__(self) -> str:
        return f'"{self.words}" ({self.message.author}, {self.message.date}, <{self.message.id}>)'


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim in a paraphrase, where it was made, and its experiment.

    `measure` returns figures, from which `rule` gives the verdict. `steps` describe the experiment in order.
    """

    id: int
    text: str
    quotes: tuple[Quote, ...]
    experiment: str
    steps: tuple[str, ...]
    measure: Callable[[Lab], Sequence[Figures]]
    rule: Callable[[Any], Judgement]

    @property
    def held_by(self) -> tuple[str, ...]:
        """The authors of the messages, each once."""
        return tuple(dict.fromkeys(quote.message.author for quote in self.quotes))

    @property
    def rule_text(self) -> str:
        """The rule in words."""
        return " ".join(inspect.cleandoc(self.rule.__doc__ or "").split())

    @property
    def figure_type(self) -> type[Figures]:
        """The figures that the rule takes."""
        found: type[Figures] = get_args(get_type_hints(self.rule)["figures"])[0]
        return found


CLAIMS = (
    Claim(
        1,
        "An array sorted by size finds the slot in fewer than two lookups on average.",
        (Quote(THIRD, "an average of less than two lookups"),),
        "slots examined per lookup, on the thread's two slots and on recorded layouts",
        (
            "Replay accesses to the two slots that the thread names, every page equally often.",
            "Replay the recorded accesses of every recorded layout; for layouts without any, derived ones.",
            "Count the slots examined per lookup in order of creation and in order of size.",
        ),
        lookups.size_sorted_array,
        rules.size_sorted_array,
    ),
    Claim(
        2,
        "Any other algorithm needs more lookups, with a far higher constant.",
        (Quote(THIRD, "more lookups with a far higher constant"),),
        "other structures against an array sorted by size: slots examined, lines, times hot and cold",
        (
            "Replay accesses to the thread's two slots, and to 4 to 64 slots, every page equally often.",
            "Count slots examined and cache lines per lookup, by the array and by six other structures.",
            "Time the same lookups, hot and cold, in rotation.",
        ),
        timed.other_algorithms,
        rules.other_algorithms,
    ),
    Claim(
        3,
        "Sometimes linear search is the best algorithm.",
        (Quote(THIRD, "Sometimes linear search is the best algorithm"),),
        "the fastest scan against the fastest other structure, by role, pattern and slot count",
        (
            "Time lookups, visits and slot changes at 2 to 512 slots, with skewed, uniform and repeated accesses.",
            "In each place take the faster of two linear searches, in order of creation and of size.",
            "Compare it with the fastest of the trees and binary searches there.",
        ),
        timed.linear_search,
        rules.linear_search,
    ),
    Claim(
        4,
        "Sorting by size does not help an hva visit, which cannot stop at the first match.",
        (Quote(FOURTH, "Sorting by size won't be useful"),),
        "slots examined per visit, in order of creation and of size",
        (
            "Replay visits on the two slots, a synthetic layout, every recorded one and three with shared host memory.",
            "Count the slots examined per visit in order of creation and in order of size.",
        ),
        visits.sorted_by_size,
        rules.sorted_by_size,
    ),
    Claim(
        5,
        "With a flag on slots without aliases, a visit stops early.",
        (Quote(FIFTH, 'we can add an "unaliased" flag'),),
        "slots examined per visit without and with the flag, on layouts with and without aliases",
        (
            "Replay the visits of the previous claim.",
            "Count the slots examined per visit by an array sorted by size, without and with the flag.",
            "Count the slots whose host memory overlaps another's.",
        ),
        visits.unaliased_flag,
        rules.unaliased_flag,
    ),
    Claim(
        6,
        "A prio_tree finds all slots that overlap a range in O(log n).",
        (Quote(SECOND, "show me in O(log(N))"),),
        "growth of the slots examined with n, beyond the slots found",
        (
            "Replay visits at several slot counts: a synthetic layout, and three in which slots share host memory.",
            "Count the slots that the prio_tree examines per visit, and the slots that each visit finds.",
            "Compute the exponent with which the difference grows at the largest slot counts.",
        ),
        visits.prio_tree,
        rules.prio_tree,
    ),
    Claim(
        7,
        "An rbtree by start eliminates at least the slots that start above the range's end.",
        (Quote(FOURTH, "a single-index tree like rbtree"),),
        "slots examined per visit, by the position of the range",
        (
            "Replay visits to the slots with the lowest starts, to those with the highest, and to all of a layout.",
            "Divide the visits of the last one into quarters by position.",
            "Count the slots examined per visit, and the slots that start below the range's end.",
        ),
        visits.rbtree_by_start,
        rules.rbtree_by_start,
    ),
    Claim(
        8,
        "On paper the prio_tree is best for visits; in practice it may be the rbtree.",
        (Quote(FOURTH, "on the paper prio_tree is best"),),
        "counts against times of the prio_tree, the rbtree and the interval tree that replaced it",
        (
            "Replay visits at 2 to 4,096 slots.",
            "Count slots examined and cache lines per visit.",
            "Time the same visits, hot, in rotation.",
        ),
        timed.paper_and_practice,
        rules.paper_and_practice,
    ),
    Claim(
        9,
        "Pointer-based structures are much slower than a list at such small numbers of slots.",
        (Quote(FIFTH, "much slower than a list"),),
        "three trees against an unsorted array, from 2 to 128 slots, in times hot and cold and in lines",
        (
            "Replay lookups at 2 to 128 slots, every slot equally often.",
            "Count cache lines per lookup by the array and by each tree.",
            "Time the same lookups, hot and cold, in rotation.",
        ),
        timed.pointers,
        rules.pointers,
    ),
    Claim(
        10,
        "With frequent modifications and few slots, a tree is slower than a list.",
        (Quote(SECOND, "likely would be slower than a list"),),
        "a stream of lookups and slot changes, by the share of changes and the slot count",
        (
            "Time lookups and slot changes at 2 to 128 slots, for an unsorted array and three trees.",
            "Add the two at 1 %, 10 % and 50 % of changes. The kinds are timed apart: one does not displace the other.",
        ),
        timed.mixed_stream,
        rules.mixed_stream,
    ),
    Claim(
        11,
        "There are not enough slots for the structure to matter.",
        (Quote(SECOND, "there aren't enough slots for this to matter"),),
        "the search's share of a page fault and of an invalidation, on recorded layouts and up to KVM's limit",
        (
            "Take the shipped measurements of Linux: a search among N slots beyond one, a page fault, an invalidation.",
            "For each recorded layout take the measured slot count at or above its own; add larger counts.",
            "Time an unsorted array there, hot: one lookup per fault, two visits per invalidation.",
            "Divide both by the time of the operation. The invalidation unmaps nothing, which is the cheapest one.",
        ),
        host.enough_slots,
        rules.enough_slots,
    ),
    Claim(
        12,
        "With the guest's physical space in one contiguous region, one slot is enough.",
        (Quote(FIFTH, "just one slot for the guest"),),
        "every recorded layout against one slot over all of it: what forbids it, what it saves, the holes",
        (
            "Take the slots of every recorded layout at its end, and one slot from the lowest gfn to the highest.",
            "Count read-only slots, address spaces, slots that share host memory, and pages in no slot.",
            "Replay the same lookups and the visits of their host pages; count the slots that an array examines.",
            "Count the lookups outside all slots, which the guest uses for MMIO, that find the one slot.",
        ),
        layouts.one_slot_for_all,
        rules.one_slot,
    ),
    Claim(
        13,
        "A lookup by gfn is the common case, a visit by hva the rare one.",
        (Quote(FIFTH, "the gfn->hva (the common case)"),),
        "lookups and visits among the events of recordings and scenarios",
        (
            "Take the recordings that recorded both lookups and visits, and the scenarios of a VM's life.",
            "Count the events of each kind. A scenario is a model; a recording is one run of one guest.",
        ),
        streams.common_case,
        rules.common_case,
    ),
    Claim(
        14,
        "Without an accessed bit: young pins pages, young and unmap costs exits, not young costs minor faults.",
        (Quote(THIRD, "take unnecessary exits to maintain age"), Quote(FOURTH, "it'd pin the page in host ram")),
        "the three answers to ageing requests under memory pressure, against accessed bits",
        (
            "Model a guest of 32 MiB on a host of 20 MiB, on hardware without accessed bits and on hardware with them.",
            "Make the same accesses under each answer.",
            "Count answers for unused pages, exits, faults from the swap cache and faults that read from swap.",
        ),
        host.without_accessed_bits,
        rules.no_accessed_bit,
    ),
    Claim(
        15,
        "Sorting the slots needs better locking, likely RCU.",
        (Quote(FIRST, "better locking then (rcu, likely)"),),
        "what a change moves in an array by slot id and by size; what readers see and pay by update discipline",
        (
            "Make recorded and derived slot changes to an array by slot id and to an array by size.",
            "Count the entries of other slots that each change moves.",
            "Stage each change and look up a gfn whose slot it changes; then publish it.",
            "Count lines per lookup and per change, by update discipline. No readers were run during the changes.",
        ),
        layouts.locking,
        rules.better_locking,
    ),
)


def find_claim(number: int) -> Claim:
    """The claim of that number. Raises UsageError."""
    for claim in CLAIMS:
        if claim.id == number:
            return claim
    raise UsageError(f"there is no claim {number}; there are: {', '.join(str(claim.id) for claim in CLAIMS)}")
