"""The slot rules against answers of the kernel, and the comparison with the running kernel against broken rules."""

from __future__ import annotations

import fcntl
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import kernel_rules
import pytest
from kernel_rules import CAP_GUEST_MEMFD, CHECK_EXTENSION, Report, Rules, compare, compare_with_kernel
from slot_rule_cases import HVA, PAGE, M, plain_cases, private_cases

from slotlookup import errors
from slotlookup.address import Gfn, Hva, SlotNumber
from slotlookup.architecture import ARCHITECTURES, OTHER, X86_64, Architecture, of_machine
from slotlookup.guest_memfd import Backing, GuestMemfd
from slotlookup.memslots import GUEST_MEMFD, ChangeKind, Memslot, Memslots, PendingChange, SlotChange
from slotlookup.recordings.recordings import import_files
from slotlookup.trace import read_trace, write_trace

# "other" has no limits that a call could exceed without wrapping.
ARCHITECTURES_WITH_LIMITS = [a for name, a in ARCHITECTURES.items() if name != "other"]


@pytest.mark.parametrize("spaces", [1, 2])
@pytest.mark.parametrize("architecture", ARCHITECTURES_WITH_LIMITS, ids=lambda a: a.name)
def test_the_rules_answer_as_the_kernel_did(architecture: Architecture, spaces: int) -> None:
    architecture = replace(architecture, address_spaces=spaces)
    different = []
    for title, steps in (*plain_cases(architecture), *private_cases(architecture)):
        rules = Rules(Memslots((), architecture))
        for step in steps:
            if not isinstance(step, tuple):
                rules.close(step.file)
            elif (answer := rules.call(step[0])) != step[1]:
                different.append((title, str(step[0]), answer, step[1]))
    assert different == []


def test_limits_are_those_of_the_architecture() -> None:
    """User space of x86-64 ends a page below 2^47 (TASK_SIZE_MAX), that of arm64 with LVA at 2^52."""
    assert (X86_64.hva_limit, X86_64.gpa_limit) == (0x7FFF_FFFF_F000, 0x10_0000_0000_0000)
    assert [of_machine(name).name for name in ("x86_64", "aarch64", "s390x")] == ["x86-64", "arm64", "other"]
    call = (0, 0, M, 0xFFFF_8000_0000, 0)  # where Linux places mappings on arm64
    with pytest.raises(errors.InaccessibleHva, match="x86-64"):
        Memslots().set_user_memory_region(*call)
    assert Memslots((), ARCHITECTURES["arm64"]).set_user_memory_region(*call) is not None


def test_an_imported_slot_is_held_to_the_limits_of_the_named_host(tmp_path: Path) -> None:
    """Recorded on arm64, with hvas above 2^47. The trace keeps the architecture."""
    recording = Path(__file__).parent / "data" / "field" / "02-iso-program.txt"
    with pytest.raises(errors.InputFileError, match=r"the end of user space on x86-64.*--architecture"):
        import_files([recording], architecture=X86_64)
    for architecture in (OTHER, ARCHITECTURES["arm64"]):
        trace, _ = import_files([recording], architecture=architecture)
        write_trace(trace, tmp_path / "trace.parquet", 1)
        assert read_trace(tmp_path / "trace.parquet").architecture == trace.architecture == architecture


def test_a_recorded_slot_with_private_memory_needs_no_file() -> None:
    """No recording tells which guest_memfd a call names; the other rules hold."""
    memslots = Memslots()
    change = memslots.set_recorded(0, 0, M, HVA, GUEST_MEMFD)
    assert change is not None and change.kind is ChangeKind.CREATE
    with pytest.raises(errors.ImmutableRegion, match="only be deleted"):
        memslots.set_recorded(0, M, M, HVA, GUEST_MEMFD)
    with pytest.raises(errors.BadFlags, match="KVM_SET_USER_MEMORY_REGION2"):
        memslots.set_user_memory_region(1, M, M, HVA, GUEST_MEMFD)


@pytest.mark.parametrize("size", [0, -PAGE, PAGE + 1, 1 << 63])
def test_sizes_of_guest_memfd(size: int) -> None:
    with pytest.raises(errors.BadGuestMemfd, match="positive multiple of 4096"):
        Memslots().create_guest_memfd(size)


class Forgetful(Memslots):
    """Does not look at the hva of a deletion."""

    def prepare(
        self, number: int, gpa: int, size: int, hva: int, flags: int, backing: Backing | None = None
    ) -> PendingChange | None:
        return super().prepare(number, gpa, size, hva if size else 0, flags, backing)


class Instead(Memslots):
    """Makes the call in spite of a refusal."""

    refusal: type[errors.RegionError]

    def _classify(
        self, number: int, gpa: int, size: int, hva: int, flags: int, backing: Backing | None = None
    ) -> SlotChange | None:
        try:
            return super()._classify(number, gpa, size, hva, flags, backing)
        except self.refusal as error:
            old = self.get(number)
            if old is None or not self.forgives(old, gpa, flags, error):
                raise
            moved = old.gpa != gpa
            slot = Memslot(SlotNumber(number), Gfn(gpa // PAGE), size // PAGE, Hva(hva), flags)
            return SlotChange(ChangeKind.MOVE if moved else ChangeKind.FLAGS_ONLY, slot)

    def forgives(self, old: Memslot, gpa: int, flags: int, error: errors.RegionError) -> bool:
        raise NotImplementedError


class MovesAnywhere(Instead):
    """A moved slot may overlap another."""

    refusal = errors.GfnOverlap

    def forgives(self, old: Memslot, gpa: int, flags: int, error: errors.RegionError) -> bool:
        return True


class Writable(Instead):
    """READONLY may change."""

    refusal = errors.ImmutableRegion

    def forgives(self, old: Memslot, gpa: int, flags: int, error: errors.RegionError) -> bool:
        return "cannot change READONLY" in str(error)


class WithFile(Memslots):
    """Has files of another class."""

    file = GuestMemfd

    def create_guest_memfd(self, size: int) -> GuestMemfd:
        return self.file(self, size)


class NeverUnbound(GuestMemfd):
    """A deletion leaves the range bound."""

    def unbind(self, number: SlotNumber) -> None:
        """Leave it."""


class NeverBound(GuestMemfd):
    """Two slots may share a range."""

    def bind(self, number: SlotNumber, offset: int, size: int) -> None:
        """Forget it."""


class StaysOpen(GuestMemfd):
    """A closed file is used."""

    def close(self) -> None:
        """Leave it."""


def with_file(kind: type[GuestMemfd]) -> Callable[[], Memslots]:
    return type("", (WithFile,), {"file": kind})


def limits(**changed: int) -> Callable[[], Memslots]:
    return lambda: Memslots((), replace(X86_64, **changed))  # type: ignore[arg-type]


BROKEN: dict[str, Callable[[], Memslots]] = {
    "hvas up to 2^47": limits(hva_limit=X86_64.hva_limit + PAGE),
    "hvas up to 2^63": limits(hva_limit=1 << 63),
    "one gpa more": limits(gpa_limit=X86_64.gpa_limit + PAGE),
    "one gpa less": limits(gpa_limit=X86_64.gpa_limit - PAGE),
    "one address space": limits(address_spaces=1),
    "the hva of a deletion": Forgetful,
    "moves over other slots": MovesAnywhere,
    "READONLY that changes": Writable,
    "a range that stays bound": with_file(NeverUnbound),
    "a range that is never bound": with_file(NeverBound),
    "a closed file that is used": with_file(StaysOpen),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=list(BROKEN))
def test_a_broken_rule_disagrees(broken: Callable[[], Memslots]) -> None:
    """In the chosen changes and in the random ones; the right rules are the other VM."""
    found = compare(broken, lambda: Rules(Memslots()), X86_64, True, 2_000, 1).disagreements
    assert {line.startswith("seed 1, VM ") for line in found} == {True, False}
    assert all("the kernel answers" in line for line in found)


def test_the_right_rules_agree() -> None:
    report = compare(Memslots, lambda: Rules(Memslots()), X86_64, True, 2_000, 1)
    assert report.disagreements == []
    assert report.chosen > 150 and report.calls - report.chosen >= 2_000
    assert set(report.answers) == {"", "EINVAL", "EEXIST", "EBADF"}


@pytest.fixture
def kvm() -> Iterator[int]:
    if reason := kernel_rules.obstacle():
        pytest.skip(reason)
    descriptor = os.open(kernel_rules.KVM, os.O_RDWR | os.O_CLOEXEC)
    yield descriptor
    os.close(descriptor)


def with_kernel(kvm: int, architecture: Architecture) -> Report:
    private = fcntl.ioctl(kvm, CHECK_EXTENSION, CAP_GUEST_MEMFD) > 0
    return compare_with_kernel(kvm, architecture, private, 500, 1)


def test_the_running_kernel_agrees(kvm: int) -> None:
    assert with_kernel(kvm, kernel_rules.running(kvm)).disagreements == []


def test_the_running_kernel_finds_a_broken_rule(kvm: int) -> None:
    right = kernel_rules.running(kvm)
    found = with_kernel(kvm, replace(right, hva_limit=right.hva_limit + PAGE)).disagreements
    assert any("the last hva of user space" in line for line in found)


def test_a_machine_without_kvm_is_skipped_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kernel_rules, "KVM", "/dev/no-kvm")
    monkeypatch.setattr(sys, "argv", ["kernel_rules.py"])
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert kernel_rules.main() == 0
    assert capsys.readouterr().out == "skipped: /dev/no-kvm cannot be opened: No such file or directory\n"
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert kernel_rules.main() == 0
    assert "this machine is aarch64" in capsys.readouterr().out
