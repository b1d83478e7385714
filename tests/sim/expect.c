/*
 * expect: frames and their kinds from packets whose places and fates are known.
 */
#include "tests/sim/expect.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/bank.h"
#include "tests/sim/undo.h"

#define IS_GAP 0x8000
#define ANY_GAP (SIM_IS_COMFORT | SIM_IS_LOST | SIM_IS_ABSENT | SIM_IS_CLOCK | SIM_IS_PAUSED)
#define LEAD_TICKS (SIM_TICKS_HZ / 4) /* media ahead of its time by more takes the hold with it */
#define DOWN_TICKS (SIM_TICKS_HZ / 4) /* about the engine's absence gaps may be of it, too */
/* A loss is concealed up to that long, and surely where decoders that begin anew (they hear the
 * last quarter of a second again) know of it. */
#define CONCEAL_TICKS SIM_TICKS_HZ
#define ANEW_TICKS (SIM_TICKS_HZ / 5)

int64_t sim_place(const struct sim_leg *leg, const struct sim_packet *p)
{
    return sim_places(leg, p).from;
}

int64_t sim_place_end(const struct sim *m, const struct sim_leg *leg, const struct sim_packet *p)
{
    int64_t unit = sim_unit(sim_codec_hz(m, (enum sim_codec)p->codec));
    return sim_place(leg, p) + (int64_t)p->samples * unit;
}

struct maker {
    const struct sim *m;
    const struct sim_leg *leg;
    struct sim_expect *e;
    int64_t tpf, longest;
};

static void set_kinds(struct maker *k, int64_t from, int64_t to, uint32_t kinds)
{
    int64_t a = (from + k->tpf - 1) / k->tpf;
    int64_t b = (to + k->tpf - 1) / k->tpf;
    a = a < 0 ? 0 : a;
    b = b < k->e->frames ? b : k->e->frames;
    for (int64_t i = a; i < b; i++) {
        k->e->kinds[i] = (uint16_t)kinds;
    }
}

static void add_kinds(struct maker *k, int64_t from, int64_t to, uint32_t kinds, uint32_t only)
{
    int64_t a = from / k->tpf;
    int64_t b = (to + k->tpf - 1) / k->tpf;
    a = a < 0 ? 0 : a;
    b = b < k->e->frames ? b : k->e->frames;
    for (int64_t i = a; i < b; i++) {
        if (k->e->kinds[i] & only) {
            k->e->kinds[i] |= (uint16_t)kinds;
        }
    }
}

/* What the bank says is compared by likeness (sound.c). */
static void put_bank(struct maker *k, const struct sim_packet *p)
{
    struct sim_interval place = sim_places(k->leg, p);
    int64_t from = place.from;
    int64_t to = place.to + sim_place_end(k->m, k->leg, p) - from;
    to += from < place.to ? k->tpf : 0;
    for (int64_t i = from < 0 ? 0 : from / k->tpf; i < to / k->tpf && i < k->e->frames; i++) {
        k->e->sample[i] = SIM_ANY_SAMPLE;
    }
}

void sim_expect_hear(const struct sim_channel *c, struct sim_expect *e)
{
    for (uint32_t i = 0; i < c->span_count; i++) {
        const struct sim_span *s = &c->span[i];
        bool any = strcmp(s->kind, "concealed") == 0;
        for (int64_t k = s->from / c->tpf; any && k * c->tpf < s->from + s->len; k++) {
            if (k < e->frames) {
                e->sample[k] = SIM_ANY_SAMPLE;
            }
        }
    }
}

static void put_samples(struct maker *k, const struct sim_packet *p)
{
    int64_t first = sim_place(k->leg, p) / k->tpf;
    for (uint32_t i = p->cut; i < p->samples; i++) {
        int64_t at = first + i;
        int32_t v =
            sim_content_in_file(k->m, k->leg->key, p->content + i, (enum sim_codec)p->codec);
        if (at < 0 || at >= k->e->frames) {
            continue;
        }
        bool free = k->e->sample[at] == sim_silence_in_file(k->m);
        k->e->sample[at] = free || k->e->sample[at] == v ? v : SIM_ANY_SAMPLE;
    }
}

static void note_gap(struct maker *k, int64_t from, int64_t to, uint32_t missing, bool concealed)
{
    struct sim_expect *e = k->e;
    struct sim_gap *last = e->gap_count > 0 ? &e->gap[e->gap_count - 1] : NULL;
    bool open = last && (missing == UINT32_MAX || last->missing == UINT32_MAX);
    if (last && last->to == from && (open || last->concealed == concealed)) {
        /* one span: what is between them has no length */
        last->to = to;
        last->missing = missing == UINT32_MAX || last->missing == UINT32_MAX
                            ? UINT32_MAX
                            : last->missing + missing;
        return;
    }
    if (e->gap_count == e->gap_size) {
        e->gap_size = e->gap_size ? e->gap_size * 2 : 64;
        e->gap = realloc(e->gap, e->gap_size * sizeof *e->gap);
        if (!e->gap) {
            abort();
        }
    }
    e->gap[e->gap_count++] = (struct sim_gap){from, to, missing, concealed};
}

/* Comfort noise came before any sound that told of a new clock: by what it counts is not known
 * until the first one. */
static bool is_of_clock_to_come(const struct sim_leg *leg, const struct sim_packet *a,
                                const struct sim_packet *b)
{
    const struct sim_segment *g = &leg->segment[b->segment];
    bool told = a->kind != SIM_NOISE || g->made != SIM_NEW_CODEC;
    for (uint32_t i = g->first; i < g->first + g->count && !told; i++) {
        const struct sim_packet *p = &leg->packet[i];
        told = p->kind == SIM_AUDIO && p->arrival_ns < b->arrival_ns;
    }
    return !told;
}

/* What lies between two packets, as far as numbers tell; *missing: how many, UINT32_MAX: open. */
static uint32_t between(const struct sim_leg *leg, const struct sim_packet *a,
                        const struct sim_packet *b, bool restarted, bool doubtful,
                        uint32_t *missing)
{
    *missing = UINT32_MAX;
    if (doubtful) {
        return ANY_GAP;
    }
    if (!a || a->stream != b->stream) {
        return SIM_IS_ABSENT;
    }
    if (a->segment != b->segment || is_of_clock_to_come(leg, a, b)) {
        return SIM_IS_CLOCK | SIM_IS_LOST | SIM_IS_COMFORT;
    }
    if (restarted) {
        return SIM_IS_LOST | SIM_IS_COMFORT;
    }
    if (b->number <= a->number + 1) {
        return SIM_IS_COMFORT;
    }
    *missing = b->number - a->number - 1;
    return SIM_IS_LOST;
}

struct placed {
    const struct sim_packet *p;
    int64_t from, to;
    int64_t latest; /* end, where the place is open */
};

/* How much of a loss after the packet a the codec's concealment fills: whole packets of a's length,
 * up to a second, the last one up to b; *packets: how many of those that are missing. Nothing where
 * there is room for one more than are missing: a talk pause is in it, nobody knows where. */
static int64_t concealable(const struct maker *k, const struct sim_packet *a, int64_t gap,
                           uint32_t missing, uint32_t *packets)
{
    int64_t unit = sim_place_end(k->m, k->leg, a) - sim_place(k->leg, a);
    int64_t half = sim_unit(sim_line((enum sim_codec)a->codec)->sample_hz) / 2;
    int64_t filled = 0;
    *packets = 0;
    while (*packets < missing && gap < (missing + 1) * unit - half) {
        bool rest = gap - filled <= unit + half;
        int64_t now = rest ? gap - filled : unit;
        if (filled + now > CONCEAL_TICKS) {
            break;
        }
        filled += now;
        *packets = rest ? missing : *packets + 1;
    }
    return filled;
}

/* Does the end of the engine's absence cut it? */
static bool is_cut_by_restart(const struct maker *k, int64_t from, int64_t to)
{
    for (uint32_t i = 0; i < k->m->restart_count; i++) {
        int64_t end = sim_ticks_of_ns(k->m->restart_ns[i]) + DOWN_TICKS;
        if (from - ANEW_TICKS < end && end < to + ANEW_TICKS) {
            return true;
        }
    }
    return false;
}

/* Is it sure that the recorder still knew a when it wrote what follows, and b already? */
static bool knows_both(const struct maker *k, const struct sim_packet *a,
                       const struct sim_packet *b, int64_t from, int64_t to)
{
    const uint64_t ahead = 1ULL << SIM_HAS_FAST | 1ULL << SIM_HAS_JUMP;
    const uint64_t anew = 1ULL << SIM_HAS_KILL | 1ULL << SIM_HAS_DISK | 1ULL << SIM_HAS_HOLE |
                          1ULL << SIM_HAS_REORDER | 1ULL << SIM_HAS_JITTER;
    int64_t until = from + sim_ticks_of_ns(SIM_WINDOW_NS) - SIM_TICKS_HZ / 10;
    bool in_time = sim_ticks_of_ns(b->arrival_ns) < until;
    return a->kind == SIM_AUDIO && in_time && !(k->m->present & ahead) &&
           !is_cut_by_restart(k, from, to) && (to - from < ANEW_TICKS || !(k->m->present & anew));
}

/* A loss between two packets of a codec that conceals. */
static void conceal(struct maker *k, const struct sim_packet *a, const struct sim_packet *b,
                    int64_t from, int64_t to, uint32_t missing)
{
    uint32_t packets = 0;
    int64_t filled = concealable(k, a, to - from, missing, &packets);
    bool paused = a->fate == SIM_GONE || b->fate == SIM_GONE; /* that was not to be heard */
    if (a->kind != SIM_AUDIO || filled == 0 || paused) {
        note_gap(k, from, to, missing, false);
        return;
    }
    if (!knows_both(k, a, b, from, to)) { /* nor how many will be missing in the end */
        int64_t most = to - from < CONCEAL_TICKS ? to - from : CONCEAL_TICKS;
        set_kinds(k, from, from + most, SIM_IS_CONCEALED | SIM_IS_LOST | IS_GAP);
        note_gap(k, from, to, UINT32_MAX, true);
        return;
    }
    set_kinds(k, from, from + filled, SIM_IS_CONCEALED | IS_GAP);
    note_gap(k, from, from + filled, packets, true);
    if (from + filled < to) {
        note_gap(k, from + filled, to, missing - packets, false);
    }
}

static int by_place(const void *a, const void *b)
{
    const struct placed *x = a;
    const struct placed *y = b;
    if (x->from != y->from) {
        return x->from < y->from ? -1 : 1;
    }
    if (x->p->stream != y->p->stream) {
        return x->p->arrival_ns < y->p->arrival_ns ? -1 : 1;
    }
    return (x->p->number > y->p->number) - (x->p->number < y->p->number);
}

static uint32_t kind_of(const struct sim_packet *p)
{
    if (p->fate == SIM_GONE) {
        return SIM_IS_PAUSED;
    }
    return p->kind == SIM_EVENT ? SIM_IS_EVENT : SIM_IS_RECEIVED;
}

/* Does a sequence begin anew after a, up to b? */
static bool restart_between(const struct sim_packet *a, const struct sim_packet *b)
{
    if (!a || a->stream != b->stream) {
        return false;
    }
    while (a < b) {
        a++;
        if (a->restarts) {
            return true;
        }
    }
    return false;
}

/* Is it open whether, or where, it stands in the ledger? What a pause took of a stream or sequence
 * that was not believed then may never have been heard: nothing follows upon it. What came when its
 * place was written may stand as lost. */
static bool is_open(const struct sim_leg *leg, const struct sim_packet *p)
{
    bool taken = p->paused && !p->doubtful && !p->late;
    return p->fate == SIM_EITHER || (p->fate == SIM_GONE && !taken) ||
           !leg->segment[p->segment].found;
}

static void lay_out(struct maker *k, struct placed *list, uint32_t count)
{
    const struct sim_packet *before = NULL;
    int64_t at = 0;
    int64_t open_to = 0;
    bool doubtful = false;
    for (uint32_t i = 0; i < count; i++) {
        const struct sim_packet *p = list[i].p;
        if (is_open(k->leg, p)) {
            open_to = list[i].latest > open_to ? list[i].latest : open_to;
            doubtful = true; /* whether it is there is open: so are the gaps about it */
            continue;
        }
        if (list[i].from > at) {
            uint32_t missing = 0;
            uint32_t kinds =
                between(k->leg, before, p, restart_between(before, p), doubtful, &missing);
            if (list[i].from >= k->e->len_ticks) {
                kinds |= SIM_IS_ENDED; /* what has no length and stands at the end is not there */
                missing = UINT32_MAX;
            }
            missing = p->cut > 0 ? UINT32_MAX : missing; /* what came too late of p is of it */
            set_kinds(k, at, list[i].from, kinds | IS_GAP);
            bool conceals = k->m->lossy && before && missing != UINT32_MAX &&
                            sim_line((enum sim_codec)before->codec)->conceals;
            if (conceals && kinds == SIM_IS_LOST) {
                conceal(k, before, p, at, list[i].from, missing);
            } else if (kinds & SIM_IS_LOST) {
                bool maybe = k->m->lossy && missing == UINT32_MAX;
                add_kinds(k, at, list[i].from, maybe ? SIM_IS_CONCEALED : 0, IS_GAP);
                note_gap(k, at, list[i].from, missing, false);
            }
            at = list[i].from;
        }
        set_kinds(k, list[i].from > at ? list[i].from : at, list[i].to, kind_of(p));
        at = list[i].to > at ? list[i].to : at;
        if (!before || before->stream != p->stream || p->number > before->number) {
            before = p;
        }
        doubtful = open_to > at;
    }
    uint32_t rest = before ? SIM_IS_ENDED : SIM_IS_ABSENT;
    uint64_t behind = 1ULL << SIM_HAS_STILL | 1ULL << SIM_HAS_STALL | 1ULL << SIM_HAS_SKEW;
    bool fell = before && (k->m->present & behind);
    rest |= fell ? SIM_IS_CLOCK : 0; /* media that fell behind its time ends before its time */
    if (doubtful) {                  /* between packets of that rest losses may be concealed, too */
        rest = ANY_GAP | SIM_IS_ENDED | (k->m->lossy ? SIM_IS_CONCEALED : 0);
    }
    set_kinds(k, at, k->e->len_ticks, rest | IS_GAP);
}

/* Was the leg on hold then? */
static bool touches_hold(const struct maker *k, int64_t from, int64_t to)
{
    int64_t slack = k->longest + k->m->corrected_ticks + k->tpf;
    for (uint32_t i = 0; i < k->leg->hold_count; i++) {
        const struct sim_interval *h = &k->leg->hold[i];
        if (sim_ticks_of_ns(h->from) - slack < to && from < sim_ticks_of_ns(h->to) + slack) {
            return true;
        }
    }
    return false;
}

/* Open packets may be there: their kinds are possible, too, and what they may cover. */
static void lay_open(struct maker *k, const struct placed *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct sim_packet *p = list[i].p;
        const struct sim_segment *g = &k->leg->segment[p->segment];
        /* of a segment without a whole packet of audio (digits only) the place is open */
        uint32_t kinds = p->fate == SIM_EITHER || !g->found ? kind_of(p) : 0;
        kinds |= p->paused ? SIM_IS_PAUSED : 0;
        if (!g->found) { /* all of it in a pause, or never believed */
            uint32_t down = k->m->restart_count > 0 ? SIM_IS_DOWN : 0;
            add_kinds(k, list[i].from, list[i].latest, kinds | ANY_GAP | IS_GAP | down, 0xffff);
        } else if (is_open(k->leg, p)) {
            add_kinds(k, list[i].from, list[i].to, kinds, 0xffff);
        }
        if (p->cut > 0) {
            uint32_t hold = touches_hold(k, list[i].from, list[i].to) ? SIM_IS_HOLD : 0;
            add_kinds(k, list[i].from, list[i].to, ANY_GAP | SIM_IS_DOWN | hold, 0xffff);
        }
        /* one that a pause took may never have been heard, or its place was in the file already */
        if (p->fate == SIM_GONE && p->paused && (p->doubtful || p->late)) {
            add_kinds(k, list[i].from, list[i].to, ANY_GAP | SIM_IS_DOWN | IS_GAP, 0xffff);
        }
    }
}

/* Gaps about an interval may be of it. */
static void overlay_maybe(struct maker *k, int64_t from, int64_t to, int64_t margin, uint32_t kind)
{
    add_kinds(k, from - margin, to == SIM_NEVER ? k->e->len_ticks : to + margin, kind, IS_GAP);
    for (uint32_t i = 0; i < k->e->gap_count; i++) {
        struct sim_gap *g = &k->e->gap[i];
        bool more = g->concealed && i + 1 < k->e->gap_count && g[1].from == g->to;
        int64_t end = more ? g[1].to : g->to; /* the rest of the same loss */
        bool clear = end <= from - margin || (to != SIM_NEVER && g->from >= to + margin);
        g->missing = clear ? g->missing : UINT32_MAX;
        if (!clear && g->concealed) { /* not in such a time, and then not around it either */
            add_kinds(k, g->from, g->to, SIM_IS_LOST, SIM_IS_CONCEALED);
        }
    }
}

/* Gaps inside an interval are of it; whole packets reach over its bounds. */
static void overlay(struct maker *k, int64_t from, int64_t to, int64_t margin, uint32_t kind)
{
    int64_t slack = k->m->corrected_ticks;
    int64_t a = (from + slack + k->tpf - 1) / k->tpf;
    int64_t b = to == SIM_NEVER ? k->e->frames : (to - slack) / k->tpf;
    overlay_maybe(k, from, to, margin, kind);
    for (int64_t i = a < 0 ? 0 : a; i < b && i < k->e->frames; i++) {
        if (k->e->kinds[i] & IS_GAP) {
            k->e->kinds[i] = (uint16_t)(IS_GAP | kind);
        }
    }
}

/* How far ahead of that time the leg's media is, and where it would be on hold; not what the path
 * may gain. */
static struct sim_interval lead_at(const struct maker *k, int64_t ns)
{
    const struct sim_leg *leg = k->leg;
    struct sim_interval lead = {0, 0};
    int64_t slack = k->m->corrected_ticks;
    int64_t last_ns = -1;
    for (uint32_t i = 0; i < leg->packet_count; i++) {
        const struct sim_packet *p = &leg->packet[i];
        const struct sim_segment *g = &leg->segment[p->segment];
        if (p->fate == SIM_UNSENT || p->arrival_ns >= ns) {
            continue;
        }
        int64_t ahead = p->pos_ticks - sim_ticks_of_ns(p->arrival_ns);
        int64_t most = ahead + (g->found ? g->at_ticks : g->hi_ticks) + k->longest + slack;
        lead.to = most > lead.to ? most : lead.to;
        if (p->arrival_ns > last_ns && !p->doubtful) {
            last_ns = p->arrival_ns;
            lead.from = ahead + (g->found ? g->at_ticks : g->lo_ticks) - slack;
        }
    }
    lead.from = lead.from > LEAD_TICKS ? lead.from : 0;
    lead.to = lead.to > LEAD_TICKS ? lead.to : 0;
    return lead;
}

static void overlays(struct maker *k)
{
    const struct sim *m = k->m;
    int64_t dur = k->longest + m->corrected_ticks; /* commands are given in file time */
    for (uint32_t i = 0; i < m->restart_count; i++) {
        int64_t at = sim_ticks_of_ns(m->restart_ns[i]);
        add_kinds(k, at - DOWN_TICKS - dur, at + DOWN_TICKS + dur, SIM_IS_DOWN, IS_GAP);
        overlay(k, at, at, DOWN_TICKS + dur, SIM_IS_DOWN);
    }
    if (m->hole_from_ns < m->end_ns) {
        overlay(k, sim_ticks_of_ns(m->hole_from_ns), sim_ticks_of_ns(m->hole_to_ns),
                DOWN_TICKS + dur, SIM_IS_DOWN);
    }
    for (uint32_t i = 0; i < k->leg->hold_count; i++) {
        int64_t from = sim_ticks_of_ns(k->leg->hold[i].from);
        int64_t to = sim_ticks_of_ns(k->leg->hold[i].to);
        struct sim_interval lead = lead_at(k, k->leg->hold[i].from);
        overlay(k, from + lead.to, to + lead.from, dur + k->tpf + lead.to - lead.from, SIM_IS_HOLD);
    }
    for (uint32_t i = 0; i < m->pause_count; i++) {
        const struct sim_interval *sure = &k->leg->pause[i];
        const struct sim_interval *wide = &k->leg->pause_wide[i];
        if (k->leg->join_ns >= m->pause[i].to) {
            continue;
        }
        /* where it may reach, what is missing may be of it: not counted there */
        overlay_maybe(k, wide->from, wide->to, dur, SIM_IS_PAUSED);
        overlay(k, sure->from, sure->to, wide->from == sure->from ? dur + k->tpf : SIM_TICKS_HZ,
                SIM_IS_PAUSED);
    }
}

void sim_expect_make(const struct sim *m, uint32_t n, int64_t frames, int64_t len_ticks,
                     struct sim_expect *e)
{
    const struct sim_leg *leg = &m->leg[n];
    struct maker k = {.m = m, .leg = leg, .e = e, .tpf = sim_unit(m->hz)};
    struct placed *list = malloc((leg->packet_count + 1) * sizeof *list);
    uint32_t count = 0;
    *e = (struct sim_expect){.frames = frames, .len_ticks = len_ticks};
    e->sample = malloc((size_t)(frames + 1) * sizeof *e->sample);
    e->kinds = calloc((size_t)frames + 1, sizeof *e->kinds);
    if (!list || !e->sample || !e->kinds) {
        abort();
    }
    for (int64_t i = 0; i < frames; i++) {
        e->sample[i] = sim_silence_in_file(m);
    }
    for (uint32_t i = 0; i < leg->packet_count; i++) {
        const struct sim_packet *p = &leg->packet[i];
        if (p->fate == SIM_UNSENT) {
            continue;
        }
        struct sim_interval from = sim_places(leg, p);
        int64_t dur = sim_place_end(m, leg, p) - from.from;
        list[count++] = (struct placed){p, from.from, from.from + dur, from.to + dur};
        k.longest = dur > k.longest ? dur : k.longest;
        if (m->lossy && p->kind == SIM_AUDIO && (p->fate == SIM_PLACED || p->fate == SIM_EITHER)) {
            put_bank(&k, p);
        } else if (p->kind == SIM_AUDIO && p->fate == SIM_PLACED) {
            put_samples(&k, p);
        }
    }
    qsort(list, count, sizeof *list, by_place);
    lay_out(&k, list, count);
    overlays(&k);
    lay_open(&k, list, count);
    free(list);
}

void sim_expect_free(struct sim_expect *e)
{
    free(e->sample);
    free(e->kinds);
    free(e->gap);
}
