// A strategy called as the kernel calls its own: one question at a time, other work in between, the slot put to use.
//
// What the kernel does around a search belongs to what a slot more costs it, as far as it reads memory of each slot:
//   gfn lookup      kvm_gfn_to_hva_cache_init reads the slot's userspace_addr, npages and flags
//   invalidation    invalidate_range_start searches the hva tree and, for each slot met, reads its fields and the heads
//                   of its reverse maps; invalidate_range_end searches the same range again and reads the fields
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bench/native/kernel/reverse_maps.hpp"
#include "slotlookup/native/bindings.hpp"
#include "slotlookup/native/index.hpp"
#include "slotlookup/native/mode.hpp"
#include "slotlookup/native/strategy.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace slotlookup {
namespace {

using Clock = std::chrono::steady_clock;
using Numbers = nb::ndarray<const std::int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Words = nb::ndarray<const std::uint64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

std::uint64_t nanoseconds_since(Clock::time_point begin) {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin).count());
}

// Reads a field as a caller would: the value is used, and nobody can know for what.
template <class T>
void read(const T& field) {
  consume(static_cast<std::uint64_t>(field));
}

// Between two steps the kernel executes more than a processor looks ahead, so that no step begins before the one before
// has ended.
void step() {
#if defined(__x86_64__)
  asm volatile("lfence" ::: "memory");
#else
  std::atomic_signal_fence(std::memory_order_seq_cst);
#endif
}

class KernelCalls {
 public:
  // Gives the slots of address space 0 their reverse maps; they are to stay as they are.
  KernelCalls(Strategy& strategy, const std::int32_t* numbers, std::size_t n)
      : strategy_(strategy), maps_(slots_of(strategy, numbers, n)) {}

  // One question after another, nothing in between: nanoseconds of each batch, and the sum of number + 1 over all found.
  using Replayed = std::pair<std::vector<std::uint64_t>, std::uint64_t>;
  Replayed replay_gfns(const std::uint64_t* gfn, std::size_t n, std::size_t batch) {
    const ReplayMode hot;
    GfnIndex& index = strategy_.gfn(0);
    const std::vector<std::uint16_t> nobody(n, 0);
    std::uint64_t sum = 0;
    auto spent = in_batches(n, batch, [&](std::size_t begin, std::size_t end) {
      sum += index.replay(gfn + begin, nobody.data() + begin, end - begin, hot);
    });
    return {std::move(spent), sum};
  }
  Replayed replay_hvas(const std::uint64_t* start, const std::uint64_t* end, std::size_t n, std::size_t batch) {
    const ReplayMode hot;
    HvaIndex& index = strategy_.hva(0);
    std::uint64_t sum = 0;
    auto spent = in_batches(n, batch, [&](std::size_t from, std::size_t to) {
      sum += index.replay(start + from, end + from, to - from, hot);
    });
    return {std::move(spent), sum};
  }

  // As the kernel calls: nanoseconds of each batch of questions; the last may have fewer.
  std::vector<std::uint64_t> time_gfns(const std::uint64_t* gfn, std::size_t n, std::size_t batch,
                                       std::size_t displaced) {
    const Displacer displacer(displaced);
    const ReplayMode hot;
    GfnIndex& index = strategy_.gfn(0);
    const std::vector<std::uint16_t> nobody(n, 0);
    std::vector<std::int32_t> numbers(n);
    index.answer(gfn, nobody.data(), n, numbers.data());
    std::vector<const Slot*> slots;
    for (const std::int32_t number : numbers) slots.push_back(number < 0 ? nullptr : &strategy_.slot(number));
    return in_batches(n, batch, [&](std::size_t from, std::size_t to) {
      for (std::size_t i = from; i < to; ++i) {
        consume(displacer.walk(0));
        consume(index.replay(gfn + i, nobody.data() + i, 1, hot));
        if (slots[i]) read(slots[i]->userspace_addr);
        forget_memory();
      }
    });
  }

  std::vector<std::uint64_t> time_hvas(const std::uint64_t* start, const std::uint64_t* end, std::size_t n,
                                       std::size_t batch, std::size_t displaced) {
    const Displacer displacer(displaced);
    const ReplayMode hot;
    HvaIndex& index = strategy_.hva(0);
    std::vector<std::int32_t> numbers;
    std::vector<std::uint64_t> counts(n, 0);
    index.answer(start, end, n, numbers, counts.data());
    std::vector<const Slot*> slots;
    for (const std::int32_t number : numbers) slots.push_back(&strategy_.slot(number));
    const Slot* const* met = slots.data();
    return in_batches(n, batch, [&](std::size_t from, std::size_t to) {
      for (std::size_t i = from; i < to; ++i) {
        consume(displacer.walk(0));
        step();
        consume(index.replay(start + i, end + i, 1, hot));
        for (std::uint64_t k = 0; k < counts[i]; ++k, ++met) handle(**met, start[i]);
        step();
        consume(displacer.walk(0));
        step();
        consume(index.replay(start + i, end + i, 1, hot));
        step();
      }
    });
  }

 private:
  static std::vector<Slot*> slots_of(Strategy& strategy, const std::int32_t* numbers, std::size_t n) {
    std::vector<Slot*> slots;
    for (std::size_t i = 0; i < n; ++i) slots.push_back(&strategy.slot(numbers[i]));
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

void require_ranges(const Words& start, const Words& end) {
  if (start.shape(0) != end.shape(0)) throw std::invalid_argument("as many starts as ends are needed");
}

void bind(nb::module_& m) {
  nb::class_<KernelCalls>(m, "KernelCalls", "A strategy called as the kernel calls its own structures.")
      .def(
          "__init__",
          [](KernelCalls* self, Strategy& strategy, const Numbers& numbers) {
            new (self) KernelCalls(strategy, numbers.data(), numbers.shape(0));
          },
          "strategy"_a, "numbers"_a, nb::keep_alive<1, 2>(),
          "numbers are those of all its slots (int32[n]), in address space 0, in order of creation.")
      .def(
          "replay_gfns",
          [](KernelCalls& calls, const Words& gfn, std::size_t batch) {
            require_batch(batch);
            nb::gil_scoped_release free;
            return calls.replay_gfns(gfn.data(), gfn.shape(0), batch);
          },
          "gfn"_a, "batch"_a,
          "Look up each gfn (uint64[n]): (nanoseconds of each batch, sum of number + 1 over the slots found).")
      .def(
          "replay_hvas",
          [](KernelCalls& calls, const Words& start, const Words& end, std::size_t batch) {
            require_ranges(start, end);
            require_batch(batch);
            nb::gil_scoped_release free;
            return calls.replay_hvas(start.data(), end.data(), start.shape(0), batch);
          },
          "start"_a, "end"_a, "batch"_a,
          "Visit each range (uint64[n], bytes): (nanoseconds of each batch, sum of number + 1 over the slots visited).")
      .def(
          "time_gfns",
          [](KernelCalls& calls, const Words& gfn, std::size_t batch, std::size_t displaced) {
            require_batch(batch);
            nb::gil_scoped_release free;
            return calls.time_gfns(gfn.data(), gfn.shape(0), batch, displaced);
          },
          "gfn"_a, "batch"_a, "displaced"_a,
          "Look up each gfn (uint64[n]) and read its slot, after a walk of `displaced` bytes; nanoseconds of each "
          "batch.")
      .def(
          "time_hvas",
          [](KernelCalls& calls, const Words& start, const Words& end, std::size_t batch, std::size_t displaced) {
            require_ranges(start, end);
            require_batch(batch);
            nb::gil_scoped_release free;
            return calls.time_hvas(start.data(), end.data(), start.shape(0), batch, displaced);
          },
          "start"_a, "end"_a, "batch"_a, "displaced"_a,
          "Invalidate each range (uint64[n], bytes): two searches, each after a walk of `displaced` bytes, and the "
          "reading of each slot met in between; nanoseconds of each batch.");
}

const Binding declared(bind);

}  // namespace
}  // namespace slotlookup
