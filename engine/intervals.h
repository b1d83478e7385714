/*
 * intervals: lists of stretches of a leg's timeline (pauses, holds, times without the engine), in
 * the state file. One thread opens and closes, any thread asks; allocates nothing.
 */
#ifndef SLR_ENGINE_INTERVALS_H
#define SLR_ENGINE_INTERVALS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SLR_INTERVALS 64u

/* Half-open [start, end) in ticks; end == INT64_MAX while it goes on. */
struct slr_interval {
    int64_t start_ticks;
    _Atomic int64_t end_ticks;
};

/* A list that only grows; count is stored after the entry. When it is full the last interval is
 * left open or widened, so that a suppression can never be forgotten. */
struct slr_intervals {
    struct slr_interval at[SLR_INTERVALS];
    _Atomic uint32_t count;
};

/* Interval lists (pause, hold, down): one thread opens and closes, any thread asks. */
void slr_intervals_open(struct slr_intervals *list, int64_t start_ticks);
void slr_intervals_close(struct slr_intervals *list, int64_t end_ticks);
/* True when [start, end) touches an interval; *hit_start and *hit_end
 * are its bounds. */
bool slr_intervals_touch(const struct slr_intervals *list, int64_t start_ticks, int64_t end_ticks,
                         int64_t *hit_start, int64_t *hit_end);

#endif
