/*
 * account: the ledger of a leg against what is expected of it: spans, streams, digits.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/expect.h"
#include "tests/sim/undo.h"

static const struct {
    const char *name;
    uint32_t bit;
} kind_name[] = {
    {"received", SIM_IS_RECEIVED}, {"comfort", SIM_IS_COMFORT},    {"event", SIM_IS_EVENT},
    {"hold", SIM_IS_HOLD},         {"paused", SIM_IS_PAUSED},      {"absent", SIM_IS_ABSENT},
    {"ended", SIM_IS_ENDED},       {"lost-network", SIM_IS_LOST},  {"engine-down", SIM_IS_DOWN},
    {"clock", SIM_IS_CLOCK},       {"concealed", SIM_IS_CONCEALED}};

static uint32_t bit_of(const char *name)
{
    for (size_t i = 0; i < sizeof kind_name / sizeof kind_name[0]; i++) {
        if (strcmp(kind_name[i].name, name) == 0) {
            return kind_name[i].bit;
        }
    }
    return 0;
}

static const char *names_of(uint32_t kinds, char out[static 128])
{
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < sizeof kind_name / sizeof kind_name[0] && n < 100; i++) {
        if (kinds & kind_name[i].bit) {
            n += (size_t)snprintf(out + n, 128 - n, "%s%s", n ? " or " : "", kind_name[i].name);
        }
    }
    return out;
}

static void check_span(const struct sim *m, uint32_t n, const char *kind, int64_t from, int64_t to,
                       const struct sim_expect *e)
{
    int64_t tpf = sim_unit(m->hz);
    uint32_t bit = bit_of(kind);
    char text[128];
    if (bit == 0) {
        sim_fail(m, "leg %u: a span is called %s", n, kind);
    }
    for (int64_t i = (from + tpf - 1) / tpf; i < to / tpf && i < e->frames; i++) {
        if (!(e->kinds[i] & bit)) {
            sim_fail(m, "leg %u: frame %lld (%.3f s) is called %s, not %s", n, (long long)i,
                     (double)i / m->hz, kind, names_of(e->kinds[i], text));
        }
    }
}

/* Losses whose place is known exactly stand there, with the number of packets. */
static void check_gaps(const struct sim *m, uint32_t n, const struct sim_channel *c,
                       const struct sim_expect *e)
{
    static const struct sim_span none = {"nothing", NULL, -1, -1, -1};
    uint32_t at = 0;
    for (uint32_t g = 0; g < e->gap_count; g++) {
        const struct sim_gap *gap = &e->gap[g];
        while (at < c->span_count && c->span[at].from < gap->from) {
            at++;
        }
        const struct sim_span *s = at < c->span_count ? &c->span[at] : &none;
        if (gap->missing == UINT32_MAX) {
            continue;
        }
        bool is_kind = gap->concealed ? strcmp(s->kind, "concealed") == 0 && s->cause &&
                                            strcmp(s->cause, "lost-network") == 0
                                      : strcmp(s->kind, "lost-network") == 0;
        if (!is_kind || s->from != gap->from || s->len != gap->to - gap->from ||
            s->packets != (int64_t)gap->missing) {
            sim_fail(m,
                     "leg %u: %u packets are missing%s in %.3f+%.3f ms, the ledger says %lld, %s "
                     "in %.3f+%.3f",
                     n, gap->missing, gap->concealed ? " (and concealed)" : "",
                     (double)gap->from / 14112.0, (double)(gap->to - gap->from) / 14112.0,
                     (long long)s->packets, s->kind, (double)s->from / 14112.0,
                     (double)s->len / 14112.0);
        }
    }
}

void sim_check_spans(const struct sim *m, uint32_t n, const struct sim_channel *c,
                     const struct sim_expect *e)
{
    for (uint32_t i = 0; i < c->span_count; i++) {
        const struct sim_span *s = &c->span[i];
        check_span(m, n, s->kind, s->from, s->from + s->len, e);
    }
    check_gaps(m, n, c, e);
}

/* What the counters of a stream may say. */
struct counts {
    int64_t arrived, unique, open, first, last, reordered;
    int64_t placed, placed_open, suppressed, suppressed_open, late_open;
    bool doubtful;
};

static struct counts count_stream(const struct sim_leg *leg, uint32_t stream)
{
    struct counts c = {.first = INT64_MAX, .last = -1};
    for (uint32_t i = 0; i < leg->arrival_count; i++) {
        const struct sim_arrival *a = &leg->arrival[i];
        const struct sim_packet *p = a->packet >= 0 ? &leg->packet[a->packet] : NULL;
        if (!p || p->stream != stream) {
            continue;
        }
        c.arrived++;
        if (!a->copy) {
            c.reordered += (int64_t)p->number < c.last;
            c.last = (int64_t)p->number > c.last ? (int64_t)p->number : c.last;
        }
    }
    for (uint32_t i = 0; i < leg->packet_count; i++) {
        const struct sim_packet *p = &leg->packet[i];
        if (p->stream != stream || p->fate == SIM_UNSENT) {
            continue;
        }
        c.unique++;
        c.first = (int64_t)p->number < c.first ? (int64_t)p->number : c.first;
        c.doubtful |= p->doubtful;
        c.placed += p->fate == SIM_PLACED;
        c.placed_open += p->fate == SIM_EITHER;
        c.suppressed += p->fate == SIM_GONE && p->paused;
        c.suppressed_open += p->fate == SIM_EITHER;
        c.late_open += p->fate == SIM_EITHER || (p->fate == SIM_GONE && !p->paused);
    }
    return c;
}

static void check_count(const struct sim *m, uint32_t n, json_t *o, const char *key, int64_t lo,
                        int64_t hi)
{
    int64_t is = sim_number(o, key);
    if (is < lo || is > hi) {
        sim_fail(m, "leg %u stream %s: %s is %lld, not %lld to %lld", n,
                 json_string_value(json_object_get(o, "ssrc")), key, (long long)is, (long long)lo,
                 (long long)hi);
    }
}

static void check_stream(const struct sim *m, uint32_t n, json_t *o, const struct counts *c,
                         bool restarted)
{
    check_count(m, n, o, "placed", c->placed, c->placed + c->placed_open);
    check_count(m, n, o, "late", 0, c->late_open);
    if (c->doubtful) {
        check_count(m, n, o, "packets", c->placed, c->arrived);
        return;
    }
    check_count(m, n, o, "packets", c->arrived, c->arrived);
    check_count(m, n, o, "duplicate", c->arrived - c->unique, c->arrived - c->unique);
    check_count(m, n, o, "suppressed", c->suppressed, c->suppressed + c->suppressed_open);
    check_count(m, n, o, "rejected", 0, 0);
    check_count(m, n, o, "reordered", c->reordered, c->reordered);
    if (!restarted) {
        int64_t lost = c->last - c->first + 1 - c->unique;
        check_count(m, n, o, "lost", lost, lost);
    }
}

void sim_check_streams(const struct sim *m, uint32_t n, json_t *leg)
{
    const struct sim_leg *from = &m->leg[n];
    json_t *list = json_object_get(leg, "streams");
    size_t seen = 0;
    for (uint32_t k = 0; k < from->stream_count; k++) {
        struct counts c = count_stream(from, k);
        char ssrc[16];
        json_t *o = NULL;
        json_t *found = NULL;
        size_t i = 0;
        snprintf(ssrc, sizeof ssrc, "0x%08x", from->stream[k].ssrc);
        json_array_foreach(list, i, o)
        {
            if (strcmp(json_string_value(json_object_get(o, "ssrc")), ssrc) == 0) {
                found = o;
            }
        }
        seen += found != NULL;
        if (!found && c.placed > 0) {
            sim_fail(m, "leg %u: stream %s is not in the ledger", n, ssrc);
        }
        if (found) {
            check_stream(m, n, found, &c, from->stream[k].restarted);
        }
    }
    if (seen != json_array_size(list)) {
        sim_fail(m, "leg %u: the ledger has streams that nobody sent", n);
    }
}

/* What was received of a digit, at least and at most; -1: nothing. Returns its units of a ms. */
static int64_t heard_of(const struct sim *m, const struct sim_leg *leg, uint32_t digit, int64_t *lo,
                        int64_t *hi)
{
    int64_t hz = m->hz;
    *lo = *hi = -1;
    for (uint32_t i = 0; i < leg->packet_count; i++) {
        const struct sim_packet *p = &leg->packet[i];
        if (p->kind != SIM_EVENT || p->digit != digit) {
            continue;
        }
        hz = m->lossy ? sim_codec_hz(m, (enum sim_codec)p->codec) : hz;
        if (p->fate == SIM_PLACED && (int64_t)p->samples > *lo) {
            *lo = p->samples;
        }
        if ((p->fate == SIM_PLACED || p->fate == SIM_EITHER) && (int64_t)p->samples > *hi) {
            *hi = p->samples;
        }
    }
    return hz / 1000;
}

/* Is this entry of the ledger's digits of that leg? */
static bool is_of(json_t *ledger, json_t *digit, uint32_t n)
{
    char name[16];
    size_t i = (size_t)sim_number(digit, "leg");
    json_t *leg = json_array_get(json_object_get(ledger, "legs"), i);
    snprintf(name, sizeof name, "leg-%u", n);
    return leg && strcmp(json_string_value(json_object_get(leg, "id")), name) == 0;
}

/* Does the digit's time touch the span's? */
static bool touches(const struct sim_channel *c, json_t *digit, const struct sim_span *s)
{
    int64_t slack = c->most_ticks + SIM_TICKS_HZ / 1000; /* durations are whole milliseconds */
    int64_t from = sim_undo_place(c, sim_number(digit, "start_ticks"));
    int64_t to = from + sim_number(digit, "duration_ms") * (SIM_TICKS_HZ / 1000);
    return from - slack < s->from + s->len && to + slack > s->from;
}

/* What is an event in the spans is a digit in the list, and none is there without a span; but a
 * pause that took one of its packets outranks the others. */
static void check_event_spans(const struct sim *m, uint32_t n, json_t *ledger,
                              const struct sim_channel *c)
{
    json_t *items = json_object_get(json_object_get(ledger, "digits"), "items");
    size_t i = 0;
    json_t *o = NULL;
    bool *told = calloc(json_array_size(items) + 1, sizeof *told);
    for (uint32_t k = 0; told && k < c->span_count; k++) {
        const struct sim_span *s = &c->span[k];
        bool is_event = strcmp(s->kind, "event") == 0;
        bool is_digit = false;
        json_array_foreach(items, i, o)
        {
            bool is_here = is_of(ledger, o, n) && touches(c, o, s);
            is_digit |= is_here;
            told[i] |= is_here && (is_event || strcmp(s->kind, "paused") == 0);
        }
        if (is_event && !is_digit) {
            sim_fail(m, "leg %u: an event at %.3f s is no digit", n,
                     (double)s->from / SIM_TICKS_HZ);
        }
    }
    json_array_foreach(items, i, o)
    {
        if (told && !told[i] && is_of(ledger, o, n)) {
            sim_fail(m, "leg %u: a digit at %.3f s is no event", n,
                     (double)sim_number(o, "start_ticks") / SIM_TICKS_HZ);
        }
    }
    free(told);
}

void sim_check_digits(const struct sim *m, json_t *ledger, const struct sim_channel *c)
{
    json_t *items = json_object_get(json_object_get(ledger, "digits"), "items");
    size_t used = 0;
    for (uint32_t n = 0; n < m->legs; n++) {
        const struct sim_leg *leg = &m->leg[n];
        for (uint32_t k = 0; k < leg->digit_count; k++) {
            const struct sim_digit *d = &leg->digit[k];
            const struct sim_segment *g = &leg->segment[d->segment];
            int64_t lo = 0;
            int64_t hi = 0;
            size_t i = 0;
            json_t *o = NULL;
            bool found = false;
            int64_t per_ms = heard_of(m, leg, k, &lo, &hi);
            json_array_foreach(items, i, o)
            {
                int64_t ms = sim_number(o, "duration_ms");
                found |= is_of(ledger, o, n) &&
                         (!g->found || llabs(sim_undo_place(&c[n], sim_number(o, "start_ticks")) -
                                             d->pos_ticks - g->at_ticks) <= c[n].most_ticks) &&
                         ms * per_ms >= lo && ms * per_ms <= hi &&
                         json_string_value(json_object_get(o, "digit"))[0] ==
                             "0123456789*#ABCD"[d->event];
            }
            used += found;
            if (!found && lo >= 0) {
                sim_fail(m, "leg %u: digit %u at %.3f s is missing or another", n, k,
                         (double)(d->pos_ticks + g->at_ticks) / SIM_TICKS_HZ);
            }
        }
        check_event_spans(m, n, ledger, &c[n]);
    }
    if (json_array_size(items) > used) {
        sim_fail(m, "%zu digits in the ledger, %zu were dialled", json_array_size(items), used);
    }
}
