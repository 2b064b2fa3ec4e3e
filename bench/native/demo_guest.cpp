// A small guest under /dev/kvm: 64-bit code that touches pages of many slots while its host drops pages. It needs no
// firmware and no kernel, so that faults and invalidations can be recorded on any machine with KVM within seconds.
#include "slotlookup/native/bindings.hpp"
#include "slotlookup/native/clock.hpp"

#if defined(__x86_64__) && __has_include(<linux/kvm.h>)

#include <nanobind/stl/string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <exception>
#include <random>
#include <thread>
#include <vector>

#include "bench/native/kvm_vm.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace slotlookup {
namespace {

// The layout of the guest's memory, in bytes. Slot 0 contains page tables, code and the list of addresses to touch; the
// slots from kData on are touched, with holes between them. kExit is in no slot.
constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kLarge = 2 << 20;
constexpr std::uint64_t kGiga = 1 << 30;
constexpr std::uint64_t kBootBytes = 4 << 20;
constexpr std::uint64_t kPml4 = 0x10000;
constexpr std::uint64_t kPdpt = 0x11000;
constexpr std::uint64_t kDirectories = 0x12000;  // one for each GiB
constexpr std::uint64_t kGigabytes = 4;
constexpr std::uint64_t kCode = 0x40000;
constexpr std::uint64_t kList = 0x100000;
constexpr std::uint64_t kData = 0x10000000;
constexpr std::uint64_t kHole = 0x10000;
constexpr std::uint64_t kExit = kGigabytes * kGiga - kPage;
constexpr std::uint64_t kSlotBytes = 4 << 20;
constexpr std::size_t kBatch = 512;

// rsi: list, rcx: its length, rdx: 0 to read and 1 to write, r8: kExit.
constexpr std::uint8_t kProgram[] = {
    0x48, 0xad,        // next: lodsq
    0x84, 0xd2,        //       test dl, dl
    0x75, 0x04,        //       jnz write
    0x8a, 0x18,        //       mov bl, [rax]
    0xeb, 0x02,        //       jmp done
    0x88, 0x10,        // write: mov [rax], dl
    0x48, 0xff, 0xc9,  // done: dec rcx
    0x75, 0xef,        //       jnz next
    0x41, 0x88, 0x00,  //       mov [r8], al
    0xeb, 0xfe,        //       jmp $
};

// The VM, its memory and its one vCPU. The slots have their host memory in random order.
class DemoGuest {
 public:
  // Slot changes are written to the file descriptor `marks`, as lines for the importer of kernel traces.
  DemoGuest(const std::string& path, int marks, unsigned slots)
      : marks_(marks),
        slots_(slots),
        device_(path),
        vm_(device_),
        boot_(Mapping::anonymous(kBootBytes)),
        data_(Mapping::anonymous(slots * kSlotBytes)),
        places_(slots) {
    for (unsigned i = 0; i < slots; ++i) places_[i] = i;
    std::shuffle(places_.begin(), places_.end(), random_);
    set(0, 0, kBootBytes, boot_.hva());
    for (unsigned i = 0; i < slots; ++i) plug(i);
  }

  // Touches and balloons for the given time, with slot changes between touches.
  void run(double seconds) {
    KvmVcpu vcpu(device_, vm_);
    prepare(vcpu);
    const Clock::time_point end =
        Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    std::atomic<bool> stop = false;
    std::exception_ptr failed;
    std::thread guest([&] {
      try {
        std::minstd_rand random(2);
        for (unsigned batch = 0; !stop; ++batch) {
          touch(vcpu, random);
          if (batch % 64 == 63) replug(random() % slots_);
        }
      } catch (...) {
        failed = std::current_exception();
      }
    });
    balloon(end);
    stop = true;
    guest.join();
    if (failed) std::rethrow_exception(failed);
  }

  std::uint64_t touched = 0;    // pages
  std::uint64_t ballooned = 0;  // ranges
  std::uint64_t replugged = 0;  // slots

 private:
  std::uint64_t gpa(unsigned slot) const { return kData + slot * (kSlotBytes + kHole); }

  void set(std::uint32_t slot, std::uint64_t gpa, std::uint64_t size, std::uint64_t hva) {
    char line[128];
    const int n =
        std::snprintf(line, sizeof line, "SLOT %" PRIu32 " gpa=0x%" PRIx64 " size=0x%" PRIx64 " hva=0x%" PRIx64 "\n",
                      slot, gpa, size, hva);
    vm_.set_slot(slot, 0, gpa, size, hva);
    require_syscall(write(marks_, line, static_cast<std::size_t>(n)), "writing a mark into the trace");
  }
  void plug(unsigned slot) { set(slot + 1, gpa(slot), kSlotBytes, data_.hva() + places_[slot] * kSlotBytes); }
  void replug(unsigned slot) {
    set(slot + 1, gpa(slot), 0, data_.hva() + places_[slot] * kSlotBytes);
    plug(slot);
    ++replugged;
  }

  // Long mode in ring 3 with an identity map of 2 MiB pages that ring 3 may use: if KVM emulates ring 0 in software,
  // as on some machines, ring 3 still runs natively and faults. There are no interrupts, so it needs no descriptors.
  void prepare(const KvmVcpu& vcpu) {
    constexpr std::uint64_t kPresent = 1, kWrite = 2, kUser = 4, kUsed = 0x60, kLeaf = 0x80;
    entry(kPml4, 0) = kPdpt | kPresent | kWrite | kUser;
    for (std::uint64_t i = 0; i < kGigabytes; ++i) {
      entry(kPdpt, i) = (kDirectories + i * kPage) | kPresent | kWrite | kUser;
      for (std::uint64_t j = 0; j < kGiga / kLarge; ++j) {
        entry(kDirectories + i * kPage, j) = (i * kGiga + j * kLarge) | kPresent | kWrite | kUser | kUsed | kLeaf;
      }
    }
    std::memcpy(boot_.start() + kCode, kProgram, sizeof kProgram);
    vcpu.set_supported_cpuid(device_);
    kvm_sregs sregs = vcpu.special_registers();
    sregs.cr0 = 0x80050033;  // PG, AM, WP, NE, ET, MP, PE
    sregs.cr3 = kPml4;
    sregs.cr4 = 0x620;   // OSXMMEXCPT, OSFXSR, PAE
    sregs.efer = 0xd01;  // NXE, LMA, LME, SCE
    kvm_segment segment{};
    segment.limit = 0xffffffff;
    segment.present = segment.s = segment.g = 1;
    segment.dpl = 3;
    segment.selector = 0x33;
    segment.type = 11;  // code
    segment.l = 1;
    sregs.cs = segment;
    segment.selector = 0x2b;
    segment.type = 3;  // data
    segment.l = 0;
    segment.db = 1;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = segment;
    sregs.ldt = {};
    sregs.ldt.unusable = 1;
    sregs.tr = {};
    sregs.tr.selector = 0x40;
    sregs.tr.limit = 0x67;
    sregs.tr.type = 11;
    sregs.tr.present = 1;
    vcpu.set_special_registers(sregs);
  }
  std::uint64_t& entry(std::uint64_t table, std::uint64_t index) {
    return reinterpret_cast<std::uint64_t*>(boot_.start() + table)[index];
  }

  // Lets the guest touch a batch of pages, low slots more often than high ones. The store to kExit ends it.
  void touch(const KvmVcpu& vcpu, std::minstd_rand& random) {
    auto* list = reinterpret_cast<std::uint64_t*>(boot_.start() + kList);
    std::uniform_real_distribution<double> uniform;
    const std::uint64_t pages = slots_ * kSlotBytes / kPage;
    for (std::size_t i = 0; i < kBatch; ++i) {
      const double u = uniform(random);
      const auto page = static_cast<std::uint64_t>(static_cast<double>(pages) * u * u * u);
      list[i] = gpa(static_cast<unsigned>(page / (kSlotBytes / kPage))) + page % (kSlotBytes / kPage) * kPage;
    }
    kvm_regs regs{};
    regs.rip = kCode;
    regs.rflags = 0x2;
    regs.rsi = kList;
    regs.rcx = kBatch;
    regs.rdx = random() % 2;
    regs.r8 = kExit;
    vcpu.set_registers(regs);
    while (!vcpu.run()) {
    }
    const kvm_run& state = vcpu.state();
    if (state.exit_reason != KVM_EXIT_MMIO || state.mmio.phys_addr != kExit) {
      throw KvmError("running the guest, which left for reason " + std::to_string(state.exit_reason), EIO);
    }
    touched += kBatch;
  }

  // Drops ranges of the guest's memory: mostly single pages, sometimes several, as a balloon does.
  void balloon(Clock::time_point end) {
    const std::uint64_t pages = data_.bytes() / kPage;
    while (Clock::now() < end) {
      const std::uint64_t page = random_() % pages, kind = random_() % 8;
      const std::uint64_t wanted = kind == 0   ? 512
                                   : kind == 1 ? 1 + random_() % 1024
                                   : kind == 2 ? 1 + random_() % 16
                                               : 1;
      const std::uint64_t count = std::min(wanted, pages - page);
      require_syscall(madvise(data_.start() + page * kPage, count * kPage, MADV_DONTNEED),
                      "taking pages from the guest");
      ++ballooned;
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  }

  std::minstd_rand random_{1};
  int marks_;
  unsigned slots_;
  KvmDevice device_;
  KvmVm vm_;
  Mapping boot_, data_;
  std::vector<std::uint64_t> places_;
};

void bind(nb::module_& m) {
  nb::class_<DemoGuest>(m, "DemoGuest",
                        "A guest that touches pages of its slots while its host drops some. Raises OSError.")
      .def(nb::init<const std::string&, int, unsigned>(), "path"_a, "marks"_a, "slots"_a,
           "A VM of the KVM device `path`; its slot changes are written to the file descriptor `marks`.")
      .def("run", &DemoGuest::run, "seconds"_a, nb::call_guard<nb::gil_scoped_release>(), "Touch and balloon.")
      .def_ro("touched", &DemoGuest::touched, "The number of pages that the guest touched.")
      .def_ro("ballooned", &DemoGuest::ballooned, "The number of ranges that the host dropped.")
      .def_ro("replugged", &DemoGuest::replugged, "The number of slots deleted and added again.");
}

const Binding declared(bind);

}  // namespace
}  // namespace slotlookup

#endif
