#include "slotlookup/native/registry.hpp"

namespace slotlookup {
namespace {

std::deque<StructureEntry>& registry() {
  static std::deque<StructureEntry> entries;
  return entries;
}

}  // namespace

const std::deque<StructureEntry>& registered_structures() { return registry(); }

void register_structure(const StructureEntry& entry) { registry().push_back(entry); }

const StructureEntry* find_structure(const std::string& name, bool counted) {
  for (const StructureEntry& entry : registry()) {
    if (name == entry.name && counted == entry.counted) return &entry;
  }
  return nullptr;
}

}  // namespace slotlookup
