"""`slotlookup claims`: every verdict from figures that call for it, the experiments, the output and its schema."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import numpy as np
import pytest
from click.testing import CliRunner, Result
from test_command_lines import check_line

from slotlookup.bench.claims import report, rules
from slotlookup.bench.claims.figures import (
    Difference,
    Figures,
    Growth,
    Mix,
    MixedStream,
    OrderedVisit,
    OtherAlgorithm,
    Pointers,
    Position,
    Scan,
    SizeSorted,
    Trees,
    UnaliasedVisit,
)
from slotlookup.bench.claims.lab import Lab, Subject
from slotlookup.bench.claims.rules import Verdict
from slotlookup.bench.claims.thread import CLAIMS, Claim, find_claim
from slotlookup.bench.commands.claims import command
from slotlookup.bench.measure.run_options import RunOptions
from slotlookup.errors import UsageError
from slotlookup.registry import find_workload
from slotlookup.vocabulary import Operation

SCHEMA = files("slotlookup.bench") / "schemas" / "claims.schema.json"


def invoke(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(command, list(arguments), standalone_mode=False)


def at(place: str, slots: int = 64) -> dict[str, Any]:
    return {"workload": place, "slots": slots, "command": f"slotlookup run {place}"}


def sized(examined: float, accesses: str = "recorded") -> SizeSorted:
    return SizeSorted(**at("a"), accesses=accesses, lookups=10, linear=9.0, size_sorted=examined)


def ordered(by_size: float) -> OrderedVisit:
    return OrderedVisit(**at("a"), linear=10.0, size_sorted=by_size)


def flagged(examined: float) -> UnaliasedVisit:
    return UnaliasedVisit(**at("a"), aliased=0, without=10.0, flagged=examined)


def grown(place: str, *excess: float) -> list[Growth]:
    return [Growth(**at(place, 64 * 4**i), answers=7.0, examined=7.0 + each) for i, each in enumerate(excess)]


def placed(rbtree: float) -> Position:
    return Position(**at("a"), position="lowest quarter", below=8.0, rbtree=rbtree)


def mixed(lookups: int, visits: int) -> Mix:
    return Mix(**at("a"), origin="recorded", lookups=lookups, visits=visits)


def apart(ns: float, *, noise: float = 0.1, wide: float = 0.1) -> Difference:
    """A time against a base of 10 ns."""
    return Difference("rbtree", "linear", ns, 10.0, ns - 10.0 - wide, ns - 10.0 + wide, noise)


OPEN = apart(10.0, noise=8.0)


def other(hot: Difference, cold: Difference, examined: float = 2.0) -> OtherAlgorithm:
    counts = {"examined": examined, "lines": 3.0, "array_examined": 1.4, "array_lines": 3.0}
    return OtherAlgorithm(**at("two-slot", 2), strategy="rbtree", hot=hot, cold=cold, **counts)  # type: ignore[arg-type]


def scan(hot: Difference) -> Scan:
    return Scan(**at("a"), role="gfn", hot=hot, scan_lines=3.0, other_lines=4.0)


def trees(hot: Difference, examined: float = 2.0) -> Trees:
    counts = {"rbtree_examined": 9.0, "rbtree_lines": 30.0, "prio_tree_examined": examined, "prio_tree_lines": 6.0}
    later = {"interval_tree_examined": 2.0, "interval_tree_lines": 5.0, "later": apart(9.0)}
    return Trees(**at("a"), hot=hot, **counts, **later)  # type: ignore[arg-type]


def pointer(hot: Difference, cold: Difference, slots: int = 8) -> Pointers:
    return Pointers(**at("a", slots), strategy="rbtree", lines=5.0, array_lines=4.0, hot=hot, cold=cold)


def stream(hot: Difference, slots: int = 8, changes: float = 0.1) -> MixedStream:
    return MixedStream(**at("a", slots), strategy="rbtree", changes=changes, lines=5.0, array_lines=4.0, hot=hot)


VERDICTS: Mapping[int, Mapping[Verdict, Sequence[Figures]]] = {
    1: {
        Verdict.HOLDS: [sized(1.9), sized(1.5), sized(7.0, "derived")],
        Verdict.HOLDS_IF: [sized(1.9), sized(2.0)],
        Verdict.DOES_NOT_HOLD: [sized(2.0), sized(29.0), sized(1.0, "derived")],
    },
    2: {
        Verdict.HOLDS: [other(apart(12.0), apart(12.0))],
        Verdict.HOLDS_IF: [other(apart(12.0), apart(8.0))],
        Verdict.DOES_NOT_HOLD: [other(apart(12.0), apart(12.0), examined=1.0), other(apart(8.0), apart(10.0))],
        Verdict.CANNOT_BE_TOLD: [other(OPEN, OPEN)],
    },
    3: {
        Verdict.HOLDS: [scan(apart(9.0)), scan(apart(20.0))],
        Verdict.DOES_NOT_HOLD: [scan(apart(10.0)), scan(apart(20.0))],
        Verdict.CANNOT_BE_TOLD: [scan(OPEN), scan(apart(20.0))],
    },
    4: {
        Verdict.HOLDS: [ordered(10.0), ordered(9.1)],
        Verdict.HOLDS_IF: [ordered(10.0), ordered(8.9)],
        Verdict.DOES_NOT_HOLD: [ordered(5.0), ordered(8.9)],
    },
    5: {
        Verdict.HOLDS: [flagged(5.0), flagged(8.9)],
        Verdict.HOLDS_IF: [flagged(5.0), flagged(9.1)],
        Verdict.DOES_NOT_HOLD: [flagged(10.0), flagged(9.1)],
    },
    6: {
        # From 64 to 256 slots: times 1.33 is logarithmic, times 2 is the square root.
        Verdict.HOLDS: [*grown("a", 6.0, 8.0), *grown("b", 0.0, 0.5)],
        Verdict.HOLDS_IF: [*grown("a", 6.0, 8.0), *grown("b", 6.0, 12.0)],
        Verdict.DOES_NOT_HOLD: [*grown("a", 6.0, 12.0), *grown("b", 6.0, 24.0)],
    },
    7: {
        Verdict.HOLDS: [placed(8.0), placed(9.0)],
        Verdict.HOLDS_IF: [placed(9.0), placed(9.1)],
        Verdict.DOES_NOT_HOLD: [placed(64.0), placed(9.1)],
    },
    8: {
        Verdict.HOLDS: [trees(apart(9.0))],
        Verdict.HOLDS_IF: [trees(apart(9.0)), trees(apart(20.0))],
        Verdict.DOES_NOT_HOLD: [trees(apart(20.0)), trees(apart(9.0), examined=10.0)],
        Verdict.CANNOT_BE_TOLD: [trees(OPEN)],
    },
    9: {
        Verdict.HOLDS: [pointer(apart(16.0), apart(16.0)), pointer(apart(9.0), apart(9.0), slots=64)],
        Verdict.HOLDS_IF: [pointer(apart(16.0), apart(12.0))],
        Verdict.DOES_NOT_HOLD: [pointer(apart(12.0), apart(9.0)), pointer(apart(16.0), apart(16.0), slots=64)],
        Verdict.CANNOT_BE_TOLD: [pointer(OPEN, OPEN)],
    },
    10: {
        Verdict.HOLDS: [stream(apart(12.0)), stream(apart(9.0), slots=64), stream(apart(9.0), changes=0.01)],
        Verdict.HOLDS_IF: [stream(apart(12.0)), stream(apart(9.0))],
        Verdict.DOES_NOT_HOLD: [stream(apart(10.0)), stream(apart(12.0), slots=64)],
        Verdict.CANNOT_BE_TOLD: [stream(OPEN)],
    },
    13: {
        Verdict.HOLDS: [mixed(2, 1), mixed(100, 99)],
        Verdict.HOLDS_IF: [mixed(2, 1), mixed(1, 2)],
        Verdict.DOES_NOT_HOLD: [mixed(1, 2), mixed(5, 5)],
    },
}
"""For each claim, hand-made figures that call for each of its verdicts."""


def test_every_claim_has_figures_for_at_least_three_verdicts() -> None:
    assert list(VERDICTS) == [claim.id for claim in CLAIMS]
    assert all(len(figures) >= 3 for figures in VERDICTS.values())


@pytest.mark.parametrize(
    ("number", "verdict"), [(number, verdict) for number, found in VERDICTS.items() for verdict in found]
)
def test_figures_decide_the_verdict(number: int, verdict: Verdict) -> None:
    judgement = find_claim(number).rule(VERDICTS[number][verdict])
    assert judgement.verdict is verdict
    assert judgement.text


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: str(claim.id))
def test_a_claim_says_what_it_is(claim: Claim) -> None:
    assert claim.rule_text.startswith(("Counts decide", "Times decide", "Counts and times decide"))
    assert set(claim.held_by) <= {"Andrea Arcangeli", "Avi Kivity"}
    assert len(claim.steps) >= 2
    assert issubclass(claim.figure_type, Figures)


def lab() -> Lab:
    return Lab(RunOptions(), lambda what, part: None, seconds=0.0)


def test_slots_examined_are_those_of_a_plain_scan() -> None:
    """Claim 1's figure on the two slots, from the accesses themselves: the larger slot first, then the other."""
    subject = Subject("two-slot", events=5_000)
    trace = find_workload("two-slot").build(events=5_000, seed=0)
    order = sorted(trace.start, key=lambda slot: -slot.npages)
    gfns = trace.gfn_stream().gfns.tolist()
    steps = [next(i for i, s in enumerate(order, 1) if s.base_gfn <= gfn < s.end_gfn) for gfn in gfns]
    counted = lab().counts(subject, Operation.GFN, "size-sorted")
    assert counted.slots_examined == pytest.approx(np.mean(steps))


def test_claim_7_divides_all_visits_by_position() -> None:
    found = find_claim(7).measure(lab())
    whole, *quarters = [one for one in found if isinstance(one, Position) and one.workload == "synthetic-uniform"]
    assert [one.position for one in quarters] == [
        "lowest quarter",
        "second quarter",
        "third quarter",
        "highest quarter",
    ]
    for i, one in enumerate(quarters):
        assert i * 513 / 4 <= one.below < (i + 1) * 513 / 4
        assert one.rbtree < 512
    assert quarters[0].rbtree < whole.rbtree < quarters[-1].rbtree


def test_claim_13_counts_recordings_that_recorded_both_kinds_only() -> None:
    found = {one.workload: one for one in find_claim(13).measure(lab()) if isinstance(one, Mix)}
    # As workloads/data/README.md has it, the guests of q35-* were traced without their host.
    assert {name for name, one in found.items() if one.origin == "recorded"} == {"balloon-16", "mm-operations"}
    assert (found["balloon-16"].lookups, found["balloon-16"].visits) == (9_159, 812)


def test_json_follows_the_published_schema() -> None:
    done = invoke("7", "--json")
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    jsonschema.validate(found, json.loads(SCHEMA.read_text(encoding="utf-8")))
    (claim,) = found["claims"]
    assert claim["id"] == 7
    assert claim["verdict"] in list(Verdict)
    for figures in claim["figures"]:
        words = shlex.split(figures["command"])
        assert words[0] == "slotlookup"
        check_line(words[1:])


def test_the_published_schema_is_that_of_the_code() -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == report.schema()


def test_the_exit_code_is_0_when_a_claim_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "STOPS_AT", -100.0)
    done = invoke("7")
    assert done.exit_code == 0
    assert "does not" in done.stdout
    assert "does not hold: 1" in done.stdout


def test_explain_shows_steps_rule_figures_and_commands() -> None:
    done = invoke("7", "--explain")
    assert done.exit_code == 0
    claim = find_claim(7)
    text = " ".join(done.stdout.split())
    for words in (*claim.steps, claim.rule_text, "Held by Andrea Arcangeli", "Verdict: holds"):
        assert words in text
    shown = [line.split(maxsplit=1)[1] for line in done.stdout.splitlines() if "slotlookup " in line and "run" in line]
    assert len(shown) == 3
    for line in shown:
        check_line(shlex.split(line)[1:])


def test_markdown_has_the_table_and_a_section() -> None:
    done = invoke("7", "--markdown")
    assert done.exit_code == 0
    assert "| 7 | An rbtree by start" in done.stdout
    assert "### 7. An rbtree by start" in done.stdout
    assert "Command: `slotlookup claims 7`" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("99",), "there is no claim 99; there are: 1"),
        (("7", "--json", "--markdown"), "exclude each other"),
        (("7", "--explain", "--json"), "exclude each other"),
    ],
)
def test_bad_usage_is_one_line(arguments: tuple[str, ...], message: str) -> None:
    done = invoke(*arguments)
    assert isinstance(done.exception, UsageError)
    assert message in str(done.exception)
