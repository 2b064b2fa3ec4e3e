"""The checkout under test, and copies of it that a test may change."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("bench", "docs", "slotlookup", "strategies", "tests", "workloads")
FILES = (
    ".clang-format",
    "CHANGELOG.md",
    "CMakeLists.txt",
    "LICENSE",
    "Makefile",
    "README.md",
    "pyproject.toml",
    "slotlookup-baseline.json",
    "slotlookup.toml",
)
LITTER = ("__pycache__", "*.pyc", ".*_cache", ".hypothesis", ".benchmarks", "*.part")


def copy_tree(target: Path, strategies: Collection[str] | None = None) -> Path:
    """A copy of everything that belongs to the project, without what tools leave behind.

    Given `strategies`, modules of the folder by name, the copy has no others: what is not there need not be built.
    """
    target.mkdir(parents=True)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns(*LITTER))
    for name in FILES:
        if (ROOT / name).exists():
            shutil.copy2(ROOT / name, target / name)
    folder = target / "strategies"
    for file in [*folder.glob("[!_]*.py"), *folder.glob("native/*.cpp")]:
        if strategies is not None and file.stem not in strategies:
            file.unlink()
    return target


def files_of(folder: Path) -> set[str]:
    """All files below a folder, as paths relative to it, without what tools leave behind."""
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return {file.as_posix() for file in files if not any(fnmatch(p, litter) for p in file.parts for litter in LITTER)}
