/*
 * sender: one thread that sends the RTP of all calls, each packet at its time.
 *
 * Calls come and go through two rings: the director puts a call that is set up, and takes it back
 * when its last packet has left. The sender drops nothing by itself: when the socket is full it
 * waits, and counts. Allocates at open only.
 */
#ifndef SLR_LOAD_SENDER_H
#define SLR_LOAD_SENDER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "load/book.h"
#include "load/cast.h"
#include "load/config.h"
#include "load/hist.h"

struct slr_sender_config {
    const struct slr_load_config *cfg;
    const struct slr_cast *cast;
    const char *local_ip; /* address that RTP comes from */
    const char *media_ip; /* the recorder's, for frames */
    uint32_t streams_max;
};

struct slr_sender_stats {
    uint64_t packets, bytes; /* sent */
    uint64_t dropped;        /* left out by the impairment that was asked for */
    uint64_t copies, delayed, comfort;
    uint64_t waits; /* the socket, or the device's queue, was full: sent again until it took them */
    uint64_t errors;       /* packets that could not be sent at all, or that the device dropped */
    uint64_t slots_behind; /* slots begun more than a slot late */
};

struct slr_sender;

/* Opens the way out and starts the thread, with real-time priority where that is allowed. */
enum slr_err slr_sender_open(const struct slr_sender_config *sc,
                             struct slr_sender **out) SLR_CHECKED;
/* Ends the thread at once; calls that were not taken back are never. */
void slr_sender_close(struct slr_sender *s);

/* Director's thread. False: as many wait as streams_max allows. */
bool slr_sender_put(struct slr_sender *s, struct slr_call *call);
/* A call that is over, its legs' start and frames filled in; NULL: none. */
struct slr_call *slr_sender_take(struct slr_sender *s);
/* No frame that is due at that monotonic time or later is sent. */
void slr_sender_stop_at(struct slr_sender *s, int64_t at_ns);

/* Lateness counts while it measures. */
void slr_sender_measure(struct slr_sender *s, bool on);
/* CPU time of the thread so far; counters; lateness (right when the thread stands still, else all
 * but the newest). */
int64_t slr_sender_cpu_ns(const struct slr_sender *s);
void slr_sender_stats(const struct slr_sender *s, struct slr_sender_stats *out);
void slr_sender_late(const struct slr_sender *s, struct slr_hist *out);

#endif
