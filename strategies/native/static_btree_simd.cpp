// static-btree-simd: the nodes of `static-btree` compared by vector instructions. See strategies/static_btree_simd.py.
#include "slotlookup/native/registration.hpp"
#include "static_btree.hpp"

namespace slotlookup {
namespace {

template <class Role, class Probe>
using VectorBtree = StaticBtree<true, Role, Probe>;

SLOTLOOKUP_GFN_STRUCTURE("static-btree-simd", VectorBtree)

}  // namespace
}  // namespace slotlookup
