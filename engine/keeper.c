/*
 * keeper: see the header.
 */
#include "engine/keeper.h"

#include "common/clock.h"

static void *run(void *arg)
{
    struct slr_keeper *k = arg;
    while (!atomic_load(&k->stop)) {
        int64_t now_ns = slr_clock_mono(slr_clock_real()).ns;
        slr_pool_tend(&k->state->pool, now_ns);
        slr_pool_wait(&k->state->pool, now_ns + SLR_POOL_REST_NS);
    }
    return NULL;
}

enum slr_err slr_keeper_start(struct slr_keeper *k, struct slr_state *state)
{
    k->state = state;
    if (pthread_create(&k->thread, NULL, run, k) != 0) {
        return SLR_NOMEM;
    }
    k->running = true;
    return SLR_OK;
}

void slr_keeper_stop(struct slr_keeper *k)
{
    if (k->running) {
        atomic_store(&k->stop, true);
        slr_pool_wake(&k->state->pool);
        pthread_join(k->thread, NULL);
        k->running = false;
    }
}
