// Structures of other people, loaded from shared libraries that speak slotlookup.h.
//
// A library becomes a structure like any other, so that caches, update disciplines and replay loops are the same for
// all. What it answers are numbers; a table leads from them to slots, and finds those that do not exist. Only ever
// loaded in a process of its own, which a fault may end: where it was is told by a page that another process reads.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace slotlookup {

// The library did what its interface forbids. The process may go on.
struct ForeignFault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// It has written where it must not: nothing in this process is to be trusted any longer.
struct ForeignDamage : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct ForeignLibrary {
  std::string title;
  bool gfn = false;
  bool hva = false;
  bool tells_bytes = false;
};

// At most so many at a time: one for each role.
inline constexpr unsigned kForeignLibraries = 2;
// The built-in library that finds nothing; what it costs is what the calls cost.
inline constexpr const char* kEmptyForeign = "abi-empty";

// Loads a library and registers it as a structure under `name`. Throws ForeignFault.
ForeignLibrary load_foreign(const std::string& name, const std::string& path);

// Writes where the libraries are to the page behind `fd` from here on, and has this process end with its parent.
void watch_foreign(int fd);

// What the page holds, written anew before every call. `where` is an index into kForeignFunctions, plus 256 times the
// library's, which counts from 0 in the order of loading. Words that a function does not need keep what they held.
struct ForeignWatch {
  std::uint64_t where;
  std::uint64_t first;
  std::uint64_t second;
};
enum class ForeignFunction : std::uint64_t {
  none,
  loading,
  table,
  create,
  destroy,
  insert,
  remove,
  find,
  visit,
  check,
  bytes
};
inline constexpr const char* kForeignFunctions[] = {
    "", "loading", "slotlookup_structure", "create", "destroy", "insert", "remove", "find", "visit", "check", "bytes"};

// Where answers are looked at with care (each one is new, the whole guard zone untouched) rather than timed.
void set_foreign_care(bool careful);

}  // namespace slotlookup
