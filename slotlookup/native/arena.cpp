#include "slotlookup/native/arena.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "slotlookup/native/probe.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace slotlookup {
namespace {

// kReserve is address space, not memory: the largest table (32,764 slots) takes about 5 % of it, and arrays that double
// leave the rest for their predecessors. Under AddressSanitizer all of it is poisoned at the start, which takes time;
// kRedZone lies after each piece, so that an access past its end does not reach the next piece.
#if defined(__SANITIZE_ADDRESS__)
constexpr std::size_t kReserve = std::size_t{64} << 20;
constexpr std::size_t kRedZone = kLineBytes;
void poison(const void* p, std::size_t bytes) { __asan_poison_memory_region(p, bytes); }
void unpoison(const void* p, std::size_t bytes) { __asan_unpoison_memory_region(p, bytes); }
#else
constexpr std::size_t kReserve = std::size_t{512} << 20;
constexpr std::size_t kRedZone = 0;
void poison(const void*, std::size_t) {}
void unpoison(const void*, std::size_t) {}
#endif
std::string reserve_text() { return std::to_string(kReserve >> 20) + " MiB"; }

constexpr std::size_t kBlockObjects = 512;

// A slab of 512-byte objects with few CPUs; with many it has more pages, which does not affect lookups.
constexpr std::size_t kSlabBytes = 8 << 10;

constexpr std::size_t kHugePage = 2 << 20;

std::size_t round_up(std::size_t bytes, std::size_t unit) { return (bytes + unit - 1) / unit * unit; }

std::size_t round_to_line(std::size_t bytes) { return round_up(bytes, kLineBytes); }

// kmalloc's size classes from a line on: powers of two, and 192.
std::size_t size_class(std::size_t bytes) {
  if (bytes > 128 && bytes <= 192) return 192;
  return std::max(std::bit_ceil(bytes), kLineBytes);
}

// splitmix64: the same sequence from the same seed with every compiler and library.
std::uint64_t next_random(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

}  // namespace

std::size_t Arena::reserved_bytes() { return kReserve; }

Arena::Arena(Placement placement, std::uint64_t seed) : placement_(placement), random_state_(seed) {
  void* p =
      mmap(nullptr, kReserve + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw ArenaFull("cannot reserve " + reserve_text() + " of address space for a strategy's slots");
  reserved_ = p;
  base_ = reinterpret_cast<char*>(round_up(reinterpret_cast<std::uintptr_t>(p), kHugePage));
  if (placement_ == Placement::slab) madvise(base_, kReserve, MADV_HUGEPAGE);  // without them it is slower, not wrong
  poison(base_, kReserve);
}

Arena::~Arena() {
  unpoison(base_, kReserve);
  munmap(reserved_, kReserve + kHugePage);
}

char* Arena::take(std::size_t bytes) {
  if (bytes > kReserve - used_) throw ArenaFull("a strategy's slots and arrays exceed " + reserve_text());
  char* p = base_ + used_;
  used_ += bytes;
  return p;
}

void Arena::refill(std::size_t bytes) {
  auto& free = free_objects_[bytes];
  std::size_t count = placement_ == Placement::packed ? 1 : kBlockObjects;
  if (placement_ == Placement::slab) {
    count = std::max<std::size_t>(kSlabBytes / bytes, 1);
    used_ = round_up(used_, kSlabBytes);
  }
  const std::size_t stride = bytes + kRedZone;
  char* block = take(stride * count);
  for (std::size_t i = count; i-- > 0;) free.push_back(block + i * stride);
  for (std::size_t i = count; i-- > 1;) std::swap(free[i], free[next_random(random_state_) % (i + 1)]);
}

std::size_t Arena::object_bytes(std::size_t wanted) const {
  return placement_ == Placement::slab ? size_class(wanted) : round_to_line(wanted);
}

void* Arena::allocate_object(std::size_t wanted) {
  const std::size_t bytes = object_bytes(wanted);
  if (free_objects_[bytes].empty()) refill(bytes);
  auto& free = free_objects_[bytes];
  void* p = free.back();
  free.pop_back();
  in_use_ += bytes;
  unpoison(p, wanted);
  return p;
}

void Arena::free_object(void* p, std::size_t bytes) {
  bytes = object_bytes(bytes);
  in_use_ -= bytes;
  poison(p, bytes);
  free_objects_[bytes].push_back(p);
}

void* Arena::allocate_array(std::size_t wanted) {
  const std::size_t bytes = round_to_line(wanted);
  auto& free = free_arrays_[bytes];
  void* p;
  if (free.empty()) {
    p = take(bytes + kRedZone);
  } else {
    p = free.back();
    free.pop_back();
  }
  in_use_ += bytes;
  unpoison(p, wanted);
  return p;
}

void Arena::free_array(void* p, std::size_t bytes) {
  bytes = round_to_line(bytes);
  in_use_ -= bytes;
  poison(p, bytes);
  free_arrays_[bytes].push_back(p);
}

}  // namespace slotlookup
