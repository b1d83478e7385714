/*
 * skew_stage: the writer's stage between rendering a leg's track and storing it: feeds the leg's
 * estimate (skew.h) with what was rendered, and lets the planner (skew_plan.h) correct the track.
 *
 * Its state lies in the leg's slot in two copies, of which the one that is not in force is worked
 * on: a death, or a piece that could not be written, leaves the other one. Writer thread; allocates
 * nothing.
 */
#ifndef SLR_ENGINE_SKEW_STAGE_H
#define SLR_ENGINE_SKEW_STAGE_H

#include "engine/render.h"
#include "engine/spans.h"

/* Before a piece, whose redo was begun: decides what each leg wants. end_ticks: where the
 * piece ends, file time. */
void slr_skew_stage_begin(struct slr_state *state, struct slr_redo *redo, int64_t end_ticks);

/* Frames that the leg's track must have beyond the piece, for what may be taken out. */
uint32_t slr_skew_stage_spare(const struct slr_span_run *run, const struct slr_audio_shape *shape);

/* The rendered track gets its corrections: its first `frames` are for the block then. scratch: what
 * it was rendered from. */
void slr_skew_stage_leg(const struct slr_span_run *run, struct slr_track *track,
                        const struct slr_render_scratch *scratch, uint32_t frames,
                        struct slr_corrections *out);

/* At the session's end: so far media that was sent too slowly for skew is behind the wall clock. 0
 * where the rate was right. */
int64_t slr_skew_stage_off_ticks(const struct slr_span_run *run);

#endif
