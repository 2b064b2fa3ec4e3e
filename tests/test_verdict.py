"""The words of results: figures with three digits, and what the rows of a table are."""

from __future__ import annotations

import pytest

from slotlookup.bench.results.verdict import significant, what_rows_are


def test_rows_say_what_they_serve_where_their_names_do_not() -> None:
    assert what_rows_are([("linear", "linear", ["linear"])]) == ""
    rows = [
        ("interval-tree", "interval-tree", ["eytzinger", "interval-tree", "vhost"]),
        ("rbtree", "rbtree", ["gfn=rbtree,hva=linear"]),
        ("crosvm", "linear,update=copy", ["crosvm", "rust-vmm"]),
        ("kvm-5.17", "interval-tree,update=two-sets", ["kvm-5.17"]),
    ]
    assert what_rows_are(rows) == (
        "interval-tree also serves eytzinger and vhost; rbtree serves gfn=rbtree,hva=linear; "
        "crosvm uses linear,update=copy, as does rust-vmm; kvm-5.17 uses interval-tree,update=two-sets."
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "n/a"),
        (0, "0"),
        (0.2512, "0.251"),
        (29.13, "29.1"),
        (999.6, "1,000"),
        (1234.5, "1,234"),
        (-7.26, "-7.26"),
    ],
)
def test_figures_have_three_digits(value: float | None, text: str) -> None:
    assert significant(value) == text
