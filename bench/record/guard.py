"""Removes an instance of tracefs when whoever made it is gone: a process of its own, so that it outlives a crash.

    python guard.py /sys/kernel/tracing/instances/NAME

waits until its standard input ends, which the kernel brings about however the other end dies, and then removes the
instance if it is still there. It is run by its path and imports nothing of the project.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

ATTEMPTS = 50
PAUSE = 0.1
"""Seconds between attempts: the kernel refuses while the dead process's files are being closed."""


def remove_instance(instance: Path) -> bool:
    """Switch off what the instance has on, and remove it; False where the kernel does not let go of it in time."""
    for attempt in range(ATTEMPTS):
        # An instance that is removed keeps the recording of process ids on for all of tracefs, and so goes off first.
        for name in ("tracing_on", "events/enable", "options/record-tgid"):
            if (instance / name).exists():
                try:
                    (instance / name).write_text("0")
                except OSError:
                    continue  # gone meanwhile, or refused: then the removal below fails too, and is tried again
        try:
            instance.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            if attempt + 1 < ATTEMPTS:
                time.sleep(PAUSE)
            continue
        return True
    return False


if __name__ == "__main__":
    while os.read(0, 4096):
        pass
    sys.exit(not remove_instance(Path(sys.argv[1])))
