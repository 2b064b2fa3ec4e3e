// A native strategy: one structure finds slots by gfn, one visits them by hva, for each address space and slot set.
//
// Slots are created, deleted, moved and re-flagged by changes that the memslot rules have already accepted. A change is
// staged and then published; the update disciplines differ in the slots that readers see in between:
//   in_place   the one set is edited when the change is staged
//   two_sets   the inactive set is edited, then swapped in, then the other set is updated; slot objects are shared and
//              have a node for each set. DELETE and MOVE first swap in a copy of the slot that is marked invalid, as
//              Linux 5.17 does.
//   copy       a copy of the set is edited, then swapped in. DELETE and MOVE first mark the slot invalid, as Linux does
//              from 2.6.34 on.
//   rebuild    a new set is built from all slots, then swapped in
// Each address space has a generation, as in KVM: it starts at the number of the space and advances by the number of
// spaces whenever readers come to see other slots. Whoever remembers an answer can tell from it that the answer is old.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "slotlookup/native/names.hpp"
#include "slotlookup/native/registry.hpp"

namespace slotlookup {

inline constexpr unsigned kAddressSpaces = 2;

enum class Discipline { in_place, two_sets, copy, rebuild };
inline constexpr Named<Discipline> kDisciplines[] = {{"in-place", Discipline::in_place},
                                                     {"two-sets", Discipline::two_sets},
                                                     {"copy", Discipline::copy},
                                                     {"rebuild", Discipline::rebuild}};
enum class ChangeKind : std::uint64_t { create = 0, erase = 1, move = 2, flags = 3 };

// A row of the change table from Python: six unsigned 64-bit columns.
struct Change {
  ChangeKind kind;
  std::uint64_t number;
  std::uint64_t base_gfn;
  std::uint64_t npages;
  std::uint64_t userspace_addr;
  std::uint64_t flags;
};
static_assert(sizeof(Change) == 6 * sizeof(std::uint64_t));

struct BadChange : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

struct StrategySpec {
  std::string gfn;
  std::string hva;
  CacheKind cache{};
  Discipline discipline = Discipline::in_place;
  bool counted = false;
  Placement placement = Placement::packed;
  std::uint64_t seed = 0;
  std::size_t stride = 0;  // bytes from one slot to the next; 0 for those that its nodes need
};

class Strategy {
 public:
  explicit Strategy(StrategySpec spec);
  ~Strategy() { report_here(); }
  Strategy(const Strategy&) = delete;
  Strategy& operator=(const Strategy&) = delete;

  void stage(const Change&);
  void publish();
  void apply(const Change& change) {
    stage(change);
    publish();
  }

  // Applies changes in bulk, for the set-up: every set is edited directly, and settled once at the end.
  void load(std::span<const Change> changes);

  // The index to ask next.
  GfnIndex& gfn(unsigned as_id) {
    report_here();
    return *space(as_id).gfn[space(as_id).active];
  }
  HvaIndex& hva(unsigned as_id) {
    report_here();
    return *space(as_id).hva[space(as_id).active];
  }

  // The slot in which readers find a gfn at present, with its flags; null for a hole. Counts nothing.
  // Throws BrokenInvariant if it is none that the strategy holds.
  const Slot* seen(unsigned as_id, std::uint64_t gfn);

  // The slot of a number that an index answered. Throws std::invalid_argument if there is none of that number.
  Slot& slot(std::int32_t number);

  // Bytes from one slot to the next, if they are allocated one after another.
  std::size_t stride() const { return arena_.object_bytes(slot_bytes()); }

  void check() const;
  std::size_t slots() const { return slots_; }
  std::uint64_t generation(unsigned as_id) { return space(as_id).generation; }
  std::size_t bytes() const { return arena_.bytes_in_use() + table_bytes() + outside_bytes(); }
  const Arena& arena() const { return arena_; }
  const Counters& counters() const { return meter_.counters; }
  void set_counters(const Counters& counters) { meter_.counters = counters; }

 private:
  struct Space {
    // One per set in use. An inactive set has none if making it failed.
    GfnIndexPointer gfn[2];
    HvaIndexPointer hva[2];
    unsigned active = 0;
    std::uint64_t generation = 0;
    std::vector<Slot*> by_id;  // id -> slot
  };

  void report_here() {
    if (spec_.counted) Meter::in_use = &meter_;
  }
  unsigned sets() const { return spec_.discipline == Discipline::in_place ? 1 : 2; }
  bool copies() const { return spec_.discipline == Discipline::copy || spec_.discipline == Discipline::rebuild; }
  Space& space(unsigned as_id);
  Slot* slot_of(const Change&);
  Slot* existing(const Change&);
  std::size_t bytes_before_slot() const;
  std::size_t slot_bytes() const;
  Slot* create_slot(const Change&);
  void free_slot(Slot*);
  void make_missing(Space&, unsigned set);
  void edit_gfn(Space&, unsigned set, Slot* old_slot, Slot* by);
  void edit_hva(Space&, unsigned set, Slot* old_slot, Slot* by);
  void edit(Space&, unsigned set, Slot* old_slot, Slot* by);
  static void swap_sets(Space&);
  void build_beside(Space&, Slot* old_slot, Slot* by);
  void through_both_sets(Space&, Slot* old_slot, Slot* by);
  std::size_t table_bytes() const;
  std::size_t outside_bytes() const;

  StrategySpec spec_;
  const StructureEntry* gfn_structure_;
  const StructureEntry* hva_structure_;
  Arena arena_;
  Meter meter_;
  std::size_t gfn_node_bytes_;
  std::size_t hva_node_bytes_;
  Space spaces_[kAddressSpaces];
  std::size_t slots_ = 0;

  struct Staged {
    bool pending = false;
    unsigned as_id = 0;
    Slot* old_slot = nullptr;
    Slot* by = nullptr;
  } staged_;
};

}  // namespace slotlookup
