"""docs/verdict.md and the README against the full run that ships: what is generated is what the figures give."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from slotlookup.bench.claims.figures import Pointers, Share, SizeSorted
from slotlookup.bench.claims.judging import FEW, MATTERS, MUCH, Verdict, much_slower
from slotlookup.bench.claims.report import Result, opening, summary
from slotlookup.bench.claims.saved import read_result, recorded_path
from slotlookup.bench.claims.thread import CLAIMS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "verdict.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def shipped() -> Result:
    return read_result(recorded_path())


def test_the_run_that_ships_is_a_full_one(shipped: Result) -> None:
    assert shipped.command == "slotlookup claims --rigorous"
    assert shipped.options["rigorous"] and shipped.options["processes"] > 1
    assert [one.claim.id for one in shipped.settled] == [claim.id for claim in CLAIMS]
    assert [claim.id for claim in CLAIMS] == list(range(1, 16))


def test_the_page_has_the_machine_the_command_and_the_table(shipped: Result) -> None:
    assert summary(shipped) in PAGE


def test_every_claim_has_its_figures_and_a_paragraph(shipped: Result) -> None:
    _, *sections = re.split(r"(?m)^(?=### )", PAGE)
    assert len(sections) == len(shipped.settled)
    for one, section in zip(shipped.settled, sections, strict=True):
        assert section.startswith(opening(one))
        paragraph = section.removeprefix(opening(one)).strip()
        assert paragraph.endswith(".") and "\n\n" not in paragraph


def test_the_page_is_found_to_differ_from_other_figures(shipped: Result) -> None:
    first = shipped.settled[0]
    other = first.claim.rule([one for one in first.figures if one.workload != "two-slot"])
    assert other.brief not in PAGE


def test_the_readme_has_the_verdict_in_three_lines_before_its_24th(shipped: Result) -> None:
    lines = README.splitlines()
    (begin,) = (i for i, line in enumerate(lines) if line.startswith("The verdict on the thread ([docs/verdict.md]"))
    assert begin + 3 <= 24
    assert (lines[begin - 1], lines[begin + 3]) == ("", "")
    text = " ".join(lines[begin : begin + 3])
    count = {verdict: sum(one.judgement.verdict is verdict for one in shipped.settled) for verdict in Verdict}
    assert (
        f"of its {len(CLAIMS)} claims {count[Verdict.HOLDS]} hold, {count[Verdict.HOLDS_IF]} hold in some places "
        f"and {count[Verdict.DOES_NOT_HOLD]} does not."
    ) in text
    assert not count[Verdict.CANNOT_BE_TOLD]
    figures = [each for one in shipped.settled for each in one.figures]
    examined = {each.workload: f"{each.size_sorted:.3g}" for each in figures if isinstance(each, SizeSorted)}
    assert f"examines {examined['two-slot']} slots on the two slots of 2008" in text
    assert f"and {examined['q35-4G-numa64']} with 64 NUMA nodes" in text
    assert f"no tree is shown to take {MUCH} times as long" in text
    trees = [each for each in figures if isinstance(each, Pointers) and each.slots <= FEW]
    assert trees
    assert not any(much_slower(time) for each in trees for time in (each.hot, each.cold))
    high = {"page fault": False, "invalidation": False}
    for each in figures:
        if isinstance(each, Share):
            high[each.operation] |= each.share.low >= 100 * MATTERS
    assert high == {"page fault": False, "invalidation": True}
