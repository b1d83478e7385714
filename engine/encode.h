/*
 * encode: record now, encode later. Which ended recordings get their final format at once, which
 * are sealed as WAV first, and when those are encoded.
 *
 * A thread of its own, of usual priority, decides, hands work to the encoders' pool, and publishes
 * what they made; the sealer's threads never encode, so what needs no encoding is never late for
 * what does. A session that the sealer offers is encoded and then sealed, as long as there is room:
 * little load, nothing that waits longer already, a short line. Else the sealer seals it as WAV
 * ("encode/ID.wav"), frees its slots, and puts it here; these are encoded in the order in which
 * they began whenever there is room, and one at a time in any case once the oldest waits for
 * longer than --encode-within says. What waits lies on the disk and is found there at the start.
 */
#ifndef SLR_ENGINE_ENCODE_H
#define SLR_ENGINE_ENCODE_H

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

#include "engine/encode_load.h"
#include "engine/encode_pool.h"
#include "engine/encode_queue.h"
#include "engine/sealer.h"

/* Sessions in line for being encoded at once, for each encoder. */
#define SLR_ENCODE_LINE 4u

struct slr_encode_task;

/* What a slot of the pool works at; one of both. */
struct slr_encode_making {
    struct slr_seal_work *work; /* a session */
    struct slr_encode_task *task;
    int64_t since_ns, cpu_ns; /* of a session: it began then, with so much spent before */
};

struct slr_encode_line {
    uint32_t session;
    int64_t since_ns;
};

struct slr_encode {
    struct slr_state *state;
    struct slr_sealer *sealer;
    const struct slr_event_sink *sink;
    int rec_fd;
    uint32_t encoders;      /* 0: one for each processor */
    const char *pin;        /* NULL: any */
    uint32_t limit_percent; /* of encode_load */
    uint32_t within_s;      /* what waits longer is encoded under load too; 0: never */
    int64_t window_ticks, block_ticks;
    const _Atomic int64_t *stalled_ns; /* so long the disk stands still; NULL: nobody looks */
    struct slr_counters counters;
    /* own */
    pthread_mutex_t lock; /* queue and line; no encoder ever takes it */
    struct slr_encode_queue queue;
    struct slr_encode_line line[SLR_ENCODERS_MAX * SLR_ENCODE_LINE];
    uint32_t line_count;
    struct slr_encode_pool pool;
    struct slr_encode_making making[SLR_ENCODERS_MAX];
    struct slr_encode_load load;
    _Atomic bool room;
    bool starved, scanned, alarmed;
    uint32_t cpus;
    int64_t judged_ns, judged_cpu_ns, hold_until_ns;
    struct slr_encode_backlog backlog; /* a moment old; under the lock */
    pthread_t thread;
    bool running;
    _Atomic bool stop;
};

/* Starts the encoders and the thread. SLR_INVAL: pin names no processors that are there. */
enum slr_err slr_encode_start(struct slr_encode *e) SLR_CHECKED;
/* What is being made is given up: sessions stay as they are in the state file. */
void slr_encode_stop(struct slr_encode *e);

/* A sealer's thread asks whether this session, in SEALING, is encoded at once. True: it is not the
 * sealer's any more until it is sealed, or comes back by slr_sealer_put_off. */
bool slr_encode_offer(struct slr_encode *e, uint32_t session);

/* A recording was sealed as WAV and told. Sealer's threads. */
void slr_encode_put(struct slr_encode *e, const char *id, int64_t len_ms);

/* Before a recording's files are removed. SLR_BUSY: it is just being made, which ends soon. */
enum slr_err slr_encode_cancel(struct slr_encode *e, const char *id) SLR_CHECKED;

/* For the command `stats`; NULL: out of memory. */
json_t *slr_encode_stats(struct slr_encode *e);

#endif
