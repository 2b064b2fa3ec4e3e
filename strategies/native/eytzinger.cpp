// eytzinger: the starts of a sorted table in breadth-first order of a search tree.
// See strategies/eytzinger.py.
#include <algorithm>
#include <bit>

#include "slotlookup/native/registration.hpp"
#include "sorted_columns.hpp"

namespace slotlookup {
namespace {

template <class Role, class Probe>
class Eytzinger : public SortedColumns<Role, Probe> {
  using Columns = SortedColumns<Role, Probe>;
  using Columns::probe_, Columns::size_, Columns::starts;

 public:
  static constexpr OptionalMembers kOptional{.settle = true, .copy_from = true};
  Eytzinger(const Home& home, Probe probe) : Columns(home, probe), keys_(home.arena) {}

  void copy_from(const Eytzinger& other) {
    this->copy_columns(other);
    stale_ = true;
  }
  void insert(Slot& slot) {
    Columns::insert(slot);
    stale_ = true;
  }
  void erase(Slot& slot) {
    Columns::erase(slot);
    stale_ = true;
  }

  void settle() {
    SLOTLOOKUP_TOUCH(&levels_, sizeof levels_);
    SLOTLOOKUP_TOUCH(&stale_, sizeof stale_);
    if (!stale_) return;
    stale_ = false;
    const unsigned levels = static_cast<unsigned>(std::bit_width(std::size_t{size_}));
    levels_ = static_cast<std::uint16_t>(levels);
    keys_.remake(levels ? std::size_t{1} << levels : 0, probe_);
    if (!levels) return;
    const std::uint64_t* const sorted = starts();
    SLOTLOOKUP_TOUCH(keys_.data(), sizeof(std::uint64_t) << levels);
    SLOTLOOKUP_TOUCH(sorted, size_ * sizeof *sorted);
    keys_[0] = kNever;
    // Level by level; a level's keys are evenly spaced in the sorted order.
    for (unsigned level = 0; level < levels; ++level) {
      const std::size_t step = std::size_t{1} << (levels - level);
      const std::size_t first = std::size_t{1} << level;
      for (std::size_t i = 0; i < first; ++i) {
        const std::size_t place = i * step + step / 2 - 1;
        keys_[first + i] = place < size_ ? sorted[place] : kNever;
      }
    }
  }

  Slot* find(std::uint64_t point) const {
    SLOTLOOKUP_TOUCH(&levels_, sizeof levels_);
    if (levels_ == 0) return nullptr;
    const std::uint64_t wanted = std::min(point, kNever - 1);
    SLOTLOOKUP_HOP();
    std::size_t k = 1;
    unsigned level = levels_;
    // The eight keys that a search may need three levels below a key share a line.
    for (; level > kAhead; --level) {
      __builtin_prefetch(keys_.data() + (k << kAhead));
      k = below(k, wanted);
    }
    for (; level; --level) k = below(k, wanted);
    // After the lowest level, the number of a place is the number of keys to its left.
    const std::size_t rank = k - (std::size_t{1} << levels_);
    if (rank) SLOTLOOKUP_EXAMINE();
    return this->holder(rank, point);
  }

  void check() const {
    Columns::check();
    require_invariant(!stale_, "eytzinger: the keys are those of the slots");
    require_invariant(size_ >> levels_ == 0 && (levels_ == 0 || size_ >> (levels_ - 1)),
                      "eytzinger: as few levels as possible");
    for (std::size_t i = 0; i < size_; ++i) {
      require_invariant(starts()[i] < kNever, "eytzinger: starts precede the padding");
      std::size_t k = 1;
      for (unsigned level = levels_; level; --level) k = 2 * k + (keys_[k] <= starts()[i]);
      require_invariant(k - (std::size_t{1} << levels_) == i + 1,
                        "eytzinger: a search for each start ends at its slot");
    }
  }

 private:
  // Above every gfn: a guest physical address has 64 bits, its page frame number 52.
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};
  static constexpr unsigned kAhead = 3;

  std::size_t below(std::size_t k, std::uint64_t wanted) const {
    SLOTLOOKUP_TOUCH(&keys_[k], sizeof keys_[k]);
    return 2 * k + SLOTLOOKUP_COMPARE(keys_[k] <= wanted);
  }

  std::uint16_t levels_ = 0;
  bool stale_ = false;
  ArenaArray<std::uint64_t> keys_;  // [1, 2^levels): a key's children are at twice its index, and the next one
};

SLOTLOOKUP_GFN_STRUCTURE("eytzinger", Eytzinger)

}  // namespace
}  // namespace slotlookup
