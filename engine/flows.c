/*
 * flows: open addressing with linear probing; purging rebuilds the table in place.
 */
#include "engine/flows.h"

#include <stdlib.h>
#include <string.h>

#include "engine/state.h"

enum slr_err slr_flows_init(struct slr_flows *f, uint32_t max)
{
    uint32_t size = 16;
    while (size < max * 2) {
        size *= 2;
    }
    f->at = calloc(size, sizeof *f->at);
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

static uint32_t hash_addr(uint32_t h, const struct slr_addr *a)
{
    for (size_t i = 0; i < sizeof a->ip; i++) {
        h = (h ^ a->ip[i]) * 16777619u;
    }
    h = (h ^ (a->port & 0xffu)) * 16777619u;
    return (h ^ (uint32_t)(a->port >> 8)) * 16777619u;
}

static uint32_t home(const struct slr_flows *f, const struct slr_addr *src,
                     const struct slr_addr *dst)
{
    uint32_t h = hash_addr(hash_addr(2166136261u, src), dst);
    return (h ^ h >> 15) & f->mask;
}

struct slr_flow *slr_flow_find(struct slr_flows *f, const struct slr_addr *src,
                               const struct slr_addr *dst)
{
    for (uint32_t i = home(f, src, dst); f->at[i].used; i = (i + 1) & f->mask) {
        if (slr_addr_eq(&f->at[i].src, src) && slr_addr_eq(&f->at[i].dst, dst)) {
            return &f->at[i];
        }
    }
    return NULL;
}

static struct slr_flow *insert(struct slr_flows *f, const struct slr_flow *flow)
{
    uint32_t i = home(f, &flow->src, &flow->dst);
    while (f->at[i].used) {
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
    struct slr_flow flow = {*src, *dst, leg, 0, now.ns, f->next_order++, true};
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
        f->at[f->slot[i]].used = false;
    }
    f->count = f->closed = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (old[i].leg != SLR_NONE || old[i].closed_ns >= before.ns) {
            f->closed += insert(f, &old[i])->leg == SLR_NONE;
        }
    }
    free(old);
}
