// What a structure is. A source file under strategies/native/ registers one with a macro of registration.hpp.
//
// A structure is a class template over the key that it indexes and the probe to which it reports:
//
//   template <class Role, class Probe>
//   class MyTree {
//    public:
//     using Node = ...;                       // embedded in every slot; NoNode if there is none
//     static constexpr OptionalMembers kOptional{...};  // which of the optional members below it has
//     MyTree(const Home& home, Probe probe);
//     void insert(Slot&);                     // the slot is not in the structure
//     void erase(Slot&);                      // the slot is in the structure, with the range it was inserted with
//     void replace(Slot& old_slot, Slot& by); // same range, other object
//     Slot* find(std::uint64_t point) const;  // gfn role: at most one slot contains it
//     template <class Visit> void visit(std::uint64_t start, std::uint64_t last, Visit&&) const;  // hva role: all, once
//     void check() const;                     // throws BrokenInvariant
//     std::size_t size() const;
//     void settle();                          // optional: see below
//     void copy_from(const MyTree&);          // optional: become a copy, for structures without nodes in the slots
//     std::size_t outside_bytes() const;      // optional: bytes that are not in the arena
//   };
//   SLOTLOOKUP_STRUCTURE("my-tree", MyTree)
//
// A structure allocates all its memory from home.arena, and its destructor frees arrays there. `start` and `last` are
// inclusive and never empty.
//
// settle() is for structures that are built in one step: insert, erase and replace may only store the change, and
// settle() updates the data that find and visit read. It is called after every change that readers will see, but only
// once after a bulk load.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <stdexcept>

#include "slotlookup/native/arena.hpp"
#include "slotlookup/native/probe.hpp"
#include "slotlookup/native/slot.hpp"

namespace slotlookup {

struct BrokenInvariant : std::logic_error {
  using std::logic_error::logic_error;
};

// Throws BrokenInvariant if an invariant does not hold.
inline void require_invariant(bool holds, const char* invariant) {
  if (!holds) throw BrokenInvariant(invariant);
}

// The environment of a structure: its arena, and the offset of its node before a slot.
struct Home {
  Arena& arena;
  std::ptrdiff_t node_before_slot;
};

// Which optional members a structure has. Each structure declares it, so that a member with a misspelled name or
// another signature does not compile; without the declaration it would be ignored, and a copy would become a rebuild.
struct OptionalMembers {
  bool settle = false;
  bool copy_from = false;
  bool outside_bytes = false;
};

template <class S>
inline constexpr OptionalMembers kFoundMembers = {
    .settle =
        requires(S& structure) {
          { structure.settle() } -> std::same_as<void>;
        },
    .copy_from =
        requires(S& structure, const S& other) {
          { structure.copy_from(other) } -> std::same_as<void>;
        },
    .outside_bytes =
        requires(const S& structure) {
          { structure.outside_bytes() } -> std::same_as<std::size_t>;
        },
};

// Fails to compile if a structure's declaration and its members differ.
template <class S>
constexpr void require_declared_members() {
  static_assert(S::kOptional.settle == kFoundMembers<S>.settle,
                "`void settle()` and kOptional.settle go together: a structure has both or neither");
  static_assert(S::kOptional.copy_from == kFoundMembers<S>.copy_from,
                "`void copy_from(const S&)` and kOptional.copy_from go together: a structure has both or neither");
  static_assert(
      S::kOptional.outside_bytes == kFoundMembers<S>.outside_bytes,
      "`std::size_t outside_bytes() const` and kOptional.outside_bytes go together: a structure has both or neither");
}

}  // namespace slotlookup
