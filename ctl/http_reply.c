/*
 * http_reply: makes and queues answers. Runs on the connection's thread; allocates the answer.
 */
#include <stdlib.h>
#include <string.h>

#include "ctl/http_internal.h"

static const struct status_title {
    unsigned status;
    const char *title;
} titles[] = {{400, "Bad request"},
              {401, "A token is needed"},
              {403, "Not allowed"},
              {404, "Not found"},
              {405, "Method not allowed"},
              {409, "Not possible in this state"},
              {413, "Body too large"},
              {414, "Address too long"},
              {415, "Content type not accepted"},
              {416, "Range not satisfiable"},
              {421, "Host not served here"},
              {500, "Internal error"},
              {501, "Not supported"},
              {503, "Not available now"},
              {504, "No answer in time"},
              {507, "No space left"}};

static const char *title_of(unsigned status)
{
    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++) {
        if (titles[i].status == status) {
            return titles[i].title;
        }
    }
    return "Error";
}

static unsigned status_of(enum slr_err err)
{
    switch (err) {
    case SLR_OK:
        return 200;
    case SLR_INVAL:
    case SLR_FORMAT:
    case SLR_TRUNCATED:
    case SLR_TOOLONG:
        return 400;
    case SLR_DENIED:
        return 403;
    case SLR_NOTFOUND:
        return 404;
    case SLR_STATE:
    case SLR_BUSY:
    case SLR_EXISTS:
    case SLR_CONFLICT:
        return 409;
    case SLR_UNSUPPORTED:
        return 501;
    case SLR_FULL:
    case SLR_AGAIN:
    case SLR_CLOSED:
    case SLR_EOF:
    case SLR_STALE:
        return 503;
    case SLR_TIMEOUT:
        return 504;
    case SLR_NOSPACE:
        return 507;
    case SLR_NOMEM:
    case SLR_IO:
    case SLR_VERSION:
    case SLR_ERR_COUNT:
        return 500;
    }
    return 500;
}

static enum slr_http_metric class_of(unsigned status)
{
    return status < 300   ? SLR_HTTP_2XX
           : status < 400 ? SLR_HTTP_3XX
           : status < 500 ? SLR_HTTP_4XX
                          : SLR_HTTP_5XX;
}

enum MHD_Result slr_http_reply_queue(struct slr_http_request *r, unsigned status,
                                     struct MHD_Response *response)
{
    if (response == NULL) {
        return MHD_NO;
    }
    enum MHD_Result ok = MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (ok == MHD_YES) {
        slr_count(&r->h->count[class_of(status)], 1);
        ok = MHD_queue_response(r->connection, status, response);
    }
    MHD_destroy_response(response);
    return ok;
}

static enum MHD_Result queue_text(struct slr_http_request *r, unsigned status, const char *type,
                                  const char *text, enum MHD_ResponseMemoryMode mode)
{
    /* The library wants a non-const pointer even where it copies. */
    void *at = (void *)(uintptr_t)text;
    struct MHD_Response *response = MHD_create_response_from_buffer(strlen(text), at, mode);
    if (response == NULL) {
        return MHD_NO;
    }
    bool ok = MHD_add_response_header(response, "Content-Type", type) == MHD_YES &&
              MHD_add_response_header(response, "Cache-Control", "no-store") == MHD_YES;
    if (ok && status == 401) {
        ok = MHD_add_response_header(response, "WWW-Authenticate", "Bearer") == MHD_YES;
    }
    if (ok && status == 503) {
        ok = MHD_add_response_header(response, "Retry-After", "1") == MHD_YES;
    }
    if (!ok) {
        MHD_destroy_response(response);
        return MHD_NO;
    }
    return slr_http_reply_queue(r, status, response);
}

enum MHD_Result slr_http_reply_text(struct slr_http_request *r, unsigned status, const char *type,
                                    const char *text)
{
    return queue_text(r, status, type, text, MHD_RESPMEM_MUST_COPY);
}

static enum MHD_Result queue_json(struct slr_http_request *r, unsigned status, const char *type,
                                  json_t *body)
{
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    json_decref(body);
    if (text == NULL) {
        return MHD_NO;
    }
    enum MHD_Result ok = queue_text(r, status, type, text, MHD_RESPMEM_MUST_COPY);
    free(text);
    return ok;
}

enum MHD_Result slr_http_reply_json(struct slr_http_request *r, unsigned status, json_t *body)
{
    return queue_json(r, status, "application/json", body);
}

enum MHD_Result slr_http_reply_problem(struct slr_http_request *r, unsigned status,
                                       enum slr_err err, const char *detail)
{
    json_t *body = json_pack("{s:s,s:s,s:i,s:s}", "type", "about:blank", "title", title_of(status),
                             "status", (int)status, "code", slr_err_name(err));
    if (body != NULL && detail != NULL) {
        json_object_set_new(body, "detail", json_string(detail));
    }
    return queue_json(r, status, "application/problem+json", body);
}

enum MHD_Result slr_http_reply_error(struct slr_http_request *r, enum slr_err err, json_t *answer)
{
    const char *detail = json_string_value(json_object_get(answer, "detail"));
    enum MHD_Result ok =
        slr_http_reply_problem(r, status_of(err), err, detail != NULL ? detail : slr_err_text(err));
    json_decref(answer);
    return ok;
}
