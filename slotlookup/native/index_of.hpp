// The loops over a structure: the cache, the answers, and the timed replay.
// Captures are explicit: their order determines their placement by the compiler, and a default capture has the order of
// first use, which the hooks would change.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include "slotlookup/native/cache.hpp"
#include "slotlookup/native/index.hpp"
#include "slotlookup/native/registry.hpp"
#include "slotlookup/native/structure.hpp"

namespace slotlookup {

// What an index does the same way behind every cache, compiled once for each structure and role.
template <class Interface, class Structure>
class IndexAt : public Interface {
 public:
  template <class Probe>
  IndexAt(const Home& home, Probe probe) : structure_(home, probe) {
    require_declared_members<Structure>();
  }

  void insert(Slot& slot) override { structure_.insert(slot); }
  void erase(Slot& slot) override { structure_.erase(slot); }
  void replace(Slot& old_slot, Slot& by) override { structure_.replace(old_slot, by); }
  void settle() override {
    if constexpr (Structure::kOptional.settle) structure_.settle();
  }
  bool copy_from([[maybe_unused]] const Index& other) override {
    if constexpr (Structure::kOptional.copy_from) structure_.copy_from(static_cast<const IndexAt&>(other).structure_);
    return Structure::kOptional.copy_from;
  }
  void check() const override { structure_.check(); }
  std::size_t size() const override { return structure_.size(); }
  std::size_t outside_bytes() const override {
    if constexpr (Structure::kOptional.outside_bytes) return structure_.outside_bytes();
    return 0;
  }

 protected:
  Structure structure_;
};

// Whether the end of an index reads its fields.
template <class... Parts>
inline constexpr bool frees_memory = !(std::is_trivially_destructible_v<Parts> && ...);

template <template <class, class> class Structure, class Probe, class Cache>
class GfnIndexOf final : public IndexAt<GfnIndex, Structure<GfnRole, Probe>> {
  using At = IndexAt<GfnIndex, Structure<GfnRole, Probe>>;

 public:
  explicit GfnIndexOf(const Home& home) : At(home, Probe()), cache_(home.arena, Probe()) {
    SLOTLOOKUP_TOUCH(this, sizeof *this);
  }
  ~GfnIndexOf() override {
    if constexpr (frees_memory<Structure<GfnRole, Probe>, Cache>) SLOTLOOKUP_TOUCH(this, sizeof *this);
  }

  void insert(Slot& slot) override {
    cache_.enter(slot);
    At::insert(slot);
  }
  void erase(Slot& slot) override {
    cache_.drop(slot);
    At::erase(slot);
  }
  void replace(Slot& old_slot, Slot& by) override {
    cache_.follow(old_slot, by);
    At::replace(old_slot, by);
  }
  bool copy_from(const Index& other) override {
    cache_.clear();
    return At::copy_from(other);
  }

  std::uint64_t replay(std::span<const std::uint64_t> gfn, std::span<const std::uint16_t> vcpu,
                       const ReplayMode& mode) override {
    return with_mode<Probe>(mode, [this, gfn, vcpu, &mode]<ReplayKind kind, bool cold>() {
      Chain<kind, cold> chain(mode.displacer);
      std::uint64_t sum = 0;
      for (std::size_t i = 0; i < gfn.size(); ++i) {
        SLOTLOOKUP_BEGIN_OPERATION();
        const Slot* slot = find(gfn[i] + chain.before_question(), asker(vcpu, i));
        const std::uint64_t answer = slot ? number_of(*slot) + 1ull : 0;
        chain.after_answer(answer);
        sum += answer;
        forget_memory();
      }
      return sum;
    });
  }

 private:
  // The vCPU is read only if the cache needs it.
  static unsigned asker([[maybe_unused]] std::span<const std::uint16_t> vcpu, [[maybe_unused]] std::size_t i) {
    if constexpr (Cache::per_vcpu) return vcpu[i];
    return 0;
  }
  Slot* find(std::uint64_t gfn, unsigned vcpu) {
    if (Slot* slot = cache_.hit(gfn, vcpu)) return slot;
    Slot* slot = std::as_const(structure_).find(gfn);
    if (slot) cache_.store(slot, gfn, vcpu);
    return slot;
  }
  // The caller of a lookup reads the slot; reading its number represents that.
  std::uint32_t number_of(const Slot& slot) const {
    SLOTLOOKUP_TOUCH(&slot.number, sizeof slot.number);
    return slot.number;
  }

  using At::structure_;
  [[no_unique_address]] Cache cache_;
  [[no_unique_address]] Probe probe_;
};

template <template <class, class> class Structure, class Probe>
class HvaIndexOf final : public IndexAt<HvaIndex, Structure<HvaRole, Probe>> {
  using At = IndexAt<HvaIndex, Structure<HvaRole, Probe>>;

 public:
  explicit HvaIndexOf(const Home& home) : At(home, Probe()) { SLOTLOOKUP_TOUCH(this, sizeof *this); }
  ~HvaIndexOf() override {
    if constexpr (frees_memory<Structure<HvaRole, Probe>>) SLOTLOOKUP_TOUCH(this, sizeof *this);
  }

  void answer(std::span<const std::uint64_t> start, std::span<const std::uint64_t> end,
              std::vector<std::int32_t>& numbers, std::span<std::uint64_t> count) override {
    for (std::size_t i = 0; i < start.size(); ++i) {
      SLOTLOOKUP_BEGIN_OPERATION();
      const std::size_t before = numbers.size();
      structure_.visit(start[i], end[i] - 1, [&](const Slot& slot) {
        SLOTLOOKUP_TOUCH(&slot.number, sizeof slot.number);
        numbers.push_back(static_cast<std::int32_t>(slot.number));
      });
      count[i] += numbers.size() - before;
    }
  }

  std::uint64_t replay(std::span<const std::uint64_t> start, std::span<const std::uint64_t> end,
                       const ReplayMode& mode) override {
    return with_mode<Probe>(mode, [this, start, end, &mode]<ReplayKind kind, bool cold>() {
      Chain<kind, cold> chain(mode.displacer);
      std::uint64_t sum = 0;
      for (std::size_t i = 0; i < start.size(); ++i) {
        SLOTLOOKUP_BEGIN_OPERATION();
        const std::uint64_t nothing = chain.before_question();
        std::uint64_t answer = 0;
        structure_.visit(start[i] + nothing, end[i] - 1 + nothing, [this, &answer](const Slot& slot) {
          SLOTLOOKUP_TOUCH(&slot.number, sizeof slot.number);
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
  using At::structure_;
  [[no_unique_address]] Probe probe_;
};

// Indexes are in the arena with the slots, so that their own lines are placed as declared.
template <class I>
std::unique_ptr<I, ArenaDeleter> make_in_arena(const Home& home) {
  void* memory = home.arena.allocate_array(sizeof(I));
  try {
    return {new (memory) I(home), {&home.arena, sizeof(I)}};
  } catch (...) {
    home.arena.free_array(memory, sizeof(I));
    throw;
  }
}

template <template <class, class> class Structure, class Probe, template <class> class Cache>
GfnIndexPointer make_cached_index(const Home& home) {
  return make_in_arena<GfnIndexOf<Structure, Probe, Cache<Probe>>>(home);
}

template <template <class, class> class Structure, class Probe, template <class> class... Caches>
GfnIndexPointer make_index_with(PolicyList<Caches...>, const Home& home, CacheKind cache) {
  using Make = GfnIndexPointer (*)(const Home&);
  static constexpr Make kMakers[] = {&make_cached_index<Structure, Probe, Caches>...};
  return kMakers[static_cast<std::size_t>(cache)](home);
}

template <template <class, class> class Structure, class Probe>
GfnIndexPointer make_gfn_index(const Home& home, CacheKind cache) {
  return make_index_with<Structure, Probe>(CachePolicies{}, home, cache);
}

template <template <class, class> class Structure, class Probe>
HvaIndexPointer make_hva_index(const Home& home) {
  return make_in_arena<HvaIndexOf<Structure, Probe>>(home);
}

}  // namespace slotlookup
