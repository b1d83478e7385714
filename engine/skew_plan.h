/*
 * skew_plan: where in a leg's track samples are put in or taken out, and doing it.
 *
 * Where nothing is said first: gaps and comfort noise, then digital silence, then what is as quiet
 * as the leg's own noise. Only when a leg is so far off that it can't wait, single samples in
 * speech, far apart, where neighbours differ least. Never in a pause, hold or event. A pure module
 * like skew; writer thread, no allocation.
 */
#ifndef SLR_ENGINE_SKEW_PLAN_H
#define SLR_ENGINE_SKEW_PLAN_H

#include "engine/skew.h"
#include "engine/track.h"

/* Parts of the leg's time (leg time, ticks) that must stay as they are. */
typedef bool (*slr_skew_barred)(const void *ctx, int64_t start_ticks, int64_t end_ticks);

struct slr_skew_job {
    int64_t want_ticks; /* to be inserted; < 0: removed */
    bool urgent;        /* speech, too */
    slr_skew_barred barred;
    const void *ctx;
};

/*
 * Learns the leg's level from the first `frames` of the track; if the job wants something, decides
 * what is done there now (all, a part, or nothing), does it and lists it. The track must have as
 * many frames more as may be removed; afterwards its first `frames` are what the block gets.
 * Whatever is removed stands in out->removed.
 */
void slr_skew_plan(struct slr_skew_level *level, struct slr_track *track, uint32_t frames,
                   const struct slr_skew_job *job, struct slr_corrections *out);

#endif
