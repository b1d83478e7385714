/*
 * simulated: what a network and a sender do to one leg, and what must come of it. The truth is kept
 * in samples of 8 kHz since the session's start, from the sender's side; it shares no code with the
 * engine. See test_simulation.c.
 */
#ifndef SLR_TESTS_ENGINE_SIMULATED_H
#define SLR_TESTS_ENGINE_SIMULATED_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "tests/engine/drive.h"

#define SIM_PACKETS 8000
#define SIM_STREAMS 6
#define SIM_KEYS 64
#define SIM_CALM (400 * 8) /* samples around a change in which the network is kind */

enum sim_kind { SIM_AUDIO, SIM_EVENT, SIM_NOISE, SIM_STRAY };

struct sim_packet {
    int64_t arrival_ns; /* since the session's start */
    int64_t pos;        /* truth */
    uint32_t samples, ts, order;
    uint16_t seq, number; /* number: unique in the stream, same for a duplicate */
    uint8_t stream, kind, key;
    bool last_of_key, announces; /* announces: a new sequence */
};

struct sim_stream {
    uint32_t ssrc;
    uint64_t packets, placed, duplicate, suppressed, rejected, lost;
    bool seen[SIM_PACKETS];
    uint32_t run_first, run_last, run_unique; /* of the sequence in progress, as numbers */
    bool run_open;
};

struct sim_leg {
    struct sim_packet *packet;
    uint32_t count, stream_count, key_count;
    struct sim_stream stream[SIM_STREAMS];
    int64_t key_pos[SIM_KEYS], key_samples[SIM_KEYS]; /* samples -1: not recorded */
    uint8_t key_event[SIM_KEYS];
    bool signalled, sequences_change;
    uint64_t gaps_counted; /* packets missing that spans must name; UINT64_MAX: not checked */
};

/* Random numbers: splitmix64. */
static inline uint64_t sim_next(uint64_t *x)
{
    uint64_t z = (*x += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* In [lo, hi]. */
static inline int64_t sim_in(uint64_t *x, int64_t lo, int64_t hi)
{
    return lo + (int64_t)(sim_next(x) % (uint64_t)(hi - lo + 1));
}

static inline bool sim_odds(uint64_t *x, uint32_t percent)
{
    return sim_next(x) % 100 < percent;
}

/* The sender's side while a leg is made. */
struct sim_sender {
    struct sim_leg *leg;
    uint64_t *x;
    int64_t pos, end, calm_until;
    uint32_t ptime, ts, lost_percent, twice_percent, burst;
    int64_t jitter_ms;
    uint16_t seq, number;
    uint8_t stream;
};

static inline struct sim_packet *sim_add(struct sim_sender *s)
{
    struct sim_leg *leg = s->leg;
    cr_assert_lt(leg->count, (uint32_t)SIM_PACKETS);
    leg->packet[leg->count] = (struct sim_packet){.arrival_ns = s->pos * 125000,
                                                  .pos = s->pos,
                                                  .samples = s->ptime,
                                                  .ts = s->ts,
                                                  .order = leg->count,
                                                  .seq = s->seq,
                                                  .number = s->number,
                                                  .stream = s->stream};
    return &leg->packet[leg->count++];
}

/* The network's part: loses, delays, doubles what was just added; then the next number. */
static inline void sim_send(struct sim_sender *s)
{
    struct sim_packet *p = &s->leg->packet[s->leg->count - 1];
    bool calm = s->pos < s->calm_until;
    s->seq++;
    s->number++;
    if (calm) {
        return;
    }
    if (s->burst > 0 || sim_odds(s->x, s->lost_percent)) {
        s->burst = s->burst ? s->burst - 1 : sim_odds(s->x, 10) ? (uint32_t)sim_in(s->x, 1, 9) : 0;
        s->leg->count--;
        return;
    }
    p->arrival_ns += sim_in(s->x, 0, s->jitter_ms * 1000) * 1000;
    while (sim_odds(s->x, s->twice_percent)) {
        struct sim_packet copy = *p;
        copy.order = s->leg->count;
        copy.arrival_ns += sim_in(s->x, 0, 50000) * 1000;
        s->leg->packet[s->leg->count++] = copy;
        p = &s->leg->packet[s->leg->count - 1];
        cr_assert_lt(s->leg->count, (uint32_t)SIM_PACKETS);
    }
}

static inline void sim_advance(struct sim_sender *s, int64_t samples)
{
    s->pos += samples;
    s->ts += (uint32_t)samples;
}

static inline void sim_audio(struct sim_sender *s)
{
    (void)sim_add(s);
    sim_send(s);
    sim_advance(s, s->ptime);
}

/* Audio in calm weather for SIM_CALM samples. */
static inline void sim_calm(struct sim_sender *s)
{
    s->calm_until = s->pos + SIM_CALM;
    while (s->pos < s->calm_until) {
        sim_audio(s);
    }
}

/* A key of 3 to 10 packets and its end three times, then a little silence. */
static inline void sim_key(struct sim_sender *s)
{
    struct sim_leg *leg = s->leg;
    if (leg->key_count == SIM_KEYS) {
        return;
    }
    uint8_t key = (uint8_t)leg->key_count++;
    uint32_t packets = (uint32_t)sim_in(s->x, 3, 10);
    leg->key_pos[key] = s->pos;
    leg->key_samples[key] = -1;
    leg->key_event[key] = (uint8_t)sim_in(s->x, 0, 15);
    for (uint32_t i = 1; i <= packets + 2; i++) {
        uint32_t n = i < packets ? i : packets;
        struct sim_packet *p = sim_add(s);
        p->kind = SIM_EVENT;
        p->key = key;
        p->samples = n * 160;
        p->last_of_key = i >= packets;
        p->arrival_ns += (int64_t)(n - 1) * 20 * SLR_NS_PER_MS;
        sim_send(s);
    }
    sim_advance(s, packets * 160 + 160 * 20); /* apart by more than the jitter */
}

/* Silence that is not sent, with or without a word of noise before it. */
static inline void sim_silence(struct sim_sender *s)
{
    if (sim_odds(s->x, 50)) {
        struct sim_packet *p = sim_add(s);
        p->kind = SIM_NOISE;
        p->samples = 0;
        sim_send(s);
    }
    sim_advance(s, sim_in(s->x, 8 * 20, 8 * 5000));
}

#endif
