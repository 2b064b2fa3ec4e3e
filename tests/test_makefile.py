"""The errors of make for missing tools, in one line before anything is built; and when it builds again.

Environments are imitated here, so that nothing is installed: the last check of make before it installs is for the
compiler, and there is none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from source_tree import copy_tree

TOOLS = ("sh", "make", "cat", "rm", "mv", "touch", "mkdir", "head", "awk", "sed", "ln")
EDITED, BUILT, EDITED_AGAIN = 1_700_000_000, 1_700_000_001, 1_700_000_002
NO_COMPILER = "slotlookup needs a C++20 compiler; there is no c++, g++ or clang++ on the PATH."


class Machine:
    """A copy of the tree, and a PATH that holds make's tools and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.tree = copy_tree(folder / "tree")
        self.bin = folder / "bin"
        self.bin.mkdir()
        for name in TOOLS:
            found = shutil.which(name)
            assert found, f"make needs {name}"
            (self.bin / name).symlink_to(found)

    def has_python(self, name: str = "python3") -> None:
        """The Python that runs this test."""
        self.has(name, f'exec "{sys.executable}" "$@"')

    def has(self, name: str, script: str) -> Path:
        """A program."""
        file = self.bin / name
        file.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        file.chmod(0o755)
        return file

    def make(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run make with this PATH and these variables in the environment."""
        environment = {"PATH": str(self.bin), "HOME": str(self.tree), **variables}
        return subprocess.run(
            ["make", *arguments], cwd=self.tree, env=environment, capture_output=True, text=True, check=False
        )

    def problem(self, *arguments: str, **variables: str) -> str:
        """The one line that make stops with."""
        venv = self.tree / ".venv"
        before = sorted(venv.rglob("*")) if venv.exists() else None
        done = self.make(*arguments, **variables)
        assert done.returncode != 0
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert (sorted(venv.rglob("*")) if venv.exists() else None) == before
        return line

    def installed(self) -> None:
        """An environment as make leaves it, with a command that says that it ran."""
        scripts = self.tree / ".venv" / "bin"
        scripts.mkdir(parents=True)
        (scripts / "python").symlink_to(sys.executable)
        command = scripts / "slotlookup"
        command.write_text('#!/bin/sh\necho "ran $*"\n', encoding="utf-8")
        command.chmod(0o755)
        who = "import os, sys; print(os.getcwd(), os.path.realpath(sys.executable), sys.version_info[:2])"
        run = subprocess.run([scripts / "python", "-c", who], cwd=self.tree, capture_output=True, text=True, check=True)
        venv = self.tree / ".venv"
        (venv / ".made").write_text(run.stdout, encoding="utf-8")
        folders = [self.tree / folder / "native" for folder in ("bench", "slotlookup", "strategies", "workloads")]
        sources = [p for folder in folders for p in folder.rglob("*.?pp")]
        sources += (self.tree / "slotlookup" / "include").glob("*.h")
        names = sorted(str(p.relative_to(self.tree)) for p in sources)
        (venv / ".sources").write_text(" ".join(names), encoding="utf-8")
        for file in self.tree.rglob("*"):
            if not file.is_symlink():
                os.utime(file, (EDITED, EDITED))
        (venv / ".run").touch()
        os.utime(venv / ".run", (BUILT, BUILT))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


OLD = 'case "$2" in *python_version*) echo 3.10.13;; *) exit 1;; esac'


@pytest.mark.parametrize("target", ["run", "test", "lint", "sanitize", "fuzz", "bench"])
def test_no_python(machine: Machine, target: str) -> None:
    line = machine.problem(target)
    wanted = "slotlookup needs Python 3.11 or later; there is no python3 on the PATH. Set PYTHON=/path/to/python3.11"
    assert wanted in line


def test_a_python_that_is_too_old(machine: Machine) -> None:
    machine.has("python3", OLD)
    assert "slotlookup needs Python 3.11 or later; python3 is 3.10.13. Set PYTHON=" in machine.problem("run")


def test_the_python_asked_for_is_too_old(machine: Machine) -> None:
    machine.has_python()
    old = machine.has("python3.10", OLD)
    assert f"later; {old} is 3.10.13. Set" in machine.problem("run", PYTHON=str(old))
    assert "later; python3.10 is 3.10.13. Set" in machine.problem("run", "PYTHON=python3.10")


def test_the_python_asked_for_does_not_exist(machine: Machine) -> None:
    machine.has_python()
    assert "later; /nowhere/python does not run. Set" in machine.problem("run", PYTHON="/nowhere/python")


def test_a_newer_python_beside_an_old_one_is_taken(machine: Machine) -> None:
    machine.has("python3", OLD)
    machine.has_python("python3.12")
    assert NO_COMPILER in machine.problem("run")


@pytest.mark.parametrize(("module", "remedy"), [("ensurepip", "python3-venv"), ("Python.h", "python3-dev")])
def test_an_incomplete_python(machine: Machine, module: str, remedy: str) -> None:
    machine.has("python3", f'case "$2" in *{module}*) exit 1;; esac; exec "{sys.executable}" "$@"')
    line = machine.problem("run")
    assert f"slotlookup needs {'Python.h' if module == 'Python.h' else 'the venv and ensurepip modules'}" in line
    assert f"apt install {remedy}" in line


def test_no_compiler(machine: Machine) -> None:
    machine.has_python()
    line = machine.problem("run")
    assert NO_COMPILER in line
    assert "apt install g++" in line


def test_the_compiler_asked_for_does_not_exist(machine: Machine) -> None:
    machine.has_python()
    assert "C++20 compiler; /nowhere/g++ does not run. Install" in machine.problem("run", CXX="/nowhere/g++")


def test_a_compiler_that_is_too_old(machine: Machine) -> None:
    machine.has_python()
    machine.has("c++", 'case "$1" in -dump*) echo 8.3.0;; *) exit 1;; esac')
    assert "C++20 compiler; c++ is 8.3.0 and does not compile C++20. Install a newer one" in machine.problem("test")


def test_what_is_installed_is_run_at_once(machine: Machine) -> None:
    machine.installed()
    done = machine.make("run", "ARGS=--slots 4")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran run --slots 4\n", "")


def test_another_python_makes_the_environment_again(machine: Machine) -> None:
    machine.installed()
    machine.has_python()
    other = machine.has("python", f'case "$2" in *realpath*) echo another;; *) exec "{sys.executable}" "$@";; esac')
    assert machine.make("run", PYTHON="python3").returncode == 0
    assert NO_COMPILER in machine.problem("run", PYTHON=str(other))


def test_a_moved_checkout_makes_the_environment_again(machine: Machine) -> None:
    machine.installed()
    machine.has_python()
    moved = machine.tree.with_name("moved tree")
    machine.tree.rename(moved)
    machine.tree = moved
    assert NO_COMPILER in machine.problem("run")


def test_an_environment_without_its_python_is_made_again(machine: Machine) -> None:
    machine.installed()
    machine.has_python()
    (machine.tree / ".venv" / "bin" / "python").unlink()
    assert NO_COMPILER in machine.problem("run")


def test_an_interrupted_install_does_not_count(machine: Machine) -> None:
    machine.installed()
    machine.has_python()
    gone = subprocess.Popen(["true"])
    gone.wait()
    (machine.tree / ".venv" / ".installing").write_text(f"{gone.pid}\n", encoding="utf-8")
    assert NO_COMPILER in machine.problem("run")


def test_an_environment_that_another_make_installs_into_is_left_alone(machine: Machine) -> None:
    machine.installed()
    (machine.tree / ".venv" / ".installing").write_text(f"{os.getpid()}\n", encoding="utf-8")
    assert f"another make (process {os.getpid()}) is installing into .venv" in machine.problem("run")


@pytest.mark.parametrize(
    "name", ["slotlookup/native/probe.hpp", "strategies/native/linear.cpp", "CMakeLists.txt", "pyproject.toml"]
)
def test_an_edit_builds_again(machine: Machine, name: str) -> None:
    machine.installed()
    machine.has_python()
    os.utime(machine.tree / name, (EDITED_AGAIN, EDITED_AGAIN))
    assert NO_COMPILER in machine.problem("run")


def test_a_new_source_and_a_lost_one_build_again(machine: Machine) -> None:
    machine.installed()
    machine.has_python()
    source = machine.tree / "strategies" / "native" / "linear.cpp"
    aside = machine.tree / "linear.cpp"
    source.rename(aside)
    assert NO_COMPILER in machine.problem("run")
    aside.rename(source)
    assert machine.make("run").returncode == 0
    shutil.copy2(source, source.with_name("another.cpp"))
    assert NO_COMPILER in machine.problem("run")


def test_an_edit_of_python_builds_nothing(machine: Machine) -> None:
    machine.installed()
    (machine.tree / "strategies" / "new.py").write_text('"""New."""\n', encoding="utf-8")
    assert machine.make("run").stdout == "ran run\n"
