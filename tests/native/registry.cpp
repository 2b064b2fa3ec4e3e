// The registry of structures: what find_structure returned stays valid when further structures are registered.
#include "slotlookup/native/registry.hpp"

#include <cstdio>
#include <cstring>

int main() {
  using namespace slotlookup;
  register_structure({"first", false, 8, 16, nullptr, nullptr});
  const StructureEntry* first = find_structure("first", false);
  for (int i = 0; i < 10000; ++i) register_structure({"further", false, 0, 0, nullptr, nullptr});
  const bool same = find_structure("first", false) == first && !std::strcmp(first->name, "first") &&
                    first->gfn_node_bytes == 8 && first->hva_node_bytes == 16;
  if (!same) std::fprintf(stderr, "an entry moved when the registry grew\n");
  return same ? 0 : 1;
}
