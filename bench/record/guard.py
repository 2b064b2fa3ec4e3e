"""Removes an instance of tracefs when its creator has ended: a separate process, so that it survives a crash.

    python guard.py /sys/kernel/tracing/instances/NAME

waits until its standard input ends, which the kernel ensures however the other end dies, and then removes the instance
if it still exists. It is run by its path and imports nothing from the project.
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
    """Disable the instance's options and remove it; False if the kernel does not release it in time."""
    for attempt in range(ATTEMPTS):
        # Removing an instance leaves the recording of process ids enabled for all of tracefs, so it is disabled first.
        for name in ("tracing_on", "events/enable", "options/record-tgid"):
            if (instance / name).exists():
                try:
                    (instance / name).write_text("0")
                except OSError:
                    continue  # already removed, or refused: then the removal below fails too, and is retried
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
