"""The interface between structures and the core: code that must not compile, and the two checks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from native_programs import CORE, compile_cpp, needs_compiler, run_program
from source_tree import ROOT

pytestmark = needs_compiler

# Conditions on the probe: what a timed instance does otherwise than a counted one appears in no count.
_ASKS = re.compile(r"\bcounting\b|\b(?:No|Count)Probe\b|SLOTLOOKUP_(?:COUNTED|STRIP_HOOKS|TRACED|PROBE)|\bProbe::")
_MAY_ASK = {
    "cache.hpp": "takes the policies' names from their timed instances",
    "mode.hpp": "a counted replay needs one loop, not one for each way to time it",
    "probe.hpp": "defines the hooks",
    "registration.hpp": "chooses the probe of each object",
    "perfect.cpp": "is never counted",
    "foreign.cpp": "reports nothing",
}

_STRUCTURE = """
#include "slotlookup/native/registration.hpp"

namespace slotlookup {{
namespace {{

template <class Role, class Probe>
class Sample {{
 public:
  using Node = NoNode;
  {declaration}
  Sample(const Home&, Probe) {{}}
  void insert(Slot&) {{}}
  void erase(Slot&) {{}}
  void replace(Slot&, Slot&) {{}}
  Slot* find(std::uint64_t) const {{ return nullptr; }}
  template <class Visit>
  void visit(std::uint64_t, std::uint64_t, Visit&&) const {{}}
  void check() const {{}}
  std::size_t size() const {{ return 0; }}
  {members}
}};

SLOTLOOKUP_STRUCTURE("sample", Sample)

}}  // namespace
}}  // namespace slotlookup
"""
_ALL = "static constexpr OptionalMembers kOptional{.settle = true, .copy_from = true, .outside_bytes = true};"
_NONE = "static constexpr OptionalMembers kOptional{};"
_SETTLE = "void settle() {}"
_COPY = "void copy_from(const Sample&) {}"
_BYTES = "std::size_t outside_bytes() const { return 0; }"


def compiled(tmp_path: Path, declaration: str, *members: str) -> tuple[bool, str]:
    """Whether a structure with this declaration and these members compiles, and what the compiler said."""
    source = tmp_path / "sample.cpp"
    source.write_text(_STRUCTURE.format(declaration=declaration, members="\n  ".join(members)), encoding="utf-8")
    done = compile_cpp("-fsyntax-only", source)
    return done.returncode == 0, done.stderr


@pytest.mark.parametrize(("declaration", "members"), [(_ALL, [_SETTLE, _COPY, _BYTES]), (_NONE, [])])
def test_members_as_declared_compile(tmp_path: Path, declaration: str, members: list[str]) -> None:
    fine, messages = compiled(tmp_path, declaration, *members)
    assert fine, messages


@pytest.mark.parametrize(
    ("named", "members"),
    [
        ("copy_from", [_SETTLE, _COPY.replace("copy_from", "copy_form"), _BYTES]),
        ("settle", [_SETTLE.replace("settle", "settled"), _COPY, _BYTES]),
        ("outside_bytes", [_SETTLE, _COPY, _BYTES.replace("outside_bytes", "bytes_outside")]),
        ("copy_from", [_SETTLE, _COPY.replace("const ", ""), _BYTES]),
        ("outside_bytes", [_SETTLE, _COPY, _BYTES.replace(" const", "")]),
    ],
    ids=["copy_from misspelled", "settle misspelled", "outside_bytes misspelled", "copy_from signature", "not const"],
)
def test_a_declared_member_that_is_not_there_does_not_compile(tmp_path: Path, named: str, members: list[str]) -> None:
    fine, messages = compiled(tmp_path, _ALL, *members)
    assert not fine
    assert f"kOptional.{named} go together" in messages


@pytest.mark.parametrize(("named", "member"), [("settle", _SETTLE), ("copy_from", _COPY), ("outside_bytes", _BYTES)])
def test_a_member_that_is_not_declared_does_not_compile(tmp_path: Path, named: str, member: str) -> None:
    fine, messages = compiled(tmp_path, _NONE, member)
    assert not fine
    assert f"kOptional.{named} go together" in messages


def test_a_structure_without_a_declaration_does_not_compile(tmp_path: Path) -> None:
    fine, messages = compiled(tmp_path, "", _COPY)
    assert not fine
    assert "kOptional" in messages


@pytest.mark.skipif(not Path("/usr/include/linux/kvm.h").exists(), reason="needs the kernel's headers")
def test_an_invariant_and_a_system_call_are_checked_by_different_functions(tmp_path: Path) -> None:
    run_program(tmp_path, ROOT / "tests" / "native" / "checks.cpp")


def test_the_registry_keeps_its_entries_in_place_when_it_grows(tmp_path: Path) -> None:
    # AddressSanitizer reports a read of the memory that a moved entry left behind.
    sources = [ROOT / "tests" / "native" / "registry.cpp", CORE / "registry.cpp"]
    run_program(tmp_path, "-g", "-fsanitize=address", *sources, CORE / "arena.cpp", CORE / "mode.cpp")


def test_nothing_asks_whether_it_is_counted() -> None:
    sources = [*CORE.rglob("*.[ch]pp"), *(ROOT / "strategies").rglob("*.[ch]pp"), *(ROOT / "bench").rglob("*.[ch]pp")]
    asking = {source.name for source in sources if _ASKS.search(source.read_text(encoding="utf-8"))}
    assert asking == set(_MAY_ASK)


@pytest.mark.parametrize(
    "condition",
    [
        "if constexpr (!Probe::counting) return nullptr;",
        "if constexpr (std::decay_t<decltype(probe_)>::counting) return nullptr;",
        "if constexpr (std::is_same_v<Probe, NoProbe>) return nullptr;",
        "#ifndef SLOTLOOKUP_COUNTED",
        "if constexpr (std::is_base_of_v<CountProbe, Probe>) return nullptr;",
    ],
)
def test_what_asks_is_seen(condition: str) -> None:
    assert _ASKS.search(condition)
