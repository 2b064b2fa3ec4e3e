// What a structure is, how a strategy drives it, and how a source file under strategies/native/ announces itself.
//
// A structure is a class template over the key it indexes and the probe it reports to:
//
//   template <class Role, class Probe>
//   class MyTree {
//    public:
//     using Node = ...;                       // embedded in every slot; NoNode where there is none
//     MyTree(const Home& home, Probe probe);
//     void insert(Slot&);                     // the slot is not in the structure
//     void erase(Slot&);                      // the slot is in the structure, with the range it was inserted with
//     void replace(Slot& old_slot, Slot& by); // same range, other object
//     Slot* find(std::uint64_t point);        // gfn role: at most one slot holds it
//     template <class Visit> void visit(std::uint64_t start, std::uint64_t last, Visit&&);  // hva role: all, each once
//     void check() const;                     // throws BrokenInvariant
//     std::size_t size() const;
//     void settle();                          // optional, see below
//     void copy_from(const MyTree&);          // optional: become a copy, for structures without nodes in the slots
//     std::size_t outside_bytes() const;      // optional: bytes that are not in the arena
//   };
//   SLOTLOOKUP_STRUCTURE("my-tree", MyTree)
//
// Everything a structure owns comes from home.arena, and its destructor gives arrays back to it. `start` and `last` are
// inclusive and never empty.
//
// settle() is for structures that are built in one go rather than kept up to date: insert, erase and replace may only
// note what is to change, and settle() brings what find and visit read up to date. It is called after every change that
// readers are to see, but only once after a bulk load.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "slotlookup/native/arena.hpp"
#include "slotlookup/native/mode.hpp"
#include "slotlookup/native/probe.hpp"
#include "slotlookup/native/slot.hpp"

namespace slotlookup {

struct BrokenInvariant : std::logic_error {
  using std::logic_error::logic_error;
};

inline void require(bool holds, const char* invariant) {
  if (!holds) throw BrokenInvariant(invariant);
}

// Where a structure lives: its memory, and where its node lies in front of a slot.
struct Home {
  Arena& arena;
  std::ptrdiff_t node_before_slot;
};

// What stands in front of gfn lookups; see cache.hpp.
enum class CacheKind { none, last_used, per_vcpu, direct_mapped, mru_section };

// A structure at work in one role, for one address space and one slot set. Virtual calls are paid once a batch.
class Index {
 public:
  virtual ~Index() = default;
  virtual void insert(Slot&) = 0;
  virtual void erase(Slot&) = 0;
  virtual void replace(Slot& old_slot, Slot& by) = 0;
  // Readers look from here on: bring up to date what was put off.
  virtual void settle() = 0;
  // Become a copy of another index of the same type, or say that the structure cannot.
  virtual bool copy_from(const Index& other) = 0;
  virtual void check() const = 0;
  virtual std::size_t size() const = 0;
  virtual std::size_t object_bytes() const = 0;            // of the index itself, for its return to the arena
  virtual std::size_t outside_bytes() const { return 0; }  // allocated elsewhere than in the arena
};

inline constexpr std::int32_t kHole = -1;

class GfnIndex : public Index {
 public:
  // Writes the slot number, or kHole, of each gfn. `vcpu` says who asks.
  virtual void answer(const std::uint64_t* gfn, const std::uint16_t* vcpu, std::size_t n, std::int32_t* out) = 0;
  // Looks every gfn up and returns the sum of (number + 1) over the slots found.
  virtual std::uint64_t replay(const std::uint64_t* gfn, const std::uint16_t* vcpu, std::size_t n,
                               const ReplayMode&) = 0;
};

class HvaIndex : public Index {
 public:
  // Appends the numbers of the slots that meet [start[i], end[i]), in the structure's own order, and their count.
  virtual void answer(const std::uint64_t* start, const std::uint64_t* end, std::size_t n,
                      std::vector<std::int32_t>& numbers, std::uint64_t* count) = 0;
  virtual std::uint64_t replay(const std::uint64_t* start, const std::uint64_t* end, std::size_t n,
                               const ReplayMode&) = 0;
};

// How to make a structure, timed or counted: each source is compiled once for either, so that nothing the one needs can
// weigh on the other's code. A null maker means that the structure does not serve that role.
struct StructureEntry {
  const char* name;
  bool counted;
  std::size_t gfn_node_bytes;
  std::size_t hva_node_bytes;
  GfnIndex* (*make_gfn)(const Home&, Meter*, CacheKind);
  HvaIndex* (*make_hva)(const Home&, Meter*);
};

std::vector<StructureEntry>& structure_registry();
const StructureEntry* find_structure(const std::string& name, bool counted);

struct StructureRegistration {
  explicit StructureRegistration(StructureEntry entry) { structure_registry().push_back(entry); }
};

}  // namespace slotlookup

#include "slotlookup/native/index.hpp"

#ifdef SLOTLOOKUP_COUNTED
#define SLOTLOOKUP_PROBE ::slotlookup::CountProbe
#else
#define SLOTLOOKUP_PROBE ::slotlookup::NoProbe
#endif
#define SLOTLOOKUP_NODE_BYTES(Template, Role) \
  ::slotlookup::kNodeBytes<typename Template<::slotlookup::Role, SLOTLOOKUP_PROBE>::Node>
#define SLOTLOOKUP_REGISTER(name, Template, gfn_node, hva_node, gfn_maker, hva_maker)  \
  static const ::slotlookup::StructureRegistration slotlookup_registration_##Template( \
      {name, SLOTLOOKUP_PROBE::counting, gfn_node, hva_node, gfn_maker, hva_maker});

#define SLOTLOOKUP_STRUCTURE(name, Template)                                       \
  SLOTLOOKUP_REGISTER(name, Template, SLOTLOOKUP_NODE_BYTES(Template, GfnRole),    \
                      SLOTLOOKUP_NODE_BYTES(Template, HvaRole),                    \
                      (&::slotlookup::make_gfn_index<Template, SLOTLOOKUP_PROBE>), \
                      (&::slotlookup::make_hva_index<Template, SLOTLOOKUP_PROBE>))

// Structures that serve one role only.
#define SLOTLOOKUP_GFN_STRUCTURE(name, Template)                                   \
  SLOTLOOKUP_REGISTER(name, Template, SLOTLOOKUP_NODE_BYTES(Template, GfnRole), 0, \
                      (&::slotlookup::make_gfn_index<Template, SLOTLOOKUP_PROBE>), nullptr)
#define SLOTLOOKUP_HVA_STRUCTURE(name, Template)                                            \
  SLOTLOOKUP_REGISTER(name, Template, 0, SLOTLOOKUP_NODE_BYTES(Template, HvaRole), nullptr, \
                      (&::slotlookup::make_hva_index<Template, SLOTLOOKUP_PROBE>))
