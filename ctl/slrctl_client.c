/*
 * slrctl_client: HTTP requests to the recorder's API by libcurl, and what is printed of them.
 * One thread; allocates each answer.
 */
#include <curl/curl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/slrctl.h"

#define ANSWER_MAX_BYTES (256u << 20)
#define CONNECT_S 5L
#define TOTAL_S 60L
#define STALL_S 60L
#define URL_SIZE 2300
#define TOKEN_SIZE 512

struct reply {
    char *text;
    size_t len_bytes;
    bool too_long;
};

struct request {
    CURL *curl;
    struct curl_slist *headers;
    char url[URL_SIZE];
    char why[CURL_ERROR_SIZE];
};

void slrctl_say(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("slrctl: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
}

void slrctl_progress(const char *fmt, ...)
{
    va_list args;
    if (!isatty(STDERR_FILENO)) {
        return;
    }
    va_start(args, fmt);
    fputs("\r\033[K", stderr);
    vfprintf(stderr, fmt, args);
    fflush(stderr);
    va_end(args);
}

void slrctl_print_json(const json_t *value)
{
    (void)json_dumpf(value, stdout, SLRCTL_JSON);
    putchar('\n');
}

char *slrctl_escape(const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = malloc(strlen(text) * 3 + 1);
    char *at = out;
    for (; out != NULL && *text != '\0'; text++) {
        unsigned char ch = (unsigned char)*text;
        if ((ch >= '0' && ch <= '9') || ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z') || ch == '-' ||
            ch == '_' || ch == '.' || ch == '~') {
            *at++ = (char)ch;
            continue;
        }
        *at++ = '%';
        *at++ = hex[ch >> 4];
        *at++ = hex[ch & 15];
    }
    if (out != NULL) {
        *at = '\0';
    }
    return out;
}

static size_t on_body(char *at, size_t size, size_t count, void *ctx)
{
    struct reply *r = ctx;
    size_t n = size * count;
    if (n > ANSWER_MAX_BYTES - r->len_bytes) {
        r->too_long = true;
        return 0;
    }
    char *grown = realloc(r->text, r->len_bytes + n + 1);
    if (grown == NULL) {
        return 0;
    }
    memcpy(grown + r->len_bytes, at, n);
    r->text = grown;
    r->len_bytes += n;
    r->text[r->len_bytes] = '\0';
    return n;
}

/* The token of the file: its last word on the first line that is no comment. */
static enum slrctl_exit read_token(const struct slrctl *c, char token[static TOKEN_SIZE])
{
    char line[TOKEN_SIZE];
    token[0] = '\0';
    if (c->token_file == NULL) {
        return SLRCTL_OK;
    }
    FILE *f = fopen(c->token_file, "re");
    if (f == NULL) {
        slrctl_say("cannot open the token file %s", c->token_file);
        return SLRCTL_FAILED;
    }
    while (token[0] == '\0' && fgets(line, sizeof(line), f) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        const char *word = NULL;
        char *rest = NULL;
        for (char *w = strtok_r(line, " \t", &rest); w != NULL; w = strtok_r(NULL, " \t", &rest)) {
            word = w[0] == '#' && word == NULL ? NULL : w;
            if (word == NULL) {
                break;
            }
        }
        snprintf(token, TOKEN_SIZE, "%s", word != NULL ? word : "");
    }
    fclose(f);
    if (token[0] == '\0') {
        slrctl_say("no token in %s", c->token_file);
        return SLRCTL_FAILED;
    }
    return SLRCTL_OK;
}

static bool add_header(struct request *q, const char *line)
{
    struct curl_slist *grown = curl_slist_append(q->headers, line);
    if (grown == NULL) {
        return false;
    }
    q->headers = grown;
    return true;
}

static void close_request(struct request *q)
{
    curl_slist_free_all(q->headers);
    curl_easy_cleanup(q->curl);
}

/* A handle with address, method, token and time limits; the caller adds where the body goes. */
static enum slrctl_exit open_request(const struct slrctl *c, const char *method, const char *path,
                                     const char *body, struct request *q)
{
    char token[TOKEN_SIZE];
    char line[TOKEN_SIZE + 32];
    memset(q, 0, sizeof(*q));
    if (read_token(c, token) != SLRCTL_OK) {
        return SLRCTL_FAILED;
    }
    q->curl = curl_easy_init();
    bool ok = q->curl != NULL;
    size_t base = strlen(c->api);
    base -= base > 0 && c->api[base - 1] == '/' ? 1 : 0;
    snprintf(q->url, sizeof(q->url), "%.*s%s", (int)base, c->api, path);
    snprintf(line, sizeof(line), "Authorization: Bearer %s", token);
    ok = ok && (token[0] == '\0' || add_header(q, line));
    ok = ok && (body == NULL || add_header(q, "Content-Type: application/json"));
    ok = ok && curl_easy_setopt(q->curl, CURLOPT_URL, q->url) == CURLE_OK &&
         curl_easy_setopt(q->curl, CURLOPT_ERRORBUFFER, q->why) == CURLE_OK &&
         curl_easy_setopt(q->curl, CURLOPT_CUSTOMREQUEST, method) == CURLE_OK &&
         curl_easy_setopt(q->curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
         curl_easy_setopt(q->curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
         curl_easy_setopt(q->curl, CURLOPT_NOPROXY, "localhost,127.0.0.1,::1") == CURLE_OK &&
         curl_easy_setopt(q->curl, CURLOPT_CONNECTTIMEOUT, CONNECT_S) == CURLE_OK &&
         curl_easy_setopt(q->curl, CURLOPT_HTTPHEADER, q->headers) == CURLE_OK;
    ok = ok &&
         (c->ca_file == NULL || curl_easy_setopt(q->curl, CURLOPT_CAINFO, c->ca_file) == CURLE_OK);
    ok =
        ok && (body == NULL || curl_easy_setopt(q->curl, CURLOPT_COPYPOSTFIELDS, body) == CURLE_OK);
    if (!ok) {
        slrctl_say("cannot prepare a request to %s", c->api);
        close_request(q);
        return SLRCTL_FAILED;
    }
    return SLRCTL_OK;
}

static enum slrctl_exit exit_of(long status)
{
    return status == 404 ? SLRCTL_NOT_FOUND : status == 409 ? SLRCTL_STATE : SLRCTL_FAILED;
}

/* Says what a problem document says. */
static void tell_problem(long status, const char *text)
{
    json_t *p = text != NULL ? json_loads(text, 0, NULL) : NULL;
    const char *title = json_string_value(json_object_get(p, "title"));
    const char *detail = json_string_value(json_object_get(p, "detail"));
    slrctl_say("refused: %s%s%s (status %ld)", title != NULL ? title : "no reason given",
               detail != NULL ? ": " : "", detail != NULL ? detail : "", status);
    json_decref(p);
}

static enum slrctl_exit perform(const struct slrctl *c, const char *method, const char *path,
                                const char *body, bool quiet, struct reply *reply)
{
    struct request q;
    long status = 0;
    memset(reply, 0, sizeof(*reply));
    enum slrctl_exit code = open_request(c, method, path, body, &q);
    if (code != SLRCTL_OK) {
        return code;
    }
    bool ok = curl_easy_setopt(q.curl, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
              curl_easy_setopt(q.curl, CURLOPT_WRITEDATA, reply) == CURLE_OK &&
              curl_easy_setopt(q.curl, CURLOPT_TIMEOUT, TOTAL_S) == CURLE_OK;
    CURLcode rc = ok ? curl_easy_perform(q.curl) : CURLE_FAILED_INIT;
    if (rc == CURLE_OK) {
        rc = curl_easy_getinfo(q.curl, CURLINFO_RESPONSE_CODE, &status);
    }
    if (rc != CURLE_OK) {
        if (!quiet) {
            slrctl_say("no answer from %s: %s", c->api,
                       q.why[0] != '\0' ? q.why : curl_easy_strerror(rc));
        }
        code = SLRCTL_NO_ANSWER;
    } else if (status != 200) {
        if (!quiet) {
            tell_problem(status, reply->text);
        }
        code = exit_of(status);
    }
    close_request(&q);
    if (code != SLRCTL_OK) {
        free(reply->text);
        reply->text = NULL;
    }
    return code;
}

enum slrctl_exit slrctl_ask(const struct slrctl *c, const char *method, const char *path,
                            const char *body, json_t **answer)
{
    struct reply reply;
    *answer = NULL;
    enum slrctl_exit code = perform(c, method, path, body, false, &reply);
    if (code != SLRCTL_OK) {
        return code;
    }
    *answer = reply.text != NULL ? json_loadb(reply.text, reply.len_bytes, 0, NULL) : NULL;
    free(reply.text);
    if (*answer == NULL) {
        slrctl_say("%s did not answer with JSON: is it the recorder?", c->api);
        return SLRCTL_FAILED;
    }
    return SLRCTL_OK;
}

enum slrctl_exit slrctl_ask_text(const struct slrctl *c, const char *path, char **answer)
{
    struct reply reply;
    enum slrctl_exit code = perform(c, "GET", path, NULL, false, &reply);
    *answer = reply.text;
    return code;
}

enum slr_err slrctl_try(const struct slrctl *c, const char *path, json_t **answer)
{
    struct reply reply;
    *answer = NULL;
    if (perform(c, "GET", path, NULL, true, &reply) != SLRCTL_OK) {
        return SLR_CLOSED;
    }
    *answer = reply.text != NULL ? json_loadb(reply.text, reply.len_bytes, 0, NULL) : NULL;
    free(reply.text);
    return *answer != NULL ? SLR_OK : SLR_FORMAT;
}

static int on_progress(void *ctx, curl_off_t total, curl_off_t now, curl_off_t up_total,
                       curl_off_t up)
{
    (void)ctx;
    (void)up_total;
    (void)up;
    if (total > 0) {
        slrctl_progress("%.1f of %.1f MB (%d %%)", (double)now / 1e6, (double)total / 1e6,
                        (int)(now * 100 / total));
    }
    return 0;
}

/* A body of an error goes to memory, one of a file to the file. */
struct download {
    struct request *q;
    FILE *to;
    struct reply problem;
};

static size_t on_file(char *at, size_t size, size_t count, void *ctx)
{
    struct download *d = ctx;
    long status = 0;
    if (curl_easy_getinfo(d->q->curl, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK &&
        status != 200) {
        return on_body(at, size, count, &d->problem);
    }
    return fwrite(at, 1, size * count, d->to);
}

enum slrctl_exit slrctl_download(const struct slrctl *c, const char *path, FILE *to)
{
    struct request q;
    struct download d = {.q = &q, .to = to};
    long status = 0;
    enum slrctl_exit code = open_request(c, "GET", path, NULL, &q);
    if (code != SLRCTL_OK) {
        return code;
    }
    bool ok = curl_easy_setopt(q.curl, CURLOPT_WRITEFUNCTION, on_file) == CURLE_OK &&
              curl_easy_setopt(q.curl, CURLOPT_WRITEDATA, &d) == CURLE_OK &&
              curl_easy_setopt(q.curl, CURLOPT_LOW_SPEED_LIMIT, 1L) == CURLE_OK &&
              curl_easy_setopt(q.curl, CURLOPT_LOW_SPEED_TIME, STALL_S) == CURLE_OK &&
              curl_easy_setopt(q.curl, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
              curl_easy_setopt(q.curl, CURLOPT_NOPROGRESS, 0L) == CURLE_OK;
    CURLcode rc = ok ? curl_easy_perform(q.curl) : CURLE_FAILED_INIT;
    (void)curl_easy_getinfo(q.curl, CURLINFO_RESPONSE_CODE, &status);
    slrctl_progress("%s", "");
    if (rc == CURLE_WRITE_ERROR) {
        slrctl_say("cannot write the file");
        code = SLRCTL_FAILED;
    } else if (rc != CURLE_OK) {
        slrctl_say("the transfer from %s failed: %s", c->api,
                   q.why[0] != '\0' ? q.why : curl_easy_strerror(rc));
        code = SLRCTL_NO_ANSWER;
    } else if (status != 200) {
        tell_problem(status, d.problem.text);
        code = exit_of(status);
    }
    free(d.problem.text);
    close_request(&q);
    return code;
}
