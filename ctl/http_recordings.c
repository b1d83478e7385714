/*
 * http_recordings: listing, showing and deleting recordings. Runs on the connection's thread, which
 * may wait for the disk here; opens a catalogue connection for each request.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "ctl/catalogue.h"
#include "ctl/http_internal.h"
#include "ctl/http_query.h"

#define DELETE_MS 10000
#define STORE_WAIT_S 2
#define LEDGER_MAX_BYTES (64u << 20)
#define NAME_SIZE 512

static const char *text_of(const json_t *record, const char *name)
{
    const char *text = json_string_value(json_object_get(record, name));
    return text != NULL ? text : "";
}

static void add_time(json_t *record, const char *from, const char *to)
{
    const json_t *ns = json_object_get(record, from);
    char text[32];
    if (json_is_integer(ns)) {
        slr_wall_format((slr_wall){json_integer_value(ns)}, text);
        json_object_set_new(record, to, json_string(text));
    }
}

const char *slr_http_remote(const json_t *record)
{
    const char *address = text_of(record, "remote");
    return address[0] != '\0' ? address : NULL;
}

/* Each of several files has a path of its own. */
static void present_files(const json_t *record)
{
    size_t i = 0;
    json_t *one = NULL;
    json_array_foreach(json_object_get(record, "files"), i, one)
    {
        const json_t *channel = json_object_get(one, "channel");
        json_object_set_new(one, "media",
                            json_sprintf("/v1/recordings/%s/media?channel=%d",
                                         text_of(record, "id"), (int)json_integer_value(channel)));
    }
}

/* Adds what people read (times as text) and where the media is. */
static void present(json_t *record)
{
    add_time(record, "start_wall_ns", "start");
    add_time(record, "end_wall_ns", "end");
    if (text_of(record, "file")[0] != '\0' && slr_http_remote(record) == NULL) {
        json_object_set_new(record, "media",
                            json_sprintf("/v1/recordings/%s/media", text_of(record, "id")));
        present_files(record);
    }
}

struct query_reader {
    struct slr_catalogue_query q;
    enum slr_err err;
    char why[192];
};

static enum MHD_Result read_param(void *ctx, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    (void)kind;
    struct query_reader *reader = ctx;
    const char *expected = "";
    reader->err = slr_http_query_set(&reader->q, name, value != NULL ? value : "", &expected);
    if (reader->err == SLR_NOTFOUND) {
        snprintf(reader->why, sizeof(reader->why), "unknown parameter \"%.40s\"", name);
    } else if (reader->err != SLR_OK) {
        snprintf(reader->why, sizeof(reader->why), "parameter \"%.40s\": expected %s", name,
                 expected);
    }
    return reader->err == SLR_OK ? MHD_YES : MHD_NO;
}

static enum slr_err list(struct slr_http_request *r, const struct slr_catalogue_query *q,
                         json_t **out)
{
    struct slr_catalogue *c = NULL;
    json_t *rows = NULL;
    bool more = false;
    struct slr_cursor next;
    char cursor[SLR_CURSOR_SIZE];
    enum slr_err err = slr_catalogue_open(r->h->core_dir, &c);
    if (err == SLR_OK) {
        err = slr_catalogue_recordings(c, q, &rows, &more, &next);
    }
    slr_catalogue_close(c);
    if (err != SLR_OK) {
        return err;
    }
    size_t i = 0;
    json_t *row = NULL;
    json_array_foreach(rows, i, row)
    {
        present(row);
    }
    if (more) {
        slr_cursor_format(&next, cursor);
    }
    *out = json_pack("{s:o,s:o}", "recordings", rows, "next",
                     more ? json_string(cursor) : json_null());
    return *out != NULL ? SLR_OK : SLR_NOMEM;
}

enum MHD_Result slr_http_do_recordings(struct slr_http_request *r)
{
    struct query_reader reader = {.err = SLR_OK};
    json_t *answer = NULL;
    slr_http_query_init(&reader.q);
    (void)MHD_get_connection_values(r->connection, MHD_GET_ARGUMENT_KIND, read_param, &reader);
    if (reader.err != SLR_OK) {
        return slr_http_reply_problem(r, MHD_HTTP_BAD_REQUEST, SLR_INVAL, reader.why);
    }
    enum slr_err err = list(r, &reader.q, &answer);
    return err == SLR_OK ? slr_http_reply_json(r, MHD_HTTP_OK, answer)
                         : slr_http_reply_problem(r, MHD_HTTP_INTERNAL_SERVER_ERROR, err,
                                                  "the catalogue cannot be read");
}

enum slr_err slr_http_find_recording(struct slr_http_request *r, json_t **record)
{
    struct slr_catalogue *c = NULL;
    *record = NULL;
    if (!slr_id_valid(r->id)) {
        return SLR_NOTFOUND;
    }
    enum slr_err err = slr_catalogue_open(r->h->core_dir, &c);
    if (err == SLR_OK) {
        err = slr_catalogue_recording(c, r->id, record);
    }
    slr_catalogue_close(c);
    if (err == SLR_OK && strcmp(text_of(*record, "state"), "deleted") == 0) {
        json_decref(*record);
        *record = NULL;
        return SLR_NOTFOUND;
    }
    return err;
}

/* Next component of the path in name; false when there is none or it leads elsewhere. */
static bool take_component(struct slr_slice *rest, char name[static NAME_SIZE])
{
    struct slr_slice part;
    return slr_slice_take_token(rest, '/', &part) && part.len_bytes > 0 &&
           !slr_slice_eq(part, ".") && !slr_slice_eq(part, "..") &&
           slr_slice_to_str(part, name, NAME_SIZE);
}

/* openat2 would do this in one call, but containers refuse it; so it goes step by step. */
enum slr_err slr_http_open_rec(const struct slr_http *h, const char *name, int *fd)
{
    struct slr_slice rest = slr_slice_str(name);
    char part[NAME_SIZE];
    int at = open(h->rec_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (at >= 0) {
        if (!take_component(&rest, part)) {
            close(at);
            return SLR_FORMAT;
        }
        int flags = rest.len_bytes > 0 ? O_DIRECTORY : O_NONBLOCK | O_NOCTTY;
        int next = openat(at, part, flags | O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        int why = errno;
        close(at);
        errno = why;
        at = next;
        if (rest.len_bytes == 0) {
            break;
        }
    }
    struct stat st;
    if (at < 0) {
        return errno == ENOENT ? SLR_NOTFOUND : slr_err_from_errno(errno);
    }
    if (fstat(at, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(at);
        return SLR_FORMAT;
    }
    *fd = at;
    return SLR_OK;
}

json_t *slr_http_read_ledger(const struct slr_http *h, const char *name)
{
    int fd = -1;
    struct stat st;
    json_t *ledger = NULL;
    json_error_t why = {.text = ""};
    enum slr_err err = slr_http_open_rec(h, name, &fd);
    if (err == SLR_OK && (fstat(fd, &st) != 0 || st.st_size > (off_t)LEDGER_MAX_BYTES)) {
        err = SLR_TOOLONG;
    }
    if (err == SLR_OK) {
        ledger = json_loadfd(fd, 0, &why);
        err = ledger != NULL ? SLR_OK : SLR_FORMAT;
    }
    if (fd >= 0) {
        close(fd);
    }
    if (err != SLR_OK) {
        SLR_WARN("http_ledger_unreadable", "file=%s err=%s text=%s", SLR_Q(name), slr_err_name(err),
                 SLR_Q(why.text));
    }
    return ledger;
}

enum MHD_Result slr_http_do_recording(struct slr_http_request *r)
{
    json_t *record = NULL;
    enum slr_err err = slr_http_find_recording(r, &record);
    if (err != SLR_OK) {
        return slr_http_reply_error(r, err, NULL);
    }
    present(record);
    const json_t *name = json_object_get(record, "ledger");
    if (json_is_string(name)) {
        json_object_set(record, "ledger_file", json_object_get(record, "ledger"));
        bool here = slr_http_remote(record) == NULL;
        json_t *ledger = here ? slr_http_read_ledger(r->h, json_string_value(name)) : NULL;
        json_object_set_new(record, "ledger", ledger != NULL ? ledger : json_null());
    }
    return slr_http_reply_json(r, MHD_HTTP_OK, record);
}

/* Shared by the asking thread and the store's thread; the last one frees it. */
struct store_waiter {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int holders;
    bool done;
};

static void release(struct store_waiter *w)
{
    pthread_mutex_lock(&w->lock);
    bool last = --w->holders == 0;
    pthread_mutex_unlock(&w->lock);
    if (last) {
        pthread_cond_destroy(&w->wake);
        pthread_mutex_destroy(&w->lock);
        free(w);
    }
}

static void stored(void *ctx, enum slr_err result)
{
    struct store_waiter *w = ctx;
    if (result != SLR_OK) {
        SLR_ERROR("http_delete_not_stored", "err=%s", slr_err_name(result));
    }
    pthread_mutex_lock(&w->lock);
    w->done = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    release(w);
}

static void wait_stored(struct store_waiter *w)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STORE_WAIT_S;
    pthread_mutex_lock(&w->lock);
    while (!w->done && pthread_cond_timedwait(&w->wake, &w->lock, &until) == 0) {
    }
    pthread_mutex_unlock(&w->lock);
}

/* Marks the record, and waits (for a while) so that the next question sees it gone. */
static void mark_deleted(struct slr_http_request *r)
{
    struct store_waiter *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        SLR_ERROR("http_delete_not_stored", "recording=%s err=NOMEM", r->id);
        return;
    }
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    w->holders = 2;
    json_t *record = json_pack("{s:s,s:s}", "id", r->id, "state", "deleted");
    enum slr_err err = slr_store_put_recording(r->h->store, record, stored, w);
    if (err != SLR_OK) {
        stored(w, err); /* nobody else will */
    }
    wait_stored(w);
    release(w);
}

enum MHD_Result slr_http_do_remove(struct slr_http_request *r)
{
    json_t *record = NULL;
    enum slr_err err = slr_http_find_recording(r, &record);
    if (err != SLR_OK) {
        return slr_http_reply_error(r, err, NULL);
    }
    const char *state = text_of(record, "state");
    bool open_still = strcmp(state, "open") == 0 || strcmp(state, "sealing") == 0;
    bool remote = slr_http_remote(record) != NULL;
    json_decref(record);
    if (remote) {
        slr_http_audit(r, "delete", r->id, SLR_CONFLICT);
        return slr_http_reply_problem(r, MHD_HTTP_CONFLICT, SLR_CONFLICT,
                                      "the recording is another host's");
    }
    json_t *answer = NULL;
    err = open_still ? SLR_BUSY : slr_http_ask(r, SLR_CORE_DELETE, r->id, 0, DELETE_MS, &answer);
    slr_http_audit(r, "delete", r->id, err);
    if (err == SLR_NOTFOUND) { /* the files are gone already: so it is what was asked for */
        json_decref(answer);
        answer = json_pack("{s:[]}", "removed");
        err = SLR_OK;
    }
    if (err != SLR_OK) {
        return slr_http_reply_error(r, err, answer);
    }
    mark_deleted(r);
    json_object_set_new(answer, "id", json_string(r->id));
    return slr_http_reply_json(r, MHD_HTTP_OK, answer);
}
