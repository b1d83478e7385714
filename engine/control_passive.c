/*
 * control_passive: runs a capture file through the engine in step with a core: after each SIP
 * message the clock stands still until the core has acknowledged it (docs/seam.md). A live link
 * waits for nobody: the core's commands come when they come. Control thread, which is the engine's
 * only one here (but the sealer's on a link).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "capture/capture.h"
#include "common/log.h"
#include "engine/control_priv.h"
#include "engine/sip_blank.h"

#define LEAVE_NS (10 * SLR_NS_PER_S)
/* A live link's media keys are at hand so long; meanwhile frames wait in the ring. */
#define KEYS_NS (200 * SLR_NS_PER_MS)
/* How often time goes on while there are sessions. */
#define LINK_TICK_MS 50

struct passive {
    struct slr_control c;
    struct slr_sip_blank_flows flows;
    bool more;
};

/* RFC 4648 section 4; the caller frees. NULL: no memory. */
static char *base64(const uint8_t *at, size_t len)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *out = malloc((len + 2) / 3 * 4 + 1), *p = out;

    for (size_t i = 0; out && i < len; i += 3) {
        uint32_t v = (uint32_t)at[i] << 16;
        v |= i + 1 < len ? (uint32_t)at[i + 1] << 8 : 0;
        v |= i + 2 < len ? (uint32_t)at[i + 2] : 0;
        *p++ = digit[v >> 18];
        *p++ = digit[(v >> 12) & 63];
        *p++ = digit[(v >> 6) & 63];
        *p++ = digit[v & 63];
    }
    if (out) {
        for (size_t k = 0; k < (3 - len % 3) % 3; k++) {
            p[-1 - (long)k] = '=';
        }
        *p = '\0';
    }
    return out;
}

/* Whether a message carries media keys of RFC 4568. */
static bool has_keys(const struct slr_passive_sip *sip)
{
    struct slr_slice rest = slr_slice_of(sip->at, sip->len_bytes), line;
    while (slr_slice_take_line(&rest, &line)) {
        if (line.len_bytes > 9 && slr_slice_eq_nocase(slr_slice_of(line.at, 9), "a=crypto:")) {
            return true;
        }
    }
    return false;
}

static void forget_sip(struct passive *p)
{
    if (p->c.sip.data) {
        explicit_bzero(p->c.sip.data, strlen(p->c.sip.data));
        free(p->c.sip.data);
    }
    p->c.sip = (struct slr_seam_sip){.data = NULL};
}

/* The event for a captured message. NULL: no memory. */
static json_t *sip_event(struct passive *p, const struct slr_passive_sip *sip)
{
    char src[SLR_ADDR_TEXT_SIZE], dst[SLR_ADDR_TEXT_SIZE];
    struct slr_sip_blank whole = {.name_len = 0};
    uint8_t *copy = malloc(sip->len_bytes ? sip->len_bytes : 1);

    if (!copy) {
        return NULL;
    }
    memcpy(copy, sip->at, sip->len_bytes);
    slr_sip_blank(sip->tcp ? slr_sip_blank_flow(&p->flows, &sip->src, &sip->dst) : &whole, copy,
                  sip->len_bytes);
    char *data = base64(copy, sip->len_bytes);
    free(copy);
    slr_addr_format(&sip->src, src);
    slr_addr_format(&sip->dst, dst);
    json_t *event = data ? json_pack("{s:s,s:I,s:s,s:s,s:b,s:s}", "ev", "sip", "wall_ns",
                                     (json_int_t)sip->wall.ns, "src", src, "dst", dst, "tcp",
                                     (int)sip->tcp, "data", data)
                         : NULL;
    free(data);
    if (event && has_keys(sip)) {
        p->c.sip.data = base64(sip->at, sip->len_bytes);
        json_object_set_new(event, "keys", json_true());
    }
    return event;
}

static uint32_t cores(const struct passive *p)
{
    return p->c.seam ? slr_seam_server_cores(p->c.seam) : 0;
}

/* Serves the seam until event n is acknowledged. SLR_CLOSED: the core that was to be waited for is
 * gone; without --wait-core the run goes on without one. */
static enum slr_err wait_ack(struct passive *p, uint64_t n)
{
    while (cores(p) > 0 && slr_seam_server_acked(p->c.seam) < n) {
        if (!slr_control_round(&p->c, &p->more)) {
            return SLR_IO;
        }
    }
    return cores(p) == 0 && p->c.cfg->wait_core ? SLR_CLOSED : SLR_OK;
}

/* Appends, sends and waits; takes ownership of event. */
static enum slr_err tell(struct passive *p, json_t *event)
{
    if (!event) {
        return SLR_NOMEM;
    }
    uint64_t n = slr_control_append(&p->c, event);
    p->c.sip.n = n;
    p->more = true;
    if (n == 0) {
        return SLR_OK; /* counted and logged; the capture goes on */
    }
    if (!slr_control_round(&p->c, &p->more)) {
        return SLR_IO;
    }
    return wait_ack(p, n);
}

static enum slr_err read_all(struct passive *p)
{
    for (;;) {
        struct slr_passive_sip sip;
        enum slr_err err = p->c.api->passive_run(p->c.engine, &sip);
        if (err == SLR_EOF) {
            return SLR_OK;
        }
        if (err == SLR_OK) {
            err = tell(p, sip_event(p, &sip));
            forget_sip(p);
        }
        if (err != SLR_OK) {
            return err;
        }
    }
}

static void on_link(void *ctx, uint32_t events)
{
    (void)ctx; /* it ends the wait */
    (void)events;
}

/* A message seen on a live link. Time for the core to ask is given only where there are keys. */
static enum slr_err tell_link(struct passive *p, json_t *event)
{
    if (!event) {
        return SLR_NOMEM;
    }
    uint64_t n = slr_control_append(&p->c, event);
    p->c.sip.n = n;
    p->more = true;
    int64_t until = slr_clock_mono(slr_clock_real()).ns + KEYS_NS;
    p->c.wait_ms = 1;
    while (n != 0 && p->c.sip.data && cores(p) > 0 && slr_seam_server_acked(p->c.seam) < n &&
           slr_clock_mono(slr_clock_real()).ns < until) {
        if (!slr_control_round(&p->c, &p->more)) {
            return SLR_IO;
        }
    }
    return SLR_OK;
}

static enum slr_err follow(struct passive *p)
{
    struct slr_passive_sip sip;
    enum slr_err err = slr_loop_add(p->c.loop, &p->c.link_watch, p->c.api->passive_fd(p->c.engine),
                                    EPOLLIN, on_link, p);
    while (err == SLR_OK && !p->c.stop) {
        err = p->c.api->passive_run(p->c.engine, &sip);
        if (err == SLR_OK) {
            err = tell_link(p, sip_event(p, &sip));
            forget_sip(p);
            continue;
        }
        if (err != SLR_AGAIN && err != SLR_BUSY) {
            break;
        }
        bool busy = p->c.api->passive_busy(p->c.engine);
        p->c.wait_ms = err == SLR_BUSY ? 0 : busy ? LINK_TICK_MS : -1;
        err = slr_control_round(&p->c, &p->more) ? SLR_OK : SLR_IO;
    }
    slr_loop_del(p->c.loop, &p->c.link_watch);
    p->c.wait_ms = -1;
    return err;
}

static enum slr_err run(struct passive *p)
{
    if (p->c.link) {
        return follow(p);
    }
    while (p->c.cfg->wait_core && cores(p) == 0) {
        if (!slr_control_round(&p->c, &p->more)) {
            return SLR_IO;
        }
    }
    enum slr_err err = read_all(p);
    if (err == SLR_OK) {
        err = tell(p, json_pack("{s:s}", "ev", "eof_input"));
    }
    if (err == SLR_OK) {
        err = p->c.api->passive_flush(p->c.engine);
    }
    const enum slr_err kept = err; /* what was too much of it has been refused, the rest is there */
    if (err != SLR_OK && err != SLR_FULL) {
        return err;
    }
    (void)slr_control_append(&p->c, json_pack("{s:s}", "ev", "eof")); /* counted there */
    p->more = true;
    int64_t until = slr_clock_mono(slr_clock_real()).ns + LEAVE_NS;
    while (cores(p) > 0 && slr_clock_mono(slr_clock_real()).ns < until) {
        if (!slr_control_round(&p->c, &p->more)) {
            return SLR_IO;
        }
    }
    return kept;
}

/* Files are read to their end, whatever signals come. */
static bool is_link(const char *capture)
{
    const struct slr_capture_ops *ops = slr_capture_named(capture, NULL);
    return ops && ops->fd;
}

int slr_control_run_passive(const struct slr_control_config *cfg)
{
    struct passive *p = calloc(1, sizeof *p);
    if (!p) {
        return EXIT_FAILURE;
    }
    if (cfg->engine->wait_core && !cfg->engine->control) {
        SLR_ERROR("bad_option", "option=wait-core reason=%s", SLR_Q("needs --control"));
        free(p);
        return EXIT_FAILURE;
    }
    enum slr_err err = slr_control_open(&p->c, cfg, true, is_link(cfg->engine->capture));
    if (err == SLR_OK) {
        SLR_INFO("slr_ready", "control=%s sniffer=%u capture=%s",
                 SLR_Q(cfg->engine->control ? cfg->engine->control : "none"),
                 p->c.sniffer ? slr_sniffer_port(p->c.sniffer) : 0u, SLR_Q(cfg->engine->capture));
        p->more = true;
        err = run(p);
        SLR_INFO("passive_done", "err=%s events=%" PRIu64, slr_err_name(err),
                 slr_evlog_last(p->c.log));
    }
    slr_control_close(&p->c, err == SLR_OK);
    free(p);
    return err == SLR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
