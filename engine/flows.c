/*
 * flows: open addressing with linear probing; purging rebuilds the table in place.
 */
#include "engine/flows.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/prefetch.h"
#include "engine/state.h"

enum slr_err slr_flows_init(struct slr_flows *f, uint32_t max)
{
    uint32_t size = 16;
    while (size < max * 2) {
        size *= 2;
    }
    _Static_assert(sizeof *f->at == SLR_CACHE_LINE_BYTES, "a flow is a line of the cache");
    f->at = aligned_alloc(sizeof *f->at, size * sizeof *f->at);
    if (f->at) {
        memset(f->at, 0, size * sizeof *f->at);
    }
    if (getrandom(&f->seed, sizeof f->seed, GRND_NONBLOCK) != (ssize_t)sizeof f->seed) {
        f->seed = (uintptr_t)f->at; /* hardly a secret, and hardly ever */
    }
    f->slot = malloc(max * sizeof *f->slot);
    f->mask = size - 1;
    f->count = 0;
    f->max = max;
    return f->at && f->slot ? SLR_OK : SLR_NOMEM;
}

void slr_flows_fini(struct slr_flows *f)
{
    free(f->at);
    free(f->slot);
    f->at = NULL;
    f->slot = NULL;
}

static uint64_t mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 32;
}

static uint32_t home(const struct slr_flows *f, const struct slr_addr *src,
                     const struct slr_addr *dst)
{
    uint64_t a[2];
    uint64_t b[2];
    memcpy(a, src->ip, sizeof a);
    memcpy(b, dst->ip, sizeof b);
    uint64_t h = mix(f->seed, (uint64_t)src->port << 16 | dst->port);
    h = mix(mix(mix(mix(h, a[0]), a[1]), b[0]), b[1]);
    return (uint32_t)h & f->mask;
}

static bool is_used(const struct slr_flow *f)
{
    return f->src.family != 0;
}

void slr_flow_fetch(const struct slr_flows *f, const struct slr_addr *src,
                    const struct slr_addr *dst)
{
    slr_prefetch_read((uintptr_t)&f->at[home(f, src, dst)], sizeof *f->at);
}

struct slr_flow *slr_flow_find(struct slr_flows *f, const struct slr_addr *src,
                               const struct slr_addr *dst)
{
    for (uint32_t i = home(f, src, dst); is_used(&f->at[i]); i = (i + 1) & f->mask) {
        if (slr_addr_eq(&f->at[i].src, src) && slr_addr_eq(&f->at[i].dst, dst)) {
            return &f->at[i];
        }
    }
    return NULL;
}

static struct slr_flow *insert(struct slr_flows *f, const struct slr_flow *flow)
{
    uint32_t i = home(f, &flow->src, &flow->dst);
    while (is_used(&f->at[i])) {
        i = (i + 1) & f->mask;
    }
    f->at[i] = *flow;
    f->slot[f->count++] = i;
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
    for (uint32_t i = 0; i < count; i++) {
        if (old[i].leg != SLR_NONE || old[i].closed_ns >= before.ns) {
            f->closed += insert(f, &old[i])->leg == SLR_NONE;
        }
    }
    free(old);
}
