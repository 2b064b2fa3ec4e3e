"""What holds for every test."""

import os

# New processes know no strategy that a test plants, and start in tenths of a second. Tests of them ask for them.
os.environ["SLOTLOOKUP_PROCESSES"] = "1"
