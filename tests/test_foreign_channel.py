"""The channel to the process of a structure from a file, and the processes that the structure starts."""

from __future__ import annotations

import os
import re
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from foreign_sources import compile_c
from test_endings import SLOTLOOKUP, await_, has_ended

from slotlookup.address import Gfn
from slotlookup.bench.cli import cli
from slotlookup.bench.record.guard import started
from slotlookup.errors import EXIT_FAILED, DeadStrategy, SpecError
from slotlookup.foreign import parent as foreign
from slotlookup.memslots import make_memslot
from slotlookup.registry import make_strategy
from slotlookup.stream import creation_table

START = (make_memslot(0, 0x0, 0x4000, 0x7000_0000_0000), make_memslot(1, 0x10000, 0x20000, 0x6000_0000_0000))


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Specs name files of the current folder."""
    monkeypatch.chdir(tmp_path)


CHANNEL = """
  if (l->size > 1) {{
    for (int fd = 3; fd < 64; fd++) {{
      int kind; socklen_t n = sizeof kind;
      if (!getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &n)) {{ {write} }}
    }}
    {then}
  }}
"""


@pytest.mark.parametrize(
    ("write", "words"),
    [
        # A length that never ends, one that is negative, one over the limit, and no JSON.
        (r'write(fd, "\x00\x00\xff\xff" "{{", 5);', "gave no answer for 2 seconds"),
        (r'write(fd, "\xff\xff\xff\x00", 4);', "corrupted the answers"),
        (r'write(fd, "\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 12);', "corrupted the answers"),
        (r'write(fd, "\x00\x00\x00\x04" "????", 8);', "corrupted the answers"),
        (r'write(fd, "\x00\x00", 2);', "gave no answer for 2 seconds"),
    ],
)
def test_reads_of_the_channel_are_limited(write: str, words: str, tmp_path: Path) -> None:
    find = CHANNEL.format(write=write.replace("{{", "{"), then="for (;;) pause();")
    spec = compile_c(tmp_path, "writes", find=find)
    strategy = make_strategy(spec, patience=2.0)
    strategy.load_table(creation_table(START))
    with pytest.raises(DeadStrategy, match=words):
        strategy.lookup_gfn(Gfn(5))


def test_forked_children_neither_hold_the_channel_nor_outlive_the_structure(tmp_path: Path) -> None:
    told = tmp_path / "child"
    find = f"""
      if (l->size > 1) {{
        pid_t pid = fork();
        if (!pid) for (;;) pause();
        FILE *file = fopen("{told}", "w"); fprintf(file, "%d", (int)pid); fclose(file);
        abort();
      }}
    """
    strategy = make_strategy(compile_c(tmp_path, "forks", find=find))
    strategy.load_table(creation_table(START))
    with pytest.raises(DeadStrategy, match=r"crashed with SIGABRT in find\(0x5\)"):
        strategy.lookup_gfn(Gfn(5))
    child = int(told.read_text())
    await_(lambda: has_ended(child, started(child)), "the forked process has ended")


DAEMON = """
  if (l->size > 1) {{
    if (!fork()) {{
      setsid();
      if (fork()) _exit(0);
      FILE *file = fopen("{told}.part", "w"); fprintf(file, "%d", (int)getpid()); fclose(file);
      rename("{told}.part", "{told}");
      for (;;) pause();
    }}
    while (access("{told}", F_OK)) usleep(1000);
    {then}
  }}
"""
"""A process that no longer belongs to the structure's session, process group and parent."""


@pytest.mark.parametrize(("then", "words"), [("abort();", "crashed with SIGABRT"), ("for (;;) pause();", "no answer")])
def test_a_process_that_leaves_the_session_ends_with_the_structure(then: str, words: str, tmp_path: Path) -> None:
    told = tmp_path / "daemon"
    strategy = make_strategy(compile_c(tmp_path, "leaves", find=DAEMON.format(told=told, then=then)), patience=0.5)
    strategy.load_table(creation_table(START))
    with pytest.raises(DeadStrategy, match=words):
        strategy.lookup_gfn(Gfn(5))
    daemon = int(told.read_text())
    assert has_ended(daemon, started(daemon)), "it has ended when the fault is reported"


def test_a_process_that_leaves_the_session_ends_with_a_tool_that_is_killed(tmp_path: Path) -> None:
    told = tmp_path / "daemon"
    spec = compile_c(tmp_path, "leaves", find=DAEMON.format(told=told, then="for (;;) pause();"))
    tool = subprocess.Popen([SLOTLOOKUP, "verify", spec, "--patience", "1000"], cwd=tmp_path)
    await_(told.exists, "the process has been started")
    daemon = int(told.read_text())
    since = started(daemon)
    assert not has_ended(daemon, since)
    tool.kill()
    tool.wait()
    await_(lambda: has_ended(daemon, since), "the process has ended")


def test_an_endless_stderr_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "SAID_BYTES", 1 << 12)
    find = 'if (l->size > 1) for (;;) { fputs("more and more\\n", stderr); usleep(10); }'
    strategy = make_strategy(compile_c(tmp_path, "talks", find=find), patience=1.0)
    strategy.load_table(creation_table(START))
    sizes: list[int] = []
    real = os.ftruncate

    def cut(descriptor: int, size: int) -> None:
        sizes.append(os.fstat(descriptor).st_size)
        real(descriptor, size)

    monkeypatch.setattr(os, "ftruncate", cut)
    with pytest.raises(DeadStrategy, match="gave no answer for 1 seconds"):
        strategy.lookup_gfn(Gfn(5))
    assert len(sizes) > 1, "after a cut it starts at 0 again"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("*(volatile int *)8 = 1;", "crashed with SIGSEGV in bytes"),
        ("return (size_t)1 << 50;", "bytes in use, and its process has"),
    ],
)
def test_bytes_are_part_of_what_is_verified(code: str, words: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["verify", compile_c(tmp_path, "memory", bytes=code)], standalone_mode=False)
    assert result.return_value == EXIT_FAILED
    assert words in result.stdout


@pytest.fixture
def unlimited_stack() -> Iterator[None]:
    """No limit of the stack, as far as this process may set it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    resource.setrlimit(resource.RLIMIT_STACK, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))


RECURSION = "if (l->size > 1) { volatile char held[64]; held[0] = 1; return find(s, point) + held[0]; }"


@pytest.mark.usefixtures("unlimited_stack")
def test_a_recursion_without_end_is_named(tmp_path: Path) -> None:
    bad = compile_c(tmp_path, "recurses", find=RECURSION)
    result = CliRunner().invoke(cli, ["verify", bad], standalone_mode=False)
    assert result.return_value == EXIT_FAILED
    words = r"crashed with SIGSEGV in find\(0x\w+\), saying: a recursion used up the stack of \d+ MiB; the remaining"
    assert re.search(words, result.stdout), result.stdout


@pytest.mark.parametrize("answer", ["float({})", "str({})", "{} == 1 if {} == 1 else {}", "{} if {} < 0 else 1 << 70"])
def test_a_python_class_answers_integers(answer: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(LINEAR.format(answer=answer.replace("{}", "found")))
    result = CliRunner().invoke(cli, ["verify", "./mine.py:Mine"], standalone_mode=False)
    assert result.return_value == EXIT_FAILED
    assert "which is not an integer" in result.stdout or "which is not the number of a slot" in result.stdout


LINEAR = """
from slotlookup.structure import RangeIndex
class Mine(RangeIndex):
    def __init__(self): self.held = []
    def insert(self, start, last, number): self.held.append((start, last, number))
    def remove(self, start, last, number): self.held.remove((start, last, number))
    def find(self, point):
        found = next((n for s, l, n in self.held if s <= point <= l), -1)
        return {answer}
    def visit(self, start, last): return [n for s, l, n in self.held if s <= last and l >= start]
    def check(self): pass
    def __len__(self): return len(self.held)
"""


def test_a_file_name_that_is_not_utf_8_is_refused() -> None:
    name = os.fsdecode(b"./\xff.so")
    Path(name).touch()
    with pytest.raises(SpecError, match="the file name is not UTF-8; rename the file"):
        make_strategy(name)
