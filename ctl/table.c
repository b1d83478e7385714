/*
 * table: see table.h. Owned by its one user's thread; allocates on put.
 */
#include "ctl/table.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct slr_table_entry {
    struct slr_table_entry *next;
    void *value;
    uint64_t hash;
    char key[];
};

static uint64_t hash_text(const char *key)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a, folded once more since low bits pick the bucket */
    for (; *key; key++) {
        h = (h ^ (uint8_t)*key) * 0x100000001b3u;
    }
    return h ^ (h >> 29);
}

static struct slr_table_entry **find(const struct slr_table *t, const char *key, uint64_t hash)
{
    struct slr_table_entry **e = &t->bucket[hash & (t->bucket_count - 1)];
    while (*e && ((*e)->hash != hash || strcmp((*e)->key, key) != 0)) {
        e = &(*e)->next;
    }
    return e;
}

static enum slr_err grow(struct slr_table *t)
{
    size_t n = t->bucket_count ? t->bucket_count * 2 : 64;
    struct slr_table_entry **bucket = calloc(n, sizeof(*bucket));
    if (!bucket) {
        return SLR_NOMEM;
    }
    for (size_t i = 0; i < t->bucket_count; i++) {
        struct slr_table_entry *next;
        for (struct slr_table_entry *e = t->bucket[i]; e; e = next) {
            next = e->next;
            e->next = bucket[e->hash & (n - 1)];
            bucket[e->hash & (n - 1)] = e;
        }
    }
    free(t->bucket);
    t->bucket = bucket;
    t->bucket_count = n;
    return SLR_OK;
}

enum slr_err slr_table_put(struct slr_table *t, const char *key, void *value)
{
    uint64_t hash = hash_text(key);
    if (t->count >= t->bucket_count && grow(t) != SLR_OK) {
        return SLR_NOMEM;
    }
    struct slr_table_entry **at = find(t, key, hash);
    if (*at) {
        (*at)->value = value;
        return SLR_OK;
    }
    size_t n = strlen(key) + 1;
    struct slr_table_entry *e = malloc(sizeof(*e) + n);
    if (!e) {
        return SLR_NOMEM;
    }
    e->next = NULL;
    e->value = value;
    e->hash = hash;
    memcpy(e->key, key, n);
    *at = e;
    t->count++;
    return SLR_OK;
}

void *slr_table_get(const struct slr_table *t, const char *key)
{
    if (t->count == 0) {
        return NULL;
    }
    struct slr_table_entry *e = *find(t, key, hash_text(key));
    return e ? e->value : NULL;
}

void *slr_table_take(struct slr_table *t, const char *key)
{
    if (t->count == 0) {
        return NULL;
    }
    struct slr_table_entry **at = find(t, key, hash_text(key));
    struct slr_table_entry *e = *at;
    if (!e) {
        return NULL;
    }
    void *value = e->value;
    *at = e->next;
    free(e);
    t->count--;
    return value;
}

void slr_table_fini(struct slr_table *t, void (*drop)(void *value))
{
    for (size_t i = 0; i < t->bucket_count; i++) {
        while (t->bucket[i]) {
            struct slr_table_entry *e = t->bucket[i];
            t->bucket[i] = e->next;
            if (drop) {
                drop(e->value);
            }
            free(e);
        }
    }
    free(t->bucket);
    *t = (struct slr_table){.bucket = NULL};
}

void slr_table_each(struct slr_table *t, void (*each)(void *ctx, void *value), void *ctx)
{
    for (size_t i = 0; i < t->bucket_count; i++) {
        struct slr_table_entry *next;
        for (struct slr_table_entry *e = t->bucket[i]; e; e = next) {
            next = e->next;
            each(ctx, e->value);
        }
    }
}
