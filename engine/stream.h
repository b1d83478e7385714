/*
 * stream: one SSRC's sequence numbers, timestamps and statistics (RFC 3550 A.1, A.3, A.8).
 *
 * Works on struct slr_stream in the state file; owned by the leg's worker; allocates nothing.
 */
#ifndef SLR_ENGINE_STREAM_H
#define SLR_ENGINE_STREAM_H

#include "engine/rtp.h"
#include "engine/state.h"

/* Sequence jumps up to this many are loss, beyond it the sender may have restarted. */
#define SLR_SEQ_MAX_DROPOUT 3000

enum slr_seq_class {
    SLR_SEQ_NEXT,      /* newest so far */
    SLR_SEQ_REORDERED, /* older, not seen before */
    SLR_SEQ_DUPLICATE,
    SLR_SEQ_BAD,    /* far off; a second one in a row will be a restart */
    SLR_SEQ_RESTART /* the sender started a new sequence: newest, after a restart */
};

/* Resets everything but the generation, which grows. */
void slr_stream_begin(struct slr_stream *st, enum slr_stream_state state, const struct slr_rtp *rtp,
                      const struct slr_addr *src, int64_t arrival_ns);

/* Forgets where the numbers began: this packet will be the first. Only before any was recorded. */
void slr_stream_expect(struct slr_stream *st, const struct slr_rtp *rtp);

/* Unwraps and records the sequence number. The first packet after begin is NEXT. */
enum slr_seq_class slr_stream_sequence(struct slr_stream *st, uint16_t seq, int64_t *seq_ext);

/* The same for a number that is none of this sequence: BAD, and RESTART when another one follows.
 */
enum slr_seq_class slr_stream_odd(struct slr_stream *st, uint16_t seq, int64_t *seq_ext);

/* The same for a packet of the sequence before, overtaken by the first ones of this one: REORDERED
 * or DUPLICATE. BAD: it is none, nothing was recorded. */
enum slr_seq_class slr_stream_overtaken(struct slr_stream *st, const struct slr_rtp *rtp,
                                        int64_t *seq_ext);

/* Unwraps a timestamp next to that of the newest packet. */
int64_t slr_stream_timestamp(const struct slr_stream *st, uint32_t ts);

/* Interarrival jitter (RFC 3550 6.4.1), from a packet in order. */
void slr_stream_jitter(struct slr_stream *st, int64_t ts_ext, int64_t arrival_ns);
/* The same where the clock is known to be that of *j. */
void slr_jitter_take(struct slr_jitter *j, int64_t ts_ext, int64_t arrival_ns);

/* Records so many packets whose numbers came one after the other. */
void slr_stream_run(struct slr_stream *st, uint32_t packets);

void slr_stream_count_pt(struct slr_stream *st, uint8_t pt);

/* Expected minus unique, over all sequences of this SSRC; never negative. */
uint64_t slr_stream_lost(const struct slr_stream *st);

/* Ticks of a number of RTP clock units, exact where clock_hz divides SLR_TICKS_HZ. */
static inline int64_t slr_ticks_from_rtp(int64_t units, uint32_t clock_hz)
{
    int64_t hz = (int64_t)clock_hz;
    return units / hz * SLR_TICKS_HZ + units % hz * SLR_TICKS_HZ / hz;
}

/* As told in the end. A process that died between queue and count has missed none that it placed.
 */
static inline uint64_t slr_stream_placed(const struct slr_stream *st)
{
    uint64_t missed = slr_count_get(&st->missed);
    return st->placed > missed ? st->placed - missed : 0;
}
static inline uint64_t slr_stream_late(const struct slr_stream *st)
{
    return st->late + slr_count_get(&st->missed);
}

#endif
