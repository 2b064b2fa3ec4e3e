// superintervals: the library's own header over the slots' hva ranges, rebuilt after every change.
// A rival for bench/suites/bench_rivals.py, not a strategy; built only if SLOTLOOKUP_PACKAGED_RIVALS is on.
#include <algorithm>
#include <superintervals.hpp>
#include <vector>

#include "slotlookup/native/registration.hpp"

namespace slotlookup {
namespace {

template <class Role, class Probe>
class SuperIntervals {
 public:
  using Node = NoNode;
  static constexpr OptionalMembers kOptional{.settle = true};

  SuperIntervals(const Home&, Probe) {}

  void insert(Slot& slot) { slots_.push_back(&slot); }
  void erase(Slot& slot) { slots_.erase(std::find(slots_.begin(), slots_.end(), &slot)); }
  void replace(Slot& old_slot, Slot& by) { *std::find(slots_.begin(), slots_.end(), &old_slot) = &by; }

  void settle() {
    map_.clear();
    for (Slot* slot : slots_) map_.add(Role::start(*slot), Role::last(*slot), slot);
    map_.build();
  }

  template <class Visit>
  void visit(std::uint64_t start, std::uint64_t last, Visit&& visit) {
    if (slots_.empty()) return;
    found_.clear();
    map_.search_values(start, last, found_);
    for (Slot* slot : found_) visit(*slot);
  }

  void check() const {}
  std::size_t size() const { return slots_.size(); }

 private:
  std::vector<Slot*> slots_;
  std::vector<Slot*> found_;
  si::IntervalMap<std::uint64_t, Slot*> map_;
};

SLOTLOOKUP_HVA_STRUCTURE("superintervals", SuperIntervals)

}  // namespace
}  // namespace slotlookup
