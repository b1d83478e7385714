/*
 * keeper: the thread that has memory for packets ready before workers need it, and gives back what
 * they have not needed for a while (pool.h). It sleeps until it is woken. Started and stopped by
 * the control thread; allocates nothing in the process.
 */
#ifndef SLR_ENGINE_KEEPER_H
#define SLR_ENGINE_KEEPER_H

#include "engine/state.h"

struct slr_keeper {
    struct slr_state *state;
    pthread_t thread;
    _Atomic bool stop;
    bool running;
};

/* SLR_NOMEM: no thread. */
enum slr_err slr_keeper_start(struct slr_keeper *k, struct slr_state *state) SLR_CHECKED;
/* Not started: nothing to do. */
void slr_keeper_stop(struct slr_keeper *k);

#endif
