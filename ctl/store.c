/*
 * store: the queue and the thread in front of SQLite.
 *
 * Posters (any thread) append jobs under a short lock; the store thread takes all that wait, up to
 * a batch, applies them in one transaction and calls each `done`. JSON is turned into text by the
 * poster, so no JSON object is ever shared between threads. Allocates for each job.
 */
#include "ctl/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/id.h"
#include "common/log.h"
#include "ctl/store_db.h"

#define QUEUE_MAX_JOBS 100000
#define BATCH_MAX_JOBS 2000
#define PATH_SIZE 1024

struct slr_store {
    struct slr_store_db *db;
    char path[PATH_SIZE];
    int lock_fd; /* held for the life of the store: one core a directory */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct slr_store_job *head, *tail; /* under lock */
    bool stop;                         /* under lock */
    _Atomic uint32_t jobs;             /* waiting or being applied */
    _Atomic int64_t oldest_ns;         /* when the oldest of them was posted; 0: none */
};

static int64_t now_ns(void)
{
    return slr_clock_mono(slr_clock_real()).ns;
}

static void free_job(struct slr_store_job *job)
{
    for (int i = 0; i < SLR_JOB_TEXTS; i++) {
        free(job->text[i]);
    }
    free(job->blob);
    free(job);
}

/* Cuts the first `max` jobs off the queue. Waits; NULL when the store stops and nothing waits. */
static struct slr_store_job *take_batch(struct slr_store *s, uint32_t max)
{
    pthread_mutex_lock(&s->lock);
    while (s->head == NULL && !s->stop) {
        pthread_cond_wait(&s->wake, &s->lock);
    }
    struct slr_store_job *first = s->head;
    struct slr_store_job *last = first;
    for (uint32_t n = 1; last != NULL && last->next != NULL && n < max; n++) {
        last = last->next;
    }
    if (last != NULL) {
        s->head = last->next;
        if (s->head == NULL) {
            s->tail = NULL;
        }
        last->next = NULL;
    }
    pthread_mutex_unlock(&s->lock);
    return first;
}

static uint32_t answer_batch(struct slr_store_job *first)
{
    uint32_t count = 0;
    while (first != NULL) {
        struct slr_store_job *job = first;
        first = job->next;
        if (job->done != NULL) {
            job->done(job->ctx, job->result);
        }
        free_job(job);
        count++;
    }
    return count;
}

static void note_oldest(struct slr_store *s, uint32_t finished)
{
    pthread_mutex_lock(&s->lock);
    atomic_fetch_sub_explicit(&s->jobs, finished, memory_order_relaxed);
    atomic_store_explicit(&s->oldest_ns, s->head != NULL ? s->head->posted_ns : 0,
                          memory_order_relaxed);
    pthread_mutex_unlock(&s->lock);
}

static void *store_thread(void *arg)
{
    struct slr_store *s = arg;
    (void)pthread_setname_np(pthread_self(), "slr-store");
    struct slr_store_job *batch = NULL;
    while ((batch = take_batch(s, BATCH_MAX_JOBS)) != NULL) {
        slr_store_db_apply(s->db, batch);
        note_oldest(s, answer_batch(batch));
        slr_store_db_checkpoint(s->db);
    }
    return NULL;
}

static enum slr_err make_dirs(const char *dir)
{
    char path[PATH_SIZE];
    size_t len = strlen(dir);
    if (len == 0 || len >= sizeof(path)) {
        return len == 0 ? SLR_INVAL : SLR_TOOLONG;
    }
    memcpy(path, dir, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0') {
            continue;
        }
        char kept = path[i];
        path[i] = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST) {
            SLR_ERROR("store_dir", "dir=%s errno=%d", SLR_Q(path), errno);
            return SLR_IO;
        }
        path[i] = kept;
    }
    return SLR_OK;
}

/* Two cores on one database would answer for the same dialogs. */
static enum slr_err take_lock(struct slr_store *s, const char *dir)
{
    char path[PATH_SIZE];
    int n = snprintf(path, sizeof(path), "%s/lock", dir);
    if (n < 0 || (size_t)n >= sizeof(path)) {
        return SLR_TOOLONG;
    }
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock_fd < 0) {
        SLR_ERROR("store_lock", "file=%s errno=%d", SLR_Q(path), errno);
        return SLR_IO;
    }
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        SLR_ERROR("store_in_use", "dir=%s", SLR_Q(dir));
        return SLR_BUSY;
    }
    return SLR_OK;
}

static void free_store(struct slr_store *s)
{
    slr_store_db_close(s->db);
    if (s->lock_fd >= 0) {
        close(s->lock_fd);
    }
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* SQLite would make it readable for all; its log takes over the mode of the database. */
static enum slr_err make_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        SLR_ERROR("store_file", "file=%s errno=%d", SLR_Q(path), errno);
        return SLR_IO;
    }
    close(fd);
    return SLR_OK;
}

/* A database that is none must not keep calls from being recorded: it is kept beside for whoever
 * can mend it, and a new one is begun. The events that the engine still has are taken in again. */
static bool put_aside(const char *path)
{
    static const char *const part[] = {"", "-wal", "-shm"};
    long long ms = slr_clock_wall(slr_clock_real()).ns / SLR_NS_PER_MS;
    bool moved = true;
    for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
        char from[PATH_SIZE + 8];
        char to[PATH_SIZE + 40];
        (void)snprintf(from, sizeof(from), "%s%s", path, part[i]);
        (void)snprintf(to, sizeof(to), "%s.damaged-%lld%s", path, ms, part[i]);
        moved &= rename(from, to) == 0 || errno == ENOENT;
    }
    SLR_ERROR("store_put_aside", "file=%s ok=%d", SLR_Q(path), moved);
    return moved;
}

static enum slr_err open_files(struct slr_store *s, const char *dir)
{
    int n = snprintf(s->path, sizeof(s->path), "%s/" SLR_STORE_FILE, dir);
    if (n < 0 || (size_t)n >= sizeof(s->path)) {
        return SLR_TOOLONG;
    }
    enum slr_err err = make_dirs(dir);
    if (err == SLR_OK) {
        err = take_lock(s, dir);
    }
    if (err == SLR_OK) {
        err = make_file(s->path);
    }
    if (err == SLR_OK) {
        err = slr_store_db_open(s->path, &s->db);
    }
    if (err == SLR_FORMAT && put_aside(s->path)) {
        err = make_file(s->path);
        err = err == SLR_OK ? slr_store_db_open(s->path, &s->db) : err;
    }
    return err;
}

static struct slr_store *new_store(void)
{
    struct slr_store *s = calloc(1, sizeof(*s));
    if (s != NULL) {
        s->lock_fd = -1;
        pthread_mutex_init(&s->lock, NULL);
        pthread_cond_init(&s->wake, NULL);
    }
    return s;
}

enum slr_err slr_store_merge(const char *dir, const char *from_dir)
{
    char from[PATH_SIZE];
    int n = snprintf(from, sizeof(from), "%s/" SLR_STORE_FILE, from_dir);
    if (n < 0 || (size_t)n >= sizeof(from)) {
        return SLR_TOOLONG;
    }
    struct slr_store *s = new_store();
    if (s == NULL) {
        return SLR_NOMEM;
    }
    enum slr_err err = open_files(s, dir);
    if (err == SLR_OK) {
        err = slr_store_db_merge(s->db, from);
    }
    free_store(s);
    return err;
}

enum slr_err slr_store_open(const char *dir, struct slr_store **out)
{
    *out = NULL;
    struct slr_store *s = new_store();
    if (s == NULL) {
        return SLR_NOMEM;
    }
    enum slr_err err = open_files(s, dir);
    if (err == SLR_OK && pthread_create(&s->thread, NULL, store_thread, s) != 0) {
        err = SLR_NOMEM;
    }
    if (err != SLR_OK) {
        free_store(s);
        return err;
    }
    *out = s;
    return SLR_OK;
}

void slr_store_close(struct slr_store *s)
{
    if (s == NULL) {
        return;
    }
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    free_store(s);
}

void slr_store_load(const struct slr_store *s, uint32_t *jobs, uint32_t *oldest_ms)
{
    *jobs = *oldest_ms = 0;
    if (s == NULL) {
        return;
    }
    /* The atomic loads want a non-const pointer with some compilers. */
    struct slr_store *m = (struct slr_store *)(uintptr_t)s;
    *jobs = atomic_load_explicit(&m->jobs, memory_order_relaxed);
    int64_t oldest = atomic_load_explicit(&m->oldest_ns, memory_order_relaxed);
    int64_t age_ms = oldest == 0 ? 0 : (now_ns() - oldest) / SLR_NS_PER_MS;
    *oldest_ms = age_ms < 0 ? 0 : age_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)age_ms;
}

/* NULL when memory is short. Texts beyond the given ones stay NULL. */
static struct slr_store_job *new_job(enum slr_store_job_kind kind, const char *a, const char *b)
{
    struct slr_store_job *job = calloc(1, sizeof(*job));
    if (job == NULL) {
        return NULL;
    }
    job->kind = kind;
    job->text[0] = strdup(a);
    job->text[1] = b != NULL ? strdup(b) : NULL;
    if (job->text[0] == NULL || (b != NULL && job->text[1] == NULL)) {
        free_job(job);
        return NULL;
    }
    return job;
}

/* Consumes the record in every case. */
static char *take_text(json_t *record)
{
    char *text = json_dumps(record, JSON_COMPACT);
    json_decref(record);
    return text;
}

/* Takes the job over in every case. */
static enum slr_err post(struct slr_store *s, struct slr_store_job *job, slr_store_done done,
                         void *ctx)
{
    job->done = done;
    job->ctx = ctx;
    job->posted_ns = now_ns();
    if (s == NULL) {
        free_job(job);
        return SLR_CLOSED;
    }
    pthread_mutex_lock(&s->lock);
    uint32_t waiting = atomic_load_explicit(&s->jobs, memory_order_relaxed);
    if (waiting >= QUEUE_MAX_JOBS) {
        pthread_mutex_unlock(&s->lock);
        SLR_WARN("store_full", "jobs=%u", waiting);
        free_job(job);
        return SLR_FULL;
    }
    if (waiting == 0) {
        atomic_store_explicit(&s->oldest_ns, job->posted_ns, memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&s->jobs, 1, memory_order_relaxed);
    if (s->tail != NULL) {
        s->tail->next = job;
    } else {
        s->head = job;
    }
    s->tail = job;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    return SLR_OK;
}

/* A job of key, optional second text and a record, the last one consumed. */
static enum slr_err post_record(struct slr_store *s, enum slr_store_job_kind kind, const char *key,
                                const char *second, json_t *record, slr_store_done done, void *ctx)
{
    char *text = take_text(record);
    struct slr_store_job *job = text != NULL ? new_job(kind, key, second) : NULL;
    if (job == NULL) {
        free(text);
        return SLR_NOMEM;
    }
    job->text[second != NULL ? 2 : 1] = text;
    return post(s, job, done, ctx);
}

static enum slr_err post_key(struct slr_store *s, enum slr_store_job_kind kind, const char *key,
                             slr_store_done done, void *ctx)
{
    struct slr_store_job *job = new_job(kind, key, NULL);
    return job != NULL ? post(s, job, done, ctx) : SLR_NOMEM;
}

enum slr_err slr_store_put_dialog(struct slr_store *s, const char *dialog_key, const char *call,
                                  json_t *record, slr_store_done done, void *ctx)
{
    return post_record(s, SLR_JOB_PUT_DIALOG, dialog_key, call != NULL ? call : "", record, done,
                       ctx);
}

enum slr_err slr_store_delete_dialog(struct slr_store *s, const char *dialog_key,
                                     slr_store_done done, void *ctx)
{
    return post_key(s, SLR_JOB_DELETE_DIALOG, dialog_key, done, ctx);
}

enum slr_err slr_store_put_call(struct slr_store *s, const char *call_key, json_t *record,
                                slr_store_done done, void *ctx)
{
    return post_record(s, SLR_JOB_PUT_CALL, call_key, NULL, record, done, ctx);
}

enum slr_err slr_store_delete_call(struct slr_store *s, const char *call_key, slr_store_done done,
                                   void *ctx)
{
    return post_key(s, SLR_JOB_DELETE_CALL, call_key, done, ctx);
}

enum slr_err slr_store_put_recording(struct slr_store *s, json_t *record, slr_store_done done,
                                     void *ctx)
{
    char id[SLR_ID_SIZE] = "";
    const char *given = json_string_value(json_object_get(record, "id"));
    if (given == NULL || !slr_id_valid(given)) {
        json_decref(record);
        return SLR_INVAL;
    }
    memcpy(id, given, sizeof(id));
    return post_record(s, SLR_JOB_PUT_RECORDING, id, NULL, record, done, ctx);
}

enum slr_err slr_store_put_alarm(struct slr_store *s, const char *recording, json_t *alarm)
{
    if (!slr_id_valid(recording)) {
        json_decref(alarm);
        return SLR_INVAL;
    }
    return post_record(s, SLR_JOB_PUT_ALARM, recording, NULL, alarm, NULL, NULL);
}

enum slr_err slr_store_put_audit(struct slr_store *s, slr_wall when, const char *actor,
                                 const char *action, const char *recording, const char *detail)
{
    struct slr_store_job *job = new_job(SLR_JOB_PUT_AUDIT, actor, action);
    if (job == NULL) {
        return SLR_NOMEM;
    }
    job->text[2] = strdup(recording != NULL ? recording : "");
    job->text[3] = strdup(detail != NULL ? detail : "");
    if (job->text[2] == NULL || job->text[3] == NULL) {
        free_job(job);
        return SLR_NOMEM;
    }
    job->number = when.ns;
    return post(s, job, NULL, NULL);
}

enum slr_err slr_store_put_value(struct slr_store *s, const char *name, int64_t value,
                                 slr_store_done done, void *ctx)
{
    struct slr_store_job *job = new_job(SLR_JOB_PUT_VALUE, name, NULL);
    if (job == NULL) {
        return SLR_NOMEM;
    }
    job->number = value;
    return post(s, job, done, ctx);
}

enum slr_err slr_store_put_document(struct slr_store *s, const char *recording, const char *kind,
                                    slr_wall when, const void *at, size_t len_bytes)
{
    struct slr_store_job *job = new_job(SLR_JOB_PUT_DOCUMENT, recording, kind);
    void *copy = malloc(len_bytes > 0 ? len_bytes : 1);
    if (job == NULL || copy == NULL) {
        free(copy);
        if (job != NULL) {
            free_job(job);
        }
        return SLR_NOMEM;
    }
    if (len_bytes > 0) {
        memcpy(copy, at, len_bytes);
    }
    job->blob = copy;
    job->blob_bytes = len_bytes;
    job->number = when.ns;
    return post(s, job, NULL, NULL);
}

/* Reads key and record of a whole table on a connection of its own. */
static enum slr_err each(struct slr_store *s, const char *sql, slr_store_row row, void *ctx)
{
    sqlite3 *db = NULL;
    enum slr_err err = slr_store_db_open_reader(s->path, &db);
    if (err != SLR_OK) {
        return err;
    }
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    while (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        rc = SQLITE_OK;
        const char *key = (const char *)sqlite3_column_text(st, 0);
        const void *text = sqlite3_column_blob(st, 1);
        json_t *record =
            text != NULL ? json_loadb(text, (size_t)sqlite3_column_bytes(st, 1), 0, NULL) : NULL;
        if (key != NULL && record != NULL) {
            row(ctx, key, record);
        } else {
            SLR_ERROR("store_record_damaged", "key=%s", SLR_Q(key != NULL ? key : ""));
        }
        json_decref(record);
    }
    sqlite3_finalize(st);
    sqlite3_close(db);
    return rc == SQLITE_DONE ? SLR_OK : slr_store_db_err(rc);
}

enum slr_err slr_store_each_dialog(struct slr_store *s, slr_store_row row, void *ctx)
{
    return each(s, "SELECT key,record FROM dialog ORDER BY key", row, ctx);
}

enum slr_err slr_store_each_call(struct slr_store *s, slr_store_row row, void *ctx)
{
    return each(s, "SELECT key,record FROM call ORDER BY key", row, ctx);
}

int64_t slr_store_value(struct slr_store *s, const char *name, int64_t def)
{
    sqlite3 *db = NULL;
    enum slr_err err = slr_store_db_open_reader(s->path, &db);
    if (err != SLR_OK) {
        SLR_ERROR("store_value", "name=%s err=%s", SLR_Q(name), slr_err_name(err));
        return def;
    }
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, "SELECT value FROM value WHERE name=?1", -1, &st, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
    }
    if (rc == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW) {
        def = sqlite3_column_int64(st, 0);
    }
    sqlite3_finalize(st);
    sqlite3_close(db);
    return def;
}
