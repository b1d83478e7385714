/*
 * spread: see the header. Control thread.
 */
#include "engine/spread.h"

struct load {
    uint32_t workers, writers;
    uint32_t worker[SLR_SPREAD_THREADS], writer[SLR_SPREAD_THREADS]; /* streams of each */
};

/* Of all that is not over: what is sealed costs its writer nothing any more. */
static void count_streams(const struct slr_state *s, struct load *l)
{
    const uint32_t n = slr_state_sessions(s);
    for (uint32_t i = 0; i < n; i++) {
        const struct slr_session *one = &s->session[i];
        uint32_t state = atomic_load_explicit(&one->state, memory_order_acquire);
        if (state == SLR_SESSION_SETUP || state == SLR_SESSION_OPEN) {
            uint32_t legs = atomic_load_explicit(&one->leg_count, memory_order_relaxed);
            uint32_t streams = legs > one->reserve ? legs : one->reserve;
            l->worker[slr_spread_of(i, l->workers)] += streams;
            l->writer[slr_spread_of(i, l->writers)] += streams;
        }
    }
}

/* The busier of the two counts, then both. */
static uint64_t cost_of(const struct load *l, uint32_t slot)
{
    uint64_t a = l->worker[slr_spread_of(slot, l->workers)];
    uint64_t b = l->writer[slr_spread_of(slot, l->writers)];
    return (a > b ? a : b) << 32 | (a + b);
}

static bool is_free(const struct slr_state *s, const _Atomic uint8_t *active, uint32_t slot)
{
    return atomic_load_explicit(&s->session[slot].state, memory_order_acquire) ==
               SLR_SESSION_FREE &&
           atomic_load_explicit(&active[slot], memory_order_acquire) == 0;
}

/* The cheapest free slot of the first `count`, from `begin` on; SLR_NONE: none is free. */
static uint32_t cheapest(const struct slr_state *s, const _Atomic uint8_t *active,
                         const struct load *l, uint32_t begin, uint32_t count)
{
    uint32_t best = SLR_NONE;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = (begin + i) % count;
        if (is_free(s, active, slot) && (best == SLR_NONE || cost_of(l, slot) < cost_of(l, best))) {
            best = slot;
            if (l->workers == 1 && l->writers == 1) {
                break;
            }
        }
    }
    return best;
}

/* What the cheapest slot of all costs, free or not. */
static uint64_t least_cost(const struct load *l, uint32_t slots)
{
    uint64_t least = UINT64_MAX;
    for (uint32_t slot = 0; slot < slots; slot++) {
        uint64_t cost = cost_of(l, slot);
        least = cost < least ? cost : least;
    }
    return least;
}

uint32_t slr_spread_slot(struct slr_state *s, const _Atomic uint8_t *active, uint32_t cursor,
                         uint32_t workers, uint32_t writers)
{
    struct load l = {.workers = workers, .writers = writers};
    const bool alone = workers == 1 && writers == 1;
    if (!alone) {
        count_streams(s, &l);
    }
    uint32_t n = slr_state_sessions(s);
    uint32_t slot = cheapest(s, active, &l, cursor, n);
    uint32_t kinds = n < workers * writers ? n : workers * writers;
    bool good = slot != SLR_NONE && (alone || cost_of(&l, slot) == least_cost(&l, kinds));
    if (!good && slr_state_more_sessions(s) != SLR_NONE) {
        slot = cheapest(s, active, &l, n, slr_state_sessions(s));
    }
    return slot;
}
