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
#include "engine/encode.h"
#include "engine/queue.h"
#include "engine/spill.h"
#include "storage/seal.h"

enum slr_err slr_sealer_init(struct slr_sealer *s)
{
    s->waiting = calloc(s->state->session_max, sizeof *s->waiting);
    s->put_off = calloc(s->state->session_max, sizeof *s->put_off);
    s->deletes_tail = &s->deletes;
    pthread_mutex_init(&s->lock, NULL);
    return s->waiting && s->put_off ? SLR_OK : SLR_NOMEM;
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
    free((uint8_t *)(uintptr_t)s->put_off);
    s->put_off = NULL;
    pthread_mutex_destroy(&s->lock);
}

/* Where pauses are to be cut out. */
static enum slr_err find_cuts(struct slr_seal_work *w)
{
    const struct slr_session *session = w->session;
    struct slr_sealed *sealed = &w->sealed;
    if (!session->output.cut_pauses) {
        return SLR_OK;
    }
    enum slr_err err = slr_cuts_find(&w->journal, atomic_load(&session->leg_count), &session->shape,
                                     &sealed->cut, &sealed->cut_count);
    if (!w->put_off) {
        slr_output_apply(&session->output, &session->shape, sealed->cut_count > 0, &sealed->plan);
    }
    return err;
}

/* The working file is complete; it is the final one, or those are to be made from it. */
static enum slr_err prepare_final(struct slr_sealer *s, struct slr_seal_work *w)
{
    const struct slr_session *session = w->session;
    const struct slr_container *wav = slr_container_by_name("wav");
    struct slr_sealed *sealed = &w->sealed;
    struct slr_sink *media = &w->file.media.base;
    uint64_t offset_bytes = 0, len_bytes = 0;
    wav->media_range(w->file.state, &offset_bytes, &len_bytes);
    if (sealed->plan.is_plain) {
        sealed->frames = slr_session_commit(session)->frames;
        sealed->file[0].media_offset_bytes = offset_bytes;
        sealed->file[0].media_len_bytes = len_bytes;
        return slr_hash_media(media, offset_bytes, len_bytes, sealed->file[0].hash);
    }
    w->job = (struct slr_finish_job){.rec_fd = s->rec_fd,
                                     .id = session->id,
                                     .media = media,
                                     .offset_bytes = offset_bytes,
                                     .frames = slr_session_commit(session)->frames,
                                     .recorded = session->shape,
                                     .plan = &sealed->plan,
                                     .cut = sealed->cut,
                                     .cut_count = sealed->cut_count,
                                     .opus_bps = s->opus_bps,
                                     .opus_complexity = s->opus_complexity};
    w->to_encode = true;
    return SLR_OK;
}

/* What is known of the sound. Where some of that is gone there is the sound, and no cuts. */
static enum slr_err read_journal(struct slr_seal_work *w)
{
    struct slr_session *session = w->session;
    uint64_t bytes = slr_session_commit(session)->spans_bytes;
    enum slr_err err = slr_journal_read(w->file.spans_fd, bytes, &w->journal);
    if (err != SLR_OK || !w->journal.is_cut) {
        return err == SLR_OK ? find_cuts(w) : err;
    }
    SLR_ERROR("journal_damaged", "session=%s entries=%llu bytes=%llu", session->id,
              (unsigned long long)w->journal.count, (unsigned long long)bytes);
    session->damaged = true;
    return SLR_OK;
}

static enum slr_err open_media(struct slr_sealer *s, struct slr_seal_work *w)
{
    const struct slr_container *wav = slr_container_by_name("wav");
    enum slr_err err = slr_recfile_open(&w->file, s->rec_fd, w->session);
    if (err != SLR_OK) {
        return err;
    }
    err = wav->finish(w->file.state);
    if (err == SLR_OK) {
        err = slr_recfile_open_spans(&w->file, s->rec_fd, w->session->id);
    }
    if (err == SLR_OK) {
        err = read_journal(w);
    }
    return err == SLR_OK ? prepare_final(s, w) : err;
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

/* The working file goes when everything made of it is on the disk under its final name. */
static enum slr_err publish_files(struct slr_sealer *s, const struct slr_sealed *sealed,
                                  const char *open_name)
{
    enum slr_err err = SLR_OK;
    if (sealed->plan.is_plain) {
        return slr_seal_publish(s->rec_fd, open_name, sealed->file[0].file);
    }
    for (uint32_t i = 0; i < sealed->plan.files && err == SLR_OK; i++) {
        err = slr_finish_publish(s->rec_fd, &sealed->file[i]);
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

/* What it is to be, and how it is called. Put off by an earlier process, it stays so. */
static void choose_names(struct slr_sealer *s, struct slr_seal_work *w)
{
    struct slr_session *session = w->session;
    struct slr_sealed *sealed = &w->sealed;
    char encode_name[SLR_REC_NAME_SIZE];
    slr_recfile_name_encode(session->id, encode_name);
    sealed->state = "sealed";
    if (strcmp(session->end_reason, "orphan") == 0) {
        sealed->state = "orphan";
    } else if (strcmp(session->end_reason, "reboot") == 0 ||
               strcmp(session->end_reason, "restart") == 0) {
        sealed->state = "partial";
    }
    slr_recfile_name_final(session->id, ".json", sealed->ledger);
    w->put_off = w->put_off || exists(s->rec_fd, encode_name);
    if (w->put_off) {
        static const struct slr_output as_recorded;
        slr_output_apply(&as_recorded, &session->shape, false, &sealed->plan);
        sealed->put_off = true;
        sealed->opus_bps = s->opus_bps;
        sealed->opus_complexity = s->opus_complexity;
        memcpy(sealed->file[0].file, encode_name, sizeof encode_name);
        return;
    }
    slr_output_apply(&session->output, &session->shape, false, &sealed->plan);
    for (uint32_t i = 0; i < sealed->plan.files; i++) {
        slr_finish_names(session->id, &sealed->plan, i, &sealed->file[i]);
    }
}

/* What grew on the second volume goes to where the rest of it is. */
static enum slr_err bring_home(struct slr_sealer *s, struct slr_session *session)
{
    uint32_t slot = (uint32_t)(session - s->state->session);
    enum slr_err err = SLR_OK;
    if (s->home && atomic_load(&s->home[slot]) != 0) {
        err = slr_spill_bring_home(s->rec_fd, s->spill_fd, session);
        if (err == SLR_OK) {
            atomic_store(&s->home[slot], 0);
        }
    }
    return err;
}

enum slr_err slr_seal_begin(struct slr_sealer *s, struct slr_seal_work *w)
{
    char open_name[SLR_REC_NAME_SIZE];
    char day[SLR_REC_NAME_SIZE];
    enum slr_err home = bring_home(s, w->session);
    if (home != SLR_OK) {
        return home;
    }
    slr_recfile_name_open(w->session->id, open_name);
    slr_recfile_name_day(w->session->id, day);
    choose_names(s, w);
    if (mkdirat(s->rec_fd, day, 0700) != 0 && errno != EEXIST) {
        return slr_err_from_errno(errno);
    }
    if (!exists(s->rec_fd, open_name) && exists(s->rec_fd, w->sealed.file[0].file)) {
        w->again = true;
        return seal_again(s, &w->sealed);
    }
    return open_media(s, w);
}

void slr_seal_drop(struct slr_seal_work *w)
{
    slr_recfile_close(&w->file);
    slr_journal_free(&w->journal);
    free(w->sealed.cut);
    *w = (struct slr_seal_work){.session = w->session};
}

/* On the disk, all of it. */
static enum slr_err publish(struct slr_sealer *s, struct slr_seal_work *w)
{
    char open_name[SLR_REC_NAME_SIZE];
    slr_recfile_name_open(w->session->id, open_name);
    if (w->session->damaged && strcmp(w->sealed.state, "sealed") == 0) {
        w->sealed.state = "partial";
    }
    slr_recfile_close(&w->file);
    enum slr_err err = w->again ? SLR_OK : write_ledger(s, w->session, &w->sealed, &w->journal);
    if (err == SLR_OK && !w->again) {
        err = publish_files(s, &w->sealed, open_name);
    }
    if (err == SLR_OK) {
        remove_spans(s, w->session);
    }
    return err;
}

enum slr_err slr_seal_end(struct slr_sealer *s, struct slr_seal_work *w)
{
    struct slr_session *session = w->session;
    enum slr_err err = publish(s, w);
    if (err != SLR_OK) {
        return err;
    }
    char id[SLR_ID_SIZE];
    int64_t len_ms = slr_ns_from_ticks(atomic_load(&session->end_ticks)) / SLR_NS_PER_MS;
    bool put_off = w->put_off;
    memcpy(id, session->id, sizeof id);
    atomic_store(&session->published, 1); /* before somebody is told, who may delete it at once */
    json_t *ev = slr_ledger_event(s->state, session, &w->sealed);
    if (ev) {
        s->sink->emit(s->sink->ctx, ev);
    }
    slr_count(&s->counters.at[SLR_CTR_SEALED], 1);
    slr_seal_drop(w);
    free_slots(s, session);
    if (put_off && s->encode) {
        slr_encode_put(s->encode, id, len_ms); /* told of first */
    }
    return SLR_OK;
}

/* At the end of the queue. Under the lock. */
static void put_waiting(struct slr_sealer *s, uint32_t slot)
{
    s->waiting[(s->waiting_first + s->waiting_count) % s->state->session_max] = slot;
    s->waiting_count++;
}

/* Handed to the encoders, or to be sealed as WAV. */
static bool is_offered(struct slr_sealer *s, const struct slr_session *session, uint32_t slot)
{
    struct slr_output_plan plan;
    char name[SLR_REC_NAME_SIZE];
    slr_output_apply(&session->output, &session->shape, false, &plan);
    slr_recfile_name_encode(session->id, name);
    if (!s->encode || plan.is_plain || exists(s->rec_fd, name)) {
        return false;
    }
    if (!atomic_load(&s->put_off[slot]) && slr_encode_offer(s->encode, slot)) {
        return true;
    }
    atomic_store(&s->put_off[slot], 1); /* it does not change its mind */
    return false;
}

static enum slr_err seal(struct slr_sealer *s, uint32_t slot)
{
    struct slr_session *session = &s->state->session[slot];
    struct slr_seal_work w = {.session = session};
    if (atomic_load_explicit(&session->state, memory_order_acquire) != SLR_SESSION_SEALING) {
        SLR_ERROR("not_to_be_sealed", "session=%s", session->id);
        return SLR_OK;
    }
    if (is_offered(s, session, slot)) {
        return SLR_OK;
    }
    w.put_off = atomic_load(&s->put_off[slot]) != 0;
    enum slr_err err = slr_seal_begin(s, &w);
    if (err == SLR_OK && w.to_encode) {
        w.job.stop = &s->stop;
        err = slr_finish_run(&w.job, w.sealed.file, &w.sealed.frames);
    }
    if (err == SLR_OK) {
        atomic_store(&s->put_off[slot], 0); /* the slot is somebody else's soon */
        err = slr_seal_end(s, &w);
    }
    if (err == SLR_OK) {
        return SLR_OK;
    }
    atomic_store(&s->put_off[slot], w.put_off);
    slr_seal_drop(&w);
    if (err != SLR_AGAIN) { /* else the engine ends: the next one makes the files */
        slr_count(&s->counters.at[SLR_CTR_SEAL_RETRIES], 1);
        SLR_ERROR("seal_failed", "session=%s err=%s", session->id, slr_err_name(err));
    }
    return err;
}

void slr_sealer_put_off(struct slr_sealer *s, uint32_t session)
{
    atomic_store(&s->put_off[session], 1);
    pthread_mutex_lock(&s->lock);
    put_waiting(s, session);
    pthread_mutex_unlock(&s->lock);
}

/* Under the lock. */
static void put_delete(struct slr_sealer *s, struct slr_delete_job *j)
{
    j->next = NULL;
    *s->deletes_tail = j;
    s->deletes_tail = &j->next;
    s->delete_count++;
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
        put_delete(s, j);
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

/* Every name that a recording may have: nothing says which format this one was made in. False: it
 * is just being encoded. */
static bool remove_recording(struct slr_sealer *s, const char *id)
{
    char name[SLR_REC_NAME_SIZE];
    if (s->encode && slr_encode_cancel(s->encode, id) == SLR_BUSY) {
        return false;
    }
    remove_file(s, id, "", ".json");
    slr_recfile_name_encode(id, name);
    if (unlinkat(s->rec_fd, name, 0) != 0 && errno != ENOENT) {
        SLR_ERROR("delete_failed", "recording=%s file=%s errno=%d", id, name, errno);
    }
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
    return true;
}

/* What was being encoded is asked for again, in the next step. */
static void remove_waiting(struct slr_sealer *s)
{
    pthread_mutex_lock(&s->lock);
    uint32_t most = s->delete_count;
    pthread_mutex_unlock(&s->lock);
    for (uint32_t i = 0; i < most; i++) {
        struct slr_delete_job *j = take_delete(s);
        if (j && !remove_recording(s, j->id)) {
            pthread_mutex_lock(&s->lock);
            put_delete(s, j);
            pthread_mutex_unlock(&s->lock);
        } else {
            free(j);
        }
    }
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
    remove_waiting(s);
    uint32_t failed = 0;
    uint32_t slot = take_waiting(s);
    while (slot != SLR_NONE && failed < s->state->session_max) {
        if (seal(s, slot) != SLR_OK) {
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
