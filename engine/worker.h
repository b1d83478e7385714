/*
 * worker: owns a capture instance and the sessions placed on it; takes bursts through the whole
 * packet path. slr_worker_step shows it on one screen.
 *
 * Everything that changes a session or leg while media may be running is done on its worker: other
 * threads use slr_worker_call, which waits for the worker (a few milliseconds). In a passive run
 * there is no thread and calls are made directly.
 */
#ifndef SLR_ENGINE_WORKER_H
#define SLR_ENGINE_WORKER_H

#include <pthread.h>

#include "common/ring.h"
#include "engine/placement.h"

struct slr_worker {
    struct slr_placement place;
    struct slr_counters counters;
    struct slr_capture *capture;
    const struct slr_clock *clock;
    _Atomic uint8_t *active; /* session slots, shared with the writers */
    uint32_t number, count;
    uint32_t batch_us;
    int64_t silence_ns;        /* -t */
    struct slr_srtp_box *srtp; /* one for each leg slot */
    struct slr_srtp_aes *aes;
    _Atomic int64_t *taken_ns; /* what came before is placed; for the writers. NULL: nobody asks */
    /* own */
    int64_t emptied_ns; /* when nothing was left the last time */
    int64_t housekeeping_ns;
    uint8_t *plain; /* a decrypted packet, SLR_WORKER_PLAIN_BYTES */
    /* Drops at a socket of several legs: how often they were told, and by leg how many of those
     * times its gaps took note of. NULL: capture tells by leg. */
    uint32_t drops_told;
    uint32_t *drops_seen;
    struct slr_mailbox calls;
    pthread_t thread;
    _Atomic bool stop;
    bool running;
};

#define SLR_WORKER_PLAIN_BYTES 65536u

#define SLR_TAG_RTP(leg) ((leg) << 1)
#define SLR_TAG_RTCP(leg) ((leg) << 1 | 1u)

typedef void (*slr_worker_fn)(struct slr_worker *w, void *arg);

/* Runs fn on the worker and returns when it is done. */
void slr_worker_call(struct slr_worker *w, slr_worker_fn fn, void *arg);

/* One RTP or RTCP datagram of a leg. Counts the verdict. */
void slr_worker_packet(struct slr_worker *w, uint32_t leg, bool rtcp_port,
                       const struct slr_packet *pkt);

/* A burst of them, each with its tag (SLR_TAG_RTP, SLR_TAG_RTCP), in this order. */
void slr_worker_burst(struct slr_worker *w, const struct slr_packet *burst, uint32_t count);

/* Silence (-t) and the like; at most every 100 ms has an effect. */
void slr_worker_housekeeping(struct slr_worker *w, slr_mono now);

/* One burst. */
enum slr_err slr_worker_step(struct slr_worker *w, uint32_t timeout_us);

enum slr_err slr_worker_start(struct slr_worker *w) SLR_CHECKED;
void slr_worker_stop(struct slr_worker *w);

#endif
