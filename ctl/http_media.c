/*
 * http_media: hands out a sealed recording's media file, whole or one range. Runs on the
 * connection's thread, which sends the file itself (sendfile) and may wait for the disk.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/http_internal.h"
#include "ctl/http_range.h"

#define ETAG_SIZE 96
#define HEADER_SIZE 256

struct media {
    int fd;
    uint64_t size_bytes;
    uint64_t first_bytes, len_bytes; /* what to send */
    unsigned status;
    char etag[ETAG_SIZE]; /* with quotes; empty: none */
    char mime[64];
    char name[128]; /* proposed to who saves it */
};

static const char *text_of(const json_t *record, const char *name)
{
    const char *text = json_string_value(json_object_get(record, name));
    return text != NULL ? text : "";
}

/* Last path component with nothing in it that could end a quoted string. */
static void safe_name(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/');
    snprintf(out, size, "%s", slash != NULL ? slash + 1 : path);
    for (char *ch = out; *ch != '\0'; ch++) {
        if (*ch < ' ' || *ch > '~' || *ch == '"' || *ch == '\\') {
            *ch = '_';
        }
    }
}

/* The object that names the file: the record, or one of its `files` where a channel is asked for.
 * NULL: no such channel. */
static const json_t *choose_file(const struct slr_http_request *r, const json_t *record)
{
    const char *want = MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, "channel");
    const json_t *files = json_object_get(record, "files");
    uint64_t channel = 0;
    if (want == NULL) {
        return record;
    }
    if (!slr_slice_to_u64(slr_slice_str(want), UINT8_MAX, &channel)) {
        return NULL;
    }
    for (size_t i = 0; i < json_array_size(files); i++) {
        const json_t *one = json_array_get(files, i);
        const json_t *number = json_object_get(one, "channel");
        if (json_is_integer(number) && json_integer_value(number) == (json_int_t)channel) {
            return one;
        }
    }
    return NULL;
}

static void describe(const json_t *record, const json_t *file, struct media *m)
{
    const char *hash = text_of(file, "media_hash");
    const char *mime = text_of(record, "mime");
    m->etag[0] = '\0';
    if (hash[0] != '\0' && strlen(hash) < ETAG_SIZE - 3 &&
        strspn(hash, "0123456789abcdefABCDEF") == strlen(hash)) {
        snprintf(m->etag, sizeof(m->etag), "\"%s\"", hash);
    }
    bool good = mime[0] != '\0' && strlen(mime) < sizeof(m->mime);
    snprintf(m->mime, sizeof(m->mime), "%s", good ? mime : "application/octet-stream");
    safe_name(text_of(file, "file"), m->name, sizeof(m->name));
}

/* Status and part by the conditional headers, in the order of RFC 9110 section 13.2.2. */
static void choose_part(const struct slr_http_request *r, struct media *m)
{
    const char *none = slr_http_header(r, "If-None-Match");
    const char *range = slr_http_header(r, "Range");
    const char *if_range = slr_http_header(r, "If-Range");
    m->status = MHD_HTTP_OK;
    m->first_bytes = 0;
    m->len_bytes = m->size_bytes;
    if (none != NULL && m->etag[0] != '\0' &&
        slr_http_range_etag_matches(slr_slice_str(none), m->etag, true)) {
        m->status = MHD_HTTP_NOT_MODIFIED;
        return;
    }
    bool wanted =
        range != NULL && (if_range == NULL ||
                          (m->etag[0] != '\0' &&
                           slr_http_range_etag_matches(slr_slice_str(if_range), m->etag, false)));
    if (!wanted) {
        return;
    }
    switch (
        slr_http_range_parse(slr_slice_str(range), m->size_bytes, &m->first_bytes, &m->len_bytes)) {
    case SLR_RANGE_WHOLE:
        return;
    case SLR_RANGE_PART:
        m->status = MHD_HTTP_PARTIAL_CONTENT;
        return;
    case SLR_RANGE_UNSATISFIABLE:
        m->status = MHD_HTTP_RANGE_NOT_SATISFIABLE;
        return;
    }
}

static bool add_headers(struct MHD_Response *response, const struct media *m)
{
    char text[HEADER_SIZE];
    bool ok = MHD_add_response_header(response, "Accept-Ranges", "bytes") == MHD_YES &&
              MHD_add_response_header(response, "Cache-Control", "private, no-cache") == MHD_YES;
    if (ok && m->etag[0] != '\0') {
        ok = MHD_add_response_header(response, "ETag", m->etag) == MHD_YES;
    }
    if (ok && m->status == MHD_HTTP_RANGE_NOT_SATISFIABLE) {
        snprintf(text, sizeof(text), "bytes */%llu", (unsigned long long)m->size_bytes);
        ok = MHD_add_response_header(response, "Content-Range", text) == MHD_YES;
    }
    if (ok && m->status == MHD_HTTP_PARTIAL_CONTENT) {
        snprintf(text, sizeof(text), "bytes %llu-%llu/%llu", (unsigned long long)m->first_bytes,
                 (unsigned long long)(m->first_bytes + m->len_bytes - 1),
                 (unsigned long long)m->size_bytes);
        ok = MHD_add_response_header(response, "Content-Range", text) == MHD_YES;
    }
    if (ok && (m->status == MHD_HTTP_OK || m->status == MHD_HTTP_PARTIAL_CONTENT)) {
        snprintf(text, sizeof(text), "attachment; filename=\"%s\"", m->name);
        ok = MHD_add_response_header(response, "Content-Type", m->mime) == MHD_YES &&
             MHD_add_response_header(response, "Content-Disposition", text) == MHD_YES;
    }
    return ok;
}

/* The descriptor goes with the response, or is closed here. */
static enum MHD_Result send_media(struct slr_http_request *r, struct media *m)
{
    struct MHD_Response *response = NULL;
    bool with_body = m->status == MHD_HTTP_OK || m->status == MHD_HTTP_PARTIAL_CONTENT;
    if (with_body && m->len_bytes > 0) {
        response = MHD_create_response_from_fd_at_offset64(m->len_bytes, m->fd, m->first_bytes);
    } else {
        response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    }
    if (response == NULL || !with_body || m->len_bytes == 0) {
        close(m->fd);
    }
    if (response == NULL) {
        return MHD_NO;
    }
    if (!add_headers(response, m)) {
        MHD_destroy_response(response);
        return MHD_NO;
    }
    if (with_body) {
        slr_count(&r->h->count[SLR_HTTP_MEDIA_BYTES], m->len_bytes);
    }
    return slr_http_reply_queue(r, m->status, response);
}

/* SLR_INVAL: no such channel. */
static enum slr_err open_file(struct slr_http_request *r, const json_t *record, struct media *m)
{
    const json_t *chosen = choose_file(r, record);
    if (chosen == NULL) {
        return SLR_INVAL;
    }
    const char *file = text_of(chosen, "file");
    describe(record, chosen, m);
    return file[0] != '\0' ? slr_http_open_rec(r->h, file, &m->fd) : SLR_NOTFOUND;
}

/* A recording whose WAV is gone has its final files, of which the catalogue has not heard yet: the
 * ledger knows them. False: it is no such recording. */
static bool renew(const struct slr_http *h, json_t *record)
{
    const char *encoding = text_of(record, "encoding");
    if (strcmp(encoding, "pending") != 0 && strcmp(encoding, "failed") != 0) {
        return false;
    }
    json_t *ledger = slr_http_read_ledger(h, text_of(record, "ledger"));
    json_t *files = json_object_get(ledger, "files"), *one = NULL;
    size_t i = 0;
    json_array_foreach(files, i, one)
    {
        json_object_set(one, "media_hash", json_object_get(json_object_get(one, "media"), "hash"));
    }
    if (ledger != NULL) {
        json_object_set(record, "file", json_object_get(ledger, "file"));
        json_object_set(record, "mime", json_object_get(ledger, "mime"));
        json_object_set(record, "media_hash",
                        json_object_get(json_object_get(ledger, "media"), "hash"));
    }
    if (files != NULL) {
        json_object_set(record, "files", files);
    }
    json_decref(ledger);
    return ledger != NULL;
}

enum MHD_Result slr_http_do_media(struct slr_http_request *r)
{
    json_t *record = NULL;
    struct stat st;
    struct media m = {.fd = -1};
    enum slr_err err = slr_http_find_recording(r, &record);
    if (err != SLR_OK) {
        return slr_http_reply_error(r, err, NULL);
    }
    if (slr_http_remote(record) != NULL) {
        json_decref(record);
        return slr_http_reply_problem(r, MHD_HTTP_NOT_FOUND, SLR_NOTFOUND,
                                      "the media is on another host, see engine and remote");
    }
    const char *state = text_of(record, "state");
    if (strcmp(state, "open") == 0 || strcmp(state, "sealing") == 0) {
        json_decref(record);
        return slr_http_reply_problem(r, MHD_HTTP_CONFLICT, SLR_BUSY,
                                      "the recording is still being made");
    }
    err = open_file(r, record, &m);
    if (err == SLR_NOTFOUND && renew(r->h, record)) {
        err = open_file(r, record, &m);
    }
    json_decref(record);
    if (err == SLR_INVAL) {
        return slr_http_reply_problem(r, MHD_HTTP_NOT_FOUND, SLR_NOTFOUND,
                                      "channel has no file of its own (see files)");
    }
    if (err == SLR_OK && fstat(m.fd, &st) != 0) {
        close(m.fd);
        err = SLR_IO;
    }
    if (err != SLR_OK) {
        return err == SLR_NOTFOUND
                   ? slr_http_reply_problem(r, MHD_HTTP_NOT_FOUND, err, "no media file is kept")
                   : slr_http_reply_problem(r, MHD_HTTP_INTERNAL_SERVER_ERROR, err,
                                            "the media file cannot be opened");
    }
    m.size_bytes = (uint64_t)st.st_size;
    choose_part(r, &m);
    return send_media(r, &m);
}
