/*
 * sender: plays a leg's script: packets with their true places, the network's treatment of them,
 * and the commands that belong to it. Allocates the lists of the leg.
 */
#include <stdlib.h>

#include "tests/sim/bank.h"
#include "tests/sim/rng.h"
#include "tests/sim/sim.h"

#define CALM_NS (400 * SIM_MS)

struct sender {
    struct sim *m;
    struct sim_leg *leg;
    uint64_t net; /* random numbers of the network */
    int64_t clock_ps, pos_ticks, content;
    int64_t stall_ns, last_sent_ns, calm_ns, lead_ticks;
    int64_t speed;
    uint32_t ts, number, ptime_ms;
    uint16_t seq;
    uint8_t codec, stream;
    uint8_t made; /* of the next segment */
    int64_t jump_ticks;
    bool in_burst, marker, restarts, new_segment;
};

static void *grow(void *at, uint32_t count, uint32_t *size, size_t each)
{
    if (count < *size) {
        return at;
    }
    *size = *size ? *size * 2 : 1024;
    at = realloc(at, *size * each);
    if (!at) {
        abort();
    }
    return at;
}

static uint32_t clock_hz(const struct sender *s)
{
    return sim_codec_hz(s->m, (enum sim_codec)s->codec);
}

/* Media goes on by `units` of the RTP clock, and time with it. */
static void advance(struct sender *s, int64_t units)
{
    int64_t hz = clock_hz(s);
    s->ts += (uint32_t)units;
    s->pos_ticks += units * sim_unit((uint32_t)hz);
    int64_t ps = units * 1000000 / hz * (1000000 + s->leg->skew_ppm);
    ps += units * 1000000 % hz * (1000000 + s->leg->skew_ppm) / hz;
    s->clock_ps += ps / s->speed;
    s->lead_ticks += sim_ticks_of_ns((ps - ps / s->speed) / 1000);
}

static void advance_ms(struct sender *s, int64_t ms)
{
    advance(s, ms * clock_hz(s) / 1000);
}

static void arrive(struct sender *s, uint32_t packet, int64_t ns)
{
    struct sim_leg *leg = s->leg;
    leg->arrival = grow(leg->arrival, leg->arrival_count, &leg->arrival_size, sizeof *leg->arrival);
    leg->arrival[leg->arrival_count] = (struct sim_arrival){
        .ns = ns / 1000 * 1000, .packet = (int32_t)packet, .order = leg->arrival_count};
    leg->arrival_count++;
}

static int64_t delay_of(struct sender *s, bool calm)
{
    const struct sim_network *net = &s->leg->net;
    int64_t jitter = rng_in(&s->net, 0, 1000);
    bool peak = rng_odds(&s->net, 5);
    bool held = rng_permille(&s->net, net->reorder_permille);
    int64_t hold = rng_in(&s->net, 0, 1000) * (net->reorder_ns / 1000);
    if (calm) {
        return 0;
    }
    int64_t share = net->jitter_kind == 1 && !peak ? jitter / 5 : jitter;
    return net->jitter_ns / 1000 * share + (held ? hold : 0);
}

/* The network takes a packet; how many random numbers that costs never changes. */
static void deliver(struct sender *s, uint32_t packet)
{
    const struct sim_network *net = &s->leg->net;
    struct sim_packet *p = &s->leg->packet[packet];
    bool calm = p->sent_ns < s->calm_ns;
    bool turn =
        rng_permille(&s->net, s->in_burst ? net->burst_out_permille : net->burst_in_permille);
    bool lost = rng_permille(&s->net, net->lost_permille);
    int64_t at = p->sent_ns + net->base_ns + delay_of(s, calm);
    bool twice = rng_odds(&s->net, net->twice_percent);
    int64_t twice_ns = rng_in(&s->net, 0, 50000) * 1000;
    int64_t doubled_ns = rng_in(&s->net, 0, 3000) * 1000;
    s->in_burst = turn ? !s->in_burst : s->in_burst;
    s->in_burst = s->in_burst && s->speed == 1; /* seconds of media at once are a leap */
    if (!calm && (lost || s->in_burst)) {
        return;
    }
    arrive(s, packet, at);
    if (twice && !calm) {
        arrive(s, packet, at + twice_ns);
    }
    if (net->doubled) {
        arrive(s, packet, at + doubled_ns);
    }
}

static void begin_segment(struct sender *s)
{
    struct sim_leg *leg = s->leg;
    s->new_segment = false;
    leg->segment[leg->segment_count++] = (struct sim_segment){.first = leg->packet_count,
                                                              .stream = s->stream,
                                                              .made = s->made,
                                                              .jump_ticks = s->jump_ticks};
}

static struct sim_packet *make(struct sender *s, enum sim_kind kind, uint32_t samples)
{
    struct sim_leg *leg = s->leg;
    if (s->new_segment) {
        begin_segment(s);
    }
    leg->packet = grow(leg->packet, leg->packet_count, &leg->packet_size, sizeof *leg->packet);
    struct sim_packet *p = &leg->packet[leg->packet_count++];
    int64_t now = s->clock_ps / 1000;
    now = now > s->stall_ns ? now : s->stall_ns;
    now = now > s->last_sent_ns ? now : s->last_sent_ns + 200000;
    s->last_sent_ns = now;
    *p = (struct sim_packet){.pos_ticks = s->pos_ticks,
                             .content = s->content,
                             .sent_ns = now,
                             .lead_ticks = s->lead_ticks,
                             .arrival_ns = SIM_NEVER,
                             .samples = samples,
                             .ts = s->ts,
                             .number = s->number++,
                             .seq = s->seq++,
                             .kind = (uint8_t)kind,
                             .codec = s->codec,
                             .stream = s->stream,
                             .segment = (uint8_t)(leg->segment_count - 1),
                             .marker = s->marker,
                             .restarts = s->restarts};
    leg->segment[leg->segment_count - 1].count++;
    s->marker = s->restarts = false;
    return p;
}

/* Whole frames of the codec, which begin on a frame of the bank. */
static void audio_of_bank(struct sender *s)
{
    const struct sim_line *l = sim_line((enum sim_codec)s->codec);
    uint32_t per = l->frame_units;
    uint32_t units = s->ptime_ms * SIM_UNITS_PER_S / 1000;
    if (s->m->uneven) {
        units = 1 + (uint32_t)(rng_mix(s->leg->key + (uint64_t)s->content) % 6);
    }
    units = (units + per - 1) / per * per;
    units = units < l->most_units ? units : l->most_units;
    uint32_t samples = units * clock_hz(s) / SIM_UNITS_PER_S;
    s->content = (s->content + per - 1) / per * per;
    (void)make(s, SIM_AUDIO, samples);
    deliver(s, s->leg->packet_count - 1);
    s->content += units;
    advance(s, samples);
}

static void audio(struct sender *s)
{
    if (s->m->lossy) {
        audio_of_bank(s);
        return;
    }
    uint32_t most_ms = clock_hz(s) == 48000 ? 40 : 120; /* what a datagram holds */
    uint32_t ms = s->ptime_ms < most_ms ? s->ptime_ms : most_ms;
    uint32_t samples = ms * clock_hz(s) / 1000;
    (void)make(s, SIM_AUDIO, samples);
    deliver(s, s->leg->packet_count - 1);
    s->content += samples;
    advance(s, samples);
}

static void talk(struct sender *s, int64_t ms)
{
    int64_t end = s->pos_ticks + ms * (SIM_TICKS_HZ / 1000);
    while (s->pos_ticks < end) {
        audio(s);
    }
}

static void noise(struct sender *s)
{
    (void)make(s, SIM_NOISE, 0);
    deliver(s, s->leg->packet_count - 1);
}

/* Nothing is sent, or a word of comfort noise now and then. */
static void silence(struct sender *s, int64_t ms, bool cn)
{
    int64_t step = cn ? 200 : ms;
    for (; ms > 0; ms -= step) {
        if (cn) {
            noise(s);
        }
        advance_ms(s, ms < step ? ms : step);
    }
    s->marker = true;
}

static void new_stream(struct sender *s, int64_t gap_ms, uint64_t random)
{
    struct sim_leg *leg = s->leg;
    bool told = leg->signalled && leg->stream_count < 4;
    if (leg->stream_count == SIM_STREAMS || leg->segment_count == SIM_SEGMENTS ||
        (leg->net.doubled && !told)) {
        return;
    }
    s->calm_ns = s->clock_ps / 1000 + CALM_NS;
    talk(s, CALM_NS / SIM_MS);
    advance_ms(s, gap_ms);
    s->calm_ns = s->clock_ps / 1000 + CALM_NS;
    s->stream = (uint8_t)leg->stream_count++;
    leg->stream[s->stream].ssrc = (uint32_t)rng_mix(random);
    s->ts = (uint32_t)rng_mix(random + 1);
    s->seq = (uint16_t)rng_mix(random + 2);
    s->number = 0;
    s->new_segment = true;
    s->made = SIM_NEW_SSRC;
    s->marker = true;
}

/* The timestamp leaps: a little (it is believed), or so far that it is no time. */
static void jump(struct sender *s, int64_t a, int64_t b)
{
    if (a % 3 == 0) {
        int64_t units = (100 + b % 900) * clock_hz(s) / 1000;
        int64_t was_ps = s->clock_ps;
        advance(s, units);
        s->lead_ticks += sim_ticks_of_ns((s->clock_ps - was_ps) / 1000);
        s->clock_ps = was_ps;
    } else if (s->leg->segment_count < SIM_SEGMENTS) {
        uint32_t by = 5 * clock_hz(s) + (uint32_t)(b % (int64_t)(UINT32_MAX - 10 * clock_hz(s)));
        s->ts += by;
        s->new_segment = true;
        s->made = SIM_JUMPS;
        s->jump_ticks = (int32_t)by * sim_unit(clock_hz(s));
        s->calm_ns = s->clock_ps / 1000 + CALM_NS;
        talk(s, SIM_WINDOW_NS / SIM_MS); /* stragglers know one clock before this one */
    }
}

/* Time passes and the timestamps know nothing of it. */
static void stand_still(struct sender *s, int64_t a, int64_t b)
{
    int64_t ms = a % 2 ? 100 + b % 400 : 3500 + b % 3000;
    s->clock_ps += ms * 1000 * SIM_MS;
    if (ms >= 3500 && s->leg->segment_count < SIM_SEGMENTS) {
        int64_t stood = ms * clock_hz(s) / 1000 * sim_unit(clock_hz(s));
        s->pos_ticks += stood;
        s->new_segment = true;
        s->made = SIM_STANDS_STILL;
        s->jump_ticks = -stood;
        s->calm_ns = s->clock_ps / 1000 + CALM_NS;
        talk(s, SIM_WINDOW_NS / SIM_MS);
    }
}

static void hold(struct sender *s, int64_t ms, int64_t a)
{
    struct sim_leg *leg = s->leg;
    if (leg->hold_count == SIM_HOLDS) {
        return;
    }
    int64_t from = s->clock_ps / 1000 + a % (150 * SIM_MS);
    advance_ms(s, ms + 300);
    int64_t to = s->clock_ps / 1000;
    from = from / 1000 * 1000 + 301;
    to = to / 1000 * 1000 + 301;
    leg->hold[leg->hold_count++] = (struct sim_interval){from, to > from ? to : from + SIM_MS};
    s->marker = true;
}

static void dial(struct sender *s, int64_t a)
{
    struct sim_leg *leg = s->leg;
    uint32_t step = clock_hz(s) / 50;
    uint32_t packets = 2 + (uint32_t)(a % 9);
    if (leg->digit_count == SIM_DIGITS) {
        return;
    }
    uint8_t number = (uint8_t)leg->digit_count;
    int64_t apart = (leg->net.jitter_ns + leg->net.reorder_ns) / SIM_MS + 100;
    uint32_t ts = s->ts;
    int64_t pos = s->pos_ticks;
    for (uint32_t i = 1; i <= packets + 2; i++) {
        uint32_t n = i < packets ? i : packets;
        struct sim_packet *p = make(s, SIM_EVENT, n * step);
        p->ts = ts;
        p->pos_ticks = pos;
        p->digit = number;
        p->last = i >= packets;
        p->marker = i == 1;
        deliver(s, leg->packet_count - 1);
        if (i < packets) {
            advance(s, step);
        }
    }
    advance(s, step);
    leg->digit[leg->digit_count++] =
        (struct sim_digit){.pos_ticks = pos,
                           .event = (uint8_t)(a / 9 % 16),
                           .segment = (uint8_t)(leg->segment_count - 1),
                           .samples_lo = -1,
                           .samples_hi = -1};
    advance_ms(s, apart);
    s->marker = true;
}

/* Another codec; with another RTP clock it is a segment of its own. */
static void new_codec(struct sender *s, int64_t a)
{
    struct sim_leg *leg = s->leg;
    uint8_t codec = (uint8_t)(a % SIM_CODECS);
    if (s->m->lossy) {
        codec = leg->menu[a % leg->menu_count];
    }
    if (sim_codec_hz(s->m, (enum sim_codec)codec) == clock_hz(s)) {
        s->codec = codec;
    } else if (leg->segment_count < SIM_SEGMENTS) {
        s->codec = codec;
        s->new_segment = true;
        s->made = SIM_NEW_CODEC;
        s->calm_ns = s->clock_ps / 1000 + CALM_NS;
        talk(s, SIM_WINDOW_NS / SIM_MS);
    }
}

static void play(struct sender *s, const struct sim_phase *f)
{
    static const uint32_t ptime[] = {10, 20, 20, 30, 40, 60, 100, 120};
    s->leg->did |= 1u << f->kind;
    switch ((enum sim_phase_kind)f->kind) {
    case SIM_TALK:
        talk(s, f->ms);
        break;
    case SIM_SILENCE:
        silence(s, f->ms + 20, f->a % 2 && sim_has(s->m, SIM_HAS_CN));
        break;
    case SIM_NEW_PTIME:
        s->ptime_ms = ptime[f->a % 8];
        break;
    case SIM_NEW_CODEC:
        new_codec(s, f->a);
        break;
    case SIM_NEW_SSRC:
        new_stream(s, f->b % 3 ? 0 : f->ms, (uint64_t)f->a);
        break;
    case SIM_NEW_SEQ:
        s->seq = (uint16_t)(s->seq + 10000 + f->a % 30000);
        s->leg->stream[s->stream].restarted = true;
        s->restarts = true;
        talk(s, SIM_WINDOW_NS / SIM_MS); /* one change at a time */
        break;
    case SIM_JUMPS:
        jump(s, f->a, f->b);
        break;
    case SIM_STALLS:
        s->stall_ns = s->clock_ps / 1000 + (50 + f->a % 550) * SIM_MS;
        break;
    case SIM_STANDS_STILL:
        stand_still(s, f->a, f->b);
        break;
    case SIM_FASTER:
        if (s->clock_ps / 1000 < s->leg->start_ns + SIM_WINDOW_NS ||
            s->m->hole_from_ns != SIM_NEVER) {
            break;
        }
        s->speed = 2 + f->a % 19;
        talk(s, f->ms + 500);
        s->speed = 1;
        break;
    case SIM_HOLDS_CALL:
        hold(s, f->ms, f->a);
        break;
    case SIM_DIALS:
        dial(s, f->a);
        break;
    case SIM_PHASE_KINDS:
        break;
    }
}

static int by_arrival(const void *a, const void *b)
{
    const struct sim_arrival *p = a;
    const struct sim_arrival *q = b;
    if (p->ns != q->ns) {
        return p->ns < q->ns ? -1 : 1;
    }
    return (p->order > q->order) - (p->order < q->order);
}

/* Strangers send to the leg's port. */
static void strays(struct sender *s)
{
    struct sim_leg *leg = s->leg;
    uint64_t x = rng_fork(s->m->seed, 77 + leg->key);
    int64_t end = s->clock_ps / 1000;
    for (uint32_t i = 0; i < leg->strays && leg->packet_count > 0; i++) {
        /* not before the leg is heard: until then a stranger may be tried */
        int64_t at = rng_in(&x, leg->start_ns + SIM_NS, end + SIM_NS);
        for (int64_t k = rng_in(&x, 1, 14); k > 0; k--) {
            arrive(s, 0, at + k * 20 * SIM_MS);
            leg->arrival[leg->arrival_count - 1].packet = -1;
            leg->arrival[leg->arrival_count - 1].stray = i;
        }
    }
}

/* What comes while the engine is away never comes. */
static void apply_hole(const struct sim *m, struct sim_leg *leg)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < leg->arrival_count; i++) {
        struct sim_arrival *a = &leg->arrival[i];
        if (a->ns >= m->hole_from_ns && a->ns < m->hole_to_ns) {
            continue;
        }
        if (a->packet >= 0) {
            struct sim_packet *p = &leg->packet[a->packet];
            a->copy = p->arrival_ns != SIM_NEVER;
            p->arrival_ns = a->copy ? p->arrival_ns : a->ns;
        }
        leg->arrival[kept++] = *a;
    }
    leg->arrival_count = kept;
}

void sim_send(struct sim *m, uint32_t n)
{
    struct sim_leg *leg = &m->leg[n];
    uint64_t x = rng_fork(m->seed, 200 + n);
    struct sender s = {.m = m,
                       .leg = leg,
                       .net = rng_fork(m->seed, 300 + n),
                       .clock_ps = leg->start_ns * 1000,
                       .speed = 1,
                       .last_sent_ns = -1,
                       .ptime_ms = leg->ptime_ms,
                       .codec = leg->codec,
                       .new_segment = true,
                       .marker = true,
                       .ts = (uint32_t)rng_next(&x),
                       .seq = (uint16_t)rng_next(&x)};
    int64_t unit = sim_unit(clock_hz(&s));
    s.pos_ticks = sim_ticks_of_ns(leg->start_ns) / unit * unit;
    leg->stream_count = 1;
    leg->stream[0].ssrc = (uint32_t)rng_next(&x);
    for (uint32_t i = 0; i < leg->phase_count; i++) {
        play(&s, &leg->phase[i]);
    }
    strays(&s);
    qsort(leg->arrival, leg->arrival_count, sizeof *leg->arrival, by_arrival);
    apply_hole(m, leg);
}

void sim_free(struct sim *m)
{
    for (uint32_t i = 0; i < m->legs; i++) {
        free(m->leg[i].packet);
        free(m->leg[i].arrival);
    }
}
