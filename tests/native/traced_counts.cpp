// Compares what every structure's hooks report with the memory that its timed instance accesses, operation by operation.
//
// Two strategies of the same spec, one timed and one counted, get the same slot changes, lookups and visits. Their arenas
// have the same layout, so an offset from the arena's start means the same in both. Of each operation:
//   lines      each line accessed is in a report, and the counter `lines` is the number of lines reported
//   idle       each report names memory of which something is accessed
//   words      no word outside the structure's own fields is loaded more often than reports name it
//   hops       the counter `hops` is the number of loaded pointers whose memory is accessed afterwards
// `words` and `hops` are compared for lookups and visits only; tests/test_traced_counts.py says what holds for changes.
// The other role is served by the structure `empty`, which is compiled without hooks and is not traced.
//
// Prints a line for each kind of operation: structure, role, update, cache, operation, number of operations, sums of
// lines and of hops reported and accessed, words loaded, and words loaded more often than reported. Below it, indented, a
// line for each fault: what, where, and in how many operations.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "slotlookup/native/cache.hpp"
#include "slotlookup/native/strategy.hpp"
#include "tests/native/memory_trace.hpp"

namespace {

using namespace slotlookup;
using memory_trace::Access;
using memory_trace::Range;

constexpr std::size_t kTraced = std::size_t{512} << 20;  // what an arena reserves
constexpr std::size_t kWord = sizeof(std::uint32_t);     // the smallest field of a structure

enum Role { kGfn, kHva };
constexpr const char* kRoles[] = {GfnRole::name, HvaRole::name};

// The unit-sized parts of a range, numbered from the arena's start.
template <class Each>
void each_unit(const Range& range, std::uintptr_t base, std::size_t unit, Each&& each) {
  for (std::uintptr_t u = (range.address - base) / unit; u <= (range.address + range.bytes - 1 - base) / unit; ++u)
    each(u);
}

struct Tally {
  long operations = 0;
  long lines_reported = 0, lines_accessed = 0;
  long hops_reported = 0, hops_accessed = 0;
  long words_loaded = 0, words_unreported = 0;
  std::map<std::string, long> faults;  // and in how many operations
};

class Comparison {
 public:
  Comparison(StrategySpec spec, Role role)
      : role_(role), entries_(spec.gfn == "radix-table"), timed_(spec), counted_(counted(spec)) {}

  template <class Operation>
  void run(Tally& tally, bool change, Operation&& operation) {
    std::set<std::uintptr_t> own = own_fields();
    memory_trace::start(timed_.arena().base(), kTraced);
    const std::uint64_t answer = operation(timed_);
    std::vector<Access> accesses = memory_trace::accesses();
    own.merge(own_fields());  // a copy has fields of its own

    counted_.set_counters({});
    memory_trace::start(counted_.arena().base(), 0);
    const bool right = operation(counted_) == answer;
    std::vector<Range> reports = memory_trace::reports();
    for (Range& report : reports) report.address += base() - reinterpret_cast<std::uintptr_t>(counted_.arena().base());
    const Counters counts = counted_.counters();

    std::set<std::string> faults;
    if (!right) faults.insert("answers differ");
    std::set<std::uintptr_t> lines_accessed, lines_reported;
    for (const Range& report : reports)
      each_unit(report, base(), kLineBytes, [&](auto l) { lines_reported.insert(l); });
    for (const Access& access : accesses) {
      each_unit(access.range, base(), kLineBytes, [&](auto line) {
        if (lines_accessed.insert(line).second && !lines_reported.contains(line))
          faults.insert((access.write ? "lines: written, not reported: " : "lines: read, not reported: ") +
                        place(access.range.address));
      });
    }
    if (counts.lines != lines_reported.size()) faults.insert("lines: the counter differs from the reports");

    // The compiler keeps the structure's own fields in registers, or loads them again, as it sees fit.
    std::map<std::uintptr_t, long> loads;
    const auto each_word = [&](const Range& range, auto&& each) {
      each_unit(range, base(), kWord, [&](auto word) {
        if (!own.contains(word * kWord / kLineBytes)) each(word);
      });
    };
    for (const Access& access : accesses) {
      if (access.write) continue;
      each_word(access.range, [&](auto word) {
        ++loads[word];
        ++tally.words_loaded;
      });
    }
    for (const Range& report : reports) {
      bool idle = true;
      each_unit(report, base(), kLineBytes, [&](auto line) { idle &= !lines_accessed.contains(line); });
      if (idle)
        faults.insert("idle: reported, not accessed: " + std::to_string(report.bytes) + " bytes of " +
                      place(report.address));
      each_word(report, [&](auto word) { --loads[word]; });
    }
    const auto [hops, followed] = hops_of(accesses);
    for (const auto& [word, surplus] : loads) {
      if (surplus <= 0) continue;
      tally.words_unreported += surplus;
      if (!change) faults.insert("words: loaded again without a report: " + place(base() + word * kWord));
    }
    if (!change) {
      if (counts.hops < hops || counts.hops > followed)
        faults.insert("hops: " + std::string(hops > counts.hops ? "more" : "fewer") + " than reported");
    }

    ++tally.operations;
    tally.lines_reported += static_cast<long>(counts.lines);
    tally.lines_accessed += static_cast<long>(lines_accessed.size());
    tally.hops_reported += static_cast<long>(counts.hops);
    tally.hops_accessed += static_cast<long>(hops);
    for (const std::string& fault : faults) ++tally.faults[fault];
  }

 private:
  static StrategySpec counted(StrategySpec spec) {
    spec.counted = true;
    return spec;
  }
  std::uintptr_t base() const { return reinterpret_cast<std::uintptr_t>(timed_.arena().base()); }

  std::uintptr_t fields(unsigned as_id) {
    return reinterpret_cast<std::uintptr_t>(role_ == kGfn ? dynamic_cast<void*>(&timed_.gfn(as_id))
                                                          : dynamic_cast<void*>(&timed_.hva(as_id)));
  }
  // The lines of the fields of the structure's indexes.
  std::set<std::uintptr_t> own_fields() {
    std::set<std::uintptr_t> lines;
    for (unsigned as_id = 0; as_id < kAddressSpaces; ++as_id) {
      each_unit(memory_trace::piece_of(fields(as_id)), base(), kLineBytes, [&](auto line) { lines.insert(line); });
    }
    return lines;
  }

  std::string place(std::uintptr_t address) {
    const Range piece = memory_trace::piece_of(address);
    const bool own = piece.address == fields(0);
    return (own ? std::string("own fields") : std::to_string(piece.bytes) + "-byte piece") + " + " +
           std::to_string(address - piece.address);
  }

  struct Hops {
    std::uint64_t least = 0;
    std::uint64_t most = 0;
  };
  // A pointer counts when the piece to which it points is accessed after it was loaded. A pointer that is loaded again
  // from the same place may count again. Entries of radix-table are pointers of four bytes: a line of the arena in the
  // upper 26 bits, unless the lower six are 0.
  Hops hops_of(const std::vector<Access>& accesses) const {
    Hops hops;
    std::map<std::uintptr_t, bool> loaded;  // the pieces, and whether by a pointer that was not loaded before
    std::set<std::uintptr_t> from;
    for (const Access& access : accesses) {
      if (const auto it = loaded.find(memory_trace::piece_of(access.range.address).address); it != loaded.end()) {
        ++hops.most;
        hops.least += it->second;
        loaded.erase(it);
      }
      if (access.write) continue;
      std::uintptr_t to = access.value;
      if (entries_ && access.range.bytes == sizeof(std::uint32_t) && to % 64) to = base() + (to >> 6) * kLineBytes;
      const Range piece = memory_trace::piece_of(to);
      if (piece.bytes) loaded[piece.address] |= from.insert(access.range.address).second;
    }
    return hops;
  }

  Role role_;
  bool entries_;
  Strategy timed_;
  Strategy counted_;
};

// Slots that come, grow many, and go, with questions between. No two overlap in gfns; host pages may be shared.
class Script {
 public:
  template <class Changed, class Asked>
  void run(Changed&& changed, Asked&& asked) {
    for (const auto& [steps, slots] : {std::pair{300, 40u}, {400, 120u}, {300, 10u}, {200, 0u}}) {
      for (int step = 0; step < steps; ++step) {
        if (random_() % 4 == 0) {
          change(slots, changed);
        } else {
          asked();
        }
      }
    }
  }
  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }

 private:
  template <class Changed>
  void change(std::size_t slots, Changed&& changed) {
    if (slots_.size() < slots && random_() % 4) {
      const std::uint64_t npages = 1 + random_() % (random_() % 6 ? 8 : 40);
      Change made{ChangeKind::create, next_++, free_place(npages), npages, kHva0 + (random_() % 4096 << kPageShift), 0};
      slots_[made.number] = made;
      changed(made);
    } else if (!slots_.empty()) {
      const auto it = std::next(slots_.begin(), static_cast<long>(random_() % slots_.size()));
      Change made = it->second;
      made.kind = slots_.size() > slots ? ChangeKind::erase : ChangeKind{1 + random_() % 3};
      it->second.npages = 0;  // free_place may overlap it
      if (made.kind == ChangeKind::move) made.base_gfn = free_place(made.npages);
      if (made.kind == ChangeKind::flags) made.flags ^= 1;
      it->second = made;
      if (made.kind == ChangeKind::erase) slots_.erase(it);
      changed(made);
    }
  }
  std::uint64_t free_place(std::uint64_t npages) {
    while (true) {
      const std::uint64_t gfn = random_() % 4096;
      const auto meets = [&](const auto& held) {
        return gfn < held.second.base_gfn + held.second.npages && held.second.base_gfn < gfn + npages;
      };
      if (std::ranges::none_of(slots_, meets)) return gfn;
    }
  }

 public:
  static constexpr std::uint64_t kHva0 = 0x7f0000000000;

 private:
  std::mt19937_64 random_{7};
  std::map<std::uint64_t, Change> slots_;
  std::uint64_t next_ = 0;
};

void compare(const StructureEntry& entry, Role role, Discipline discipline, unsigned cache) {
  StrategySpec spec;
  spec.gfn = role == kGfn ? entry.name : "empty";
  spec.hva = role == kHva ? entry.name : "empty";
  spec.discipline = discipline;
  spec.cache = CacheKind{cache};
  memory_trace::forget_pieces();
  Comparison comparison(spec, role);
  static constexpr const char* kOperations[] = {"create", "delete", "move", "flags", "lookup", "visit"};
  std::array<Tally, std::size(kOperations)> tallies;
  Script script;
  script.run(
      [&](const Change& change) {
        comparison.run(tallies[static_cast<std::size_t>(change.kind)], true, [&](Strategy& strategy) {
          strategy.apply(change);
          return std::uint64_t{0};
        });
      },
      [&] {
        const ReplayMode hot;
        if (role == kGfn) {
          const std::uint64_t gfn = script.below(4200);
          const auto vcpu = static_cast<std::uint16_t>(script.below(4));
          comparison.run(tallies[4], false,
                         [&](Strategy& strategy) { return strategy.gfn(0).replay({&gfn, 1}, {&vcpu, 1}, hot); });
        } else {
          const std::uint64_t start = Script::kHva0 + (script.below(4300) << kPageShift);
          const std::uint64_t end = start + ((1 + script.below(script.below(5) ? 4 : 600)) << kPageShift);
          comparison.run(tallies[5], false,
                         [&](Strategy& strategy) { return strategy.hva(0).replay({&start, 1}, {&end, 1}, hot); });
        }
      });
  for (std::size_t i = 0; i < tallies.size(); ++i) {
    const Tally& t = tallies[i];
    if (t.operations == 0) continue;
    std::printf("%s\t%s\t%s\t%s\t%s\t%ld\t%ld\t%ld\t%ld\t%ld\t%ld\t%ld\n", entry.name, kRoles[role],
                kDisciplines[static_cast<std::size_t>(discipline)].name, CachePolicies::names[cache], kOperations[i],
                t.operations, t.lines_reported, t.lines_accessed, t.hops_reported, t.hops_accessed, t.words_loaded,
                t.words_unreported);
    for (const auto& [fault, operations] : t.faults) std::printf("  %s\t%ld\n", fault.c_str(), operations);
  }
}

}  // namespace

// Arguments: the structures to compare; all if there are none. Caches are compared in front of the first argument given
// after "--caches".
int main(int count, char** arguments) {
  std::set<std::string> wanted, behind_caches;
  for (int i = 1; i < count; ++i) {
    if (std::strncmp(arguments[i], "--caches=", 9) == 0) {
      behind_caches.insert(arguments[i] + 9);
    } else {
      wanted.insert(arguments[i]);
    }
  }
  for (const StructureEntry& entry : registered_structures()) {
    const std::string name = entry.name;
    if (entry.counted || name == "empty" || (!wanted.empty() && !wanted.contains(name))) continue;
    for (const auto& [_, discipline] : kDisciplines) {
      const unsigned caches = behind_caches.contains(name) ? std::size(CachePolicies::names) : 1;
      for (unsigned cache = 0; entry.make_gfn && cache < caches; ++cache) compare(entry, kGfn, discipline, cache);
      if (entry.make_hva) compare(entry, kHva, discipline, 0);
    }
  }
}
