/*
 * evlog: numbering, the log thread, and cursors. See evlog.h.
 *
 * The control thread owns numbers, ring puts and cursors. `lock` guards what it shares with the log
 * thread: the ring (the log thread copies a batch out under it), durable_n and the fetch queue; it
 * is held for a memory copy at most, never over I/O. The log thread owns the files.
 */
#include "engine/evlog.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/thread_name.h"
#include "engine/evfiles.h"
#include "engine/evid.h"
#include "engine/evring.h"

#define SEGMENT_BYTES (16u << 20)
#define KEEP_BYTES (256u << 20)
#define RING_BYTES (8u << 20)
#define SYNC_MS 100u
#define RETRY_MS 1000u

/* A read from disk on behalf of a cursor. The log thread fills it; the cursor owns it before and
 * after, and leaves it to the log thread when it closes meanwhile. */
struct fetch {
    struct fetch *next;
    uint64_t from_n;
    struct slr_evfiles_hint hint;
    struct slr_put data;
    uint8_t *buf;
    bool done, abandoned; /* under lock */
    enum slr_err err;
    struct slr_slice rest; /* of data, when done */
};

struct slr_evlog_cursor {
    struct slr_evlog *log;
    uint64_t next_n;
    struct slr_evfiles_hint hint;
    struct fetch *fetch; /* being read, or lines to hand out */
};

struct slr_evlog {
    struct slr_evid id;
    const struct slr_clock *clock;
    struct slr_evring *ring;
    struct slr_evfiles *files;
    size_t text_max;
    uint32_t sync_ms;
    int wake_fd;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work, written; /* monotonic clock */
    /* under lock */
    uint64_t durable_n, unwritten;
    struct fetch *fetch_first, *fetch_last;
    uint32_t flushing;
    bool stop;
    /* log thread */
    uint8_t *batch;
    size_t batch_size;
};

static void deadline_in(struct timespec *at, uint32_t ms)
{
    clock_gettime(CLOCK_MONOTONIC, at);
    at->tv_sec += (time_t)(ms / 1000);
    at->tv_nsec += (long)(ms % 1000) * 1000000L;
    if (at->tv_nsec >= 1000000000L) {
        at->tv_sec++;
        at->tv_nsec -= 1000000000L;
    }
}

/* Log thread, under lock: copies lines that are not on disk yet; *first_n and *last_n bound them.
 * Events that the ring no longer holds are given up here: the gap in the numbers tells. */
static struct slr_slice take_batch(struct slr_evlog *log, uint64_t *first_n, uint64_t *last_n)
{
    struct slr_put p = slr_put_of(log->batch, log->batch_size);
    uint64_t first = slr_evring_first(log->ring);
    uint64_t n = log->durable_n + 1;

    if (n < first) {
        SLR_ERROR("events_unwritten", "from=%" PRIu64 " to=%" PRIu64, n, first - 1);
        log->unwritten += first - n;
        n = first;
    }
    *first_n = n;
    *last_n = 0;
    for (; n <= slr_evring_last(log->ring); n++) {
        struct slr_slice text;
        if (slr_evring_get(log->ring, n, &text) != SLR_OK ||
            p.len_bytes + text.len_bytes + 1 > p.size_bytes) {
            break;
        }
        slr_put_bytes(&p, text.at, text.len_bytes);
        slr_put_u8(&p, '\n');
        *last_n = n;
    }
    return slr_slice_of(log->batch, p.len_bytes);
}

static bool pending(const struct slr_evlog *log)
{
    uint64_t last = slr_evring_last(log->ring);
    return last != 0 && last > log->durable_n;
}

/* Under lock; lets it go meanwhile. False: the disk refused. */
static bool write_batch(struct slr_evlog *log)
{
    uint64_t first_n, last_n;
    struct slr_slice lines = take_batch(log, &first_n, &last_n);

    if (last_n == 0) {
        return false;
    }
    pthread_mutex_unlock(&log->lock);
    enum slr_err err = slr_evfiles_append(log->files, lines, first_n, last_n);
    if (err != SLR_OK) {
        SLR_ERROR("event_write_failed", "err=%s", slr_err_name(err));
    }
    pthread_mutex_lock(&log->lock);
    if (err == SLR_OK) {
        log->durable_n = last_n;
        pthread_cond_broadcast(&log->written);
    }
    return err == SLR_OK;
}

static void fetch_free(struct fetch *f)
{
    if (f) {
        free(f->buf);
        free(f);
    }
}

/* Under lock; lets it go meanwhile. */
static void serve_fetch(struct slr_evlog *log)
{
    struct fetch *f = log->fetch_first;

    log->fetch_first = f->next;
    if (!log->fetch_first) {
        log->fetch_last = NULL;
    }
    pthread_mutex_unlock(&log->lock);
    f->err = slr_evfiles_read(log->files, f->from_n, &f->hint, &f->data);
    if (f->err != SLR_OK) {
        SLR_WARN("event_read_failed", "n=%" PRIu64 " err=%s", f->from_n, slr_err_name(f->err));
    }
    f->rest = slr_slice_of(f->buf, f->data.len_bytes);
    pthread_mutex_lock(&log->lock);
    if (f->abandoned) {
        fetch_free(f);
        return;
    }
    f->done = true;
    (void)eventfd_write(log->wake_fd, 1); /* fails only when it is readable anyway */
}

/* Under lock: waits at most ms, or until there is a read to serve, a flush or the end. */
static void pause_for(struct slr_evlog *log, uint32_t ms, bool retry)
{
    struct timespec until;
    deadline_in(&until, ms);
    while (!log->stop && !log->fetch_first && (retry || log->flushing == 0)) {
        if (pthread_cond_timedwait(&log->work, &log->lock, &until) == ETIMEDOUT) {
            return;
        }
    }
}

static void *log_thread(void *arg)
{
    struct slr_evlog *log = arg;
    uint32_t failures = 0;

    slr_thread_name("events", 0);
    pthread_mutex_lock(&log->lock);
    for (;;) {
        if (log->fetch_first) {
            serve_fetch(log);
        } else if (pending(log)) {
            bool ok = write_batch(log);
            failures = ok ? 0 : failures + 1;
            if (log->stop && failures > 2) {
                break; /* the ring keeps them for the next start */
            }
            if (!ok || (!log->stop && !pending(log))) {
                pause_for(log, ok ? log->sync_ms : RETRY_MS, !ok);
            }
        } else if (log->stop) {
            break;
        } else {
            pthread_cond_wait(&log->work, &log->lock);
        }
    }
    pthread_cond_broadcast(&log->written);
    pthread_mutex_unlock(&log->lock);
    return NULL;
}

/* At start, before the thread runs: what a killed process left in the ring goes to disk. */
static enum slr_err replay(struct slr_evlog *log)
{
    uint64_t on_disk = slr_evfiles_last(log->files);
    uint64_t ring_last = slr_evring_last(log->ring);
    uint64_t before = on_disk;

    log->durable_n = on_disk;
    if (ring_last < on_disk) {
        slr_evring_reset(log->ring); /* older than the files, of no use to readers */
        return SLR_OK;
    }
    while (pending(log)) {
        uint64_t first_n, last_n;
        struct slr_slice lines = take_batch(log, &first_n, &last_n);
        enum slr_err err = slr_evfiles_append(log->files, lines, first_n, last_n);
        if (err != SLR_OK) {
            /* a full disk is no reason not to record: they stay in the ring, and the thread tries
             * again until there is room */
            SLR_ERROR("event_write_failed", "err=%s", slr_err_name(err));
            break;
        }
        log->durable_n = last_n;
    }
    if (log->durable_n > before) {
        SLR_INFO("events_replayed", "from=%" PRIu64 " to=%" PRIu64, before + 1, log->durable_n);
    }
    return SLR_OK;
}

static enum slr_err init_sync(struct slr_evlog *log)
{
    pthread_condattr_t attr;

    log->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (log->wake_fd < 0) {
        return slr_err_from_errno(errno);
    }
    if (pthread_condattr_init(&attr) != 0) {
        return SLR_NOMEM;
    }
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    bool ok = pthread_cond_init(&log->work, &attr) == 0 &&
              pthread_cond_init(&log->written, &attr) == 0 &&
              pthread_mutex_init(&log->lock, NULL) == 0;
    pthread_condattr_destroy(&attr);
    return ok ? SLR_OK : SLR_NOMEM;
}

static enum slr_err open_parts(struct slr_evlog *log, const struct slr_evlog_config *cfg)
{
    char path[4096];
    int len = snprintf(path, sizeof path, "%s/events.ring", cfg->state_dir);
    if (len < 0 || (size_t)len >= sizeof path) {
        return SLR_TOOLONG;
    }
    if (mkdir(cfg->state_dir, 0700) != 0 && errno != EEXIST) {
        SLR_ERROR("state_dir_failed", "dir=%s errno=%d", SLR_Q(cfg->state_dir), errno);
        return slr_err_from_errno(errno);
    }
    enum slr_err err = slr_evid_open(cfg->data_dir, cfg->clock, cfg->seeded, &log->id);
    if (err == SLR_OK) {
        err =
            slr_evfiles_open(cfg->data_dir, cfg->segment_bytes ? cfg->segment_bytes : SEGMENT_BYTES,
                             cfg->keep_bytes ? cfg->keep_bytes : KEEP_BYTES, &log->files);
    }
    if (err == SLR_OK) {
        err = slr_evring_open(path, cfg->ring_bytes ? cfg->ring_bytes : RING_BYTES, log->id.engine,
                              &log->ring);
    }
    if (err != SLR_OK) {
        return err;
    }
    log->text_max = slr_evring_text_max(log->ring);
    log->batch_size = log->text_max + 262144;
    log->batch = malloc(log->batch_size);
    if (!log->batch) {
        return SLR_NOMEM;
    }
    err = replay(log);
    return err == SLR_OK ? slr_evid_next_epoch(&log->id) : err;
}

static void free_parts(struct slr_evlog *log)
{
    slr_evring_close(log->ring);
    slr_evfiles_close(log->files);
    slr_evid_close(&log->id);
    free(log->batch);
    if (log->wake_fd >= 0) {
        close(log->wake_fd);
    }
    free(log);
}

enum slr_err slr_evlog_open(const struct slr_evlog_config *cfg, struct slr_evlog **out)
{
    struct slr_evlog *log = calloc(1, sizeof *log);
    if (!log) {
        return SLR_NOMEM;
    }
    log->wake_fd = -1;
    log->id.lock_fd = log->id.dir_fd = -1;
    log->clock = cfg->clock;
    log->sync_ms = cfg->sync_ms ? cfg->sync_ms : SYNC_MS;
    enum slr_err err = open_parts(log, cfg);
    if (err == SLR_OK) {
        err = init_sync(log);
    }
    if (err == SLR_OK && pthread_create(&log->thread, NULL, log_thread, log) != 0) {
        err = SLR_NOMEM;
    }
    if (err != SLR_OK) {
        free_parts(log);
        return err;
    }
    *out = log;
    return SLR_OK;
}

void slr_evlog_close(struct slr_evlog *log)
{
    if (!log) {
        return;
    }
    pthread_mutex_lock(&log->lock);
    log->stop = true;
    pthread_cond_signal(&log->work);
    pthread_mutex_unlock(&log->lock);
    pthread_join(log->thread, NULL);
    pthread_mutex_destroy(&log->lock);
    pthread_cond_destroy(&log->work);
    pthread_cond_destroy(&log->written);
    free_parts(log);
}

/* The event's text with the log's own members in front, n first of all. NULL: no memory. */
static char *number(const struct slr_evlog *log, uint64_t n, json_t *event)
{
    const json_t *wall = json_object_get(event, "wall_ns");
    int64_t wall_ns =
        json_is_integer(wall) ? (int64_t)json_integer_value(wall) : slr_clock_wall(log->clock).ns;
    json_t *ev = json_object_get(event, "ev");
    json_t *out = json_pack("{s:I,s:O?,s:I,s:s,s:I}", "n", (json_int_t)n, "ev", ev, "wall_ns",
                            (json_int_t)wall_ns, "engine", log->id.engine, "engine_epoch",
                            (json_int_t)log->id.epoch);
    char *text = NULL;

    if (out && json_object_update_missing(out, event) == 0) {
        text = json_dumps(out, JSON_COMPACT);
    }
    json_decref(out);
    return text;
}

uint64_t slr_evlog_append(struct slr_evlog *log, json_t *event)
{
    uint64_t n = slr_evlog_last(log) + 1;
    char *text = number(log, n, event);
    enum slr_err err = SLR_NOMEM;

    if (text) {
        pthread_mutex_lock(&log->lock);
        err = slr_evring_put(log->ring, n, slr_slice_str(text));
        pthread_cond_signal(&log->work);
        pthread_mutex_unlock(&log->lock);
    }
    if (err != SLR_OK) {
        const char *ev = json_string_value(json_object_get(event, "ev"));
        SLR_ERROR("event_not_kept", "ev=%s err=%s", SLR_Q(ev), slr_err_name(err));
        n = 0;
    }
    free(text);
    json_decref(event);
    return n;
}

struct slr_slice slr_evlog_newest(const struct slr_evlog *log)
{
    struct slr_slice text = slr_slice_of("", 0);
    if (slr_evring_get(log->ring, slr_evring_last(log->ring), &text) != SLR_OK) {
        return slr_slice_of("", 0);
    }
    return text;
}

const char *slr_evlog_engine(const struct slr_evlog *log)
{
    return log->id.engine;
}

uint64_t slr_evlog_epoch(const struct slr_evlog *log)
{
    return log->id.epoch;
}

uint64_t slr_evlog_last(const struct slr_evlog *log)
{
    uint64_t last = slr_evring_last(log->ring);
    return last ? last : log->durable_n; /* constant while the ring is empty */
}

size_t slr_evlog_text_max(const struct slr_evlog *log)
{
    return log->text_max;
}

uint64_t slr_evlog_durable(struct slr_evlog *log)
{
    pthread_mutex_lock(&log->lock);
    uint64_t n = log->durable_n;
    pthread_mutex_unlock(&log->lock);
    return n;
}

uint64_t slr_evlog_unwritten(struct slr_evlog *log)
{
    pthread_mutex_lock(&log->lock);
    uint64_t n = log->unwritten;
    pthread_mutex_unlock(&log->lock);
    return n;
}

void slr_evlog_flush(struct slr_evlog *log)
{
    pthread_mutex_lock(&log->lock);
    log->flushing++;
    pthread_cond_signal(&log->work);
    while (pending(log)) {
        pthread_cond_wait(&log->written, &log->lock);
    }
    log->flushing--;
    pthread_mutex_unlock(&log->lock);
}

int slr_evlog_wake_fd(const struct slr_evlog *log)
{
    return log->wake_fd;
}

void slr_evlog_wake_clear(struct slr_evlog *log)
{
    eventfd_t ignored;
    (void)eventfd_read(log->wake_fd, &ignored); /* EAGAIN: cleared already */
}

struct slr_evlog_cursor *slr_evlog_cursor_open(struct slr_evlog *log, uint64_t after_n)
{
    struct slr_evlog_cursor *c = calloc(1, sizeof *c);
    if (c) {
        uint64_t last = slr_evlog_last(log);
        c->log = log;
        c->next_n = (after_n > last ? last : after_n) + 1;
    }
    return c;
}

void slr_evlog_cursor_close(struct slr_evlog_cursor *c)
{
    if (!c) {
        return;
    }
    if (c->fetch) {
        pthread_mutex_lock(&c->log->lock);
        bool done = c->fetch->done;
        c->fetch->abandoned = true;
        pthread_mutex_unlock(&c->log->lock);
        if (done) {
            fetch_free(c->fetch);
        }
    }
    free(c);
}

static enum slr_err start_fetch(struct slr_evlog_cursor *c)
{
    struct slr_evlog *log = c->log;
    struct fetch *f = calloc(1, sizeof *f);
    size_t size = log->text_max + 65536;

    if (f) {
        f->buf = malloc(size);
    }
    if (!f || !f->buf) {
        fetch_free(f);
        return SLR_NOMEM;
    }
    f->data = slr_put_of(f->buf, size);
    f->from_n = c->next_n;
    f->hint = c->hint;
    c->fetch = f;
    pthread_mutex_lock(&log->lock);
    if (log->fetch_last) {
        log->fetch_last->next = f;
    } else {
        log->fetch_first = f;
    }
    log->fetch_last = f;
    pthread_cond_signal(&log->work);
    pthread_mutex_unlock(&log->lock);
    return SLR_AGAIN;
}

static enum slr_err lose(struct slr_evlog_cursor *c, uint64_t to, struct slr_evlog_item *item)
{
    item->lost_from = c->next_n;
    item->lost_to = to;
    c->next_n = to + 1;
    return SLR_NOTFOUND;
}

/* The item out of the lines that were read. */
static enum slr_err peek_fetched(struct slr_evlog_cursor *c, struct slr_evlog_item *item)
{
    struct fetch *f = c->fetch;
    struct slr_slice rest = f->rest, line;

    while (slr_slice_take_line(&rest, &line)) {
        uint64_t n;
        if (slr_evfiles_number(line, &n) != SLR_OK || n < c->next_n) {
            f->rest = rest;
            continue;
        }
        if (n > c->next_n) {
            return lose(c, n - 1, item);
        }
        item->n = n;
        item->text = line;
        return SLR_OK;
    }
    bool found = f->data.len_bytes > 0;
    c->hint = f->hint;
    fetch_free(f);
    c->fetch = NULL;
    if (found) {
        return SLR_AGAIN; /* look again: ring or next piece */
    }
    uint64_t first = slr_evring_first(c->log->ring);
    return lose(c, first ? first - 1 : slr_evlog_last(c->log), item);
}

enum slr_err slr_evlog_peek(struct slr_evlog_cursor *c, struct slr_evlog_item *item)
{
    struct slr_evlog *log = c->log;

    for (;;) {
        if (c->fetch) {
            pthread_mutex_lock(&log->lock);
            bool done = c->fetch->done;
            pthread_mutex_unlock(&log->lock);
            if (!done) {
                return SLR_AGAIN;
            }
            enum slr_err err = peek_fetched(c, item);
            if (err != SLR_AGAIN) {
                return err;
            }
        }
        if (c->next_n > slr_evlog_last(log)) {
            return SLR_AGAIN;
        }
        if (slr_evring_get(log->ring, c->next_n, &item->text) == SLR_OK) {
            item->n = c->next_n;
            return SLR_OK;
        }
        enum slr_err err = start_fetch(c);
        return err;
    }
}

void slr_evlog_step(struct slr_evlog_cursor *c)
{
    c->next_n++;
}

uint64_t slr_evlog_cursor_next(const struct slr_evlog_cursor *c)
{
    return c->next_n;
}
