/*
 * place: what is known of one RTP packet on its way through placement. Shared by placement.c
 * (the way), anchor.c (its place in time), held.c (sequences that begin anew) and rtcp.c (the place
 * of a report) only.
 */
#ifndef SLR_ENGINE_PLACE_H
#define SLR_ENGINE_PLACE_H

#include "engine/placement.h"
#include "engine/queue.h"
#include "engine/stream.h"

struct slr_place {
    struct slr_placement *p;
    struct slr_session *session;
    struct slr_leg *leg;
    struct slr_stream *st;
    const struct slr_packet *pkt;
    const struct slr_rtp *rtp;
    struct slr_rec rec;
    uint32_t leg_index;
    int64_t arrival_ticks;
    int64_t written_ticks;  /* what is before it is in the file or as good as; INT64_MIN: nothing */
    int64_t in_order_after; /* newest sequence number before this packet */
    int64_t ts_ext;
    int64_t end_ticks; /* moved by the segment's shift */
    bool newest;
    bool restart;     /* first of a new sequence that is believed */
    bool held;        /* it was counted when it came (held.c) */
    bool other_clock; /* comfort noise that seems to count by a clock of which no sound told yet */
};

static inline int64_t slr_place_shift(const struct slr_leg *leg, uint32_t segment)
{
    return atomic_load_explicit(&slr_leg_segment(leg, segment)->shift_ticks, memory_order_relaxed);
}

static inline int64_t slr_place_highest(const struct slr_leg *leg)
{
    return atomic_load_explicit(&slr_leg_run(leg)->highest_ticks, memory_order_relaxed);
}

static inline const struct slr_anchor *slr_place_anchor(const struct slr_stream *st)
{
    return &st->anchor[atomic_load_explicit(&st->anchor_index, memory_order_relaxed) & 1];
}

/* The one that was in force before; its clock_hz is 0 where there was none. */
static inline const struct slr_anchor *slr_place_anchor_before(const struct slr_stream *st)
{
    return &st->anchor[slr_place_anchor(st) == &st->anchor[0]];
}

static inline bool slr_place_taken(const struct slr_place *x)
{
    return atomic_load_explicit(&x->st->state, memory_order_relaxed) == SLR_STREAM_TAKEN;
}

/* The record's position as it is now. */
static inline int64_t slr_place_start(const struct slr_place *x)
{
    return x->rec.pos_ticks + slr_place_shift(x->leg, x->rec.segment);
}

/* Is a packet's place in the file already? */
static inline bool slr_place_is_written(const struct slr_place *x, int64_t end_ticks,
                                        uint32_t dur_ticks)
{
    return dur_ticks > 0 ? end_ticks <= x->written_ticks : end_ticks < x->written_ticks;
}

#endif
