"""slotlookup: measures which data structure should find a virtual machine's memory slot.

This package is the core: slot types and rules, the strategy interface and registry, traces, configuration and errors.
Strategies, workloads and the bench are in separate folders and are discovered, never imported from here.
"""

from __future__ import annotations

from pathlib import Path

__version__ = "0.1.0"

# In a checkout the sibling folders are outside this package; an installation maps them into it. This makes
# `slotlookup.strategies` and its siblings importable from the checkout itself (`python -m slotlookup`).
_root = Path(__file__).parent.parent
if (_root / "strategies" / "native").is_dir() and str(_root) not in __path__:
    __path__.append(str(_root))
