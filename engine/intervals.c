/*
 * intervals: see the header.
 */
#include "engine/intervals.h"

#include "engine/space.h"

bool slr_intervals_full(const struct slr_intervals *list)
{
    uint32_t n = atomic_load_explicit(&list->count, memory_order_relaxed);
    uint32_t room = list->far_bytes ? SLR_INTERVALS : SLR_INTERVALS_NEAR;
    return n >= room || (n >= SLR_INTERVALS_NEAR &&
                         !slr_space_touch(slr_intervals_at(list, n), sizeof(struct slr_interval)));
}

void slr_intervals_open(struct slr_intervals *list, int64_t start_ticks)
{
    uint32_t n = atomic_load_explicit(&list->count, memory_order_relaxed);
    bool full = slr_intervals_full(list);
    struct slr_interval *at = slr_intervals_at(list, full ? n - 1 : n);
    if (full) {
        atomic_store_explicit(&at->end_ticks, INT64_MAX, memory_order_release);
        return;
    }
    at->start_ticks = start_ticks;
    atomic_store_explicit(&at->end_ticks, INT64_MAX, memory_order_relaxed);
    atomic_store_explicit(&list->count, n + 1, memory_order_release);
}

void slr_intervals_copy(struct slr_intervals *list, const struct slr_intervals *from)
{
    uint32_t n = atomic_load_explicit(&from->count, memory_order_acquire);
    for (uint32_t i = 0; i < n; i++) {
        slr_intervals_open(list, slr_intervals_at(from, i)->start_ticks);
        slr_intervals_close(list, atomic_load(&slr_intervals_at(from, i)->end_ticks));
    }
}

void slr_intervals_close(struct slr_intervals *list, int64_t end_ticks)
{
    uint32_t n = atomic_load_explicit(&list->count, memory_order_relaxed);
    if (n > 0) {
        atomic_store_explicit(&slr_intervals_at(list, n - 1)->end_ticks, end_ticks,
                              memory_order_release);
    }
}

bool slr_intervals_touch(const struct slr_intervals *list, int64_t start_ticks, int64_t end_ticks,
                         int64_t *hit_start, int64_t *hit_end)
{
    uint32_t n = atomic_load_explicit(&list->count, memory_order_acquire);
    for (uint32_t i = 0; i < n; i++) {
        const struct slr_interval *at = slr_intervals_at(list, i);
        int64_t end = atomic_load_explicit(&at->end_ticks, memory_order_acquire);
        if (at->start_ticks < end_ticks && end > start_ticks) {
            *hit_start = at->start_ticks;
            *hit_end = end;
            return true;
        }
    }
    return false;
}
