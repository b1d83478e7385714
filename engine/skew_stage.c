/*
 * skew_stage: see the header. Writer thread.
 */
#include "engine/skew_stage.h"

#include "common/log.h"
#include "engine/skew_plan.h"

/* The newest sender report, if there is one that was not seen yet. */
static void take_report(struct slr_leg *leg, struct slr_leg_skew *k)
{
    struct slr_leg_report *r = &leg->report;
    uint32_t turn = atomic_load_explicit(&r->turn, memory_order_acquire);
    if (turn == k->report_turn || (turn & 1u)) {
        return;
    }
    int64_t sender = atomic_load_explicit(&r->sender_ticks, memory_order_relaxed);
    int64_t position = atomic_load_explicit(&r->position_ticks, memory_order_relaxed);
    uint32_t stream = atomic_load_explicit(&r->stream, memory_order_relaxed);
    atomic_thread_fence(memory_order_acquire);
    if (atomic_load_explicit(&r->turn, memory_order_relaxed) != turn) {
        return; /* another one is coming: next time */
    }
    k->report_turn = turn;
    if (stream == k->clock.stream) {
        slr_skew_report(&k->clock, sender, position);
    }
}

void slr_skew_stage_begin(struct slr_state *state, struct slr_redo *redo, int64_t end_ticks)
{
    struct slr_skew_party party[SLR_REDO_LEGS];
    uint32_t count = 0;
    for (uint32_t i = 0; i < redo->count; i++) {
        struct slr_leg *leg = &state->leg[redo->leg[i].slot];
        struct slr_leg_skew *k = &redo->leg[i].skew;
        take_report(leg, k);
        k->clock.want_ticks = 0;
        k->clock.urgent = false;
        if (atomic_load(&leg->state) == SLR_LEG_OPEN) {
            party[count++] = (struct slr_skew_party){&k->clock, redo->leg[i].cursor.corr_ticks};
        }
    }
    slr_skew_decide(party, count, end_ticks);
}

/* No more in one piece: the voices can go back by that much (leg_voices.h). */
static int64_t most_frames(const struct slr_audio_shape *shape)
{
    return (int64_t)shape->sample_hz / 50;
}

uint32_t slr_skew_stage_spare(const struct slr_span_run *run, const struct slr_audio_shape *shape)
{
    const struct slr_leg_skew *k = run->skew;
    int64_t most = most_frames(shape);
    int64_t want = -k->clock.want_ticks / slr_ticks_per_frame(shape);
    return want <= 0 ? 0 : (uint32_t)(want < most ? want : most);
}

/* What came of the piece's records goes into the estimate. */
static void feed(const struct slr_span_run *run, struct slr_leg_skew *k,
                 const struct slr_track *track, const struct slr_render_scratch *scratch,
                 uint32_t frames)
{
    int64_t tpf = slr_ticks_per_frame(&track->shape);
    int64_t from = track->first_frame * tpf;
    int64_t to = from + (int64_t)frames * tpf;
    for (uint32_t i = 0; i < scratch->count; i++) {
        const struct slr_rec *rec = scratch->item[i].rec;
        bool audio = slr_rec_is_audio(rec->flags);
        if (!audio || scratch->item[i].ticks < from || scratch->item[i].ticks >= to) {
            continue;
        }
        struct slr_skew_packet p = {
            .start_ticks = scratch->item[i].ticks,
            .dur_ticks = rec->dur_ticks,
            .arrival_ticks = slr_session_ticks(run->session, (slr_mono){rec->arrival_ns}),
            .stream = slr_rec_stream(rec),
            .new_segment = (rec->flags & SLR_REC_NEW_SEGMENT) != 0};
        enum slr_skew_event e = slr_skew_packet(&k->clock, &p);
        if (e != SLR_SKEW_NOTHING && k->note_count < SLR_SKEW_NOTES) {
            bool step = e == SLR_SKEW_STEP || e == SLR_SKEW_CLOCK_STEP;
            k->note[k->note_count++] = (struct slr_skew_note){
                .at_ticks = p.start_ticks,
                .arrival_ticks = step ? p.start_ticks + k->clock.step_ticks : p.arrival_ticks,
                .event = (uint8_t)e};
        }
    }
}

/* Pauses, holds and the engine's own absence stay as they are. */
static bool barred(const void *ctx, int64_t start_ticks, int64_t end_ticks)
{
    const struct slr_span_run *run = ctx;
    int64_t corr = run->cursor.corr_ticks;
    int64_t a = 0;
    int64_t b = 0;
    return slr_intervals_touch(&run->leg->pauses, start_ticks, end_ticks, &a, &b) ||
           slr_intervals_touch(&run->leg->holds, start_ticks + corr, end_ticks + corr, &a, &b) ||
           slr_intervals_touch(&run->session->downs, start_ticks + corr - SLR_DOWN_MARGIN_TICKS,
                               end_ticks + corr + SLR_DOWN_MARGIN_TICKS, &a, &b);
}

void slr_skew_stage_leg(const struct slr_span_run *run, struct slr_track *track,
                        const struct slr_render_scratch *scratch, uint32_t frames,
                        struct slr_corrections *out)
{
    struct slr_leg_skew *k = run->skew;
    int64_t most = most_frames(&track->shape) * slr_ticks_per_frame(&track->shape);
    int64_t want = k->clock.want_ticks;
    want = want > most ? most : (want < -most ? -most : want);
    struct slr_skew_job job = {
        .want_ticks = want, .urgent = k->clock.urgent, .barred = barred, .ctx = run};
    slr_skew_plan(&k->level, track, frames, &job, out);
    feed(run, k, track, scratch, frames);
}

int64_t slr_skew_stage_off_ticks(const struct slr_span_run *run)
{
    const struct slr_leg *leg = run->leg;
    const struct slr_leg_skew *k = run->skew;
    int64_t lag = atomic_load(&slr_leg_run(leg)->lag_ticks) - atomic_load(&leg->corr_ticks);
    return k->clock.rate_off && lag > 0 ? lag : 0;
}
