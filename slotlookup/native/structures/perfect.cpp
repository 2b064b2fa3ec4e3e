// The floor: an index that knows the questions before they are asked, and reads only the slots that answer them.
//
// foresee() finds the answers of a segment outside the clock and stores them in the order of the questions. The replay
// then reads the next answer and the slot's number, as every lookup's caller does. No structure that has to find the
// slot can take less time, so the difference between a structure and this one is the cost of finding. It serves
// timed replays only: it is never counted, never ranked, and never asked a single question.
#include <algorithm>
#include <stdexcept>
#include <vector>

#include "slotlookup/native/registration.hpp"

#ifndef SLOTLOOKUP_COUNTED

namespace slotlookup {
namespace {

void require_foreseen(bool foreseen) {
  if (!foreseen) throw std::logic_error("perfect: only the questions that it foresaw can be asked");
}

// The slots that it holds, for foresee(). A slot is found by going through all; no line of it is read in a replay.
template <class Interface, class Role>
class Held : public Interface {
 public:
  void insert(Slot& slot) override { slots_.push_back(&slot); }
  void erase(Slot& slot) override { slots_.erase(position(slot)); }
  void replace(Slot& old_slot, Slot& by) override { *position(old_slot) = &by; }
  void settle() override {}
  bool copy_from(const Index&) override { return false; }
  void check() const override {}
  std::size_t size() const override { return slots_.size(); }

 protected:
  // In order of start, with the largest last of the slots up to each.
  struct Place {
    std::uint64_t start;
    std::uint64_t last_so_far;
    const Slot* slot;
  };
  std::vector<Place> sorted() const {
    std::vector<Place> places;
    places.reserve(slots_.size());
    for (const Slot* slot : slots_) places.push_back({Role::start(*slot), Role::last(*slot), slot});
    std::sort(places.begin(), places.end(), [](const Place& a, const Place& b) { return a.start < b.start; });
    for (std::size_t i = 1; i < places.size(); ++i) {
      places[i].last_so_far = std::max(places[i].last_so_far, places[i - 1].last_so_far);
    }
    return places;
  }
  // Calls `found` with each slot that meets [start, last].
  template <class Found>
  static void for_each(const std::vector<Place>& places, std::uint64_t start, std::uint64_t last, Found&& found) {
    auto place = std::upper_bound(places.begin(), places.end(), last,
                                  [](std::uint64_t point, const Place& each) { return point < each.start; });
    while (place != places.begin() && (--place)->last_so_far >= start) {
      if (Role::last(*place->slot) >= start) found(place->slot);
    }
  }

 private:
  std::vector<Slot*>::iterator position(const Slot& slot) {
    const auto found = std::find(slots_.begin(), slots_.end(), &slot);
    require_invariant(found != slots_.end(), "perfect: the slot to remove is held");
    return found;
  }

  std::vector<Slot*> slots_;
};

class PerfectGfn final : public Held<GfnIndex, GfnRole> {
 public:
  void foresee(std::span<const std::uint64_t> gfn) override {
    const auto places = sorted();
    answers_.assign(gfn.size(), nullptr);
    for (std::size_t i = 0; i < gfn.size(); ++i) {
      for_each(places, gfn[i], gfn[i], [this, i](const Slot* slot) { answers_[i] = slot; });
    }
  }
  std::uint64_t replay(std::span<const std::uint64_t> gfn, std::span<const std::uint16_t>,
                       const ReplayMode& mode) override {
    require_foreseen(answers_.size() == gfn.size());
    return with_mode<NoProbe>(mode, [this, n = gfn.size(), &mode]<ReplayKind kind, bool cold>() {
      Chain<kind, cold> chain(mode.displacer);
      std::uint64_t sum = 0;
      for (std::size_t i = 0; i < n; ++i) {
        const Slot* slot = answers_[i + chain.before_question()];
        const std::uint64_t answer = slot ? slot->number + 1ull : 0;
        chain.after_answer(answer);
        sum += answer;
        forget_memory();
      }
      return sum;
    });
  }

 private:
  std::vector<const Slot*> answers_;
};

class PerfectHva final : public Held<HvaIndex, HvaRole> {
 public:
  void foresee(std::span<const std::uint64_t> start, std::span<const std::uint64_t> end) override {
    const auto places = sorted();
    answers_.clear();
    ends_.clear();
    for (std::size_t i = 0; i < start.size(); ++i) {
      for_each(places, start[i], end[i] - 1, [this](const Slot* slot) { answers_.push_back(slot); });
      ends_.push_back(static_cast<std::uint32_t>(answers_.size()));
    }
  }
  void answer(std::span<const std::uint64_t>, std::span<const std::uint64_t>, std::vector<std::int32_t>&,
              std::span<std::uint64_t>) override {
    require_foreseen(false);
  }
  std::uint64_t replay(std::span<const std::uint64_t> start, std::span<const std::uint64_t>,
                       const ReplayMode& mode) override {
    require_foreseen(ends_.size() == start.size());
    return with_mode<NoProbe>(mode, [this, n = start.size(), &mode]<ReplayKind kind, bool cold>() {
      Chain<kind, cold> chain(mode.displacer);
      std::uint64_t sum = 0;
      const Slot* const* slot = answers_.data();
      for (std::size_t i = 0; i < n; ++i) {
        std::uint64_t answer = 0;
        slot += chain.before_question();
        for (const Slot* const* stop = answers_.data() + ends_[i]; slot != stop; ++slot)
          answer += (*slot)->number + 1ull;
        chain.after_answer(answer);
        sum += answer;
        forget_memory();
      }
      return sum;
    });
  }

 private:
  std::vector<const Slot*> answers_;
  std::vector<std::uint32_t> ends_;  // for each visit, where its answers end
};

template <class Pointer, class Perfect>
Pointer make(const Home& home) {
  return {new (home.arena.allocate_array(sizeof(Perfect))) Perfect(), {&home.arena, sizeof(Perfect)}};
}

const StructureRegistration registration(
    {"perfect", false, 0, 0, [](const Home& home, CacheKind) { return make<GfnIndexPointer, PerfectGfn>(home); },
     [](const Home& home) { return make<HvaIndexPointer, PerfectHva>(home); }});

}  // namespace
}  // namespace slotlookup

#endif
