/*
 * encode_pool: the threads that make final files, of the lowest priority that is safe (nice 19,
 * SCHED_BATCH, lowest I/O): they get what nobody else wants.
 *
 * A thread of that kind may stand still for long at any instruction, so it never holds a lock of
 * ours that others take: work is handed over through its slot alone, and all it does is
 * slr_finish_run. The kernel's own locks (the memory map's, the journal's) it cannot help taking:
 * with SCHED_IDLE it stood for seconds within them on a host without any processor time left, and
 * all the engine with it. Slots are the caller's between MADE (or IDLE) and GIVEN. One thread gives
 * and collects.
 */
#ifndef SLR_ENGINE_ENCODE_POOL_H
#define SLR_ENGINE_ENCODE_POOL_H

#include <pthread.h>
#include <semaphore.h>

#include "engine/finish.h"
#include "engine/pin.h"

#define SLR_ENCODERS_MAX 64u

enum slr_encode_slot_state { SLR_ENCODE_IDLE, SLR_ENCODE_GIVEN, SLR_ENCODE_MADE };

struct slr_encode_slot {
    _Atomic uint32_t state; /* enum slr_encode_slot_state */
    _Atomic bool stop;      /* give up; the job points to it */
    const struct slr_finish_job *job;
    struct slr_final_file *file; /* room for all of the plan's files */
    uint64_t frames;
    enum slr_err made;
    /* own */
    pthread_t thread;
    sem_t wake;
    uint32_t number;
    bool runs;
    _Atomic bool end;
};

struct slr_encode_pool {
    struct slr_encode_slot *slot;
    uint32_t count; /* that run */
};

/* Starts up to `wanted` threads (1..SLR_ENCODERS_MAX), on pin's processors; at least one, else
 * SLR_NOMEM; SLR_INVAL: there are no such processors. */
enum slr_err slr_encode_pool_start(struct slr_encode_pool *p, uint32_t wanted,
                                   const struct slr_pin *pin) SLR_CHECKED;
/* What is being made is given up (SLR_AGAIN in its slot). Slots stay until fini. */
void slr_encode_pool_stop(struct slr_encode_pool *p);
void slr_encode_pool_fini(struct slr_encode_pool *p);

/* An idle slot begins with job->stop at its own. */
void slr_encode_pool_give(struct slr_encode_slot *s, struct slr_finish_job *job,
                          struct slr_final_file *file);

/* CPU time that one of them spent by now. */
int64_t slr_encode_slot_cpu_ns(const struct slr_encode_slot *s);
/* CPU time that all of them spent by now. */
int64_t slr_encode_pool_cpu_ns(const struct slr_encode_pool *p);

#endif
