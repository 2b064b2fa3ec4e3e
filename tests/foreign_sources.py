"""Structures in C and Python for tests: a correct one, and variants with one fault each."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from slotlookup.foreign.parent import include_dir

CC = shutil.which("cc")
RUSTC = shutil.which("rustc")

_SOURCE = r"""
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "slotlookup.h"

struct range {{ uint64_t start, last; int32_t number; }};
struct list {{ uint32_t role; size_t size; struct range ranges[40000]; }};

static void *create(uint32_t role) {{
  struct list *l = calloc(1, sizeof *l);
  l->role = role;
  {create}
  return l;
}}
static void destroy(void *s) {{ {destroy} free(s); }}
static int insert(void *s, uint64_t start, uint64_t last, int32_t number) {{
  struct list *l = s;
  {insert}
  l->ranges[l->size++] = (struct range){{start, last, number}};
  return 0;
}}
static int take_out(void *s, uint64_t start, uint64_t last, int32_t number) {{
  struct list *l = s;
  (void)start, (void)last;
  {remove}
  for (size_t i = 0; i < l->size; i++)
    if (l->ranges[i].number == number) {{
      l->ranges[i] = l->ranges[--l->size];
      return 0;
    }}
  return 1;
}}
static int32_t find(void *s, uint64_t point) {{
  struct list *l = s;
  {find}
  for (size_t i = 0; i < l->size; i++)
    if (l->ranges[i].start <= point && point <= l->ranges[i].last) return l->ranges[i].number;
  return SLOTLOOKUP_NONE;
}}
static size_t visit(void *s, uint64_t start, uint64_t last, int32_t *out, size_t capacity) {{
  struct list *l = s;
  size_t met = 0;
  (void)capacity;
  {visit}
  for (size_t i = 0; i < l->size; i++)
    if (l->ranges[i].start <= last && l->ranges[i].last >= start) out[met++] = l->ranges[i].number;
  {visited}
  return met;
}}
static const char *check(void *s) {{ (void)s; {check} return NULL; }}
static size_t bytes(void *s) {{ {bytes} return sizeof(struct list) + 0 * (s != NULL); }}

const struct slotlookup_structure *{symbol}(void) {{
  static struct slotlookup_structure table = {{SLOTLOOKUP_ABI_VERSION, sizeof table, "list", 3, 0, create, destroy,
    insert, take_out, find, visit, check, bytes}};
  {table}
  return &table;
}}
"""
_PLACES = ("create", "destroy", "insert", "remove", "find", "visit", "visited", "check", "bytes", "table")


def compile_c(folder: Path, name: str, **parts: str) -> str:
    """A library `name`.so in `folder`, with code put in at the places named; what a spec calls it from there."""
    if CC is None:
        pytest.skip("there is no C compiler")
    source = folder / f"{name}.c"
    symbol = parts.pop("symbol", "slotlookup_structure")
    source.write_text(_SOURCE.format(symbol=symbol, **{place: parts.get(place, "") for place in _PLACES}))
    assert set(parts) <= set(_PLACES)
    command = [CC, "-std=gnu11", "-O1", "-w", "-shared", "-fPIC", f"-I{include_dir()}"]
    subprocess.run([*command, "-o", folder / f"{name}.so", source], check=True, capture_output=True)
    return f"./{name}.so"


HOSTILE: list[tuple[str, dict[str, str], str]] = [
    ("segv-insert", {"insert": "*(volatile int *)8 = 1;"}, "crashed with SIGSEGV in insert(0x"),
    ("segv-find", {"find": "if (l->size > 1) *(volatile int *)8 = 1;"}, "crashed with SIGSEGV in find(0x"),
    ("segv-visit", {"visit": "*(volatile int *)8 = 1;"}, "crashed with SIGSEGV in visit(0x"),
    ("segv-remove", {"remove": "*(volatile int *)8 = 1;"}, "crashed with SIGSEGV in remove(0x"),
    ("segv-table", {"table": "*(volatile int *)8 = 1;"}, "crashed with SIGSEGV in slotlookup_structure"),
    ("segv-create", {"create": "*(volatile int *)8 = 1;"}, "crashed with SIGSEGV in create"),
    ("segv-check", {"check": "*(volatile int *)8 = 1;"}, "crashed with SIGSEGV in check"),
    ("aborts", {"find": "abort();"}, "crashed with SIGABRT in find(0x"),
    ("asserts", {"find": 'assert(!"never asked");'}, "never asked"),
    ("kills", {"find": "kill(getpid(), SIGKILL);"}, "crashed with SIGKILL in find(0x"),
    ("exits", {"find": "exit(0);"}, "ended its process with exit(0) in find(0x"),
    ("exits-at-once", {"visit": "_exit(7);"}, "ended its process with exit(7) in visit(0x"),
    ("prints", {"find": 'puts("hello"); fflush(stdout); _exit(3);'}, "ended its process with exit(3) in find(0x"),
    ("version", {"table": "table.abi_version = 7;"}, "has ABI version 7; this slotlookup has 1"),
    ("size", {"table": "table.size = 96;"}, "has a table of 96 bytes; that of ABI version 1 has 88"),
    ("roles", {"table": "table.roles = 4;"}, "declares roles 4"),
    ("no-roles", {"table": "table.roles = 0;"}, "declares roles 0"),
    ("no-find", {"table": "table.find = NULL;"}, "has no find in its table"),
    ("no-name", {"table": "table.name = NULL;"}, "has no name in its table"),
    ("bad-name", {"table": "table.name = (char *)8;"}, "crashed with SIGSEGV in slotlookup_structure"),
    ("no-table", {"table": "return NULL;"}, "returned NULL from slotlookup_structure"),
    ("no-symbol", {"symbol": "another_symbol"}, "does not export slotlookup_structure"),
    ("no-memory", {"create": "return NULL;"}, "returned NULL from create"),
    ("insert-fails", {"insert": "return 12;"}, "returned 12 from insert(0x"),
    ("remove-fails", {"remove": "return 2;"}, "returned 2 from remove(0x"),
    ("foreign-find", {"find": "return 99;"}, "answered slot 99 to find(0x"),
    ("negative-find", {"find": "return -2;"}, "answered slot -2 to find(0x"),
    ("other-space", {"find": "return 1 << 16;"}, "answered slot 65536 to find(0x"),
    ("foreign-visit", {"visited": "if (met) out[0] = 99;"}, "answered slot 99 in visit(0x"),
    ("counts", {"visited": "return 1000;"}, "reports that 1000 slots overlap the range, of "),
    ("counts-wild", {"visited": "return (size_t)-1;"}, "reports that 18446744073709551615 slots overlap the range"),
    ("overruns", {"visited": "out[capacity] = 5;"}, "wrote past the buffer it was given in visit(0x"),
    ("overruns-far", {"visited": "out[capacity + 900] = 5;"}, "wrote past the buffer it was given in visit(0x"),
    ("underruns", {"visited": "out[-1] = 5;"}, "wrote past the buffer it was given in visit(0x"),
    ("overruns-wild", {"visited": "for (int i = 0; i < 1 << 20; i++) out[i] = 5;"}, "crashed with SIGSEGV in visit(0x"),
    ("twice", {"visited": "if (l->size > 1 && met == 1) out[met++] = out[0];"}, "twice in visit(0x"),
    ("forgets", {"visited": "if (met) met--;"}, "the right"),
    ("misses", {"find": "if (l->size > 1) return SLOTLOOKUP_NONE;"}, "answered slot -1; the right answer is"),
    ("complains", {"check": 'return "the root\\n is red";'}, "failed its own check: the root  is red"),
]
"""Name, what is wrong with it, and what is said of it."""
