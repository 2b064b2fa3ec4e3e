// The memory that a strategy's structures access, and what their hooks report of it.
//
// Structures are compiled with -fsanitize=thread, so that they call the functions of memory_trace.cpp at each load and
// store; the sanitizer's own library is not linked. Calls of memcpy, memmove and memset and the arena's allocations pass
// through memory_trace.cpp by the linker's --wrap.
//
// Of two loads in a row the second is left out if the first has its bytes: the compiler loads each bit field of a word.
// It does not instrument the load of a struct that is passed by value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace memory_trace {

struct Range {
  std::uintptr_t address;
  std::size_t bytes;
};

struct Access {
  Range range;
  bool write;
  std::uint64_t value;  // what a load of at most eight bytes read
};

// Keeps what instrumented code accesses within a range, and what hooks report, until the next call.
void start(const void* base, std::size_t bytes);
std::vector<Access> accesses();
std::vector<Range> reports();

// The piece of arena memory that holds an address, as allocated last; no bytes if there is none.
Range piece_of(std::uintptr_t address);
// Before a new strategy: another has been where its arena is.
void forget_pieces();

}  // namespace memory_trace
