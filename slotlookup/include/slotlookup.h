/* slotlookup.h: the interface for structures in shared libraries.
 *
 * A shared library that exports
 *
 *     const struct slotlookup_structure *slotlookup_structure(void);
 *
 * can be compared with all strategies of slotlookup:
 *
 *     cc -std=c11 -O2 -shared -fPIC -I"$(slotlookup --include-dir)" -o mytree.so mytree.c
 *     slotlookup verify ./mytree.so
 *     slotlookup run -s linear -s ./mytree.so
 *
 * What is stored. A structure maps ranges of unsigned 64-bit keys to numbers. `start` and `last` are inclusive, start
   <=
 * last, and last may be 2^64 - 1. Numbers are 0 or greater and identify their range: no two ranges in one structure
   have
 * the same number at the same time.
 *
 * Roles. In the gfn role ranges never overlap, and `find` is called. In the hva role they may overlap and even be
   equal,
 * and `visit` is called. A structure that serves both is created once for each, and again for each address space.
 *
 * Threads. All calls come from one thread. Arguments are valid for the duration of the call.
 *
 * Faults. The library runs in a process of its own. If it crashes, exits, does not answer, writes past the
 * buffer of `visit` or answers with a number that it does not contain, the fault is reported and its row is void.
 *
 * Versions. `abi_version` and `size` are checked first, and must be those of this header. A change of the meaning or
   the
 * layout of the table changes the version.
 */
#ifndef SLOTLOOKUP_H
#define SLOTLOOKUP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SLOTLOOKUP_ABI_VERSION 1u

/* The answer of `find` if no range contains the point. */
#define SLOTLOOKUP_NONE (-1)

/* Bits of `roles`; `create` is given one of them. */
#define SLOTLOOKUP_GFN 1u
#define SLOTLOOKUP_HVA 2u

struct slotlookup_structure {
  uint32_t abi_version; /* SLOTLOOKUP_ABI_VERSION */
  uint32_t size;        /* sizeof(struct slotlookup_structure) */
  const char* name;     /* the name of the structure, in UTF-8 */
  uint32_t roles;       /* SLOTLOOKUP_GFN, SLOTLOOKUP_HVA, or both */
  uint32_t reserved;    /* 0 */

  /* An empty structure for one role, or NULL if there is not enough memory. */
  void* (*create)(uint32_t role);
  void (*destroy)(void* structure);

  /* Adds a range that is not in the structure. Returns 0 on success. */
  int (*insert)(void* structure, uint64_t start, uint64_t last, int32_t number);

  /* Removes a range that is in the structure. Returns 0 on success. */
  int (*remove)(void* structure, uint64_t start, uint64_t last, int32_t number);

  /* The number of the range that contains `point`, or SLOTLOOKUP_NONE. May be NULL without the gfn role. */
  int32_t (*find)(void* structure, uint64_t point);

  /* Writes the numbers of all ranges that meet [start, last], each once, and returns how many. Any order will do:
   * slotlookup hands them on in ascending order, and sorts them outside the clock. There is room for `capacity` of them,
   * which is never less than the structure holds. May be NULL without the hva role. */
  size_t (*visit)(void* structure, uint64_t start, uint64_t last, int32_t* numbers, size_t capacity);

  /* NULL if all invariants hold, otherwise one line about the violated one. The function itself may be NULL. */
  const char* (*check)(void* structure);

  /* The bytes that the structure has allocated. The function itself may be NULL: unknown. */
  size_t (*bytes)(void* structure);
};

/* Exported by the library. The table lives as long as the library. */
#if defined(__GNUC__) && !defined(SLOTLOOKUP_NO_EXPORT)
__attribute__((visibility("default")))
#endif
const struct slotlookup_structure* slotlookup_structure(void);

#ifdef __cplusplus
}
#endif

#endif /* SLOTLOOKUP_H */
