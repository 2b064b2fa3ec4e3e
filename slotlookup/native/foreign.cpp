#include "slotlookup/native/foreign.hpp"

#include <dlfcn.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "slotlookup/include/slotlookup.h"
#include "slotlookup/native/index_of.hpp"
#include "slotlookup/native/registry.hpp"

namespace slotlookup {
namespace {

using Table = struct ::slotlookup_structure;  // `struct` is needed, since a function has the same name
using Function = ForeignFunction;

struct Library {
  std::string name;
  const Table* table = nullptr;
};

constexpr unsigned kEmptyAt = kForeignLibraries;
Library libraries[kForeignLibraries + 1];
unsigned loaded = 0;
bool careful = true;

ForeignWatch unwatched;
volatile ForeignWatch* watched = &unwatched;

void enter(Function function, unsigned library) {
  watched->where = static_cast<std::uint64_t>(function) | library << 8;
}

void enter(Function function, unsigned library, std::uint64_t first) {
  enter(function, library);
  watched->first = first;
}

void enter(Function function, unsigned library, std::uint64_t first, std::uint64_t second) {
  enter(function, library, first);
  watched->second = second;
}

std::string hex(std::uint64_t value) {
  char text[19];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

// Text from a library, for one line: bounded, and without control characters.
std::string printable(const char* text, std::size_t most) {
  std::string kept(text, strnlen(text, most));
  for (char& c : kept) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return kept;
}

// The buffer of `visit`: room for exactly as many numbers as there are ranges, between two zones that must stay
// unchanged, followed by a page that cannot be written.
class Guarded {
 public:
  Guarded() = default;
  ~Guarded() { release(); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  std::int32_t* numbers() const { return numbers_; }

  void reserve(std::size_t capacity) {
    if (capacity <= capacity_ && memory_) return;
    release();
    capacity_ = std::max<std::size_t>(capacity * 2, 64);
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t words = kBefore + capacity_ + kBehind;
    bytes_ = (words * sizeof(std::int32_t) + page - 1) / page * page + page;
    memory_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED) {
      memory_ = nullptr;
      throw std::bad_alloc();
    }
    mprotect(static_cast<char*>(memory_) + bytes_ - page, page, PROT_NONE);
    numbers_ = static_cast<std::int32_t*>(memory_) + kBefore;
  }

  void arm(std::size_t size) {
    if (careful) {
      std::fill_n(numbers_ - kBefore, kBefore, kCanary);
      std::fill_n(numbers_ + size, kBehind, kCanary);
    }
    numbers_[size] = kCanary;
  }

  bool intact(std::size_t size) const {
    if (numbers_[size] != kCanary) return false;
    if (!careful) return true;
    const auto same = [](std::int32_t word) { return word == kCanary; };
    return std::all_of(numbers_ - kBefore, numbers_, same) &&
           std::all_of(numbers_ + size, numbers_ + size + kBehind, same);
  }

 private:
  static constexpr std::int32_t kCanary = -0x5107100c;
  static constexpr std::size_t kBefore = 64;
  static constexpr std::size_t kBehind = 1024;

  void release() {
    if (memory_) munmap(memory_, bytes_);
    memory_ = nullptr;
  }

  void* memory_ = nullptr;
  std::size_t bytes_ = 0;
  std::size_t capacity_ = 0;
  std::int32_t* numbers_ = nullptr;
};

template <unsigned at, class Role, class Probe>
class Foreign {
 public:
  using Node = NoNode;
  static constexpr OptionalMembers kOptional{.outside_bytes = true};

  Foreign(const Home&, Probe) : table_(libraries[at].table), find_(table_->find), visit_(table_->visit) {
    out_.reserve(0);
    enter(Function::create, at);
    handle_ = table_->create(std::is_same_v<Role, GfnRole> ? SLOTLOOKUP_GFN : SLOTLOOKUP_HVA);
    if (!handle_) throw ForeignFault(name() + " returned NULL from create");
  }
  ~Foreign() {
    enter(Function::destroy, at);
    table_->destroy(handle_);
  }
  Foreign(const Foreign&) = delete;
  Foreign& operator=(const Foreign&) = delete;

  void insert(Slot& slot) {
    enter(Function::insert, at, Role::start(slot), Role::last(slot));
    const int failed =
        table_->insert(handle_, Role::start(slot), Role::last(slot), static_cast<std::int32_t>(slot.number));
    if (failed) refuse("insert", slot, failed);
    const std::size_t id = slot.number & 0xffff;
    if (id >= slots_.size()) slots_.resize(std::max<std::size_t>(id + 1, slots_.size() * 2), nullptr);
    slots_[id] = &slot;
    out_.reserve(++size_);
  }

  void erase(Slot& slot) {
    enter(Function::remove, at, Role::start(slot), Role::last(slot));
    const int failed =
        table_->remove(handle_, Role::start(slot), Role::last(slot), static_cast<std::int32_t>(slot.number));
    if (failed) refuse("remove", slot, failed);
    slots_[slot.number & 0xffff] = nullptr;
    --size_;
  }

  // The library keeps the number, which is the same.
  void replace(Slot&, Slot& by) { slots_[by.number & 0xffff] = &by; }

  Slot* find(std::uint64_t point) const {
    enter(Function::find, at, point);
    const std::int32_t number = find_(handle_, point);
    if (number == SLOTLOOKUP_NONE) return nullptr;
    Slot* slot = slot_of(number);
    if (!slot) [[unlikely]] {
      throw ForeignFault(name() + " answered slot " + std::to_string(number) + " to find(" + hex(point) +
                         "), which does not exist");
    }
    return slot;
  }

  template <class Visit>
  void visit(std::uint64_t start, std::uint64_t last, Visit&& visit) {
    enter(Function::visit, at, start, last);
    out_.arm(size_);
    const std::size_t met = visit_(handle_, start, last, out_.numbers(), size_);
    if (!out_.intact(size_)) [[unlikely]] {
      throw ForeignDamage(name() + " wrote past the buffer it was given" + to_visit(start, last));
    }
    if (met > size_) [[unlikely]] {
      throw ForeignFault(name() + " reports that " + std::to_string(met) + " slots overlap the range, of " +
                         std::to_string(size_) + " that there are," + to_visit(start, last));
    }
    if (careful) require_each_once(met, start, last);
    for (std::size_t i = 0; i < met; ++i) {
      const Slot* slot = slot_of(out_.numbers()[i]);
      if (!slot) [[unlikely]] {
        throw ForeignFault(name() + " answered slot " + std::to_string(out_.numbers()[i]) + to_visit(start, last) +
                           ", which does not exist");
      }
      visit(*slot);
    }
  }

  void check() const {
    if (!table_->check) return;
    enter(Function::check, at);
    const char* message = table_->check(handle_);
    if (message) throw ForeignFault(name() + " failed its own check: " + printable(message, 200));
  }

  std::size_t size() const { return size_; }

  std::size_t outside_bytes() const {
    if (!table_->bytes) return 0;
    enter(Function::bytes, at);
    return table_->bytes(handle_);
  }

 private:
  static const std::string& name() { return libraries[at].name; }
  static std::string to_visit(std::uint64_t start, std::uint64_t last) {
    return " in visit(" + hex(start) + ", " + hex(last) + ")";
  }

  [[noreturn]] void refuse(const char* what, const Slot& slot, int code) const {
    throw ForeignFault(name() + " returned " + std::to_string(code) + " from " + what + "(" + hex(Role::start(slot)) +
                       ", " + hex(Role::last(slot)) + ", " + std::to_string(slot.number) + ")");
  }

  Slot* slot_of(std::int32_t number) const {
    const std::size_t id = static_cast<std::uint32_t>(number) & 0xffff;
    if (id >= slots_.size()) return nullptr;
    Slot* slot = slots_[id];
    return slot && slot->number == static_cast<std::uint32_t>(number) ? slot : nullptr;
  }

  void require_each_once(std::size_t met, std::uint64_t start, std::uint64_t last) {
    sorted_.assign(out_.numbers(), out_.numbers() + met);
    std::sort(sorted_.begin(), sorted_.end());
    const auto twice = std::adjacent_find(sorted_.begin(), sorted_.end());
    if (twice != sorted_.end()) {
      throw ForeignFault(name() + " answered slot " + std::to_string(*twice) + " twice" + to_visit(start, last));
    }
  }

  const Table* table_;
  decltype(Table::find) find_;
  decltype(Table::visit) visit_;
  void* handle_ = nullptr;
  std::size_t size_ = 0;
  std::vector<Slot*> slots_;  // id -> slot
  Guarded out_;
  std::vector<std::int32_t> sorted_;
};

template <class Role, class Probe>
using First = Foreign<0, Role, Probe>;
template <class Role, class Probe>
using Second = Foreign<1, Role, Probe>;
template <class Role, class Probe>
using EmptyOne = Foreign<kEmptyAt, Role, Probe>;

template <template <class, class> class Structure>
StructureEntry entry_for(const char* name, std::uint32_t roles) {
  return {name,
          false,
          0,
          0,
          roles & SLOTLOOKUP_GFN ? &make_gfn_index<Structure, NoProbe> : nullptr,
          roles & SLOTLOOKUP_HVA ? &make_hva_index<Structure, NoProbe> : nullptr};
}

void* create_nothing(std::uint32_t) { return &unwatched; }
void destroy_nothing(void*) {}
int accept(void*, std::uint64_t, std::uint64_t, std::int32_t) { return 0; }
std::int32_t find_nothing(void*, std::uint64_t) { return SLOTLOOKUP_NONE; }
std::size_t visit_nothing(void*, std::uint64_t, std::uint64_t, std::int32_t*, std::size_t) { return 0; }

const Table kNothing = {SLOTLOOKUP_ABI_VERSION,
                        sizeof(Table),
                        "empty",
                        SLOTLOOKUP_GFN | SLOTLOOKUP_HVA,
                        0,
                        create_nothing,
                        destroy_nothing,
                        accept,
                        accept,
                        find_nothing,
                        visit_nothing,
                        nullptr,
                        nullptr};

void require_table(const std::string& name, const Table* table) {
  if (!table) throw ForeignFault(name + " returned NULL from slotlookup_structure");
  if (table->abi_version != SLOTLOOKUP_ABI_VERSION) {
    throw ForeignFault(name + " has ABI version " + std::to_string(table->abi_version) + "; this slotlookup has " +
                       std::to_string(SLOTLOOKUP_ABI_VERSION) + ": compile it with the header of this one");
  }
  if (table->size != sizeof(Table)) {
    throw ForeignFault(name + " has a table of " + std::to_string(table->size) + " bytes; that of ABI version " +
                       std::to_string(SLOTLOOKUP_ABI_VERSION) + " has " + std::to_string(sizeof(Table)) +
                       ": set size to sizeof(struct slotlookup_structure)");
  }
  if (!table->name || !*table->name) throw ForeignFault(name + " has no name in its table");
  constexpr std::uint32_t both = SLOTLOOKUP_GFN | SLOTLOOKUP_HVA;
  if (!(table->roles & both) || table->roles & ~both) {
    throw ForeignFault(name + " declares roles " + std::to_string(table->roles) +
                       "; they are SLOTLOOKUP_GFN, SLOTLOOKUP_HVA, or both");
  }
  const std::pair<const char*, bool> needed[] = {
      {"create", table->create},
      {"destroy", table->destroy},
      {"insert", table->insert},
      {"remove", table->remove},
      {"find", table->find || !(table->roles & SLOTLOOKUP_GFN)},
      {"visit", table->visit || !(table->roles & SLOTLOOKUP_HVA)},
  };
  for (const auto& [function, there] : needed) {
    if (!there) throw ForeignFault(name + " has no " + function + " in its table");
  }
}

}  // namespace

ForeignLibrary load_foreign(const std::string& name, const std::string& path) {
  if (loaded == kForeignLibraries) throw ForeignFault(name + ": two libraries are loaded already");
  const unsigned at = loaded;
  enter(Function::loading, at);
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    std::string why = dlerror();
    if (why.rfind(path + ": ", 0) == 0) why.erase(0, path.size() + 2);
    throw ForeignFault(name + " cannot be loaded as a shared library: " + printable(why.c_str(), 300));
  }
  const auto structure = reinterpret_cast<const Table* (*)()>(dlsym(library, "slotlookup_structure"));
  if (!structure) throw ForeignFault(name + " does not export slotlookup_structure; see slotlookup.h");
  enter(Function::table, at);
  const Table* table = structure();
  require_table(name, table);
  libraries[at] = {name, table};
  const char* kept = libraries[at].name.c_str();
  register_structure(at == 0 ? entry_for<First>(kept, table->roles) : entry_for<Second>(kept, table->roles));
  if (loaded++ == 0) {
    libraries[kEmptyAt] = {kEmptyForeign, &kNothing};
    register_structure(entry_for<EmptyOne>(kEmptyForeign, kNothing.roles));
  }
  return {printable(table->name, 64), (table->roles & SLOTLOOKUP_GFN) != 0, (table->roles & SLOTLOOKUP_HVA) != 0,
          table->bytes != nullptr};
}

void watch_foreign(int fd) {
  void* page = mmap(nullptr, sizeof(ForeignWatch), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (page == MAP_FAILED) throw std::runtime_error("the page to write to cannot be mapped");
  watched = static_cast<volatile ForeignWatch*>(page);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
}

void set_foreign_care(bool on) { careful = on; }

}  // namespace slotlookup
