"""Sources of the slots of a running VM: QEMU's own trace, strace, or QEMU's monitor."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Sequence
from pathlib import Path

from slotlookup.address import PAGE_SIZE, Hva
from slotlookup.architecture import of_machine
from slotlookup.errors import UsageError, present
from slotlookup.memslots import Memslot
from slotlookup.recordings.importing import Limits, Recording
from slotlookup.recordings.recordings import read_recording

from .qmp import Monitor

_QEMU = ("qemu-system-", "qemu-kvm")


def read_here(path: Path, limits: Limits | None = None) -> Recording:
    """Read a recording of a VM on this machine. Raises InputFileError."""
    return read_recording(path, limits, of_machine(platform.machine()))


def with_its_slots(command: Sequence[str], told: Path) -> list[str]:
    """A command that starts a VM, so that its slot changes are written to the file `told`.

    QEMU writes them itself. Any other program is traced with strace, which slows down each of its exits. Raises
    UsageError if that is not possible.
    """
    if Path(command[0]).name.startswith(_QEMU):
        return [*command, "-trace", f"enable=kvm_set_user_memory,file={told}", "-msg", "timestamp=on"]
    strace = shutil.which("strace")
    if strace is None:
        raise UsageError(
            f"recording the slots of {command[0]} needs strace, which is not installed; install it, or give --slots"
        )
    return [strace, "-f", "-ttt", "-X", "verbose", "-e", "trace=ioctl", "-o", str(told), "--", *command]


def slot_changes(told: Path, offset: int) -> Recording:
    """The slot changes that a command reported, their times minus `offset` ns. Raises InputFileError."""
    recording = read_here(told)
    if recording.times is not None:
        recording.times = recording.times - offset
    return recording


def slots_of(monitor: Monitor, scratch: Path) -> Recording:
    """The slots of a running QEMU: its memory map, each range with its host address.

    `scratch` is a temporary file that is written. Raises UsageError.
    """
    scratch.write_text(monitor.human("info mtree -f").replace("\r\n", "\n"))
    recording = read_here(scratch)
    table = present(recording.table, "the slot table of `info mtree -f`")
    recording.table = tuple(_placed(monitor, slot) for slot in table)
    recording.hva_recorded = True
    recording.form = "info mtree -f and gpa2hva"
    recording.remarks = [remark for remark in recording.remarks if "constructed" not in remark]
    return recording


def _placed(monitor: Monitor, slot: Memslot) -> Memslot:
    """A slot at the host address that QEMU reports."""
    hva = monitor.hva_of(slot.gpa)
    last = monitor.hva_of(slot.gpa + slot.size - PAGE_SIZE)
    if last != hva + slot.size - PAGE_SIZE:
        raise UsageError(f"{monitor.path}: [{slot.gpa:#x}, {slot.gpa + slot.size:#x}) is not contiguous in QEMU")
    return slot._replace(userspace_addr=Hva(hva))
