"""The machine, compiler and libraries of a result."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import _slotlookup_native as native

from slotlookup import __version__

CPUS = "/sys/devices/system/cpu"


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip("\0\n ") or None
    except OSError:
        return None


def _cpu_model() -> str | None:
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        if line.startswith(("model name", "Model", "cpu model")):
            return line.partition(":")[2].strip() or None
    return platform.processor() or None


def _caches() -> dict[str, str]:
    found: dict[str, str] = {}
    for index in sorted(Path(CPUS, "cpu0/cache").glob("index*")):
        level, kind, size = (_read(str(index / name)) for name in ("level", "type", "size"))
        if level and size:
            suffix = {"Data": "d", "Instruction": "i"}.get(kind or "", "")
            found[f"L{level}{suffix}"] = size
    return found


def _boost() -> bool | None:
    """Whether the clock may exceed its nominal rate; two drivers report it with opposite meanings."""
    boost = _read(f"{CPUS}/cpufreq/boost")
    if boost is not None:
        return boost == "1"
    no_turbo = _read(f"{CPUS}/intel_pstate/no_turbo")
    return None if no_turbo is None else no_turbo == "0"


def virtualised(cpuinfo: str | None, device_tree_hypervisor: bool) -> bool | None:
    """Whether this is a guest, by /proc/cpuinfo's text (x86 flags it) or the device tree; None if neither shows it."""
    if device_tree_hypervisor:
        return True
    flags = re.search(r"^flags\s*:(.*)$", cpuinfo or "", re.MULTILINE)
    return None if flags is None else "hypervisor" in flags[1].split()


def _mitigations() -> dict[str, str] | None:
    """The kernel's mitigations of CPU vulnerabilities, except for those that the CPU does not have."""
    folder = Path(CPUS, "vulnerabilities")
    if not folder.is_dir():
        return None
    told = {file.name: _read(str(file)) for file in sorted(folder.iterdir())}
    return {name: text for name, text in told.items() if text is not None and text != "Not affected"}


def _packages() -> dict[str, str]:
    """Versions of slotlookup's dependencies, on which the Python strategies' times and compares depend."""
    try:
        required = metadata.requires("slotlookup") or []
    except metadata.PackageNotFoundError:
        return {}
    found: dict[str, str] = {}
    for requirement in required:
        name = re.match(r"[\w.-]+", requirement)
        if name and "extra ==" not in requirement:
            try:
                found[name[0]] = metadata.version(name[0])
            except metadata.PackageNotFoundError:
                continue
    return dict(sorted(found.items()))


def describe_machine() -> dict[str, object]:
    """CPU, caches, kernel, frequency settings, mitigations, load, compiler and versions.

    A value that cannot be read is null.
    """
    compiler, flags = native.build()
    try:
        load: list[float] | None = [round(x, 2) for x in os.getloadavg()]
    except OSError:
        load = None
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return {
        "date": now.replace("+00:00", "Z"),
        "cpu": _cpu_model(),
        "architecture": platform.machine(),
        "cpus": os.cpu_count(),
        "caches": _caches(),
        "virtualised": virtualised(_read("/proc/cpuinfo"), Path("/proc/device-tree/hypervisor").is_dir()),
        "kernel": platform.release(),
        "mitigations": _mitigations(),
        "governor": _read(f"{CPUS}/cpu0/cpufreq/scaling_governor"),
        "boost": _boost(),
        "load": load,
        "compiler": compiler,
        "flags": flags,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": _packages(),
        "slotlookup": __version__,
    }
