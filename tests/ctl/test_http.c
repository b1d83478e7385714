/*
 * The API over a real loopback socket, with a fake signalling thread behind it: routes, access
 * rules, limits, ranges, deletion, and a question that hangs while others are answered.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/http.h"

#define ID_SEALED "00000000000000000000000000000001"
#define ID_OPEN "00000000000000000000000000000002"
#define ID_ESCAPE "00000000000000000000000000000003"
#define ID_LINK "00000000000000000000000000000004"
#define ID_FAILED "00000000000000000000000000000005"
#define ID_ENCODED "00000000000000000000000000000006"
#define TOKEN "0123456789abcdef"

struct fake_core {
    enum slr_core_verb verb;
    char id[128];
    int64_t arg;
    int asked;
    enum slr_err result;
    sem_t hang_entered, hang_leave;
};

static char dir[64];
static struct slr_store *store;
static struct slr_http *server;
static struct fake_core core;

/* Reads its core through the opaque pointer that the server hands on. */
static enum slr_err fake_ask(struct slr_core *c, enum slr_core_verb verb, const char *id,
                             int64_t arg, uint32_t timeout_ms, json_t **answer)
{
    struct fake_core *f = (void *)c;
    (void)timeout_ms;
    if (strcmp(id, "hang") == 0) {
        sem_post(&f->hang_entered);
        sem_wait(&f->hang_leave);
    }
    f->verb = verb;
    f->arg = arg;
    f->asked++;
    snprintf(f->id, sizeof(f->id), "%s", id);
    if (verb == SLR_CORE_METRICS) {
        *answer = json_pack("{s:s,s:{s:i,s:i}}", "text", "slr_sip_invites_total 3\n", "engine",
                            "slr_rtp_packets_total", 7, "bad name\n", 1);
    } else if (verb == SLR_CORE_DELETE) {
        *answer = json_pack("{s:[s]}", "removed", "a.wav");
    } else {
        *answer = json_pack("{s:s}", "id", id);
    }
    if (f->result != SLR_OK) {
        json_decref(*answer);
        *answer = json_pack("{s:s}", "detail", "as the test wants");
    }
    return f->result;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *walk)
{
    (void)st;
    (void)flag;
    (void)walk;
    return remove(path);
}

static void write_file(const char *name, const char *text)
{
    char path[160];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    cr_assert_not_null(f);
    fputs(text, f);
    fclose(f);
}

static void put(const char *id, const char *state, const char *file)
{
    json_t *r = json_pack("{s:s,s:s,s:s,s:I,s:[s]}", "id", id, "state", state, "call", "c1",
                          "start_wall_ns", (json_int_t)1000000000, "dns", "100");
    if (file != NULL) {
        json_object_set_new(r, "file", json_string(file));
        json_object_set_new(r, "mime", json_string("audio/wav"));
        json_object_set_new(r, "media_hash", json_string("abcd"));
        json_object_set_new(r, "ledger", json_string("sub/one.json"));
    }
    cr_assert_eq(slr_store_put_recording(store, r, NULL, NULL), SLR_OK);
}

/* Encoded meanwhile, but the catalogue still names the WAV, which is gone. */
static void put_encoded(void)
{
    json_t *r = json_pack("{s:s,s:s,s:s,s:I,s:s,s:s,s:s,s:s,s:s}", "id", ID_ENCODED, "state",
                          "sealed", "call", "c9", "start_wall_ns", (json_int_t)1000000000,
                          "encoding", "pending", "file", "encode/x.wav", "mime", "audio/wav",
                          "media_hash", "abcd", "ledger", "sub/two.json");
    cr_assert_eq(slr_store_put_recording(store, r, NULL, NULL), SLR_OK);
    write_file("rec/sub/two-0.opus", "zero");
    write_file("rec/sub/two-1.opus", "one");
    write_file(
        "rec/sub/two.json",
        "{\"file\":\"sub/two-0.opus\",\"mime\":\"audio/ogg\",\"media\":{\"hash\":\"ef01\"},"
        "\"files\":[{\"file\":\"sub/two-0.opus\",\"channel\":0,\"media\":{\"hash\":\"ef01\"}},"
        "{\"file\":\"sub/two-1.opus\",\"channel\":1,\"media\":{\"hash\":\"ef02\"}}]}");
}

static void start(struct slr_http_config cfg)
{
    cfg.data_dir = dir;
    cfg.store = store;
    cfg.core = (void *)&core;
    cfg.ask = fake_ask;
    cfg.listen = cfg.listen != NULL ? cfg.listen : "127.0.0.1:0";
    cr_assert_eq(slr_http_start(&cfg, &server), SLR_OK);
}

static void make_data(void)
{
    char path[160];
    strcpy(dir, "/tmp/slr-http-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/core", dir);
    cr_assert_eq(slr_store_open(path, &store), SLR_OK);
    snprintf(path, sizeof(path), "%s/rec", dir);
    cr_assert_eq(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/rec/sub", dir);
    cr_assert_eq(mkdir(path, 0700), 0);
    write_file("rec/sub/one.wav", "0123456789");
    write_file("rec/sub/one.json", "{\"version\":1,\"spans\":[1]}");
    write_file("secret", "secret");
    snprintf(path, sizeof(path), "%s/rec/link.wav", dir);
    cr_assert_eq(symlink("../secret", path), 0);
    put(ID_SEALED, "sealed", "sub/one.wav");
    put(ID_OPEN, "open", NULL);
    put(ID_ESCAPE, "sealed", "../secret");
    put(ID_LINK, "sealed", "link.wav");
    put(ID_FAILED, "failed", NULL);
    put_encoded();
    slr_store_close(store);
    snprintf(path, sizeof(path), "%s/core", dir);
    cr_assert_eq(slr_store_open(path, &store), SLR_OK);
    memset(&core, 0, sizeof(core));
    sem_init(&core.hang_entered, 0, 0);
    sem_init(&core.hang_leave, 0, 0);
}

static void set_up(void)
{
    make_data();
    start((struct slr_http_config){0});
}

static void tear_down(void)
{
    slr_http_stop(server);
    slr_store_close(store);
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

TestSuite(http, .init = set_up, .fini = tear_down, .timeout = 30);
TestSuite(http_start, .init = make_data, .fini = tear_down, .timeout = 30);

struct answer {
    int status;
    char head[4096];
    char body[65536];
    size_t body_bytes;
};

static int dial(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(slr_http_port(server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

/* Sends the bytes as they are and reads to the end of the connection. */
static struct answer *exchange(const char *request, size_t len)
{
    static struct answer a;
    static char all[70000];
    memset(&a, 0, sizeof(a));
    int fd = dial();
    size_t sent = 0;
    while (sent < len) {
        ssize_t n = send(fd, request + sent, len - sent, MSG_NOSIGNAL);
        if (n <= 0) {
            break;
        }
        sent += (size_t)n;
    }
    size_t got = 0;
    ssize_t n = 0;
    while (got < sizeof(all) - 1 && (n = recv(fd, all + got, sizeof(all) - 1 - got, 0)) > 0) {
        got += (size_t)n;
    }
    close(fd);
    all[got] = '\0';
    char *end = strstr(all, "\r\n\r\n");
    if (end == NULL || sscanf(all, "HTTP/1.1 %d", &a.status) != 1) {
        return &a;
    }
    snprintf(a.head, sizeof(a.head), "%.*s\r\n", (int)(end - all), all);
    a.body_bytes = got - (size_t)(end + 4 - all);
    memcpy(a.body, end + 4, a.body_bytes < sizeof(a.body) ? a.body_bytes : sizeof(a.body) - 1);
    return &a;
}

/* A request with the usual Host and extra header lines (each ending in CRLF). */
static struct answer *ask_with(const char *line, const char *extra, const char *body)
{
    static char text[70000];
    int n = snprintf(text, sizeof(text),
                     "%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s", line, extra);
    n += body != NULL ? snprintf(text + n, sizeof(text) - (size_t)n,
                                 "Content-Length: %zu\r\n\r\n%s", strlen(body), body)
                      : snprintf(text + n, sizeof(text) - (size_t)n, "\r\n");
    return exchange(text, (size_t)n);
}

static struct answer *get(const char *path)
{
    char line[4096];
    snprintf(line, sizeof(line), "GET %s", path);
    return ask_with(line, "", NULL);
}

static json_t *json_of(const struct answer *a)
{
    json_t *j = json_loads(a->body, 0, NULL);
    cr_assert_not_null(j, "%s", a->body);
    return j;
}

static bool header_is(const struct answer *a, const char *line)
{
    char with_end[256];
    snprintf(with_end, sizeof(with_end), "\r\n%s\r\n", line);
    return strstr(a->head, with_end) != NULL;
}

Test(http, status_and_calls_come_from_signalling)
{
    cr_assert_eq(get("/v1/status")->status, 200);
    cr_assert_eq(core.verb, SLR_CORE_STATUS);
    cr_assert_eq(get("/v1/calls")->status, 200);
    cr_assert_eq(core.verb, SLR_CORE_CALLS);
    cr_assert_eq(get("/healthz")->status, 200);
    core.result = SLR_TIMEOUT;
    struct answer *a = get("/v1/status");
    cr_assert_eq(a->status, 504);
    cr_assert(header_is(a, "Content-Type: application/problem+json"));
    json_t *problem = json_of(a);
    cr_assert_str_eq(json_string_value(json_object_get(problem, "code")), "TIMEOUT");
    cr_assert_str_eq(json_string_value(json_object_get(problem, "detail")), "as the test wants");
    json_decref(problem);
    cr_assert_eq(get("/healthz")->status, 503);
}

Test(http, control_verbs)
{
    cr_assert_eq(ask_with("POST /v1/calls/abc%3A1/pause", "", "")->status, 200);
    cr_assert_eq(core.verb, SLR_CORE_PAUSE);
    cr_assert_str_eq(core.id, "abc:1");
    cr_assert_eq(core.arg, 0);
    const char *json = "Content-Type: application/json; charset=utf-8\r\n";
    cr_assert_eq(ask_with("POST /v1/calls/x/pause", json, "{\"max_s\":90}")->status, 200);
    cr_assert_eq(core.arg, 90000);
    cr_assert_eq(ask_with("POST /v1/calls/x/pause", json, "{\"max_s\":0}")->status, 400);
    cr_assert_eq(ask_with("POST /v1/calls/x/pause", json, "{\"max_s\":86401}")->status, 400);
    cr_assert_eq(ask_with("POST /v1/calls/x/pause", json, "{\"max_s\":\"90\"}")->status, 400);
    cr_assert_eq(ask_with("POST /v1/calls/x/resume", json, "{}")->status, 200);
    cr_assert_eq(core.verb, SLR_CORE_RESUME);
    cr_assert_eq(ask_with("POST /v1/calls/x/stop", json, "{}")->status, 200);
    cr_assert_eq(core.verb, SLR_CORE_STOP);
    cr_assert_eq(ask_with("POST /v1/drain", json, "{\"on\":false}")->status, 200);
    cr_assert_eq(core.arg, 0);
    cr_assert_eq(ask_with("POST /v1/drain", "", "")->status, 200);
    cr_assert_eq(core.arg, 1);
    int asked = core.asked;
    cr_assert_eq(ask_with("POST /v1/drain", json, "{\"on\":1}")->status, 400);
    cr_assert_eq(ask_with("POST /v1/calls/x/stop", json, "[]")->status, 400);
    cr_assert_eq(ask_with("POST /v1/calls/x/stop", json, "{")->status, 400);
    cr_assert_eq(core.asked, asked);
    core.result = SLR_NOTFOUND;
    cr_assert_eq(ask_with("POST /v1/calls/x/stop", "", "")->status, 404);
    core.result = SLR_STATE;
    cr_assert_eq(ask_with("POST /v1/calls/x/stop", "", "")->status, 409);
    core.result = SLR_CLOSED;
    cr_assert_eq(ask_with("POST /v1/calls/x/stop", "", "")->status, 503);
}

Test(http, web_pages_are_kept_out)
{
    static const char *const hosts[] = {"Host: evil.example\r\n", "",
                                        "Host: localhost\r\nHost: localhost\r\n"};
    for (size_t i = 0; i < 3; i++) {
        char text[256];
        int n = snprintf(text, sizeof(text),
                         "GET /v1/status HTTP/1.1\r\n%sConnection: close\r\n\r\n", hosts[i]);
        int status = exchange(text, (size_t)n)->status;
        cr_assert(status == 421 || status == 400, "%zu: %d", i, status);
    }
    cr_assert_eq(ask_with("POST /v1/calls/x/stop", "Origin: http://localhost\r\n", "")->status,
                 403);
    cr_assert_eq(ask_with("DELETE /v1/recordings/" ID_SEALED, "Origin: null\r\n", NULL)->status,
                 403);
    cr_assert_eq(ask_with("POST /v1/calls/x/stop", "Content-Type: text/plain\r\n", "{}")->status,
                 415);
    cr_assert_eq(ask_with("POST /v1/calls/x/stop", "", "{}")->status, 415);
    cr_assert_eq(core.asked, 0);
}

Test(http, limits)
{
    static char body[65536 + 2];
    memset(body, ' ', sizeof(body) - 1);
    const char *json = "Content-Type: application/json\r\n";
    cr_assert_eq(ask_with("POST /v1/drain", json, body)->status, 413);
    body[65536] = '\0';
    memcpy(body, "{}", 2);
    cr_assert_eq(ask_with("POST /v1/drain", json, body)->status, 200);
    static char path[3000];
    memset(path, 'a', sizeof(path) - 1);
    path[0] = '/';
    cr_assert_eq(get(path)->status, 414);
    cr_assert_eq(get("/v1/status")->status, 200);
}

Test(http, unknown_addresses_and_methods)
{
    cr_assert_eq(get("/")->status, 404);
    cr_assert_eq(get("/v1/status/")->status, 404);
    cr_assert_eq(get("/v1/calls//pause")->status, 404);
    cr_assert_eq(get("/v1/recordings/..%2f..%2fsecret/media")->status, 404);
    cr_assert_eq(ask_with("PUT /v1/status", "", "")->status, 405);
    cr_assert_eq(get("/v1/drain")->status, 405);
}

Test(http, garbage_is_refused_and_harmless)
{
    static const char *const junk[] = {"\r\n\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
                                       "GET / HTTP/1.1\r\nHost localhost\r\n\r\n"};
    for (size_t i = 0; i < 4; i++) {
        int fd = dial();
        cr_assert_eq(send(fd, junk[i], strlen(junk[i]), MSG_NOSIGNAL), (ssize_t)strlen(junk[i]));
        shutdown(fd, SHUT_WR);
        char buffer[4096];
        while (recv(fd, buffer, sizeof(buffer), 0) > 0) {
        }
        close(fd);
    }
    cr_assert_eq(core.asked, 0);
    cr_assert_eq(get("/v1/status")->status, 200);
}

Test(http, listing)
{
    json_t *j = json_of(get("/v1/recordings?dn=100&limit=2"));
    cr_assert_eq(json_array_size(json_object_get(j, "recordings")), 2);
    const char *next = json_string_value(json_object_get(j, "next"));
    cr_assert_not_null(next);
    json_t *row = json_array_get(json_object_get(j, "recordings"), 0);
    cr_assert_str_eq(json_string_value(json_object_get(row, "start")), "1970-01-01T00:00:01.000Z");
    char path[256];
    snprintf(path, sizeof(path), "/v1/recordings?limit=1000&cursor=%s", next);
    json_t *rest = json_of(get(path));
    cr_assert_eq(json_array_size(json_object_get(rest, "recordings")), 3);
    cr_assert(json_is_null(json_object_get(rest, "next")));
    json_decref(rest);
    json_decref(j);
    cr_assert_eq(get("/v1/recordings?limit=0")->status, 400);
    cr_assert_eq(get("/v1/recordings?from=yesterday")->status, 400);
    cr_assert_eq(get("/v1/recordings?what=x")->status, 400);
    cr_assert_eq(get("/v1/recordings?from")->status, 400);
    j = json_of(get("/v1/recordings?to=1970-01-01T01:00:01+01:00"));
    cr_assert_eq(json_array_size(json_object_get(j, "recordings")), 0);
    json_decref(j);
}

Test(http, one_recording_carries_its_ledger)
{
    json_t *j = json_of(get("/v1/recordings/" ID_SEALED));
    json_t *ledger = json_object_get(j, "ledger");
    cr_assert_eq(json_integer_value(json_object_get(ledger, "version")), 1);
    json_decref(j);
    cr_assert_eq(get("/v1/recordings/0000000000000000000000000000ffff")->status, 404);
    cr_assert_eq(get("/v1/recordings/nonsense")->status, 404);
}

Test(http, media_whole_and_in_parts)
{
    const char *media = "GET /v1/recordings/" ID_SEALED "/media";
    struct answer *a = ask_with(media, "", NULL);
    cr_assert_eq(a->status, 200);
    cr_assert_str_eq(a->body, "0123456789");
    cr_assert(header_is(a, "ETag: \"abcd\""));
    cr_assert(header_is(a, "Content-Type: audio/wav"));
    cr_assert(header_is(a, "Content-Disposition: attachment; filename=\"one.wav\""));
    a = ask_with(media, "Range: bytes=2-4\r\n", NULL);
    cr_assert_eq(a->status, 206);
    cr_assert_str_eq(a->body, "234");
    cr_assert(header_is(a, "Content-Range: bytes 2-4/10"));
    a = ask_with(media, "Range: bytes=10-\r\n", NULL);
    cr_assert_eq(a->status, 416);
    cr_assert(header_is(a, "Content-Range: bytes */10"));
    cr_assert_eq(ask_with(media, "Range: bytes=0-1\r\nIf-Range: \"abcd\"\r\n", NULL)->status, 206);
    cr_assert_eq(ask_with(media, "Range: bytes=0-1\r\nIf-Range: \"old\"\r\n", NULL)->status, 200);
    cr_assert_eq(ask_with(media, "Range: bytes=0-1,3-4\r\n", NULL)->status, 200);
    a = ask_with(media, "If-None-Match: W/\"abcd\"\r\n", NULL);
    cr_assert_eq(a->status, 304);
    cr_assert_eq(a->body_bytes, 0);
    a = ask_with("HEAD /v1/recordings/" ID_SEALED "/media", "", NULL);
    cr_assert_eq(a->status, 200);
    cr_assert_eq(a->body_bytes, 0);
    cr_assert(header_is(a, "Content-Length: 10"));
}

/* Fetching has no gap when the WAV gives way to what was made of it. */
Test(http, media_that_was_just_encoded)
{
    struct answer *a = get("/v1/recordings/" ID_ENCODED "/media");
    cr_assert_eq(a->status, 200);
    cr_assert_str_eq(a->body, "zero");
    cr_assert(header_is(a, "ETag: \"ef01\""));
    cr_assert(header_is(a, "Content-Type: audio/ogg"));
    cr_assert(header_is(a, "Content-Disposition: attachment; filename=\"two-0.opus\""));
    write_file("rec/sub/two.json", "{\"file\":\"sub/nothing.opus\"}");
    cr_assert_eq(get("/v1/recordings/" ID_ENCODED "/media")->status, 404);
    write_file("rec/sub/two.json", "{");
    cr_assert_eq(get("/v1/recordings/" ID_ENCODED "/media")->status, 404);
}

Test(http, media_that_must_not_leave)
{
    cr_assert_eq(get("/v1/recordings/" ID_OPEN "/media")->status, 409);
    cr_assert_eq(get("/v1/recordings/" ID_FAILED "/media")->status, 404);
    static const char *const paths[] = {"/v1/recordings/" ID_ESCAPE "/media",
                                        "/v1/recordings/" ID_LINK "/media"};
    for (size_t i = 0; i < 2; i++) {
        struct answer *a = get(paths[i]);
        cr_assert_eq(a->status, 500);
        cr_assert_null(strstr(a->body, "secret\n"));
        cr_assert_neq(strcmp(a->body, "secret"), 0);
    }
}

static int audit_rows(const char *where)
{
    char path[160];
    char sql[256];
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    slr_store_close(store); /* commits what waits */
    store = NULL;
    snprintf(path, sizeof(path), "%s/core/core.db", dir);
    snprintf(sql, sizeof(sql), "SELECT count(*) FROM audit WHERE %s", where);
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_step(st), SQLITE_ROW);
    int n = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return n;
}

Test(http, deletion_is_asked_for_audited_and_final)
{
    const char *line = "DELETE /v1/recordings/" ID_SEALED;
    core.result = SLR_CLOSED;
    cr_assert_eq(ask_with(line, "", NULL)->status, 503);
    cr_assert_eq(get("/v1/recordings/" ID_SEALED)->status, 200);
    core.result = SLR_OK;
    struct answer *a = ask_with(line, "", NULL);
    cr_assert_eq(a->status, 200);
    cr_assert_eq(core.verb, SLR_CORE_DELETE);
    cr_assert_str_eq(core.id, ID_SEALED);
    cr_assert_eq(get("/v1/recordings/" ID_SEALED)->status, 404);
    cr_assert_eq(get("/v1/recordings/" ID_SEALED "/media")->status, 404);
    cr_assert_eq(ask_with(line, "", NULL)->status, 404);
    int asked = core.asked;
    cr_assert_eq(ask_with("DELETE /v1/recordings/" ID_OPEN, "", NULL)->status, 409);
    cr_assert_eq(core.asked, asked);
    slr_http_stop(server);
    server = NULL;
    cr_assert_eq(audit_rows("action='delete' AND actor='local' AND recording='" ID_SEALED
                            "' AND detail='OK'"),
                 1);
}

Test(http, metrics_and_openapi)
{
    struct answer *a = get("/metrics");
    cr_assert_eq(a->status, 200);
    cr_assert_not_null(strstr(a->body, "\nslr_sip_invites_total 3\n"));
    cr_assert_not_null(strstr(a->body, "\nslr_rtp_packets_total 7\n"));
    cr_assert_not_null(strstr(a->body, "\nslr_core_up 1\n"));
    cr_assert_not_null(strstr(a->body, "# TYPE slr_http_answers_total counter\n"));
    cr_assert_null(strstr(a->body, "bad name"));
    json_t *j = json_of(get("/v1/openapi.json"));
    json_t *paths = json_object_get(j, "paths");
    json_t *list = json_object_get(json_object_get(paths, "/v1/recordings"), "get");
    cr_assert_eq(json_array_size(json_object_get(list, "parameters")), 8);
    json_t *one = json_object_get(paths, "/v1/recordings/{id}");
    cr_assert_not_null(json_object_get(one, "get"));
    cr_assert_not_null(json_object_get(json_object_get(one, "delete"), "responses"));
    json_decref(j);
}

static void *hang(void *arg)
{
    int fd = *(int *)arg;
    static const char request[] = "POST /v1/calls/hang/stop HTTP/1.1\r\nHost: localhost\r\n"
                                  "Content-Length: 0\r\n\r\n";
    char buffer[512];
    cr_assert_eq(send(fd, request, sizeof(request) - 1, 0), (ssize_t)sizeof(request) - 1);
    cr_assert_gt(recv(fd, buffer, sizeof(buffer), 0), 0);
    return NULL;
}

Test(http, requests_that_hang_hold_up_no_other)
{
    pthread_t thread[16];
    int fd[16];
    for (int i = 0; i < 16; i++) {
        fd[i] = dial();
        cr_assert_eq(pthread_create(&thread[i], NULL, hang, &fd[i]), 0);
        sem_wait(&core.hang_entered);
    }
    cr_assert_eq(get("/v1/status")->status, 200);
    cr_assert_eq(get("/v1/recordings/" ID_SEALED "/media")->status, 200);
    for (int i = 0; i < 16; i++) {
        sem_post(&core.hang_leave);
    }
    for (int i = 0; i < 16; i++) {
        pthread_join(thread[i], NULL);
        close(fd[i]);
    }
}

Test(http_start, tokens)
{
    char path[160];
    write_file("tokens", "anna " TOKEN "\n");
    snprintf(path, sizeof(path), "%s/tokens", dir);
    cr_assert_eq(chmod(path, 0600), 0);
    start((struct slr_http_config){.token_file = path});
    struct answer *a = get("/v1/status");
    cr_assert_eq(a->status, 401);
    cr_assert(header_is(a, "WWW-Authenticate: Bearer"));
    cr_assert_eq(get("/nothing")->status, 401);
    cr_assert_eq(ask_with("GET /v1/status", "Authorization: Bearer wrong\r\n", NULL)->status, 401);
    cr_assert_eq(core.asked, 0);
    cr_assert_eq(get("/healthz")->status, 200);
    const char *token = "Authorization: Bearer " TOKEN "\r\n";
    cr_assert_eq(ask_with("GET /v1/status", token, NULL)->status, 200);
    cr_assert_eq(ask_with("POST /v1/calls/x/stop", token, "")->status, 200);
    slr_http_stop(server);
    server = NULL;
    cr_assert_eq(audit_rows("action='stop' AND actor='anna'"), 1);
}

Test(http_start, refused_beyond_loopback_without_tls_and_tokens)
{
    struct slr_http_config cfg = {.data_dir = dir,
                                  .store = store,
                                  .core = (void *)&core,
                                  .ask = fake_ask,
                                  .listen = "0.0.0.0:0"};
    cr_assert_eq(slr_http_start(&cfg, &server), SLR_DENIED);
    cfg.token_file = "/nonexistent";
    cr_assert_eq(slr_http_start(&cfg, &server), SLR_DENIED);
    cfg.token_file = NULL;
    cfg.tls_cert = cfg.tls_key = "/nonexistent";
    cr_assert_eq(slr_http_start(&cfg, &server), SLR_DENIED);
    cfg.listen = "somewhere";
    cr_assert_eq(slr_http_start(&cfg, &server), SLR_INVAL);
    server = NULL;
}

Test(http_start, a_taken_port_is_busy)
{
    start((struct slr_http_config){0});
    char listen[32];
    snprintf(listen, sizeof(listen), "127.0.0.1:%u", slr_http_port(server));
    struct slr_http_config cfg = {
        .data_dir = dir, .store = store, .core = (void *)&core, .ask = fake_ask, .listen = listen};
    struct slr_http *second = NULL;
    cr_assert_eq(slr_http_start(&cfg, &second), SLR_BUSY);
}
