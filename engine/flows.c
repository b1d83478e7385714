/*
 * flows: open addressing with linear probing; purging rebuilds the table in place.
 */
#include "engine/flows.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/prefetch.h"
#include "engine/state.h"

enum { BY_SRC, BY_DST }; /* chains; a flow's number in them is one more than its place */
enum { WALK_BEGINS, WALK_BY_DST, WALK_BY_SRC };

enum slr_err slr_flows_init(struct slr_flows *f, uint32_t max)
{
    uint32_t size = 16;
    memset(f, 0, sizeof *f);
    while (size < max * 2) {
        size *= 2;
    }
    _Static_assert(sizeof *f->at == SLR_CACHE_LINE_BYTES, "a flow is a line of the cache");
    /* calloc's memory is not touched before it is needed; a line more, to begin with one */
    f->memory = calloc(size + 1, sizeof *f->at);
    size_t off = (uintptr_t)f->memory % SLR_CACHE_LINE_BYTES;
    f->at = f->memory ? (void *)((char *)f->memory + (off ? SLR_CACHE_LINE_BYTES - off : 0)) : NULL;
    if (getrandom(&f->seed, sizeof f->seed, GRND_NONBLOCK) != (ssize_t)sizeof f->seed) {
        f->seed = (uintptr_t)f->at; /* hardly a secret, and hardly ever */
    }
    f->slot = malloc(max * sizeof *f->slot);
    for (uint32_t by = 0; by < 2; by++) {
        f->head[by] = calloc(size, sizeof *f->head[by]);
        f->next[by] = calloc(size, sizeof *f->next[by]);
    }
    f->mask = size - 1;
    f->max = max;
    return f->at && f->slot && f->head[0] && f->head[1] && f->next[0] && f->next[1] ? SLR_OK
                                                                                    : SLR_NOMEM;
}

void slr_flows_fini(struct slr_flows *f)
{
    free(f->memory);
    f->memory = NULL;
    free(f->slot);
    for (uint32_t by = 0; by < 2; by++) {
        free(f->head[by]);
        free(f->next[by]);
        f->head[by] = f->next[by] = NULL;
    }
    f->at = NULL;
    f->slot = NULL;
}

/* An address as it is compared and hashed. */
struct words {
    uint64_t hi, lo;
    uint32_t rest;
};

static inline struct words words_of(const struct slr_addr *a)
{
    struct words w = {.rest = (uint32_t)a->port << 8 | a->family};
    memcpy(&w.hi, a->ip, sizeof w.hi);
    memcpy(&w.lo, a->ip + sizeof w.hi, sizeof w.lo);
    /* two loads: one of both would have to wait until the two stores that wrote them are through */
    __asm__("" : "+r"(w.hi), "+r"(w.lo));
    return w;
}

static inline uint64_t folded(uint64_t a, uint64_t b)
{
    uint64_t h = a * b;
    return h ^ h >> 32;
}

/* Products that do not wait for one another: this is done for each packet. */
static inline uint32_t home(const struct slr_flows *f, struct words src, struct words dst)
{
    uint64_t h = folded(src.hi ^ f->seed, UINT64_C(0x9e3779b97f4a7c15)) +
                 folded(src.lo ^ f->seed, UINT64_C(0xc2b2ae3d27d4eb4f)) +
                 folded(dst.hi ^ f->seed, UINT64_C(0x165667b19e3779f9)) +
                 folded(dst.lo ^ f->seed, UINT64_C(0xd6e8feb86659fd93));
    h ^= (uint64_t)src.rest << 32 | dst.rest;
    return (uint32_t)folded(h, UINT64_C(0xff51afd7ed558ccd)) & f->mask;
}

static inline bool same(struct words a, const struct slr_addr *b)
{
    const struct words w = words_of(b);
    return a.lo == w.lo && a.hi == w.hi && a.rest == w.rest;
}

/* Where the chain of an address begins. */
static uint32_t chain_of(const struct slr_flows *f, const struct slr_addr *a)
{
    const struct words w = words_of(a);
    uint64_t h = folded(w.hi ^ f->seed, UINT64_C(0x9e3779b97f4a7c15)) +
                 folded(w.lo ^ f->seed, UINT64_C(0xc2b2ae3d27d4eb4f));
    return (uint32_t)folded(h ^ w.rest, UINT64_C(0xff51afd7ed558ccd)) & f->mask;
}

static bool is_used(const struct slr_flow *f)
{
    return f->src.family != 0;
}

void slr_flow_fetch(const struct slr_flows *f, const struct slr_addr *src,
                    const struct slr_addr *dst)
{
    const struct words from = words_of(src), to = words_of(dst);
    slr_prefetch_read((uintptr_t)&f->at[home(f, from, to)], sizeof *f->at);
}

struct slr_flow *slr_flow_find(struct slr_flows *f, const struct slr_addr *src,
                               const struct slr_addr *dst)
{
    const struct words from = words_of(src), to = words_of(dst);
    for (uint32_t i = home(f, from, to); is_used(&f->at[i]); i = (i + 1) & f->mask) {
        if (same(from, &f->at[i].src) && same(to, &f->at[i].dst)) {
            return &f->at[i];
        }
    }
    return NULL;
}

static bool is_reverse(const struct slr_flow *of, const struct slr_flow *b, bool by_dst)
{
    if (by_dst) {
        return slr_addr_eq(&b->dst, &of->src) && slr_addr_eq_ip(&b->src, &of->dst);
    }
    return slr_addr_eq(&b->src, &of->dst) && slr_addr_eq_ip(&b->dst, &of->src) &&
           b->dst.port != of->src.port; /* else it was in the other chain */
}

struct slr_flow *slr_flow_reverse(struct slr_flows *f, const struct slr_flow *of,
                                  struct slr_flow_walk *w)
{
    for (;;) {
        bool by_dst = w->chain == WALK_BY_DST;
        while (w->next != 0) {
            struct slr_flow *b = &f->at[w->next - 1];
            w->next = f->next[by_dst ? BY_DST : BY_SRC][w->next - 1];
            if (is_reverse(of, b, by_dst)) {
                return b;
            }
        }
        if (w->chain == WALK_BY_SRC) {
            return NULL;
        }
        bool begins = w->chain++ == WALK_BEGINS;
        w->next = begins ? f->head[BY_DST][chain_of(f, &of->src)]
                         : f->head[BY_SRC][chain_of(f, &of->dst)];
    }
}

static struct slr_flow *insert(struct slr_flows *f, const struct slr_flow *flow)
{
    const struct words from = words_of(&flow->src), to = words_of(&flow->dst);
    uint32_t i = home(f, from, to);
    while (is_used(&f->at[i])) {
        i = (i + 1) & f->mask;
    }
    f->at[i] = *flow;
    f->slot[f->count++] = i;
    for (uint32_t by = 0; by < 2; by++) {
        uint32_t *head = &f->head[by][chain_of(f, by == BY_SRC ? &flow->src : &flow->dst)];
        f->next[by][i] = *head;
        *head = i + 1;
    }
    return &f->at[i];
}

struct slr_flow *slr_flow_add(struct slr_flows *f, const struct slr_addr *src,
                              const struct slr_addr *dst, uint32_t leg, slr_mono now)
{
    if (f->count >= f->max) {
        return NULL;
    }
    struct slr_flow flow = {*src, *dst, leg, f->next_order++, 0, now.ns};
    return insert(f, &flow);
}

void slr_flows_close_leg(struct slr_flows *f, uint32_t leg, slr_mono now)
{
    for (uint32_t i = 0; i < f->count; i++) {
        struct slr_flow *flow = &f->at[f->slot[i]];
        if (flow->leg == leg) {
            flow->leg = SLR_NONE;
            flow->closed_ns = now.ns;
            f->closed++;
        }
    }
}

void slr_flows_purge(struct slr_flows *f, slr_mono before)
{
    const uint32_t count = f->count;
    struct slr_flow *old = malloc((count ? count : 1) * sizeof *old);
    if (!old) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        old[i] = f->at[f->slot[i]];
        f->at[f->slot[i]].src.family = 0;
    }
    f->count = f->closed = 0;
    memset(f->head[BY_SRC], 0, ((size_t)f->mask + 1) * sizeof *f->head[BY_SRC]);
    memset(f->head[BY_DST], 0, ((size_t)f->mask + 1) * sizeof *f->head[BY_DST]);
    for (uint32_t i = 0; i < count; i++) {
        if (old[i].leg != SLR_NONE || old[i].closed_ns >= before.ns) {
            f->closed += insert(f, &old[i])->leg == SLR_NONE;
        }
    }
    free(old);
}
