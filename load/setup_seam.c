/*
 * setup_seam: calls on the engine's control socket, as a control plane would set them up
 * (docs/seam.md). Three commands a call go out together; answers come in order.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/seam.h"
#include "load/draw.h"
#include "load/local.h"
#include "load/passive.h"
#include "load/setup.h"

#define ANSWER_NS (10 * SLR_NS_PER_S)
#define ACK_EACH 64u

/* What is expected of a call. */
struct waits {
    uint8_t answers; /* still to come */
    bool failed, ending;
};

struct slr_setup {
    struct slr_setup_config sc;
    struct slr_seam_conn *conn;
    struct waits *waits; /* by call */
    char local_ip[64], media_ip[64];
    int64_t epoch;
    uint64_t event, acked; /* newest event number, and told so */
    uint32_t asks;
    json_t *answer; /* of a command that is waited for */
};

static enum slr_err put(struct slr_setup *s, const char *text)
{
    return slr_seam_put_text(s->conn, slr_slice_str(text), -1);
}

/* Where the recorder wants a leg. */
static bool take_address(struct slr_call_leg *leg, const json_t *msg)
{
    const char *ip = slr_json_str(msg, "ip");
    if (!ip || inet_pton(AF_INET, ip, &leg->rtp.sin_addr) != 1) {
        return false;
    }
    leg->rtp.sin_family = leg->rtcp.sin_family = AF_INET;
    leg->rtp.sin_port = htons((uint16_t)slr_json_u64(msg, "port", 0));
    leg->rtcp.sin_port = htons((uint16_t)slr_json_u64(msg, "rtcp_port", 0));
    leg->rtcp.sin_addr = leg->rtp.sin_addr;
    return true;
}

static void on_call(struct slr_setup *s, struct slr_call *call, char kind, const json_t *msg)
{
    struct waits *w = &s->waits[call->index];
    const char *err = slr_json_str(msg, "err");
    if (err && !w->failed) {
        w->failed = true;
        s->sc.hooks.failed(s->sc.hooks.ctx, call, err);
    }
    if (kind == 'c') {
        if (!w->failed) {
            s->sc.hooks.ended(s->sc.hooks.ctx, call);
        }
        return;
    }
    if (kind == '0' || kind == '1') {
        if (!take_address(&call->leg[kind - '0'], msg) && !w->failed && !s->sc.cfg->passive) {
            w->failed = true;
            s->sc.hooks.failed(s->sc.hooks.ctx, call, "no address");
        }
    }
    if (--w->answers == 0 && !w->failed) {
        s->sc.hooks.ready(s->sc.hooks.ctx, call);
    }
}

/* Ids are "RUN-CALL-KIND", kind being o (open), 0, 1 (legs), c (close), or "RUN-ask-N". */
static void on_answer(struct slr_setup *s, json_t *msg)
{
    char prefix[16];
    char *end = NULL;
    const char *id = slr_json_str(msg, "re");
    size_t n = (size_t)snprintf(prefix, sizeof prefix, "%08x-", s->sc.cfg->run_id);
    if (!id || strncmp(id, prefix, n) != 0) {
        return;
    }
    if (strncmp(id + n, "ask-", 4) == 0) {
        json_decref(s->answer);
        s->answer = json_incref(msg);
        return;
    }
    unsigned long call = strtoul(id + n, &end, 10);
    if (*end == '-' && call < atomic_load(&s->sc.book->count)) {
        on_call(s, &s->sc.book->call[call], end[1], msg);
    }
}

static enum slr_err take(struct slr_setup *s)
{
    for (;;) {
        json_t *msg = NULL;
        enum slr_err err = slr_seam_take(s->conn, &msg, NULL);
        if (err != SLR_OK) {
            return err == SLR_AGAIN ? SLR_OK : err;
        }
        if (json_object_get(msg, "re")) {
            on_answer(s, msg);
        } else {
            uint64_t n = slr_json_u64(msg, "n", 0);
            s->event = n > s->event ? n : s->event;
        }
        json_decref(msg);
    }
}

static enum slr_err step(struct slr_setup *s, int64_t now_ns)
{
    char text[128];
    (void)now_ns;
    enum slr_err err = take(s);
    if (err == SLR_OK && s->event >= s->acked + ACK_EACH) {
        snprintf(text, sizeof text, "{\"cmd\":\"ack\",\"epoch\":%lld,\"n\":%llu}",
                 (long long)s->epoch, (unsigned long long)s->event);
        err = put(s, text);
        s->acked = s->event;
    }
    if (err == SLR_OK) {
        err = slr_seam_flush(s->conn);
    }
    return err == SLR_AGAIN ? SLR_OK : err;
}

/* Sends one command and waits for its answer: at start, and for counters. NULL: none came. */
static json_t *ask(struct slr_setup *s, const char *cmd, const char *more)
{
    char text[512];
    int64_t until = slr_clock_mono(slr_clock_real()).ns + 2 * SLR_NS_PER_S;
    snprintf(text, sizeof text, "{\"cmd\":\"%s\",\"id\":\"%08x-ask-%u\",\"epoch\":%lld%s}", cmd,
             s->sc.cfg->run_id, ++s->asks, (long long)s->epoch, more);
    enum slr_err err = put(s, text);
    while (err == SLR_OK && !s->answer && slr_clock_mono(slr_clock_real()).ns < until) {
        struct pollfd p = {.fd = slr_seam_fd(s->conn), .events = POLLIN};
        err = step(s, 0);
        if (err == SLR_OK && !s->answer) {
            (void)poll(&p, 1, 10);
        }
    }
    json_t *answer = s->answer;
    s->answer = NULL;
    return answer;
}

/* Greets the engine, with the epoch of its owner or, to take over, a newer one. The first greeting
 * tells how far its events are, the second asks for those after. */
static enum slr_err greet(struct slr_setup *s, const char *path, bool take_over)
{
    char more[96];
    json_t *hello = NULL;
    uint64_t from = 0;
    for (int turn = 0; turn < 4; turn++) {
        json_decref(hello);
        slr_seam_close(s->conn);
        s->conn = NULL;
        enum slr_err err = slr_seam_connect(path, &s->conn);
        if (err != SLR_OK) {
            return err;
        }
        snprintf(more, sizeof more, ",\"core\":\"slr-load\",\"proto\":1,\"resume_after\":%llu",
                 (unsigned long long)from);
        hello = ask(s, "hello", more);
        if (!hello) {
            return SLR_TIMEOUT;
        }
        if (slr_json_str(hello, "err")) {
            s->epoch = slr_json_i64(hello, "owner_epoch", s->epoch) + take_over;
            continue;
        }
        if (slr_json_u64(hello, "last", 0) <= from + 1000 || turn == 3) {
            break;
        }
        from = slr_json_u64(hello, "last", 0);
    }
    const json_t *ips = json_object_get(hello, "media_ips");
    const char *ip = json_string_value(json_array_get(ips, 0));
    snprintf(s->media_ip, sizeof s->media_ip, "%s", ip ? ip : "");
    enum slr_err err = s->sc.cfg->passive ? SLR_OK
                       : ip               ? slr_local_ip_towards(ip, 9, s->local_ip)
                                          : SLR_FORMAT;
    json_decref(hello);
    return err;
}

static void close_it(struct slr_setup *s)
{
    if (s) {
        slr_seam_close(s->conn);
        json_decref(s->answer);
        free(s->waits);
        free(s);
    }
}

static enum slr_err open_it(const struct slr_setup_config *sc, char local_ip[static 64],
                            char media_ip[static 64], struct slr_setup **out)
{
    struct slr_setup *s = calloc(1, sizeof *s);
    if (!s) {
        return SLR_NOMEM;
    }
    s->sc = *sc;
    s->epoch = 1;
    s->waits = calloc(sc->book->size, sizeof *s->waits);
    enum slr_err err = s->waits ? greet(s, sc->cfg->seam, true) : SLR_NOMEM;
    if (err != SLR_OK) {
        close_it(s);
        return err;
    }
    if (sc->cfg->local_ip) {
        snprintf(s->local_ip, sizeof s->local_ip, "%s", sc->cfg->local_ip);
    }
    if (sc->cfg->passive) { /* each leg has addresses of its own */
        snprintf(s->local_ip, sizeof s->local_ip, "0.0.0.0");
        snprintf(s->media_ip, sizeof s->media_ip, "0.0.0.0");
    }
    memcpy(local_ip, s->local_ip, 64);
    memcpy(media_ip, s->media_ip, 64);
    *out = s;
    return SLR_OK;
}

static void poll_it(const struct slr_setup *s, struct pollfd *out)
{
    short events = slr_seam_wants_write(s->conn) ? POLLIN | POLLOUT : POLLIN;
    *out = (struct pollfd){.fd = slr_seam_fd(s->conn), .events = events};
}

/* "RUNCALL" and zeros: 32 hex digits. */
static void session_of(const struct slr_setup *s, const struct slr_call *call, char out[static 33])
{
    snprintf(out, 33, "%08x%08x%016x", s->sc.cfg->run_id, call->index, 0u);
}

/* Where a leg's packets come from, and, where the recorder only watches, where they go. */
static void source_of(const struct slr_setup *s, const struct slr_call_leg *leg, char *out,
                      size_t size)
{
    char src[INET_ADDRSTRLEN] = "";
    char dst[INET_ADDRSTRLEN] = "";
    if (!s->sc.cfg->passive) {
        snprintf(out, size, "\"source_ip\":\"%s\",\"source_port\":0", s->local_ip);
        return;
    }
    (void)inet_ntop(AF_INET, &leg->from.sin_addr, src, sizeof src);
    (void)inet_ntop(AF_INET, &leg->rtp.sin_addr, dst, sizeof dst);
    snprintf(out, size, "\"passive\":{\"dst\":\"%s:%u\",\"src_ip\":\"%s\"}", dst,
             ntohs(leg->rtp.sin_port), src);
}

static enum slr_err open_leg(struct slr_setup *s, const struct slr_call *call, uint32_t leg)
{
    char text[1024];
    char session[33];
    char key[SLR_SRTP_KEY_TEXT_SIZE];
    char srtp[192] = "";
    char source[128];
    const struct slr_voice_row *v = slr_cast_voice(s->sc.cast, call->index)->row;
    session_of(s, call, session);
    if (s->sc.cfg->suite != SLR_SRTP_NONE) {
        slr_book_key(s->sc.book, call->index, leg, key);
        snprintf(srtp, sizeof srtp, ",\"srtp\":[{\"suite\":\"%s\",\"key\":\"%s\"}]",
                 slr_srtp_suite_row(s->sc.cfg->suite)->name, key);
    }
    source_of(s, &call->leg[leg], source, sizeof source);
    snprintf(
        text, sizeof text,
        "{\"cmd\":\"leg_open\",\"id\":\"%08x-%u-%u\",\"epoch\":%lld,\"session\":\"%s\","
        "\"leg\":\"leg%u\",\"channel\":%u,\"dn\":\"%u\",\"codecs\":[{\"pt\":%u,\"name\":\"%s\","
        "\"clock\":%u,\"ch\":%u,\"fmtp\":\"%s\"}%s],%s,"
        "\"family\":4,\"hold\":false,\"ptime_ms\":20%s}",
        s->sc.cfg->run_id, call->index, leg, (long long)s->epoch, session, leg, leg,
        slr_book_dn(call->index, leg), v->pt, v->name, v->clock_hz, v->sdp_channels, v->fmtp,
        v->comfort ? ",{\"pt\":13,\"name\":\"CN\",\"clock\":8000,\"ch\":1,\"fmtp\":\"\"}" : "",
        source, srtp);
    return put(s, text);
}

static void begin(struct slr_setup *s, struct slr_call *call, int64_t now_ns)
{
    char text[512];
    char session[33];
    char name[40];
    (void)now_ns;
    if (s->sc.cfg->passive) {
        slr_passive_addresses(call);
    }
    session_of(s, call, session);
    slr_book_name(s->sc.book, call->index, name);
    s->waits[call->index] = (struct waits){.answers = 1 + SLR_LOAD_LEGS};
    snprintf(text, sizeof text,
             "{\"cmd\":\"session_open\",\"id\":\"%08x-%u-o\",\"epoch\":%lld,\"session\":\"%s\","
             "\"call\":\"%s\",\"channels\":%u,\"reserve\":%u}",
             s->sc.cfg->run_id, call->index, (long long)s->epoch, session, name, SLR_LOAD_LEGS,
             SLR_LOAD_LEGS);
    enum slr_err err = put(s, text);
    for (uint32_t leg = 0; leg < SLR_LOAD_LEGS && err == SLR_OK; leg++) {
        err = open_leg(s, call, leg);
    }
    if (err != SLR_OK) {
        s->waits[call->index].failed = true;
        s->sc.hooks.failed(s->sc.hooks.ctx, call, slr_err_name(err));
    }
}

static void end(struct slr_setup *s, struct slr_call *call, int64_t now_ns)
{
    char text[256];
    char session[33];
    (void)now_ns;
    session_of(s, call, session);
    s->waits[call->index].ending = true;
    snprintf(text, sizeof text,
             "{\"cmd\":\"session_close\",\"id\":\"%08x-%u-c\",\"epoch\":%lld,\"session\":\"%s\","
             "\"reason\":\"bye\"}",
             s->sc.cfg->run_id, call->index, (long long)s->epoch, session);
    if (put(s, text) != SLR_OK) {
        s->waits[call->index].failed = true;
        s->sc.hooks.failed(s->sc.hooks.ctx, call, "seam");
    }
}

static json_t *stats(struct slr_setup *s)
{
    json_t *answer = ask(s, "stats", "");
    json_t *counters = json_incref(json_object_get(answer, "counters"));
    json_decref(answer);
    return counters;
}

json_t *slr_setup_stats(const struct slr_load_config *cfg, const char *path)
{
    struct slr_setup *s = calloc(1, sizeof *s);
    json_t *counters = NULL;
    if (!s) {
        return NULL;
    }
    s->sc.cfg = cfg;
    s->epoch = 1;
    s->asks = (uint32_t)slr_draw_mix((uint64_t)slr_clock_mono(slr_clock_real()).ns);
    if (greet(s, path, false) == SLR_OK) {
        counters = stats(s);
    }
    close_it(s);
    return counters;
}

const struct slr_setup_ops slr_setup_seam = {.name = "seam",
                                             .open = open_it,
                                             .close = close_it,
                                             .poll = poll_it,
                                             .step = step,
                                             .begin = begin,
                                             .end = end,
                                             .stats = stats};
