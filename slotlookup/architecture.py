"""Limits of KVM's slot rules that depend on the host: user space, guest-physical addresses, address spaces.

Sources, all in Linux 6.18: `access_ok` (TASK_SIZE) for hvas, `kvm_arch_prepare_memory_region` for gpas,
`kvm_arch_nr_memslot_as_ids` for address spaces. A running kernel confirmed those of x86-64 (`make kernel-rules`); those
of the other architectures are from the source alone, and are the largest that an architecture allows.
"""

from __future__ import annotations

from dataclasses import dataclass

from slotlookup.address import ADDRESS_LIMIT, PAGE_SIZE


@dataclass(frozen=True, slots=True)
class Architecture:
    """The limits of one kind of host. A host or VM with others is a `dataclasses.replace` of it.

    `hva_limit` is the largest `userspace_addr + memory_size`, and `gpa_limit` the largest `guest_phys_addr +
    memory_size`, in bytes; `gpa_errno` is what a gpa above it is refused with. A slot's address space is below
    `address_spaces`.
    """

    name: str
    hva_limit: int
    gpa_limit: int
    address_spaces: int
    gpa_errno: str = "EINVAL"


# The last page below 2^47 is a guard page. gpas have 52 bits with shadow paging, and the host's MAXPHYADDR with EPT or
# NPT. A kernel without CONFIG_KVM_SMM, and a VM with private memory (TDX, SEV-SNP), have one address space.
X86_64 = Architecture("x86-64", (1 << 47) - PAGE_SIZE, 1 << 52, 2)
# No limit that is known: s390x, ppc64, loongarch64, and recordings that do not name their host.
OTHER = Architecture("other", 1 << 63, ADDRESS_LIMIT, 2)
_DECLARED = (
    X86_64,
    Architecture("x86-64-la57", (1 << 56) - PAGE_SIZE, 1 << 52, 2),  # five levels of page tables
    Architecture("arm64", 1 << 52, 1 << 52, 1, "EFAULT"),  # LVA and LPA; without them 2^48, and 2^40 by default
    Architecture("riscv64", 1 << 56, (1 << 59) - PAGE_SIZE, 1, "EFAULT"),  # Sv57 and Sv57x4
    OTHER,
)
ARCHITECTURES = {architecture.name: architecture for architecture in _DECLARED}


def of_machine(machine: str) -> Architecture:
    """The architecture of `platform.machine()`."""
    return ARCHITECTURES[{"x86_64": "x86-64", "aarch64": "arm64", "riscv64": "riscv64"}.get(machine, "other")]
