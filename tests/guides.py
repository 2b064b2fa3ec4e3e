"""Guides followed exactly: a page's changes are applied to a copy of the tree, which is then built and run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from source_tree import ROOT

# `FILE`:                                         a new file
# In `FILE`, before the line `LINE`:              lines beside one that is there, or in its place
_STEP = re.compile(
    r"^(?:In )?`(?P<file>[^`\n]+)`(?:, (?P<where>before|after|instead of) the line `(?P<line>[^`\n]+)`)?:\n\n"
    r"```\w+\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)

CONFORM = """
import sys
from slotlookup.conformance.checks import run
from slotlookup.registry import make_strategy

for name in sys.argv[1:]:
    failures = run(lambda: make_strategy(name), make_counted=lambda: make_strategy(name, counted=True))
    assert not failures, [str(failure) for failure in failures]
    print(name, "conforms")
"""
"""Puts the strategies that are its arguments through the conformance suite."""


def guide(name: str) -> str:
    """The text of a page of docs/."""
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def follow(text: str, tree: Path) -> set[str]:
    """Make every change that a guide asks for; the files that are new or changed."""
    touched: set[str] = set()
    for step in _STEP.finditer(text):
        file = tree / step["file"]
        touched.add(step["file"])
        if step["where"] is None:
            assert not file.exists(), f"{step['file']} is there already"
            file.write_text(step["code"], encoding="utf-8")
            continue
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        found = [i for i, line in enumerate(lines) if line.strip() == step["line"]]
        assert len(found) == 1, f"{step['file']} has {len(found)} lines `{step['line']}`"
        begin = found[0] + (step["where"] == "after")
        end = found[0] + (step["where"] != "before")
        lines[begin:end] = [step["code"]]
        file.write_text("".join(lines), encoding="utf-8")
    return touched


def tool(name: str) -> str:
    """A build tool of this environment or of the machine."""
    found = shutil.which(name, path=f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ.get('PATH', '')}")
    assert found, f"{name} is needed to build the native module"
    return found


class Copy:
    """A tree with its own native module, run without the installation of the one that the test came from."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.build = tree / "build" / "native"

    def make(self) -> None:
        """Build the native module."""
        hints = [f"-DPython_EXECUTABLE={sys.executable}", f"-Dnanobind_DIR={self._nanobind()}"]
        self._run(tool("cmake"), "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}", *hints, "-B", str(self.build))
        self._run(tool("ninja"), "-C", str(self.build))

    def python(self, *arguments: str) -> str:
        """Run Python over this tree. -S leaves out the hooks by which an editable installation finds its checkout."""
        path = [self.tree, self.build, sysconfig.get_path("platlib"), sysconfig.get_path("purelib")]
        return self._run(sys.executable, "-S", *arguments, path=os.pathsep.join(map(str, path)))

    def _nanobind(self) -> str:
        return self._run(sys.executable, "-m", "nanobind", "--cmake_dir").strip()

    def _run(self, *command: str, path: str = "") -> str:
        environment = {**os.environ, "PYTHONPATH": path} if path else os.environ
        done = subprocess.run(command, cwd=self.tree, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout
