// The cost of a memslot lookup, an invalidation and a slot change in the running kernel, through its own system calls.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bench/native/kernel/advice.hpp"
#include "bench/native/kvm_vm.hpp"
#include "slotlookup/native/arrays.hpp"
#include "slotlookup/native/bindings.hpp"
#include "slotlookup/native/clock.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace slotlookup {
namespace {

using RegionTable = nb::ndarray<const std::uint64_t, nb::shape<-1, 5>, nb::c_contig, nb::device::cpu>;

// A row of a region table: one call of KVM_SET_USER_MEMORY_REGION.
struct Region {
  std::uint64_t slot, flags, gpa, size, hva;
};

// A VM for gfn lookups. Each MSR_KVM_PV_EOI_EN with the enable bit set makes the kernel find the memslot of its address
// once; without the bit there is no lookup, and the cost is that of everything else.
class KernelVm {
 public:
  static constexpr std::size_t kBatch = 128;           // entries per call; the kernel accepts at most 256
  static constexpr std::uint32_t kPvEoi = 0x4b564d04;  // MSR_KVM_PV_EOI_EN

  explicit KernelVm(const std::string& path) : device_(path), vm_(device_) {}

  unsigned most_slots() const { return device_.most_slots(); }

  void set(const Region& region) {
    vm_.set_slot(static_cast<std::uint32_t>(region.slot), static_cast<std::uint32_t>(region.flags), region.gpa,
                 region.size, region.hva);
  }

  // Nanoseconds of each call.
  std::vector<std::uint64_t> time_set(std::span<const Region> regions) {
    std::vector<std::uint64_t> spent;
    spent.reserve(regions.size());
    for (const Region& region : regions) {
      const Clock::time_point begin = Clock::now();
      set(region);
      spent.push_back(nanoseconds_since(begin));
    }
    return spent;
  }

#if defined(__x86_64__)
  // Nanoseconds of each call, without the filling of its list.
  std::vector<std::uint64_t> time_lookups(std::span<const std::uint64_t> gpa, bool enabled) {
    if (vcpus_.empty()) {
      vcpus_.emplace_back(device_, vm_);
      vcpus_.back().set_supported_cpuid(device_);
    }
    MsrList<kBatch> list;
    list.count = kBatch;
    for (kvm_msr_entry& entry : list.entries) entry.index = kPvEoi;
    std::vector<std::uint64_t> spent;
    spent.reserve(gpa.size() / kBatch);
    for (std::size_t done = 0; done < gpa.size(); done += kBatch) {
      for (std::size_t i = 0; i < kBatch; ++i) list.entries[i].data = gpa[done + i] | (enabled ? 1 : 0);
      const Clock::time_point begin = Clock::now();
      const int taken = vcpus_.back().set_msrs(list);
      spent.push_back(nanoseconds_since(begin));
      if (taken != static_cast<int>(kBatch)) {
        throw KvmError("setting MSR_KVM_PV_EOI_EN to " + std::to_string(list.entries[taken].data), EINVAL);
      }
    }
    return spent;
  }
#else
  std::vector<std::uint64_t> time_lookups(std::span<const std::uint64_t>, bool) {
    throw KvmError("setting MSR_KVM_PV_EOI_EN, which x86 alone has", ENOTSUP);
  }
#endif

 private:
  KvmDevice device_;
  KvmVm vm_;
  std::vector<KvmVcpu> vcpus_;
};

// Memory of this process for slots. None of its pages is present, except for one that creates the page tables.
class SlotMemory {
 public:
  explicit SlotMemory(std::size_t bytes)
      : memory_(Mapping::anonymous(bytes)), adviser_(memory_.start(), std::size_t{1} << 12) {
    madvise(memory_.start(), bytes, MADV_NOHUGEPAGE);
    memory_.start()[bytes / 4] = 1;
  }
  std::uint64_t hva() const { return memory_.hva(); }
  bool batched() const { return adviser_.batched(); }

  // Nanoseconds of each `batch` ranges; the last batch may have fewer.
  std::vector<std::uint64_t> time_drops(std::span<const std::uint64_t> start, std::span<const std::uint64_t> end,
                                        std::size_t batch) {
    std::vector<iovec> ranges(start.size());
    for (std::size_t i = 0; i < ranges.size(); ++i) {
      if (start[i] < hva() || start[i] >= end[i] || end[i] > hva() + memory_.bytes()) {
        throw std::invalid_argument("range " + std::to_string(i) + " is outside this memory");
      }
      ranges[i] = {reinterpret_cast<void*>(start[i]), end[i] - start[i]};
    }
    std::vector<std::uint64_t> spent;
    for (std::size_t done = 0; done < ranges.size(); done += batch) {
      const auto now = std::span(ranges).subspan(done, std::min(batch, ranges.size() - done));
      const Clock::time_point begin = Clock::now();
      adviser_.drop(now);
      spent.push_back(nanoseconds_since(begin));
    }
    return spent;
  }

 private:
  Mapping memory_;
  Adviser adviser_;
};

std::span<const Region> rows(const RegionTable& table) {
  return {reinterpret_cast<const Region*>(table.data()), table.shape(0)};
}

void bind(nb::module_& m) {
  nb::register_exception_translator([](const std::exception_ptr& thrown, void*) {
    try {
      std::rethrow_exception(thrown);
    } catch (const KvmError& error) {
      // OSError(errno, text) becomes the subclass that goes with errno.
      const nb::object raised =
          nb::module_::import_("builtins").attr("OSError")(error.code().value(), std::string(error.what()));
      PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(raised.ptr())), raised.ptr());
    }
  });

  nb::class_<KernelVm>(m, "KernelVm",
                       "A VM of the running kernel, whose slots are looked up by system calls. Raises OSError.")
      .def(nb::init<const std::string&>(), "path"_a)
      .def_prop_ro("most_slots", &KernelVm::most_slots, "The maximum number of slots of an address space.")
      .def_prop_ro_static(
          "batch", [](nb::handle) { return KernelVm::kBatch; }, "Lookups per call.")
      .def(
          "set",
          [](KernelVm& vm, const RegionTable& regions) {
            for (const Region& region : rows(regions)) vm.set(region);
          },
          "regions"_a, "One KVM_SET_USER_MEMORY_REGION per row: slot, flags, gpa, size, hva (uint64[n, 5]).")
      .def(
          "time_set", [](KernelVm& vm, const RegionTable& regions) { return vm.time_set(rows(regions)); }, "regions"_a,
          "The same; the nanoseconds of each call.")
      .def(
          "time_lookups",
          [](KernelVm& vm, const Words& gpa, bool enabled) {
            if (gpa.shape(0) % KernelVm::kBatch) throw std::invalid_argument("lookups come in whole batches");
            nb::gil_scoped_release free;
            return vm.time_lookups(elements(gpa), enabled);
          },
          "gpa"_a, "enabled"_a,
          "Look up each page-aligned gpa (uint64[n], whole batches), or do as much without; nanoseconds of each "
          "batch.");

  nb::class_<SlotMemory>(m, "SlotMemory", "Absent pages of this process, as memory of slots. Raises OSError.")
      .def(nb::init<std::size_t>(), "bytes"_a)
      .def_prop_ro("hva", &SlotMemory::hva, "Their first address.")
      .def_prop_ro("batched", &SlotMemory::batched,
                   "Whether the kernel accepts many ranges per call (process_madvise).")
      .def(
          "time_drops",
          [](SlotMemory& memory, const Words& start, const Words& end, std::size_t batch) {
            if (batch == 0) throw std::invalid_argument("a batch has at least one range");
            require_same_length(start, end);
            nb::gil_scoped_release free;
            return memory.time_drops(elements(start), elements(end), batch);
          },
          "start"_a, "end"_a, "batch"_a, "MADV_DONTNEED of each range (uint64[n], bytes); nanoseconds of each batch.");
}

const Binding declared(bind);

}  // namespace
}  // namespace slotlookup
