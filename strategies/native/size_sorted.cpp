// size-sorted: slots by size, largest first, scanned from the front. See strategies/size_sorted.py.
#include "range_array.hpp"
#include "slotlookup/native/registration.hpp"

namespace slotlookup {
namespace {

struct LargestFirst {
  static constexpr bool sorted = true;
  // Among equal sizes, the earlier slot is first.
  template <class Entry>
  static bool before(const Entry& a, const Entry& b) {
    return a.length() > b.length();
  }
};

template <class Role, class Probe>
using SizeSorted = RangeArray<LargestFirst, false, Role, Probe>;
template <class Role, class Probe>
using SizeSortedUnaliased = RangeArray<LargestFirst, true, Role, Probe>;

SLOTLOOKUP_STRUCTURE("size-sorted", SizeSorted)
SLOTLOOKUP_HVA_STRUCTURE("size-sorted+unaliased", SizeSortedUnaliased)

}  // namespace
}  // namespace slotlookup
