// A strategy called as the kernel calls its own: one question at a time, with other work in between and use of the
// slot.
//
// The kernel's work around a search is part of the additional cost of slots, as far as it reads memory of each slot:
//   gfn lookup      kvm_gfn_to_hva_cache_init reads the slot's userspace_addr, npages and flags
//   invalidation    invalidate_range_start searches the hva tree and reads each found slot's fields and the heads
//                   of its reverse maps; invalidate_range_end searches the same range again and reads the fields
#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <atomic>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bench/native/kernel/reverse_maps.hpp"
#include "slotlookup/native/arrays.hpp"
#include "slotlookup/native/bindings.hpp"
#include "slotlookup/native/clock.hpp"
#include "slotlookup/native/mode.hpp"
#include "slotlookup/native/strategy.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace slotlookup {
namespace {

using Numbers = ArrayOf<std::int32_t>;

// Reads a field as a caller would; the compiler must assume that the value is used.
template <class T>
void read(const T& field) {
  consume(static_cast<std::uint64_t>(field));
}

// Between two steps the kernel executes more instructions than a processor looks ahead, so that no step begins before
// the previous one has ended.
void step() {
#if defined(__x86_64__)
  asm volatile("lfence" ::: "memory");
#else
  std::atomic_signal_fence(std::memory_order_seq_cst);
#endif
}

class KernelCalls {
 public:
  // Creates reverse maps for the slots of address space 0, which must not change afterwards.
  KernelCalls(Strategy& strategy, std::span<const std::int32_t> numbers)
      : strategy_(strategy), maps_(slots_of(strategy, numbers)) {}

  // One question after another, without other work: nanoseconds of each batch, and the sum of number + 1 over all
  // found.
  using Replayed = std::pair<std::vector<std::uint64_t>, std::uint64_t>;
  Replayed replay_gfns(std::span<const std::uint64_t> gfn, std::size_t batch) {
    const ReplayMode hot;
    GfnIndex& index = strategy_.gfn(0);
    const std::vector<std::uint16_t> nobody(gfn.size(), 0);
    std::uint64_t sum = 0;
    auto spent = in_batches(gfn.size(), batch, [&](std::size_t begin, std::size_t end) {
      sum += index.replay(gfn.subspan(begin, end - begin), std::span(nobody).subspan(begin, end - begin), hot);
    });
    return {std::move(spent), sum};
  }
  Replayed replay_hvas(std::span<const std::uint64_t> start, std::span<const std::uint64_t> end, std::size_t batch) {
    const ReplayMode hot;
    HvaIndex& index = strategy_.hva(0);
    std::uint64_t sum = 0;
    auto spent = in_batches(start.size(), batch, [&](std::size_t from, std::size_t to) {
      sum += index.replay(start.subspan(from, to - from), end.subspan(from, to - from), hot);
    });
    return {std::move(spent), sum};
  }

  // As the kernel calls: nanoseconds of each batch of questions; the last may have fewer.
  std::vector<std::uint64_t> time_gfns(std::span<const std::uint64_t> gfn, std::size_t batch, std::size_t displaced) {
    const Displacer displacer(displaced);
    const ReplayMode hot;
    GfnIndex& index = strategy_.gfn(0);
    const std::vector<std::uint16_t> nobody(gfn.size(), 0);
    std::vector<std::int32_t> numbers(gfn.size());
    index.answer(gfn, nobody, numbers);
    std::vector<const Slot*> slots;
    for (const std::int32_t number : numbers) slots.push_back(number == kHole ? nullptr : &strategy_.slot(number));
    return in_batches(gfn.size(), batch, [&](std::size_t from, std::size_t to) {
      for (std::size_t i = from; i < to; ++i) {
        consume(displacer.walk(0));
        consume(index.replay(gfn.subspan(i, 1), {&nobody[i], 1}, hot));
        if (slots[i]) read(slots[i]->userspace_addr);
        forget_memory();
      }
    });
  }

  std::vector<std::uint64_t> time_hvas(std::span<const std::uint64_t> start, std::span<const std::uint64_t> end,
                                       std::size_t batch, std::size_t displaced) {
    const Displacer displacer(displaced);
    const ReplayMode hot;
    HvaIndex& index = strategy_.hva(0);
    std::vector<std::int32_t> numbers;
    std::vector<std::uint64_t> counts(start.size(), 0);
    index.answer(start, end, numbers, counts);
    std::vector<const Slot*> slots;
    for (const std::int32_t number : numbers) slots.push_back(&strategy_.slot(number));
    const Slot* const* met = slots.data();
    return in_batches(start.size(), batch, [&](std::size_t from, std::size_t to) {
      for (std::size_t i = from; i < to; ++i) {
        consume(displacer.walk(0));
        step();
        consume(index.replay(start.subspan(i, 1), end.subspan(i, 1), hot));
        for (std::uint64_t k = 0; k < counts[i]; ++k, ++met) handle(**met, start[i]);
        step();
        consume(displacer.walk(0));
        step();
        consume(index.replay(start.subspan(i, 1), end.subspan(i, 1), hot));
        step();
      }
    });
  }

 private:
  static std::vector<Slot*> slots_of(Strategy& strategy, std::span<const std::int32_t> numbers) {
    std::vector<Slot*> slots;
    for (const std::int32_t number : numbers) slots.push_back(&strategy.slot(number));
    return slots;
  }

  template <class Each>
  static std::vector<std::uint64_t> in_batches(std::size_t n, std::size_t batch, Each&& each) {
    std::vector<std::uint64_t> spent;
    spent.reserve(n / batch + 1);
    for (std::size_t done = 0; done < n;) {
      const std::size_t end = std::min(n, done + batch);
      const Clock::time_point begin = Clock::now();
      each(done, end);
      spent.push_back(nanoseconds_since(begin));
      done = end;
    }
    return spent;
  }

  // The first head of each level in the range; of the further ones a lookup needs none.
  static void handle(const Slot& slot, std::uint64_t start) {
    const std::uint64_t gfn =
        slot.base_gfn + ((std::max(start, slot.userspace_addr) - slot.userspace_addr) >> kPageShift);
    for (unsigned level = 0; level < ReverseMaps::kLevels; ++level) read(*ReverseMaps::head(slot, gfn, level));
    step();
    read(slot.flags);
  }

  Strategy& strategy_;
  ReverseMaps maps_;
};

void require_batch(std::size_t batch) {
  if (batch == 0) throw std::invalid_argument("a batch has at least one question");
}

void bind(nb::module_& m) {
  nb::class_<KernelCalls>(m, "KernelCalls", "A strategy called as the kernel calls its own structures.")
      .def(
          "__init__",
          [](KernelCalls* self, Strategy& strategy, const Numbers& numbers) {
            new (self) KernelCalls(strategy, elements(numbers));
          },
          "strategy"_a, "numbers"_a, nb::keep_alive<1, 2>(),
          "numbers are those of all its slots (int32[n]), in address space 0, in order of creation.")
      .def(
          "replay_gfns",
          [](KernelCalls& calls, const Words& gfn, std::size_t batch) {
            require_batch(batch);
            nb::gil_scoped_release free;
            return calls.replay_gfns(elements(gfn), batch);
          },
          "gfn"_a, "batch"_a,
          "Look up each gfn (uint64[n]): (nanoseconds of each batch, sum of number + 1 over the slots found).")
      .def(
          "replay_hvas",
          [](KernelCalls& calls, const Words& start, const Words& end, std::size_t batch) {
            require_same_length(start, end);
            require_batch(batch);
            nb::gil_scoped_release free;
            return calls.replay_hvas(elements(start), elements(end), batch);
          },
          "start"_a, "end"_a, "batch"_a,
          "Visit each range (uint64[n], bytes): (nanoseconds of each batch, sum of number + 1 over the slots visited).")
      .def(
          "time_gfns",
          [](KernelCalls& calls, const Words& gfn, std::size_t batch, std::size_t displaced) {
            require_batch(batch);
            nb::gil_scoped_release free;
            return calls.time_gfns(elements(gfn), batch, displaced);
          },
          "gfn"_a, "batch"_a, "displaced"_a,
          "Look up each gfn (uint64[n]) and read its slot, after a walk of `displaced` bytes; nanoseconds of each "
          "batch.")
      .def(
          "time_hvas",
          [](KernelCalls& calls, const Words& start, const Words& end, std::size_t batch, std::size_t displaced) {
            require_same_length(start, end);
            require_batch(batch);
            nb::gil_scoped_release free;
            return calls.time_hvas(elements(start), elements(end), batch, displaced);
          },
          "start"_a, "end"_a, "batch"_a, "displaced"_a,
          "Invalidate each range (uint64[n], bytes): two searches, each after a walk of `displaced` bytes, and the "
          "reading of each slot met in between; nanoseconds of each batch.");
}

const Binding declared(bind);

}  // namespace
}  // namespace slotlookup
