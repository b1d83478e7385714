/*
 * encode: see the header. Blocks on the disk; allocates for each recording that is encoded.
 */
#include "engine/encode.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/thread_name.h"
#include "engine/encode_task.h"
#include "storage/wav_file.h"

#define STEP_NS (20 * SLR_NS_PER_MS)
#define JUDGE_NS SLR_NS_PER_S
#define STARVED_NS (2 * SLR_NS_PER_S)
/* A session whose encoder gets less than a quarter of a processor for so long is sealed as WAV. */
#define SLOW_NS (10 * SLR_NS_PER_S)
#define DISK_FULL_NS (10 * SLR_NS_PER_S)
#define SMALL_QUEUE 1000u

static int64_t mono_ns(void)
{
    return slr_clock_mono(slr_clock_real()).ns;
}

static int64_t wall_ns(void)
{
    return slr_clock_wall(slr_clock_real()).ns;
}

static void emit(struct slr_encode *e, json_t *event)
{
    if (event) {
        e->sink->emit(e->sink->ctx, event);
    }
}

/* A gauge among the counters. */
static void set_gauge(struct slr_encode *e, uint32_t id, int64_t value)
{
    atomic_store_explicit(&e->counters.at[id], (uint64_t)(value > 0 ? value : 0),
                          memory_order_relaxed);
}

/* ---- what the sealer asks ---- */

static bool any_ready(const struct slr_encode *e, int64_t now_ns)
{
    for (uint32_t i = 0; i < e->queue.count; i++) {
        const struct slr_encode_entry *one = &e->queue.at[i];
        if (!one->running && one->not_before_ns <= now_ns) {
            return true;
        }
    }
    return false;
}

bool slr_encode_offer(struct slr_encode *e, uint32_t session)
{
    int64_t now_ns = mono_ns();
    pthread_mutex_lock(&e->lock);
    bool taken = atomic_load(&e->room) && !atomic_load(&e->stop) &&
                 e->line_count < e->pool.count * SLR_ENCODE_LINE && !any_ready(e, now_ns);
    if (taken) {
        e->line[e->line_count++] = (struct slr_encode_line){session, now_ns};
    }
    pthread_mutex_unlock(&e->lock);
    return taken;
}

static void put(struct slr_encode *e, const char *id, int64_t len_ms, int64_t since_wall_ns)
{
    pthread_mutex_lock(&e->lock);
    enum slr_err err = slr_encode_queue_put(&e->queue, id, len_ms, since_wall_ns);
    pthread_mutex_unlock(&e->lock);
    if (err != SLR_OK && err != SLR_EXISTS) { /* it is found at the next start */
        SLR_ERROR("encode_queue", "recording=%s err=%s", id, slr_err_name(err));
    }
}

void slr_encode_put(struct slr_encode *e, const char *id, int64_t len_ms)
{
    slr_count(&e->counters.at[SLR_CTR_ENCODE_PUT_OFF], 1);
    put(e, id, len_ms, wall_ns());
}

enum slr_err slr_encode_cancel(struct slr_encode *e, const char *id)
{
    pthread_mutex_lock(&e->lock);
    enum slr_err err = slr_encode_queue_cancel(&e->queue, id);
    for (uint32_t i = 0; i < e->pool.count && err == SLR_BUSY; i++) {
        if (e->making[i].task && strcmp(e->making[i].task->id, id) == 0) {
            atomic_store(&e->pool.slot[i].stop, true);
        }
    }
    pthread_mutex_unlock(&e->lock);
    return err == SLR_BUSY ? err : SLR_OK;
}

/* ---- what an earlier process left ---- */

static bool is_session(const struct slr_encode *e, const char *id)
{
    for (uint32_t i = 0; i < slr_state_sessions(e->state); i++) {
        const struct slr_session *s = &e->state->session[i];
        if (atomic_load(&s->state) >= SLR_SESSION_CLOSING && strcmp(s->id, id) == 0) {
            return true;
        }
    }
    return false;
}

/* How much sound it is, and since when it waits. */
static enum slr_err measure(int dir_fd, const char *name, int64_t *len_ms, int64_t *since_wall_ns)
{
    struct slr_audio_shape shape;
    uint64_t frames = 0;
    enum slr_err err = slr_wav_file_shape(dir_fd, name, &shape, &frames, since_wall_ns);
    if (err == SLR_OK) {
        *len_ms = (int64_t)(frames * 1000 / shape.sample_hz);
    }
    return err;
}

/* Whatever a session of the state file has is left to the sealer, which tells of it first. */
static void scan(struct slr_encode *e)
{
    int fd = openat(e->rec_fd, "encode", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        SLR_ERROR("encode_scan_failed", "errno=%d", errno);
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    for (const struct dirent *d = readdir(dir); d && !atomic_load(&e->stop); d = readdir(dir)) {
        char id[SLR_ID_SIZE];
        int64_t len_ms = 0, since_ns = 0;
        snprintf(id, sizeof id, "%.32s", d->d_name);
        if (!slr_id_valid(id) || strcmp(d->d_name + SLR_ID_SIZE - 1, ".wav") != 0 ||
            is_session(e, id)) {
            continue;
        }
        enum slr_err err = measure(fd, d->d_name, &len_ms, &since_ns);
        if (err != SLR_OK && err != SLR_NOTFOUND) { /* its task will tell what is wrong */
            SLR_WARN("encode_scan", "recording=%s err=%s", id, slr_err_name(err));
        }
        put(e, id, len_ms, since_ns ? since_ns : wall_ns());
    }
    closedir(dir);
}

/* ---- load ---- */

static int64_t engine_cpu_ns(const struct slr_encode *e)
{
    struct timespec t = {0, 0};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * SLR_NS_PER_S + t.tv_nsec - slr_encode_pool_cpu_ns(&e->pool);
}

/* How far behind the writers are with the session that is least so: all of them wait then, while a
 * single one may have a slow clock. Or how long the disk stands still. */
static int64_t writers_late_ms(const struct slr_encode *e, int64_t now_ns)
{
    int64_t least = INT64_MAX;
    for (uint32_t i = 0; i < slr_state_sessions(e->state); i++) {
        const struct slr_session *s = &e->state->session[i];
        if (atomic_load(&s->state) != SLR_SESSION_OPEN || slr_session_commit(s)->frames == 0) {
            continue;
        }
        int64_t late = slr_session_ticks(s, (slr_mono){now_ns}) - slr_session_written_ticks(s) -
                       e->window_ticks - 2 * e->block_ticks;
        least = late < least ? late : least;
    }
    int64_t late_ms =
        least == INT64_MAX || least < 0 ? 0 : slr_ns_from_ticks(least) / SLR_NS_PER_MS;
    int64_t stalled_ms = e->stalled_ns ? atomic_load(e->stalled_ns) / SLR_NS_PER_MS : 0;
    return late_ms > stalled_ms ? late_ms : stalled_ms;
}

static void judge(struct slr_encode *e, int64_t now_ns)
{
    if (now_ns - e->judged_ns < JUDGE_NS) {
        return;
    }
    int64_t cpu_ns = engine_cpu_ns(e);
    bool was = e->load.busy;
    bool busy = slr_encode_load_judge(&e->load, cpu_ns - e->judged_cpu_ns, now_ns - e->judged_ns,
                                      e->cpus, writers_late_ms(e, now_ns), e->starved);
    if (busy != was) {
        SLR_INFO("encode_load", "busy=%d used_percent=%u writers_late_ms=%lld starved=%d", busy,
                 e->load.used_percent, (long long)e->load.late_ms, e->starved);
    }
    atomic_store(&e->room, !busy);
    e->starved = false;
    e->judged_ns = now_ns;
    e->judged_cpu_ns = cpu_ns;
}

/* ---- sessions that are encoded at once ---- */

/* It becomes a WAV file now, and waits with the others. */
static void hand_back(struct slr_encode *e, struct slr_seal_work *w, enum slr_err why)
{
    struct slr_session *s = w->session;
    if (why != SLR_AGAIN) {
        slr_count(&e->counters.at[SLR_CTR_ENCODE_FAILURES], 1);
        SLR_ERROR("encode_failed", "recording=%s err=%s", s->id, slr_err_name(why));
    }
    slr_seal_drop(w);
    free(w);
    if (!atomic_load(&e->stop)) {
        slr_sealer_put_off(e->sealer, (uint32_t)(s - e->state->session));
    }
}

static void end_session(struct slr_encode *e, struct slr_encode_slot *slot, struct slr_seal_work *w)
{
    enum slr_err err = slot->made;
    if (err == SLR_OK) {
        w->sealed.frames = slot->frames;
        err = slr_seal_end(e->sealer, w);
    }
    if (err != SLR_OK) {
        hand_back(e, w, err);
        return;
    }
    slr_count(&e->counters.at[SLR_CTR_ENCODED], 1);
    free(w);
}

/* Nothing to be made turns out to be sealed already. False: the slot is still free. */
static bool begin_session(struct slr_encode *e, uint32_t number, uint32_t session)
{
    struct slr_seal_work *w = calloc(1, sizeof *w);
    if (!w) {
        slr_sealer_put_off(e->sealer, session);
        return false;
    }
    w->session = &e->state->session[session];
    enum slr_err err = slr_seal_begin(e->sealer, w);
    if (err == SLR_OK && w->to_encode) {
        e->making[number] =
            (struct slr_encode_making){.work = w,
                                       .since_ns = mono_ns(),
                                       .cpu_ns = slr_encode_slot_cpu_ns(&e->pool.slot[number])};
        slr_encode_pool_give(&e->pool.slot[number], &w->job, w->sealed.file);
        return true;
    }
    if (err == SLR_OK) {
        err = slr_seal_end(e->sealer, w);
    }
    if (err != SLR_OK) {
        hand_back(e, w, err);
    } else {
        free(w);
    }
    return false;
}

static bool is_slow(struct slr_encode *e, uint32_t number, int64_t now_ns)
{
    const struct slr_encode_making *m = &e->making[number];
    int64_t spent_ns = slr_encode_slot_cpu_ns(&e->pool.slot[number]) - m->cpu_ns;
    bool slow = now_ns - m->since_ns > SLOW_NS && spent_ns * 4 < now_ns - m->since_ns;
    e->starved |= slow;
    return slow;
}

/* Those that would have to wait are sealed as WAV instead. */
static void clear_line(struct slr_encode *e, int64_t now_ns)
{
    struct slr_encode_line line[SLR_ENCODERS_MAX * SLR_ENCODE_LINE];
    uint32_t count = 0;
    pthread_mutex_lock(&e->lock);
    bool waits = e->line_count > 0 && now_ns - e->line[0].since_ns > STARVED_NS;
    if (waits || !atomic_load(&e->room)) {
        count = e->line_count;
        memcpy(line, e->line, count * sizeof line[0]);
        e->line_count = 0;
        e->starved |= waits;
    }
    pthread_mutex_unlock(&e->lock);
    for (uint32_t i = 0; i < count; i++) {
        slr_sealer_put_off(e->sealer, line[i].session);
    }
    for (uint32_t i = 0; i < e->pool.count; i++) {
        if (e->making[i].work && (!atomic_load(&e->room) || is_slow(e, i, now_ns))) {
            atomic_store(&e->pool.slot[i].stop, true);
        }
    }
}

/* ---- recordings that waited ---- */

static void drop_task(struct slr_encode *e, struct slr_encode_task *t)
{
    pthread_mutex_lock(&e->lock);
    slr_encode_queue_drop(&e->queue, t->id);
    pthread_mutex_unlock(&e->lock);
}

/* The WAV stays what it is, and it is tried again. Said once, not each time. */
static void fail_task(struct slr_encode *e, struct slr_encode_task *t, enum slr_err err)
{
    uint32_t tries = 0;
    int64_t now_ns = mono_ns();
    pthread_mutex_lock(&e->lock);
    uint32_t again_s = slr_encode_queue_retry(&e->queue, t->id, now_ns, &tries);
    pthread_mutex_unlock(&e->lock);
    slr_count(&e->counters.at[SLR_CTR_ENCODE_FAILURES], 1);
    SLR_ERROR("encode_failed", "recording=%s err=%s tries=%u again_s=%u", t->id, slr_err_name(err),
              tries, again_s);
    if (err == SLR_NOSPACE) {
        e->hold_until_ns = now_ns + DISK_FULL_NS;
    }
    if (tries == 1) {
        emit(e, json_pack("{s:s,s:s,s:s,s:s}", "ev", "encode_failed", "session", t->id, "err",
                          slr_err_name(err), "text", slr_err_text(err)));
    }
}

static void tell_task(struct slr_encode *e, struct slr_encode_task *t)
{
    emit(e, slr_encode_task_event(t));
    slr_encode_task_remove_source(t, e->rec_fd);
    slr_count(&e->counters.at[SLR_CTR_ENCODED], 1);
    drop_task(e, t);
}

static void end_task(struct slr_encode *e, struct slr_encode_slot *slot, struct slr_encode_task *t)
{
    enum slr_err err = slot->made;
    if (err == SLR_OK) {
        err = slr_encode_task_publish(t, e->rec_fd, slot->frames);
    }
    if (err == SLR_OK) {
        tell_task(e, t);
    } else if (err == SLR_AGAIN) {
        pthread_mutex_lock(&e->lock);
        slr_encode_queue_back(&e->queue, t->id);
        pthread_mutex_unlock(&e->lock);
    } else {
        fail_task(e, t, err);
    }
    slr_encode_task_close(t);
    free(t);
}

static bool begin_task(struct slr_encode *e, uint32_t number, const char *id)
{
    struct slr_encode_task *t = calloc(1, sizeof *t);
    if (!t) {
        pthread_mutex_lock(&e->lock);
        slr_encode_queue_back(&e->queue, id);
        pthread_mutex_unlock(&e->lock);
        return false;
    }
    enum slr_err err = slr_encode_task_open(t, e->rec_fd, id);
    if (err == SLR_OK) {
        pthread_mutex_lock(&e->lock);
        e->making[number].task = t;
        slr_encode_pool_give(&e->pool.slot[number], &t->job, t->file);
        pthread_mutex_unlock(&e->lock);
        return true;
    }
    if (err == SLR_EXISTS) { /* a death before all was done */
        tell_task(e, t);
    } else if (err == SLR_NOTFOUND) {
        drop_task(e, t);
    } else {
        fail_task(e, t, err);
    }
    slr_encode_task_close(t);
    free(t);
    return false;
}

/* ---- the thread ---- */

static void collect(struct slr_encode *e)
{
    for (uint32_t i = 0; i < e->pool.count; i++) {
        struct slr_encode_slot *slot = &e->pool.slot[i];
        if (atomic_load_explicit(&slot->state, memory_order_acquire) != SLR_ENCODE_MADE) {
            continue;
        }
        pthread_mutex_lock(&e->lock);
        struct slr_encode_making m = e->making[i];
        e->making[i] = (struct slr_encode_making){.work = NULL};
        pthread_mutex_unlock(&e->lock);
        if (m.work) {
            end_session(e, slot, m.work);
        } else if (m.task) {
            end_task(e, slot, m.task);
        }
        atomic_store_explicit(&slot->state, SLR_ENCODE_IDLE, memory_order_release);
    }
}

/* How long the oldest waits. */
static int64_t oldest_ns(const struct slr_encode *e)
{
    int64_t ns = e->backlog.oldest_wall_ns ? wall_ns() - e->backlog.oldest_wall_ns : 0;
    return ns > 0 ? ns : 0;
}

static bool is_overdue(const struct slr_encode *e)
{
    return e->within_s > 0 && oldest_ns(e) > (int64_t)e->within_s * SLR_NS_PER_S;
}

/* Something for a free slot. False: there is nothing, or no room for it. */
static bool dispatch(struct slr_encode *e, uint32_t number, int64_t now_ns, bool *overdue)
{
    char id[SLR_ID_SIZE];
    uint32_t session = SLR_NONE;
    bool task = false;
    pthread_mutex_lock(&e->lock);
    bool room = atomic_load(&e->room);
    if (room && e->line_count > 0) {
        session = e->line[0].session;
        memmove(e->line, e->line + 1, --e->line_count * sizeof e->line[0]);
    } else if ((room || *overdue) && now_ns >= e->hold_until_ns) {
        task = slr_encode_queue_take(&e->queue, now_ns, id);
    }
    pthread_mutex_unlock(&e->lock);
    if (session != SLR_NONE) {
        (void)begin_session(e, number, session);
    } else if (task) {
        *overdue = false; /* one at a time */
        (void)begin_task(e, number, id);
    }
    return session != SLR_NONE || task;
}

static void dispatch_all(struct slr_encode *e, int64_t now_ns)
{
    bool overdue = is_overdue(e) && e->backlog.running == 0;
    for (uint32_t i = 0; i < e->pool.count && !atomic_load(&e->stop); i++) {
        bool more = true;
        while (more && atomic_load(&e->pool.slot[i].state) == SLR_ENCODE_IDLE) {
            more = dispatch(e, i, now_ns, &overdue);
        }
    }
}

/* Once, until nothing has waited for half that time. */
static void alarm_if_old(struct slr_encode *e)
{
    int64_t oldest_s = oldest_ns(e) / SLR_NS_PER_S;
    if (is_overdue(e) && !e->alarmed) {
        char text[128];
        snprintf(text, sizeof text, "%u recordings wait to be encoded, the oldest for %lld s",
                 e->backlog.recordings, (long long)oldest_s);
        SLR_WARN("encode_backlog", "recordings=%u oldest_s=%lld", e->backlog.recordings,
                 (long long)oldest_s);
        emit(e, json_pack("{s:s,s:s,s:s}", "ev", "alarm", "name", "encode-backlog", "text", text));
        e->alarmed = true;
    } else if (oldest_s <= (int64_t)e->within_s / 2) {
        e->alarmed = false;
    }
}

static void look(struct slr_encode *e, int64_t now_ns, bool second)
{
    if (e->queue.count > SMALL_QUEUE && !second) {
        return; /* goes through all of it */
    }
    pthread_mutex_lock(&e->lock);
    slr_encode_queue_backlog(&e->queue, now_ns, &e->backlog);
    pthread_mutex_unlock(&e->lock);
    set_gauge(e, SLR_CTR_ENCODE_WAITING, e->backlog.recordings);
    set_gauge(e, SLR_CTR_ENCODE_WAITING_S, e->backlog.len_ms / 1000);
    set_gauge(e, SLR_CTR_ENCODE_OLDEST_S, oldest_ns(e) / SLR_NS_PER_S);
    set_gauge(e, SLR_CTR_ENCODE_BUSY, e->load.busy);
    set_gauge(e, SLR_CTR_ENCODE_CPU_S, slr_encode_pool_cpu_ns(&e->pool) / SLR_NS_PER_S);
    alarm_if_old(e);
}

static void step(struct slr_encode *e)
{
    int64_t now_ns = mono_ns();
    bool second = now_ns - e->judged_ns >= JUDGE_NS;
    judge(e, now_ns);
    collect(e);
    clear_line(e, now_ns);
    look(e, now_ns, second);
    dispatch_all(e, now_ns);
}

static void *run(void *arg)
{
    struct slr_encode *e = arg;
    slr_thread_name("encodes", 0);
    scan(e);
    while (!atomic_load(&e->stop)) {
        step(e);
        nanosleep(&(struct timespec){0, STEP_NS}, NULL);
    }
    return NULL;
}

/* What a death left half made. Nobody makes anything yet. */
static void remove_parts(const struct slr_encode *e)
{
    int fd = openat(e->rec_fd, "encode", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    for (const struct dirent *d = dir ? readdir(dir) : NULL; d; d = readdir(dir)) {
        const char *dot = strrchr(d->d_name, '.');
        if (dot && strcmp(dot, ".part") == 0 && unlinkat(fd, d->d_name, 0) != 0) {
            SLR_WARN("encode_unlink_failed", "file=%s errno=%d", SLR_Q(d->d_name), errno);
        }
    }
    if (dir) {
        closedir(dir);
    } else if (fd >= 0) {
        close(fd);
    }
}

static uint32_t count_cpus(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n > 0 ? (uint32_t)n : 1;
}

enum slr_err slr_encode_start(struct slr_encode *e)
{
    struct slr_pin pin;
    enum slr_err err = slr_pin_parse(e->pin, &pin);
    e->cpus = count_cpus();
    uint32_t wanted = e->encoders ? e->encoders : e->cpus;
    pthread_mutex_init(&e->lock, NULL);
    slr_encode_load_init(&e->load, e->limit_percent);
    remove_parts(e);
    atomic_store(&e->room, !e->load.busy);
    if (err == SLR_OK) {
        err = slr_encode_pool_start(&e->pool, wanted < SLR_ENCODERS_MAX ? wanted : SLR_ENCODERS_MAX,
                                    &pin);
    }
    e->judged_ns = mono_ns();
    e->judged_cpu_ns = engine_cpu_ns(e);
    if (err == SLR_OK && pthread_create(&e->thread, NULL, run, e) != 0) {
        err = SLR_NOMEM;
    }
    e->running = err == SLR_OK;
    if (err != SLR_OK) {
        slr_encode_stop(e);
    }
    return err;
}

void slr_encode_stop(struct slr_encode *e)
{
    atomic_store(&e->stop, true);
    if (e->running) {
        pthread_join(e->thread, NULL);
        e->running = false;
    }
    slr_encode_pool_stop(&e->pool);
    for (uint32_t i = 0; i < e->pool.count; i++) {
        struct slr_encode_making *m = &e->making[i];
        if (m->work) {
            slr_seal_drop(m->work);
            free(m->work);
        }
        if (m->task) {
            slr_encode_task_close(m->task);
            free(m->task);
        }
        *m = (struct slr_encode_making){.work = NULL};
    }
    slr_encode_pool_fini(&e->pool);
    slr_encode_queue_fini(&e->queue);
}

json_t *slr_encode_stats(struct slr_encode *e)
{
    pthread_mutex_lock(&e->lock);
    struct slr_encode_backlog b = e->backlog;
    pthread_mutex_unlock(&e->lock);
    const slr_counter *c = e->counters.at;
    return json_pack("{s:b,s:I,s:I,s:I,s:I,s:I,s:I}", "put_off", (int)!atomic_load(&e->room),
                     "waiting", (json_int_t)b.recordings, "waiting_s",
                     (json_int_t)(b.len_ms / 1000), "oldest_s",
                     (json_int_t)slr_count_get(&c[SLR_CTR_ENCODE_OLDEST_S]), "encoded",
                     (json_int_t)slr_count_get(&c[SLR_CTR_ENCODED]), "failures",
                     (json_int_t)slr_count_get(&c[SLR_CTR_ENCODE_FAILURES]), "cpu_s",
                     (json_int_t)slr_count_get(&c[SLR_CTR_ENCODE_CPU_S]));
}
