/*
 * anchor: anchors, segments and what is noted of them. Worker thread; allocates nothing.
 */
#include "engine/anchor.h"

#include <stdlib.h>

#include "engine/anchor_math.h"
#include "engine/clock_note.h"
#include "engine/held.h"
#include "engine/straggler.h"
#include "engine/writer.h"

#define NO_LINE INT64_MIN
/* Least delays are taken over that long. */
#define OFFSET_NS (2 * SLR_NS_PER_S)
/* A change of the least delay that is a step, and not the network's mood. */
#define STEP_TICKS (SLR_TICKS_HZ / 4)
/* Decoders may ask for what is in the file already, but not for more than that. */
#define PREROLL_TICKS (2 * SLR_TICKS_HZ)
/* So far before its time only a packet comes that is sent faster than real time. */
#define EARLY_TICKS SLR_TICKS_HZ
/* Fewer packets while an anchor is new tell nothing of the sender's speed. */
#define PACE_PACKETS 16u

static bool is_heard(const struct slr_leg *leg)
{
    return slr_place_highest(leg) != INT64_MIN;
}

/* Position minus arrival of packets that nothing delayed. */
static int64_t best_offset(const struct slr_leg *leg)
{
    return is_heard(leg) ? slr_most(slr_leg_run(leg)->offset_ticks, leg->offset_before_ticks) : 0;
}

int64_t slr_anchor_lead(const struct slr_leg *leg, int64_t now_ticks)
{
    int64_t lead =
        is_heard(leg) ? slr_most(best_offset(leg), slr_place_highest(leg) - now_ticks) : 0;
    lead += atomic_load_explicit(&leg->corr_ticks, memory_order_acquire);
    return lead > STEP_TICKS ? lead : 0;
}

static uint32_t note(struct slr_place *x, enum slr_clock_kind kind, enum slr_clock_winner winner,
                     int64_t at_ticks, int64_t rtp_ticks)
{
    struct slr_clock_note n = {.at_ticks = at_ticks,
                               .rtp_ticks = rtp_ticks,
                               .arrival_ticks = x->arrival_ticks,
                               .kind = (uint8_t)kind,
                               .winner = (uint8_t)winner};
    if (!slr_place_taken(x)) {
        return SLR_CLOCK_NOTES; /* one that may never be listened to */
    }
    slr_count(&x->p->counters->at[(uint32_t)SLR_CTR_CLOCK_TS_JUMP + (uint32_t)kind], 1);
    return slr_clock_note_put(&x->leg->clock_notes, &n);
}

static bool names(const struct slr_stream *st, uint32_t segment)
{
    return atomic_load_explicit(&st->state, memory_order_relaxed) != SLR_STREAM_FREE &&
           (st->anchor[0].segment == segment || st->anchor[1].segment == segment);
}

/* A segment that no stream goes by any more, and all of which is in the file. 0: there is none, so
 * what begins now stays where it is put. */
static uint32_t free_segment(const struct slr_place *x)
{
    const struct slr_leg *leg = x->leg;
    uint32_t n = atomic_load_explicit(&leg->stream_count, memory_order_relaxed);
    for (uint32_t i = 1; i < SLR_LEG_SEGMENTS; i++) {
        const struct slr_segment *seg = slr_leg_segment(leg, i);
        if (i >= leg->segments) {
            return i < SLR_LEG_SEGMENTS_NEAR || slr_space_touch(seg, sizeof *seg) ? i : 0;
        }
        bool used = seg->end_ticks != 0 && seg->end_ticks + PREROLL_TICKS >= x->written_ticks;
        for (uint32_t k = 0; k < n && !used; k++) {
            used = names(slr_leg_stream(leg, k), i);
        }
        if (!used) {
            return i;
        }
    }
    return 0;
}

/* What a new anchor is made of. */
struct begin {
    int64_t at_ticks;     /* where the packet is put */
    int64_t lowest_ticks; /* how far back it may be moved */
    int64_t line_ticks;   /* where RTP time has it, or NO_LINE */
    int64_t offset_ticks;
};

/* The writer waits while the anchor is new, so that what is moved back was not written before. */
static void hold_writer(const struct slr_place *x, int64_t lowest_ticks)
{
    int64_t until_ns = x->pkt->arrival.ns + slr_ns_from_ticks(x->p->window_ticks);
    int64_t at = x->arrival_ticks - x->p->window_ticks;
    at = lowest_ticks < at ? lowest_ticks : at;
    atomic_store_explicit(&x->leg->hold_ticks, at, memory_order_relaxed);
    atomic_store_explicit(&x->leg->hold_until_ns, until_ns, memory_order_release);
}

static void begin_anchor(struct slr_place *x, const struct begin *b, uint32_t clock_hz)
{
    struct slr_stream *st = x->st;
    uint32_t in_force = atomic_load_explicit(&st->anchor_index, memory_order_relaxed) & 1;
    int64_t at = slr_clock_up(slr_most(b->lowest_ticks, 0), clock_hz);
    uint32_t segment = free_segment(x);
    at = slr_most(slr_clock_down(b->at_ticks, clock_hz), at);
    x->leg->segments = (uint8_t)slr_most(x->leg->segments, segment + 1);
    atomic_store_explicit(&slr_leg_segment(x->leg, segment)->shift_ticks, 0, memory_order_relaxed);
    slr_leg_segment(x->leg, segment)->end_ticks = segment ? slr_most(at, 1) : 0;
    st->refine = (struct slr_refine){.since_ns = segment ? x->pkt->arrival.ns : 0,
                                     .offset_ticks = b->offset_ticks,
                                     .start_ticks = at,
                                     .lowest_ticks = b->lowest_ticks,
                                     .before_ticks = slr_place_highest(x->leg),
                                     .line_ticks = b->line_ticks,
                                     .note = SLR_CLOCK_NOTES,
                                     .chunk = SLR_NONE};
    st->anchor[!in_force] =
        (struct slr_anchor){.ts_ext = x->ts_ext,
                            .ticks = at,
                            /* all of a new sequence, its first ones too */
                            .seq_ext = x->rec.seq_ext - (x->restart ? 0x8000 : 0),
                            .before_ts_ext = st->ts_last_ext,
                            .clock_hz = clock_hz,
                            .unit_ticks = slr_clock_unit(clock_hz),
                            .segment = (uint8_t)segment};
    st->clock_hz = clock_hz;
    atomic_store_explicit(&st->anchor_index, !in_force, memory_order_release);
    if (!st->foreign_ip) {
        /* a sender that stood still is not waited for; what is moved to its line may be late */
        hold_writer(x, b->line_ticks == NO_LINE ? b->lowest_ticks : INT64_MAX);
    }
}

/* How far back a packet may come to lie: nothing that the writer may have written is moved into. */
static int64_t lowest(const struct slr_place *x, int64_t floor_ticks)
{
    int64_t window = x->p->window_ticks;
    int64_t safe = x->arrival_ticks - (x->st->foreign_ip ? window / 4 : window);
    int64_t lag = atomic_load_explicit(&slr_leg_run(x->leg)->lag_ticks, memory_order_relaxed);
    lag = is_heard(x->leg) ? slr_most(lag, 0) : 0; /* the file follows a slow clock */
    safe -= lag < SLR_WRITER_BEHIND_TICKS ? lag : SLR_WRITER_BEHIND_TICKS;
    return slr_most(slr_most(floor_ticks, safe), 0);
}

/*
 * The first packet of a stream is placed by arrival. A stream that follows another one on the leg
 * keeps that one's distance between RTP time and arrival, and never overlaps what it said; but
 * where that one was a stranger, the party owes it nothing.
 */
static void anchor_first(struct slr_place *x, uint32_t clock_hz)
{
    const struct slr_leg *leg = x->leg;
    bool stranger = leg->current != SLR_NONE && slr_leg_stream(leg, leg->current)->foreign_ip;
    bool follows = is_heard(leg) && (!stranger || x->st->foreign_ip);
    int64_t offset = follows ? best_offset(leg) : 0;
    int64_t floor = follows ? slr_place_highest(leg) : 0;
    struct begin b = {x->arrival_ticks + offset, lowest(x, floor), NO_LINE, offset};
    begin_anchor(x, &b, clock_hz);
    if (is_heard(leg)) {
        x->rec.flags |= SLR_REC_NEW_SEGMENT;
    }
}

int64_t slr_anchor_timestamp(const struct slr_stream *st, const struct slr_rec *rec)
{
    const struct slr_anchor *a = slr_place_anchor(st);
    const struct slr_anchor *before = slr_place_anchor_before(st);
    bool older = rec->segment != a->segment && before->clock_hz && rec->segment == before->segment;
    a = older ? before : a;
    int64_t ticks = rec->pos_ticks - a->ticks;
    if (a->unit_ticks) {
        return a->ts_ext + ticks / a->unit_ticks;
    }
    /* positions are rounded towards the anchor, so this is away from it */
    int64_t most = SLR_TICKS_HZ - 1;
    return a->ts_ext + (ticks * a->clock_hz + (ticks < 0 ? -most : most)) / SLR_TICKS_HZ;
}

/* How much media may go by in so much time: more where the sender is known to be ahead of it. */
static int64_t at_pace(const struct slr_place *x, int64_t passed)
{
    const struct slr_refine *r = &x->st->refine;
    int64_t began = r->start_ticks - r->offset_ticks; /* arrival of what the anchor was set by */
    int64_t took = x->arrival_ticks - passed - began;
    int64_t said = x->st->pos_last_ticks - r->start_ticks;
    if (!x->st->rate_noted || took <= 0 || said <= took) {
        return passed;
    }
    return (int64_t)((double)passed * ((double)said / (double)took));
}

/* So far ahead of arrival no more gaps are left than what was said may have. */
static bool leaps(const struct slr_place *x, int64_t pos)
{
    const struct slr_stream *st = x->st;
    int64_t gaps = pos - st->first_ticks - st->placed_ticks;
    return pos - x->arrival_ticks > SLR_LEAD_TICKS && pos > slr_place_highest(x->leg) &&
           gaps > SLR_LEAD_TICKS + SLR_LEAD_GAPS * st->placed_ticks;
}

/* Is what lies between it and the last packet in order known to be there by its number? It is lost,
 * or overtaken, as in media that is sent many times faster than real time. */
static bool is_numbered(const struct slr_place *x, int64_t ahead_ticks)
{
    int64_t packets = x->rec.seq_ext - x->in_order_after;
    return !x->held && !x->restart && ahead_ticks <= packets * x->rec.dur_ticks;
}

/* What speaks against RTP time, if anything does: SLR_CLOCK_KINDS. */
static enum slr_clock_kind doubt(const struct slr_place *x, uint32_t clock_hz, int64_t pos)
{
    const struct slr_stream *st = x->st;
    const struct slr_anchor *a = slr_place_anchor(st);
    int64_t passed = slr_ticks_from_ns(x->pkt->arrival.ns - st->pos_last_arrival_ns);
    int64_t last = st->pos_last_ticks + slr_place_shift(x->leg, a->segment);
    /* an event's packets tell its time up to now from where it began */
    int64_t told = pos + (x->rec.flags & SLR_REC_EVENT ? x->rec.dur_ticks : 0);
    int64_t parted = told - last - passed;
    if (a->clock_hz != clock_hz) {
        return SLR_CLOCK_RESTART;
    }
    if ((x->rec.flags & SLR_REC_EVENT) && x->ts_ext == st->ts_last_ext) {
        return SLR_CLOCK_KINDS; /* a key that is held: its time stands still on purpose */
    }
    if ((pos - last - at_pace(x, passed) >= SLR_JUMP_TICKS && !is_numbered(x, pos - last)) ||
        (parted <= -SLR_JUMP_TICKS && pos < last)) {
        return SLR_CLOCK_TS_JUMP;
    }
    /* what was said last would be said over by something else */
    bool over =
        pos + x->rec.dur_ticks < last && x->ts_ext < st->ts_last_ext && x->rec.dur_ticks > 0;
    if (over && (x->rec.flags & SLR_REC_EVENT) == 0) {
        return SLR_CLOCK_TS_JUMP;
    }
    if (parted <= -SLR_JUMP_TICKS) {
        return SLR_CLOCK_TS_STILL;
    }
    if (leaps(x, pos)) {
        return SLR_CLOCK_RATE;
    }
    /* sound that comes when its place is written, though its clock went on: the sender stood still
     * or the network did, and what follows will tell (refine) */
    bool sound = slr_rec_is_audio(x->rec.flags);
    bool late = sound && pos + x->rec.dur_ticks <= x->written_ticks && pos >= last;
    return late ? SLR_CLOCK_TS_STILL : SLR_CLOCK_KINDS;
}

/* Where what was said before this packet ends. Of a new sequence some was, too, before the packet
 * with which it was believed: by the same clock, or by the one in force before that jumped. */
static int64_t said_until(const struct slr_place *x, uint32_t clock_hz)
{
    const struct slr_anchor *a = slr_place_anchor(x->st);
    struct slr_packet pkt;
    struct slr_rtp rtp;
    uint32_t at = 0;
    int64_t most_ticks = 0;
    int64_t until = slr_place_highest(x->leg);
    while (x->restart && slr_held_next(x, &at, &pkt, &rtp)) {
        int64_t before = slr_ticks_from_rtp((int32_t)(x->rtp->ts - rtp.ts), clock_hz);
        int64_t came = x->arrival_ticks + slr_ticks_from_ns(pkt.arrival.ns - x->pkt->arrival.ns);
        int64_t pos = slr_anchor_position(a, slr_stream_timestamp(x->st, rtp.ts)) +
                      slr_place_shift(x->leg, a->segment);
        if (llabs(before) < SLR_JUMP_TICKS) {
            most_ticks = slr_most(most_ticks, before);
        } else if (llabs(pos - came) < SLR_JUMP_TICKS) {
            until = slr_most(until, pos + x->rec.dur_ticks);
        }
    }
    return until + most_ticks;
}

/* The clocks part: arrival sets a new anchor. */
static void anchor_again(struct slr_place *x, uint32_t clock_hz)
{
    const struct slr_anchor *a = slr_place_anchor(x->st);
    int64_t pos = slr_anchor_position(a, x->ts_ext) + slr_place_shift(x->leg, a->segment);
    enum slr_clock_kind kind = doubt(x, clock_hz, pos);
    if (kind == SLR_CLOCK_KINDS) {
        if (x->restart) {
            (void)note(x, SLR_CLOCK_RESTART, SLR_CLOCK_RTP, pos, pos);
        }
        return;
    }
    int64_t offset = best_offset(x->leg);
    offset = offset > SLR_LEAD_TICKS ? 0 : offset;
    bool still = kind == SLR_CLOCK_TS_STILL;
    int64_t highest = said_until(x, clock_hz);
    struct begin b = {x->arrival_ticks + offset, lowest(x, highest), still ? pos : NO_LINE, offset};
    if (still) {
        b.lowest_ticks = slr_most(highest, pos); /* also where it is written: those are late */
    }
    x->rec.flags |= SLR_REC_NEW_SEGMENT;
    slr_count(&x->p->counters->at[SLR_CTR_ANCHORS], 1);
    begin_anchor(x, &b, clock_hz);
    x->st->jitter.valid = false; /* a jump of the clock, or another one, is no jitter */
    kind = x->restart && !still ? SLR_CLOCK_RESTART : kind;
    x->st->refine.note = note(x, kind, SLR_CLOCK_ARRIVAL, x->st->refine.start_ticks, pos);
}

void slr_anchor_note_late(struct slr_leg *leg, int64_t start_ticks, int64_t end_ticks,
                          uint32_t packets)
{
    uint32_t n = leg->late_count;
    struct slr_ledger_late *late = slr_leg_rare(leg)->late;
    struct slr_ledger_late *last = n > 0 ? &late[n - 1] : NULL;
    if (last && start_ticks <= last->end_ticks && end_ticks >= last->start_ticks) {
        last->start_ticks = start_ticks < last->start_ticks ? start_ticks : last->start_ticks;
        last->end_ticks = slr_most(last->end_ticks, end_ticks);
        last->packets += packets;
    } else if (n < SLR_LEG_LATE && slr_space_touch(&late[n], sizeof late[n])) {
        late[n] = (struct slr_ledger_late){start_ticks, end_ticks, packets};
        leg->late_count = n + 1;
    }
}

/* What is moved to where the file is written already was received for nothing: the writer tells it
 * (missed.h), and it says nothing of how far the leg may be ahead. */
static void take_out_late(struct slr_place *x, int64_t shift_ticks)
{
    struct slr_refine *r = &x->st->refine;
    struct slr_queue_mark mark = {r->chunk, r->offset_bytes};
    int64_t len_ticks = slr_queue_late(x->p->state, x->leg_index, slr_place_anchor(x->st)->segment,
                                       shift_ticks, x->written_ticks, &mark);
    r->chunk = mark.chunk;
    r->offset_bytes = mark.offset_bytes;
    x->st->placed_ticks -= len_ticks;
}

/* All of the stream lies under its only anchor. */
static bool is_only_anchor(const struct slr_stream *st)
{
    const struct slr_anchor *a = slr_place_anchor(st);
    const struct slr_anchor *before = slr_place_anchor_before(st);
    bool moves_along = a->segment != 0 && before->segment == a->segment; /* know_before */
    return before->clock_hz == 0 || moves_along;
}

/* Where the first of the anchor's packets lies, unmoved; it may have been overtaken by the one that
 * began it. */
static int64_t earliest(const struct slr_place *x, int64_t shift_ticks)
{
    const struct slr_stream *st = x->st;
    int64_t first = st->first_ticks - shift_ticks;
    int64_t start = st->refine.start_ticks;
    return st->placed > 0 && is_only_anchor(st) && first < start ? first : start;
}

/* All that lies under the anchor moves. */
static void move(struct slr_place *x, int64_t by_ticks)
{
    struct slr_leg *leg = x->leg;
    struct slr_stream *st = x->st;
    const struct slr_refine *r = &st->refine;
    uint32_t segment = slr_place_anchor(st)->segment;
    struct slr_segment *seg = slr_leg_segment(leg, segment);
    int64_t shift = atomic_load_explicit(&seg->shift_ticks, memory_order_relaxed);
    int64_t start = r->start_ticks + shift;
    if (r->line_ticks != NO_LINE && r->chunk != SLR_NONE) {
        take_out_late(x, shift + by_ticks);
    }
    if (slr_place_taken(x) && slr_place_highest(leg) == seg->end_ticks + shift) {
        atomic_store_explicit(&slr_leg_run(leg)->highest_ticks,
                              slr_most(r->before_ticks, seg->end_ticks + shift + by_ticks),
                              memory_order_relaxed);
    }
    atomic_store_explicit(&seg->shift_ticks, shift + by_ticks, memory_order_relaxed);
    st->first_ticks += is_only_anchor(st) || st->first_ticks >= start ? by_ticks : 0;
    st->last_ticks += st->last_ticks > start ? by_ticks : 0;
    for (uint32_t i = 0; i < leg->digit_count; i++) {
        struct slr_leg_digit *d = &slr_leg_rare(leg)->digit[i];
        bool of_it = d->segment == segment && d->start_ticks >= start;
        d->start_ticks += of_it ? by_ticks : 0;
    }
    struct slr_clock_note *n = slr_clock_note_at(&leg->clock_notes, r->note);
    if (n) {
        n->at_ticks += by_ticks;
    }
}

/* A quarter of the time is over: did the least delay fall by more than half of it? */
static void end_quarter(struct slr_refine *r, int64_t window_ticks, uint32_t next)
{
    int64_t fell = r->quarter_ticks - r->least_ticks;
    r->steep += r->quarter > 0 && fell >= window_ticks * 3 / 32;
    r->quarter_ticks = r->least_ticks;
    r->quarter = next;
}

/* What is moved forward takes the ends of the pauses with it that ended since the anchor is new:
 * its media of before the resume, still under way, would come through behind them. */
static void move_pauses(struct slr_place *x, int64_t by_ticks)
{
    const struct slr_intervals *ns = &x->session->pauses_ns;
    struct slr_intervals *ticks = &x->leg->pauses;
    uint32_t n = atomic_load_explicit(&ns->count, memory_order_relaxed);
    uint32_t k = atomic_load_explicit(&ticks->count, memory_order_relaxed);
    while (n > 0 && k > 0) {
        int64_t until_ns =
            atomic_load_explicit(&slr_intervals_at(ns, --n)->end_ticks, memory_order_relaxed);
        int64_t end =
            atomic_load_explicit(&slr_intervals_at(ticks, --k)->end_ticks, memory_order_relaxed);
        if (until_ns <= x->st->refine.since_ns + SLR_NS_PER_MS) {
            return; /* over before: of none of its media */
        }
        if (until_ns != INT64_MAX && end != INT64_MAX) {
            atomic_store_explicit(&slr_intervals_at(ticks, k)->end_ticks, end + by_ticks,
                                  memory_order_release);
        }
    }
}

/*
 * The time is over. A stream that gained half of the time and more in each quarter, to the very
 * end, is sent faster than real time: it begins where its first packet came. Jitter does not do
 * that, nor a queue that runs empty, for it would have to hold almost as much as the time is long.
 */
static void settle(struct slr_place *x)
{
    struct slr_refine *r = &x->st->refine;
    int64_t shift = slr_place_shift(x->leg, slr_place_anchor(x->st)->segment);
    end_quarter(r, x->p->window_ticks, r->quarter);
    bool fast = r->steep == 3 && r->packets >= PACE_PACKETS;
    if (fast && shift < 0 && r->line_ticks == NO_LINE) {
        move_pauses(x, -shift); /* first: a death in between suppresses too much, not too little */
        move(x, -shift);
    }
    r->since_ns = 0;
}

/* The network gave the rest at once: RTP time was right, and what is late is late. */
static int64_t back_to_line(struct slr_place *x, int64_t want)
{
    struct slr_refine *r = &x->st->refine;
    if (r->line_ticks == NO_LINE ||
        r->start_ticks + want - r->line_ticks >= x->p->window_ticks / 2) {
        return want;
    }
    struct slr_clock_note *n = slr_clock_note_at(&x->leg->clock_notes, r->note);
    if (n) {
        n->kind = SLR_CLOCK_BURST;
        n->winner = SLR_CLOCK_RTP;
        slr_count(&x->p->counters->at[SLR_CTR_CLOCK_BURST], 1);
    }
    r->since_ns = 0;
    return r->line_ticks - r->start_ticks;
}

/* The least delayed packet moves all the others to where they belong. */
static void refine(struct slr_place *x)
{
    struct slr_refine *r = &x->st->refine;
    const struct slr_anchor *a = slr_place_anchor(x->st);
    if (r->since_ns == 0) {
        return;
    }
    int64_t since = slr_ticks_from_ns(x->pkt->arrival.ns - r->since_ns);
    if (since > x->p->window_ticks * 3 / 4) {
        settle(x);
        return;
    }
    int64_t shift = slr_place_shift(x->leg, a->segment);
    int64_t want =
        slr_clock_down(x->arrival_ticks + r->offset_ticks - x->rec.pos_ticks, a->clock_hz);
    int64_t back = slr_clock_up(r->lowest_ticks - earliest(x, shift), a->clock_hz);
    uint32_t quarter = (uint32_t)(slr_most(since, 0) * 16 / (x->p->window_ticks * 3 + 1));
    if (quarter > r->quarter) {
        end_quarter(r, x->p->window_ticks, quarter);
    }
    if (want < shift - STEP_TICKS && x->other_clock) {
        return;
    }
    r->packets++;
    r->least_ticks = want < r->least_ticks ? want : r->least_ticks;
    want = back_to_line(x, r->least_ticks);
    want = want < back ? back : want;
    if (want < shift) {
        move(x, want - shift);
    }
}

/* Comfort noise goes by the sound's clock, and that of another codec may be taken while nothing of
 * it is heard: would time fit its timestamps better then? */
static bool fits_another_clock(const struct slr_place *x)
{
    const struct slr_leg *leg = x->leg;
    const struct slr_leg_codecs *c = &x->p->codecs[x->leg_index];
    int64_t units = x->ts_ext - x->st->ts_last_ext;
    int64_t passed = slr_ticks_from_ns(x->pkt->arrival.ns - x->st->pos_last_arrival_ns);
    int64_t off = llabs(slr_ticks_from_rtp(units, slr_place_anchor(x->st)->clock_hz) - passed);
    bool better = false;
    for (uint32_t i = 0; i < leg->pt_count && !better; i++) {
        better = slr_leg_codecs_is_sound(c, leg, i) &&
                 llabs(slr_ticks_from_rtp(units, slr_leg_pt(leg, i)->clock_hz) - passed) < off;
    }
    return better;
}

void slr_anchor_place(struct slr_place *x, uint32_t clock_hz, bool first)
{
    struct slr_stream *st = x->st;
    x->other_clock =
        (x->rec.flags & SLR_REC_COMFORT) && x->newest && !first && fits_another_clock(x);
    if (first) {
        anchor_first(x, clock_hz);
    } else if (x->newest) {
        anchor_again(x, clock_hz);
    }
    slr_straggler_know_before(x, clock_hz);
    const struct slr_anchor *a = slr_place_anchor(st);
    const struct slr_anchor *before = slr_place_anchor_before(st);
    if (slr_straggler_is(x, a, before, clock_hz)) {
        x->rec.segment = (uint8_t)before->segment;
        x->rec.pos_ticks = slr_straggler_position(x, a, before);
        x->rec.flags &= (uint8_t)~SLR_REC_NEW_SEGMENT; /* kept with what begins one (place_held) */
        return;
    }
    x->rec.segment = (uint8_t)a->segment;
    x->rec.pos_ticks = slr_anchor_position(a, x->ts_ext);
    refine(x);
}

/* The clock goes faster or slower, again and again by more than `limit` parts of a million. */
static bool is_off(struct slr_pace *p, int64_t offset, int64_t now_ns, int64_t period_ns,
                   int64_t limit_ppm, int32_t turns)
{
    int64_t passed = slr_ticks_from_ns(now_ns - p->at_ns);
    int64_t change = offset - p->offset_ticks;
    if (now_ns - p->at_ns < period_ns) {
        return false;
    }
    int64_t limit = passed / 1000000 * limit_ppm + SLR_TICKS_HZ / 200;
    int32_t sign = change > limit ? 1 : (change < -limit ? -1 : 0);
    p->turns = sign == 0 || sign * p->turns < 0 ? sign : p->turns + sign;
    p->offset_ticks = offset;
    p->at_ns = now_ns;
    return abs(p->turns) >= turns;
}

/* The least delay of OFFSET_NS is known: what became of it? */
static void judge_pace(struct slr_place *x, int64_t pos)
{
    struct slr_leg *leg = x->leg;
    struct slr_leg_run *run = slr_leg_run(leg);
    int64_t now_ns = x->pkt->arrival.ns;
    int64_t offset = run->offset_ticks;
    bool off = is_off(&leg->pace[0], offset, now_ns, OFFSET_NS, 10000, 3);
    off |= is_off(&leg->pace[1], offset, now_ns, 8 * OFFSET_NS, 1000, 2);
    int64_t step = offset - run->offset_noted_ticks;
    if (off && !x->st->rate_noted) {
        x->st->rate_noted = true;
        (void)note(x, SLR_CLOCK_RATE, SLR_CLOCK_RTP, pos, pos);
    }
    if (step > STEP_TICKS || step < -STEP_TICKS) {
        run->offset_noted_ticks = offset;
        if (abs(leg->pace[0].turns) < 2 && !x->st->rate_noted) {
            (void)note(x, SLR_CLOCK_STEP, SLR_CLOCK_RTP, pos, pos);
        }
    }
}

/* A new anchor: what was measured before says nothing of its pace. */
static void restart_pace(struct slr_leg *leg, int64_t offset, int64_t now_ns)
{
    struct slr_leg_run *run = slr_leg_run(leg);
    leg->pace[0] = leg->pace[1] = (struct slr_pace){offset, now_ns, 0};
    run->offset_noted_ticks = offset;
    run->offset_since_ns = now_ns;
}

static void note_offset(struct slr_place *x)
{
    struct slr_leg *leg = x->leg;
    struct slr_leg_run *run = slr_leg_run(leg);
    int64_t now_ns = x->pkt->arrival.ns;
    int64_t pos = slr_place_start(x);
    int64_t offset = pos - x->arrival_ticks;
    bool begins = run->offset_since_ns == 0 || (x->rec.flags & SLR_REC_NEW_SEGMENT);
    if (((x->rec.flags & SLR_REC_EVENT) || x->other_clock) && !begins) {
        return; /* an event began when its first packet came, and that may be long ago */
    }
    if (begins) {
        leg->offset_before_ticks = run->offset_since_ns ? best_offset(leg) : offset;
        run->offset_ticks = offset;
        restart_pace(leg, offset, now_ns);
    } else if (now_ns - run->offset_since_ns >= OFFSET_NS) {
        judge_pace(x, pos);
        leg->offset_before_ticks = run->offset_ticks;
        run->offset_ticks = offset;
        run->offset_since_ns = now_ns;
    } else if (offset > run->offset_ticks) {
        run->offset_ticks = offset;
    }
    if (offset - run->offset_noted_ticks > EARLY_TICKS && !x->st->rate_noted) {
        x->st->rate_noted = true;
        (void)note(x, SLR_CLOCK_RATE, SLR_CLOCK_RTP, pos, pos);
    }
}

void slr_anchor_heard(struct slr_place *x)
{
    struct slr_segment *seg = slr_leg_segment(x->leg, x->rec.segment);
    int64_t end = x->rec.pos_ticks + x->rec.dur_ticks;
    if (x->rec.segment != 0 && end > seg->end_ticks) {
        seg->end_ticks = end;
    }
    if (x->newest && slr_place_taken(x)) {
        note_offset(x);
    }
}

void slr_anchor_comfort(struct slr_place *x)
{
    uint32_t clock_hz = slr_place_anchor(x->st)->clock_hz;
    int64_t on_time = x->arrival_ticks + best_offset(x->leg);
    int64_t ahead = slr_place_start(x) - slr_most(on_time, slr_place_highest(x->leg));
    if (ahead > STEP_TICKS && x->other_clock) {
        x->rec.pos_ticks = slr_clock_down(x->rec.pos_ticks - ahead, clock_hz);
    }
}

void slr_anchor_queued(struct slr_place *x)
{
    struct slr_refine *r = &x->st->refine;
    if (r->since_ns != 0 && r->chunk == SLR_NONE) {
        struct slr_queue_mark m = slr_queue_last(x->p->state, x->leg_index, x->rec.len_bytes);
        r->chunk = m.chunk;
        r->offset_bytes = m.offset_bytes;
    }
}
