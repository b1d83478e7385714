/*
 * names: a set of 64-bit hashes that grows. One owner; allocates.
 */
#ifndef SLR_LOAD_NAMES_H
#define SLR_LOAD_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero: empty. */
struct slr_names {
    uint64_t *slot; /* open addressing */
    size_t size, used;
};

bool slr_names_has(const struct slr_names *n, uint64_t hash);
/* hash: not 0. Forgets it when there is no memory. */
void slr_names_add(struct slr_names *n, uint64_t hash);
void slr_names_close(struct slr_names *n);

#endif
