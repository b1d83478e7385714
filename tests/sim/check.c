/*
 * check: the sealed recording against the truth, from the outside. First each segment is looked
 * for where it may lie; then the fate of every packet is known, and with it what each frame of the
 * file is to be and what the ledger may call it. Ends the process at the first difference.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/expect.h"
#include "tests/sim/result.h"
#include "tests/sim/sim.h"
#include "tests/sim/sound.h"
#include "tests/sim/undo.h"

void sim_fail(const struct sim *m, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "seed %llu: ", (unsigned long long)m->seed);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

int64_t sim_number(json_t *o, const char *key)
{
    json_t *v = json_object_get(o, key);
    return json_is_integer(v) ? json_integer_value(v) : -1;
}

static bool lies_at(const struct sim *m, const struct sim_channel *c, uint32_t channel,
                    const struct sim_packet *p, int64_t frame)
{
    const struct sim_leg *leg = &m->leg[channel];
    if (frame < 0 || frame + p->samples > c->frames) {
        return false;
    }
    for (uint32_t i = 0; i < p->samples; i++) {
        int32_t want = sim_content_in_file(m, leg->key, p->content + i, (enum sim_codec)p->codec);
        if (c->sample[frame + i] != want) {
            return false;
        }
    }
    return true;
}

/* Where pos_ticks of a segment came to lie, if a whole packet of it is in the file. */
static void find_segment(const struct sim *m, const struct sim_channel *c, uint32_t channel,
                         struct sim_segment *g)
{
    const struct sim_leg *leg = &m->leg[channel];
    int64_t tpf = sim_unit(m->hz);
    if (m->lossy) {
        (void)sim_sound_find(m, c, channel, g);
        return;
    }
    for (uint32_t i = g->first; i < g->first + g->count; i++) {
        const struct sim_packet *p = &leg->packet[i];
        if (p->arrival_ns == SIM_NEVER || p->kind != SIM_AUDIO) {
            continue;
        }
        int64_t from = (p->pos_ticks + g->lo_ticks) / tpf - 2;
        int64_t to = (p->pos_ticks + g->hi_ticks) / tpf + 2;
        for (int64_t frame = from; frame <= to; frame++) {
            if (lies_at(m, c, channel, p, frame)) {
                g->at_ticks = frame * tpf - p->pos_ticks;
                g->found = true;
                return;
            }
        }
    }
}

/* No later than what came before it on the leg lets it, no earlier than it may. */
static void find_all(struct sim *m, const struct sim_channel *c, uint32_t channel)
{
    struct sim_leg *leg = &m->leg[channel];
    int64_t highest = INT64_MIN;
    for (uint32_t k = 0; k < leg->segment_count; k++) {
        struct sim_segment *g = &leg->segment[k];
        int64_t end = INT64_MIN;
        const struct sim_packet *first = NULL;
        for (uint32_t i = g->first; i < g->first + g->count; i++) {
            const struct sim_packet *p = &leg->packet[i];
            if (p->arrival_ns != SIM_NEVER) {
                int64_t to = p->pos_ticks + (int64_t)p->samples *
                                                sim_unit(sim_codec_hz(m, (enum sim_codec)p->codec));
                end = to > end ? to : end;
                first = !first || p->arrival_ns < first->arrival_ns ? p : first;
            }
        }
        if (!first) {
            continue;
        }
        if (highest != INT64_MIN && highest - first->pos_ticks > g->hi_ticks) {
            g->hi_ticks = highest - first->pos_ticks; /* never over what was said before */
        }
        find_segment(m, c, channel, g);
        int64_t place = end + (g->found ? g->at_ticks : g->hi_ticks);
        highest = place > highest ? place : highest;
    }
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
        if (!may || p->kind != SIM_AUDIO || !leg->segment[p->segment].found) {
            continue;
        }
        int64_t first = (p->pos_ticks + leg->segment[p->segment].at_ticks) / sim_unit(m->hz);
        for (int64_t k = first; k < first + p->samples; k++) {
            if (k >= 0 && k < c->frames && claims[k] < 2) {
                claims[k]++;
            }
        }
    }
    return claims;
}

/* How many of its last samples are there, as far as nobody else said anything at their place;
 * *own: how many are; *sole: does one of them stand where nobody else said anything? */
static uint32_t tail_at(const struct sim *m, const struct sim_channel *c, uint32_t channel,
                        const struct sim_packet *p, int64_t frame, const uint8_t *claims,
                        uint32_t *own, bool *sole)
{
    const struct sim_leg *leg = &m->leg[channel];
    uint32_t count = 0;
    *own = 0;
    *sole = false;
    while (count < p->samples) {
        uint32_t i = p->samples - 1 - count;
        int32_t want = sim_content_in_file(m, leg->key, p->content + i, (enum sim_codec)p->codec);
        if (frame + i < 0 || frame + i >= c->frames) {
            break;
        }
        bool is = c->sample[frame + i] == want;
        if (!is && claims[frame + i] < 2) {
            break;
        }
        *own += is;
        *sole |= claims[frame + i] < 2 && want != sim_silence_in_file(m);
        count++;
    }
    return count;
}

/* A packet that the truth left open: is its audio there? */
static void resolve_one(const struct sim *m, const struct sim_channel *c, uint32_t channel,
                        struct sim_packet *p, const uint8_t *claims)
{
    const struct sim_segment *g = &m->leg[channel].segment[p->segment];
    int64_t frame = (p->pos_ticks + g->at_ticks) / sim_unit(m->hz);
    uint32_t own = 0;
    bool sole = false;
    uint32_t there = g->found ? tail_at(m, c, channel, p, frame, claims, &own, &sole) : 0;
    bool enough = own >= 4 || sole; /* fewer among those of others may be there by chance */
    bool whole = there == p->samples && enough;
    /* its first part may have been written when it came, or when it was believed */
    bool may_be_cut = p->late || p->doubtful;
    if (!whole && (!may_be_cut || !enough)) {
        p->fate = SIM_GONE;
        return;
    }
    p->fate = SIM_PLACED;
    p->cut = p->samples - there;
}

/* Packets that the truth left open. */
static void resolve(struct sim *m, const struct sim_channel *c, uint32_t channel)
{
    struct sim_leg *leg = &m->leg[channel];
    uint8_t *claims = m->lossy ? NULL : count_claims(m, c, channel);
    for (uint32_t i = 0; i < leg->packet_count; i++) {
        struct sim_packet *p = &leg->packet[i];
        const struct sim_segment *g = &leg->segment[p->segment];
        m->packets_all += p->fate != SIM_UNSENT;
        m->packets_open += p->fate == SIM_EITHER;
        if (p->kind == SIM_AUDIO && p->fate == SIM_PLACED && !g->found &&
            (!m->lossy || sim_sound_is_due(m, leg, g))) {
            sim_fail(m, "leg %u: segment %u is nowhere between %+.3f and %+.3f ms", channel,
                     p->segment, (double)g->lo_ticks / 14112.0, (double)g->hi_ticks / 14112.0);
        }
        if (p->kind == SIM_AUDIO && p->fate == SIM_EITHER && m->lossy) {
            enum sim_there is = g->found ? sim_sound_there(m, c, channel, p) : SIM_MAY_BE_THERE;
            p->fate = is == SIM_IS_THERE ? SIM_PLACED : p->fate;
            p->fate = is == SIM_IS_NOT_THERE ? SIM_GONE : p->fate;
        } else if (p->kind == SIM_AUDIO && p->fate == SIM_EITHER) {
            resolve_one(m, c, channel, p, claims);
        }
    }
    free(claims);
}

static void check_length(const struct sim *m, const struct sim_result *r)
{
    int64_t len = sim_number(r->ledger, "len_ticks");
    int64_t now = sim_ticks_of_ns(m->end_ns);
    int64_t lo = now;
    int64_t hi = now;
    for (uint32_t n = 0; n < m->legs; n++) {
        for (uint32_t i = 0; i < m->leg[n].packet_count; i++) {
            const struct sim_packet *p = &m->leg[n].packet[i];
            const struct sim_segment *g = &m->leg[n].segment[p->segment];
            int64_t end = sim_place_end(m, &m->leg[n], p);
            if (p->fate != SIM_UNSENT) {
                struct sim_interval from = sim_places(&m->leg[n], p);
                hi = end + from.to - from.from > hi ? end + from.to - from.from : hi;
                lo = end > lo && p->fate == SIM_PLACED && g->found ? end : lo;
            }
        }
    }
    int64_t tpf = sim_unit(m->hz);
    lo -= m->corrected_ticks; /* the end follows the corrections */
    hi += m->corrected_ticks;
    if (len < lo || len > (hi + tpf - 1) / tpf * tpf) {
        sim_fail(m, "length %lld, not %lld to %lld", (long long)len, (long long)lo, (long long)hi);
    }
    if ((int64_t)r->wav.frames != (len + tpf - 1) / tpf) {
        sim_fail(m, "%llu frames for %lld ticks", (unsigned long long)r->wav.frames,
                 (long long)len);
    }
}

static void check_shape(const struct sim *m, const struct sim_result *r)
{
    static const enum slr_sample_format format[] = {[SIM_FILE_ALAW] = SLR_SAMPLE_ALAW,
                                                    [SIM_FILE_ULAW] = SLR_SAMPLE_ULAW,
                                                    [SIM_FILE_S16] = SLR_SAMPLE_S16};
    const struct slr_audio_shape *s = &r->wav.shape;
    if (s->format != format[m->format] || s->sample_hz != m->hz || s->channels != m->legs) {
        sim_fail(m, "shape: format %d, %u Hz, %u channels", (int)s->format, s->sample_hz,
                 s->channels);
    }
    if (json_array_size(json_object_get(r->ledger, "legs")) != m->legs) {
        sim_fail(m, "the ledger has another number of legs");
    }
}

static void check_answers(const struct sim *m)
{
    for (uint32_t i = 0; i < m->pause_count; i++) {
        int64_t is = m->pause_answer[i][1];
        const struct sim_interval *may = &m->pause_end[i];
        int64_t slack = m->corrected_ticks ? m->corrected_ticks + sim_unit(m->hz) : 0;
        slack += m->lossy ? SIM_TICKS_HZ / 4000 : 0; /* so exactly sound tells where it lies */
        if (m->pause[i].to != SIM_NEVER && (is < may->from - slack || is > may->to + slack)) {
            sim_fail(m, "pause %u ends at %lld, not %lld to %lld", i, (long long)is,
                     (long long)may->from, (long long)may->to);
        }
    }
}

static void check_frames(struct sim *m, const struct sim_channel *c, uint32_t channel,
                         const struct sim_expect *e)
{
    for (int64_t i = 0; i < e->frames; i++) {
        if (e->sample[i] == SIM_ANY_SAMPLE) {
            m->samples_open++;
            continue;
        }
        int32_t is = c->sample[i];
        if (is != e->sample[i]) {
            sim_fail(m, "leg %u: frame %lld (%.3f s) is %x, not %x", channel, (long long)i,
                     (double)i / m->hz, (unsigned)is, (unsigned)e->sample[i]);
        }
    }
    m->samples_exact += (uint64_t)e->frames;
}

/* What was corrected is nearer to the sender's time than it would be without: by the last packet of
 * a leg whose clock did nothing but go wrong steadily. What was right when it was corrected the
 * drift may have made good by itself since, but nothing is left farther off than 10 ms for that. */
static void check_correction(const struct sim *m, uint32_t n, const struct sim_channel *c)
{
    const struct sim_leg *leg = &m->leg[n];
    uint64_t leaps = 1ULL << SIM_HAS_STILL | 1ULL << SIM_HAS_JUMP | 1ULL << SIM_HAS_FAST |
                     1ULL << SIM_HAS_STALL | 1ULL << SIM_HAS_HOLE | 1ULL << SIM_HAS_SSRC;
    if (leg->segment_count != 1 || !leg->segment[0].found || (m->present & leaps)) {
        return;
    }
    const struct sim_packet *last = &leg->packet[leg->packet_count - 1];
    int64_t media = last->pos_ticks - leg->packet[0].pos_ticks;
    int64_t right = sim_ticks_of_ns(leg->net.base_ns) + media / 1000000 * leg->skew_ppm;
    int64_t before = llabs(leg->segment[0].at_ticks - right);
    int64_t after = llabs(leg->segment[0].at_ticks + c->corrected_ticks - right);
    int64_t drift = media / 1000000 * abs(leg->skew_ppm);
    int64_t ms = SIM_TICKS_HZ / 1000;
    if (after > before + ms + drift || (after > before + ms && after > 10 * ms)) {
        sim_fail(m, "leg %u: %.3f ms from its time, %.3f after correction", n,
                 (double)before / 14112.0, (double)after / 14112.0);
    }
}

/* Legs stand in the ledger in the order in which they joined. */
static json_t *leg_named(const struct sim *m, const struct sim_result *r, uint32_t n)
{
    char name[16];
    size_t i = 0;
    json_t *leg = NULL;
    snprintf(name, sizeof name, "leg-%u", n);
    json_array_foreach(json_object_get(r->ledger, "legs"), i, leg)
    {
        if (strcmp(json_string_value(json_object_get(leg, "id")), name) == 0) {
            if (sim_number(leg, "channel") != n) {
                sim_fail(m, "leg %u is on channel %lld", n, (long long)sim_number(leg, "channel"));
            }
            return leg;
        }
    }
    sim_fail(m, "leg %u is not in the ledger", n);
}

void sim_check(struct sim *m, struct sim_result *r)
{
    struct sim_channel c[SIM_LEGS];
    check_shape(m, r);
    sim_truth_anchors(m);
    for (uint32_t n = 0; n < m->legs && m->lossy; n++) { /* places are whole units of RTP clocks */
        for (uint32_t i = 0; i < m->leg[n].segment_count; i++) {
            m->leg[n].segment[i].lo_ticks -= sim_unit(8000);
        }
    }
    for (uint32_t n = 0; n < m->legs; n++) {
        sim_undo(m, r, n, leg_named(m, r, n), &c[n]);
        sim_sound_warm(m, &m->leg[n]);
        m->corrected_ticks =
            c[n].most_ticks > m->corrected_ticks ? c[n].most_ticks : m->corrected_ticks;
        find_all(m, &c[n], n);
    }
    sim_truth_fates(m);
    for (uint32_t n = 0; n < m->legs; n++) {
        resolve(m, &c[n], n);
    }
    check_length(m, r);
    check_answers(m);
    for (uint32_t n = 0; n < m->legs; n++) {
        struct sim_expect e;
        sim_expect_make(m, n, c[n].frames, c[n].len_ticks, &e);
        if (m->lossy) {
            sim_expect_hear(&c[n], &e);
            sim_sound_check(m, &c[n], n);
        }
        check_frames(m, &c[n], n, &e);
        sim_check_spans(m, n, &c[n], &e);
        sim_check_streams(m, n, c[n].ledger);
        sim_check_clock(m, n, &c[n]);
        check_correction(m, n, &c[n]);
        sim_expect_free(&e);
    }
    sim_check_digits(m, r->ledger, c);
    for (uint32_t n = 0; n < m->legs; n++) {
        m->corrections += c[n].most_ticks > 0;
        sim_undo_free(&c[n]);
    }
}
