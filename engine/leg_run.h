/*
 * leg_run: what each packet of a leg needs and changes, apart from the rest of the leg and beside
 * the same of the other legs: three lines of the cache each, so that those of all legs stay in it
 * and in few pages. Lies in the state file. Who writes what: W the session's worker, F its writer.
 */
#ifndef SLR_ENGINE_LEG_RUN_H
#define SLR_ENGINE_LEG_RUN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/net.h"
#include "engine/sound_kept.h"

struct slr_leg_run {
    /* W: packets come as they should (steady.c), which implies that the leg is OPEN: what is from
     * here to src_, what was added up since, and where the newest packet was. Who makes anything
     * about the leg unusual clears `on`. */
    _Alignas(64) bool on;
    uint8_t pt, row, stream;
    uint16_t byte_ticks;    /* length of a byte, which is a sample and a unit of the RTP clock */
    uint8_t loss_flags;     /* for the next record: packets were dropped before it */
    _Atomic uint8_t secure; /* only what slr_srtp_take gives counts */
    uint32_t generation, ssrc;
    struct slr_addr src;
    uint32_t packets, bytes; /* added to the stream when the run ends */
    uint32_t queue_spare;    /* W: chunk that is to be the next one, plus 1; 0: none */
    union {                  /* W: where the next record comes to lie: one store */
        struct {
            uint32_t queue_tail, queue_used_bytes;
        };
        _Atomic uint64_t queue_end;
    };
    int64_t start_ns; /* of the session */
    /* another line */
    int64_t seq_ext, ts_ext, pos_ticks; /* newest packet's */
    _Atomic int64_t claimed_ticks; /* F: what is before it, in this leg's time, is in the file, or
                                      in the block that is being made */
    _Atomic int64_t heard_ns;      /* arrival of the last taken packet, 0: never */
    _Atomic int64_t highest_ticks; /* one past all received on taken streams, INT64_MIN: none */
    _Atomic int64_t lag_ticks;     /* arrival of the newest packet of those minus where it ended */
    int64_t offset_since_ns;
    /* and another */
    int64_t offset_ticks;       /* most of position minus arrival since then */
    int64_t offset_noted_ticks; /* offset that is known: a step from it is noted */
    struct slr_jitter jitter;
};

_Static_assert(sizeof(struct slr_leg_run) == 192, "three lines of the cache");

#endif
