/*
 * engine_watch: see the header. Reads what workers and writers publish through atomics.
 */
#include "engine/engine_watch.h"

#include <sched.h>
#include <time.h>

#include "common/log.h"
#include "common/thread_name.h"
#include "engine/engine_priv.h"

#define NAP_NS (100 * SLR_NS_PER_MS)

const char *slr_refusal_name(enum slr_refusal why)
{
    static const char *const names[] = {"none", "draining", "storage"};
    return why < SLR_REFUSE_LIMIT ? names[why]
                                  : slr_limit_name((enum slr_limit)(why - SLR_REFUSE_LIMIT));
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

/* CPU time of a thread that runs; 0: it does not. */
static int64_t cpu_ns(bool running, pthread_t thread)
{
    clockid_t clock;
    struct timespec t;
    if (!running || pthread_getcpuclockid(thread, &clock) != 0 || clock_gettime(clock, &t) != 0) {
        return 0;
    }
    return t.tv_sec * SLR_NS_PER_S + t.tv_nsec;
}

static void sample_threads(const struct slr_engine *e, struct slr_cost_sample *sample)
{
    for (uint32_t i = 0; i < e->worker_count; i++) {
        sample->worker_cpu_ns += cpu_ns(e->worker[i].running, e->worker[i].thread);
    }
    for (uint32_t i = 0; i < slr_engine_writers(e); i++) {
        struct slr_writer *w = &e->writer[i];
        sample->writer_cpu_ns += cpu_ns(w->running, w->thread);
        sample->disk_ns += atomic_load_explicit(&w->disk_ns, memory_order_relaxed);
    }
    sample->writers = e->writer_count;
}

/* Calls that run, and slots of legs that are free, of sessions too. */
static void sample_slots(const struct slr_engine *e, struct slr_cost_sample *sample,
                         struct slr_room *room)
{
    uint32_t open = 0, used = 0, sessions = 0;
    for (uint32_t i = 0; i < slr_state_legs(e->state); i++) {
        uint32_t state = atomic_load_explicit(&e->state->leg[i].state, memory_order_relaxed);
        open += state == SLR_LEG_OPEN;
        used += state != SLR_LEG_FREE;
    }
    for (uint32_t i = 0; i < slr_state_sessions(e->state); i++) {
        sessions += atomic_load_explicit(&e->state->session[i].state, memory_order_relaxed) !=
                    SLR_SESSION_FREE;
    }
    uint64_t ports = (uint64_t)(e->port_hi - e->port_lo + 1) / 2 * e->media_ip_count;
    uint32_t free_legs = e->state->leg_max - used;
    uint32_t free_sessions = e->state->session_max - sessions;
    sample->calls = open / 2.0;
    room->slots_free = free_legs < 2 * free_sessions ? free_legs : 2 * free_sessions;
    room->ports_free = e->passive ? UINT32_MAX : (ports > open ? (uint32_t)(ports - open) : 0);
}

/* Once a second. */
static void count_calls_left(struct slr_engine *e, slr_mono now)
{
    struct slr_engine_watch *w = &e->watch;
    struct slr_cost_sample sample = {.now = now};
    int64_t block_ns = (int64_t)(e->cfg->block_ms ? e->cfg->block_ms : 1000) * SLR_NS_PER_MS;
    struct slr_room room = {.workers = e->worker_count,
                            .writers = e->writer_count,
                            .cores = w->cores,
                            .streams_free = UINT32_MAX,
                            .bytes_s = w->budget.bytes_s,
                            .usual_ns = slr_ns_from_ticks(e->window_ticks) + block_ns};
    struct slr_calls_left left;
    uint64_t used_bytes = 0;
    uint64_t taken_bytes = 0;
    if (now.ns < w->cost_ns) {
        return;
    }
    w->cost_ns = now.ns + SLR_NS_PER_S;
    sample_threads(e, &sample);
    sample_slots(e, &sample, &room);
    slr_state_memory(e->state, &room.free_bytes, &used_bytes, &taken_bytes);
    slr_cost_note(&w->cost, &sample);
    slr_calls_left(&w->cost, &room, &left);
    for (uint32_t i = 0; i < SLR_LIMITS; i++) {
        atomic_store_explicit(&w->left[i], left.by[i], memory_order_relaxed);
    }
    uint32_t before = atomic_load(&w->refuse_limit);
    bool refuse = slr_calls_left_refuse(&left, sample.calls, before != SLR_LIMITS);
    uint32_t limit = refuse && e->admission_by_cost ? (uint32_t)left.limit : SLR_LIMITS;
    atomic_store_explicit(&w->refuse_limit, limit, memory_order_release);
    if (limit != before) {
        SLR_WARN("calls_left", "calls=%u limit=%s refusing=%s running=%.0f", left.calls,
                 slr_limit_name(left.limit), limit == SLR_LIMITS ? "no" : "yes", sample.calls);
    }
}

uint32_t slr_engine_calls_left(const struct slr_engine *e, enum slr_limit *limit)
{
    uint32_t used = slr_engine_streams_used(e);
    uint32_t left = used < e->cfg->streams ? (e->cfg->streams - used) / 2 : 0;
    *limit = SLR_LIMIT_STREAMS;
    for (uint32_t i = 0; i < SLR_LIMITS; i++) {
        uint32_t by = atomic_load_explicit(&e->watch.left[i], memory_order_relaxed);
        if (by < left) {
            left = by;
            *limit = (enum slr_limit)i;
        }
    }
    return left;
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
    count_calls_left(e, now);
}

void slr_engine_watch_init(struct slr_engine *e)
{
    struct slr_storage_seen seen = {.has_second = false};
    measure(e, slr_clock_mono(e->clock), &seen);
    cpu_set_t set;
    e->watch.cores = sched_getaffinity(0, sizeof set, &set) == 0 ? (uint32_t)CPU_COUNT(&set) : 1;
    atomic_store(&e->watch.refuse_limit, SLR_LIMITS);
    for (uint32_t i = 0; i < SLR_LIMITS; i++) {
        atomic_store(&e->watch.left[i], UINT32_MAX);
    }
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
