// The Python bindings of the native core.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <map>
#include <optional>
#include <span>
#include <tuple>

#include "slotlookup/native/arrays.hpp"
#include "slotlookup/native/bindings.hpp"
#include "slotlookup/native/cache.hpp"
#include "slotlookup/native/foreign_module.hpp"
#include "slotlookup/native/replay.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using slotlookup::CacheKind;
using slotlookup::Change;
using slotlookup::elements;
using slotlookup::Segment;
using slotlookup::Strategy;
using slotlookup::Words;

using Askers = slotlookup::ArrayOf<std::uint16_t>;
using SegmentTable = nb::ndarray<const std::uint64_t, nb::shape<-1, 3>, nb::c_contig, nb::device::cpu>;

template <class Enum, std::size_t n>
Enum pick(const char* what, const std::string& name, const slotlookup::Named<Enum> (&known)[n]) {
  for (const auto& [text, value] : known) {
    if (name == text) return value;
  }
  throw std::invalid_argument(std::string("no ") + what + " is called '" + name + "'");
}

template <class Enum, std::size_t n>
const char* name_of(Enum wanted, const slotlookup::Named<Enum> (&known)[n]) {
  for (const auto& [text, value] : known) {
    if (value == wanted) return text;
  }
  throw std::invalid_argument("a value without a name");
}

CacheKind pick_cache(const std::string& name) {
  std::size_t place = 0;
  for (const char* known : slotlookup::CachePolicies::names) {
    if (name == known) return CacheKind{place};
    ++place;
  }
  throw std::invalid_argument("no cache is called '" + name + "'");
}

template <class Enum, std::size_t n>
std::vector<std::string> names_of(const slotlookup::Named<Enum> (&known)[n]) {
  std::vector<std::string> names;
  for (const auto& named : known) names.emplace_back(named.name);
  return names;
}

template <std::size_t n>
std::vector<std::string> names_of(const char* const (&known)[n]) {
  return {known, known + n};
}

// The name of a ReplayKind, and the number of bytes walked between operations (0: hot).
class Mode {
 public:
  Mode(const std::string& kind, std::size_t displaced) : displaced_(displaced), displacer_(displaced) {
    mode_.kind = pick("mode", kind, slotlookup::kReplayKinds);
    if (displaced) mode_.displacer = &displacer_;
  }
  Mode(const Mode&) = delete;
  Mode& operator=(const Mode&) = delete;
  const slotlookup::ReplayMode& replay() const { return mode_; }
  std::string kind() const { return name_of(mode_.kind, slotlookup::kReplayKinds); }
  std::size_t displaced() const { return displaced_; }

 private:
  std::size_t displaced_;
  slotlookup::Displacer displacer_;
  slotlookup::ReplayMode mode_;
};

using ChangeTable = nb::ndarray<const std::uint64_t, nb::shape<-1, 6>, nb::c_contig, nb::device::cpu>;
using Numbers = nb::ndarray<nb::numpy, std::int32_t, nb::ndim<1>>;
using Counts = nb::ndarray<nb::numpy, std::uint64_t, nb::ndim<1>>;

template <class T>
nb::ndarray<nb::numpy, T, nb::ndim<1>> hand_over(std::vector<T>&& values) {
  auto* kept = new std::vector<T>(std::move(values));
  nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
  return {kept->data(), {kept->size()}, owner};
}

std::span<const Change> rows(const ChangeTable& table) {
  return {reinterpret_cast<const Change*>(table.data()), table.shape(0)};
}

slotlookup::Timeline timeline(const SegmentTable& segments, const ChangeTable& changes, std::size_t questions) {
  const slotlookup::Timeline made{{reinterpret_cast<const Segment*>(segments.data()), segments.shape(0)},
                                  rows(changes)};
  slotlookup::validate(made, questions);
  return made;
}

void require_ranges(const Words& start, const Words& end) {
  slotlookup::require_same_length(start, end);
  for (std::size_t i = 0; i < start.shape(0); ++i) {
    if (start.data()[i] >= end.data()[i]) {
      throw std::invalid_argument("range " + std::to_string(i) + " is empty");
    }
  }
}

void require_askers(const Words& gfn, const Askers& vcpu) {
  if (gfn.shape(0) != vcpu.shape(0)) throw std::invalid_argument("as many vCPUs as gfns are needed");
}

void require_kinds(const ChangeTable& changes) {
  std::size_t i = 0;
  for (const Change& change : rows(changes)) {
    if (static_cast<std::uint64_t>(change.kind) > 3) {
      throw std::invalid_argument("change " + std::to_string(i) + " is of no known kind");
    }
    ++i;
  }
}

slotlookup::StrategySpec make_spec(const std::string& gfn, const std::string& hva, const std::string& cache,
                                   const std::string& update, bool counted, const std::string& placement,
                                   std::uint64_t seed, std::size_t stride) {
  slotlookup::StrategySpec spec;
  spec.gfn = gfn;
  spec.hva = hva;
  spec.counted = counted;
  spec.seed = seed;
  spec.stride = stride;
  spec.cache = pick_cache(cache);
  spec.discipline = pick("update discipline", update, slotlookup::kDisciplines);
  spec.placement = pick("placement", placement, slotlookup::kPlacements);
  return spec;
}

}  // namespace

NB_MODULE(_slotlookup_native, m) {
  // Objects that modules keep until the interpreter ends are not leaks and must not be reported to users.
  nb::set_leak_warnings(false);
  m.doc() = "Native structures and replay loops of slotlookup.";

  nb::exception<slotlookup::BrokenInvariant>(m, "BrokenInvariant", PyExc_AssertionError);

  m.def(
      "structures",
      [] {
        std::vector<std::tuple<std::string, bool, bool>> found;
        for (const auto& entry : slotlookup::registered_structures()) {
          if (!entry.counted) found.emplace_back(entry.name, entry.make_gfn != nullptr, entry.make_hva != nullptr);
        }
        return found;
      },
      "Every structure linked in: (name, serves gfn lookups, serves hva visits).");
  m.def(
      "vocabulary",
      [] {
        return std::map<std::string, std::vector<std::string>>{
            {"roles", {slotlookup::GfnRole::name, slotlookup::HvaRole::name}},
            {"counts", names_of(slotlookup::kCounterNames)},
            {"kinds", names_of(slotlookup::kReplayKinds)},
            {"placements", names_of(slotlookup::kPlacements)},
            {"caches", names_of(slotlookup::CachePolicies::names)},
            {"updates", names_of(slotlookup::kDisciplines)}};
      },
      "The names that specs, results and modes use, in order, by what they name.");
  m.def(
      "build", [] { return std::make_tuple(std::string(SLOTLOOKUP_COMPILER), std::string(SLOTLOOKUP_FLAGS)); },
      "The compiler and the flags this module was built with.");

  nb::class_<Mode>(m, "Mode", "The pause between two operations of a replay.")
      .def(nb::init<const std::string&, std::size_t>(), "kind"_a, "displaced"_a,
           "kind is one of vocabulary()['kinds']; displaced is the number of bytes walked between operations, 0 for "
           "none.")
      .def_prop_ro("kind", &Mode::kind, "The kind of pause between two operations.")
      .def_prop_ro("displaced", &Mode::displaced, "Bytes walked between operations.");
  bind_foreign(m);
  for (const slotlookup::Bind bind : slotlookup::bindings()) bind(m);

  nb::class_<Strategy>(m, "Strategy", "One native strategy over its own arena. Ranges are half-open, unsigned 64-bit.")
      .def(
          "__init__",
          [](Strategy* self, const std::string& gfn, const std::string& hva, const std::string& cache,
             const std::string& update, bool counted, const std::string& placement, std::uint64_t seed,
             std::size_t stride) {
            new (self) Strategy(make_spec(gfn, hva, cache, update, counted, placement, seed, stride));
          },
          "gfn"_a, "hva"_a, "cache"_a = "none", "update"_a = "in-place", "counted"_a = false, "placement"_a = "packed",
          "seed"_a = 0, "stride"_a = 0, "stride is the distance of slots in bytes; 0 for what the nodes in them need.")
      .def(
          "stage",
          [](Strategy& s, const ChangeTable& change) {
            if (change.shape(0) != 1) throw std::invalid_argument("one change is staged at a time");
            require_kinds(change);
            s.stage(rows(change)[0]);
          },
          "change"_a, "Prepare one change (uint64[1, 6]); in-place strategies show it at once.")
      .def("publish", &Strategy::publish, "Make the staged change visible to readers.")
      .def(
          "apply",
          [](Strategy& s, const ChangeTable& changes) {
            require_kinds(changes);
            for (const Change& change : rows(changes)) s.apply(change);
          },
          "changes"_a, "Stage and publish each change (uint64[n, 6]).")
      .def(
          "load",
          [](Strategy& s, const ChangeTable& changes) {
            require_kinds(changes);
            s.load(rows(changes));
          },
          "changes"_a, "Apply changes in bulk (uint64[n, 6]), without the update discipline's steps.")
      .def(
          "find",
          [](Strategy& s, unsigned as_id, std::uint64_t gfn, std::uint16_t vcpu) {
            std::int32_t number;
            s.gfn(as_id).answer({&gfn, 1}, {&vcpu, 1}, {&number, 1});
            return number;
          },
          "as_id"_a, "gfn"_a, "vcpu"_a = 0, "The number of the slot that contains gfn, or -1.")
      .def(
          "visit",
          [](Strategy& s, std::uint64_t start, std::uint64_t end) {
            std::vector<std::int32_t> numbers;
            if (start < end) slotlookup::answer_visit(s, start, end, numbers);
            return numbers;
          },
          "start"_a, "end"_a, "The numbers of all slots that meet [start, end), ascending.")
      .def(
          "answer_gfn",
          [](Strategy& s, const Words& gfn, const Askers& vcpu, const SegmentTable& segments,
             const ChangeTable& changes) {
            require_kinds(changes);
            require_askers(gfn, vcpu);
            const auto line = timeline(segments, changes, gfn.shape(0));
            std::vector<std::int32_t> out(gfn.shape(0));
            {
              nb::gil_scoped_release free;
              slotlookup::answer_gfn(s, line, elements(gfn), elements(vcpu), out);
            }
            return hand_over(std::move(out));
          },
          "gfn"_a, "vcpu"_a, "segments"_a, "changes"_a, "The slot number of each gfn (int32[n]), -1 for a hole.")
      .def(
          "answer_hva",
          [](Strategy& s, const Words& start, const Words& end, const SegmentTable& segments,
             const ChangeTable& changes) {
            require_ranges(start, end);
            require_kinds(changes);
            const auto line = timeline(segments, changes, start.shape(0));
            std::vector<std::uint64_t> count(start.shape(0));
            std::vector<std::int32_t> numbers;
            {
              nb::gil_scoped_release free;
              slotlookup::answer_hva(s, line, elements(start), elements(end), numbers, count);
            }
            return std::make_tuple(hand_over(std::move(count)), hand_over(std::move(numbers)));
          },
          "start"_a, "end"_a, "segments"_a, "changes"_a,
          "How many slots each range meets (uint64[n]) and their numbers, ascending, range after range (int32[sum]).")
      .def(
          "replay_gfn",
          [](Strategy& s, const Words& gfn, const Askers& vcpu, const SegmentTable& segments,
             const ChangeTable& changes, const Mode& mode) {
            require_kinds(changes);
            require_askers(gfn, vcpu);
            const auto line = timeline(segments, changes, gfn.shape(0));
            nb::gil_scoped_release free;
            const auto timed = slotlookup::replay_gfn(s, line, elements(gfn), elements(vcpu), mode.replay());
            return std::make_tuple(timed.nanoseconds, timed.checksum);
          },
          "gfn"_a, "vcpu"_a, "segments"_a, "changes"_a, "mode"_a,
          "(nanoseconds spent in lookups, sum of number + 1 over the slots found).")
      .def(
          "replay_hva",
          [](Strategy& s, const Words& start, const Words& end, const SegmentTable& segments,
             const ChangeTable& changes, const Mode& mode) {
            require_ranges(start, end);
            require_kinds(changes);
            const auto line = timeline(segments, changes, start.shape(0));
            nb::gil_scoped_release free;
            const auto timed = slotlookup::replay_hva(s, line, elements(start), elements(end), mode.replay());
            return std::make_tuple(timed.nanoseconds, timed.checksum);
          },
          "start"_a, "end"_a, "segments"_a, "changes"_a, "mode"_a,
          "(nanoseconds spent in visits, sum of number + 1 over the slots visited).")
      .def(
          "replay_changes",
          [](Strategy& s, const ChangeTable& changes, const Mode& mode) {
            require_kinds(changes);
            nb::gil_scoped_release free;
            return slotlookup::replay_changes(s, rows(changes), mode.replay());
          },
          "changes"_a, "mode"_a, "Nanoseconds spent in applying the changes.")
      .def(
          "replay_load",
          [](Strategy& s, const ChangeTable& changes) {
            require_kinds(changes);
            nb::gil_scoped_release free;
            return slotlookup::replay_load(s, rows(changes));
          },
          "changes"_a, "Nanoseconds spent in applying the changes in bulk, as load does.")
      .def(
          "counters",
          [](const Strategy& s) {
            const auto& c = s.counters();
            return std::make_tuple(c.slots_examined, c.compares, c.hops, c.lines);
          },
          "(slots examined, compares, hops, lines) since the last reset; zero unless counted.")
      .def("reset_counters", [](Strategy& s) { s.set_counters({}); })
      .def("check", &Strategy::check, "Raise BrokenInvariant if a structure's own invariants do not hold.")
      .def_prop_ro("stride", &Strategy::stride, "Bytes from one slot to the next.")
      .def_prop_ro("bytes", &Strategy::bytes, "Bytes in use for slots, nodes, arrays and tables.")
      .def("generation", &Strategy::generation, "as_id"_a, "The generation of an address space.")
      .def(
          "flags_at",
          [](Strategy& s, unsigned as_id, std::uint64_t gfn) -> std::optional<std::uint32_t> {
            const slotlookup::Slot* slot = s.seen(as_id, gfn);
            if (!slot) return std::nullopt;
            return slot->flags;
          },
          "as_id"_a, "gfn"_a, "The flags of the slot in which readers find gfn, or None.")
      .def("__len__", &Strategy::slots);
}
