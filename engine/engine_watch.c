/*
 * engine_watch: see the header. Reads what workers and writers publish through atomics.
 */
#include "engine/engine_watch.h"

#include <time.h>

#include "common/log.h"
#include "common/thread_name.h"
#include "engine/engine_priv.h"

#define NAP_NS (100 * SLR_NS_PER_MS)

const char *slr_refusal_name(enum slr_refusal why)
{
    static const char *const names[] = {"none", "streams", "draining", "storage"};
    return names[why];
}

/* So long nothing of what the volume's writers have to write comes to its end. */
static int64_t stalled_ns(const struct slr_engine *e, uint32_t volume, slr_mono now)
{
    int64_t longest = 0;
    for (uint32_t i = 0; i < e->writer_count; i++) {
        const struct slr_writer *w = &e->writer[volume * e->writer_count + i];
        int64_t busy = atomic_load_explicit(&w->busy_since_ns, memory_order_relaxed);
        int64_t failing = atomic_load_explicit(&w->failing_since_ns, memory_order_relaxed);
        int64_t since = failing != 0 && (busy == 0 || failing < busy) ? failing : busy;
        if (since != 0 && now.ns - since > longest) {
            longest = now.ns - since;
        }
    }
    return longest >= SLR_STALL_NS ? longest : 0;
}

static void alarm_of(struct slr_engine *e, const char *name, const char *text)
{
    SLR_WARN("storage_alarm", "name=%s text=%s budget_ms=%lld", name, SLR_Q(text),
             (long long)(atomic_load(&e->watch.budget_ns) / SLR_NS_PER_MS));
    slr_engine_emit(e, json_pack("{s:s,s:s,s:s,s:I}", "ev", "alarm", "name", name, "text", text,
                                 "budget_ms",
                                 (json_int_t)(atomic_load(&e->watch.budget_ns) / SLR_NS_PER_MS)));
}

/* What changed is told once. */
static void tell(struct slr_engine *e, const struct slr_storage_seen *seen,
                 const struct slr_storage_plan *before)
{
    struct slr_engine_watch *w = &e->watch;
    bool stalled = seen->stalled_ns[0] > 0;
    if (stalled != w->stall_told) {
        w->stall_told = stalled;
        alarm_of(e, stalled ? "storage-stalled" : "storage-well",
                 stalled ? "the volume of the recordings takes nothing; calls go on from memory"
                         : "the volume of the recordings takes data again");
    }
    if (w->plan.second != before->second) {
        alarm_of(e, w->plan.second ? "storage-second" : "storage-first",
                 w->plan.second ? "recordings go on on the second volume"
                                : "new recordings begin on the first volume again");
    }
    if (w->plan.refuse != before->refuse) {
        alarm_of(e, w->plan.refuse ? "storage-refusing" : "storage-accepting",
                 w->plan.refuse ? "too little packet memory is left: new sessions are refused"
                                : "new sessions are taken again");
    }
}

static void measure(struct slr_engine *e, slr_mono now, struct slr_storage_seen *seen)
{
    struct slr_engine_watch *w = &e->watch;
    uint64_t free_bytes = 0;
    uint64_t used_bytes = 0;
    uint64_t taken_bytes = 0;
    slr_state_memory(e->state, &free_bytes, &used_bytes, &taken_bytes);
    slr_stall_budget_note(&w->budget, now, taken_bytes);
    seen->now = now;
    seen->budget_ns = slr_stall_budget_ns(&w->budget, free_bytes);
    seen->held_ns = slr_stall_held_ns(&w->budget, used_bytes);
    int64_t block_ns = (int64_t)(e->cfg->block_ms ? e->cfg->block_ms : 1000) * SLR_NS_PER_MS;
    seen->usual_ns = slr_ns_from_ticks(e->window_ticks) + 2 * block_ns;
    seen->has_second = e->has_spill;
    for (uint32_t i = 0; i < (e->has_spill ? SLR_VOLUMES : 1); i++) {
        seen->stalled_ns[i] = stalled_ns(e, i, now);
    }
    atomic_store_explicit(&w->budget_ns, seen->budget_ns, memory_order_relaxed);
    atomic_store_explicit(&w->stalled_ns, seen->stalled_ns[0], memory_order_relaxed);
}

void slr_engine_watch_step(struct slr_engine *e, slr_mono now)
{
    struct slr_storage_seen seen = {.has_second = false};
    struct slr_storage_plan before = e->watch.plan;
    measure(e, now, &seen);
    slr_storage_decide(&seen, &e->watch.plan);
    atomic_store_explicit(&e->watch.second, e->watch.plan.second, memory_order_release);
    atomic_store_explicit(&e->watch.refuse, e->watch.plan.refuse, memory_order_release);
    tell(e, &seen, &before);
}

void slr_engine_watch_init(struct slr_engine *e)
{
    struct slr_storage_seen seen = {.has_second = false};
    measure(e, slr_clock_mono(e->clock), &seen);
}

static void *run(void *arg)
{
    struct slr_engine *e = arg;
    slr_thread_name("watch", 0);
    while (!atomic_load(&e->watch.stop)) {
        slr_engine_watch_step(e, slr_clock_mono(e->clock));
        nanosleep(&(struct timespec){0, NAP_NS}, NULL);
    }
    return NULL;
}

enum slr_err slr_engine_watch_start(struct slr_engine *e)
{
    if (pthread_create(&e->watch.thread, NULL, run, e) != 0) {
        return SLR_NOMEM;
    }
    e->watch.running = true;
    return SLR_OK;
}

void slr_engine_watch_stop(struct slr_engine *e)
{
    if (e->watch.running) {
        atomic_store(&e->watch.stop, true);
        pthread_join(e->watch.thread, NULL);
        e->watch.running = false;
    }
}
