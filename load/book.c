/*
 * book: see the header.
 */
#include "load/book.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DN_BASE 1000000u

enum slr_err slr_book_open(struct slr_book *b, const struct slr_load_config *cfg, uint32_t size)
{
    memset(b, 0, sizeof *b);
    b->cfg = cfg;
    b->size = size;
    b->call = calloc(size, sizeof *b->call);
    return b->call ? SLR_OK : SLR_NOMEM;
}

void slr_book_close(struct slr_book *b)
{
    for (uint32_t i = 0; b->call && i < b->count; i++) {
        slr_book_plain(&b->call[i]);
    }
    free(b->call);
    b->call = NULL;
}

bool slr_book_secure(struct slr_book *b, struct slr_call *call)
{
    struct slr_srtp_key key;
    bool done = true;
    for (uint32_t leg = 0; b->cfg->suite != SLR_SRTP_NONE && leg < SLR_LOAD_LEGS && done; leg++) {
        slr_secure_key(&key, b->cfg->suite, b->cfg->seed, b->cfg->run_id, call->index, leg);
        done = slr_secure_open(&key, &call->leg[leg].secure) == SLR_OK;
    }
    return done;
}

void slr_book_plain(struct slr_call *call)
{
    for (uint32_t leg = 0; leg < SLR_LOAD_LEGS; leg++) {
        slr_secure_close(call->leg[leg].secure);
        call->leg[leg].secure = NULL;
    }
}

void slr_book_key(const struct slr_book *b, uint32_t call, uint32_t leg,
                  char out[static SLR_SRTP_KEY_TEXT_SIZE])
{
    struct slr_srtp_key key;
    slr_secure_key(&key, b->cfg->suite, b->cfg->seed, b->cfg->run_id, call, leg);
    slr_srtp_key_format(&key, out);
}

struct slr_call *slr_book_next(struct slr_book *b)
{
    uint32_t n = atomic_load_explicit(&b->count, memory_order_relaxed);
    if (n == b->size) {
        return NULL;
    }
    struct slr_call *c = &b->call[n];
    c->index = n;
    atomic_store_explicit(&b->count, n + 1, memory_order_release);
    return c;
}

void slr_book_name(const struct slr_book *b, uint32_t call, char out[static 40])
{
    snprintf(out, 40, "load-%08x-%u", b->cfg->run_id, call);
}

struct slr_call *slr_book_find(const struct slr_book *b, const char *name)
{
    char prefix[40];
    char *end = NULL;
    snprintf(prefix, sizeof prefix, "load-%08x-", b->cfg->run_id);
    size_t n = strlen(prefix);
    if (!name || strncmp(name, prefix, n) != 0 || name[n] < '0' || name[n] > '9') {
        return NULL;
    }
    unsigned long call = strtoul(name + n, &end, 10);
    if (*end != '\0' || call >= atomic_load_explicit(&b->count, memory_order_acquire)) {
        return NULL;
    }
    return &b->call[call];
}

uint32_t slr_book_dn(uint32_t call, uint32_t leg)
{
    return DN_BASE + call * SLR_LOAD_LEGS + leg;
}
