/*
 * steady: first all questions, then all stores. The record comes first among these: a process that
 * dies between them has miscounted a packet, but not lost it. Worker thread; allocates nothing.
 */
#include "engine/steady.h"

#include <string.h>

/* Between packets; more is a pause, and the long way looks what it was. */
#define GAP_NS (100 * SLR_NS_PER_MS)
/* So often the long way sums up the least delays (anchor.c). */
#define OFFSET_NS (2 * SLR_NS_PER_S)
/* A packet further before its time than that is sent too fast, or its clock runs away. */
#define EARLY_TICKS SLR_TICKS_HZ
#define PAYLOAD_BYTES 160u /* as most of them have */

static bool same_address(const struct slr_addr *a, const struct slr_addr *b)
{
    uint64_t x[2];
    uint64_t y[2];
    memcpy(x, a->ip, sizeof x);
    memcpy(y, b->ip, sizeof y);
    return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0 && a->port == b->port && a->family == b->family;
}

static bool is_next(const struct slr_leg *leg, const struct slr_packet *pkt,
                    const struct slr_rtp *rtp)
{
    size_t len = rtp->payload.len_bytes;
    return leg->run && rtp->pt == leg->run_pt && rtp->ssrc == leg->run_ssrc &&
           rtp->seq == (uint16_t)(leg->run_seq_ext + 1) && leg->loss_flags == 0 && len > 0 &&
           len <= SLR_REC_MAX_PAYLOAD && same_address(&leg->run_src, &pkt->src) &&
           atomic_load_explicit(&leg->state, memory_order_relaxed) == SLR_LEG_OPEN;
}

static enum slr_err put(struct slr_state *state, uint32_t leg_index, const struct slr_rec *rec,
                        const uint8_t *payload)
{
    struct slr_leg *leg = &state->leg[leg_index];
    uint32_t need = slr_rec_bytes(rec->len_bytes);
    if (leg->queue_used_bytes + need > SLR_CHUNK_ROOM) {
        return slr_queue_put(state, leg_index, rec, payload);
    }
    uint8_t *to = state->chunk[leg->queue_tail].at + leg->queue_used_bytes;
    memcpy(to, rec, sizeof *rec);
    memcpy(to + sizeof *rec, payload, rec->len_bytes);
    /* little endian as the host is: the upper half is what is used */
    uint64_t end = atomic_load_explicit(&leg->queue_end, memory_order_relaxed);
    atomic_store_explicit(&leg->queue_end, end + ((uint64_t)need << 32), memory_order_release);
    return SLR_OK;
}

bool slr_steady_place(struct slr_placement *p, uint32_t leg_index, const struct slr_packet *pkt,
                      const struct slr_rtp *rtp)
{
    struct slr_leg *leg = &p->state->leg[leg_index];
    if (!is_next(leg, pkt, rtp)) {
        return false;
    }
    int64_t now = pkt->arrival.ns;
    int64_t passed = now - atomic_load_explicit(&leg->heard_ns, memory_order_relaxed);
    int32_t units = (int32_t)(rtp->ts - (uint32_t)leg->run_ts_ext);
    uint32_t dur = (uint32_t)rtp->payload.len_bytes * leg->run_byte_ticks;
    int64_t step = (int64_t)units * leg->run_byte_ticks;
    int64_t pos = leg->run_pos_ticks + step;
    int64_t end = pos + dur;
    int64_t arrival = slr_ticks_from_ns(now - leg->start_ns);
    if (passed < 0 || passed >= GAP_NS || step < 0 || step >= SLR_TICKS_HZ ||
        now - leg->offset_since_ns >= OFFSET_NS ||
        pos - arrival - leg->offset_noted_ticks > EARLY_TICKS || pos - arrival > SLR_LEAD_TICKS ||
        end <= atomic_load_explicit(&leg->written_ticks, memory_order_relaxed)) {
        return false;
    }
    struct slr_rec rec = {.pos_ticks = pos,
                          .seq_ext = leg->run_seq_ext + 1,
                          .arrival_ns = now,
                          .dur_ticks = dur,
                          .generation = leg->run_generation,
                          .len_bytes = (uint16_t)rtp->payload.len_bytes,
                          .stream = leg->run_stream,
                          .pt = leg->run_row};
    if (put(p->state, leg_index, &rec, rtp->payload.at) != SLR_OK) {
        return false;
    }
    leg->run_seq_ext++;
    leg->run_ts_ext += units;
    leg->run_pos_ticks = pos;
    leg->run_packets++;
    leg->run_bytes += rec.len_bytes;
    slr_jitter_take(&leg->run_jitter, leg->run_ts_ext, now);
    if (end > slr_place_highest(leg)) {
        atomic_store_explicit(&leg->highest_ticks, end, memory_order_relaxed);
    }
    if (pos - arrival > leg->offset_ticks[0]) {
        leg->offset_ticks[0] = pos - arrival;
    }
    atomic_store_explicit(&leg->lag_ticks, arrival - end, memory_order_relaxed);
    atomic_store_explicit(&leg->heard_ns, now, memory_order_relaxed);
    return true;
}

void slr_steady_stop(struct slr_leg *leg)
{
    leg->run = false;
    uint32_t n = leg->run_packets;
    if (n == 0) {
        return;
    }
    leg->run_packets = 0;
    struct slr_stream *st = &leg->stream[leg->run_stream % SLR_LEG_STREAMS];
    int64_t shift = slr_place_shift(leg, slr_place_anchor(st)->segment);
    int64_t heard = atomic_load_explicit(&leg->heard_ns, memory_order_relaxed);
    int64_t end = slr_ticks_from_ns(heard - leg->start_ns) -
                  atomic_load_explicit(&leg->lag_ticks, memory_order_relaxed);
    slr_stream_run(st, n);
    slr_count_own(&st->packets, n);
    st->bytes += leg->run_bytes;
    st->pt_count[0] += n;
    st->jitter = leg->run_jitter;
    st->ts_last_ext = leg->run_ts_ext;
    st->pos_last_ticks = leg->run_pos_ticks - shift;
    st->pos_last_arrival_ns = st->last_arrival_ns = heard;
    st->placed += n;
    st->placed_ticks += (int64_t)leg->run_bytes * leg->run_byte_ticks;
    st->last_ticks = end > st->last_ticks ? end : st->last_ticks;
    leg->run_bytes = 0;
}

void slr_steady_start(const struct slr_place *x)
{
    struct slr_leg *leg = x->leg;
    struct slr_stream *st = x->st;
    const struct slr_codec_use *use = &x->p->codecs[x->leg_index].use[x->rec.pt];
    const struct slr_anchor *a = slr_place_anchor(st);
    bool calm = x->session != &x->p->flow_session && !x->p->long_way &&
                !atomic_load_explicit(&x->session->paused, memory_order_relaxed) &&
                atomic_load_explicit(&x->session->pauses_ns.count, memory_order_relaxed) == 0 &&
                atomic_load_explicit(&leg->pauses.count, memory_order_relaxed) == 0;
    bool settled = st->refine.since_ns == 0 && !st->seq_bad_valid && st->jitter.valid &&
                   st->jitter.clock_hz == a->clock_hz && st->pt_used[0] == x->rtp->pt &&
                   slr_place_taken(x) && leg->queue_tail != SLR_NONE;
    /* G.711: any part of it is decoded by itself, a byte is a sample and a unit of the clock */
    bool plain = use->codec && use->codec->silence_byte != 0 && use->codec->decoder_bytes == 0 &&
                 use->channels == 1 && use->clock_hz == use->sample_hz &&
                 a->clock_hz == use->clock_hz && a->unit_ticks != 0;
    if (!calm || !settled || !plain) {
        return;
    }
    leg->start_ns = x->session->start.ns;
    leg->run_pt = x->rtp->pt;
    leg->run_row = x->rec.pt;
    leg->run_stream = (uint8_t)(st - leg->stream);
    leg->run_byte_ticks = a->unit_ticks;
    leg->run_generation = atomic_load_explicit(&st->generation, memory_order_relaxed);
    leg->run_ssrc = st->ssrc;
    leg->run_src = st->src;
    leg->run_seq_ext = st->seq_max_ext;
    leg->run_ts_ext = st->ts_last_ext;
    /* what is settled moves no more: records need not name the segment */
    leg->run_pos_ticks = st->pos_last_ticks + slr_place_shift(leg, a->segment);
    leg->run_jitter = st->jitter;
    leg->run_packets = leg->run_bytes = 0;
    leg->run = true;
}

static void fetch(const void *at, size_t len_bytes)
{
    const char *line = (const char *)((uintptr_t)at & ~(uintptr_t)63u);
    for (; line < (const char *)at + len_bytes; line += 64) {
        __builtin_prefetch(line, 1);
    }
}

void slr_steady_fetch_leg(const struct slr_state *s, uint32_t leg)
{
    fetch(&s->leg[leg], offsetof(struct slr_leg, stream));
}

void slr_steady_fetch_queue(const struct slr_state *s, uint32_t leg)
{
    const struct slr_leg *l = &s->leg[leg];
    if (l->queue_tail < s->chunk_max) {
        fetch(s->chunk[l->queue_tail].at + l->queue_used_bytes,
              sizeof(struct slr_rec) + PAYLOAD_BYTES);
    }
}
