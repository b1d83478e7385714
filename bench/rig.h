/*
 * rig: worker and writer with sessions of two legs, without sockets and threads: what the benches
 * of the packet path stand on. One thread; everything ends with the process when something fails.
 */
#ifndef SLR_BENCH_RIG_H
#define SLR_BENCH_RIG_H

#include "engine/engine_priv.h"

struct rig {
    struct slr_state *state;
    struct slr_leg_codecs *codecs;
    struct slr_worker worker;
    struct slr_writer writer;
    struct slr_ring to_sealer;
    struct slr_event_sink sink;
    _Atomic uint8_t *active;
    struct slr_recfile *file;
    _Atomic uint64_t dirty;
    char dir[256];      /* recordings */
    char state_dir[64]; /* packet memory, on a tmpfs as in real life */
    int rec_fd;
    uint32_t streams;
    int64_t base_ns;
};

/* Sets up what a leg answered (slr_leg_codecs_set). */
typedef void (*rig_answer)(const void *ctx, struct slr_leg *leg);

/* One that answered all static types, PCMA alone in force: the payload is kept as it is. */
void rig_answer_pcma(const void *ctx, struct slr_leg *leg);

/* Of the calling thread. */
int64_t rig_cpu_ns(void);
/* Ends the program with a message unless ok. */
void rig_must(bool ok, const char *what);

/* `streams` legs, two a session, from time base_ns on; recordings go to a new folder below root. */
void rig_open(struct rig *b, const char *root, uint32_t streams, rig_answer answer,
              const void *ctx);
/* Removes all of it. */
void rig_close(struct rig *b);

#endif
