// linear: slots in the order they were created, scanned from the front. See strategies/linear.py.
#include "range_array.hpp"
#include "slotlookup/native/registration.hpp"

namespace slotlookup {
namespace {

struct CreationOrder {
  static constexpr bool sorted = false;
};

template <class Role, class Probe>
using Linear = RangeArray<CreationOrder, false, Role, Probe>;
template <class Role, class Probe>
using LinearUnaliased = RangeArray<CreationOrder, true, Role, Probe>;

SLOTLOOKUP_STRUCTURE("linear", Linear)
SLOTLOOKUP_HVA_STRUCTURE("linear+unaliased", LinearUnaliased)

}  // namespace
}  // namespace slotlookup
