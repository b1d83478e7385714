/*
 * names: see the header.
 */
#include "load/names.h"

#include <stdlib.h>

static size_t place(const struct slr_names *n, uint64_t hash)
{
    size_t at = hash % n->size;
    while (n->slot[at] != 0 && n->slot[at] != hash) {
        at = (at + 1) % n->size;
    }
    return at;
}

static bool grow(struct slr_names *n)
{
    struct slr_names more = {.size = n->size > 0 ? n->size * 2 : 1024, .used = n->used};
    more.slot = calloc(more.size, sizeof *more.slot);
    if (!more.slot) {
        return false;
    }
    for (size_t i = 0; i < n->size; i++) {
        if (n->slot[i] != 0) {
            more.slot[place(&more, n->slot[i])] = n->slot[i];
        }
    }
    free(n->slot);
    *n = more;
    return true;
}

bool slr_names_has(const struct slr_names *n, uint64_t hash)
{
    return n->size > 0 && n->slot[place(n, hash)] == hash;
}

void slr_names_add(struct slr_names *n, uint64_t hash)
{
    if (slr_names_has(n, hash) || (n->used * 2 >= n->size && !grow(n))) {
        return;
    }
    n->slot[place(n, hash)] = hash;
    n->used++;
}

void slr_names_close(struct slr_names *n)
{
    free(n->slot);
    *n = (struct slr_names){0};
}
