"""slotlookup: measures which data structure should find a virtual machine's memory slot.

This package is the core: slot types and rules, the strategy interface and registry, traces, configuration and errors.
Strategies, workloads and the bench are in separate folders and are discovered, never imported from here. The names of
the Python interface are the one exception: they are looked up in the bench when they are used.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = ["Result", "__version__", "load", "run", "strategy_names", "workload_names"]

__version__ = "0.1.0"

# In a checkout the sibling folders are outside this package; an installation maps them into it. This makes
# `slotlookup.strategies` and its siblings importable from the checkout itself (`python -m slotlookup`).
_root = Path(__file__).parent.parent
if (_root / "strategies" / "native").is_dir() and str(_root) not in __path__:
    __path__.append(str(_root))


def __getattr__(name: str) -> Any:
    """The names of the Python interface, which is part of the bench: it is imported when one of them is used."""
    if name in __all__:
        return getattr(import_module(f"{__name__}.bench.api"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
