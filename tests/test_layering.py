"""Who may import whom. The folders install as slotlookup.strategies and so on; rules are checked under those names.

- `slotlookup/` imports none of the other three.
- `strategies/` and `workloads/` import the core, and modules of their own folder whose names begin with `_`.
- `bench/` imports the core, and itself relatively.
- Nobody imports a strategy or a workload by name: the registry finds them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from source_tree import ROOT, copy_tree

LAYERS = ("strategies", "workloads", "bench")
FOLDERS = ("slotlookup", *LAYERS)
IMPORT_CALLS = {"import_module", "__import__", "find_spec", "resolve_name", "run_module"}
GROUPS = {("slotlookup/registry.py", "slotlookup.strategies"), ("slotlookup/registry.py", "slotlookup.workloads")}


def installed_name(path: str) -> list[str]:
    """The dotted name that a file installs as, in parts."""
    parts = path.removesuffix(".py").removesuffix("/__init__").split("/")
    return parts if parts[0] == "slotlookup" else ["slotlookup", *parts]


def layer_of(name: str) -> str | None:
    """The folder that a dotted name lies in, however it is written; None for other people's packages."""
    parts = name.split(".")
    if parts[0] == "slotlookup":
        return parts[1] if len(parts) > 1 and parts[1] in LAYERS else "slotlookup"
    return parts[0] if parts[0] in LAYERS else None


def imports(path: str, tree: ast.AST) -> Iterator[tuple[int, str, bool]]:
    """Line, dotted name and whether it is relative, of every import, written as a statement or as a call."""
    here = installed_name(path)
    package = here if path.endswith("/__init__.py") else here[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            parts = [*base, *(node.module or "").split(".")]
            name = ".".join(part for part in parts if part)
            for alias in node.names:
                yield node.lineno, f"{name}.{alias.name}", node.level > 0
        elif isinstance(node, ast.Call):
            function = node.func
            called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            for argument in node.args[:1] if called in IMPORT_CALLS else ():
                name = literal(argument)
                if name and not name.startswith("."):
                    yield node.lineno, name, False


def literal(node: ast.expr) -> str:
    """The text of a literal, up to the first thing that is filled in."""
    if isinstance(node, ast.JoinedStr) and node.values:
        node = node.values[0]
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def dotted_literals(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Strings that name a module of another layer, wherever they go from there."""
    module = re.compile(rf"slotlookup\.({'|'.join(LAYERS)})(\.\w*)*(:\w+)?")
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and module.fullmatch(node.value):
            yield node.lineno, node.value


def forbidden(path: str, name: str, relative: bool) -> str | None:
    """Why a file may not import a name, or None where it may."""
    mine, theirs = path.split("/")[0], layer_of(name)
    if theirs is None:
        return None
    if theirs == "slotlookup":
        if not relative or mine == "slotlookup":
            return None
        return "imports the core by a relative name"
    if mine == theirs == "bench":
        return None if relative else "imports bench by its absolute name"
    if mine == theirs:
        parts = [part for part in name.split(".") if part not in ("slotlookup", mine)]
        return None if relative and parts and parts[0].startswith("_") else f"imports a module of {mine} by name"
    return f"imports {theirs}"


def violations(root: Path) -> list[str]:
    """Every breach of the rules below `root`, one line each."""
    found = set()
    for folder in FOLDERS:
        for file in sorted((root / folder).rglob("*.py")):
            path = file.relative_to(root).as_posix()
            tree = ast.parse(file.read_text(encoding="utf-8"), path)
            for line, name, relative in imports(path, tree):
                if (path, name) not in GROUPS and (why := forbidden(path, name, relative)):
                    found.add(f"{path}:{line}: {why} ({name})")
            for line, name in dotted_literals(tree):
                if (path, name) not in GROUPS:
                    found.add(f"{path}:{line}: names a module of another layer ({name})")
    for source in sorted((root / "slotlookup" / "native").glob("*.?pp")):
        for number, text in enumerate(source.read_text(encoding="utf-8").splitlines(), 1):
            included = re.match(r'#include "(.+)"', text)
            if included and not included[1].startswith(("slotlookup/native/", "slotlookup/include/")):
                found.add(f"{source.relative_to(root)}:{number}: the core includes {included[1]}")
    return sorted(found)


def test_the_layers_hold() -> None:
    assert violations(ROOT) == []


PLANTED = [
    ("slotlookup/spec.py", "import slotlookup.bench"),
    ("slotlookup/spec.py", "import bench.cli"),
    ("slotlookup/spec.py", "from slotlookup import bench"),
    ("slotlookup/spec.py", "from . import strategies"),
    ("slotlookup/spec.py", "from .workloads import anything"),
    ("slotlookup/spec.py", "from slotlookup.strategies import linear"),
    ("slotlookup/spec.py", "def f() -> None:\n    import strategies.linear"),
    ("slotlookup/spec.py", "import importlib\nimportlib.import_module('slotlookup.strategies.linear')"),
    ("slotlookup/spec.py", "import importlib\nimportlib.import_module('slotlookup.strategies')"),
    ("slotlookup/spec.py", "__import__('bench')"),
    ("slotlookup/spec.py", "x = 1\n__import__(f'slotlookup.bench.{x}')"),
    ("slotlookup/spec.py", "NAME = 'slotlookup.bench.cli:main'"),
    ("slotlookup/registry.py", "NAME = 'slotlookup.strategies.linear'"),
    ("slotlookup/native/arena.hpp", '#include "range_array.hpp"'),
    ("strategies/linear.py", "from slotlookup import bench"),
    ("strategies/linear.py", "from slotlookup.bench import cli"),
    ("strategies/linear.py", "from slotlookup import workloads"),
    ("strategies/linear.py", "from . import rbtree"),
    ("strategies/linear.py", "from .rbtree import STRUCTURE as other"),
    ("strategies/linear.py", "from slotlookup.strategies import rbtree"),
    ("strategies/linear.py", "from ..structure import Costs as Other"),
    ("workloads/__init__.py", "from ..strategies import linear"),
    ("workloads/__init__.py", "import strategies.linear"),
    ("workloads/__init__.py", "from slotlookup.bench.cli import main"),
    ("bench/__init__.py", "from slotlookup.bench import cli"),
    ("bench/__init__.py", "import slotlookup.bench.cli"),
    ("bench/__init__.py", "from ..registry import structures"),
    ("bench/__init__.py", "from slotlookup.strategies import linear"),
    ("bench/__init__.py", "from ..workloads import anything"),
    ("bench/__init__.py", "import importlib\nimportlib.import_module('slotlookup.workloads.anything')"),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_tree(tmp_path_factory.mktemp("layers") / "tree")


@pytest.mark.parametrize(("path", "code"), PLANTED)
def test_a_breach_is_found(copy: Path, path: str, code: str) -> None:
    file = copy / path
    before = file.read_text(encoding="utf-8")
    file.write_text(f"{before}\n{code}\n", encoding="utf-8")
    try:
        assert any(line.startswith(f"{path}:") for line in violations(copy))
    finally:
        file.write_text(before, encoding="utf-8")


ALLOWED = [
    ("strategies/linear.py", "from slotlookup.structure import Preset as Other"),
    ("strategies/linear.py", "from ._shared import anything"),
    ("workloads/__init__.py", "import numpy"),
    ("bench/__init__.py", "from .cli import main"),
    ("bench/__init__.py", "from slotlookup import __version__"),
    ("slotlookup/spec.py", "from . import errors"),
]


@pytest.mark.parametrize(("path", "code"), ALLOWED)
def test_what_is_allowed_passes(copy: Path, path: str, code: str) -> None:
    file = copy / path
    before = file.read_text(encoding="utf-8")
    file.write_text(f"{before}\n{code}\n", encoding="utf-8")
    try:
        assert violations(copy) == violations(ROOT)
    finally:
        file.write_text(before, encoding="utf-8")
