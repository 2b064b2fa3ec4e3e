// The memory of the reverse maps of a slot: for pages of 4 KiB, 2 MiB and 1 GiB an array of heads, 8 bytes for
// each page of that size that overlaps the slot. All heads are empty, as for absent pages.
//
// The kernel allocates each array with vmalloc, even a small one: it starts on a page of its own, after a guard page,
// and is not mapped by huge pages. So the first heads of all slots share a few sets of the caches, and each needs an
// entry of the TLB.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "bench/native/kvm_vm.hpp"
#include "slotlookup/native/slot.hpp"

namespace slotlookup {

class ReverseMaps {
 public:
  static constexpr unsigned kLevels = 3;
  // lpage_info of the two upper levels and gfn_write_track come between, which lookups do not read: they distribute the
  // arrays over more page tables.
  static constexpr unsigned kOthers = 3;
  static constexpr unsigned kLevelShift = 9;  // each level's page is 512 of the one below

  // Allocates the arrays of all slots and stores them in slot.arch, as the kernel does.
  explicit ReverseMaps(const std::vector<Slot*>& slots) {
    std::size_t pages = 1;  // a mapping of no bytes is refused
    for (const Slot* slot : slots) {
      for (unsigned level = 0; level < kLevels; ++level) pages += array_pages(*slot, level) + 1;
      pages += 2 * kOthers;
    }
    memory_.emplace(Mapping::anonymous(pages << kPageShift));
    // If this is refused, there are no huge pages to exclude.
    (void)madvise(memory_->start(), memory_->bytes(), MADV_NOHUGEPAGE);
    char* next = memory_->start();
    for (Slot* slot : slots) {
      for (unsigned level = 0; level < kLevels; ++level) {
        slot->arch[level] = reinterpret_cast<std::uint64_t>(next);
        const std::size_t taken = array_pages(*slot, level);
        // Written, because otherwise all of them would be the zero page.
        for (std::size_t page = 0; page < taken; ++page) next[page << kPageShift] = 0;
        next += (taken + 1) << kPageShift;
      }
      next += std::size_t{2 * kOthers} << kPageShift;
    }
  }

  // The head that belongs to a gfn of the slot.
  static const std::uint64_t* head(const Slot& slot, std::uint64_t gfn, unsigned level) {
    return reinterpret_cast<const std::uint64_t*>(slot.arch[level]) + (index(gfn, level) - index(slot.base_gfn, level));
  }

 private:
  static std::uint64_t index(std::uint64_t gfn, unsigned level) { return gfn >> (level * kLevelShift); }
  static std::size_t array_pages(const Slot& slot, unsigned level) {
    const std::uint64_t last = slot.base_gfn + slot.npages - 1;
    const std::size_t bytes = (index(last, level) - index(slot.base_gfn, level) + 1) * sizeof(std::uint64_t);
    return (bytes + (1u << kPageShift) - 1) >> kPageShift;
  }

  std::optional<Mapping> memory_;
};

}  // namespace slotlookup
