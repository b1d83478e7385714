/*
 * http_calls: what is answered by the signalling thread: status, calls, pause, resume, stop, drain,
 * metrics, health. Runs on the connection's thread; never waits for a disk.
 */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "ctl/http_internal.h"

#define ASK_MS 2000
#define PAUSE_MAX_S 86400
#define METRICS_BYTES 16384
#define ENGINE_LINE_BYTES 256

static enum MHD_Result relay(struct slr_http_request *r, enum slr_core_verb verb)
{
    json_t *answer = NULL;
    enum slr_err err = slr_http_ask(r, verb, "", 0, ASK_MS, &answer);
    return err == SLR_OK ? slr_http_reply_json(r, MHD_HTTP_OK, answer)
                         : slr_http_reply_error(r, err, answer);
}

enum MHD_Result slr_http_do_status(struct slr_http_request *r)
{
    return relay(r, SLR_CORE_STATUS);
}

enum MHD_Result slr_http_do_calls(struct slr_http_request *r)
{
    return relay(r, SLR_CORE_CALLS);
}

enum MHD_Result slr_http_do_healthz(struct slr_http_request *r)
{
    json_t *answer = NULL;
    enum slr_err err = slr_http_ask(r, SLR_CORE_STATUS, "", 0, ASK_MS, &answer);
    json_decref(answer); /* says nothing about the calls: no token is needed here */
    if (err != SLR_OK) {
        return slr_http_reply_problem(r, MHD_HTTP_SERVICE_UNAVAILABLE, err, NULL);
    }
    return slr_http_reply_json(r, MHD_HTTP_OK, json_pack("{s:s}", "status", "ok"));
}

/* How long a pause may last, in ms; 0: not said. False: no number of 1 to 86,400 seconds. */
static bool read_max(const json_t *body, int64_t *max_ms)
{
    const json_t *max_s = json_object_get(body, "max_s");
    json_int_t value = json_integer_value(max_s);
    *max_ms = max_s ? (int64_t)value * 1000 : 0;
    return !max_s || (json_is_integer(max_s) && value >= 1 && value <= PAUSE_MAX_S);
}

/* A changing verb on one call: body looked at, asked, audited. */
static enum MHD_Result control(struct slr_http_request *r, enum slr_core_verb verb)
{
    json_t *body = NULL;
    int64_t arg = 0;
    enum slr_err err = slr_http_body(r, &body);
    bool good = err == SLR_OK && (verb != SLR_CORE_PAUSE || read_max(body, &arg));
    json_decref(body);
    if (!good) {
        return slr_http_reply_problem(r, MHD_HTTP_BAD_REQUEST, err == SLR_OK ? SLR_INVAL : err,
                                      err == SLR_OK ? "max_s: expected 1 to 86400 seconds"
                                                    : "the body is no JSON object");
    }
    json_t *answer = NULL;
    err = slr_http_ask(r, verb, r->id, arg, ASK_MS, &answer);
    slr_http_audit(r, r->route->op, r->id, err);
    return err == SLR_OK ? slr_http_reply_json(r, MHD_HTTP_OK, answer)
                         : slr_http_reply_error(r, err, answer);
}

enum MHD_Result slr_http_do_pause(struct slr_http_request *r)
{
    return control(r, SLR_CORE_PAUSE);
}

enum MHD_Result slr_http_do_resume(struct slr_http_request *r)
{
    return control(r, SLR_CORE_RESUME);
}

enum MHD_Result slr_http_do_stop(struct slr_http_request *r)
{
    return control(r, SLR_CORE_STOP);
}

enum MHD_Result slr_http_do_drain(struct slr_http_request *r)
{
    json_t *body = NULL;
    enum slr_err err = slr_http_body(r, &body);
    json_t *on = json_object_get(body, "on");
    bool drain = on == NULL || json_is_true(on);
    bool good = err == SLR_OK && (on == NULL || json_is_boolean(on));
    json_decref(body);
    if (!good) {
        return slr_http_reply_problem(r, MHD_HTTP_BAD_REQUEST, SLR_FORMAT,
                                      "expected a JSON object with \"on\": true or false");
    }
    json_t *answer = NULL;
    err = slr_http_ask(r, SLR_CORE_DRAIN, "", drain ? 1 : 0, ASK_MS, &answer);
    slr_http_audit(r, drain ? "drain" : "undrain", "", err);
    return err == SLR_OK ? slr_http_reply_json(r, MHD_HTTP_OK, answer)
                         : slr_http_reply_error(r, err, answer);
}

static const struct slr_metric metric_table[] = {
#define HTTP_METRIC(name, kind, text, help) {text, help, kind},
#include "ctl/http_metrics.def"
#undef HTTP_METRIC
};

/* A name that is safe to print: letters, digits, _ and :, then anything printable in labels. */
static bool good_metric(const char *name)
{
    size_t len = strlen(name);
    size_t stem = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:");
    for (size_t i = 0; i < len; i++) {
        if (name[i] < ' ' || name[i] > '~') {
            return false;
        }
    }
    return stem > 0 && len < ENGINE_LINE_BYTES / 2 && (stem == len || name[stem] == '{');
}

static void put_engine(struct slr_put *out, const json_t *engine)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_t *source = (json_t *)(uintptr_t)engine; /* jansson's iterator is not const-correct */
    json_object_foreach(source, name, value)
    {
        if (!json_is_number(value) || !good_metric(name)) {
            continue;
        }
        slr_put_fmt(out, "%s%s %.17g\n", strncmp(name, "slr_", 4) == 0 ? "" : "slr_engine_", name,
                    json_number_value(value));
    }
}

enum MHD_Result slr_http_do_metrics(struct slr_http_request *r)
{
    json_t *answer = NULL;
    enum slr_err err = slr_http_ask(r, SLR_CORE_METRICS, "", 0, ASK_MS, &answer);
    const char *text = json_string_value(json_object_get(answer, "text"));
    const json_t *engine = json_object_get(answer, "engine");
    size_t size = METRICS_BYTES + (text != NULL ? strlen(text) : 0) +
                  json_object_size(engine) * ENGINE_LINE_BYTES;
    char *page = malloc(size);
    if (page == NULL) {
        json_decref(answer);
        return MHD_NO;
    }
    struct slr_put out = slr_put_of(page, size - 1);
    slr_counter *array[1] = {r->h->count};
    slr_metrics_print(&out, metric_table, SLR_HTTP_METRIC_COUNT, array, 1);
    slr_put_fmt(&out,
                "# HELP slr_core_up Signalling answers\n# TYPE slr_core_up gauge\n"
                "slr_core_up %d\n",
                err == SLR_OK ? 1 : 0);
    slr_put_str(&out, text != NULL ? text : "");
    if (text != NULL && text[0] != '\0' && text[strlen(text) - 1] != '\n') {
        slr_put_u8(&out, '\n');
    }
    put_engine(&out, engine);
    page[out.len_bytes] = '\0';
    json_decref(answer);
    enum MHD_Result ok = slr_http_reply_text(r, MHD_HTTP_OK, "text/plain; version=0.0.4", page);
    free(page);
    return ok;
}
