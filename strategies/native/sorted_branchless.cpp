// sorted-branchless: starts in a separate column, with a branchless binary search.
// See strategies/sorted_branchless.py.
#include "slotlookup/native/registration.hpp"
#include "sorted_columns.hpp"

namespace slotlookup {
namespace {

template <class Role, class Probe>
class SortedBranchless : public SortedColumns<Role, Probe> {
 public:
  static constexpr OptionalMembers kOptional{.copy_from = true};
  using SortedColumns<Role, Probe>::SortedColumns;

  void copy_from(const SortedBranchless& other) { this->copy_columns(other); }
  Slot* find(std::uint64_t point) const { return this->holder(this->upto(point), point); }
};

SLOTLOOKUP_GFN_STRUCTURE("sorted-branchless", SortedBranchless)

}  // namespace
}  // namespace slotlookup
