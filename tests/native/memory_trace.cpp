#include "tests/native/memory_trace.hpp"

#include <map>
#include <utility>

#include "slotlookup/native/arena.hpp"
#include "slotlookup/native/probe.hpp"

extern "C" void* __real_memcpy(void*, const void*, std::size_t);

namespace memory_trace {
namespace {

Range traced{0, 0};
int depth = 0;  // of instrumented functions that are running
std::vector<Access> accessed;
std::vector<Range> reported;
std::map<std::uintptr_t, std::size_t> pieces;  // where each begins, and its bytes

void note(const void* p, std::size_t bytes, bool write) {
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  if (address - traced.address >= traced.bytes || bytes == 0) return;
  if (bytes == 2 * sizeof(std::uint64_t)) {  // two pointers at once
    note(p, sizeof(std::uint64_t), write);
    return note(static_cast<const char*>(p) + sizeof(std::uint64_t), sizeof(std::uint64_t), write);
  }
  std::uint64_t value = 0;
  if (!write && bytes <= sizeof value) __real_memcpy(&value, p, bytes);
  if (!write && !accessed.empty()) {
    const Access& before = accessed.back();
    if (!before.write && address - before.range.address <= before.range.bytes - bytes && bytes <= before.range.bytes)
      return;
  }
  accessed.push_back({{address, bytes}, write, value});
}

// The C library's functions are not instrumented. Calls by code that is not either are of no interest.
void note_call(const void* p, std::size_t bytes, bool write) {
  if (depth) note(p, bytes, write);
}

void* keep(void* p, std::size_t bytes) {
  pieces[reinterpret_cast<std::uintptr_t>(p)] = bytes;
  return p;
}

}  // namespace

void start(const void* base, std::size_t bytes) {
  traced = {reinterpret_cast<std::uintptr_t>(base), bytes};
  accessed.clear();
  reported.clear();
}

std::vector<Access> accesses() {
  traced.bytes = 0;
  return std::exchange(accessed, {});
}

std::vector<Range> reports() { return std::exchange(reported, {}); }

Range piece_of(std::uintptr_t address) {
  auto after = pieces.upper_bound(address);
  if (after == pieces.begin()) return {0, 0};
  const auto [start, bytes] = *--after;
  if (address - start >= bytes) return {0, 0};
  return {start, bytes};
}

void forget_pieces() { pieces.clear(); }

}  // namespace memory_trace

void slotlookup::reported(const void* p, std::size_t bytes) {
  memory_trace::reported.push_back({reinterpret_cast<std::uintptr_t>(p), bytes});
}

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) { ++memory_trace::depth; }
void __tsan_func_exit() { --memory_trace::depth; }
void __tsan_vptr_update(void** p, void*) { memory_trace::note(p, sizeof *p, true); }
void __tsan_vptr_read(void** p) { memory_trace::note(p, sizeof *p, false); }
void __tsan_read_range(void* p, std::size_t bytes) { memory_trace::note(p, bytes, false); }
void __tsan_write_range(void* p, std::size_t bytes) { memory_trace::note(p, bytes, true); }
#define MEMORY_TRACE_BYTES(n)                                                 \
  void __tsan_read##n(void* p) { memory_trace::note(p, n, false); }           \
  void __tsan_write##n(void* p) { memory_trace::note(p, n, true); }           \
  void __tsan_unaligned_read##n(void* p) { memory_trace::note(p, n, false); } \
  void __tsan_unaligned_write##n(void* p) { memory_trace::note(p, n, true); }
MEMORY_TRACE_BYTES(1)
MEMORY_TRACE_BYTES(2)
MEMORY_TRACE_BYTES(4)
MEMORY_TRACE_BYTES(8)
MEMORY_TRACE_BYTES(16)

void* __real_memmove(void*, const void*, std::size_t);
void* __real_memset(void*, int, std::size_t);
void* __wrap_memcpy(void* to, const void* from, std::size_t bytes) {
  memory_trace::note_call(from, bytes, false);
  memory_trace::note_call(to, bytes, true);
  return __real_memcpy(to, from, bytes);
}
void* __wrap_memmove(void* to, const void* from, std::size_t bytes) {
  memory_trace::note_call(from, bytes, false);
  memory_trace::note_call(to, bytes, true);
  return __real_memmove(to, from, bytes);
}
void* __wrap_memset(void* to, int value, std::size_t bytes) {
  memory_trace::note_call(to, bytes, true);
  return __real_memset(to, value, bytes);
}

// slotlookup::Arena::allocate_object(unsigned long) and allocate_array(unsigned long)
void* __real__ZN10slotlookup5Arena15allocate_objectEm(slotlookup::Arena*, std::size_t);
void* __wrap__ZN10slotlookup5Arena15allocate_objectEm(slotlookup::Arena* arena, std::size_t bytes) {
  return memory_trace::keep(__real__ZN10slotlookup5Arena15allocate_objectEm(arena, bytes), bytes);
}
void* __real__ZN10slotlookup5Arena14allocate_arrayEm(slotlookup::Arena*, std::size_t);
void* __wrap__ZN10slotlookup5Arena14allocate_arrayEm(slotlookup::Arena* arena, std::size_t bytes) {
  return memory_trace::keep(__real__ZN10slotlookup5Arena14allocate_arrayEm(arena, bytes), bytes);
}

}  // extern "C"
