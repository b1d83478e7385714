/*
 * rare: what few legs and sessions need, apart from their slots, as it lies in the state file: more
 * streams, payload types, digits and notes than most have. Nobody reads or writes of it what counts
 * in the slot do not say is there; a page of memory is taken (slr_space_touch) before an entry is
 * put that may be its first. Who writes what: as the list's beginning in the slot (slots.h).
 */
#ifndef SLR_ENGINE_RARE_H
#define SLR_ENGINE_RARE_H

#include "engine/slots.h"
#include "engine/space.h"

#define SLR_PAGE_BYTES 4096u

/* By pages: what is needed together lies together. */
struct slr_leg_rare {
    _Alignas(SLR_PAGE_BYTES) struct slr_interval hold[SLR_INTERVALS - SLR_INTERVALS_NEAR];
    struct slr_interval pause[SLR_INTERVALS - SLR_INTERVALS_NEAR];
    struct slr_clock_note clock_note[SLR_CLOCK_NOTES - SLR_CLOCK_NOTES_NEAR];
    struct slr_ledger_late missed[SLR_LEG_MISSED]; /* F */
    struct slr_segment segment[SLR_LEG_SEGMENTS - SLR_LEG_SEGMENTS_NEAR];
    _Alignas(SLR_PAGE_BYTES) struct slr_leg_digit digit[SLR_LEG_DIGITS];
    struct slr_ledger_late late[SLR_LEG_LATE];
    _Alignas(SLR_PAGE_BYTES) struct slr_pt_map pt[SLR_LEG_PTS - SLR_LEG_PTS_NEAR];
    _Alignas(SLR_PAGE_BYTES) struct slr_stream stream[SLR_LEG_STREAMS - 1];
};

struct slr_session_rare {
    _Alignas(SLR_PAGE_BYTES) char meta[SLR_META_SIZE];
    _Alignas(SLR_PAGE_BYTES) struct slr_interval pause[SLR_INTERVALS - SLR_INTERVALS_NEAR];
    struct slr_interval down[SLR_INTERVALS - SLR_INTERVALS_NEAR];
};

/* Whoever may use the leg, or the session. */
static inline struct slr_leg_rare *slr_leg_rare(const struct slr_leg *leg)
{
    return (struct slr_leg_rare *)((uintptr_t)leg + leg->rare_bytes);
}
static inline struct slr_session_rare *slr_session_rare(const struct slr_session *s)
{
    return (struct slr_session_rare *)((uintptr_t)s + s->rare_bytes);
}

/* Stream number i of the leg. */
static inline struct slr_stream *slr_leg_stream(const struct slr_leg *leg, uint32_t i)
{
    i %= SLR_LEG_STREAMS;
    return i == 0 ? (struct slr_stream *)(uintptr_t)&leg->first : &slr_leg_rare(leg)->stream[i - 1];
}
/* And the number of one. */
static inline uint32_t slr_leg_stream_number(const struct slr_leg *leg, const struct slr_stream *st)
{
    return st == &leg->first ? 0 : (uint32_t)(st - slr_leg_rare(leg)->stream) + 1;
}

/* Segment i of the leg. */
static inline struct slr_segment *slr_leg_segment(const struct slr_leg *leg, uint32_t i)
{
    i %= SLR_LEG_SEGMENTS;
    return i < SLR_LEG_SEGMENTS_NEAR ? (struct slr_segment *)(uintptr_t)&leg->segment_near[i]
                                     : &slr_leg_rare(leg)->segment[i - SLR_LEG_SEGMENTS_NEAR];
}

/* Row i of the leg's payload types. */
static inline struct slr_pt_map *slr_leg_pt(const struct slr_leg *leg, uint32_t i)
{
    i %= SLR_LEG_PTS;
    return i < SLR_LEG_PTS_NEAR ? (struct slr_pt_map *)(uintptr_t)&leg->pt_near[i]
                                : &slr_leg_rare(leg)->pt[i - SLR_LEG_PTS_NEAR];
}

/* The lists of a slot that was just cleared go on there. */
static inline void slr_leg_rare_join(struct slr_leg *leg)
{
    const struct slr_leg_rare *r = slr_leg_rare(leg);
    leg->holds.far_bytes = (int64_t)((uintptr_t)r->hold - (uintptr_t)&leg->holds);
    leg->pauses.far_bytes = (int64_t)((uintptr_t)r->pause - (uintptr_t)&leg->pauses);
    leg->clock_notes.far_bytes = (int64_t)((uintptr_t)r->clock_note - (uintptr_t)&leg->clock_notes);
}
static inline void slr_session_rare_join(struct slr_session *s)
{
    const struct slr_session_rare *r = slr_session_rare(s);
    s->pauses_ns.far_bytes = (int64_t)((uintptr_t)r->pause - (uintptr_t)&s->pauses_ns);
    s->downs.far_bytes = (int64_t)((uintptr_t)r->down - (uintptr_t)&s->downs);
}

/* What the core told of the session, a JSON object; "": nothing. */
static inline const char *slr_session_meta(const struct slr_session *s)
{
    return s->meta_far ? slr_session_rare(s)->meta : s->meta_near;
}

#endif
