// The reverse maps of a slot, as far as memory goes: for pages of 4 KiB, 2 MiB and 1 GiB an array of heads, 8 bytes for
// each page of that size that the slot meets, placed as kmalloc places them. All heads are empty, as of absent pages.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "slotlookup/native/arena.hpp"
#include "slotlookup/native/probe.hpp"
#include "slotlookup/native/slot.hpp"

namespace slotlookup {

class ReverseMaps {
 public:
  static constexpr unsigned kLevels = 3;
  static constexpr unsigned kLevelShift = 9;  // each level's page is 512 of the one below

  // Allocates the arrays and enters them in slot.arch, where the kernel has them too.
  void give(Slot& slot) {
    for (unsigned level = 0; level < kLevels; ++level) {
      const std::uint64_t last = slot.base_gfn + slot.npages - 1;
      const std::size_t heads = index(last, level) - index(slot.base_gfn, level) + 1;
      slot.arch[level] = reinterpret_cast<std::uint64_t>(heads == 1 ? single() : arena_.allocate_object(8 * heads));
    }
    // lpage_info comes from the same slabs and lies between the heads: 4 bytes a page of the two upper levels.
    single();
    single();
  }

  // The head that belongs to a gfn of the slot.
  static const std::uint64_t* head(const Slot& slot, std::uint64_t gfn, unsigned level) {
    return reinterpret_cast<const std::uint64_t*>(slot.arch[level]) + (index(gfn, level) - index(slot.base_gfn, level));
  }

 private:
  static std::uint64_t index(std::uint64_t gfn, unsigned level) { return gfn >> (level * kLevelShift); }

  // kmalloc's smallest object: 8 bytes from a slab of one page, in random order.
  void* single() {
    constexpr std::size_t kObjects = 512;
    if (free_.empty()) {
      auto* slab = static_cast<std::uint64_t*>(arena_.allocate_array(kObjects * sizeof(std::uint64_t)));
      for (std::size_t i = 0; i < kObjects; ++i) free_.push_back(slab + i);
      std::shuffle(free_.begin(), free_.end(), random_);
    }
    void* taken = free_.back();
    free_.pop_back();
    return taken;
  }

  Arena arena_{Placement::slab, 1};
  std::mt19937_64 random_{1};
  std::vector<std::uint64_t*> free_;
};

}  // namespace slotlookup
