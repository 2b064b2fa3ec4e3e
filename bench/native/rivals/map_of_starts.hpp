// A library's ordered map from starts to slots, with its own allocator, as in ordinary use; shared by std-map and
// absl-btree. They are rivals for bench/suites/bench_rivals.py, not strategies: they have no hooks, and their nodes are
// outside the arena.
#pragma once

#include <iterator>

#include "slotlookup/native/structure.hpp"

namespace slotlookup {

template <class Map, class Role>
class MapOfStarts {
 public:
  using Node = NoNode;
  static constexpr OptionalMembers kOptional{};

  template <class Probe>
  MapOfStarts(const Home&, Probe) {}

  void insert(Slot& slot) { slots_.emplace(Role::start(slot), &slot); }
  void erase(Slot& slot) { slots_.erase(Role::start(slot)); }
  void replace(Slot& old_slot, Slot& by) { slots_[Role::start(old_slot)] = &by; }

  Slot* find(std::uint64_t point) const {
    const auto behind = slots_.upper_bound(point);
    if (behind == slots_.begin()) return nullptr;
    Slot* slot = std::prev(behind)->second;
    return point <= Role::last(*slot) ? slot : nullptr;
  }

  void check() const {}
  std::size_t size() const { return slots_.size(); }

 private:
  Map slots_;
};

}  // namespace slotlookup
