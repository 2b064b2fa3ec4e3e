// A memslot in memory, sized and ordered like the kernel's struct kvm_memory_slot (Linux 5.17 and later, x86-64).
//
// One allocation per slot, in this order:
//   IdNode[2] | hva nodes, one per slot set | gfn nodes, one per slot set | Slot
// The nodes belong to the structures in use and precede the slot, as the kernel's id_node, hva_node and gfn_node do, so
// that a gfn node shares its line with base_gfn and npages. A Slot* points at the last part; nodes are at negative
// offsets.
#pragma once

#include <cstddef>
#include <cstdint>

namespace slotlookup {

inline constexpr unsigned kPageShift = 12;
inline constexpr std::uint32_t kInvalidFlag = 1u << 16;  // the kernel's KVM_MEMSLOT_INVALID
inline constexpr std::size_t kIdNodes = 2 * 16;          // two struct hlist_node

struct Slot {
  std::uint64_t base_gfn;
  std::uint64_t npages;
  std::uint64_t dirty_bitmap;
  std::uint64_t arch[6];  // rmap[3], lpage_info[2], gfn_write_track: present to keep the kernel's distances
  std::uint64_t userspace_addr;
  std::uint32_t flags;
  std::uint32_t number;  // as_id << 16 | id, the form KVM_SET_USER_MEMORY_REGION takes
};
static_assert(sizeof(Slot) == 88, "the kernel's fields after gfn_node take 88 bytes");

// A structure that keeps its keys outside the slots embeds nothing.
struct NoNode {};

template <class Node>
inline constexpr std::size_t kNodeBytes = sizeof(Node);
template <>
inline constexpr std::size_t kNodeBytes<NoNode> = 0;

// The key of a slot that a structure indexes. `last` is inclusive.
struct GfnRole {
  static constexpr const char* name = "gfn";
  static std::uint64_t start(const Slot& slot) { return slot.base_gfn; }
  static std::uint64_t last(const Slot& slot) { return slot.base_gfn + slot.npages - 1; }
  static const void* start_field(const Slot& slot) { return &slot.base_gfn; }
};

struct HvaRole {
  static constexpr const char* name = "hva";
  static std::uint64_t start(const Slot& slot) { return slot.userspace_addr; }
  static std::uint64_t last(const Slot& slot) { return slot.userspace_addr + (slot.npages << kPageShift) - 1; }
  static const void* start_field(const Slot& slot) { return &slot.userspace_addr; }
};

// Finds a structure's node in a slot and the slot of a node.
template <class Node>
class Embedded {
 public:
  explicit Embedded(std::ptrdiff_t before_slot) : before_(before_slot) {}
  Node* node(Slot& slot) const { return reinterpret_cast<Node*>(reinterpret_cast<char*>(&slot) - before_); }
  Slot& slot(Node* node) const { return *reinterpret_cast<Slot*>(reinterpret_cast<char*>(node) + before_); }
  const Slot& slot(const Node* node) const {
    return *reinterpret_cast<const Slot*>(reinterpret_cast<const char*>(node) + before_);
  }

 private:
  std::ptrdiff_t before_;
};

}  // namespace slotlookup
