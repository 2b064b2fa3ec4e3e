// Every structure that is linked in or loaded, by name.
#pragma once

#include <cstddef>
#include <deque>
#include <string>

#include "slotlookup/native/index.hpp"
#include "slotlookup/native/structure.hpp"

namespace slotlookup {

// The cache before gfn lookups: an index into CachePolicies of cache.hpp, whose first is no cache.
enum class CacheKind : std::size_t {};

// The makers of a structure, timed and counted: each source is compiled once for each, so that neither affects the
// other's code. A null maker means that the structure does not serve that role.
struct StructureEntry {
  const char* name;
  bool counted;
  std::size_t gfn_node_bytes;
  std::size_t hva_node_bytes;
  GfnIndexPointer (*make_gfn)(const Home&, CacheKind);
  HvaIndexPointer (*make_hva)(const Home&);
};

// Entries do not move when others are added: strategies keep pointers to theirs while libraries are loaded.
const std::deque<StructureEntry>& registered_structures();
void register_structure(const StructureEntry&);
// Null if there is none of that name.
const StructureEntry* find_structure(const std::string& name, bool counted);

struct StructureRegistration {
  explicit StructureRegistration(const StructureEntry& entry) { register_structure(entry); }
};

}  // namespace slotlookup
