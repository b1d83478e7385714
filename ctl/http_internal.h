/*
 * http_internal: what the http_*.c files share: the server, a request, routes and answers.
 * Private to them. A request belongs to its connection's thread; the server is const after start
 * but for its atomic counters.
 */
#ifndef SLR_CTL_HTTP_INTERNAL_H
#define SLR_CTL_HTTP_INTERNAL_H

#include <jansson.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/metrics.h"
#include "ctl/http.h"
#include "ctl/http_access.h"

#define SLR_HTTP_BODY_MAX_BYTES 65536u
#define SLR_HTTP_ID_SIZE 128

enum slr_http_metric {
#define HTTP_METRIC(name, kind, text, help) SLR_HTTP_##name,
#include "ctl/http_metrics.def"
#undef HTTP_METRIC
    SLR_HTTP_METRIC_COUNT
};

enum { ROUTE_OPEN = 1, ROUTE_DISK = 2, ROUTE_BODY = 4 };

struct slr_http_request;

struct slr_http_route {
    const char *op;
    const char *method;
    const char *path; /* with {id} where one stands */
    unsigned flags;
    const char *type;
    const char *summary;
    enum MHD_Result (*handle)(struct slr_http_request *r);
};

struct slr_http {
    struct MHD_Daemon *daemon;
    struct slr_core *core;
    struct slr_store *store;
    enum slr_err (*ask)(struct slr_core *core, enum slr_core_verb verb, const char *id, int64_t arg,
                        uint32_t timeout_ms, json_t **answer);
    char *core_dir; /* DIR/core */
    char *rec_dir;  /* DIR/rec */
    char *host_name;
    char *tls_cert, *tls_key; /* PEM texts */
    char *openapi;            /* the document, made at start */
    char own_ip[64];
    bool loopback;
    bool need_token;
    struct slr_http_tokens tokens;
    uint16_t port;
    slr_counter count[SLR_HTTP_METRIC_COUNT];
};

struct slr_http_request {
    struct slr_http *h;
    struct MHD_Connection *connection;
    const struct slr_http_route *route;
    char id[SLR_HTTP_ID_SIZE];
    const char *actor; /* who asks: name of the token, or "local" */
    char *body;
    size_t body_bytes;
    bool too_large;
    bool uri_long;
    bool begun;
    bool holds_disk;
};

/* The table of routes, `*count` long; and the one for a method and path. *path_known: another
 * method would have done. id: of {id}. NULL: none. */
const struct slr_http_route *slr_http_routes(size_t *count);
const struct slr_http_route *slr_http_route_find(const char *method, const char *path,
                                                 char id[static SLR_HTTP_ID_SIZE],
                                                 bool *path_known);
/* The OpenAPI document as malloc'ed text, NULL: no memory. */
char *slr_http_openapi_render(void);

/* Answers. Each queues a response and returns what the access handler must return. */
enum MHD_Result slr_http_reply_json(struct slr_http_request *r, unsigned status, json_t *body);
enum MHD_Result slr_http_reply_text(struct slr_http_request *r, unsigned status, const char *type,
                                    const char *text);
/* RFC 9457; err gives the member "code". detail may be NULL. */
enum MHD_Result slr_http_reply_problem(struct slr_http_request *r, unsigned status,
                                       enum slr_err err, const char *detail);
/* The same with the status that fits err; takes over what a question to the core answered. */
enum MHD_Result slr_http_reply_error(struct slr_http_request *r, enum slr_err err, json_t *answer);
/* Queues a response made elsewhere, counts it and drops the reference. */
enum MHD_Result slr_http_reply_queue(struct slr_http_request *r, unsigned status,
                                     struct MHD_Response *response);

/* Value of a header, or NULL. */
const char *slr_http_header(const struct slr_http_request *r, const char *name);

enum slr_err slr_http_ask(struct slr_http_request *r, enum slr_core_verb verb, const char *id,
                          int64_t arg, uint32_t timeout_ms, json_t **answer) SLR_CHECKED;
void slr_http_audit(struct slr_http_request *r, const char *action, const char *recording,
                    enum slr_err result);
/* Body as JSON: NULL body gives an empty object. SLR_FORMAT when it is no object. */
enum slr_err slr_http_body(const struct slr_http_request *r, json_t **out) SLR_CHECKED;

/* The catalogue's record, owned by the caller; deleted ones are SLR_NOTFOUND. */
enum slr_err slr_http_find_recording(struct slr_http_request *r, json_t **record) SLR_CHECKED;
/* Where the engine is whose recording this is, if it is another host's; else NULL. Borrowed. */
const char *slr_http_remote(const json_t *record);
/* Opens a file below DIR/rec for reading; no component may be a link or "..". */
enum slr_err slr_http_open_rec(const struct slr_http *h, const char *name, int *fd) SLR_CHECKED;
/* The parsed ledger, owned by the caller; NULL where it cannot be read (then said in the log). */
json_t *slr_http_read_ledger(const struct slr_http *h, const char *name);

#define ROUTE(op, method, path, flags, type, summary)                                              \
    enum MHD_Result slr_http_do_##op(struct slr_http_request *r);
#define PARAM(op, name, type, text)
#define ANSWER(op, status, text)
#include "ctl/routes.def"
#undef ROUTE
#undef PARAM
#undef ANSWER

#endif
