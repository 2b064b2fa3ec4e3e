"""Compares the slot rules with the running kernel's: `make kernel-rules`.

The cases of `slot_rule_cases.py` and seeded random slot changes are made on a VM of `/dev/kvm` and on `Memslots`, and
the answers are compared: success, or the errno. After each VM's changes, every slot that may exist is changed to what
the rules say that it is, and deleted, so that a difference in the slots shows as well. Exits with 0 if all agree or if
this machine cannot compare (with the reason), and with 1 if anything differs.

Not compared: slots of more than a few MiB that are accepted, for which KVM allocates memory in proportion.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import os
import platform
import random
import struct
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from slot_rule_cases import (
    FILE_BYTES,
    FOREIGN,
    HVA,
    OWN,
    PAGE,
    PIPE,
    TOP,
    Call,
    Close,
    Step,
    plain_cases,
    private_cases,
)

from slotlookup.architecture import ARCHITECTURES, X86_64, Architecture
from slotlookup.errors import RegionError
from slotlookup.guest_memfd import GuestMemfd
from slotlookup.memslots import GUEST_MEMFD, USER_SLOTS, Memslot, Memslots

KVM = "/dev/kvm"
CREATE_VM, CHECK_EXTENSION = 0xAE01, 0xAE03
SET_USER_MEMORY_REGION, SET_USER_MEMORY_REGION2, CREATE_GUEST_MEMFD = 0x4020AE46, 0x40A0AE49, 0xC040AED4
CAP_MULTI_ADDRESS_SPACE, CAP_GUEST_MEMFD = 118, 234
CHANGES_PER_VM = 100
SHOWN = 20


class Answers(Protocol):
    """A VM that makes slot changes: a kernel's, or that of the rules."""

    def call(self, call: Call) -> str:
        """Make the call: "" or the errno that refused it."""

    def close(self, file: int) -> None:
        """Close a file that the calls name."""

    def end(self) -> None:
        """Free the VM."""


class Rules:
    """A VM of the rules."""

    def __init__(self, memslots: Memslots) -> None:
        self.memslots = memslots
        pipe = Memslots().create_guest_memfd(PAGE)  # to KVM the same: a file that is none of the VM's
        foreign = Memslots().create_guest_memfd(FILE_BYTES)
        self.files: dict[int, GuestMemfd | None] = {
            -1: None,
            OWN: memslots.create_guest_memfd(FILE_BYTES),
            FOREIGN: foreign,
            PIPE: pipe,
        }
        self.refusal = ""

    def call(self, call: Call) -> str:
        values = (call.number, call.gpa, call.size, call.hva, call.flags)
        try:
            if call.second:
                self.memslots.set_user_memory_region2(*values, self.files[call.file], call.offset)
            else:
                self.memslots.set_user_memory_region(*values)
        except RegionError as error:
            self.refusal = str(error)
            return error.errno_name
        self.refusal = "accepted"
        return ""

    def close(self, file: int) -> None:
        guest_memfd = self.files[file]
        if guest_memfd is not None:
            guest_memfd.close()

    def end(self) -> None:
        """Nothing to free."""


class KernelVm:
    """A VM of the running kernel."""

    def __init__(self, kvm: int, private: bool) -> None:
        self._vms = [fcntl.ioctl(kvm, CREATE_VM, 0)]
        self._files = {-1: -1}
        self._pipe: tuple[int, ...] = ()
        if private:
            self._vms.append(fcntl.ioctl(kvm, CREATE_VM, 0))
            for index, vm in zip((OWN, FOREIGN), self._vms, strict=True):
                self._files[index] = fcntl.ioctl(vm, CREATE_GUEST_MEMFD, bytearray(struct.pack("QQ48x", FILE_BYTES, 0)))
            self._pipe = os.pipe()
            self._files[PIPE] = self._pipe[0]

    def call(self, call: Call) -> str:
        request = SET_USER_MEMORY_REGION
        argument = struct.pack("IIQQQ", call.number, call.flags, call.gpa, call.size, call.hva)
        if call.second:
            request = SET_USER_MEMORY_REGION2
            argument += struct.pack("Qi116x", call.offset, self._files[call.file])
        try:
            fcntl.ioctl(self._vms[0], request, argument)
        except OSError as error:
            return errno.errorcode.get(error.errno or 0, str(error.errno))
        return ""

    def close(self, file: int) -> None:
        os.close(self._files[file])
        self._files[file] = -1

    def end(self) -> None:
        for descriptor in {*self._files.values(), *self._pipe, *self._vms} - {-1}:
            os.close(descriptor)


@dataclass
class Report:
    """What was compared: calls by the errno that the other VM answered, and the disagreements, one line each.

    `chosen` is how many of the calls are of the chosen cases. No call that follows a disagreement in its VM is made.
    """

    answers: Counter[str] = field(default_factory=Counter)
    chosen: int = 0
    disagreements: list[str] = field(default_factory=list)

    @property
    def calls(self) -> int:
        return self.answers.total()


def play(title: str, steps: Iterator[Step | Call], rules: Rules, other: Answers, report: Report) -> None:
    """Make the steps on both. Ends at the first disagreement: the slots may differ from there on."""
    for number, step in enumerate(steps, 1):
        if isinstance(step, Close):
            rules.close(step.file)
            other.close(step.file)
            continue
        call, expected = step if isinstance(step, tuple) else (step, None)
        ours, theirs = rules.call(call), other.call(call)
        report.answers[theirs] += 1
        wrong = ours != theirs or (expected is not None and theirs != expected)
        if wrong:
            by_hand = "" if expected is None else f", expected by hand {expected or 'success'}"
            answers = f"the kernel answers {theirs or 'success'}, the rules {rules.refusal}{by_hand}"
            report.disagreements.append(f"{title}, step {number}: {call}: {answers}")
            return


class Draw:
    """Random slot changes of one VM, seeded: mostly plausible, many of slots that exist, some with an odd value."""

    numbers = (*range(6), USER_SLOTS - 1, 1 << 16, 1 << 16 | 1)

    def __init__(self, seed: int, architecture: Architecture, private: bool, memslots: Memslots) -> None:
        self._random = random.Random(seed)
        self._private = private
        self._slots = memslots
        end, most = architecture.hva_limit, architecture.gpa_limit
        near = [PAGE * n for n in range(-9, 2)]
        odd = [1, PAGE // 2, 1 << 63, (1 << 63) - PAGE, TOP - PAGE, TOP - 9 * PAGE]
        self._odd = {
            "number": [USER_SLOTS, 0x7FFF, 0x8000, 0xFFFF, 1 << 16 | USER_SLOTS, 2 << 16, 0xFFFF << 16],
            "gpa": [*odd, *(most + n for n in near)],
            "size": [*odd, 0, (1 << 31) * PAGE, PAGE + 8, FILE_BYTES, FILE_BYTES + PAGE],
            "hva": [*odd, *(end + n for n in near)],
            "flags": [*range(8), *(1 << bit for bit in range(3, 32)), 0xFFFFFFFF],
            "offset": [*odd, *(FILE_BYTES + n for n in near)],
        }

    def steps(self) -> Iterator[Step | Call]:
        """CHANGES_PER_VM changes, then those that show which slots the VM has."""
        is_open = self._private
        for _ in range(CHANGES_PER_VM):
            if is_open and self._random.random() < 0.01:
                is_open = False
                yield Close(OWN)
            yield self._call()
        for number in self.numbers:
            slot = self._slots.get(number)
            if slot is not None and not slot.flags & GUEST_MEMFD:
                yield _as_it_is(slot)
            yield Call(number, size=0)

    def _call(self) -> Call:
        pick = self._random
        number = pick.choice(self.numbers)
        slot = self._slots.get(number)
        if slot is not None and pick.random() < 0.7:
            call = self._change_of(slot)
        else:
            call = Call(
                number, self._pages(96), PAGE * pick.randint(1, 8), HVA + self._pages(32), pick.choice((0, 0, 1, 2, 3))
            )
            if self._private:
                call = replace(call, second=pick.random() < 0.5)
                if call.second and pick.random() < 0.6:
                    file = pick.choice((OWN,) * 12 + (FOREIGN, PIPE, -1))
                    call = replace(call, flags=GUEST_MEMFD, file=file, offset=self._pages(32))
        if pick.random() < 0.15:
            name = pick.choice(list(self._odd)[: 6 if call.second else 5])
            call = replace(call, **{name: pick.choice(self._odd[name])})
        return call

    def _pages(self, below: int) -> int:
        return PAGE * self._random.randrange(below)

    def _change_of(self, slot: Memslot) -> Call:
        call = _as_it_is(slot)
        if self._private and self._random.random() < 0.5:
            call = replace(call, second=True, file=OWN, offset=self._pages(32))
        match self._random.randrange(8):
            case 0 | 1:
                return replace(call, size=0)
            case 2 | 3 | 4:
                return replace(call, gpa=self._pages(96))
            case 5 | 6:
                return replace(call, flags=call.flags ^ self._random.choice((1, 1, 2, 4)))
            case _:
                return call


def _as_it_is(slot: Memslot) -> Call:
    return Call(slot.number, slot.gpa, slot.size, slot.userspace_addr, slot.flags)


MakeRules = Callable[[], Memslots]
MakeOther = Callable[[], Answers]


def compare(
    make_rules: MakeRules, make_other: MakeOther, architecture: Architecture, private: bool, changes: int, seed: int
) -> Report:
    """The chosen cases, then at least `changes` random changes. `private` is whether the other VMs have guest_memfd."""
    report = Report()

    def one(title: str, steps: Callable[[Memslots], Iterator[Step | Call]]) -> None:
        rules, other = Rules(make_rules()), make_other()
        try:
            play(title, steps(rules.memslots), rules, other, report)
        finally:
            other.end()

    cases = [*plain_cases(architecture), *(private_cases(architecture) if private else ())]
    for title, case in cases:
        one(title, lambda _, case=case: iter(case))  # type: ignore[misc]
    report.chosen, vm = report.calls, 0
    while report.calls - report.chosen < changes:
        own = seed * 1_000_000 + vm
        one(f"seed {seed}, VM {vm}", lambda memslots, own=own: Draw(own, architecture, private, memslots).steps())  # type: ignore[misc]
        vm += 1
        if sys.stderr.isatty():
            print(f"\r{report.calls:,} calls", end="", file=sys.stderr, flush=True)
    return report


def compare_with_kernel(kvm: int, architecture: Architecture, private: bool, changes: int, seed: int) -> Report:
    """`compare` with VMs of the running kernel."""
    return compare(
        lambda: Memslots((), architecture), lambda: KernelVm(kvm, private), architecture, private, changes, seed
    )


def running(kvm: int) -> Architecture:
    """The limits of the running x86-64 kernel and of its VMs."""
    cpu = Path("/proc/cpuinfo").read_text()
    architecture = ARCHITECTURES["x86-64-la57"] if " la57 " in cpu else X86_64
    parameters = [
        Path(f"/sys/module/{name}/parameters/{tdp}") for name, tdp in (("kvm_intel", "ept"), ("kvm_amd", "npt"))
    ]
    if any(path.exists() and path.read_text().strip() in "Y1" for path in parameters):
        sizes = next(line for line in cpu.splitlines() if line.startswith("address sizes"))
        architecture = replace(architecture, gpa_limit=1 << int(sizes.split(":")[1].split()[0]))
    # The answer is 0 where the kernel has no second address space to speak of.
    spaces = fcntl.ioctl(kvm, CHECK_EXTENSION, CAP_MULTI_ADDRESS_SPACE)
    return replace(architecture, address_spaces=max(spaces, 1))


def obstacle() -> str:
    """Why this machine cannot compare, or "" if it can."""
    if platform.machine() != "x86_64":
        return f"the rules compared are those of x86-64, and this machine is {platform.machine()}"
    try:
        kvm = os.open(KVM, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return f"{KVM} cannot be opened: {error.strerror}"
    try:
        os.close(fcntl.ioctl(kvm, CREATE_VM, 0))
    except OSError as error:
        return f"{KVM} creates no VM: {error.strerror}"
    finally:
        os.close(kvm)
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--changes", type=int, default=10_000, help="random changes at least [default: 10,000]")
    parser.add_argument("--seed", type=int, default=1, help="of the random changes [default: 1]")
    arguments = parser.parse_args()
    reason = obstacle()
    if reason:
        print(f"skipped: {reason}")
        return 0
    kvm = os.open(KVM, os.O_RDWR | os.O_CLOEXEC)
    architecture = running(kvm)
    private = fcntl.ioctl(kvm, CHECK_EXTENSION, CAP_GUEST_MEMFD) > 0
    print(
        f"Linux {platform.release()}, {architecture.name}: hvas to {architecture.hva_limit:#x}, gpas to "
        f"{architecture.gpa_limit:#x}, address spaces: {architecture.address_spaces}, "
        f"guest_memfd: {'yes' if private else 'no'}"
    )
    report = compare_with_kernel(kvm, architecture, private, arguments.changes, arguments.seed)
    for line in report.disagreements[:SHOWN]:
        print(line)
    answers = ", ".join(f"{n:,} {name or 'success'}" for name, n in sorted(report.answers.items()))
    print(
        f"{report.chosen:,} chosen and {report.calls - report.chosen:,} random calls ({answers}); "
        f"disagreements: {len(report.disagreements):,}"
    )
    return 1 if report.disagreements else 0


if __name__ == "__main__":
    sys.exit(main())
