// Tests one structure, with nodes of a few entries, by random insertions, removals, replacements and questions.
// WORKOUT_SOURCE is the structure's source, WORKOUT_STRUCTURE its template, WORKOUT_CONSTANTS its arguments after role
// and probe; with WORKOUT_HVA both roles are tested. Every answer is compared with that of a scan over all slots;
// invariants are checked after every change. At the end all memory must be back in the arena.
#include <cstdio>
#include <random>

#include WORKOUT_SOURCE

namespace slotlookup {

namespace {

using Probe = NoProbe;

template <class Role>
struct Workout {
  static constexpr bool by_gfn = std::is_same_v<Role, GfnRole>;

  explicit Workout(unsigned seed, std::uint64_t room_, std::size_t most_)
      : chance(seed), room(room_), most(most_), empty(arena.bytes_in_use()) {}

  std::uint64_t pick(std::uint64_t below) { return chance() % below; }

  Slot* fresh(std::uint64_t start, std::uint64_t npages) {
    Slot* slot = new (arena.allocate_object(sizeof(Slot))) Slot{};
    slot->base_gfn = by_gfn ? start : 0;
    slot->userspace_addr = by_gfn ? 0 : start << kPageShift;
    slot->npages = npages;
    slot->number = ++numbers;
    return slot;
  }
  void gone(Slot* slot) { arena.free_object(slot, sizeof(Slot)); }

  bool is_free(std::uint64_t start, std::uint64_t npages) const {
    for (const Slot* slot : held) {
      if (start <= GfnRole::last(*slot) && slot->base_gfn <= start + npages - 1) return false;
    }
    return true;
  }

  template <class Structure>
  void change(Structure& structure) {
    const bool grow = held.size() < most && (held.empty() || pick(100) < (shrinking ? 35 : 65));
    if (held.size() >= most) shrinking = true;
    if (held.empty()) shrinking = false;
    if (grow) {
      const std::uint64_t npages = pick(4) == 0 ? 1 + pick(room / 8 + 1) : 1 + pick(3);
      const std::uint64_t start = offset + pick(room);
      if (by_gfn && !is_free(start, npages)) return;
      held.push_back(fresh(start, npages));
      structure.insert(*held.back());
    } else {
      const std::size_t at = pick(held.size());
      Slot* slot = held[at];
      if (pick(8) == 0) {
        Slot* by = fresh(by_gfn ? slot->base_gfn : slot->userspace_addr >> kPageShift, slot->npages);
        structure.replace(*slot, *by);
        held[at] = by;
      } else {
        structure.erase(*slot);
        held[at] = held.back();
        held.pop_back();
      }
      gone(slot);
    }
    if constexpr (std::decay_t<decltype(structure)>::kOptional.settle) structure.settle();
  }

  template <class Structure>
  void ask(Structure& structure) {
    if constexpr (by_gfn) {
      for (std::uint64_t point :
           {offset + pick(room + room / 4), std::uint64_t{0}, ~std::uint64_t{0}, offset, offset + room}) {
        const Slot* right = nullptr;
        for (const Slot* slot : held) {
          if (point >= slot->base_gfn && point <= GfnRole::last(*slot)) right = slot;
        }
        require_invariant(structure.find(point) == right, "workout: a wrong answer");
      }
    } else {
      const std::uint64_t start = (offset + pick(room)) << kPageShift;
      const std::uint64_t last = start + (pick(4) == 0 ? pick(room << kPageShift) : pick(3 << kPageShift));
      std::uint64_t right = 0;
      for (const Slot* slot : held) {
        if (start <= HvaRole::last(*slot) && HvaRole::start(*slot) <= last) right += slot->number;
      }
      std::uint64_t met = 0;
      structure.visit(start, last, [&met](const Slot& slot) { met += slot.number; });
      require_invariant(met == right, "workout: a visit found wrong slots");
    }
  }

  void run(unsigned changes) {
    {
      WORKOUT_STRUCTURE<Role, Probe, WORKOUT_CONSTANTS> structure(Home{arena, 0}, Probe());
      for (unsigned i = 0; i < changes; ++i) {
        change(structure);
        structure.check();
        require_invariant(structure.size() == held.size(), "workout: the structure counts its slots");
        for (int questions = 0; questions < 4; ++questions) ask(structure);
      }
    }
    for (Slot* slot : held) gone(slot);
    require_invariant(arena.bytes_in_use() == empty, "workout: the destructor frees all memory");
  }

  Arena arena{Placement::scattered, 1};
  std::mt19937_64 chance;
  std::uint64_t room;
  std::size_t most;
  std::size_t empty;
  std::uint64_t offset = 0;
  std::vector<Slot*> held;
  bool shrinking = false;
  std::uint32_t numbers = 0;
};

template <class Role>
void work_out() {
  for (unsigned seed = 0; seed < 6; ++seed) {
    // Dense, so that neighbours are adjacent and starts repeat; sparse; and at the end of all gfns.
    Workout<Role>(seed, 60, 40).run(2500);
    Workout<Role>(seed, 4000, 300).run(1500);
    Workout<Role> high(seed, 3000, 200);
    high.offset = (std::uint64_t{1} << 51) - 5000;
    high.run(1500);
  }
}

}  // namespace
}  // namespace slotlookup

int main() {
  try {
    slotlookup::work_out<slotlookup::GfnRole>();
#ifdef WORKOUT_HVA
    slotlookup::work_out<slotlookup::HvaRole>();
#endif
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
