"""Structures from files: correct ones are compared like all others, faulty ones are reported and affect no others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from foreign_sources import CC, HOSTILE, RUSTC, compile_c
from results import by_strategy
from source_tree import ROOT
from specs import maker

from slotlookup.address import Gfn, Hva
from slotlookup.bench.cli import cli
from slotlookup.bench.measure import passes as bench_passes
from slotlookup.bench.measure.run_options import NATIVE_SECONDS
from slotlookup.bench.pytest_plugin import Measure
from slotlookup.conformance import checks as conformance
from slotlookup.errors import EXIT_FAILED, BrokenStrategy, DeadStrategy, SpecError
from slotlookup.foreign import parent as foreign
from slotlookup.memslots import make_memslot
from slotlookup.registry import make_strategy, parse_spec
from slotlookup.stream import GfnStream, Timeline, change_table, creation_table, one_segment
from slotlookup.structure import Family
from slotlookup.trace import Trace, gfn_events, hva_events, slot_events, write_trace

EXAMPLES = ROOT / "docs" / "examples"
START = (
    make_memslot(0, 0x0, 0x4000, 0x7000_0000_0000),
    make_memslot(1, 0x10000, 0x20000, 0x6000_0000_0000),
    make_memslot(2, 0x40000, 0x8000, 0x7000_0000_0000),
)
STEPS = np.concatenate(
    [
        gfn_events([0, 3, 0x11, 0x2F, 0x47, 0x30, 0x999]),
        hva_events([0x7000_0000_0000, 0x6000_0000_1000], [0x7000_0000_1000, 0x6000_0000_3000]),
        slot_events([(3, 0x80000, 0x1000, 0x5000_0000_0000, 0), (3, 0, 0, 0, 0)]),
        gfn_events([0x80, 0x81]),
    ]
)


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests look at figures, not at their precision; a machine that is busy may keep an answer waiting for long."""
    monkeypatch.setattr(bench_passes, "NATIVE_SECONDS", 0.0)
    monkeypatch.setattr(bench_passes, "PYTHON_SECONDS", 0.0)
    monkeypatch.setenv("SLOTLOOKUP_PATIENCE", "120")
    monkeypatch.chdir(tmp_path)
    write_trace(Trace("small", START, STEPS), tmp_path / "small.parquet")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), standalone_mode=False)


def run(*strategies: str, options: tuple[str, ...] = ()) -> tuple[dict[str, dict[str, Any]], Result]:
    """The strategies of a run by name, with their figures."""
    asked = [part for strategy in strategies for part in ("-s", strategy)]
    result = call("run", "small.parquet", *asked, *options, "--json")
    return by_strategy(json.loads(result.stdout)), result


def example(name: str, folder: Path) -> str:
    """One of the documented examples, built as its head says."""
    if name.endswith(".py"):
        (folder / name).write_text((EXAMPLES / name).read_text(encoding="utf-8"), encoding="utf-8")
        return "./halving.py:Halving"
    target = folder / f"{Path(name).stem}.so"
    if name.endswith(".c"):
        if CC is None:
            pytest.skip("there is no C compiler")
        command = [CC, "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
        command.append(f"-I{foreign.include_dir()}")
    else:
        if RUSTC is None:
            pytest.skip("there is no Rust compiler")
        command = [RUSTC, "--edition", "2021", "-O", "-C", "panic=abort", "--crate-type", "cdylib"]
    built = subprocess.run([*command, "-o", target, EXAMPLES / name], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return f"./{target.name}"


@pytest.mark.parametrize("name", ["sorted_array.c", "btree_map.rs", "halving.py"])
def test_the_examples_conform(name: str, tmp_path: Path) -> None:
    spec = example(name, tmp_path)
    result = call("verify", spec)
    assert (result.stdout, result.return_value) == (f"{spec}: conforms\n", 0)


@pytest.mark.parametrize("name", ["sorted_array.c", "btree_map.rs"])
def test_libraries_are_rows_like_others(name: str, tmp_path: Path) -> None:
    spec = example(name, tmp_path)
    cached = f"{spec},cache=last-used,update=two-sets"
    mixed = f"gfn={spec},hva=interval-tree"
    rows, result = run("linear", spec, cached, mixed)
    assert result.return_value == 0
    assert list(rows) == ["linear", spec, cached, mixed]
    for row in list(rows.values())[1:]:
        assert (row["state"], row["family"]) == ("verified", "native")
        assert "through the C ABI" in str(row["note"])
        assert "an empty structure costs" in str(row["note"])
        gfn = row["figures"]["gfn"]
        assert gfn["ns"]["throughput_hot"]["median"] > 0
        assert len(gfn["ns"]["latency_cold"]["samples"]) >= 7
        assert [gfn[count] for count in ("slots_examined", "compares", "hops", "lines")] == [None] * 4
    assert rows[spec]["spec"] == f"gfn={spec},hva={spec}"
    known = name == "sorted_array.c"
    assert (rows[spec]["setup"]["bytes_per_slot"] is not None) == known
    assert rows[spec]["setup"]["ns"]["median"] > 0
    table = call("run", "small.parquet", "-s", spec, "--counts-only", "--role", "gfn")
    assert "through the C ABI" in " ".join(table.stdout.split())


@pytest.mark.parametrize("keys", ["cache=per-vcpu", "cache=direct-mapped,update=copy", "update=rebuild"])
def test_caches_and_disciplines_are_ours(keys: str, tmp_path: Path) -> None:
    spec = f"{compile_c(tmp_path, 'list')},{keys}"
    assert conformance.run(maker(spec), rounds=1, make_counted=maker(spec, counted=True)) == []


_BACKWARDS = """

class Backwards(Halving):
    def visit(self, start, last):
        return sorted(super().visit(start, last), reverse=True)
"""


@pytest.mark.parametrize("language", ["c", "python"])
def test_visits_ascend_whatever_order_a_structure_writes(language: str, tmp_path: Path) -> None:
    if language == "c":
        turn = "for (size_t i = 0, j = met; i + 1 < j; i++) { int32_t n = out[--j]; out[j] = out[i]; out[i] = n; }"
        spec = compile_c(tmp_path, "backwards", visited=turn)
    else:
        (tmp_path / "backwards.py").write_text((EXAMPLES / "halving.py").read_text(encoding="utf-8") + _BACKWARDS)
        spec = "./backwards.py:Backwards"
    strategy = make_strategy(spec)
    slots = [make_memslot(number, number << 21, 1 << 20, 0x7000_0000_0000 - (number << 20)) for number in (2, 0, 1)]
    strategy.apply_table(creation_table(slots))
    assert strategy.visit_hva(Hva(0), Hva(1 << 63)) == [0, 1, 2]
    assert conformance.run(maker(spec), rounds=1) == []


def test_two_libraries_in_one_strategy(tmp_path: Path) -> None:
    gfn = compile_c(tmp_path, "gfn", table='table.roles = SLOTLOOKUP_GFN; table.visit = NULL; table.name = "one";')
    hva = compile_c(tmp_path, "hva", table="table.roles = SLOTLOOKUP_HVA; table.find = NULL; table.check = NULL;")
    rows, _ = run(gfn, f"gfn={gfn},hva={hva}", f"gfn={gfn},hva=linear", f"gfn=rbtree,hva={hva}")
    assert rows[gfn]["reason"] == f"{gfn} does not serve hva; write gfn={gfn},hva=STRUCTURE"
    assert [row["state"] for row in rows.values()] == ["void", "verified", "verified", "verified"]
    assert str(rows[f"gfn={gfn},hva={hva}"]["note"]).startswith("one and list, through the C ABI")


def test_python_files_are_rows_like_others(tmp_path: Path) -> None:
    spec = example("halving.py", tmp_path)
    mixed = f"gfn={spec},hva=py-linear,cache=last-used"
    rows, result = run("linear", "py-linear", spec, mixed)
    assert result.return_value == 0
    for name in (spec, mixed):
        assert (rows[name]["state"], rows[name]["family"]) == ("verified", "python")
        assert rows[name]["figures"]["gfn"]["compares"] > 0
        assert rows[name]["figures"]["update"]["ns"]["throughput_hot"]["median"] > 0
        assert rows[name]["setup"]["ns"]["median"] > 0
    assert conformance.run(maker(mixed), rounds=1, make_counted=maker(mixed, counted=True)) == []


@pytest.fixture(scope="module")
def among_broken_ones(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, dict[str, object]], int]:
    """The rows of one run of all that is broken, with right ones before and behind, and its exit code."""
    folder = tmp_path_factory.mktemp("hostile")
    write_trace(Trace("small", START, STEPS), folder / "small.parquet")
    good = compile_c(folder, "good")
    bad = [compile_c(folder, name, **parts) for name, parts, _ in HOSTILE]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SLOTLOOKUP_PATIENCE", "120")
        rows, result = run("linear", *bad, good, options=("--counts-only",))
    return rows, result.return_value


def test_what_is_right_stays_right_among_what_is_broken(
    among_broken_ones: tuple[dict[str, dict[str, object]], int],
) -> None:
    rows, code = among_broken_ones
    assert code == EXIT_FAILED
    assert [name for name, row in rows.items() if row["state"] == "verified"] == ["linear", "./good.so"]
    assert len(rows) == len(HOSTILE) + 2


@pytest.mark.parametrize(("name", "words"), [(name, words) for name, _, words in HOSTILE])
def test_what_is_broken_is_named(
    name: str, words: str, among_broken_ones: tuple[dict[str, dict[str, object]], int]
) -> None:
    fault = str(among_broken_ones[0][f"./{name}.so"]["reason"])
    assert words in fault
    assert f"./{name}.so" in fault
    assert "\n" not in fault


@pytest.mark.parametrize("name", ["segv-visit", "version", "overruns", "foreign-find", "twice", "exits"])
def test_a_broken_library_fails_to_verify(name: str, tmp_path: Path) -> None:
    ((parts, words),) = [(parts, words) for known, parts, words in HOSTILE if known == name]
    bad = compile_c(tmp_path, name, **parts)
    result = call("verify", bad)
    assert result.return_value == EXIT_FAILED
    assert words in result.stdout
    assert f"{bad}: " in result.stderr
    # But for a library that cannot be loaded, the script that led to the fault is listed.
    assert ("; to reproduce it, run (" in result.stdout) == (name != "version")


def test_a_library_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    bad = compile_c(tmp_path, "hangs", find="while (l->size > 1) { }")
    rows, result = run("linear", bad, options=("--counts-only", "--patience", "4"))
    assert result.return_value == EXIT_FAILED
    assert rows["linear"]["state"] == "verified"
    assert f"{bad} gave no answer for 4 seconds in find(0x" in str(rows[bad]["reason"])


def test_a_library_that_drops_changes_while_it_is_timed_is_void(tmp_path: Path) -> None:
    # Only while changes are timed are there as many inserts without a question in between, whatever the machine's load.
    count = "l->ranges[39999].last"
    drop, asked = f"if (++{count} > 20) return 0;", f"if ({count} <= 20) {count} = 0;"
    forgive = "size_t i = 0; while (i < l->size && l->ranges[i].number != number) i++; if (i == l->size) return 0;"
    bad = compile_c(tmp_path, "forgetful", insert=drop, remove=forgive, find=asked, visit=asked)
    rows, result = run("linear", bad)
    assert (rows["linear"]["state"], rows[bad]["state"]) == ("verified", "void")
    assert "after the changes" in str(rows[bad]["reason"])
    assert result.return_value == EXIT_FAILED


@pytest.mark.parametrize(
    "command",
    [
        ("run", "two-slot", "--counts-only", "--json", "-s"),
        ("sweep", "--slots", "1", "--counts-only", "--json", "-s"),
        ("verify",),
    ],
)
def test_the_configured_patience_reaches_each_command(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = compile_c(tmp_path, "hangs", find="for (;;) { }", visit="for (;;) { }")
    monkeypatch.setenv("SLOTLOOKUP_PATIENCE", "0.75")
    monkeypatch.setattr(bench_passes, "NATIVE_SECONDS", NATIVE_SECONDS)  # sweeps divide by it; nothing is timed here
    result = call(*command, bad)
    assert result.return_value == EXIT_FAILED
    assert "gave no answer for 0.75 seconds" in result.stdout


def test_the_configured_patience_reaches_the_gate_and_the_fixture(
    slot_cost: Measure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = compile_c(tmp_path, "hangs", find="for (;;) { }", visit="for (;;) { }")
    monkeypatch.setenv("SLOTLOOKUP_PATIENCE", "0.75")
    check = f'[check]\nstrategies = ["linear", "{bad}"]\nworkloads = ["two-slot"]\n'
    gate = f'[[check.times]]\nstrategy = "{bad}"\nagainst = "linear"\nworkload = "two-slot"\npercent = 9\n'
    (tmp_path / "slotlookup.toml").write_text(check + gate)
    for options in ((), ("--no-verify",)):
        assert "gave no answer for 0.75 seconds" in str(call("check", "--update", *options).exception)
    with pytest.raises(BrokenStrategy, match=r"gave no answer for 0\.75 seconds"):
        slot_cost(bad, "two-slot")


def test_a_library_that_does_not_answer_fails_to_verify(tmp_path: Path) -> None:
    bad = compile_c(tmp_path, "hangs", visit="for (;;) { }")
    result = call("verify", bad, "--patience", "4")
    assert result.return_value == EXIT_FAILED
    assert "gave no answer for 4 seconds in visit(0x" in result.stdout
    assert "the remaining checks were left out" in result.stdout
    assert f"{bad}: 1 checks failed" in result.stderr


def test_a_library_that_breaks_only_when_timed(tmp_path: Path) -> None:
    """Verified twice, then timed: from the hundredth question on it crashes."""
    bad = compile_c(tmp_path, "later", find="static int asked; if (++asked > 100) abort();")
    rows, result = run("linear", bad)
    assert result.return_value == EXIT_FAILED
    assert "crashed with SIGABRT in find(0x" in str(rows[bad]["reason"])
    assert rows["linear"]["figures"]["gfn"]["ns"]["throughput_hot"]["median"] > 0


def test_what_is_no_library(tmp_path: Path) -> None:
    (tmp_path / "text.so").write_text("int main;\n")
    (tmp_path / "empty.so").write_bytes(b"")
    (tmp_path / "cut.so").write_bytes(b"\x7fELF\x02\x01\x01")
    rows, result = run("linear", "./text.so", "./empty.so", "./cut.so", options=("--counts-only",))
    assert result.return_value == EXIT_FAILED
    assert rows["linear"]["state"] == "verified"
    for name in ("./text.so", "./empty.so", "./cut.so"):
        assert f"{name} cannot be loaded as a shared library: " in str(rows[name]["reason"])
    assert call("verify", "./text.so").return_value == EXIT_FAILED


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("./missing.so", "./missing.so: there is no such file"),
        ("missing.so", "missing.so: there is no such file"),
        ("gfn=./missing.so,hva=linear", "./missing.so: there is no such file"),
        ("./folder.so", "./folder.so is a directory; name a shared library, or FILE.py:CLASS"),
        ("./file.py", "./file.py is a Python file; say which class of it: ./file.py:CLASS"),
        ("./file.py:", "say which class of it"),
        ("./file.py:1x", "say which class of it"),
        ("./file.so,unaliased", "./file.so has no unaliased variant"),
        ("./a,b.so", "'b.so' is no part of a spec, and a file name cannot contain a comma"),
        ("a,b.so", "'a' is no part of a spec, and a file name cannot contain a comma"),
        ("./b.so,old", "'old' is no part of a spec, and a file name cannot contain a comma"),
        ("gfn=./a,x=b.so,hva=linear", "'x=b.so' is no part of a spec, and a file name cannot contain a comma"),
        ("./a\nb.so", "the file name has characters that cannot be printed; rename the file"),
        ("./a\x1b[31mb.py:X", "the file name has characters that cannot be printed; rename the file"),
        ("./file.so,cash=none", "no key is called 'cash'"),
        ("gfn=./file.so,hva=py-linear", "./file.so is native and py-linear is python; take one family"),
        ("gfn=./file.so,hva=./file.py:X", "take one family"),
        ("./file.py:X,update=two-sets", "Python strategies update in place only"),
    ],
)
def test_wrong_specs(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "folder.so").mkdir()
    (tmp_path / "file.py").write_text("")
    (tmp_path / "file.so").write_text("")
    with pytest.raises(SpecError) as caught:
        make_strategy(text)
    assert str(caught.value).startswith(f"strategy '{text}': ")
    assert words in str(caught.value)


def test_specs_of_files(tmp_path: Path) -> None:
    library = compile_c(tmp_path, "list")
    spec = parse_spec(f"{library},cache=last-used")
    assert str(spec) == f"gfn={library},hva={library},cache=last-used"
    assert parse_spec(str(spec)) == spec
    made = make_strategy(library)  # nothing runs yet
    assert made.capabilities.family is Family.NATIVE
    assert made.capabilities.counts == ()
    absolute = str(tmp_path / "list.so")
    assert make_strategy(absolute).spec == f"gfn={absolute},hva={absolute}"
    assert len(make_strategy(absolute)) == 0


PYTHON = """
from slotlookup.structure import RangeIndex
{top}
class Mine(RangeIndex):
    def __init__(self): self.held = []
    def insert(self, start, last, number): self.held.append((start, last, number))
    def remove(self, start, last, number): self.held.remove((start, last, number))
    def find(self, point):
        {find}
        return next((n for s, l, n in self.held if s <= point <= l), -1)
    def visit(self, start, last): return [n for s, l, n in self.held if s <= last and l >= start]
    def check(self): pass
    def __len__(self): return len(self.held)
"""


@pytest.mark.parametrize(
    ("top", "find", "words"),
    [
        ("", "raise KeyError(point)", "./mine.py:Mine raised KeyError: "),
        ("", "return undefined", "raised NameError: name 'undefined' is not defined (line 9)"),
        ("", "raise SystemExit(5)", "./mine.py:Mine ended its process with exit(5)"),
        ("class Own(Exception): pass", "raise Own('mine')", "./mine.py:Mine raised Own: mine"),
        ("", "import os; os.abort()", "./mine.py:Mine crashed with SIGABRT"),
        ("", "return 77", "answered slot 77; the right answer is"),
        ("", "return 'x'", "raised ValueError"),
        ("def f(:", "", "./mine.py:Mine cannot be loaded: SyntaxError"),
        ("import nowhere", "", "./mine.py:Mine cannot be loaded: ModuleNotFoundError: No module named 'nowhere'"),
        ("raise SystemExit(9)", "", "./mine.py:Mine ended its process with exit(9)"),
        ("RangeIndex = object", "", "Mine is not a subclass of slotlookup.structure.RangeIndex; there are: none"),
    ],
)
def test_a_broken_python_file_voids_its_row_alone(top: str, find: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PYTHON.format(top=top, find=find))
    rows, result = run("py-linear", "./mine.py:Mine", options=("--counts-only",))
    assert result.return_value == EXIT_FAILED
    assert [row["state"] for row in rows.values()] == ["verified", "void"]
    assert words in str(rows["./mine.py:Mine"]["reason"])


def test_a_python_file_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PYTHON.format(top="", find="while self.held: pass"))
    result = call("verify", "./mine.py:Mine", "--patience", "4")
    assert result.return_value == EXIT_FAILED
    assert "./mine.py:Mine gave no answer for 4 seconds" in result.stdout


def test_the_dead_stay_dead_and_the_new_live(tmp_path: Path) -> None:
    spec = compile_c(tmp_path, "delicate", find="if (point == 0xdead) abort();")
    first, second = make_strategy(spec), make_strategy(f"{spec},cache=last-used")
    assert (first.lookup_gfn(Gfn(5)), second.lookup_gfn(Gfn(5))) == (-1, -1)
    for _ in range(2):
        with pytest.raises(DeadStrategy, match=r"crashed with SIGABRT in find\(0xdead\)"):
            first.lookup_gfn(Gfn(0xDEAD))
    assert second.lookup_gfn(Gfn(6)) == -1
    assert make_strategy(spec).lookup_gfn(Gfn(7)) == -1


def test_long_streams_are_sent_once(tmp_path: Path) -> None:
    """Parts of one array, in any order, with and without slots that change."""
    strategy = make_strategy(compile_c(tmp_path, "list"))
    strategy.load_table(creation_table(START))
    gfns = np.random.default_rng(5).integers(0, 0x60, 100_000).astype(np.uint64)
    stream = GfnStream(gfns, Timeline(one_segment(len(gfns)), change_table([])))
    plain = make_strategy("linear")
    plain.load_table(creation_table(START))
    for begin, end in ((0, 100_000), (50_000, 99_999), (7, 60_001), (3, 9)):
        part = stream.part(begin, end)
        assert strategy.answer_gfns(part).tolist() == plain.answer_gfns(part).tolist()


def test_the_header_is_where_the_command_says() -> None:
    folder = Path(call("--include-dir").stdout.strip())
    assert "SLOTLOOKUP_ABI_VERSION 1u" in (folder / "slotlookup.h").read_text(encoding="utf-8")


@pytest.mark.skipif(CC is None, reason="there is no C compiler")
@pytest.mark.parametrize("language", ["-std=c11", "-xc++"])
def test_the_header_stands_alone(language: str, tmp_path: Path) -> None:
    (tmp_path / "only.c").write_text('#include "slotlookup.h"\n')
    command = [str(CC), language, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]
    done = subprocess.run(
        [*command, f"-I{foreign.include_dir()}", "only.c"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    if language == "-xc++" and "cc1plus" in done.stderr:
        pytest.skip("there is no C++ compiler")
    assert (done.returncode, done.stderr) == (0, "")


def test_configuration_names_files_too(tmp_path: Path) -> None:
    spec = compile_c(tmp_path, "list")
    (tmp_path / "slotlookup.toml").write_text(f'strategies = ["linear", "{spec}"]\n')
    result = call("run", "small.parquet", "--counts-only", "--json")
    assert [one["strategy"] for one in json.loads(result.stdout)["strategies"]] == ["linear", spec]


_REFUSES = """
  static int made;
  if (++made == {at}) {{ free(l); return NULL; }}
  fprintf(stderr, "create %p\\n", (void *)l);
"""
_CHANGES = """
import sys
import numpy as np
import _slotlookup_native as native

native.load_foreign("list", sys.argv[1])
strategy = native.Strategy("list", "list", update=sys.argv[2])
rows = np.array([[0, number, number << 4, 16, 0x7F0000000000 + (number << 16), 0] for number in range(3)], np.uint64)
refused = 0
for row in rows:
    try:
        strategy.apply(row.reshape(1, 6))
    except native.ForeignFault as fault:
        assert "returned NULL from create" in str(fault), fault
        refused += 1
    # The change is published: it was the set for the next one that could not be made.
    assert strategy.find(0, int(row[2])) == row[1]
    assert strategy.visit(int(row[4]), int(row[4]) + 1) == [row[1]]
    strategy.check()
    assert strategy.bytes > 0
assert (refused, len(strategy)) == (1, 3)
del strategy
"""


# A copy or rebuild makes the indexes of both roles again after each change; 8 are made before the first.
@pytest.mark.parametrize("at", [9, 10, 11, 12])
@pytest.mark.parametrize("update", ["copy", "rebuild"])
def test_what_create_refuses_on_a_change_is_destroyed_once(update: str, at: int, tmp_path: Path) -> None:
    library = compile_c(
        tmp_path,
        "refuses",
        create=_REFUSES.format(at=at),
        destroy='fprintf(stderr, "destroy %p\\n", s);',
    )
    done = subprocess.run(
        [sys.executable, "-c", _CHANGES, library, update], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    alive: set[str] = set()
    for line in done.stderr.splitlines():
        what, handle = line.split()
        assert (what == "destroy") == (handle in alive), done.stderr
        alive ^= {handle}
    assert not alive, done.stderr
