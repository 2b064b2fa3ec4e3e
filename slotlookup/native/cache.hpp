// Caches that are tested before a gfn lookup: the slot, or the few slots, found last.
//
// No policy caches misses. A change of slots calls a cache's enter, drop and follow before it reaches the structure;
// each cache handles them as the system from which it is taken.
#pragma once

#include <cstdint>

#include "slotlookup/native/arena.hpp"
#include "slotlookup/native/probe.hpp"
#include "slotlookup/native/slot.hpp"

namespace slotlookup {

template <template <class> class... Policies>
struct PolicyList {
  static constexpr const char* names[] = {Policies<NoProbe>::name...};
};

template <class Probe>
class NoCache {
 public:
  static constexpr const char* name = "none";
  static constexpr bool per_vcpu = false;
  NoCache(Arena&, Probe) {}
  Slot* hit(std::uint64_t, unsigned) const { return nullptr; }
  void store(Slot*, std::uint64_t, unsigned) {}
  void enter(const Slot&) {}
  void drop(const Slot&) {}
  void follow(const Slot&, Slot&) {}
  void clear() {}
};

// Tests whether a cached slot contains a gfn.
template <class Probe>
class SlotTest {
 public:
  explicit SlotTest(Probe probe) : probe_(probe) {}
  Slot* holds(Slot* slot, std::uint64_t gfn) const {
    if (!slot) return nullptr;
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_EXAMINE();
    SLOTLOOKUP_TOUCH(&slot->base_gfn, 16);
    const bool inside =
        SLOTLOOKUP_COMPARE(gfn >= slot->base_gfn) && SLOTLOOKUP_COMPARE(gfn < slot->base_gfn + slot->npages);
    return inside ? slot : nullptr;
  }

 private:
  [[no_unique_address]] Probe probe_;
};

// One last-found slot for the whole VM (Linux 3.19 and later: lru_slot, last_used_slot).
template <class Probe>
class LastUsed {
 public:
  static constexpr const char* name = "last-used";
  static constexpr bool per_vcpu = false;
  LastUsed(Arena&, Probe probe) : test_(probe), probe_(probe) {}

  Slot* hit(std::uint64_t gfn, unsigned) const {
    SLOTLOOKUP_TOUCH(&slot_, sizeof slot_);
    return test_.holds(slot_, gfn);
  }
  void store(Slot* slot, std::uint64_t, unsigned) { slot_ = slot; }
  void enter(const Slot&) {}
  void drop(const Slot& slot) {
    SLOTLOOKUP_TOUCH(&slot_, sizeof slot_);
    if (slot_ == &slot) slot_ = nullptr;
  }
  void follow(const Slot& old_slot, Slot& by) {
    SLOTLOOKUP_TOUCH(&slot_, sizeof slot_);
    if (slot_ == &old_slot) slot_ = &by;
  }
  void clear() {
    SLOTLOOKUP_TOUCH(&slot_, sizeof slot_);
    slot_ = nullptr;
  }

 private:
  Slot* slot_ = nullptr;
  [[no_unique_address]] SlotTest<Probe> test_;
  [[no_unique_address]] Probe probe_;
};

// One for the whole VM, which any change of slots empties (QEMU's mru_section, which belongs to a memory map).
template <class Probe>
class MruSection : public LastUsed<Probe> {
 public:
  static constexpr const char* name = "mru-section";
  using LastUsed<Probe>::LastUsed;
  void enter(const Slot&) { this->clear(); }
  void drop(const Slot&) { this->clear(); }
  void follow(const Slot&, Slot&) { this->clear(); }
};

// One last-found slot for each vCPU, invalid once the generation has changed (Linux 5.15 and later,
// vcpu->last_used_slot).
template <class Probe>
class PerVcpu {
 public:
  static constexpr const char* name = "per-vcpu";
  static constexpr bool per_vcpu = true;
  static constexpr unsigned kVcpus = 1024;  // KVM_MAX_VCPUS was 1024 on x86 at that time; more vCPUs share entries

  PerVcpu(Arena& arena, Probe probe)
      : arena_(arena),
        entries_(static_cast<Entry*>(arena.allocate_array(kVcpus * sizeof(Entry)))),
        test_(probe),
        probe_(probe) {
    SLOTLOOKUP_TOUCH(entries_, kVcpus * sizeof(Entry));
    for (unsigned i = 0; i < kVcpus; ++i) entries_[i] = {nullptr, 0};
  }
  ~PerVcpu() { arena_.free_array(entries_, kVcpus * sizeof(Entry)); }
  PerVcpu(const PerVcpu&) = delete;
  PerVcpu& operator=(const PerVcpu&) = delete;

  Slot* hit(std::uint64_t gfn, unsigned vcpu) {
    Entry& entry = entries_[vcpu % kVcpus];
    SLOTLOOKUP_TOUCH(&generation_, sizeof generation_);
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_TOUCH(&entry, sizeof entry);
    if (entry.generation != generation_) {
      entry = {nullptr, generation_};
      return nullptr;
    }
    return test_.holds(entry.slot, gfn);
  }
  void store(Slot* slot, std::uint64_t, unsigned vcpu) { entries_[vcpu % kVcpus].slot = slot; }
  void enter(const Slot&) { clear(); }
  void drop(const Slot&) { clear(); }
  void follow(const Slot&, Slot&) { clear(); }
  void clear() {
    SLOTLOOKUP_TOUCH(&generation_, sizeof generation_);
    ++generation_;
  }

 private:
  struct Entry {
    Slot* slot;
    std::uint64_t generation;
  };
  Arena& arena_;
  Entry* entries_;
  std::uint64_t generation_ = 0;
  [[no_unique_address]] SlotTest<Probe> test_;
  [[no_unique_address]] Probe probe_;
};

// Eight slots, one for each value of gpa bits 20 to 22; any change of slots empties it (VirtualBox's TLB over RAM
// ranges).
template <class Probe>
class DirectMapped {
 public:
  static constexpr const char* name = "direct-mapped";
  static constexpr bool per_vcpu = false;
  DirectMapped(Arena&, Probe probe) : test_(probe), probe_(probe) {}

  Slot* hit(std::uint64_t gfn, unsigned) const {
    Slot* const& entry = slots_[place(gfn)];
    SLOTLOOKUP_TOUCH(&entry, sizeof entry);
    return test_.holds(entry, gfn);
  }
  void store(Slot* slot, std::uint64_t gfn, unsigned) { slots_[place(gfn)] = slot; }
  void enter(const Slot&) { clear(); }
  void drop(const Slot&) { clear(); }
  void follow(const Slot&, Slot&) { clear(); }
  void clear() {
    SLOTLOOKUP_TOUCH(slots_, sizeof slots_);
    for (Slot*& slot : slots_) slot = nullptr;
  }

 private:
  static std::size_t place(std::uint64_t gfn) { return gfn >> (20 - kPageShift) & 7; }
  Slot* slots_[8] = {};
  [[no_unique_address]] SlotTest<Probe> test_;
  [[no_unique_address]] Probe probe_;
};

// Every policy, in the order of slotlookup/vocabulary.py. To add one, see docs/adding-a-cache.md.
using CachePolicies = PolicyList<NoCache, LastUsed, PerVcpu, DirectMapped, MruSection>;

}  // namespace slotlookup
