/*
 * sealer: finish the container, hash, ledger, fsync and rename, event, free the slots. Blocks on
 * the disk; a failure leaves everything as it is and is tried again a second later.
 */
#include "engine/sealer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/thread_name.h"
#include "engine/cuts.h"
#include "engine/ledger_fill.h"
#include "engine/queue.h"
#include "storage/seal.h"

enum slr_err slr_sealer_init(struct slr_sealer *s)
{
    s->waiting = calloc(s->state->session_max, sizeof *s->waiting);
    s->deletes_tail = &s->deletes;
    pthread_mutex_init(&s->lock, NULL);
    return s->waiting ? SLR_OK : SLR_NOMEM;
}

void slr_sealer_fini(struct slr_sealer *s)
{
    for (struct slr_delete_job *j = s->deletes; j;) {
        struct slr_delete_job *next = j->next;
        free(j);
        j = next;
    }
    s->deletes = NULL;
    free(s->waiting);
    s->waiting = NULL;
    pthread_mutex_destroy(&s->lock);
}

/* Where pauses are to be cut out. */
static enum slr_err find_cuts(const struct slr_session *session, struct slr_sealed *sealed,
                              const struct slr_journal *journal)
{
    if (!session->output.cut_pauses) {
        return SLR_OK;
    }
    enum slr_err err = slr_cuts_find(journal, atomic_load(&session->leg_count), &session->shape,
                                     &sealed->cut, &sealed->cut_count);
    slr_output_apply(&session->output, &session->shape, sealed->cut_count > 0, &sealed->plan);
    return err;
}

/* The working file is complete; it is the final one, or those are made from it. */
static enum slr_err make_final(struct slr_sealer *s, const struct slr_session *session,
                               struct slr_sealed *sealed, struct slr_recfile *f)
{
    const struct slr_container *wav = slr_container_by_name("wav");
    struct slr_sink *media = &f->media.base;
    uint64_t offset_bytes = 0, len_bytes = 0;
    wav->media_range(f->state, &offset_bytes, &len_bytes);
    if (sealed->plan.is_plain) {
        sealed->frames = slr_session_commit(session)->frames;
        sealed->file[0].media_offset_bytes = offset_bytes;
        sealed->file[0].media_len_bytes = len_bytes;
        return slr_hash_media(media, offset_bytes, len_bytes, sealed->file[0].hash);
    }
    struct slr_finish_job job = {.rec_fd = s->rec_fd,
                                 .id = session->id,
                                 .media = media,
                                 .offset_bytes = offset_bytes,
                                 .frames = slr_session_commit(session)->frames,
                                 .recorded = session->shape,
                                 .plan = &sealed->plan,
                                 .cut = sealed->cut,
                                 .cut_count = sealed->cut_count,
                                 .opus_bps = s->opus_bps,
                                 .opus_complexity = s->opus_complexity,
                                 .stop = &s->stop};
    return slr_finish_run(&job, sealed->file, &sealed->frames);
}

/* What is known of the sound. Where some of that is gone there is the sound, and no cuts. */
static enum slr_err read_journal(struct slr_session *session, struct slr_sealed *sealed,
                                 int spans_fd, struct slr_journal *journal)
{
    uint64_t bytes = slr_session_commit(session)->spans_bytes;
    enum slr_err err = slr_journal_read(spans_fd, bytes, journal);
    if (err != SLR_OK || !journal->is_cut) {
        return err == SLR_OK ? find_cuts(session, sealed, journal) : err;
    }
    SLR_ERROR("journal_damaged", "session=%s entries=%llu bytes=%llu", session->id,
              (unsigned long long)journal->count, (unsigned long long)bytes);
    session->damaged = true;
    return SLR_OK;
}

/* journal: the caller's, also after an error. */
static enum slr_err finish_media(struct slr_sealer *s, struct slr_session *session,
                                 struct slr_sealed *sealed, struct slr_journal *journal)
{
    static const struct slr_recfile empty;
    struct slr_recfile f = empty;
    const struct slr_container *wav = slr_container_by_name("wav");
    enum slr_err err = slr_recfile_open(&f, s->rec_fd, session);
    if (err != SLR_OK) {
        return err;
    }
    err = wav->finish(f.state);
    if (err == SLR_OK) {
        err = slr_recfile_open_spans(&f, s->rec_fd, session->id);
    }
    if (err == SLR_OK) {
        err = read_journal(session, sealed, f.spans_fd, journal);
    }
    if (err == SLR_OK) {
        err = make_final(s, session, sealed, &f);
    }
    if (session->damaged && strcmp(sealed->state, "sealed") == 0) {
        sealed->state = "partial";
    }
    slr_recfile_close(&f);
    return err;
}

static enum slr_err write_ledger(struct slr_sealer *s, const struct slr_session *session,
                                 const struct slr_sealed *sealed, const struct slr_journal *journal)
{
    char *text = NULL;
    size_t len_bytes = 0;
    enum slr_err err = slr_ledger_fill(s->state, session, journal, sealed, &text, &len_bytes);
    if (err == SLR_OK) {
        err = slr_seal_write_file(s->rec_fd, sealed->ledger, text, len_bytes);
    }
    free(text);
    return err;
}

static bool exists(int dir_fd, const char *name)
{
    struct stat st;
    return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void read_media(const json_t *media, struct slr_final_file *f)
{
    const char *hash = json_string_value(json_object_get(media, "hash"));
    f->media_offset_bytes = (uint64_t)json_integer_value(json_object_get(media, "offset"));
    f->media_len_bytes = (uint64_t)json_integer_value(json_object_get(media, "len"));
    snprintf(f->hash, sizeof f->hash, "%.64s", hash ? hash : "");
}

/* Published by an earlier sealing whose event may not have left: the ledger, which was written
 * before, says what the event needs. */
static enum slr_err seal_again(struct slr_sealer *s, struct slr_sealed *sealed)
{
    int fd = openat(s->rec_fd, sealed->ledger, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return slr_err_from_errno(errno);
    }
    json_t *ledger = json_loadfd(fd, 0, NULL);
    close(fd);
    json_t *files = json_object_get(ledger, "files");
    read_media(json_object_get(ledger, "media"), &sealed->file[0]);
    for (uint32_t i = 1; i < sealed->plan.files; i++) {
        read_media(json_object_get(json_array_get(files, i), "media"), &sealed->file[i]);
    }
    sealed->frames = (uint64_t)json_integer_value(json_object_get(ledger, "frames"));
    json_decref(ledger);
    return sealed->file[0].hash[0] ? SLR_OK : SLR_FORMAT;
}

/* A part under its final name. What lies there is of an earlier attempt that told nobody, since the
 * working file is still there. */
static enum slr_err publish_part(struct slr_sealer *s, const struct slr_final_file *f)
{
    enum slr_err err = slr_seal_publish(s->rec_fd, f->part, f->file);
    if (err == SLR_EXISTS && unlinkat(s->rec_fd, f->file, 0) == 0) {
        err = slr_seal_publish(s->rec_fd, f->part, f->file);
    }
    return err;
}

/* The working file goes when everything made of it is on the disk under its final name. */
static enum slr_err publish_files(struct slr_sealer *s, const struct slr_sealed *sealed,
                                  const char *open_name)
{
    enum slr_err err = SLR_OK;
    if (sealed->plan.is_plain) {
        return slr_seal_publish(s->rec_fd, open_name, sealed->file[0].file);
    }
    for (uint32_t i = 0; i < sealed->plan.files && err == SLR_OK; i++) {
        err = publish_part(s, &sealed->file[i]);
    }
    if (err == SLR_OK && unlinkat(s->rec_fd, open_name, 0) != 0) {
        err = slr_err_from_errno(errno);
    }
    return err;
}

/* The ledger has what was in it. */
static void remove_spans(struct slr_sealer *s, const struct slr_session *session)
{
    char name[SLR_REC_NAME_SIZE];
    slr_recfile_name_spans(session->id, name);
    if (unlinkat(s->rec_fd, name, 0) != 0 && errno != ENOENT) {
        SLR_WARN("journal_unlink_failed", "session=%s errno=%d", session->id, errno);
    }
}

static enum slr_err publish(struct slr_sealer *s, struct slr_session *session,
                            struct slr_sealed *sealed)
{
    char open_name[SLR_REC_NAME_SIZE];
    char day[SLR_REC_NAME_SIZE];
    struct slr_journal journal = {0};
    slr_recfile_name_open(session->id, open_name);
    slr_recfile_name_day(session->id, day);
    if (mkdirat(s->rec_fd, day, 0700) != 0 && errno != EEXIST) {
        return slr_err_from_errno(errno);
    }
    if (!exists(s->rec_fd, open_name) && exists(s->rec_fd, sealed->file[0].file)) {
        enum slr_err again = seal_again(s, sealed);
        if (again == SLR_OK) {
            remove_spans(s, session);
        }
        return again;
    }
    enum slr_err err = finish_media(s, session, sealed, &journal);
    if (err == SLR_OK) {
        err = write_ledger(s, session, sealed, &journal);
    }
    slr_journal_free(&journal);
    if (err == SLR_OK) {
        err = publish_files(s, sealed, open_name);
    }
    if (err == SLR_OK) {
        remove_spans(s, session);
    }
    return err;
}

/* The session first: were its legs free before it, then after a death in between it would still
 * name slots that others have by now. Legs without a session are found at the next start. */
static void free_slots(struct slr_sealer *s, struct slr_session *session)
{
    uint32_t leg[sizeof session->leg / sizeof session->leg[0]];
    uint32_t n = atomic_load(&session->leg_count);
    for (uint32_t i = 0; i < n; i++) {
        leg[i] = atomic_load(&session->leg[i]);
    }
    atomic_store_explicit(&session->state, SLR_SESSION_FREE, memory_order_release);
    for (uint32_t i = 0; i < n; i++) {
        slr_queue_reset(s->state, leg[i]);
        atomic_store_explicit(&s->state->leg[leg[i]].state, SLR_LEG_FREE, memory_order_release);
    }
}

static enum slr_err seal(struct slr_sealer *s, struct slr_session *session)
{
    struct slr_sealed sealed = {.state = "sealed"};
    if (strcmp(session->end_reason, "orphan") == 0) {
        sealed.state = "orphan";
    } else if (strcmp(session->end_reason, "reboot") == 0 ||
               strcmp(session->end_reason, "restart") == 0) {
        sealed.state = "partial";
    }
    slr_output_apply(&session->output, &session->shape, false, &sealed.plan);
    for (uint32_t i = 0; i < sealed.plan.files; i++) {
        slr_finish_names(session->id, &sealed.plan, i, &sealed.file[i]);
    }
    slr_recfile_name_final(session->id, ".json", sealed.ledger);
    enum slr_err err = publish(s, session, &sealed);
    free(sealed.cut);
    sealed.cut = NULL;
    if (err == SLR_AGAIN) {
        return err; /* the engine ends: the next one makes the files */
    }
    if (err != SLR_OK) {
        slr_count(&s->counters.at[SLR_CTR_SEAL_RETRIES], 1);
        SLR_ERROR("seal_failed", "session=%s err=%s", session->id, slr_err_name(err));
        return err;
    }
    atomic_store(&session->published, 1); /* before somebody is told, who may delete it at once */
    json_t *ev = slr_ledger_event(s->state, session, &sealed);
    if (ev) {
        s->sink->emit(s->sink->ctx, ev);
    }
    slr_count(&s->counters.at[SLR_CTR_SEALED], 1);
    free_slots(s, session);
    return SLR_OK;
}

enum slr_err slr_sealer_delete(struct slr_sealer *s, const char *id)
{
    struct slr_delete_job *j = calloc(1, sizeof *j);
    if (!j) {
        return SLR_NOMEM;
    }
    snprintf(j->id, sizeof j->id, "%s", id);
    pthread_mutex_lock(&s->lock);
    bool room = s->delete_count < SLR_SEALER_DELETES;
    if (room) {
        *s->deletes_tail = j;
        s->deletes_tail = &j->next;
        s->delete_count++;
    }
    pthread_mutex_unlock(&s->lock);
    if (!room) {
        free(j);
        return SLR_FULL;
    }
    return SLR_OK;
}

static struct slr_delete_job *take_delete(struct slr_sealer *s)
{
    pthread_mutex_lock(&s->lock);
    struct slr_delete_job *j = s->deletes;
    if (j) {
        s->deletes = j->next;
        s->delete_count--;
        if (!s->deletes) {
            s->deletes_tail = &s->deletes;
        }
    }
    pthread_mutex_unlock(&s->lock);
    return j;
}

static void remove_file(struct slr_sealer *s, const char *id, const char *of, const char *extension)
{
    char tail[24], name[SLR_REC_NAME_SIZE];
    snprintf(tail, sizeof tail, "%s%s", of, extension);
    slr_recfile_name_final(id, tail, name);
    if (unlinkat(s->rec_fd, name, 0) != 0 && errno != ENOENT) {
        SLR_ERROR("delete_failed", "recording=%s file=%s errno=%d", id, name, errno);
    }
}

/* Every name that a recording may have: nothing says which format this one was made in. */
static void remove_recording(struct slr_sealer *s, const char *id)
{
    remove_file(s, id, "", ".json");
    for (size_t i = 0; slr_container_all()[i]; i++) {
        const char *extension = slr_container_all()[i]->extension;
        remove_file(s, id, "", extension);
        for (uint32_t channel = 0; channel < SLR_MAX_CHANNELS; channel++) {
            char of[12];
            snprintf(of, sizeof of, "-%u", channel);
            remove_file(s, id, of, extension);
        }
    }
    json_t *ev = json_pack("{s:s,s:s}", "ev", "deleted", "session", id);
    if (ev) {
        s->sink->emit(s->sink->ctx, ev);
    }
}

/* At the end of the queue. Under the lock. */
static void put_waiting(struct slr_sealer *s, uint32_t slot)
{
    s->waiting[(s->waiting_first + s->waiting_count) % s->state->session_max] = slot;
    s->waiting_count++;
}

/* What the writers handed over joins the queue. Under the lock. */
static void collect(struct slr_sealer *s)
{
    for (uint32_t i = 0; i < s->ring_count; i++) {
        void *item = slr_ring_take(&s->from_writers[i]);
        for (; item; item = slr_ring_take(&s->from_writers[i])) {
            put_waiting(s, (uint32_t)(uintptr_t)item - 1);
        }
    }
}

/* The oldest session to be sealed; SLR_NONE: none. */
static uint32_t take_waiting(struct slr_sealer *s)
{
    uint32_t slot = SLR_NONE;
    pthread_mutex_lock(&s->lock);
    collect(s);
    if (s->waiting_count > 0) {
        slot = s->waiting[s->waiting_first];
        s->waiting_first = (s->waiting_first + 1) % s->state->session_max;
        s->waiting_count--;
    }
    pthread_mutex_unlock(&s->lock);
    return slot;
}

uint32_t slr_sealer_step(struct slr_sealer *s)
{
    for (struct slr_delete_job *j = take_delete(s); j; j = take_delete(s)) {
        remove_recording(s, j->id);
        free(j);
    }
    uint32_t failed = 0;
    uint32_t slot = take_waiting(s);
    while (slot != SLR_NONE && failed < s->state->session_max) {
        if (seal(s, &s->state->session[slot]) != SLR_OK) {
            failed++;
            pthread_mutex_lock(&s->lock);
            put_waiting(s, slot);
            bool only_failed = s->waiting_count <= failed;
            pthread_mutex_unlock(&s->lock);
            if (only_failed) {
                break;
            }
        }
        slot = take_waiting(s);
    }
    return failed;
}

static void *run(void *arg)
{
    struct slr_sealer *s = arg;
    slr_thread_name("seal", 0);
    while (!atomic_load(&s->stop)) {
        uint32_t left = slr_sealer_step(s);
        struct timespec nap = {left ? 1 : 0, left ? 0 : 20 * SLR_NS_PER_MS};
        nanosleep(&nap, NULL);
    }
    return NULL;
}

enum slr_err slr_sealer_start(struct slr_sealer *s)
{
    for (uint32_t i = 0; i < SLR_SEALER_THREADS; i++) {
        if (pthread_create(&s->thread[i], NULL, run, s) != 0) {
            return i > 0 ? SLR_OK : SLR_NOMEM;
        }
        s->running++;
    }
    return SLR_OK;
}

void slr_sealer_stop(struct slr_sealer *s)
{
    atomic_store(&s->stop, true);
    for (; s->running > 0; s->running--) {
        pthread_join(s->thread[s->running - 1], NULL);
    }
}
