"""`python -m slotlookup`: the installed command, found by its entry point, as the core must not import the bench."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points

from slotlookup.errors import EXIT_FAILED


def main() -> None:
    """Run the console script of the installed distribution."""
    for script in entry_points(group="console_scripts", name="slotlookup"):
        sys.exit(script.load()())
    print("slotlookup: not installed for this Python; `make run` or `pip install .` does that", file=sys.stderr)
    sys.exit(EXIT_FAILED)


if __name__ == "__main__":
    main()
