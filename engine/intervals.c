/*
 * intervals: see the header.
 */
#include "engine/intervals.h"

void slr_intervals_open(struct slr_intervals *list, int64_t start_ticks)
{
    uint32_t n = atomic_load_explicit(&list->count, memory_order_relaxed);
    if (n == SLR_INTERVALS) {
        atomic_store_explicit(&list->at[n - 1].end_ticks, INT64_MAX, memory_order_release);
        return;
    }
    list->at[n].start_ticks = start_ticks;
    atomic_store_explicit(&list->at[n].end_ticks, INT64_MAX, memory_order_relaxed);
    atomic_store_explicit(&list->count, n + 1, memory_order_release);
}

void slr_intervals_close(struct slr_intervals *list, int64_t end_ticks)
{
    uint32_t n = atomic_load_explicit(&list->count, memory_order_relaxed);
    if (n > 0) {
        atomic_store_explicit(&list->at[n - 1].end_ticks, end_ticks, memory_order_release);
    }
}

bool slr_intervals_touch(const struct slr_intervals *list, int64_t start_ticks, int64_t end_ticks,
                         int64_t *hit_start, int64_t *hit_end)
{
    uint32_t n = atomic_load_explicit(&list->count, memory_order_acquire);
    for (uint32_t i = 0; i < n; i++) {
        int64_t end = atomic_load_explicit(&list->at[i].end_ticks, memory_order_acquire);
        if (list->at[i].start_ticks < end_ticks && end > start_ticks) {
            *hit_start = list->at[i].start_ticks;
            *hit_end = end;
            return true;
        }
    }
    return false;
}
