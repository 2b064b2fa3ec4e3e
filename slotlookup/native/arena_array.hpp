// Growing arrays in the arena, for data of structures outside the slots.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#include "slotlookup/native/arena.hpp"
#include "slotlookup/native/probe.hpp"

namespace slotlookup {

// One array, or several columns with room for equally many elements. The owner knows how many elements are in use and
// passes its probe, so that all data that a search reads are in one line. An owner that declares the columns
// [[no_unique_address]] has four bytes after `room_` for itself.
//
// Capacity doubles, so that freed arrays have few sizes and are reused. New elements are not initialised.
template <class... T>
class ArenaColumns {
  static_assert((std::is_trivially_copyable_v<T> && ...), "elements are moved as bytes");

 public:
  explicit ArenaColumns(Arena& arena) : arena_(arena) {}
  ~ArenaColumns() { release(); }
  ArenaColumns(const ArenaColumns&) = delete;
  ArenaColumns& operator=(const ArenaColumns&) = delete;

  template <std::size_t column = 0>
  auto* data() const {
    return std::get<column>(columns_);
  }
  auto& operator[](std::size_t i) const
    requires(sizeof...(T) == 1)
  {
    return data()[i];
  }
  std::size_t room() const { return room_; }
  Arena& arena() const { return arena_; }

  // Makes room for `wanted` elements and keeps the first `kept`.
  template <class Probe>
  void reserve(std::size_t wanted, std::size_t kept, [[maybe_unused]] const Probe& probe_) {
    SLOTLOOKUP_TOUCH(&room_, sizeof room_);
    if (wanted <= room_) return;
    SLOTLOOKUP_TOUCH(this, sizeof *this);
    std::size_t room = room_ ? std::size_t{room_} * 2 : kLeastRoom;
    while (room < wanted) room *= 2;
    for_each_column([&]<class Column>(Column*& column) {
      auto* wider = static_cast<Column*>(arena_.allocate_array(room * sizeof(Column)));
      copy_elements(wider, column, kept, probe_);
      if (column) arena_.free_array(column, room_ * sizeof(Column));
      column = wider;
    });
    room_ = static_cast<std::uint32_t>(room);
  }

  // Gets exactly the given length, without keeping elements, unless it has that length already.
  template <class Probe>
  void remake(std::size_t room, [[maybe_unused]] const Probe& probe_) {
    SLOTLOOKUP_TOUCH(&room_, sizeof room_);
    if (room == room_) return;
    SLOTLOOKUP_TOUCH(this, sizeof *this);
    release();
    if (room == 0) return;
    for_each_column([&]<class Column>(Column*& column) {
      column = static_cast<Column*>(arena_.allocate_array(room * sizeof(Column)));
    });
    room_ = static_cast<std::uint32_t>(room);
  }

  // Becomes a copy of the first `n` elements of another.
  template <class Probe>
  void copy(const ArenaColumns& other, std::size_t n, const Probe& probe_) {
    reserve(n, 0, probe_);
    if (!n) return;
    SLOTLOOKUP_TOUCH(&columns_, sizeof columns_);
    SLOTLOOKUP_TOUCH(&other.columns_, sizeof columns_);
    [&]<std::size_t... column>(std::index_sequence<column...>) {
      (copy_elements(data<column>(), other.template data<column>(), n, probe_), ...);
    }(std::index_sequence_for<T...>());
  }

  // Moves the elements [from, to) so that the first of them is at `at`.
  template <class Probe>
  void shift(std::size_t from, std::size_t to, std::size_t at, [[maybe_unused]] const Probe& probe_) {
    if (from == to) return;
    SLOTLOOKUP_TOUCH(&columns_, sizeof columns_);
    // Captures are explicit: hooks would change the order of a default capture, and therefore the timed code.
    for_each_column([from, to, at, &probe_]<class Column>(Column* column) {
      SLOTLOOKUP_TOUCH(column + from, (to - from) * sizeof(Column));
      SLOTLOOKUP_TOUCH(column + at, (to - from) * sizeof(Column));
      std::memmove(static_cast<void*>(column + at), column + from, (to - from) * sizeof(Column));
    });
  }

  void release() {
    for_each_column([&]<class Column>(Column*& column) {
      if (column) arena_.free_array(column, room_ * sizeof(Column));
      column = nullptr;
    });
    room_ = 0;
  }

 private:
  static constexpr std::size_t kLeastRoom = 8;

  template <class Each>
  void for_each_column(Each&& each) {
    std::apply([&](T*&... column) { (each(column), ...); }, columns_);
  }

  template <class Column, class Probe>
  static void copy_elements(Column* to, const Column* from, std::size_t n, [[maybe_unused]] const Probe& probe_) {
    if (!n) return;
    SLOTLOOKUP_TOUCH(from, n * sizeof(Column));
    SLOTLOOKUP_TOUCH(to, n * sizeof(Column));
    std::memcpy(static_cast<void*>(to), from, n * sizeof(Column));
  }

  std::tuple<T*...> columns_{};
  Arena& arena_;
  std::uint32_t room_ = 0;
};

template <class T>
using ArenaArray = ArenaColumns<T>;

}  // namespace slotlookup
