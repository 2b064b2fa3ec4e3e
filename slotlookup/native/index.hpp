// The interface of a structure for a strategy; index_of.hpp implements it for each structure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "slotlookup/native/arena.hpp"
#include "slotlookup/native/mode.hpp"
#include "slotlookup/native/slot.hpp"

namespace slotlookup {

// A structure in one role, for one address space and one slot set. There is one virtual call per batch.
class Index {
 public:
  virtual ~Index() = default;
  virtual void insert(Slot&) = 0;
  virtual void erase(Slot&) = 0;
  virtual void replace(Slot& old_slot, Slot& by) = 0;
  // Readers follow: do the deferred work.
  virtual void settle() = 0;
  // Become a copy of another index of the same type; false if the structure does not support it.
  virtual bool copy_from(const Index& other) = 0;
  virtual void check() const = 0;
  virtual std::size_t size() const = 0;
  virtual std::size_t outside_bytes() const { return 0; }  // allocated outside the arena
};

inline constexpr std::int32_t kHole = -1;

class GfnIndex : public Index {
 public:
  // The questions of the next replay, before the clock starts. Only the floor uses them (structures/perfect.cpp).
  virtual void foresee(std::span<const std::uint64_t> /*gfn*/) {}
  // Looks every gfn up and returns the sum of (number + 1) over the slots found. `vcpu` says who asks; as many as gfns.
  virtual std::uint64_t replay(std::span<const std::uint64_t> gfn, std::span<const std::uint16_t> vcpu,
                               const ReplayMode&) = 0;
  // Writes the slot number, or kHole, of each gfn, by a replay of each. So the answers that are checked come from the
  // machine code that is timed, and no other code looks slots up.
  void answer(std::span<const std::uint64_t> gfn, std::span<const std::uint16_t> vcpu, std::span<std::int32_t> out) {
    const ReplayMode hot;
    for (std::size_t i = 0; i < gfn.size(); ++i) {
      const std::uint64_t found = replay(gfn.subspan(i, 1), vcpu.subspan(i, 1), hot);
      out[i] = found ? static_cast<std::int32_t>(found - 1) : kHole;
    }
  }
};

class HvaIndex : public Index {
 public:
  // As in GfnIndex.
  virtual void foresee(std::span<const std::uint64_t> /*start*/, std::span<const std::uint64_t> /*end*/) {}
  // Appends the numbers of the slots that overlap [start[i], end[i]), in the structure's own order, and adds how many
  // they are to count[i]. As many ends and counts as starts.
  virtual void answer(std::span<const std::uint64_t> start, std::span<const std::uint64_t> end,
                      std::vector<std::int32_t>& numbers, std::span<std::uint64_t> count) = 0;
  virtual std::uint64_t replay(std::span<const std::uint64_t> start, std::span<const std::uint64_t> end,
                               const ReplayMode&) = 0;
};

// Destroys an index and frees its bytes in its arena.
struct ArenaDeleter {
  Arena* arena = nullptr;
  std::size_t bytes = 0;
  void operator()(Index* index) const {
    void* memory = dynamic_cast<void*>(index);
    index->~Index();
    arena->free_array(memory, bytes);
  }
};
using GfnIndexPointer = std::unique_ptr<GfnIndex, ArenaDeleter>;
using HvaIndexPointer = std::unique_ptr<HvaIndex, ArenaDeleter>;

}  // namespace slotlookup
