// The loops that drive a structure: the cache in front, the answers, and the replay that is timed.
// Captures are written out: their order decides where the compiler puts them, and a default capture takes the order of
// first use, which the hooks would change.
#pragma once

#include "slotlookup/native/structure.hpp"

namespace slotlookup {

// Makes the compiler forget what it knows of memory, so that no root or array pointer stays in a register from one
// operation to the next: a hypervisor's lookups are separate calls.
inline void forget_memory() { asm volatile("" ::: "memory"); }

template <class Probe>
class NoCache {
 public:
  NoCache(Probe) {}
  Slot* hit(std::uint64_t) const { return nullptr; }
  void store(Slot*) {}
  void drop(const Slot&) {}
  void follow(const Slot&, Slot&) {}
};

// One last-found slot for the whole VM. A miss is not cached, as in the kernel.
template <class Probe>
class LastUsed {
 public:
  LastUsed(Probe probe) : probe_(probe) {}

  Slot* hit(std::uint64_t gfn) const {
    TOUCH(&slot_, sizeof slot_);
    if (!slot_) return nullptr;
    HOP();
    EXAMINE();
    TOUCH(&slot_->base_gfn, 16);
    const bool inside = COMPARE(gfn >= slot_->base_gfn) && COMPARE(gfn < slot_->base_gfn + slot_->npages);
    return inside ? slot_ : nullptr;
  }
  void store(Slot* slot) { slot_ = slot; }
  void drop(const Slot& slot) {
    TOUCH(&slot_, sizeof slot_);
    if (slot_ == &slot) slot_ = nullptr;
  }
  void follow(const Slot& old_slot, Slot& by) {
    TOUCH(&slot_, sizeof slot_);
    if (slot_ == &old_slot) slot_ = &by;
  }

 private:
  Slot* slot_ = nullptr;
  [[no_unique_address]] Probe probe_;
};

template <template <class, class> class Structure, class Probe, class Cache>
class GfnIndexOf final : public GfnIndex {
 public:
  GfnIndexOf(const Home& home, Meter* meter) : structure_(home, Probe(meter)), cache_(Probe(meter)), probe_(meter) {}

  void insert(Slot& slot) override { structure_.insert(slot); }
  void erase(Slot& slot) override {
    cache_.drop(slot);
    structure_.erase(slot);
  }
  void replace(Slot& old_slot, Slot& by) override {
    cache_.follow(old_slot, by);
    structure_.replace(old_slot, by);
  }
  void check() const override { structure_.check(); }
  std::size_t size() const override { return structure_.size(); }
  std::size_t object_bytes() const override { return sizeof *this; }

  void answer(const std::uint64_t* gfn, std::size_t n, std::int32_t* out) override {
    for (std::size_t i = 0; i < n; ++i) {
      BEGIN_OPERATION();
      const Slot* slot = find(gfn[i]);
      out[i] = slot ? static_cast<std::int32_t>(number_of(*slot)) : kHole;
    }
  }

  std::uint64_t replay(const std::uint64_t* gfn, std::size_t n, const ReplayMode& mode) override {
    return with_mode(mode, [this, gfn, n, &mode]<bool latency, bool cold>() {
      Chain<latency, cold> chain(mode.displacer);
      std::uint64_t sum = 0;
      for (std::size_t i = 0; i < n; ++i) {
        BEGIN_OPERATION();
        const Slot* slot = find(gfn[i] + chain.before_question());
        const std::uint64_t answer = slot ? number_of(*slot) + 1ull : 0;
        chain.after_answer(answer);
        sum += answer;
        forget_memory();
      }
      return sum;
    });
  }

 private:
  Slot* find(std::uint64_t gfn) {
    if (Slot* slot = cache_.hit(gfn)) return slot;
    Slot* slot = structure_.find(gfn);
    if (slot) cache_.store(slot);
    return slot;
  }
  // The caller of a lookup reads the slot it was given: reading the number stands for that.
  std::uint32_t number_of(const Slot& slot) const {
    TOUCH(&slot.number, sizeof slot.number);
    return slot.number;
  }

  Structure<GfnRole, Probe> structure_;
  [[no_unique_address]] Cache cache_;
  [[no_unique_address]] Probe probe_;
};

template <template <class, class> class Structure, class Probe>
class HvaIndexOf final : public HvaIndex {
 public:
  HvaIndexOf(const Home& home, Meter* meter) : structure_(home, Probe(meter)), probe_(meter) {}

  void insert(Slot& slot) override { structure_.insert(slot); }
  void erase(Slot& slot) override { structure_.erase(slot); }
  void replace(Slot& old_slot, Slot& by) override { structure_.replace(old_slot, by); }
  void check() const override { structure_.check(); }
  std::size_t size() const override { return structure_.size(); }
  std::size_t object_bytes() const override { return sizeof *this; }

  void answer(const std::uint64_t* start, const std::uint64_t* end, std::size_t n, std::vector<std::int32_t>& numbers,
              std::uint64_t* count) override {
    for (std::size_t i = 0; i < n; ++i) {
      BEGIN_OPERATION();
      const std::size_t before = numbers.size();
      structure_.visit(start[i], end[i] - 1, [&](const Slot& slot) {
        TOUCH(&slot.number, sizeof slot.number);
        numbers.push_back(static_cast<std::int32_t>(slot.number));
      });
      count[i] += numbers.size() - before;
    }
  }

  std::uint64_t replay(const std::uint64_t* start, const std::uint64_t* end, std::size_t n,
                       const ReplayMode& mode) override {
    return with_mode(mode, [this, start, end, n, &mode]<bool latency, bool cold>() {
      Chain<latency, cold> chain(mode.displacer);
      std::uint64_t sum = 0;
      for (std::size_t i = 0; i < n; ++i) {
        BEGIN_OPERATION();
        const std::uint64_t nothing = chain.before_question();
        std::uint64_t answer = 0;
        structure_.visit(start[i] + nothing, end[i] - 1 + nothing, [this, &answer](const Slot& slot) {
          TOUCH(&slot.number, sizeof slot.number);
          answer += slot.number + 1ull;
        });
        chain.after_answer(answer);
        sum += answer;
        forget_memory();
      }
      return sum;
    });
  }

 private:
  Structure<HvaRole, Probe> structure_;
  [[no_unique_address]] Probe probe_;
};

// Indexes live in the arena beside what they index, so that their own lines are placed as declared.
template <class I>
I* make_in_arena(const Home& home, Meter* meter) {
  return new (home.arena.allocate_array(sizeof(I))) I(home, meter);
}

template <template <class, class> class Structure>
GfnIndex* make_gfn_index(const Home& home, Meter* meter, CacheKind cache, bool counted) {
  if (cache == CacheKind::last_used) {
    if (counted) return make_in_arena<GfnIndexOf<Structure, CountProbe, LastUsed<CountProbe>>>(home, meter);
    return make_in_arena<GfnIndexOf<Structure, NoProbe, LastUsed<NoProbe>>>(home, meter);
  }
  if (counted) return make_in_arena<GfnIndexOf<Structure, CountProbe, NoCache<CountProbe>>>(home, meter);
  return make_in_arena<GfnIndexOf<Structure, NoProbe, NoCache<NoProbe>>>(home, meter);
}

template <template <class, class> class Structure>
HvaIndex* make_hva_index(const Home& home, Meter* meter, bool counted) {
  if (counted) return make_in_arena<HvaIndexOf<Structure, CountProbe>>(home, meter);
  return make_in_arena<HvaIndexOf<Structure, NoProbe>>(home, meter);
}

}  // namespace slotlookup
