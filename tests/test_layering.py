"""The permitted imports. The folders install as slotlookup.strategies and so on; rules are checked under those names.

- `slotlookup/` imports none of the other three.
- `strategies/` and `workloads/` import the core, and modules of their own folder whose names begin with `_`.
- `bench/` imports the core, and itself relatively.
- No module imports a strategy or a workload by name: the registry finds them.
- A folder imports the folders that `MAY_IMPORT` lists, and no others.
- No module imports itself through others. Deferred imports and those for type checkers count like all others.
- C++: the core includes itself, the structures the core and each other's headers; no header includes itself through
  others.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest
from source_tree import ROOT, copy_tree

LAYERS = ("strategies", "workloads", "bench")
FOLDERS = ("slotlookup", *LAYERS)
IMPORT_CALLS = {"import_module", "__import__", "find_spec", "resolve_name", "run_module"}
MAY_IMPORT = {
    "slotlookup": set(),
    "slotlookup/families": set(),
    "slotlookup/model": set(),
    "slotlookup/conformance": set(),
    "slotlookup/config": set(),
    "slotlookup/recordings": {"registry"},
    "slotlookup/foreign": {"slotlookup/families", "slotlookup/conformance", "registry"},
    "registry": {"slotlookup/families", "slotlookup/foreign", "slotlookup/recordings"},
    "strategies": set(),
    "workloads": {"slotlookup/model", "slotlookup/recordings"},
    "bench/results": set(),
    "bench/measure": {"bench/results"},
    "bench/gate": {"bench/measure", "bench/results"},
    "bench/charts": set(),
    "bench/sweep": {"bench/charts", "bench/measure", "bench/results"},
    "bench/kernel": {"bench/charts", "bench/measure", "bench/results", "bench/sweep"},
    "bench/advise": {"bench/measure", "bench/results"},
    "bench/claims": {"bench/measure", "bench/results", "bench/kernel"},
    "bench/history": {"bench/results"},
    "bench/report": {
        "bench/charts",
        "bench/claims",
        "bench/history",
        "bench/kernel",
        "bench/measure",
        "bench/results",
        "bench/sweep",
    },
    "bench/record": set(),
}
"""The folders that a folder may import, besides itself. All may import the interface (the modules that lie flat in
`slotlookup/`, without the registry); of bench's, all may import all of the core."""
MAY_IMPORT_ALL = ("bench", "bench/commands", "bench/suites")
MAY_INCLUDE = {
    "slotlookup/include": ("slotlookup/include",),
    "slotlookup/native": ("slotlookup/native", "slotlookup/include"),
    "strategies/native": ("strategies/native", "slotlookup/native"),
    "bench/native": ("bench/native", "slotlookup/native"),
}
"""The folders whose C++ headers a folder's sources may include."""
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


class Source(NamedTuple):
    """What the rules ask of a file."""

    imports: tuple[tuple[int, str, bool], ...]
    literals: tuple[tuple[int, str], ...]


@cache
def read(path: str, text: str) -> Source:
    """A file's imports and its strings that name modules. Kept, since most files are the same from test to test."""
    tree = ast.parse(text, path)
    return Source(tuple(imports(path, tree)), tuple(dotted_literals(tree)))


def sources(root: Path) -> dict[str, Source]:
    """Every Python file that is installed, by its path below `root`."""
    files = [file for folder in FOLDERS for file in sorted((root / folder).rglob("*.py"))]
    paths = {file.relative_to(root).as_posix(): file for file in files}
    return {path: read(path, file.read_text(encoding="utf-8")) for path, file in paths.items()}


def part_of(path: str) -> str:
    """The folder that a file lies in, to two levels; the registry is one of its own."""
    parts = path.split("/")
    if path == "slotlookup/registry.py":
        return "registry"
    return "/".join(parts[:2]) if len(parts) > 2 and parts[0] in ("slotlookup", "bench") else parts[0]


def imported_modules(files: Mapping[str, Source]) -> dict[str, dict[str, int]]:
    """For each file the files of ours that it imports, each with a line that does."""
    names = {".".join(installed_name(path)): path for path in files}
    found: dict[str, dict[str, int]] = {}
    for path, source in files.items():
        found[path] = {}
        for line, name, _ in source.imports:
            parts = name.split(".")
            parts = parts if parts[0] == "slotlookup" else ["slotlookup", *parts] if parts[0] in LAYERS else []
            # What follows the module's own name is a name in it.
            while parts and ".".join(parts) not in names:
                parts.pop()
            if parts and (target := names[".".join(parts)]) != path:
                found[path].setdefault(target, line)
    return found


def wrong_folders(imported: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """Imports of folders that the importing one must not know."""
    for path, targets in imported.items():
        mine = part_of(path)
        if mine in MAY_IMPORT_ALL:
            continue
        if mine not in MAY_IMPORT:
            yield f"{path}: the folder is new: say which others it may import"
            continue
        for target, line in targets.items():
            theirs = part_of(target)
            from_core = mine.startswith("bench/") and not theirs.startswith("bench")
            if theirs not in (mine, "slotlookup", *MAY_IMPORT[mine]) and not from_core:
                yield f"{path}:{line}: {mine} imports {theirs} ({target})"


def circle(imported: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """One line for a circle, if there is one: its files in the order in which they import each other."""
    try:
        TopologicalSorter(imported).prepare()
    except CycleError as error:
        # It gives the circle from what is imported to what imports it.
        names = error.args[1][::-1][:-1]
        first = names.index(min(names))
        yield f"{' -> '.join([*names[first:], *names[:first], names[first]])}: a circle"


def wrong_includes(root: Path) -> Iterator[str]:
    """Headers of folders that the including one must not know, and circles of headers."""
    included: dict[str, list[str]] = {}
    for folder, known in MAY_INCLUDE.items():
        for file in sorted((root / folder).rglob("*.*")):
            if file.suffix not in (".c", ".cpp", ".h", ".hpp"):
                continue
            path = file.relative_to(root).as_posix()
            included[path] = []
            for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
                if found := re.match(r'\s*#\s*include\s*"(.+)"', text):
                    places = (root / found[1], file.parent / found[1], root / "slotlookup" / "include" / found[1])
                    target = next((place for place in places if place.is_file()), root / found[1])
                    name = target.resolve().relative_to(root.resolve()).as_posix()
                    included[path].append(name)
                    if not name.startswith(tuple(f"{other}/" for other in known)):
                        yield f"{path}:{number}: {folder} includes {name}"
    yield from circle(included)


def violations(root: Path) -> list[str]:
    """Every breach of the rules below `root`, one line each."""
    files = sources(root)
    imported = imported_modules(files)
    found = {*wrong_folders(imported), *circle(imported)}
    for path, source in files.items():
        for line, name, relative in source.imports:
            if (path, name) not in GROUPS and (why := forbidden(path, name, relative)):
                found.add(f"{path}:{line}: {why} ({name})")
        for line, name in source.literals:
            if (path, name) not in GROUPS:
                found.add(f"{path}:{line}: names a module of another layer ({name})")
    return sorted({*found, *wrong_includes(root)})


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
    ("slotlookup/spec.py", "def f() -> None:\n    from slotlookup.registry import parse_spec"),
    ("slotlookup/config/load.py", "from slotlookup.registry import parse_spec"),
    ("slotlookup/model/vm.py", "from slotlookup.families.native import HOT"),
    ("slotlookup/families/native.py", "from slotlookup.foreign.parent import Host"),
    ("strategies/linear.py", "from slotlookup.model.vm import Vm"),
    ("workloads/__init__.py", "from slotlookup.registry import structures"),
    ("bench/results/model.py", "from ..measure.machine import describe_machine"),
    ("bench/measure/tasks.py", "from ..commands import run"),
    ("bench/measure/tasks.py", "from ..gate.baseline import Figures"),
    ("bench/record/qmp.py", "from ..measure import runner"),
    ("slotlookup/native/arena.hpp", '#include "range_array.hpp"'),
    ("slotlookup/native/arena.hpp", '#include "strategies/native/rb.hpp"'),
    ("strategies/native/rb.hpp", '#include "bench/native/kvm_vm.hpp"'),
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


CIRCLES = {
    "the registry and the configuration": {
        "slotlookup/foreign/parent.py": "def f() -> None:\n    from slotlookup.config.load import load_config",
        "slotlookup/config/load.py": "def f() -> None:\n    from slotlookup.registry import parse_spec",
    },
    "the VM and its batches": {
        "slotlookup/model/mmu/batch.py": (
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from slotlookup.model.vm import Vm"
        )
    },
    "the contract of a structure and its index": {
        "slotlookup/native/structure.hpp": '#include "slotlookup/native/index.hpp"',
        "slotlookup/native/index.hpp": '#include "slotlookup/native/structure.hpp"',
    },
    "two modules of bench, relatively": {
        "bench/results/model.py": "from . import statistics",
        "bench/results/statistics.py": "from .model import RunResult",
    },
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_tree(tmp_path_factory.mktemp("layers") / "tree")


@contextmanager
def planted(root: Path, codes: Mapping[str, str]) -> Iterator[None]:
    """Code put at the end of files for a while."""
    before = {path: (root / path).read_text(encoding="utf-8") for path in codes}
    for path, code in codes.items():
        (root / path).write_text(f"{before[path]}\n{code}\n", encoding="utf-8")
    try:
        yield
    finally:
        for path, text in before.items():
            (root / path).write_text(text, encoding="utf-8")


@pytest.mark.parametrize(("path", "code"), PLANTED)
def test_a_breach_is_found(copy: Path, path: str, code: str) -> None:
    with planted(copy, {path: code}):
        assert any(line.startswith(f"{path}:") for line in violations(copy))


@pytest.mark.parametrize("name", CIRCLES)
def test_a_circle_is_found(copy: Path, name: str) -> None:
    with planted(copy, CIRCLES[name]):
        (found,) = [line for line in violations(copy) if line.endswith(": a circle")]
        assert all(path in found for path in CIRCLES[name])


def test_a_folder_without_a_rule_is_found(copy: Path) -> None:
    file = copy / "slotlookup" / "extra" / "more.py"
    file.parent.mkdir()
    file.write_text("", encoding="utf-8")
    try:
        assert violations(copy) == ["slotlookup/extra/more.py: the folder is new: say which others it may import"]
    finally:
        file.unlink()


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
    with planted(copy, {path: code}):
        assert violations(copy) == []
