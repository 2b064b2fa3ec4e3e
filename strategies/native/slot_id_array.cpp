// slot-id-array: an array with a place for each slot id, scanned from id 0. See strategies/slot_id_array.py.
#include <algorithm>
#include <cstring>

#include "slotlookup/native/registration.hpp"

namespace slotlookup {
namespace {

// Invariants:
//   1. the place of a slot's id holds its range and the slot
//   2. any other place holds an empty range, which no question meets
//   3. there are as many places as the largest id ever held, and one
template <class Role, class Probe>
class SlotIdArray {
 public:
  using Node = NoNode;
  static constexpr OptionalMembers kOptional{.copy_from = true};

  SlotIdArray(const Home& home, Probe probe) : arena_(home.arena), probe_(probe) {}
  ~SlotIdArray() {
    if (places_) arena_.free_array(places_, capacity_ * sizeof(Place));
  }
  SlotIdArray(const SlotIdArray&) = delete;
  SlotIdArray& operator=(const SlotIdArray&) = delete;

  void copy_from(const SlotIdArray& other) {
    reserve(other.size_);
    size_ = other.size_;
    held_ = other.held_;
    if (!size_) return;
    SLOTLOOKUP_TOUCH(other.places_, size_ * sizeof(Place));
    SLOTLOOKUP_TOUCH(places_, size_ * sizeof(Place));
    std::memcpy(places_, other.places_, size_ * sizeof(Place));
  }

  void insert(Slot& slot) {
    SLOTLOOKUP_TOUCH(Role::start_field(slot), sizeof(std::uint64_t));
    SLOTLOOKUP_TOUCH(&slot.npages, sizeof slot.npages);
    SLOTLOOKUP_TOUCH(&size_, sizeof size_);
    const std::size_t id = id_of(slot);
    reserve(id + 1);
    for (; size_ <= id; ++size_) {
      SLOTLOOKUP_TOUCH(&places_[size_], sizeof(Place));
      places_[size_] = Place{};
    }
    Place& place = at(slot);
    place = Place{Role::start(slot), Role::last(slot) + 1, &slot};
    ++held_;
  }

  void erase(Slot& slot) {
    Place& place = at(slot);
    place.end = place.start;
    place.slot = nullptr;
    --held_;
  }

  void replace(Slot& old_slot, Slot& by) { at(old_slot).slot = &by; }

  Slot* find(std::uint64_t point) const {
    SLOTLOOKUP_TOUCH(&size_, sizeof size_);
    if (size_ == 0) return nullptr;
    SLOTLOOKUP_HOP();
    for (const Place *place = places_, *stop = places_ + size_; place != stop; ++place) {
      SLOTLOOKUP_EXAMINE();
      SLOTLOOKUP_TOUCH(place, sizeof *place);
      if (SLOTLOOKUP_COMPARE(point >= place->start) && SLOTLOOKUP_COMPARE(point < place->end)) {
        SLOTLOOKUP_HOP();
        return place->slot;
      }
    }
    return nullptr;
  }

  template <class Visit>
  void visit(std::uint64_t start, std::uint64_t last, Visit&& visit) const {
    SLOTLOOKUP_TOUCH(&size_, sizeof size_);
    if (size_ == 0) return;
    SLOTLOOKUP_HOP();
    for (const Place *place = places_, *stop = places_ + size_; place != stop; ++place) {
      SLOTLOOKUP_EXAMINE();
      SLOTLOOKUP_TOUCH(place, sizeof *place);
      // An empty place may lie inside the question: its end is not behind its start.
      if (SLOTLOOKUP_COMPARE(last >= place->start) && SLOTLOOKUP_COMPARE(start < place->end) && place->slot) {
        SLOTLOOKUP_HOP();
        visit(*place->slot);
      }
    }
  }

  void check() const {
    std::size_t found = 0;
    for (std::size_t i = 0; i < size_; ++i) {
      const Place& place = places_[i];
      require_invariant((place.slot != nullptr) == (place.end > place.start), "slot-id-array: only gaps are empty");
      if (!place.slot) continue;
      ++found;
      require_invariant(id_of(*place.slot) == i, "slot-id-array: a slot stands at its id");
      require_invariant(place.start == Role::start(*place.slot) && place.end == Role::last(*place.slot) + 1,
                        "slot-id-array: a place has its slot's range");
    }
    require_invariant(found == held_, "slot-id-array: every slot has a place");
  }

  std::size_t size() const { return held_; }

 private:
  // Half-open, so that a deleted slot is an empty range at its old start, as its npages of 0 made it in the kernel.
  struct Place {
    std::uint64_t start = 0;
    std::uint64_t end = 0;
    Slot* slot = nullptr;
  };

  static std::size_t id_of(const Slot& slot) { return slot.number & 0xffff; }

  Place& at(const Slot& slot) {
    SLOTLOOKUP_TOUCH(&places_, sizeof places_);
    SLOTLOOKUP_TOUCH(&slot.number, sizeof slot.number);
    SLOTLOOKUP_HOP();
    Place& place = places_[id_of(slot)];
    SLOTLOOKUP_TOUCH(&place, sizeof place);
    return place;
  }

  void reserve(std::size_t wanted) {
    if (wanted <= capacity_) return;
    const std::size_t wider = std::max({wanted, capacity_ * 2, std::size_t{8}});
    Place* places = static_cast<Place*>(arena_.allocate_array(wider * sizeof(Place)));
    if (size_) {
      SLOTLOOKUP_TOUCH(places_, size_ * sizeof(Place));
      SLOTLOOKUP_TOUCH(places, size_ * sizeof(Place));
      std::memcpy(places, places_, size_ * sizeof(Place));
    }
    if (places_) arena_.free_array(places_, capacity_ * sizeof(Place));
    places_ = places;
    capacity_ = wider;
  }

  Arena& arena_;
  Place* places_ = nullptr;
  std::size_t size_ = 0;  // places in use: gaps too
  std::size_t held_ = 0;  // slots
  std::size_t capacity_ = 0;
  [[no_unique_address]] Probe probe_;
};

SLOTLOOKUP_STRUCTURE("slot-id-array", SlotIdArray)

}  // namespace
}  // namespace slotlookup
