// static-btree: the starts of a sorted table under a B-tree that is built in one step. See strategies/static_btree.py.
#include "static_btree.hpp"

#include "slotlookup/native/registration.hpp"

namespace slotlookup {
namespace {

template <class Role, class Probe>
using ScalarBtree = StaticBtree<false, Role, Probe>;

SLOTLOOKUP_GFN_STRUCTURE("static-btree", ScalarBtree)

}  // namespace
}  // namespace slotlookup
