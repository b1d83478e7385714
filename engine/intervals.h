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
#define SLR_INTERVALS_NEAR 2u

/* Half-open [start, end) in ticks; end == INT64_MAX while it goes on. */
struct slr_interval {
    int64_t start_ticks;
    _Atomic int64_t end_ticks;
};

/* A list that only grows; count is stored after the entry. When it is full the last interval is
 * left open or widened, so that a suppression can never be forgotten. The first entries lie in it,
 * room for all others apart from it. */
struct slr_intervals {
    struct slr_interval near[SLR_INTERVALS_NEAR];
    _Atomic uint32_t count;
    int64_t far_bytes; /* how far from the list the others lie; 0: there is no room for others */
};

/* Number i, which is below count. */
static inline struct slr_interval *slr_intervals_at(const struct slr_intervals *list, uint32_t i)
{
    uintptr_t far = (uintptr_t)list + (uintptr_t)list->far_bytes;
    return i < SLR_INTERVALS_NEAR ? (struct slr_interval *)(uintptr_t)&list->near[i]
                                  : (struct slr_interval *)far + (i - SLR_INTERVALS_NEAR);
}

/* Interval lists (pause, hold, down): one thread opens and closes, any thread asks. */
/* Will the next one that is opened only widen the last? */
bool slr_intervals_full(const struct slr_intervals *list);
void slr_intervals_open(struct slr_intervals *list, int64_t start_ticks);
void slr_intervals_close(struct slr_intervals *list, int64_t end_ticks);
/* What `from` has, in a list that has nothing. */
void slr_intervals_copy(struct slr_intervals *list, const struct slr_intervals *from);
/* True when [start, end) touches an interval; *hit_start and *hit_end
 * are its bounds. */
bool slr_intervals_touch(const struct slr_intervals *list, int64_t start_ticks, int64_t end_ticks,
                         int64_t *hit_start, int64_t *hit_end);

#endif
