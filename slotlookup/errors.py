"""Every error that reaches a user: one line with place and remedy, and the exit code."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INCOMPARABLE = 4

_T = TypeVar("_T")


class SlotlookupError(Exception):
    """Base of all errors that the command line prints as one line. `exit_code` is the process's."""

    exit_code = EXIT_FAILED


class UsageError(SlotlookupError):
    """Bad usage or bad input: an unknown name, a value out of range, a file that cannot be used."""

    exit_code = EXIT_USAGE


class SpecError(UsageError):
    """A named strategy does not exist, or its parts cannot be combined."""


class ConfigError(UsageError):
    """A configuration file or environment variable has a wrong key or value."""


class InputFileError(UsageError):
    """A recording or trace that cannot be used.

    `path` is the file, `line` the 1-based line of the fault (None if it concerns the whole file).
    """

    def __init__(self, path: Path | str, line: int | None, message: str) -> None:
        self.path = str(path)
        self.line = line
        place = self.path if line is None else f"{self.path}:{line}"
        super().__init__(f"{place}: {message}")


class MixedForms(InputFileError):
    """A file that holds recordings of several forms."""


class UnknownForm(InputFileError):
    """A file in which no importer finds a line of its form."""


class Incomparable(SlotlookupError):
    """Two results that cannot be compared, or no result to compare with; the message names the difference."""

    exit_code = EXIT_INCOMPARABLE


class BrokenStrategy(SlotlookupError):
    """A strategy failed its own check, or its answer differs from the oracle's."""


class BeyondLimit(BrokenStrategy):
    """A slot is beyond the addresses that a structure declares it can hold. The strategy is unchanged."""


class DeadStrategy(BrokenStrategy):
    """The process of a structure from a file has ended: it crashed, did not answer, or cannot be trusted."""


class RegionError(UsageError):
    """A call of KVM_SET_USER_MEMORY_REGION that KVM refuses. `errno_name` is the errno of the ioctl."""

    errno_name = "EINVAL"

    def __init__(self, message: str) -> None:
        super().__init__(f"{message} ({self.errno_name})")


class HostLimit(RegionError):
    """A refusal that depends on the host's architecture and configuration (`slotlookup.architecture`)."""


class UnalignedRegion(RegionError):
    """guest_phys_addr, memory_size or userspace_addr is not a multiple of 4096."""


class ZeroSizeRegion(RegionError):
    """A slot of no pages."""


class WrappedRegion(RegionError):
    """guest_phys_addr + memory_size, or userspace_addr + memory_size, exceeds 64 bits."""


class InaccessibleHva(HostLimit):
    """userspace_addr + memory_size is above the end of user space."""


class UnreachableGpa(HostLimit):
    """guest_phys_addr + memory_size is above what a guest can address on the host."""

    def __init__(self, message: str, errno_name: str) -> None:
        self.errno_name = errno_name
        super().__init__(message)


class BadSlotId(RegionError):
    """The slot id is at or above the limit for user slots (32,764)."""


class BadAddressSpace(HostLimit):
    """The address space id is at or above the VM's number of address spaces (2 at most)."""


class UnknownSlot(RegionError):
    """Size 0 asks for the deletion of a slot that does not exist."""


class TooManyPages(RegionError):
    """The slot has more than 2^31 - 1 pages, or the VM's total wraps."""


class BadFlags(RegionError):
    """Flags other than LOG_DIRTY_PAGES (1), READONLY (2) and GUEST_MEMFD (4), or GUEST_MEMFD with another."""


class ImmutableRegion(RegionError):
    """An existing slot cannot change its size, hva, READONLY or GUEST_MEMFD; with GUEST_MEMFD it can change nothing."""


class BadGuestMemfd(RegionError):
    """The guest_memfd or its range cannot back the slot: of another VM, unaligned, too long, or bound already."""


class ClosedGuestMemfd(RegionError):
    """The descriptor of the guest_memfd is not open."""

    errno_name = "EBADF"


class GfnOverlap(RegionError):
    """The range overlaps another slot of the same address space."""

    errno_name = "EEXIST"


class OutOfHostMemory(SlotlookupError):
    """The modelled host has no free frame and none that it could reclaim."""


def present(value: _T | None, what: str) -> _T:
    """`value`, which only a fault in slotlookup can make None. Raises RuntimeError then, also under `python -O`."""
    if value is None:
        raise RuntimeError(f"slotlookup has a fault: {what} is missing")
    return value
