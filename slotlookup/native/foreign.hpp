// Third-party structures, loaded from shared libraries that implement slotlookup.h.
//
// A library becomes a structure like any other, so that caches, update disciplines and replay loops are the same for
// all. Its answers are numbers; a table maps them to slots, and detects numbers that do not exist. Libraries are only
// loaded in a separate process, which a fault may end; another process reads the place of the fault from a shared page.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace slotlookup {

// The library violated its interface. The process may continue.
struct ForeignFault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// It has written outside its memory: this process can no longer be trusted.
struct ForeignDamage : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct ForeignLibrary {
  std::string title;
  bool gfn = false;
  bool hva = false;
  bool tells_bytes = false;
};

// The maximum number at a time: one per role.
inline constexpr unsigned kForeignLibraries = 2;
// The built-in library that finds nothing; its cost is the cost of the calls.
inline constexpr const char* kEmptyForeign = "abi-empty";

// Loads a library and registers it as a structure under `name`. Throws ForeignFault.
ForeignLibrary load_foreign(const std::string& name, const std::string& path);

// From now on, writes the current call to the page of `fd`, and makes this process end with its parent.
void watch_foreign(int fd);

// The content of the page, written before every call. `where` is an index into kForeignFunctions, plus 256 times the
// library's, which counts from 0 in the order of loading. Words that a function does not need keep their values.
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

// Whether answers are checked fully (each one is new, the whole guard zone is unchanged) instead of timed.
void set_foreign_care(bool careful);

}  // namespace slotlookup
