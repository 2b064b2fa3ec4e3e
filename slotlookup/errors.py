"""Every error that reaches a user: one line that names place and remedy, and the exit code that goes with it."""

from __future__ import annotations

from pathlib import Path

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INCOMPARABLE = 4


class SlotlookupError(Exception):
    """Base of all errors that the command line prints as one line. `exit_code` is the process's."""

    exit_code = EXIT_FAILED


class UsageError(SlotlookupError):
    """Bad usage or bad input: an unknown name, a value out of range, a file that cannot be used."""

    exit_code = EXIT_USAGE


class SpecError(UsageError):
    """A strategy that is asked for does not exist or cannot be put together."""


class ConfigError(UsageError):
    """A configuration file or environment variable holds a wrong key or value."""


class InputFileError(UsageError):
    """A recording or trace that cannot be used.

    `path` is the file, `line` the 1-based line where the fault lies (None where the whole file is at fault).
    """

    def __init__(self, path: Path | str, line: int | None, message: str) -> None:
        self.path = str(path)
        self.line = line
        place = self.path if line is None else f"{self.path}:{line}"
        super().__init__(f"{place}: {message}")


class Incomparable(SlotlookupError):
    """Two results that cannot be set side by side, or no result to compare with; the message names what differs."""

    exit_code = EXIT_INCOMPARABLE


class BrokenStrategy(SlotlookupError):
    """A strategy failed its own check, or answered what the oracle does not."""


class BeyondLimit(BrokenStrategy):
    """A slot lies at addresses that a structure, as it declares, cannot hold. The strategy holds what it did."""


class DeadStrategy(BrokenStrategy):
    """The process of a structure from a file is no more: it crashed, did not answer, or cannot be trusted."""


class RegionError(UsageError):
    """A call of KVM_SET_USER_MEMORY_REGION that KVM refuses. `errno_name` is what the ioctl would return."""

    errno_name = "EINVAL"

    def __init__(self, message: str) -> None:
        super().__init__(f"{message} ({self.errno_name})")


class UnalignedRegion(RegionError):
    """guest_phys_addr, memory_size or userspace_addr is not a multiple of 4096."""


class ZeroSizeRegion(RegionError):
    """A slot of no pages."""


class WrappedRegion(RegionError):
    """guest_phys_addr + memory_size, or userspace_addr + memory_size, exceeds 64 bits."""


class InaccessibleHva(RegionError):
    """userspace_addr + memory_size reaches addresses that no user process has (bit 63 set)."""


class BadSlotId(RegionError):
    """The slot id is at or above the limit for user slots (32,764)."""


class BadAddressSpace(RegionError):
    """The address space id is at or above the number of address spaces (2)."""


class UnknownSlot(RegionError):
    """Size 0 asks for the deletion of a slot that does not exist."""


class TooManyPages(RegionError):
    """The slot has more than 2^31 - 1 pages, or the VM's total wraps."""


class BadFlags(RegionError):
    """Flags other than LOG_DIRTY_PAGES (1) and READONLY (2)."""


class ImmutableRegion(RegionError):
    """An existing slot cannot change its size, its hva or its READONLY flag."""


class GfnOverlap(RegionError):
    """The range meets another slot of the same address space."""

    errno_name = "EEXIST"


class OutOfHostMemory(SlotlookupError):
    """The modelled host has no frame left that it could give or take from anyone."""
