/*
 * belief: walks the leg's queue, which the caller keeps. Worker thread; allocates nothing.
 */
#include "engine/belief.h"

#include "engine/anchor.h"
#include "engine/dtmf.h"

struct tally {
    uint64_t placed, late;           /* in the queue: to be rendered, or for the writer to tell */
    int64_t first_ticks, last_ticks; /* of those that are placed */
    int64_t known_ticks; /* the first one in the queue; what came before it is gone from there */
};

/* A packet of several records is one (placement.c). */
static bool same_packet(const struct slr_rec *a, const struct slr_rec *b)
{
    return slr_rec_stream(a) == slr_rec_stream(b) && a->seq_ext == b->seq_ext;
}

/* Is it counted as placed, of the stream? */
static bool counts(const struct slr_place *x, const struct slr_rec *rec)
{
    uint32_t generation = atomic_load_explicit(&x->st->generation, memory_order_relaxed);
    return slr_leg_stream(x->leg, rec->stream) == x->st && rec->generation == generation &&
           (rec->flags & (SLR_REC_SUPPRESSED | SLR_REC_UNDECODED)) == 0;
}

static void take_digit(struct slr_place *x, const struct slr_rec *rec, int64_t start_ticks)
{
    struct slr_dtmf event;
    struct slr_slice payload = slr_slice_of(slr_rec_payload(rec), rec->len_bytes);
    if ((rec->flags & SLR_REC_EVENT) && slr_dtmf_parse(payload, &event) == SLR_OK) {
        slr_dtmf_take(x->leg, rec->segment, &event, x->st->ssrc, slr_anchor_timestamp(x->st, rec),
                      start_ticks, slr_leg_pt(x->leg, rec->pt)->clock_hz);
    }
}

/* rec: the last one of a packet that begins at start_ticks. */
static void judge(struct slr_place *x, const struct slr_rec *rec, int64_t start_ticks,
                  struct tally *t)
{
    int64_t end = slr_rec_ticks(x->leg, rec) + rec->dur_ticks;
    t->known_ticks = t->placed + t->late == 0 ? start_ticks : t->known_ticks;
    if (slr_place_is_written(x, end, rec->dur_ticks)) {
        t->late++;
        return;
    }
    t->first_ticks = t->placed == 0 || start_ticks < t->first_ticks ? start_ticks : t->first_ticks;
    t->last_ticks = t->placed == 0 || end > t->last_ticks ? end : t->last_ticks;
    t->placed++;
    take_digit(x, rec, start_ticks);
}

static struct tally walk_queue(struct slr_place *x)
{
    struct tally t = {.known_ticks = x->written_ticks};
    struct slr_queue_walk walk = {0};
    const struct slr_rec *before = NULL;
    int64_t start = 0;
    for (;;) {
        const struct slr_rec *rec = slr_queue_next(x->p->state, x->leg_index, &walk);
        bool more_of_it = before && rec && same_packet(before, rec);
        if (before && !more_of_it) {
            judge(x, before, start, &t);
        }
        if (!rec) {
            break;
        }
        before = counts(x, rec) ? rec : NULL;
        start = more_of_it ? start : slr_rec_ticks(x->leg, rec);
    }
    return t;
}

void slr_belief_settle(struct slr_place *x)
{
    struct slr_stream *st = x->st;
    if (st->placed == 0) {
        return;
    }
    struct tally t = walk_queue(x);
    uint64_t queued = t.placed + t.late;
    uint64_t gone = st->placed > queued ? st->placed - queued : 0;
    if (gone > 0 && st->first_ticks < t.known_ticks) {
        slr_anchor_note_late(x->leg, st->first_ticks, t.known_ticks, (uint32_t)gone);
    }
    st->late += gone;
    st->placed = queued;
    if (t.placed > 0) {
        st->first_ticks = t.first_ticks;
        st->last_ticks = t.last_ticks;
    }
    /* placed_ticks stays: what was said counts for how far the leg may be ahead (end_of) */
}
