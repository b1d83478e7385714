/*
 * http: the API server: start, access rules, limits and dispatch to the routes.
 *
 * Each connection runs on a thread of its own (libmicrohttpd); the server object is const after
 * start but for atomic counters. Allocates for each request. A request that may wait for a disk
 * needs one of a bounded number of places, so that a frozen volume leaves room for the others.
 */
#include "ctl/http.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "ctl/http_internal.h"

#define CONNECTIONS_MAX 128u
#define DISK_REQUESTS_MAX 64u
#define IDLE_TIMEOUT_S 30u
#define HEADERS_MAX_BYTES 32768u
#define URI_MAX_BYTES 2048u
#define BACKLOG 64
#define PEM_MAX_BYTES 65536
#define STACK_BYTES (512u * 1024u)

const char *slr_http_header(const struct slr_http_request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

enum slr_err slr_http_ask(struct slr_http_request *r, enum slr_core_verb verb, const char *id,
                          int64_t arg, uint32_t timeout_ms, json_t **answer)
{
    *answer = NULL;
    enum slr_err err = r->h->ask(r->h->core, verb, id, arg, timeout_ms, answer);
    if (err == SLR_OK && *answer == NULL) {
        err = SLR_NOMEM;
    }
    if (err == SLR_TIMEOUT || err == SLR_CLOSED) {
        slr_count(&r->h->count[SLR_HTTP_CORE_FAILED], 1);
    }
    return err;
}

void slr_http_audit(struct slr_http_request *r, const char *action, const char *recording,
                    enum slr_err result)
{
    slr_wall now = slr_clock_wall(slr_clock_real());
    SLR_INFO("audit", "actor=%s action=%s recording=%s result=%s", SLR_Q(r->actor), action,
             SLR_Q(recording), slr_err_name(result));
    enum slr_err err =
        slr_store_put_audit(r->h->store, now, r->actor, action, recording, slr_err_name(result));
    if (err != SLR_OK) {
        SLR_ERROR("audit_lost", "action=%s recording=%s err=%s", action, SLR_Q(recording),
                  slr_err_name(err));
    }
}

enum slr_err slr_http_body(const struct slr_http_request *r, json_t **out)
{
    *out = r->body_bytes == 0 ? json_object()
                              : json_loadb(r->body, r->body_bytes, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(*out)) {
        return SLR_OK;
    }
    json_decref(*out);
    *out = NULL;
    return SLR_FORMAT;
}

static enum MHD_Result deny(struct slr_http_request *r, enum slr_http_metric why, unsigned status,
                            const char *detail)
{
    slr_count(&r->h->count[why], 1);
    SLR_WARN("http_denied", "status=%u why=%s", status, SLR_Q(detail));
    return slr_http_reply_problem(r, status, SLR_DENIED, detail);
}

static enum MHD_Result count_value(void *ctx, enum MHD_ValueKind kind, const char *name,
                                   const char *value)
{
    (void)kind;
    (void)value;
    struct slr_slice given = slr_slice_str(name);
    if (slr_slice_eq_nocase(given, "host")) {
        *(unsigned *)ctx += 1;
    }
    return MHD_YES;
}

static bool host_allowed(const struct slr_http_request *r)
{
    if (!r->h->loopback) {
        return true; /* there a token is needed, which no foreign page has */
    }
    unsigned hosts = 0;
    (void)MHD_get_connection_values(r->connection, MHD_HEADER_KIND, count_value, &hosts);
    const char *host = slr_http_header(r, "Host");
    return hosts == 1 && host != NULL &&
           slr_http_access_host_allowed(slr_slice_str(host), r->h->own_ip, r->h->host_name);
}

static bool has_body(const struct slr_http_request *r)
{
    const char *length = slr_http_header(r, "Content-Length");
    return slr_http_header(r, "Transfer-Encoding") != NULL ||
           (length != NULL && strcmp(length, "0") != 0);
}

static bool is_json_type(const char *type)
{
    struct slr_slice rest = slr_slice_str(type);
    struct slr_slice name;
    return slr_slice_take_token(&rest, ';', &name) &&
           slr_slice_eq_nocase(slr_slice_trim(name), "application/json");
}

/* SLR_OK: go on; else an answer is queued and *ok says how that went. */
static enum slr_err check_access(struct slr_http_request *r, const char *method,
                                 enum MHD_Result *ok)
{
    struct slr_http *h = r->h;
    if (!host_allowed(r)) {
        *ok = deny(r, SLR_HTTP_DENIED_HOST, MHD_HTTP_MISDIRECTED_REQUEST,
                   "the Host header does not name this host");
        return SLR_DENIED;
    }
    r->actor = "local";
    if (h->need_token && (r->route == NULL || (r->route->flags & ROUTE_OPEN) == 0)) {
        const char *given = slr_http_header(r, "Authorization");
        r->actor = given != NULL ? slr_http_access_actor(&h->tokens, slr_slice_str(given)) : NULL;
        if (r->actor == NULL) {
            *ok = deny(r, SLR_HTTP_DENIED_TOKEN, MHD_HTTP_UNAUTHORIZED, "no valid bearer token");
            return SLR_DENIED;
        }
    }
    if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0) {
        return SLR_OK;
    }
    if (slr_http_header(r, "Origin") != NULL) {
        *ok = deny(r, SLR_HTTP_DENIED_ORIGIN, MHD_HTTP_FORBIDDEN,
                   "web pages may not change anything (Origin header)");
        return SLR_DENIED;
    }
    const char *type = slr_http_header(r, "Content-Type");
    if (type != NULL ? !is_json_type(type) : has_body(r)) {
        *ok = deny(r, SLR_HTTP_DENIED_TYPE, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
                   "expected Content-Type application/json or no body");
        return SLR_DENIED;
    }
    return SLR_OK;
}

/* First call of a request: everything that can be refused before its body is. */
static enum MHD_Result begin(struct slr_http_request *r, const char *method, const char *path)
{
    enum MHD_Result ok = MHD_YES;
    bool path_known = false;
    r->begun = true;
    if (r->uri_long) {
        slr_count(&r->h->count[SLR_HTTP_URI_LONG], 1);
        return slr_http_reply_problem(r, MHD_HTTP_URI_TOO_LONG, SLR_TOOLONG, NULL);
    }
    r->route = slr_http_route_find(method, path, r->id, &path_known);
    if (check_access(r, method, &ok) != SLR_OK) {
        return ok;
    }
    if (r->route == NULL) {
        return path_known
                   ? slr_http_reply_problem(r, MHD_HTTP_METHOD_NOT_ALLOWED, SLR_UNSUPPORTED, NULL)
                   : slr_http_reply_problem(r, MHD_HTTP_NOT_FOUND, SLR_NOTFOUND,
                                            "no such address; see /v1/openapi.json");
    }
    return MHD_YES;
}

static void take_body(struct slr_http_request *r, const char *at, size_t len_bytes)
{
    if (r->too_large || len_bytes > SLR_HTTP_BODY_MAX_BYTES - r->body_bytes) {
        r->too_large = true; /* read to its end and thrown away */
        return;
    }
    if (r->body == NULL) {
        r->body = malloc(SLR_HTTP_BODY_MAX_BYTES);
    }
    if (r->body == NULL) {
        r->too_large = true;
        return;
    }
    memcpy(r->body + r->body_bytes, at, len_bytes);
    r->body_bytes += len_bytes;
}

/* A place among those that may wait for a disk. */
static bool take_disk(struct slr_http_request *r)
{
    slr_counter *used = &r->h->count[SLR_HTTP_DISK_IN_USE];
    if (atomic_fetch_add_explicit(used, 1, memory_order_relaxed) >= DISK_REQUESTS_MAX) {
        atomic_fetch_sub_explicit(used, 1, memory_order_relaxed);
        slr_count(&r->h->count[SLR_HTTP_DISK_BUSY], 1);
        return false;
    }
    r->holds_disk = true;
    return true;
}

static enum MHD_Result finish(struct slr_http_request *r)
{
    if (r->too_large) {
        slr_count(&r->h->count[SLR_HTTP_TOO_LARGE], 1);
        return slr_http_reply_problem(r, MHD_HTTP_CONTENT_TOO_LARGE, SLR_TOOLONG,
                                      "the body is longer than 65536 bytes");
    }
    if ((r->route->flags & ROUTE_DISK) != 0 && !take_disk(r)) {
        return slr_http_reply_problem(r, MHD_HTTP_SERVICE_UNAVAILABLE, SLR_FULL,
                                      "too many requests wait for the disk");
    }
    return r->route->handle(r);
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_bytes, void **state)
{
    (void)ctx;
    (void)version;
    struct slr_http_request *r = *state;
    if (r == NULL) {
        return MHD_NO;
    }
    r->connection = connection;
    if (!r->begun) {
        return begin(r, method, path);
    }
    if (*upload_bytes > 0) {
        take_body(r, upload, *upload_bytes);
        *upload_bytes = 0;
        return MHD_YES;
    }
    return finish(r);
}

/* The first thing that is known of a request: makes its object. */
static void *on_uri(void *ctx, const char *uri, struct MHD_Connection *connection)
{
    struct slr_http_request *r = calloc(1, sizeof(*r));
    if (r != NULL) {
        r->h = ctx;
        r->connection = connection;
        r->uri_long = strlen(uri) > URI_MAX_BYTES;
    }
    return r;
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode how)
{
    (void)ctx;
    (void)connection;
    (void)how;
    struct slr_http_request *r = *state;
    if (r == NULL) {
        return;
    }
    if (r->holds_disk) {
        atomic_fetch_sub_explicit(&r->h->count[SLR_HTTP_DISK_IN_USE], 1, memory_order_relaxed);
    }
    free(r->body);
    free(r);
    *state = NULL;
}

static void on_log(void *ctx, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
static void on_log(void *ctx, const char *format, va_list args)
{
    (void)ctx;
    char text[256];
    vsnprintf(text, sizeof(text), format, args);
    text[strcspn(text, "\r\n")] = '\0';
    SLR_DEBUG("http_library", "text=%s", SLR_Q(text));
}

static enum slr_err read_pem(const char *path, char **out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text = calloc(1, PEM_MAX_BYTES + 1);
    ssize_t n = fd >= 0 && text != NULL ? read(fd, text, PEM_MAX_BYTES) : -1;
    if (fd >= 0) {
        close(fd);
    }
    if (n <= 0) {
        SLR_ERROR("http_tls_file", "file=%s errno=%d", SLR_Q(path), errno);
        free(text);
        return SLR_IO;
    }
    *out = text;
    return SLR_OK;
}

static enum slr_err load_access(struct slr_http *h, const struct slr_http_config *cfg,
                                const struct slr_addr *addr)
{
    h->loopback = slr_addr_is_loopback(addr);
    h->need_token = cfg->token_file != NULL;
    bool tls = cfg->tls_cert != NULL && cfg->tls_key != NULL;
    if (!h->loopback && (!tls || !h->need_token)) {
        SLR_ERROR("http_refused",
                  "listen=%s text=\"beyond loopback TLS and a token file are "
                  "needed\"",
                  SLR_Q(cfg->listen));
        return SLR_DENIED;
    }
    if ((cfg->tls_cert != NULL) != (cfg->tls_key != NULL)) {
        SLR_ERROR("http_refused", "listen=%s text=\"certificate and key go together\"",
                  SLR_Q(cfg->listen));
        return SLR_INVAL;
    }
    enum slr_err err = SLR_OK;
    if (h->need_token) {
        err = slr_http_access_load_tokens(cfg->token_file, &h->tokens);
    }
    if (err == SLR_OK && tls) {
        err = read_pem(cfg->tls_cert, &h->tls_cert);
    }
    if (err == SLR_OK && tls) {
        err = read_pem(cfg->tls_key, &h->tls_key);
    }
    return err;
}

static enum slr_err copy_texts(struct slr_http *h, const struct slr_http_config *cfg)
{
    h->core = cfg->core;
    h->store = cfg->store;
    h->ask = cfg->ask != NULL ? cfg->ask : slr_core_ask;
    h->host_name = cfg->host_name != NULL ? strdup(cfg->host_name) : NULL;
    h->openapi = slr_http_openapi_render();
    if (asprintf(&h->core_dir, "%s/core", cfg->data_dir) < 0) {
        h->core_dir = NULL;
    }
    if (asprintf(&h->rec_dir, "%s/rec", cfg->data_dir) < 0) {
        h->rec_dir = NULL;
    }
    bool good = h->core_dir != NULL && h->rec_dir != NULL && h->openapi != NULL &&
                (cfg->host_name == NULL || h->host_name != NULL);
    return good ? SLR_OK : SLR_NOMEM;
}

/* A listening socket of our own: its errors are ours to tell. */
static enum slr_err listen_on(const struct slr_addr *addr, int *out, uint16_t *port)
{
    struct sockaddr_storage ss;
    struct slr_addr bound;
    socklen_t len = slr_addr_to_sockaddr(addr, &ss);
    int on = 1;
    int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return slr_err_from_errno(errno);
    }
    bool ok = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
              bind(fd, (const struct sockaddr *)&ss, len) == 0 && listen(fd, BACKLOG) == 0;
    len = sizeof(ss);
    ok = ok && getsockname(fd, (struct sockaddr *)&ss, &len) == 0 &&
         slr_addr_from_sockaddr((const struct sockaddr *)&ss, &bound);
    if (!ok) {
        enum slr_err err = errno == EADDRINUSE ? SLR_BUSY : SLR_IO;
        SLR_ERROR("http_listen", "errno=%d", errno);
        close(fd);
        return err;
    }
    *port = bound.port;
    *out = fd;
    return SLR_OK;
}

static enum slr_err start_daemon(struct slr_http *h, int fd, bool v6)
{
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
                     MHD_USE_POLL | MHD_USE_ITC | MHD_USE_ERROR_LOG;
    flags |= v6 ? MHD_USE_IPv6 : 0u;
    flags |= h->tls_cert != NULL ? MHD_USE_TLS : 0u;
    struct MHD_OptionItem tls[4] = {{MHD_OPTION_END, 0, NULL}};
    if (h->tls_cert != NULL) {
        static const char priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
        tls[0] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, h->tls_cert};
        tls[1] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, h->tls_key};
        tls[2] =
            (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)priorities};
        tls[3] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    }
    h->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, IDLE_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)HEADERS_MAX_BYTES, MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES,
        MHD_OPTION_URI_LOG_CALLBACK, on_uri, h, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
        MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    if (h->daemon == NULL) {
        SLR_ERROR("http_start", "errno=%d tls=%d", errno, h->tls_cert != NULL);
        return SLR_IO;
    }
    return SLR_OK;
}

static enum slr_err start(struct slr_http *h, const struct slr_http_config *cfg)
{
    struct slr_addr addr;
    int fd = -1;
    if (slr_addr_parse_port(cfg->listen, &addr) != SLR_OK) {
        SLR_ERROR("http_listen", "listen=%s text=\"expected ADDRESS:PORT\"", SLR_Q(cfg->listen));
        return SLR_INVAL;
    }
    slr_addr_format_ip(&addr, h->own_ip);
    enum slr_err err = copy_texts(h, cfg);
    if (err == SLR_OK) {
        err = load_access(h, cfg, &addr);
    }
    if (err == SLR_OK) {
        err = listen_on(&addr, &fd, &h->port);
    }
    if (err != SLR_OK) {
        return err;
    }
    err = start_daemon(h, fd, addr.family == 6);
    if (err != SLR_OK) {
        close(fd);
        return err;
    }
    if (!h->loopback) {
        SLR_WARN("http_beyond_loopback", "listen=%s tls=1 tokens=%zu", SLR_Q(cfg->listen),
                 h->tokens.count);
    }
    return SLR_OK;
}

enum slr_err slr_http_start(const struct slr_http_config *cfg, struct slr_http **out)
{
    *out = NULL;
    struct slr_http *h = calloc(1, sizeof(*h));
    if (h == NULL) {
        return SLR_NOMEM;
    }
    enum slr_err err = start(h, cfg);
    if (err != SLR_OK) {
        slr_http_stop(h);
        return err;
    }
    *out = h;
    return SLR_OK;
}

uint16_t slr_http_port(const struct slr_http *h)
{
    return h->port;
}

void slr_http_stop(struct slr_http *h)
{
    if (h == NULL) {
        return;
    }
    if (h->daemon != NULL) {
        MHD_stop_daemon(h->daemon);
    }
    free(h->core_dir);
    free(h->rec_dir);
    free(h->host_name);
    free(h->tls_cert);
    free(h->tls_key);
    free(h->openapi);
    free(h);
}
