/*
 * clock: what the ledger notes of a leg's clock, against what its sender did to it. A timestamp
 * that leapt, a clock that stood still, another clock rate, a sequence that began anew and media
 * far ahead of its time must be told; what nobody did may not be. What jitter may look like
 * (another delay, another speed, a stop that was none) may be told where there was any. Pure.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/expect.h"
#include "tests/sim/undo.h"

#define MOST_NOTES 64
#define MS_TICKS (SIM_TICKS_HZ / 1000)
/* So much media ahead of its time, that came in one go, is surely too fast. */
#define FAST_TICKS (3 * SIM_TICKS_HZ)
/* Numbers that differ by less may be of one sequence, with losses. */
#define NEAR_NUMBERS 3200
/* Delays that differ by less leave no trace. */
#define CALM_JITTER_NS (10 * SIM_MS)

struct notes {
    const struct sim *m;
    const struct sim_leg *leg;
    const struct sim_channel *c;
    json_t *list;
    uint32_t n;
    bool used[MOST_NOTES];
    bool shared[MOST_NOTES]; /* tells of a new sequence, too */
};

static bool is_text(json_t *o, const char *key, const char *text)
{
    const char *is = json_string_value(json_object_get(o, key));
    return is && strcmp(is, text) == 0;
}

static int64_t leg_time(const struct notes *k, json_t *note, const char *key)
{
    return sim_undo_place(k->c, sim_number(note, key));
}

static int64_t slack(const struct notes *k)
{
    return k->c->most_ticks ? k->c->most_ticks + k->c->tpf : 0;
}

static bool is_counted(const struct sim_leg *leg, const struct sim_packet *p)
{
    return p->arrival_ns != SIM_NEVER && !p->doubtful &&
           p->arrival_ns >= leg->stream[p->stream].believed_ns;
}

static const struct sim_packet *first_of(const struct sim_leg *leg, const struct sim_segment *g,
                                         bool sound_only)
{
    const struct sim_packet *first = NULL;
    for (uint32_t i = g->first; i < g->first + g->count; i++) {
        const struct sim_packet *p = &leg->packet[i];
        if (p->arrival_ns != SIM_NEVER && (!sound_only || p->kind == SIM_AUDIO) &&
            (!first || p->arrival_ns < first->arrival_ns)) {
            first = p;
        }
    }
    return first;
}

/* Which packet tells of the segment's clock: comfort noise does not where its rate is new. */
static const struct sim_packet *teller_of(const struct sim_leg *leg, const struct sim_segment *g)
{
    const struct sim_packet *first = first_of(leg, g, false);
    bool noise = first && first->kind == SIM_NOISE && g->made == SIM_NEW_CODEC;
    return noise ? first_of(leg, g, true) : first;
}

/* The segment of the same stream that was heard last before that packet. */
static const struct sim_segment *
heard_before(const struct sim_leg *leg, const struct sim_segment *g, const struct sim_packet *first)
{
    while (g-- > leg->segment) {
        const struct sim_packet *p = first_of(leg, g, false);
        if (g->stream == first->stream && p && p->arrival_ns < first->arrival_ns) {
            return is_counted(leg, p) ? g : NULL;
        }
    }
    return NULL;
}

static const char *kind_of(const struct sim_segment *g)
{
    if (g->made == SIM_JUMPS) {
        return "ts-jump";
    }
    return g->made == SIM_STANDS_STILL ? "ts-still" : "restart";
}

static bool parts_clocks(const struct sim_segment *g)
{
    return g->made == SIM_JUMPS || g->made == SIM_STANDS_STILL || g->made == SIM_NEW_CODEC;
}

/* Did a sequence begin anew since what was believed before the segment's first packet? */
static bool is_restarted(const struct sim_leg *leg, const struct sim_packet *first)
{
    const struct sim_packet *last = NULL;
    for (const struct sim_packet *p = leg->packet; p < first; p++) {
        bool heard = p->stream == first->stream && p->arrival_ns < first->arrival_ns && !p->hint;
        last = heard ? p : last;
    }
    while (last && last++ < first) {
        if (last->restarts) {
            return true;
        }
    }
    return false;
}

/* A segment whose clock parted: where it begins, where RTP time had it, when it came. */
static void must_tell_segment(struct notes *k, const struct sim_segment *g)
{
    const struct sim_packet *first = teller_of(k->leg, g);
    const struct sim_segment *before = first ? heard_before(k->leg, g, first) : NULL;
    size_t i = 0;
    json_t *note = NULL;
    if (!before || !is_counted(k->leg, first) || !g->found || before + 1 != g) {
        return;
    }
    bool restarted = is_restarted(k->leg, first); /* one note says both */
    int64_t at = first->pos_ticks + g->at_ticks;
    int64_t rtp = first->pos_ticks + before->at_ticks + g->jump_ticks;
    json_array_foreach(k->list, i, note)
    {
        bool both = restarted && g->made == SIM_JUMPS && is_text(note, "kind", "restart");
        if (i < MOST_NOTES && !k->used[i] && (both || is_text(note, "kind", kind_of(g))) &&
            is_text(note, "winner", "arrival") &&
            llabs(leg_time(k, note, "at_ticks") - at) <= slack(k) &&
            (!before->found || g->made == SIM_NEW_CODEC ||
             llabs(leg_time(k, note, "rtp_ticks") - rtp) <= slack(k)) &&
            llabs(sim_number(note, "arrival_ticks") - sim_ticks_of_ns(first->arrival_ns)) <= 2) {
            k->used[i] = true;
            k->shared[i] = both;
            return;
        }
    }
    sim_fail(k->m, "leg %u: no %s at %.3f ms (RTP has %.3f, it came at %.3f) is in the ledger",
             k->n, kind_of(g), (double)at / 14112.0, (double)rtp / 14112.0,
             (double)first->arrival_ns / 1e6);
}

/* What was surely heard last of the sequence before that one, if anything was. */
static const struct sim_packet *known_before(const struct sim_leg *leg,
                                             const struct sim_packet *restart)
{
    const struct sim_packet *known = NULL;
    for (const struct sim_packet *p = leg->packet; p < restart; p++) {
        known = p->stream == restart->stream && is_counted(leg, p) ? p : known;
    }
    return known;
}

/* Was nothing heard before the sequence began anew, or did it once more before anything of it
 * surely counted? Who heard nothing in between knows of one new sequence, the last. */
static bool is_unheard(const struct sim_leg *leg, const struct sim_packet *restart)
{
    const struct sim_packet *end = leg->packet + leg->packet_count;
    if (!known_before(leg, restart)) {
        return true;
    }
    for (const struct sim_packet *p = restart; p < end && p->stream == restart->stream; p++) {
        if (p > restart && p->restarts) {
            return true;
        }
        if (is_counted(leg, p)) {
            return false;
        }
    }
    return false;
}

/* A sequence that began anew: told by the time that it surely counts. */
static void must_tell_restart(struct notes *k, const struct sim_packet *restart)
{
    const struct sim_packet *end = k->leg->packet + k->leg->packet_count;
    const struct sim_packet *sure = NULL;
    size_t i = 0;
    json_t *note = NULL;
    const struct sim_packet *known = known_before(k->leg, restart);
    for (const struct sim_packet *p = restart; p < end && p->stream == restart->stream; p++) {
        if (is_counted(k->leg, p) && (!sure || p->arrival_ns < sure->arrival_ns)) {
            sure = p;
        }
    }
    int64_t from = sim_places(k->leg, restart).from - slack(k);
    /* where the clock stood still, too, while neither was heard that is one note, of that kind */
    bool stood = false;
    for (uint32_t g = known ? known->segment + 1u : 1; sure && g <= sure->segment; g++) {
        stood |= k->leg->segment[g].made == SIM_STANDS_STILL;
    }
    json_array_foreach(k->list, i, note)
    {
        int64_t at = leg_time(k, note, "at_ticks");
        bool open = i < MOST_NOTES && (!k->used[i] || k->shared[i]);
        bool both = stood && i < MOST_NOTES && is_text(note, "kind", "ts-still");
        if (((open && is_text(note, "kind", "restart")) || both) && at >= from &&
            (!sure || at <= sim_places(k->leg, sure).to + slack(k) + SIM_TICKS_HZ)) {
            k->used[i] = true;
            k->shared[i] = false;
            return;
        }
    }
    /* two new sequences, one of them unheard, may lead back to where it was */
    bool back = known && abs((int16_t)(uint16_t)(restart->seq - known->seq)) < NEAR_NUMBERS;
    if (known && sure && !back && !is_unheard(k->leg, restart) &&
        k->leg->segment[restart->segment].found) {
        sim_fail(k->m, "leg %u: no restart at %.3f ms is in the ledger", k->n,
                 (double)sim_place(k->leg, restart) / 14112.0);
    }
}

/* Media that ran far ahead of its time. */
static bool must_be_fast(const struct sim_leg *leg, const struct sim_segment *g)
{
    int64_t least = INT64_MAX;
    for (uint32_t i = g->first; i < g->first + g->count; i++) {
        const struct sim_packet *p = &leg->packet[i];
        if (is_counted(leg, p) && p->kind == SIM_AUDIO) {
            least = p->lead_ticks < least ? p->lead_ticks : least;
            if (p->lead_ticks - least > FAST_TICKS) {
                return true;
            }
        }
    }
    return false;
}

static bool has_note(const struct notes *k, const char *kind)
{
    size_t i = 0;
    json_t *note = NULL;
    json_array_foreach(k->list, i, note)
    {
        if (is_text(note, "kind", kind)) {
            return true;
        }
    }
    return false;
}

/* May anything but leaps and new sequences be told of the leg at all? */
static bool is_restless(const struct notes *k)
{
    const uint32_t wild =
        1u << SIM_STALLS | 1u << SIM_STANDS_STILL | 1u << SIM_FASTER | 1u << SIM_JUMPS;
    const struct sim_network *net = &k->leg->net;
    return (k->leg->did & wild) || net->jitter_ns > CALM_JITTER_NS || net->reorder_permille > 0 ||
           k->m->hole_from_ns != SIM_NEVER;
}

/* Nothing was heard of a clock between two that were: what its timestamps did meanwhile looks like
 * a leap or a stop of the one before where the rates of both are the same. */
static bool is_over_unheard(const struct notes *k, json_t *note, const struct sim_segment *before,
                            const struct sim_segment *g, const struct sim_packet *first)
{
    return before && before + 1 != g && is_text(note, "winner", "arrival") &&
           (is_text(note, "kind", "ts-jump") || is_text(note, "kind", "ts-still")) &&
           is_counted(k->leg, first) &&
           llabs(sim_number(note, "arrival_ticks") - sim_ticks_of_ns(first->arrival_ns)) <= 2;
}

/* Comfort noise that counts by a clock which no sound told of yet: by the old one it leaps. */
static bool is_over_noise(const struct notes *k, json_t *note, const struct sim_segment *g,
                          const struct sim_packet *teller)
{
    bool leaps = g->made == SIM_NEW_CODEC && is_text(note, "winner", "arrival") &&
                 (is_text(note, "kind", "ts-jump") || is_text(note, "kind", "ts-still"));
    for (const struct sim_packet *p = &k->leg->packet[g->first]; leaps && p < teller; p++) {
        if (p->kind == SIM_NOISE && p->arrival_ns != SIM_NEVER &&
            llabs(sim_number(note, "arrival_ticks") - sim_ticks_of_ns(p->arrival_ns)) <= 2) {
            return true;
        }
    }
    return false;
}

static bool is_open(const struct notes *k, json_t *note)
{
    for (uint32_t i = 1; i < k->leg->segment_count; i++) {
        const struct sim_segment *g = &k->leg->segment[i];
        const struct sim_packet *first = parts_clocks(g) ? teller_of(k->leg, g) : NULL;
        const struct sim_segment *before = first ? heard_before(k->leg, g, first) : NULL;
        bool told = first && is_text(note, "kind", kind_of(g));
        if (told && (!before || !is_counted(k->leg, first) || !g->found || before + 1 != g)) {
            return true;
        }
        if (first &&
            (is_over_unheard(k, note, before, g, first) || is_over_noise(k, note, g, first))) {
            return true;
        }
    }
    return false;
}

/* What is left may be there. */
static void check_rest(const struct notes *k)
{
    size_t i = 0;
    json_t *note = NULL;
    json_array_foreach(k->list, i, note)
    {
        bool is_arrival = is_text(note, "winner", "arrival");
        bool mood = is_text(note, "kind", "step") || is_text(note, "kind", "rate") ||
                    is_text(note, "kind", "burst");
        bool still = is_text(note, "kind", "ts-still");
        bool may = (i < MOST_NOTES && k->used[i]) || is_open(k, note) ||
                   ((mood || still) && is_restless(k) && is_arrival == still);
        if (!may) {
            sim_fail(k->m, "leg %u: %s at %.3f ms is in the ledger, and nobody did that", k->n,
                     json_string_value(json_object_get(note, "kind")),
                     (double)sim_number(note, "at_ticks") / 14112.0);
        }
    }
}

void sim_check_clock(const struct sim *m, uint32_t n, const struct sim_channel *c)
{
    struct notes k = {.m = m, .leg = &m->leg[n], .c = c, .n = n};
    k.list = json_object_get(c->ledger, "clock");
    for (uint32_t i = 1; i < k.leg->segment_count; i++) {
        if (parts_clocks(&k.leg->segment[i])) {
            must_tell_segment(&k, &k.leg->segment[i]);
        }
    }
    for (uint32_t i = 0; i < k.leg->packet_count; i++) {
        if (k.leg->packet[i].restarts && !is_unheard(k.leg, &k.leg->packet[i])) {
            must_tell_restart(&k, &k.leg->packet[i]);
        }
    }
    for (uint32_t i = 0; i < k.leg->packet_count; i++) { /* these may have been heard, too */
        if (k.leg->packet[i].restarts && is_unheard(k.leg, &k.leg->packet[i])) {
            must_tell_restart(&k, &k.leg->packet[i]);
        }
    }
    for (uint32_t i = 0; i < k.leg->segment_count; i++) {
        if (must_be_fast(k.leg, &k.leg->segment[i]) && !has_note(&k, "rate")) {
            sim_fail(m, "leg %u: media that was sent too fast is not in the ledger", n);
        }
    }
    check_rest(&k);
}
