// The placement of slots, nodes and arrays. Addresses depend only on the declared placement and the order of the calls,
// so that line counts are the same on every machine and timings do not depend on what malloc did earlier in the
// process.
//
//   packed     slots follow one another in the order of creation, each on a line boundary, as from a new slab
//   scattered  slots come from 512-slot blocks in an order drawn from the seed, as from an aged slab
//   slab       slots lie as Linux's kmalloc places them: rounded up to its size classes, taken from slabs of 8 KiB in an
//              order drawn from the seed for each slab, and in huge pages, as the kernel maps its own memory
// A freed piece is the next one allocated for its size (last in, first out, like SLUB's free list).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "slotlookup/native/names.hpp"

namespace slotlookup {

struct ArenaFull : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class Placement { packed, scattered, slab };
inline constexpr Named<Placement> kPlacements[] = {
    {"packed", Placement::packed}, {"scattered", Placement::scattered}, {"slab", Placement::slab}};

class Arena {
 public:
  Arena(Placement placement, std::uint64_t seed);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  const void* base() const { return base_; }
  // What it may grow to.
  static std::size_t reserved_bytes();

  // A slot-sized object: aligned to a line, placed as declared.
  void* allocate_object(std::size_t bytes);
  void free_object(void* p, std::size_t bytes);

  // The bytes that such an object takes.
  std::size_t object_bytes(std::size_t wanted) const;

  // An array or a control block: aligned to a line, in address order of allocation.
  void* allocate_array(std::size_t bytes);
  void free_array(void* p, std::size_t bytes);

  // Bytes allocated and not freed, rounded as placed.
  std::size_t bytes_in_use() const { return in_use_; }

 private:
  char* take(std::size_t bytes);
  void refill(std::size_t bytes);

  Placement placement_;
  std::uint64_t random_state_;
  void* reserved_;
  char* base_;
  std::size_t used_ = 0;
  std::size_t in_use_ = 0;
  std::map<std::size_t, std::vector<void*>> free_objects_;
  std::map<std::size_t, std::vector<void*>> free_arrays_;
};

}  // namespace slotlookup
