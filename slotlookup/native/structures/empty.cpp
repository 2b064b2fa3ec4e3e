// A structure that stores nothing and finds nothing. The cost of replaying a trace through it is the cost of the loop.
#include "slotlookup/native/registration.hpp"

namespace slotlookup {
namespace {

template <class Role, class Probe>
class Empty {
 public:
  using Node = NoNode;
  static constexpr OptionalMembers kOptional{};
  Empty(const Home&, Probe) {}
  void insert(Slot&) { ++size_; }
  void erase(Slot&) { --size_; }
  void replace(Slot&, Slot&) {}
  Slot* find(std::uint64_t) const { return nullptr; }
  template <class Visit>
  void visit(std::uint64_t, std::uint64_t, Visit&&) const {}
  void check() const {}
  std::size_t size() const { return size_; }

 private:
  std::size_t size_ = 0;
};

SLOTLOOKUP_STRUCTURE("empty", Empty)

}  // namespace
}  // namespace slotlookup
