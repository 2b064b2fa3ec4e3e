"""The distributions: the sdist contains exactly the files for building and testing, the wheel those for running.

The wheel is built from the unpacked sdist, so that it cannot use files of the checkout.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from source_tree import FILES, FOLDERS, copy_tree, files_of

pytestmark = pytest.mark.builds

HOOK = "import sys, scikit_build_core.build as backend; print(getattr(backend, sys.argv[1])(sys.argv[2]))"
# What a folder may hold instead of Python.
KINDS = {
    "assets": {".css", ".html", ".js"},
    "data": {".json", ".md", ".parquet"},
    "include": {".h"},
    "schemas": {".json"},
}
LITTER = (
    ".ci/run",
    ".git/config",
    ".github/workflows/ci.yml",
    ".gitignore",
    ".mypy_cache/x",
    ".venv/bin/x",
    "bench/__pycache__/x.pyc",
    "build/x.o",
    "dist/x.whl",
    "notes.txt",
    "tests/.hypothesis/x",
)


def build(kind: str, tree: Path, target: Path) -> Path:
    """A distribution of a tree, built by the backend as this environment has it."""
    scripts = sysconfig.get_path("scripts")
    environment = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}"}
    command = [sys.executable, "-c", HOOK, f"build_{kind}", str(target)]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return target / done.stdout.splitlines()[-1]


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree with everything lying about that must not ship."""
    tree = copy_tree(tmp_path_factory.mktemp("package") / "tree")
    for name in LITTER:
        file = tree / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("*.log\n", encoding="utf-8")
    return tree


@pytest.fixture(scope="session")
def sdist(tree: Path) -> Path:
    return build("sdist", tree, tree.parent / "dist")


@pytest.fixture(scope="session")
def unpacked(sdist: Path) -> Path:
    target = sdist.parent / "unpacked"
    with tarfile.open(sdist) as archive:
        # What `filter="data"` says, which Python 3.11.0 to 3.11.3 do not know.
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
        archive.extractall(target)
    (only,) = target.iterdir()
    return only


@pytest.fixture(scope="session")
def wheel(unpacked: Path) -> Path:
    return build("wheel", unpacked, unpacked.parent / "dist")


def test_sdist(tree: Path, unpacked: Path) -> None:
    wanted = {f"{folder}/{name}" for folder in FOLDERS for name in files_of(tree / folder)}
    wanted |= {name for name in FILES if (tree / name).exists()}
    assert files_of(unpacked) == wanted | {"PKG-INFO"}


def test_wheel(tree: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    wanted = {"_slotlookup_native.pyi"}
    for folder in ("slotlookup", "strategies", "workloads", "bench"):
        inside = "" if folder == "slotlookup" else f"{folder}/"
        wanted |= {f"slotlookup/{inside}{n}" for n in files_of(tree / folder) if not n.startswith("native/")}
    (module,) = [name for name in names if re.fullmatch(r"_slotlookup_native\..*\.so", name)]
    info = {name for name in names if ".dist-info/" in name}
    assert names - info == wanted | {module}
    assert {name.partition(".dist-info/")[2] for name in info} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
    }
    assert "slotlookup/py.typed" in names
    for name in names - info:
        folder, kind = Path(name).parent.name, Path(name).suffix
        assert kind in KINDS.get(folder, {".py", ".pyi", ".so", ".typed"}), name


def test_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = archive.read(name).decode()
    assert "\nLicense-Expression: MIT\n" in metadata
    assert "\nRequires-Python: >=3.11\n" in metadata


class Installed:
    """The wheel in an environment of its own, used from a folder of its own."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder = folder
        self.scripts = folder / "venv" / "bin"
        venv.create(folder / "venv", with_pip=True)
        self.run("python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel))

    def run(self, command: str, *arguments: str) -> str:
        """What a command of the environment prints."""
        hidden = {"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP"}
        environment = {name: value for name, value in os.environ.items() if name not in hidden}
        done = subprocess.run(
            [self.scripts / command, *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command} {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Installed:
    return Installed(tmp_path_factory.mktemp("installed"), wheel)


def test_the_installed_command(installed: Installed) -> None:
    assert "slotlookup" in installed.run("slotlookup", "--help")
    assert installed.run("python", "-m", "slotlookup", "--help") == installed.run("slotlookup", "--help")


def test_everything_is_found_where_it_installs(installed: Installed, tree: Path) -> None:
    listed = json.loads(installed.run("slotlookup", "strategies", "--json"))["strategies"]
    declared = {p.name for p in (tree / "strategies").glob("*.py") if not p.name.startswith("_")}
    assert len(listed) >= len(declared) > 0
    where = "import slotlookup.bench, slotlookup.workloads as w, _slotlookup_native as n; print(w.__file__, n.__file__)"
    paths = [Path(path) for path in installed.run("python", "-c", where).split()]
    assert all(path.is_relative_to(installed.folder) for path in paths)
    alone = "import importlib.util as u; print([n for n in ('bench', 'strategies', 'workloads') if u.find_spec(n)])"
    assert installed.run("python", "-c", alone) == "[]\n"


def test_an_installed_run(installed: Installed) -> None:
    workloads = json.loads(installed.run("slotlookup", "workloads", "--json"))["workloads"]
    name = workloads[0]["workload"]
    run = ["run", name, "--counts-only", "--json", "-s", "linear", "-s", "rbtree"]
    found = json.loads(installed.run("slotlookup", *run))["strategies"]
    assert [(one["strategy"], one["state"]) for one in found] == [("linear", "verified"), ("rbtree", "verified")]


def test_types_are_installed(installed: Installed) -> None:
    where = "import pathlib, sysconfig; print(sysconfig.get_path('platlib'))"
    site = Path(installed.run("python", "-c", where).strip())
    assert (site / "slotlookup" / "py.typed").exists()
    assert "class Strategy" in (site / "_slotlookup_native.pyi").read_text(encoding="utf-8")
