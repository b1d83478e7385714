/*
 * table: hash table from text to pointer, for the dialogs and calls of the signalling thread.
 * Keys are copied; values stay the caller's. One owner thread; allocates on put.
 */
#ifndef SLR_CTL_TABLE_H
#define SLR_CTL_TABLE_H

#include <stddef.h>

#include "common/err.h"

struct slr_table_entry;

struct slr_table {
    struct slr_table_entry **bucket;
    size_t bucket_count; /* power of two, 0 before the first put */
    size_t count;
};

/* Replaces the value of a key that is there. value must not be NULL. SLR_NOMEM. */
enum slr_err slr_table_put(struct slr_table *t, const char *key, void *value) SLR_CHECKED;
/* NULL: no such key. */
void *slr_table_get(const struct slr_table *t, const char *key);
/* Removes and returns the value, or NULL. */
void *slr_table_take(struct slr_table *t, const char *key);
/* Frees the table; `drop` (may be NULL) gets each value. The table is empty afterwards. */
void slr_table_fini(struct slr_table *t, void (*drop)(void *value));
/* Calls `each` for every value, in no order; `each` may remove the value it was given, and only
 * that one, and may not put. */
void slr_table_each(struct slr_table *t, void (*each)(void *ctx, void *value), void *ctx);

#endif
