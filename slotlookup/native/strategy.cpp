#include "slotlookup/native/strategy.hpp"

#include <cstring>

namespace slotlookup {
namespace {

const StructureEntry& structure_for(const std::string& name, const char* role, bool serves) {
  const StructureEntry* entry = find_structure(name);
  if (!entry) throw std::invalid_argument("no native structure is called '" + name + "'");
  if (!serves) throw std::invalid_argument("structure '" + name + "' does not serve " + role);
  return *entry;
}

bool same_range(const Slot& a, const Slot& b) { return a.base_gfn == b.base_gfn && a.npages == b.npages; }

}  // namespace

std::vector<StructureEntry>& structure_registry() {
  static std::vector<StructureEntry> registry;
  return registry;
}

const StructureEntry* find_structure(const std::string& name) {
  for (const StructureEntry& entry : structure_registry()) {
    if (name == entry.name) return &entry;
  }
  return nullptr;
}

Strategy::Strategy(StrategySpec spec)
    : spec_(std::move(spec)),
      gfn_structure_(&structure_for(spec_.gfn, "gfn lookups",
                                    !find_structure(spec_.gfn) || find_structure(spec_.gfn)->make_gfn != nullptr)),
      hva_structure_(&structure_for(spec_.hva, "hva visits", true)),
      arena_(spec_.placement, spec_.seed),
      meter_(arena_.base()),
      gfn_node_bytes_(gfn_structure_->gfn_node_bytes),
      hva_node_bytes_(hva_structure_->hva_node_bytes) {
  for (Space& space : spaces_) {
    for (unsigned set = 0; set < sets(); ++set) {
      const auto gfn_node = static_cast<std::ptrdiff_t>((sets() - set) * gfn_node_bytes_);
      const auto hva_node = static_cast<std::ptrdiff_t>(sets() * gfn_node_bytes_ + (sets() - set) * hva_node_bytes_);
      space.gfn[set] = gfn_structure_->make_gfn({arena_, gfn_node}, &meter_, spec_.cache, spec_.counted);
      space.hva[set] = hva_structure_->make_hva({arena_, hva_node}, &meter_, spec_.counted);
    }
  }
}

// The arena takes slots, nodes and arrays with it; only what lies outside it needs its destructor.
Strategy::~Strategy() {
  for (Space& space : spaces_) {
    for (unsigned set = 0; set < sets(); ++set) {
      space.gfn[set]->~GfnIndex();
      space.hva[set]->~HvaIndex();
    }
  }
}

Strategy::Space& Strategy::space(unsigned as_id) {
  if (as_id >= kAddressSpaces) throw BadChange("address space " + std::to_string(as_id) + " does not exist");
  return spaces_[as_id];
}

Slot* Strategy::slot_of(const Change& change) {
  if (change.number >> 16 >= kAddressSpaces) {
    throw BadChange("slot number " + std::to_string(change.number) + " lies in no address space");
  }
  Space& in = space(static_cast<unsigned>(change.number >> 16));
  const std::size_t id = change.number & 0xffff;
  if (id >= in.by_id.size()) in.by_id.resize(id + 1, nullptr);
  return in.by_id[id];
}

// The id and hva nodes, padded so that the gfn nodes begin a line: in the kernel's layout they do, and base_gfn then
// shares it.
std::size_t Strategy::bytes_before_slot() const {
  const std::size_t front = kIdNodes + sets() * hva_node_bytes_;
  return (front + kLineBytes - 1) / kLineBytes * kLineBytes + sets() * gfn_node_bytes_;
}

Slot* Strategy::create_slot(const Change& change) {
  const std::size_t before = bytes_before_slot();
  char* memory = static_cast<char*>(arena_.allocate_object(before + sizeof(Slot)));
  std::memset(memory, 0, before + sizeof(Slot));
  Slot* slot = reinterpret_cast<Slot*>(memory + before);
  slot->base_gfn = change.base_gfn;
  slot->npages = change.npages;
  slot->userspace_addr = change.userspace_addr;
  slot->flags = static_cast<std::uint32_t>(change.flags);
  slot->number = static_cast<std::uint32_t>(change.number);
  return slot;
}

void Strategy::free_slot(Slot* slot) {
  const std::size_t before = bytes_before_slot();
  arena_.free_object(reinterpret_cast<char*>(slot) - before, before + sizeof(Slot));
}

// One set's share of a change: `old_slot` leaves, `by` enters; either may be null.
void Strategy::edit(Space& in, unsigned set, Slot* old_slot, Slot* by) {
  if (old_slot && by) {
    if (same_range(*old_slot, *by)) {
      in.gfn[set]->replace(*old_slot, *by);
    } else {
      in.gfn[set]->erase(*old_slot);
      in.gfn[set]->insert(*by);
    }
    in.hva[set]->replace(*old_slot, *by);
  } else if (old_slot) {
    in.gfn[set]->erase(*old_slot);
    in.hva[set]->erase(*old_slot);
  } else {
    in.gfn[set]->insert(*by);
    in.hva[set]->insert(*by);
  }
}

void Strategy::through_both_sets(Space& in, Slot* old_slot, Slot* by) {
  const unsigned inactive = 1 - in.active;
  edit(in, inactive, old_slot, by);
  in.active = inactive;
  edit(in, 1 - inactive, old_slot, by);
}

void Strategy::stage(const Change& change) {
  if (staged_.pending) throw BadChange("a change is staged already; publish it first");
  Slot* old_slot = slot_of(change);
  if ((change.kind == ChangeKind::create) != (old_slot == nullptr)) {
    throw BadChange("slot " + std::to_string(change.number) + (old_slot ? " exists already" : " does not exist"));
  }
  meter_.begin_operation();
  const auto as_id = static_cast<unsigned>(change.number >> 16);
  Space& in = spaces_[as_id];

  if (spec_.discipline == Discipline::in_place && change.kind == ChangeKind::flags) {
    old_slot->flags = static_cast<std::uint32_t>(change.flags);  // no index holds flags
    staged_ = {true, as_id, nullptr, nullptr};
    return;
  }
  if (spec_.discipline == Discipline::in_place && change.kind == ChangeKind::move) {
    in.gfn[0]->erase(*old_slot);
    old_slot->base_gfn = change.base_gfn;
    old_slot->flags = static_cast<std::uint32_t>(change.flags);
    in.gfn[0]->insert(*old_slot);
    staged_ = {true, as_id, nullptr, nullptr};
    return;
  }

  if (spec_.discipline == Discipline::two_sets &&
      (change.kind == ChangeKind::erase || change.kind == ChangeKind::move)) {
    Slot* invalid = create_slot({change.kind, old_slot->number, old_slot->base_gfn, old_slot->npages,
                                 old_slot->userspace_addr, old_slot->flags | kInvalidFlag});
    through_both_sets(in, old_slot, invalid);
    in.by_id[change.number & 0xffff] = invalid;
    free_slot(old_slot);
    old_slot = invalid;
  }
  Slot* by = change.kind == ChangeKind::erase ? nullptr : create_slot(change);
  edit(in, spec_.discipline == Discipline::two_sets ? 1 - in.active : 0, old_slot, by);
  in.by_id[change.number & 0xffff] = by;
  slots_ += (by ? 1 : 0);
  slots_ -= (old_slot ? 1 : 0);
  staged_ = {true, as_id, old_slot, by};
}

void Strategy::publish() {
  if (!staged_.pending) throw BadChange("no change is staged");
  Space& in = spaces_[staged_.as_id];
  if (spec_.discipline == Discipline::two_sets) {
    in.active = 1 - in.active;
    edit(in, 1 - in.active, staged_.old_slot, staged_.by);
  }
  if (staged_.old_slot) free_slot(staged_.old_slot);
  staged_ = {};
  ++generation_;
}

void Strategy::check() const {
  for (const Space& space : spaces_) {
    std::size_t live = 0;
    for (const Slot* slot : space.by_id) live += slot ? 1 : 0;
    for (unsigned set = 0; set < sets(); ++set) {
      space.gfn[set]->check();
      space.hva[set]->check();
      if (staged_.pending) continue;  // the sets differ until the change is published
      require(space.gfn[set]->size() == live, "strategy: the gfn structure holds every slot");
      require(space.hva[set]->size() == live, "strategy: the hva structure holds every slot");
    }
  }
}

std::size_t Strategy::table_bytes() const {
  std::size_t bytes = 0;
  for (const Space& space : spaces_) bytes += space.by_id.capacity() * sizeof(Slot*);
  return bytes;
}

}  // namespace slotlookup
