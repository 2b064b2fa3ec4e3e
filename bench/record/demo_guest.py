"""The process that `slotlookup record --demo` records: a small guest, described by marks and by one line at the end.

python demo_guest.py MARKS SECONDS, where MARKS is an open file descriptor of a trace_marker.
"""

from __future__ import annotations

import json
import sys

import _slotlookup_native as native

SLOTS = 16


def main(marks: int, seconds: float) -> int:
    """Run the guest; the exit code is 2 if this machine cannot."""
    try:
        guest = native.DemoGuest("/dev/kvm", marks, SLOTS)
        guest.run(seconds)
    except AttributeError:
        print(json.dumps({"error": "the demo's guest is x86-64 code, which this build does not include"}))
        return 2
    except OSError as error:
        print(json.dumps({"error": str(error)}))
        return 2
    print(json.dumps({"touched": guest.touched, "ballooned": guest.ballooned, "replugged": guest.replugged}))
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2])))
