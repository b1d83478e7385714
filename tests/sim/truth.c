/*
 * truth: what has to become of each packet, from the sender's side. Where the recorder may choose
 * (which of the first packets sets the clock, how a new SSRC earns belief) the truth is a range,
 * and every packet that falls into one is marked as open. Knows nothing of the engine but
 * docs/architecture.md: "Time", "Ports and packets", "Pause". Writes *m only.
 */
#include <stdlib.h>

#include "tests/sim/sim.h"

#define MS_TICKS (SIM_TICKS_HZ / 1000)
/* Three quarters of the window, and how exactly the truth knows that. */
#define REFINE_NS (SIM_WINDOW_NS * 3 / 4)
#define ABOUT_NS (10 * SIM_MS)
#define QUIET_NS (100 * SIM_MS)
#define BELIEF_NS (700 * SIM_MS)
/* RTP time that parts from arrival by more has leapt, and jitter is part of that. */
#define LEAP_TICKS (5 * SIM_TICKS_HZ / 2)

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Of the path: media ahead of time is not early. */
static int64_t path_ticks(const struct sim_packet *p)
{
    return sim_ticks_of_ns(p->arrival_ns) - p->pos_ticks + p->lead_ticks;
}

static int64_t first_arrival(const struct sim_leg *leg, const struct sim_segment *g)
{
    int64_t first = SIM_NEVER;
    for (uint32_t i = g->first; i < g->first + g->count; i++) {
        first = min64(first, leg->packet[i].arrival_ns);
    }
    return first;
}

/* Until when its first packets may move it. A new sequence is held until it is believed: only the
 * packet that brought that set its clock. */
static int64_t refined_ns(const struct sim_leg *leg, const struct sim_segment *g, int64_t first)
{
    int64_t began = SIM_NEVER;
    for (uint32_t i = g->first; i < g->first + g->count; i++) {
        const struct sim_packet *p = &leg->packet[i];
        if (p->arrival_ns == first && !p->hint) {
            return first + REFINE_NS + ABOUT_NS;
        }
        began = p->hint ? began : min64(began, p->arrival_ns);
    }
    return began == SIM_NEVER ? SIM_NEVER - 1 : began + REFINE_NS + ABOUT_NS;
}

/* Place of the one that came first. */
static int64_t first_pos(const struct sim_leg *leg, const struct sim_segment *g)
{
    int64_t first = first_arrival(leg, g);
    uint32_t i = g->first;
    while (leg->packet[i].arrival_ns != first) {
        i++;
    }
    return leg->packet[i].pos_ticks;
}

/* Least and most delay of those that came from `from` to `to`. */
static struct sim_interval delays(const struct sim_leg *leg, const struct sim_segment *g,
                                  int64_t from, int64_t to, bool doubtful_too)
{
    struct sim_interval d = {INT64_MAX, INT64_MIN};
    for (uint32_t i = g->first; i < g->first + g->count; i++) {
        const struct sim_packet *p = &leg->packet[i];
        if (p->arrival_ns >= from && p->arrival_ns <= to && p->arrival_ns != SIM_NEVER &&
            (doubtful_too || !p->doubtful)) {
            d.from = min64(d.from, path_ticks(p));
            d.to = max64(d.to, path_ticks(p));
        }
    }
    return d;
}

/* By how much media ran ahead of time until then: by timestamps that leapt, or sent faster.
 * Believed all the same, so that what comes after it may pull what was before it. */
static int64_t leads(const struct sim_leg *leg, const struct sim_segment *g, int64_t to)
{
    int64_t most = 0;
    for (uint32_t i = g->first; i < g->first + g->count; i++) {
        const struct sim_packet *p = &leg->packet[i];
        most = p->arrival_ns <= to ? max64(most, p->lead_ticks) : most;
    }
    return max64(0, most - leg->packet[g->first].lead_ticks);
}

/* The first that is heard: the least delayed packet of three quarters of a window. */
static void anchor_heard_first(const struct sim_leg *leg, struct sim_segment *g, int64_t first,
                               int64_t next)
{
    int64_t lead = leg->packet[g->first].lead_ticks;
    int64_t until = max64(first, min64(first + REFINE_NS - ABOUT_NS, next - 1));
    int64_t refined = refined_ns(leg, g, first);
    struct sim_interval wide = delays(leg, g, first, refined, true);
    struct sim_interval sure = delays(leg, g, first, until, false);
    int64_t ahead = leads(leg, g, refined);
    g->lo_ticks = max64(wide.from - lead - ahead, -first_pos(leg, g)); /* not before the session */
    g->hi_ticks = (sure.from == INT64_MAX || ahead > 0 ? wide.to : sure.from) - lead;
}

/* The last packet of the same stream that was heard before that segment, and whether nothing was of
 * one in between. */
static const struct sim_packet *heard_last(const struct sim_leg *leg, const struct sim_segment *g,
                                           int64_t first, bool *skips)
{
    const struct sim_packet *last = NULL;
    for (uint32_t i = 0; i < g->first; i++) {
        const struct sim_packet *p = &leg->packet[i];
        bool of_it = p->stream == g->stream && p->kind == SIM_AUDIO && p->arrival_ns < first;
        last = of_it ? p : last;
    }
    *skips = last && leg->segment + last->segment + 1 < g;
    return last;
}

/*
 * Clocks of another rate, or that leapt, between two of one rate and unheard: to the recorder the
 * timestamps went on, faster or slower than time. Within the bound of a leap RTP time wins. By how
 * much it lies off then.
 */
static int64_t went_on_unheard(const struct sim *m, const struct sim_leg *leg,
                               const struct sim_segment *g, int64_t first)
{
    bool skips = false;
    const struct sim_packet *b = heard_last(leg, g, first, &skips);
    const struct sim_packet *p = &leg->packet[g->first];
    if (!skips ||
        sim_codec_hz(m, (enum sim_codec)b->codec) != sim_codec_hz(m, (enum sim_codec)p->codec)) {
        return 0;
    }
    int64_t unit = sim_unit(sim_codec_hz(m, (enum sim_codec)p->codec));
    int64_t off = (int32_t)(p->ts - b->ts) * unit - (p->pos_ticks - b->pos_ticks);
    return llabs(off) < LEAP_TICKS ? off : 0;
}

/* One that follows keeps the distance between RTP time and arrival of what came before it, as far
 * as jitter and standing clocks of the whole leg so far let it. */
static void anchor_follower(const struct sim *m, const struct sim_leg *leg, struct sim_segment *g,
                            int64_t first)
{
    struct sim_interval unheard = {0, 0};
    int64_t refined = refined_ns(leg, g, first);
    struct sim_interval is = delays(leg, g, first, refined, true);
    struct sim_interval was = {INT64_MAX, INT64_MIN};
    int64_t turns = g - leg->segment; /* each takes it up anew */
    /* a lead won in what never came is not known to the recorder */
    int64_t ahead = max64(0, leg->packet[g->first].lead_ticks - leg->packet[0].lead_ticks);
    for (const struct sim_segment *b = leg->segment; b < g; b++) {
        struct sim_interval d = delays(leg, b, 0, first + 3 * SIM_NS, true);
        was.from = min64(was.from, d.from);
        was.to = max64(was.to, d.to);
        ahead = max64(ahead, leads(leg, b, SIM_NEVER - 1));
    }
    for (const struct sim_segment *b = leg->segment + 1; b <= g; b++) {
        int64_t came = first_arrival(leg, b);
        int64_t off = came == SIM_NEVER ? 0 : went_on_unheard(m, leg, b, came);
        unheard.from += min64(off, 0);
        unheard.to += max64(off, 0);
    }
    ahead += leads(leg, g, refined); /* what was before it may be pulled, and it from there */
    g->lo_ticks = is.from - (was.to - was.from) * turns - ahead + unheard.from;
    g->hi_ticks = is.to + (was.to - was.from) * turns + unheard.to;
}

/* What came before a jump, and was overtaken by what came after it, when nothing of its stream had
 * been heard: it lies by the numbers between them. */
static void anchor_overtaken(const struct sim *m, const struct sim_leg *leg, struct sim_segment *g,
                             int64_t first, bool heard)
{
    for (const struct sim_segment *b = leg->segment; b < g; b++) {
        if (b->stream == g->stream && first_arrival(leg, b) != SIM_NEVER) {
            return;
        }
    }
    for (struct sim_segment *b = g + 1; b < leg->segment + leg->segment_count; b++) {
        int64_t came = first_arrival(leg, b);
        if (b->stream != g->stream || came >= first) {
            continue;
        }
        if (heard) {
            anchor_follower(m, leg, b, came);
        } else {
            anchor_heard_first(leg, b, came, SIM_NEVER);
        }
        g->lo_ticks = min64(g->lo_ticks, b->lo_ticks);
        g->hi_ticks = max64(g->hi_ticks, b->hi_ticks);
    }
}

/* Does another sequence begin between two packets of a stream? */
static bool restarts_between(const struct sim_packet *a, const struct sim_packet *b)
{
    const struct sim_packet *to = a < b ? b : a;
    for (const struct sim_packet *p = (a < b ? a : b) + 1; p <= to; p++) {
        if (p->restarts) {
            return true;
        }
    }
    return false;
}

/* A new SSRC that nobody signalled: from when on it must be believed. */
static int64_t believed_from(const struct sim *m, const struct sim_leg *leg, uint32_t stream,
                             int64_t *first)
{
    int64_t other_ns = -SIM_NS;
    int64_t run = 0;
    const struct sim_packet *last = NULL;
    *first = SIM_NEVER;
    for (uint32_t i = 0; i < leg->arrival_count; i++) {
        const struct sim_arrival *a = &leg->arrival[i];
        const struct sim_packet *p = a->packet >= 0 ? &leg->packet[a->packet] : NULL;
        if (!p) {
            continue;
        }
        if (p->stream != stream) {
            other_ns = a->ns;
            continue;
        }
        if (a->copy) {
            continue;
        }
        *first = min64(*first, a->ns);
        run = !last || p->number == last->number + 1 ? run + 1 : min64(run, 0);
        /* of another sequence the first one waits for a second one in a row */
        run = last && restarts_between(last, p) ? -1 : run;
        last = p;
        int64_t quiet = a->ns - other_ns;
        for (uint32_t k = 0; k < m->restart_count; k++) {
            if (m->restart_ns[k] <= a->ns) {
                quiet = min64(quiet, a->ns - m->restart_ns[k]);
            }
        }
        /* the silence of a hold is no word of the other stream's end either */
        for (uint32_t k = 0; k < leg->hold_count; k++) {
            if (leg->hold[k].to <= a->ns) {
                quiet = min64(quiet, a->ns - leg->hold[k].to);
            }
        }
        if (run >= 3 && quiet >= QUIET_NS + ABOUT_NS) {
            return a->ns;
        }
    }
    return SIM_NEVER;
}

static void leave_open(struct sim_packet *p)
{
    p->fate = p->fate == SIM_PLACED ? SIM_EITHER : p->fate;
}

static void doubt(struct sim_packet *p)
{
    leave_open(p);
    p->doubtful = true;
}

static void judge_streams(const struct sim *m, struct sim_leg *leg)
{
    leg->stream[0].believed_ns = 0;
    for (uint32_t k = 1; k < leg->stream_count; k++) {
        int64_t first = 0;
        int64_t sure = believed_from(m, leg, k, &first);
        bool told = leg->signalled && k < 4;
        int64_t newest[SIM_STREAMS] = {0};
        leg->stream[k].believed_ns = told ? 0 : sure;
        for (uint32_t i = 0; i < leg->arrival_count; i++) {
            const struct sim_arrival *a = &leg->arrival[i];
            struct sim_packet *p = a->packet >= 0 ? &leg->packet[a->packet] : NULL;
            if (!p || a->copy) {
                continue;
            }
            if (p->stream == k && !told && a->ns < sure &&
                (sure == SIM_NEVER || a->ns < sure - BELIEF_NS)) {
                doubt(p);
            }
            /* what the old one says after the new one has begun, not having said it before */
            if (p->stream < k && a->ns >= first && (int64_t)p->number >= newest[p->stream]) {
                doubt(p);
            }
            newest[p->stream] = max64(newest[p->stream], (int64_t)p->number + 1);
        }
    }
}

static struct sim_packet *arrived(struct sim_leg *leg, uint32_t i, uint32_t stream)
{
    int32_t packet = leg->arrival[i].packet;
    return packet >= 0 && leg->packet[packet].stream == stream ? &leg->packet[packet] : NULL;
}

/* A sequence that begins anew counts from the first two numbers in a row after all of the old one
 * has come. */
static void judge_restart(struct sim_leg *leg, const struct sim_packet *restart)
{
    int64_t last = -2;
    uint32_t last_old = 0;
    bool begun = false;
    for (uint32_t i = 0; i < leg->arrival_count; i++) {
        const struct sim_packet *p = arrived(leg, i, restart->stream);
        last_old = p && p->number < restart->number ? i : last_old;
    }
    for (uint32_t i = 0; i < leg->arrival_count; i++) {
        struct sim_packet *p = arrived(leg, i, restart->stream);
        if (!p) {
            continue;
        }
        begun |= p->number >= restart->number;
        bool in_row = (int64_t)p->number == last + 1 && !p->restarts;
        if (begun && i > last_old && in_row && last >= (int64_t)restart->number) {
            return;
        }
        if (begun) {
            doubt(p);
            p->hint = true;
        }
        last = (int64_t)p->number;
    }
}

/* What numbers and addresses alone tell. */
static void judge_first(struct sim *m, struct sim_leg *leg)
{
    for (uint32_t i = 0; i < leg->packet_count; i++) {
        leg->packet[i].fate = leg->packet[i].arrival_ns == SIM_NEVER ? SIM_UNSENT : SIM_PLACED;
    }
    judge_streams(m, leg);
    for (uint32_t i = 0; i < leg->packet_count; i++) {
        if (leg->packet[i].restarts) {
            judge_restart(leg, &leg->packet[i]);
        }
    }
}

void sim_truth_anchors(struct sim *m)
{
    for (uint32_t n = 0; n < m->legs; n++) {
        struct sim_leg *leg = &m->leg[n];
        bool heard = false;
        judge_first(m, leg);
        for (uint32_t i = 0; i < leg->segment_count; i++) {
            struct sim_segment *g = &leg->segment[i];
            int64_t first = first_arrival(leg, g);
            int64_t next = SIM_NEVER;
            for (uint32_t k = i + 1; k < leg->segment_count; k++) {
                next = min64(next, first_arrival(leg, &leg->segment[k]));
            }
            if (first == SIM_NEVER) {
                continue;
            }
            if (heard) {
                anchor_follower(m, leg, g, first);
            } else {
                anchor_heard_first(leg, g, first, next);
            }
            anchor_overtaken(m, leg, g, first, heard);
            heard = true;
        }
    }
}

/* How far each leg has been heard: surely, at most, and as the recorder surely knew then. Ticks in
 * the file. */
struct heard {
    int64_t sure, most, known;
};

/* How far the recorder may have written but for the window, once and for all. */
static int64_t written_most(const struct sim *m, const struct heard *h, int64_t now_ns)
{
    int64_t least = INT64_MAX;
    for (uint32_t i = 0; i < m->legs; i++) {
        if (m->leg[i].join_ns <= now_ns) {
            least = min64(least, h[i].most);
        }
    }
    return least == INT64_MAX ? INT64_MIN : least;
}

struct sim_interval sim_places(const struct sim_leg *leg, const struct sim_packet *p)
{
    const struct sim_segment *g = &leg->segment[p->segment];
    int64_t lo = g->found ? g->at_ticks : g->lo_ticks;
    int64_t hi = g->found ? g->at_ticks : max64(g->lo_ticks, g->hi_ticks);
    return (struct sim_interval){p->pos_ticks + lo, p->pos_ticks + hi};
}

static int64_t length_of(const struct sim *m, const struct sim_packet *p)
{
    return (int64_t)p->samples * sim_unit(sim_codec_hz(m, (enum sim_codec)p->codec));
}

/* By how much later than in the end the packet may have lain when it came: its segment, which was
 * found, may still be moved. */
static int64_t moved_by(const struct sim *m, const struct sim_leg *leg, const struct sim_packet *p)
{
    const struct sim_segment *g = &leg->segment[p->segment];
    int64_t first = first_arrival(leg, g);
    int64_t lead = leg->packet[g->first].lead_ticks;
    int64_t refined = refined_ns(leg, g, first);
    if (p->arrival_ns >= refined) {
        return 0;
    }
    int64_t most = delays(leg, g, first, p->arrival_ns, true).to - lead;
    /* one that follows another keeps that one's distance, and moves by its own delays alone */
    int64_t least = delays(leg, g, first, refined, true).from - lead;
    /* and media that runs ahead pulls it back, too */
    int64_t ahead = leads(leg, g, refined);
    return max64(0, most - min64(least, g->at_ticks)) + ahead + sim_unit(m->hz);
}

/* By how much earlier than in the end it may have lain when it came: media that runs ahead of time
 * pulls its segment back, and only after three quarters of a window the recorder knows that it is
 * sent faster, and puts it back. */
static int64_t pulled_by(const struct sim_leg *leg, const struct sim_packet *p)
{
    const struct sim_segment *g = &leg->segment[p->segment];
    bool settled = p->arrival_ns >= first_arrival(leg, g) + REFINE_NS + ABOUT_NS;
    return settled ? 0 : min64(leads(leg, g, p->arrival_ns), sim_ticks_of_ns(SIM_WINDOW_NS));
}

static void hear(const struct sim *m, struct sim_leg *leg, struct sim_packet *p, struct heard *h)
{
    const struct sim_segment *g = &leg->segment[p->segment];
    if (!g->found) {
        int64_t lead = leg->packet[g->first].lead_ticks;
        /* until one comes that was delayed less */
        int64_t came = delays(leg, g, first_arrival(leg, g), p->arrival_ns, true).to - lead;
        h->most = max64(h->most, p->pos_ticks + max64(g->hi_ticks, came) + length_of(m, p));
        return;
    }
    int64_t end = p->pos_ticks + g->at_ticks + length_of(m, p);
    h->most = max64(h->most, end + moved_by(m, leg, p));
    if (!p->doubtful && p->arrival_ns >= leg->stream[p->stream].believed_ns) {
        h->sure = max64(h->sure, end);
        h->known = max64(h->known, end - pulled_by(leg, p));
    }
}

/* Its place, or the first part of it, may be in the file already: a window behind the wall, or
 * behind media that all legs sent faster than that. A packet that is held until its stream is
 * believed may be late by then. */
static void judge_late(const struct sim_leg *leg, struct sim_packet *p, int64_t written)
{
    int64_t believed_ns = leg->stream[p->stream].believed_ns;
    int64_t seen_ns = p->doubtful ? max64(p->arrival_ns, believed_ns) : p->arrival_ns;
    int64_t now = seen_ns == SIM_NEVER ? INT64_MAX : max64(sim_ticks_of_ns(seen_ns), written);
    if (sim_places(leg, p).from <= now - sim_ticks_of_ns(SIM_WINDOW_NS)) {
        leave_open(p);
        p->late = true;
    }
}

static void pause_begins(struct sim *m, uint32_t number, const struct heard *h, int64_t now)
{
    for (uint32_t n = 0; n < m->legs; n++) {
        struct sim_leg *leg = &m->leg[n];
        int64_t from = max64(now, sim_ticks_of_ns(leg->join_ns));
        int64_t lo = h[n].known == INT64_MIN ? min64(from, h[n].most) : h[n].known;
        int64_t hi = h[n].most == INT64_MIN ? from : max64(h[n].most, lo);
        lo = h[n].most == INT64_MIN ? from : lo;
        leg->pause[number] = (struct sim_interval){hi, SIM_NEVER};
        leg->pause_wide[number] = (struct sim_interval){lo, SIM_NEVER};
    }
}

/* One end for all: now, or what the leg that leads (by a window at most) has said. */
static void pause_ends(struct sim *m, uint32_t number, const struct heard *h, int64_t now)
{
    int64_t most = now + sim_ticks_of_ns(SIM_WINDOW_NS);
    int64_t lo = now;
    int64_t hi = now;
    for (uint32_t n = 0; n < m->legs; n++) {
        if (m->leg[n].join_ns < m->pause[number].to) {
            lo = max64(lo, min64(h[n].known, most));
            hi = max64(hi, min64(h[n].most, most));
        }
    }
    for (uint32_t n = 0; n < m->legs; n++) {
        m->leg[n].pause[number].to = max64(lo, h[n].sure);
        m->leg[n].pause_wide[number].to = max64(hi, h[n].most);
    }
    m->pause_end[number] = (struct sim_interval){lo, hi};
}

static void judge_pause(const struct sim *m, struct sim_leg *leg, struct sim_packet *p)
{
    const struct sim_segment *g = &leg->segment[p->segment];
    struct sim_interval from = sim_places(leg, p);
    int64_t len = max64(length_of(m, p), 1);
    /* the bounds are times of the file, places are times of the leg */
    int64_t slack = m->corrected_ticks ? m->corrected_ticks + sim_unit(m->hz) : 0;
    bool moving = p->arrival_ns < refined_ns(leg, g, first_arrival(leg, g));
    int64_t moved = g->found ? moved_by(m, leg, p) : 0;
    for (uint32_t i = 0; i < m->pause_count; i++) {
        const struct sim_interval *t = &m->pause[i];
        const struct sim_interval *sure = &leg->pause[i];
        const struct sim_interval *wide = &leg->pause_wide[i];
        if (m->leg[0].join_ns >= t->to) {
            continue;
        }
        bool arrived = p->arrival_ns >= t->from && p->arrival_ns < t->to;
        bool just_after = p->arrival_ns >= t->to && p->arrival_ns < t->to + SIM_MS;
        bool never_met = leg->join_ns >= t->to || p->arrival_ns < t->from;
        bool inside =
            !never_met && from.to < sure->to - slack && from.from + len > sure->from + slack;
        bool may_be = !never_met && from.from < wide->to + slack &&
                      from.to + moved + len > wide->from - slack;
        if (arrived || (inside && !moving)) {
            p->fate = p->doubtful ? SIM_EITHER : SIM_GONE;
            p->paused = true;
        } else if (just_after || inside || may_be) {
            leave_open(p);
            p->paused = true;
        }
    }
}

/* All arrivals and commands in order of time. */
static void walk(struct sim *m)
{
    struct heard h[SIM_LEGS];
    uint32_t at[SIM_LEGS] = {0};
    uint32_t command = 0;
    int64_t written = INT64_MIN;
    for (uint32_t n = 0; n < SIM_LEGS; n++) {
        h[n] = (struct heard){INT64_MIN, INT64_MIN, INT64_MIN};
    }
    for (;;) {
        int32_t best = -1;
        for (uint32_t n = 0; n < m->legs; n++) {
            const struct sim_leg *leg = &m->leg[n];
            if (at[n] < leg->arrival_count &&
                (best < 0 || leg->arrival[at[n]].ns < m->leg[best].arrival[at[best]].ns)) {
                best = (int32_t)n;
            }
        }
        int64_t ns = best < 0 ? SIM_NEVER : m->leg[best].arrival[at[best]].ns;
        for (; command < m->command_count && m->command[command].ns <= ns; command++) {
            const struct sim_command *c = &m->command[command];
            if (c->kind == SIM_CMD_PAUSE) {
                pause_begins(m, c->number, h, sim_ticks_of_ns(c->ns));
            } else if (c->kind == SIM_CMD_RESUME) {
                pause_ends(m, c->number, h, sim_ticks_of_ns(c->ns));
            }
        }
        if (best < 0) {
            return;
        }
        struct sim_leg *leg = &m->leg[best];
        const struct sim_arrival *a = &leg->arrival[at[best]++];
        struct sim_packet *p = a->packet >= 0 ? &leg->packet[a->packet] : NULL;
        if (p && !a->copy) {
            written = max64(written, written_most(m, h, a->ns));
            judge_late(leg, p, written);
            hear(m, leg, p, &h[best]);
        }
    }
}

void sim_truth_fates(struct sim *m)
{
    walk(m);
    for (uint32_t n = 0; n < m->legs; n++) {
        struct sim_leg *leg = &m->leg[n];
        for (uint32_t i = 0; i < leg->packet_count; i++) {
            if (leg->packet[i].fate != SIM_UNSENT) {
                judge_pause(m, leg, &leg->packet[i]);
            }
        }
    }
}
