"""The command that repeats a result, from the options in it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from slotlookup.vocabulary import Placement, TimingMode

from ..kernel.figures import Measurement
from ..measure.run_options import DISPLACED, EFFORTS
from ..sweep.points import SweepOptions


def of_run(run: Mapping[str, Any]) -> str:
    """The command line that repeats a run in its published form."""
    workload, options = run["workload"], run["options"]
    words = ["slotlookup", "run", workload["name"], "--seed", str(workload["seed"])]
    for key, value in workload["parameters"].items():
        words += _given(f"--{key}", value)
    words += _strategies(one["strategy"] for one in run["strategies"])
    if options["counts_only"]:
        words.append("--counts-only")
    else:
        words += [f"--{name}" for name, share in EFFORTS.items() if share == options["budget"]]
        words += ["--processes", str(options["processes"])]
        words += ["--displace", str(options["displaced"])] if options["displaced"] != DISPLACED else []
    words += _native(options)
    if options["mix"] is not None:
        words += ["--mix", ",".join(f"{role}={weight:g}" for role, weight in options["mix"].items())]
    return shlex.join(words)


def of_sweep(options: SweepOptions, slots: Iterable[int]) -> str:
    """The command line that repeats a sweep."""
    words = ["slotlookup", "sweep", options.workload, "--seed", str(options.seed)]
    words += ["--slots", ",".join(map(str, slots)), *_strategies(options.strategies)]
    words += [f"--{options.effort}"] if options.effort != "default" else []
    if options.counts_only:
        words.append("--counts-only")
    else:
        words += ["--timing", str(options.timing)] if options.timing != TimingMode.THROUGHPUT_HOT else []
        words += ["--processes", str(options.processes)]
        words += ["--displace", str(options.displaced)] if options.displaced != DISPLACED else []
    words += _native(options.as_json())
    return shlex.join(words)


def of_kernel(measured: Measurement) -> str:
    """The command line that repeats a measurement of the kernel."""
    slots = sorted({point.slots for point in measured.points})
    return shlex.join(["slotlookup", "kernel", "--slots", ",".join(map(str, slots))])


def _given(option: str, value: Any) -> Sequence[str]:
    return () if value is None else (option, str(value))


def _strategies(names: Iterable[str]) -> list[str]:
    return [word for name in names for word in ("-s", name)]


def _native(options: Mapping[str, Any]) -> list[str]:
    """What concerns native strategies: the placement and the distance of slots, and the floor."""
    words = ["--placement", options["placement"]] if options["placement"] != Placement.PACKED else []
    words += ["--stride", str(options["stride"])] if options["stride"] else []
    return [*words, "--floor"] if options["floor"] else words
