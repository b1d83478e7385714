/*
 * steady: first all questions, then all stores. The record comes first among these: a process that
 * dies between them has miscounted a packet, but not lost it. Worker thread; allocates nothing.
 */
#include "engine/steady.h"

#include <string.h>

#include "common/prefetch.h"

/* Between packets; more is a pause, and the long way looks what it was. */
#define GAP_NS (100 * SLR_NS_PER_MS)
/* So often the long way sums up the least delays (anchor.c). */
#define OFFSET_NS (2 * SLR_NS_PER_S)
/* A packet further before its time than that is sent too fast, or its clock runs away. */
#define EARLY_TICKS SLR_TICKS_HZ
#define PAYLOAD_BYTES 160u /* as most of them have */

static bool is_next(const struct slr_leg_run *run, const struct slr_packet *pkt,
                    const struct slr_rtp *rtp)
{
    size_t len = rtp->payload.len_bytes;
    return run->on && rtp->pt == run->pt && rtp->ssrc == run->ssrc &&
           rtp->seq == (uint16_t)(run->seq_ext + 1) && run->loss_flags == 0 && len > 0 &&
           len <= SLR_REC_MAX_PAYLOAD && slr_addr_eq(&run->src, &pkt->src);
}

static enum slr_err put(struct slr_state *state, uint32_t leg_index, const struct slr_rec *rec,
                        const uint8_t *payload)
{
    struct slr_leg_run *run = &state->run[leg_index];
    uint32_t need = slr_rec_bytes(rec->len_bytes);
    if (run->queue_used_bytes + need > SLR_CHUNK_ROOM) {
        return slr_queue_put(state, leg_index, rec, payload);
    }
    uint8_t *to = state->chunk[run->queue_tail].at + run->queue_used_bytes;
    memcpy(to, rec, sizeof *rec);
    memcpy(to + sizeof *rec, payload, rec->len_bytes);
    /* little endian as the host is: the upper half is what is used */
    uint64_t end = atomic_load_explicit(&run->queue_end, memory_order_relaxed);
    atomic_store_explicit(&run->queue_end, end + ((uint64_t)need << 32), memory_order_release);
    return SLR_OK;
}

bool slr_steady_place(struct slr_placement *p, uint32_t leg_index, const struct slr_packet *pkt,
                      const struct slr_rtp *rtp)
{
    struct slr_leg_run *run = &p->state->run[leg_index];
    if (!is_next(run, pkt, rtp)) {
        return false;
    }
    int64_t now = pkt->arrival.ns;
    int64_t passed = now - atomic_load_explicit(&run->heard_ns, memory_order_relaxed);
    int32_t units = (int32_t)(rtp->ts - (uint32_t)run->ts_ext);
    uint32_t dur = (uint32_t)rtp->payload.len_bytes * run->byte_ticks;
    int64_t step = (int64_t)units * run->byte_ticks;
    int64_t pos = run->pos_ticks + step;
    int64_t end = pos + dur;
    int64_t arrival = slr_ticks_from_ns(now - run->start_ns);
    if (passed < 0 || passed >= GAP_NS || step < 0 || step >= SLR_TICKS_HZ ||
        now - run->offset_since_ns >= OFFSET_NS ||
        pos - arrival - run->offset_noted_ticks > EARLY_TICKS || pos - arrival > SLR_LEAD_TICKS ||
        end <= atomic_load_explicit(&run->claimed_ticks, memory_order_relaxed)) {
        return false;
    }
    struct slr_rec rec = {.pos_ticks = pos,
                          .seq_ext = (int32_t)(run->seq_ext + 1),
                          .arrival_ns = now,
                          .dur_ticks = dur,
                          .generation = (uint16_t)run->generation,
                          .len_bytes = (uint16_t)rtp->payload.len_bytes,
                          .stream = run->stream,
                          .pt = run->row};
    if (put(p->state, leg_index, &rec, rtp->payload.at) != SLR_OK) {
        return false;
    }
    run->seq_ext++;
    run->ts_ext += units;
    run->pos_ticks = pos;
    run->packets++;
    run->bytes += rec.len_bytes;
    slr_jitter_take(&run->jitter, run->ts_ext, now);
    if (end > atomic_load_explicit(&run->highest_ticks, memory_order_relaxed)) {
        atomic_store_explicit(&run->highest_ticks, end, memory_order_relaxed);
    }
    if (pos - arrival > run->offset_ticks) {
        run->offset_ticks = pos - arrival;
    }
    atomic_store_explicit(&run->lag_ticks, arrival - end, memory_order_relaxed);
    atomic_store_explicit(&run->heard_ns, now, memory_order_relaxed);
    return true;
}

void slr_steady_stop(struct slr_leg *leg)
{
    struct slr_leg_run *run = slr_leg_run(leg);
    run->on = false;
    uint32_t n = run->packets;
    if (n == 0) {
        return;
    }
    run->packets = 0;
    struct slr_stream *st = slr_leg_stream(leg, run->stream);
    int64_t shift = slr_place_shift(leg, slr_place_anchor(st)->segment);
    int64_t heard = atomic_load_explicit(&run->heard_ns, memory_order_relaxed);
    int64_t end = slr_ticks_from_ns(heard - run->start_ns) -
                  atomic_load_explicit(&run->lag_ticks, memory_order_relaxed);
    slr_stream_run(st, n);
    slr_count_own(&st->packets, n);
    st->bytes += run->bytes;
    st->pt_count[0] += n;
    st->jitter = run->jitter;
    st->ts_last_ext = run->ts_ext;
    st->pos_last_ticks = run->pos_ticks - shift;
    st->pos_last_arrival_ns = st->last_arrival_ns = heard;
    st->placed += n;
    st->placed_ticks += (int64_t)run->bytes * run->byte_ticks;
    st->last_ticks = end > st->last_ticks ? end : st->last_ticks;
    run->bytes = 0;
}

void slr_steady_start(const struct slr_place *x)
{
    struct slr_leg *leg = x->leg;
    struct slr_leg_run *run = slr_leg_run(leg);
    struct slr_stream *st = x->st;
    const struct slr_codec_use *use = &x->p->codecs[x->leg_index].use[x->rec.pt];
    const struct slr_anchor *a = slr_place_anchor(st);
    bool calm = x->session != &x->p->flow_session && !x->p->long_way &&
                !atomic_load_explicit(&x->session->paused, memory_order_relaxed) &&
                atomic_load_explicit(&x->session->pauses_ns.count, memory_order_relaxed) == 0 &&
                atomic_load_explicit(&leg->pauses.count, memory_order_relaxed) == 0;
    bool settled = st->refine.since_ns == 0 && !st->seq_bad_valid && st->jitter.valid &&
                   st->jitter.clock_hz == a->clock_hz && st->pt_used[0] == x->rtp->pt &&
                   slr_place_taken(x) && run->queue_tail != SLR_NONE;
    /* G.711: any part of it is decoded by itself, a byte is a sample and a unit of the clock */
    bool plain = use->codec && use->codec->silence_byte != 0 && use->codec->decoder_bytes == 0 &&
                 use->channels == 1 && use->clock_hz == use->sample_hz &&
                 a->clock_hz == use->clock_hz && a->unit_ticks != 0;
    if (!calm || !settled || !plain) {
        return;
    }
    run->start_ns = x->session->start.ns;
    run->pt = x->rtp->pt;
    run->row = x->rec.pt;
    run->stream = (uint8_t)slr_leg_stream_number(leg, st);
    run->byte_ticks = a->unit_ticks;
    run->generation = atomic_load_explicit(&st->generation, memory_order_relaxed);
    run->ssrc = st->ssrc;
    run->src = st->src;
    run->seq_ext = st->seq_max_ext;
    run->ts_ext = st->ts_last_ext;
    /* what is settled moves no more: records need not name the segment */
    run->pos_ticks = st->pos_last_ticks + slr_place_shift(leg, a->segment);
    run->jitter = st->jitter;
    run->packets = run->bytes = 0;
    run->on = true;
}

/* Will the packet go the short way, as far as can be told without it? */
static bool is_usual(const struct slr_leg_run *run, int64_t now_ns)
{
    return run->on && now_ns - run->offset_since_ns < OFFSET_NS;
}

void slr_steady_fetch_run(const struct slr_placement *p, uint32_t leg)
{
    slr_prefetch((uintptr_t)&p->state->run[leg], sizeof p->state->run[leg]);
}

void slr_steady_fetch_queue(const struct slr_placement *p, uint32_t leg, slr_mono now)
{
    const struct slr_leg_run *run = &p->state->run[leg];
    slr_queue_fetch(p->state, leg, PAYLOAD_BYTES);
    if (!is_usual(run, now.ns)) {
        const struct slr_leg *l = &p->state->leg[leg];
        const struct slr_leg_codecs *c = &p->codecs[leg];
        slr_prefetch((uintptr_t)l,
                     offsetof(struct slr_leg, segment_near) + sizeof l->segment_near[0]);
        slr_prefetch((uintptr_t)slr_leg_stream(l, run->stream), sizeof l->first);
        slr_prefetch((uintptr_t)slr_leg_pt(l, run->row), sizeof l->pt_near[0]);
        slr_prefetch((uintptr_t)&l->pauses.count, sizeof l->pauses.count);
        slr_prefetch((uintptr_t)&c->use[run->row % SLR_LEG_PTS], sizeof c->use[0]);
        slr_prefetch((uintptr_t)&c->kind, sizeof c->kind + sizeof c->row_of_pt);
    }
}

void slr_steady_fetch_session(const struct slr_placement *p, uint32_t leg, slr_mono now)
{
    if (is_usual(&p->state->run[leg], now.ns)) {
        return;
    }
    uint32_t session = atomic_load_explicit(&p->state->leg[leg].session, memory_order_relaxed);
    if (session < p->state->session_max) {
        const struct slr_session *s = &p->state->session[session];
        slr_prefetch((uintptr_t)&s->state, sizeof s->state);
        slr_prefetch((uintptr_t)&s->digit_policy, sizeof s->digit_policy);
        slr_prefetch((uintptr_t)&s->start, sizeof s->start);
        slr_prefetch((uintptr_t)&s->paused, sizeof s->paused);
        slr_prefetch((uintptr_t)&s->pauses_ns.count, sizeof s->pauses_ns.count);
        slr_prefetch((uintptr_t)&s->silent_told,
                     sizeof s->silent_told + sizeof s->shape + sizeof s->dir);
        slr_prefetch((uintptr_t)&s->commit_index, sizeof s->commit_index + sizeof s->commit);
    }
}
