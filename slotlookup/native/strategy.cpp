#include "slotlookup/native/strategy.hpp"

#include <algorithm>
#include <cstring>

namespace slotlookup {
namespace {

const StructureEntry& structure_for(const std::string& name, bool counted, const char* role, bool gfn) {
  const StructureEntry* entry = find_structure(name, counted);
  if (!entry) throw std::invalid_argument("no native structure is called '" + name + "'");
  if (gfn ? !entry->make_gfn : !entry->make_hva) {
    throw std::invalid_argument("structure '" + name + "' does not serve " + role);
  }
  return *entry;
}

constexpr std::uint32_t kNoNumber = 0x7fffffff;  // of no slot: it is in no address space

bool same_range(const Slot& a, const Slot& b) { return a.base_gfn == b.base_gfn && a.npages == b.npages; }

}  // namespace

Strategy::Strategy(StrategySpec spec)
    : spec_(std::move(spec)),
      gfn_structure_(&structure_for(spec_.gfn, spec_.counted, "gfn lookups", true)),
      hva_structure_(&structure_for(spec_.hva, spec_.counted, "hva visits", false)),
      arena_(spec_.placement, spec_.seed),
      meter_(arena_.base(), Arena::reserved_bytes()),
      gfn_node_bytes_(gfn_structure_->gfn_node_bytes),
      hva_node_bytes_(hva_structure_->hva_node_bytes) {
  const std::size_t needed = arena_.object_bytes(bytes_before_slot() + sizeof(Slot));
  if (spec_.stride && spec_.stride < needed) {
    throw std::invalid_argument("a slot with its nodes takes " + std::to_string(needed) + " bytes, more than " +
                                std::to_string(spec_.stride));
  }
  report_here();
  for (unsigned as_id = 0; as_id < kAddressSpaces; ++as_id) {
    spaces_[as_id].generation = as_id;
    for (unsigned set = 0; set < sets(); ++set) make_missing(spaces_[as_id], set);
  }
  set_counters({});  // of an operation, not of the set-up
}

// Creates empty indexes where a set has none. If the second structure refuses, the first index remains.
void Strategy::make_missing(Space& in, unsigned set) {
  if (!in.gfn[set]) {
    const auto node = static_cast<std::ptrdiff_t>((sets() - set) * gfn_node_bytes_);
    in.gfn[set] = gfn_structure_->make_gfn({arena_, node}, spec_.cache);
  }
  if (!in.hva[set]) {
    const auto node = static_cast<std::ptrdiff_t>(sets() * gfn_node_bytes_ + (sets() - set) * hva_node_bytes_);
    in.hva[set] = hva_structure_->make_hva({arena_, node});
  }
}

Strategy::Space& Strategy::space(unsigned as_id) {
  if (as_id >= kAddressSpaces) throw BadChange("address space " + std::to_string(as_id) + " does not exist");
  return spaces_[as_id];
}

Slot& Strategy::slot(std::int32_t number) {
  const auto wanted = static_cast<std::uint32_t>(number);
  const std::size_t id = wanted & 0xffff;
  if (wanted >> 16 < kAddressSpaces) {
    const std::vector<Slot*>& by_id = spaces_[wanted >> 16].by_id;
    if (id < by_id.size() && by_id[id]) return *by_id[id];
  }
  throw std::invalid_argument("slot " + std::to_string(number) + " does not exist");
}

// The replay is the only code that looks slots up, and it answers with the number that it reads from the slot. So the
// slot is the one whose number, when it is changed, changes the answer. A loaded library answers with the old number,
// which no slot has then, and is refused.
const Slot* Strategy::seen(unsigned as_id, std::uint64_t gfn) {
  const Counters kept = counters();
  const auto ask = [this, as_id, gfn] {
    const std::uint16_t vcpu = 0;
    std::int32_t number;
    this->gfn(as_id).answer({&gfn, 1}, {&vcpu, 1}, {&number, 1});
    return number;
  };
  const std::int32_t number = ask();
  const Slot* found = nullptr;
  const std::size_t id = number & 0xffff;
  const std::vector<Slot*>& by_id = space(as_id).by_id;
  for (Slot* slot : {id < by_id.size() ? by_id[id] : nullptr, staged_.old_slot}) {
    if (number == kHole || !slot || found) continue;
    const std::uint32_t own = slot->number;
    slot->number = kNoNumber;
    try {
      if (ask() == static_cast<std::int32_t>(kNoNumber)) found = slot;
    } catch (const std::runtime_error&) {
      found = slot;
    }
    slot->number = own;
  }
  set_counters(kept);
  require_invariant(found || number == kHole, "strategy: readers find a slot that it holds");
  return found;
}

Slot* Strategy::slot_of(const Change& change) {
  if (change.number >> 16 >= kAddressSpaces) {
    throw BadChange("slot number " + std::to_string(change.number) + " is in no address space");
  }
  Space& in = space(static_cast<unsigned>(change.number >> 16));
  const std::size_t id = change.number & 0xffff;
  if (id >= in.by_id.size()) in.by_id.resize(id + 1, nullptr);
  return in.by_id[id];
}

// The slot of a change; null exactly for a creation.
Slot* Strategy::existing(const Change& change) {
  Slot* slot = slot_of(change);
  if ((change.kind == ChangeKind::create) != (slot == nullptr)) {
    throw BadChange("slot " + std::to_string(change.number) + (slot ? " exists already" : " does not exist"));
  }
  return slot;
}

// The id and hva nodes, padded so that the gfn nodes start on a line boundary, as in the kernel's layout; base_gfn then
// shares the line.
std::size_t Strategy::bytes_before_slot() const {
  const std::size_t front = kIdNodes + sets() * hva_node_bytes_;
  return (front + kLineBytes - 1) / kLineBytes * kLineBytes + sets() * gfn_node_bytes_;
}

std::size_t Strategy::slot_bytes() const { return std::max(bytes_before_slot() + sizeof(Slot), spec_.stride); }

Slot* Strategy::create_slot(const Change& change) {
  const std::size_t before = bytes_before_slot();
  char* memory = static_cast<char*>(arena_.allocate_object(slot_bytes()));
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
  arena_.free_object(reinterpret_cast<char*>(slot) - bytes_before_slot(), slot_bytes());
}

// One set's part of a change: `old_slot` is removed, `by` is inserted; either may be null.
void Strategy::edit_gfn(Space& in, unsigned set, Slot* old_slot, Slot* by) {
  GfnIndex& index = *in.gfn[set];
  if (old_slot && by && same_range(*old_slot, *by)) {
    index.replace(*old_slot, *by);
    return;
  }
  if (old_slot) index.erase(*old_slot);
  if (by) index.insert(*by);
}

void Strategy::edit_hva(Space& in, unsigned set, Slot* old_slot, Slot* by) {
  HvaIndex& index = *in.hva[set];
  if (old_slot && by) {
    index.replace(*old_slot, *by);
  } else if (old_slot) {
    index.erase(*old_slot);
  } else {
    index.insert(*by);
  }
}

void Strategy::edit(Space& in, unsigned set, Slot* old_slot, Slot* by) {
  edit_gfn(in, set, old_slot, by);
  edit_hva(in, set, old_slot, by);
  in.gfn[set]->settle();
  in.hva[set]->settle();
}

void Strategy::swap_sets(Space& in) {
  in.active = 1 - in.active;
  in.generation += kAddressSpaces;
}

// Builds the new state in the inactive set, which is empty.
void Strategy::build_beside(Space& in, Slot* old_slot, Slot* by) {
  const unsigned set = 1 - in.active;
  make_missing(in, set);
  const bool copy = spec_.discipline == Discipline::copy;
  if (copy && in.gfn[set]->copy_from(*in.gfn[in.active])) {
    edit_gfn(in, set, old_slot, by);
  } else {
    for (Slot* slot : in.by_id) {
      if (slot && slot != old_slot) in.gfn[set]->insert(*slot);
    }
    if (by) in.gfn[set]->insert(*by);
  }
  if (copy && in.hva[set]->copy_from(*in.hva[in.active])) {
    edit_hva(in, set, old_slot, by);
  } else {
    for (Slot* slot : in.by_id) {
      if (slot && slot != old_slot) in.hva[set]->insert(*slot);
    }
    if (by) in.hva[set]->insert(*by);
  }
  in.gfn[set]->settle();
  in.hva[set]->settle();
}

void Strategy::load(std::span<const Change> changes) {
  report_here();
  if (staged_.pending) throw BadChange("a change is staged already; publish it first");
  for (const Change& change : changes) {
    Slot* old_slot = existing(change);
    Slot* by = change.kind == ChangeKind::erase ? nullptr : create_slot(change);
    Space& in = spaces_[change.number >> 16];
    for (unsigned set = 0; set < (copies() ? 1 : sets()); ++set) {
      const unsigned edited = copies() ? in.active : set;
      edit_gfn(in, edited, old_slot, by);
      edit_hva(in, edited, old_slot, by);
    }
    in.by_id[change.number & 0xffff] = by;
    slots_ += (by ? 1 : 0);
    slots_ -= (old_slot ? 1 : 0);
    if (old_slot) free_slot(old_slot);
    in.generation += kAddressSpaces;
  }
  for (Space& in : spaces_) {
    for (unsigned set = 0; set < sets(); ++set) {
      if (in.gfn[set]) in.gfn[set]->settle();
      if (in.hva[set]) in.hva[set]->settle();
    }
  }
}

void Strategy::through_both_sets(Space& in, Slot* old_slot, Slot* by) {
  edit(in, 1 - in.active, old_slot, by);
  swap_sets(in);
  edit(in, 1 - in.active, old_slot, by);
}

void Strategy::stage(const Change& change) {
  if (staged_.pending) throw BadChange("a change is staged already; publish it first");
  Slot* old_slot = existing(change);
  report_here();
  meter_.begin_operation();
  const auto as_id = static_cast<unsigned>(change.number >> 16);
  Space& in = spaces_[as_id];
  if (spec_.discipline == Discipline::in_place) in.generation += kAddressSpaces;  // readers see the change at once

  if (spec_.discipline == Discipline::in_place && change.kind == ChangeKind::flags) {
    old_slot->flags = static_cast<std::uint32_t>(change.flags);  // no index contains flags
    staged_ = {true, as_id, nullptr, nullptr};
    return;
  }
  if (spec_.discipline == Discipline::in_place && change.kind == ChangeKind::move) {
    in.gfn[0]->erase(*old_slot);
    old_slot->base_gfn = change.base_gfn;
    old_slot->flags = static_cast<std::uint32_t>(change.flags);
    in.gfn[0]->insert(*old_slot);
    in.gfn[0]->settle();
    staged_ = {true, as_id, nullptr, nullptr};
    return;
  }

  const bool goes = change.kind == ChangeKind::erase || change.kind == ChangeKind::move;
  if (spec_.discipline == Discipline::copy && goes) {
    // KVM swaps in a copy of the array with the flag. No index contains flags, so the copy would be the same.
    old_slot->flags |= kInvalidFlag;
    in.generation += kAddressSpaces;
  }
  if (spec_.discipline == Discipline::two_sets && goes) {
    Slot* invalid = create_slot({change.kind, old_slot->number, old_slot->base_gfn, old_slot->npages,
                                 old_slot->userspace_addr, old_slot->flags | kInvalidFlag});
    through_both_sets(in, old_slot, invalid);
    in.by_id[change.number & 0xffff] = invalid;
    free_slot(old_slot);
    old_slot = invalid;
  }
  Slot* by = change.kind == ChangeKind::erase ? nullptr : create_slot(change);
  if (copies()) {
    build_beside(in, old_slot, by);
  } else {
    edit(in, spec_.discipline == Discipline::two_sets ? 1 - in.active : 0, old_slot, by);
  }
  in.by_id[change.number & 0xffff] = by;
  slots_ += (by ? 1 : 0);
  slots_ -= (old_slot ? 1 : 0);
  staged_ = {true, as_id, old_slot, by};
}

void Strategy::publish() {
  if (!staged_.pending) throw BadChange("no change is staged");
  report_here();
  Space& in = spaces_[staged_.as_id];
  if (spec_.discipline == Discipline::two_sets) {
    swap_sets(in);
    edit(in, 1 - in.active, staged_.old_slot, staged_.by);
  } else if (copies()) {
    swap_sets(in);
    in.gfn[1 - in.active].reset();
    in.hva[1 - in.active].reset();
  }
  if (staged_.old_slot) free_slot(staged_.old_slot);
  staged_ = {};
  if (copies()) make_missing(in, 1 - in.active);  // last, because a loaded library may refuse
}

void Strategy::check() const {
  for (const Space& space : spaces_) {
    std::size_t live = 0;
    for (const Slot* slot : space.by_id) live += slot ? 1 : 0;
    for (unsigned set = 0; set < sets(); ++set) {
      if (space.gfn[set]) space.gfn[set]->check();
      if (space.hva[set]) space.hva[set]->check();
      if (staged_.pending) continue;  // the sets differ until the change is published
      if (copies() && set != space.active) continue;
      require_invariant(space.gfn[set]->size() == live, "strategy: the gfn structure contains every slot");
      require_invariant(space.hva[set]->size() == live, "strategy: the hva structure contains every slot");
    }
  }
}

std::size_t Strategy::table_bytes() const {
  std::size_t bytes = 0;
  for (const Space& space : spaces_) bytes += space.by_id.capacity() * sizeof(Slot*);
  return bytes;
}

std::size_t Strategy::outside_bytes() const {
  std::size_t bytes = 0;
  for (const Space& space : spaces_) {
    for (unsigned set = 0; set < sets(); ++set) {
      if (space.gfn[set]) bytes += space.gfn[set]->outside_bytes();
      if (space.hva[set]) bytes += space.hva[set]->outside_bytes();
    }
  }
  return bytes;
}

}  // namespace slotlookup
