/*
 * stream: sequence and timestamp bookkeeping of one SSRC. Worker thread only.
 */
#include "engine/stream.h"

#include <stddef.h>
#include <string.h>

/* Packets of an ended sequence come among so many of the next one, from so near its end. */
#define OVERTAKES 256
#define OVERTAKEN 256

void slr_stream_begin(struct slr_stream *st, enum slr_stream_state state, const struct slr_rtp *rtp,
                      const struct slr_addr *src, int64_t arrival_ns)
{
    uint32_t last = atomic_load_explicit(&st->generation, memory_order_relaxed);
    uint16_t generation = (uint16_t)(last + 1); /* as records hold it */
    atomic_store_explicit(&st->state, SLR_STREAM_FREE, memory_order_release);
    memset((char *)st + offsetof(struct slr_stream, ssrc), 0,
           sizeof *st - offsetof(struct slr_stream, ssrc));
    atomic_store_explicit(&st->generation, generation, memory_order_relaxed);
    atomic_store_explicit(&st->packets, 0, memory_order_relaxed);
    atomic_store_explicit(&st->missed, 0, memory_order_relaxed);
    st->ssrc = rtp->ssrc;
    st->src = *src;
    atomic_store_explicit(&st->first_arrival_ns, arrival_ns, memory_order_relaxed);
    st->last_arrival_ns = arrival_ns;
    slr_stream_expect(st, rtp);
    atomic_store_explicit(&st->state, (uint32_t)state, memory_order_release);
}

void slr_stream_expect(struct slr_stream *st, const struct slr_rtp *rtp)
{
    /* extended numbers start at 2^20, so that an older packet never goes below zero */
    st->seq_first_ext = (1LL << 20) + rtp->seq;
    st->seq_max_ext = st->seq_first_ext - 1;
    st->ts_last_ext = (1LL << 40) + rtp->ts;
}

static uint64_t bit_of(int64_t ext)
{
    return 1ULL << ((uint64_t)ext % 64u);
}

static uint64_t *word_of(struct slr_stream *st, int64_t ext)
{
    return &st->dup_seen[(uint64_t)ext / 64u % SLR_DUP_WORDS];
}

/* Marks; false when it was marked already. */
static bool mark_seen(struct slr_stream *st, int64_t ext)
{
    if (*word_of(st, ext) & bit_of(ext)) {
        return false;
    }
    *word_of(st, ext) |= bit_of(ext);
    return true;
}

/* The newest number is that much further: those between were not received. */
static void advance(struct slr_stream *st, uint32_t by)
{
    for (uint32_t i = 1; i < by && i <= SLR_DUP_WORDS * 64u; i++) {
        *word_of(st, st->seq_max_ext + by - i) &= ~bit_of(st->seq_max_ext + by - i);
    }
    st->seq_max_ext += by;
    *word_of(st, st->seq_max_ext) |= bit_of(st->seq_max_ext);
    st->unique_run++;
}

static enum slr_seq_class restart(struct slr_stream *st, uint16_t seq)
{
    st->seq_lost_before = slr_stream_lost(st);
    st->seq_bad_valid = false;
    st->seq_before_ext = st->seq_max_ext;
    memcpy(st->dup_before, st->dup_seen, sizeof st->dup_before);
    /* a cycle of its own, so that extended numbers go on growing; two cycles on, never adjacent */
    int64_t base = (st->seq_max_ext & ~0xffffLL) + 0x20000LL;
    st->seq_first_ext = base + seq; /* those that hinted at it come after it (held.c) */
    st->seq_max_ext = base + seq;
    memset(st->dup_seen, 0, sizeof st->dup_seen);
    (void)mark_seen(st, st->seq_max_ext);
    st->unique_run = 1;
    return SLR_SEQ_RESTART;
}

enum slr_seq_class slr_stream_odd(struct slr_stream *st, uint16_t seq, int64_t *seq_ext)
{
    if (st->seq_bad_valid && seq == st->seq_bad) {
        enum slr_seq_class c = restart(st, seq);
        *seq_ext = st->seq_max_ext;
        return c;
    }
    if (st->seq_bad_valid && (uint16_t)(seq + 1u) == st->seq_bad) {
        *seq_ext = 0;
        return SLR_SEQ_DUPLICATE; /* of the one that hinted at a restart */
    }
    st->seq_bad = (uint16_t)(seq + 1u);
    st->seq_bad_valid = true;
    *seq_ext = 0;
    return SLR_SEQ_BAD;
}

enum slr_seq_class slr_stream_sequence(struct slr_stream *st, uint16_t seq, int64_t *seq_ext)
{
    int32_t delta = (int16_t)(uint16_t)(seq - (uint16_t)st->seq_max_ext);
    if (delta > 0 && delta < SLR_SEQ_MAX_DROPOUT) {
        advance(st, (uint32_t)delta);
        st->seq_bad_valid = false;
        *seq_ext = st->seq_max_ext;
        return SLR_SEQ_NEXT;
    }
    if (delta <= 0 && delta > -(int32_t)(SLR_DUP_WORDS * 64u)) {
        *seq_ext = st->seq_max_ext + delta;
        if (!mark_seen(st, *seq_ext)) {
            return SLR_SEQ_DUPLICATE;
        }
        if (*seq_ext < st->seq_first_ext) {
            st->seq_first_ext = *seq_ext;
        }
        st->unique_run++;
        return SLR_SEQ_REORDERED;
    }
    return slr_stream_odd(st, seq, seq_ext);
}

enum slr_seq_class slr_stream_overtaken(struct slr_stream *st, const struct slr_rtp *rtp,
                                        int64_t *seq_ext)
{
    int32_t from_this = (int16_t)(uint16_t)(rtp->seq - (uint16_t)st->seq_max_ext);
    int32_t from_before = (int16_t)(uint16_t)(rtp->seq - (uint16_t)st->seq_before_ext);
    bool of_this = from_this > -(int32_t)(SLR_DUP_WORDS * 64u) && from_this < SLR_SEQ_MAX_DROPOUT;
    bool young = st->seq_before_ext != 0 && st->seq_max_ext - st->seq_first_ext < OVERTAKES;
    bool older = (int32_t)(rtp->ts - (uint32_t)st->ts_last_ext) < 0;
    if (of_this || !young || !older || from_before > OVERTAKEN || from_before < -OVERTAKEN) {
        return SLR_SEQ_BAD;
    }
    int64_t ext = st->seq_before_ext + from_before;
    uint64_t *words = st->dup_before;
    for (; st->seq_before_ext < ext; st->seq_before_ext++) {
        int64_t next = st->seq_before_ext + 1;
        words[(uint64_t)next / 64u % SLR_DUP_WORDS] &= ~bit_of(next);
        st->seq_lost_before++; /* for now */
    }
    *seq_ext = ext;
    if (words[(uint64_t)ext / 64u % SLR_DUP_WORDS] & bit_of(ext)) {
        return SLR_SEQ_DUPLICATE;
    }
    words[(uint64_t)ext / 64u % SLR_DUP_WORDS] |= bit_of(ext);
    st->seq_lost_before -= st->seq_lost_before > 0;
    return SLR_SEQ_REORDERED;
}

int64_t slr_stream_timestamp(const struct slr_stream *st, uint32_t ts)
{
    return st->ts_last_ext + (int32_t)(ts - (uint32_t)st->ts_last_ext);
}

/* Another clock: what was measured is the same in its units, the next transit is not. */
static void jitter_clock(struct slr_jitter *j, uint32_t clock_hz)
{
    double ratio = j->clock_hz ? (double)clock_hz / (double)j->clock_hz : 1;
    j->now *= ratio;
    j->sum *= ratio;
    j->max *= ratio;
    j->clock_hz = clock_hz;
    j->valid = false;
}

void slr_jitter_take(struct slr_jitter *j, int64_t ts_ext, int64_t arrival_ns)
{
    int64_t hz = (int64_t)j->clock_hz;
    int64_t units = arrival_ns / SLR_NS_PER_S * hz + arrival_ns % SLR_NS_PER_S * hz / SLR_NS_PER_S;
    int64_t transit = units - ts_ext;
    if (j->valid) {
        int64_t d = transit - j->transit_last;
        j->now += ((double)(d < 0 ? -d : d) - j->now) / 16.0;
        j->sum += j->now;
        j->max = j->now > j->max ? j->now : j->max;
        j->count++;
    }
    j->transit_last = transit;
    j->valid = true;
}

void slr_stream_jitter(struct slr_stream *st, int64_t ts_ext, int64_t arrival_ns)
{
    if (st->jitter.clock_hz != st->clock_hz) {
        jitter_clock(&st->jitter, st->clock_hz);
    }
    slr_jitter_take(&st->jitter, ts_ext, arrival_ns);
}

void slr_stream_run(struct slr_stream *st, uint32_t packets)
{
    for (uint32_t i = 1; i <= packets; i++) {
        *word_of(st, st->seq_max_ext + i) |= bit_of(st->seq_max_ext + i);
    }
    st->seq_max_ext += packets;
    st->unique_run += packets;
}

void slr_stream_count_pt(struct slr_stream *st, uint8_t pt)
{
    for (uint32_t i = 0; i < st->pt_kinds; i++) {
        if (st->pt_used[i] == pt) {
            st->pt_count[i]++;
            return;
        }
    }
    if (st->pt_kinds < SLR_STREAM_PTS) {
        st->pt_used[st->pt_kinds] = pt;
        st->pt_count[st->pt_kinds] = 1;
        st->pt_kinds++;
    } else {
        st->pt_count[SLR_STREAM_PTS - 1]++;
    }
}

uint64_t slr_stream_lost(const struct slr_stream *st)
{
    uint64_t expected = (uint64_t)(st->seq_max_ext - st->seq_first_ext + 1);
    uint64_t lost = expected > st->unique_run ? expected - st->unique_run : 0;
    return st->seq_lost_before + lost;
}
