/* A sorted array with binary search: an example of slotlookup.h.
 *
 *     cc -std=c11 -O2 -shared -fPIC -I"$(slotlookup --include-dir)" -o sorted_array.so sorted_array.c
 *     slotlookup verify ./sorted_array.so
 *     slotlookup run -s linear -s ./sorted_array.so
 *
 * gfn lookup O(log n); hva visit O(n), since only ranges that start after it are skipped; update O(n).
 */
#include <stdlib.h>
#include <string.h>

#include "slotlookup.h"

struct range {
  uint64_t start;
  uint64_t last;
  int32_t number;
};

struct sorted_array {
  struct range *ranges; /* in order of start */
  size_t size;
  size_t capacity;
};

/* The number of ranges that start at or before `point`. */
static size_t behind(const struct sorted_array *a, uint64_t point) {
  size_t low = 0, high = a->size;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (a->ranges[middle].start <= point)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static void *create(uint32_t role) {
  (void)role;
  return calloc(1, sizeof(struct sorted_array));
}

static void destroy(void *structure) {
  struct sorted_array *a = structure;
  free(a->ranges);
  free(a);
}

static int insert(void *structure, uint64_t start, uint64_t last, int32_t number) {
  struct sorted_array *a = structure;
  if (a->size == a->capacity) {
    size_t capacity = a->capacity ? 2 * a->capacity : 8;
    struct range *wider = realloc(a->ranges, capacity * sizeof *wider);
    if (!wider) return 1;
    a->ranges = wider;
    a->capacity = capacity;
  }
  size_t at = behind(a, start);
  memmove(a->ranges + at + 1, a->ranges + at, (a->size - at) * sizeof *a->ranges);
  a->ranges[at] = (struct range){start, last, number};
  a->size++;
  return 0;
}

static int remove_range(void *structure, uint64_t start, uint64_t last, int32_t number) {
  struct sorted_array *a = structure;
  (void)last;
  for (size_t at = behind(a, start); at-- > 0 && a->ranges[at].start == start;) {
    if (a->ranges[at].number != number) continue;
    memmove(a->ranges + at, a->ranges + at + 1, (a->size - at - 1) * sizeof *a->ranges);
    a->size--;
    return 0;
  }
  return 1;
}

static int32_t find(void *structure, uint64_t point) {
  const struct sorted_array *a = structure;
  size_t at = behind(a, point);
  if (at == 0 || point > a->ranges[at - 1].last) return SLOTLOOKUP_NONE;
  return a->ranges[at - 1].number;
}

static size_t visit(void *structure, uint64_t start, uint64_t last, int32_t *numbers, size_t capacity) {
  const struct sorted_array *a = structure;
  size_t met = 0, end = behind(a, last);
  (void)capacity; /* at least the number of ranges */
  for (size_t at = 0; at < end; at++)
    if (a->ranges[at].last >= start) numbers[met++] = a->ranges[at].number;
  return met;
}

static const char *check(void *structure) {
  const struct sorted_array *a = structure;
  for (size_t at = 1; at < a->size; at++)
    if (a->ranges[at - 1].start > a->ranges[at].start) return "the starts do not ascend";
  return NULL;
}

static size_t bytes(void *structure) {
  const struct sorted_array *a = structure;
  return sizeof *a + a->capacity * sizeof *a->ranges;
}

const struct slotlookup_structure *slotlookup_structure(void) {
  static const struct slotlookup_structure table = {
      .abi_version = SLOTLOOKUP_ABI_VERSION,
      .size = sizeof table,
      .name = "sorted array",
      .roles = SLOTLOOKUP_GFN | SLOTLOOKUP_HVA,
      .create = create,
      .destroy = destroy,
      .insert = insert,
      .remove = remove_range,
      .find = find,
      .visit = visit,
      .check = check,
      .bytes = bytes,
  };
  return &table;
}
