/*
 * missed: see the header. What is to be stored is decided first, in the leg's slot; the rest can be
 * done again by the next process. The list is the writer's own, beside the worker's, and the ledger
 * adds them up.
 */
#include "engine/missed.h"

static bool is_past(const struct slr_leg *leg, const struct slr_rec *rec, int64_t written_ticks)
{
    int64_t start = slr_rec_ticks(leg, rec);
    return rec->dur_ticks > 0 ? start + rec->dur_ticks <= written_ticks : start < written_ticks;
}

/* Is it counted as placed, of a stream that is listened to? */
static bool counts(const struct slr_leg *leg, const struct slr_rec *rec)
{
    const struct slr_stream *st = slr_leg_stream(leg, rec->stream);
    return (rec->flags & (SLR_REC_SUPPRESSED | SLR_REC_UNDECODED)) == 0 &&
           atomic_load_explicit(&st->state, memory_order_acquire) == SLR_STREAM_TAKEN &&
           atomic_load_explicit(&st->generation, memory_order_relaxed) == rec->generation;
}

/* Each store is what it would be if all of it was done once. */
static void finish_step(struct slr_state *s, struct slr_leg *leg)
{
    struct slr_leg_missed *m = &leg->missed;
    const struct slr_missed_step *step = &m->step;
    if (!atomic_load_explicit(&m->under_way, memory_order_acquire)) {
        return;
    }
    atomic_store_explicit(&slr_leg_stream(leg, step->slot)->missed, step->packets,
                          memory_order_relaxed);
    if (step->at < SLR_LEG_MISSED) {
        slr_leg_rare(leg)->missed[step->at] = step->entry;
    }
    m->count = step->count;
    m->stream = step->stream;
    m->seq_ext = step->seq_ext;
    if (step->chunk < s->chunk_max) {
        slr_chunk_mark(&s->chunk[step->chunk], step->offset_bytes, SLR_FATE_MISSED);
    }
    atomic_store_explicit(&m->under_way, 0, memory_order_release);
}

/* The list's entry that it lies in, or a new one. */
static void choose_entry(const struct slr_leg *leg, struct slr_missed_step *step,
                         int64_t start_ticks, int64_t end_ticks, uint32_t packets)
{
    const struct slr_leg_missed *m = &leg->missed;
    const struct slr_ledger_late *list = slr_leg_rare(leg)->missed;
    const struct slr_ledger_late *last = m->count > 0 ? &list[m->count - 1] : NULL;
    step->count = m->count;
    step->at = SLR_LEG_MISSED;
    step->entry = (struct slr_ledger_late){start_ticks, end_ticks, packets};
    if (last && start_ticks <= last->end_ticks && end_ticks >= last->start_ticks) {
        step->at = m->count - 1;
        step->entry.start_ticks = start_ticks < last->start_ticks ? start_ticks : last->start_ticks;
        step->entry.end_ticks = end_ticks > last->end_ticks ? end_ticks : last->end_ticks;
        step->entry.packets += last->packets;
    } else if (m->count < SLR_LEG_MISSED && slr_space_touch(&list[m->count], sizeof *list)) {
        step->at = m->count;
        step->count = m->count + 1;
    }
}

uint32_t slr_missed_judge(struct slr_state *s, uint32_t leg_index, const struct slr_rec *rec)
{
    struct slr_leg *leg = &s->leg[leg_index];
    struct slr_leg_missed *m = &leg->missed;
    finish_step(s, leg); /* an earlier process decided it, and died */
    if (!counts(leg, rec) || slr_rec_has(s, rec, SLR_FATE_RENDERED) ||
        slr_rec_has(s, rec, SLR_FATE_MISSED)) {
        return 0;
    }
    int64_t start = slr_rec_ticks(leg, rec);
    uint32_t slot = rec->stream % SLR_LEG_STREAMS;
    uint64_t told = slr_count_get(&slr_leg_stream(leg, slot)->missed);
    bool more_of_it = told > 0 && m->stream == slr_rec_stream(rec) && m->seq_ext == rec->seq_ext;
    m->step = (struct slr_missed_step){.packets = told + !more_of_it,
                                       .slot = slot,
                                       .chunk = slr_rec_chunk(s, rec),
                                       .offset_bytes = slr_rec_offset(s, rec),
                                       .stream = slr_rec_stream(rec),
                                       .seq_ext = rec->seq_ext};
    choose_entry(leg, &m->step, start, start + rec->dur_ticks, !more_of_it);
    atomic_store_explicit(&m->under_way, 1, memory_order_release);
    finish_step(s, leg);
    return !more_of_it;
}

uint32_t slr_missed_rest(struct slr_state *s, uint32_t leg, int64_t written_ticks)
{
    struct slr_queue_walk walk = {0};
    uint32_t missed = 0;
    const struct slr_rec *rec = slr_queue_next(s, leg, &walk);
    for (; rec; rec = slr_queue_next(s, leg, &walk)) {
        if (is_past(&s->leg[leg], rec, written_ticks)) {
            missed += slr_missed_judge(s, leg, rec);
        }
    }
    return missed;
}

bool slr_missed_pending(struct slr_state *s, uint32_t leg, uint32_t slot, int64_t written_ticks)
{
    const struct slr_leg *l = &s->leg[leg];
    struct slr_queue_walk walk = {0};
    bool pending = false;
    if (!slr_queue_keep(s, leg)) {
        return true;
    }
    const struct slr_rec *rec = slr_queue_next(s, leg, &walk);
    for (; rec && !pending; rec = slr_queue_next(s, leg, &walk)) {
        bool rendered = slr_rec_has(s, rec, SLR_FATE_RENDERED) && is_past(l, rec, written_ticks);
        pending = rec->stream == slot && counts(l, rec) && !rendered &&
                  !slr_rec_has(s, rec, SLR_FATE_MISSED);
    }
    slr_queue_keep_end(s, leg);
    return pending;
}
