/*
 * held: packets one after the other in a chunk; the leg's slot says which. Worker thread; allocates
 * nothing.
 */
#include "engine/held.h"

#include <string.h>

/* Packets further from the one that is believed than that are of something else. */
#define LEAD_IN 64

struct held {
    int64_t arrival_ns;
    uint32_t ts;
    uint32_t generation;
    uint16_t seq, len_bytes;
    uint8_t pt, stream;
    uint8_t pad[2];
};

static uint32_t held_bytes(uint32_t len_bytes)
{
    return (uint32_t)sizeof(struct held) + ((len_bytes + 7u) & ~7u);
}

static bool is_mine(const struct slr_place *x, const struct held *h)
{
    return h->generation == atomic_load_explicit(&x->st->generation, memory_order_relaxed) &&
           h->stream == (uint8_t)slr_leg_stream_number(x->leg, x->st) &&
           x->pkt->arrival.ns - h->arrival_ns < slr_ns_from_ticks(x->p->window_ticks);
}

/* The older half goes, and what is not asked for any more: what came last is asked for first. A
 * process that dies in between has held nothing. */
static void make_room(const struct slr_place *x, struct slr_chunk *c, uint32_t used,
                      uint32_t need_bytes)
{
    uint32_t left = used;
    while (left > 0) {
        const struct held *h = (const struct held *)(const void *)(c->at + (used - left));
        uint32_t len = held_bytes(h->len_bytes);
        if (is_mine(x, h) && left <= sizeof c->at / 2 && left + need_bytes <= sizeof c->at) {
            break;
        }
        left -= len < left ? len : left;
    }
    atomic_store_explicit(&c->used_bytes, 0, memory_order_release);
    memmove(c->at, c->at + (used - left), left);
    atomic_store_explicit(&c->used_bytes, left, memory_order_release);
}

/* The leg's chunk with room in it; NULL: no packet memory. */
static struct slr_chunk *chunk_of(const struct slr_place *x, uint32_t need_bytes)
{
    struct slr_state *s = x->p->state;
    if (x->leg->held_chunk == 0) {
        uint32_t c = slr_state_chunk_take(s, x->leg_index);
        if (c == SLR_NONE) {
            return NULL;
        }
        x->leg->held_chunk = c + 1;
    }
    struct slr_chunk *c = &s->chunk[x->leg->held_chunk - 1];
    uint32_t used = atomic_load_explicit(&c->used_bytes, memory_order_relaxed);
    if (used + need_bytes > sizeof c->at) {
        make_room(x, c, used, need_bytes);
    }
    return c;
}

bool slr_held_put(const struct slr_place *x)
{
    size_t len = x->rtp->payload.len_bytes;
    if (len > sizeof(((struct slr_chunk *)0)->at) - sizeof(struct held)) {
        return false;
    }
    struct slr_chunk *c = chunk_of(x, held_bytes((uint32_t)len));
    if (!c) {
        return false;
    }
    uint32_t used = atomic_load_explicit(&c->used_bytes, memory_order_relaxed);
    struct held h = {.arrival_ns = x->pkt->arrival.ns,
                     .ts = x->rtp->ts,
                     .generation = x->st->generation,
                     .seq = x->rtp->seq,
                     .len_bytes = (uint16_t)len,
                     .pt = x->rtp->pt,
                     .stream = (uint8_t)slr_leg_stream_number(x->leg, x->st)};
    memcpy(c->at + used, &h, sizeof h);
    memcpy(c->at + used + sizeof h, x->rtp->payload.at, len);
    atomic_store_explicit(&c->used_bytes, used + held_bytes((uint32_t)len), memory_order_release);
    return true;
}

bool slr_held_next(const struct slr_place *x, uint32_t *at, struct slr_packet *pkt,
                   struct slr_rtp *rtp)
{
    if (x->leg->held_chunk == 0) {
        return false;
    }
    const struct slr_chunk *c = &x->p->state->chunk[x->leg->held_chunk - 1];
    uint32_t used = atomic_load_explicit(&c->used_bytes, memory_order_relaxed);
    while (*at + sizeof(struct held) <= used) {
        const struct held *h = (const struct held *)(const void *)(c->at + *at);
        int32_t before = (int16_t)(uint16_t)(x->rtp->seq - h->seq); /* or overtook it */
        *at += held_bytes(h->len_bytes);
        if (!is_mine(x, h) || before == 0 || before > LEAD_IN || before < -LEAD_IN) {
            continue;
        }
        *pkt = *x->pkt;
        pkt->arrival.ns = h->arrival_ns;
        *rtp = *x->rtp;
        rtp->pt = h->pt;
        rtp->seq = h->seq;
        rtp->ts = h->ts;
        rtp->payload = slr_slice_of((const uint8_t *)(h + 1), h->len_bytes);
        return true;
    }
    return false;
}

void slr_held_drop(struct slr_placement *p, struct slr_leg *leg)
{
    if (leg->held_chunk != 0) {
        uint32_t c = leg->held_chunk - 1;
        leg->held_chunk = 0;
        slr_state_chunk_put(p->state, c);
    }
}
