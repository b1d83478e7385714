/*
 * sound: see the header. The sound is noise, so what stands a quarter of a millisecond off is as
 * unlike as anything else, and so is another leg's.
 */
#include "tests/sim/sound.h"

#include <stdlib.h>

#include "tests/sim/bank.h"

#define FLOOR 5e4           /* of a sample's power: what is nearly silent is not compared */
#define TAIL_MS 5           /* a resampler knows nothing after the end of a run */
#define DEAF_MS 20          /* in a fresh decoder less may be heard than was said */
#define FIND_ERROR 0.15     /* of the best place, by which a segment is found */
#define FRESH_UNITS 8       /* of a new decoder, compared to the sample */
#define LOOK_MS 40          /* of a packet, to find it */
#define BESIDE 2            /* frames: by so much a single packet may mislead */
#define MOST_HEARD 50       /* packets that are asked for that */
#define MOST_PLACES 2000000 /* that are looked at for one segment */

static const struct sim_line *line_of(const struct sim_packet *p)
{
    return sim_line((enum sim_codec)p->codec);
}

static int64_t frames_of(const struct sim *m, const struct sim_packet *p)
{
    return (int64_t)p->samples * m->hz / sim_codec_hz(m, (enum sim_codec)p->codec);
}

static bool is_resampled(const struct sim *m, const struct sim_packet *p)
{
    return line_of(p)->sample_hz != m->hz;
}

/* The power of the difference, as a share of that of the packet's sound, over its frames [from,
 * to); *is: power of what is there, *want: of what should be. */
static double unlike(const struct sim *m, const struct sim_leg *leg, const struct sim_packet *p,
                     const struct sim_channel *c, int64_t frame, int64_t from, int64_t to,
                     double *is, double *want)
{
    const int16_t *sound = sim_bank_sound((enum sim_codec)p->codec, m->hz);
    int64_t per_unit = m->hz / SIM_UNITS_PER_S;
    int64_t size = SIM_BANK_UNITS * per_unit;
    int64_t at = (sim_first_unit(leg, p) * per_unit + from) % size;
    double error = 0;
    *is = *want = 0;
    for (int64_t i = from; i < to; i++, at = at + 1 < size ? at + 1 : 0) {
        double r = sound[at];
        double x = c->sample[frame + i];
        error += (x - r) * (x - r);
        *is += x * x;
        *want += r * r;
    }
    return error / (*want + FLOOR * (double)(to - from));
}

static bool follows(const struct sim *m, const struct sim_packet *a, const struct sim_packet *b)
{
    int64_t units = a->samples * SIM_UNITS_PER_S / sim_codec_hz(m, (enum sim_codec)a->codec);
    return a->kind == SIM_AUDIO && b->kind == SIM_AUDIO && a->stream == b->stream &&
           a->codec == b->codec && b->content == a->content + units && b->number == a->number + 1 &&
           a->segment == b->segment &&
           b->pos_ticks == a->pos_ticks + (int64_t)a->samples *
                                              sim_unit(sim_codec_hz(m, (enum sim_codec)a->codec));
}

static uint32_t ms_of(const struct sim *m, const struct sim_packet *p)
{
    return p->samples * 1000 / sim_codec_hz(m, (enum sim_codec)p->codec);
}

void sim_sound_warm(const struct sim *m, struct sim_leg *leg)
{
    for (uint32_t i = 1; i < leg->packet_count; i++) {
        const struct sim_packet *a = &leg->packet[i - 1];
        struct sim_packet *b = &leg->packet[i];
        b->warm_ms = a->arrival_ns != SIM_NEVER && follows(m, a, b) ? a->warm_ms + ms_of(m, a) : 0;
    }
}

/* The same of a few samples of its first 5 ms: nothing that is more unlike need be looked at. */
static bool at_first_sight(const struct sim *m, const struct sim_leg *leg,
                           const struct sim_packet *p, const struct sim_channel *c, int64_t frame)
{
    const int16_t *sound = sim_bank_sound((enum sim_codec)p->codec, m->hz);
    int64_t per_unit = m->hz / SIM_UNITS_PER_S;
    int64_t at = sim_first_unit(leg, p) * per_unit % (SIM_BANK_UNITS * per_unit);
    double error = 0;
    double want = 0;
    for (int64_t i = 0; i < per_unit / 2; i += per_unit / 32) {
        double r = sound[at + i];
        double x = c->sample[frame + i];
        error += (x - r) * (x - r);
        want += r * r + FLOOR;
    }
    return error < want * 0.6;
}

/* Where the segment before it was found: media goes on from there more likely than from elsewhere.
 */
static int64_t place_before(const struct sim_leg *leg, const struct sim_segment *g)
{
    for (const struct sim_segment *b = g; b-- > leg->segment;) {
        if (b->found) {
            return b->at_ticks;
        }
    }
    return (g->lo_ticks + g->hi_ticks) / 2;
}

/* Goes through the places where the packet may lie; the best of those that are like it. The bank
 * goes round: of places that are rounds apart the one nearest to the segment before. */
static bool find_packet(const struct sim *m, const struct sim_channel *c, uint32_t channel,
                        const struct sim_packet *p, struct sim_segment *g)
{
    const struct sim_leg *leg = &m->leg[channel];
    int64_t tpf = sim_unit(m->hz);
    int64_t unit = sim_unit(sim_codec_hz(m, (enum sim_codec)p->codec));
    int64_t step = unit / tpf;
    int64_t count = frames_of(m, p) - (is_resampled(m, p) ? TAIL_MS * m->hz / 1000 : 0);
    int64_t most = LOOK_MS * m->hz / 1000;
    int64_t from = (p->pos_ticks + g->lo_ticks) / unit * step - 2 * step;
    int64_t to = (p->pos_ticks + g->hi_ticks) / tpf + 2 * step;
    int64_t near = (p->pos_ticks + place_before(leg, g)) / tpf;
    bool wide = g->hi_ticks - g->lo_ticks > SIM_BANK_UNITS * (SIM_TICKS_HZ / SIM_UNITS_PER_S) / 2;
    int64_t best = -1;
    double least = FIND_ERROR;
    double is = 0;
    double want = 0;
    count = count < most ? count : most;
    for (int64_t frame = from < 0 ? 0 : from; frame <= to && frame + count <= c->frames;
         frame += step) {
        bool beside = best >= 0 && frame <= best + m->hz / 1000;
        if (best >= 0 && !beside && !wide) {
            break;
        }
        if (!at_first_sight(m, leg, p, c, frame)) {
            continue;
        }
        double error = unlike(m, leg, p, c, frame, 0, count, &is, &want);
        bool nearer = best >= 0 && !beside && llabs(frame - near) < llabs(best - near);
        if (nearer ? error < FIND_ERROR : error < least && (best < 0 || beside)) {
            least = error;
            best = frame;
        }
    }
    if (best >= 0) {
        g->at_ticks = best * tpf - p->pos_ticks;
        g->found = true;
    }
    return best >= 0;
}

static bool came_in_pause(const struct sim *m, const struct sim_packet *p)
{
    bool is = false;
    for (uint32_t i = 0; i < m->pause_count; i++) {
        is |= p->arrival_ns >= m->pause[i].from && p->arrival_ns < m->pause[i].to;
    }
    return is;
}

/* A codec's own noise makes a single packet now and then more like the place one frame beside its
 * own. Of the places next to the one found it is the one that all packets together are most like.
 */
static void find_frame(const struct sim *m, const struct sim_channel *c, uint32_t channel,
                       struct sim_segment *g)
{
    const struct sim_leg *leg = &m->leg[channel];
    int64_t tpf = sim_unit(m->hz);
    double all[2 * BESIDE + 1] = {0};
    double is = 0;
    double want = 0;
    int64_t best = BESIDE;
    uint32_t heard = 0;
    for (uint32_t i = g->first; i < g->first + g->count && heard < MOST_HEARD; i++) {
        const struct sim_packet *p = &leg->packet[i];
        int64_t step = sim_unit(sim_codec_hz(m, (enum sim_codec)p->codec)) / tpf;
        int64_t frame = (p->pos_ticks + g->at_ticks) / tpf;
        int64_t count = frames_of(m, p) - (is_resampled(m, p) ? TAIL_MS * m->hz / 1000 : 0);
        if (step != 1 || p->arrival_ns == SIM_NEVER || p->kind != SIM_AUDIO ||
            p->warm_ms < line_of(p)->settle_ms || frame < BESIDE ||
            frame + count + BESIDE > c->frames ||
            unlike(m, leg, p, c, frame, 0, count, &is, &want) > 2 * FIND_ERROR) {
            continue;
        }
        heard++;
        for (int64_t k = -BESIDE; k <= BESIDE; k++) {
            all[BESIDE + k] += unlike(m, leg, p, c, frame + k, 0, count, &is, &want);
        }
    }
    for (int64_t k = 0; k <= 2 * BESIDE && heard > 0; k++) {
        best = all[k] < all[best] ? k : best;
    }
    g->at_ticks += (best - BESIDE) * tpf;
}

bool sim_sound_find(const struct sim *m, const struct sim_channel *c, uint32_t channel,
                    struct sim_segment *g)
{
    const struct sim_leg *leg = &m->leg[channel];
    int64_t looked = 0;
    for (uint32_t i = g->first; i < g->first + g->count && looked < MOST_PLACES; i++) {
        const struct sim_packet *p = &leg->packet[i];
        if (p->arrival_ns == SIM_NEVER || p->kind != SIM_AUDIO || came_in_pause(m, p) ||
            p->warm_ms < line_of(p)->settle_ms) {
            continue;
        }
        looked +=
            10 + (g->hi_ticks - g->lo_ticks) / sim_unit(sim_codec_hz(m, (enum sim_codec)p->codec));
        if (find_packet(m, c, channel, p, g)) {
            find_frame(m, c, channel, g);
            return true;
        }
    }
    return false;
}

bool sim_sound_is_due(const struct sim *m, const struct sim_leg *leg, const struct sim_segment *g)
{
    uint32_t sure_ms = 0;
    for (uint32_t i = g->first; i < g->first + g->count; i++) {
        const struct sim_packet *p = &leg->packet[i];
        bool sure = p->kind == SIM_AUDIO && p->fate == SIM_PLACED && p->warm_ms > 0;
        sure_ms = sure ? sure_ms + ms_of(m, p) : 0;
        if (sure_ms > line_of(p)->settle_ms + 2 * ms_of(m, p)) {
            return true;
        }
    }
    return false;
}

enum sim_there sim_sound_there(const struct sim *m, const struct sim_channel *c, uint32_t channel,
                               const struct sim_packet *p)
{
    const struct sim_leg *leg = &m->leg[channel];
    int64_t frame = sim_place(leg, p) / sim_unit(m->hz);
    int64_t count = frames_of(m, p);
    double is = 0;
    double want = 0;
    if (frame < 0 || frame + count > c->frames) {
        return SIM_MAY_BE_THERE;
    }
    double error = unlike(m, leg, p, c, frame, 0, count, &is, &want);
    if (is == 0) {
        return SIM_IS_NOT_THERE;
    }
    return error < line_of(p)->most_error && !p->late ? SIM_IS_THERE : SIM_MAY_BE_THERE;
}

/* How many packets may have said each frame; 2: more than one. */
static uint8_t *count_claims(const struct sim *m, const struct sim_channel *c, uint32_t channel)
{
    const struct sim_leg *leg = &m->leg[channel];
    uint8_t *claims = calloc((size_t)c->frames + 1, 1);
    if (!claims) {
        abort();
    }
    for (uint32_t i = 0; i < leg->packet_count; i++) {
        const struct sim_packet *p = &leg->packet[i];
        bool may = p->fate == SIM_PLACED || p->fate == SIM_EITHER;
        if (!may || p->kind != SIM_AUDIO) {
            continue;
        }
        const struct sim_segment *g = &leg->segment[p->segment];
        int64_t first = sim_place(leg, p) / sim_unit(m->hz);
        int64_t end = first + frames_of(m, p);
        uint8_t weight = 1;
        if (!g->found) {
            first = (p->pos_ticks + g->lo_ticks) / sim_unit(m->hz);
            end = (p->pos_ticks + g->hi_ticks) / sim_unit(m->hz) + frames_of(m, p) + 1;
            weight = 2;
        }
        for (int64_t k = first < 0 ? 0 : first; k < end && k < c->frames; k++) {
            claims[k] = (uint8_t)(claims[k] + weight < 2 ? claims[k] + weight : 2);
        }
    }
    return claims;
}

static bool is_claimed_once(const uint8_t *claims, int64_t from, int64_t to)
{
    for (int64_t i = from; i < to; i++) {
        if (claims[i] != 1) {
            return false;
        }
    }
    return true;
}

/* Frames [from, to) of a packet; the run began `age` frames before the packet. */
static void check_window(struct sim *m, const struct sim_channel *c, uint32_t channel,
                         const struct sim_packet *p, int64_t from, int64_t to, int64_t age)
{
    const struct sim_leg *leg = &m->leg[channel];
    const struct sim_line *l = line_of(p);
    int64_t frame = sim_place(leg, p) / sim_unit(m->hz);
    int64_t old_ms = (age + from) * 1000 / m->hz;
    double is = 0;
    double want = 0;
    double error = unlike(m, leg, p, c, frame, from, to, &is, &want);
    bool heard = want < FLOOR * (double)(to - from) || (is > want / 50 && is < want * 50);
    if (old_ms >= l->settle_ms ? error > l->most_error : old_ms >= DEAF_MS && !heard) {
        sim_fail(
            m, "leg %u: at %.3f s (packet %u of stream %u, %s, %lld ms into its run): %s, %.3f off",
            channel, (double)(frame + from) / m->hz, p->number, p->stream, l->name,
            (long long)old_ms, is == 0 ? "silence" : "another sound than was sent", error);
    }
    m->samples_alike += (uint64_t)(old_ms >= l->settle_ms ? to - from : 0);
}

/* Does a decoder begin with the packet, for sure: is it the first of its stream, or the one before
 * it of another codec? */
static bool is_fresh(const struct sim_leg *leg, const struct sim_packet *p)
{
    for (const struct sim_packet *q = p; q-- > leg->packet;) {
        bool may = q->fate == SIM_PLACED || q->fate == SIM_EITHER;
        if (may && q->kind == SIM_AUDIO && q->stream == p->stream) {
            return q->fate == SIM_PLACED && q->codec != p->codec;
        }
    }
    return true;
}

/* The beginning of what a new decoder makes, to the sample; the run began `age` frames before.
 * False: another packet lies there, too. If that is one of another codec, in between by its place,
 * the decoder begins anew after it. */
static bool check_fresh(struct sim *m, const struct sim_channel *c, uint32_t channel,
                        const struct sim_packet *p, const int16_t *fresh, int64_t age,
                        const uint8_t *claims)
{
    int64_t frame = sim_place(&m->leg[channel], p) / sim_unit(m->hz);
    int64_t most = (int64_t)FRESH_UNITS * m->hz / SIM_UNITS_PER_S - age;
    for (int64_t i = 0; i < frames_of(m, p) && i < most; i++) {
        if (frame + i < 0 || frame + i >= c->frames) {
            continue;
        }
        if (claims[frame + i] != 1) {
            return false;
        }
        if (c->sample[frame + i] != fresh[age + i]) {
            sim_fail(m,
                     "leg %u: at %.5f s (packet %u of stream %u, %s) is %d, not a new decoder's %d",
                     channel, (double)(frame + i) / m->hz, p->number, p->stream, line_of(p)->name,
                     c->sample[frame + i], fresh[age + i]);
        }
    }
    return true;
}

void sim_sound_check(struct sim *m, const struct sim_channel *c, uint32_t channel)
{
    const struct sim_leg *leg = &m->leg[channel];
    uint8_t *claims = count_claims(m, c, channel);
    int64_t window = m->hz / SIM_UNITS_PER_S;
    int64_t age = 0;
    static int16_t fresh[FRESH_UNITS * 48000 / SIM_UNITS_PER_S];
    bool new_decoder = false;
    for (uint32_t i = 0; i < leg->packet_count; i++) {
        const struct sim_packet *p = &leg->packet[i];
        const struct sim_packet *next = i + 1 < leg->packet_count ? p + 1 : NULL;
        bool sure = p->kind == SIM_AUDIO && p->fate == SIM_PLACED && leg->segment[p->segment].found;
        bool last = !next || next->fate != SIM_PLACED || !follows(m, p, next);
        if (!sure) {
            age = 0;
            continue;
        }
        int64_t frame = sim_place(leg, p) / sim_unit(m->hz);
        int64_t count = frames_of(m, p);
        if (age == 0) {
            new_decoder = !is_resampled(m, p) && is_fresh(leg, p);
            if (new_decoder) {
                sim_bank_fresh((enum sim_codec)p->codec, sim_first_unit(leg, p), FRESH_UNITS,
                               fresh);
            }
        }
        new_decoder = new_decoder && check_fresh(m, c, channel, p, fresh, age, claims);
        int64_t end = count - (last && is_resampled(m, p) ? TAIL_MS * m->hz / 1000 : 0);
        for (int64_t at = 0; at + window <= end; at += window) {
            if (frame + at >= 0 && frame + at + window <= c->frames &&
                is_claimed_once(claims, frame + at, frame + at + window)) {
                check_window(m, c, channel, p, at, at + window, age);
            }
        }
        /* what another packet lies over, too, may be another decoder's: the run begins after it */
        bool alone = frame >= 0 && frame + count <= c->frames &&
                     is_claimed_once(claims, frame, frame + count);
        age = last || !alone ? 0 : age + count;
    }
    free(claims);
}
