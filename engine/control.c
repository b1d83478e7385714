/*
 * control: puts the servers round the engine and runs their loop. Control thread; other threads
 * reach it through the mailbox only.
 */
#include "engine/control.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "capture/capture.h"
#include "common/json.h"
#include "common/log.h"
#include "engine/control_priv.h"

#define MAILBOX_SIZE 65536u
#define LAST_WORDS_NS (2 * SLR_NS_PER_S)

/* In a passive run the clock follows what events and SIP say; it never goes back. */
static void advance_clock(struct slr_control *c, const json_t *event)
{
    static const char *const keys[] = {"start_wall_ns", "end_wall_ns", "wall_ns"};
    for (size_t i = 0; c->virtual_clock && i < sizeof keys / sizeof keys[0]; i++) {
        slr_clock_advance(c->virtual_clock, (slr_wall){slr_json_i64(event, keys[i], 0)});
    }
}

uint64_t slr_control_append(struct slr_control *c, json_t *event)
{
    advance_clock(c, event);
    uint64_t n = slr_evlog_append(c->log, event);
    slr_srv_add(&c->counters, n ? SLR_SRV_EVENTS : SLR_SRV_EVENTS_NOT_KEPT, 1);
    if (n && c->push) {
        json_t *whole = NULL;
        if (slr_json_load(slr_evlog_newest(c->log), &whole) == SLR_OK) {
            slr_hep_push_event(c->push, whole);
            json_decref(whole);
        }
    }
    return n;
}

static void drain_mailbox(struct slr_control *c)
{
    json_t *event;
    while ((event = slr_mailbox_take(&c->mailbox)) != NULL) {
        (void)slr_control_append(c, event); /* counted there */
    }
}

/* The engine's sink: any thread. The control thread's own events must not wait for its next round,
 * and must not overtake those posted before. */
static void emit(void *ctx, json_t *event)
{
    struct slr_control *c = ctx;
    if (pthread_equal(pthread_self(), c->thread)) {
        drain_mailbox(c);
        (void)slr_control_append(c, event);
    } else if (slr_mailbox_put(&c->mailbox, event) != SLR_OK) {
        slr_srv_add(&c->counters, SLR_SRV_EVENTS_MAILBOX_FULL, 1);
        SLR_ERROR("event_dropped", "reason=mailbox_full");
        json_decref(event);
    }
}

static void on_mailbox(void *ctx, uint32_t events)
{
    (void)events;
    drain_mailbox(ctx);
}

static void on_wake(void *ctx, uint32_t events)
{
    struct slr_control *c = ctx;
    (void)events;
    slr_evlog_wake_clear(c->log); /* the round's pump goes on with the cursors */
}

static void on_timer(void *ctx, uint32_t events)
{
    struct slr_control *c = ctx;
    uint64_t expirations;
    (void)events;
    if (read(c->timer_fd, &expirations, sizeof expirations) < 0) {
        return;
    }
    slr_mono now = slr_clock_mono(slr_clock_real());
    slr_wall wall = slr_clock_wall(slr_clock_real());
    if (c->seam) {
        slr_seam_server_tick(c->seam, now);
    }
    if (c->sniffer) {
        slr_sniffer_tick(c->sniffer, now, wall);
    }
    if (c->push) {
        slr_hep_push_tick(c->push, wall);
    }
}

static void on_signal(void *ctx, uint32_t events)
{
    struct slr_control *c = ctx;
    struct signalfd_siginfo info;
    (void)events;
    if (read(c->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        SLR_INFO("stopping", "signal=%u", info.ssi_signo);
        c->stop = true;
    }
}

static void add_counters(void *ctx, json_t *counters)
{
    struct slr_control *c = ctx;
    slr_srv_set(&c->counters, SLR_SRV_EVENTS_LAST, slr_evlog_last(c->log));
    slr_srv_set(&c->counters, SLR_SRV_EVENTS_DURABLE, slr_evlog_durable(c->log));
    slr_srv_set(&c->counters, SLR_SRV_EVENTS_UNWRITTEN, slr_evlog_unwritten(c->log));
    slr_srv_to_json(&c->counters, counters);
}

static enum slr_err open_log(struct slr_control *c, bool passive)
{
    bool file = passive && !c->link;
    if (file) {
        c->virtual_clock = slr_clock_virtual((slr_wall){0});
        if (!c->virtual_clock) {
            return SLR_NOMEM;
        }
    }
    struct slr_evlog_config lc = {.data_dir = c->cfg->data_dir,
                                  .state_dir = c->cfg->state_dir,
                                  .clock = file ? c->virtual_clock : slr_clock_real(),
                                  .seeded = file};
    enum slr_err err = slr_evlog_open(&lc, &c->log);
    if (err == SLR_OK) {
        err = slr_mailbox_init(&c->mailbox, MAILBOX_SIZE);
        c->mailbox_ready = err == SLR_OK;
    }
    if (err == SLR_OK) {
        err = slr_loop_add(c->loop, &c->mailbox_watch, c->mailbox.event_fd, EPOLLIN, on_mailbox, c);
    }
    if (err == SLR_OK) {
        err = slr_loop_add(c->loop, &c->wake_watch, slr_evlog_wake_fd(c->log), EPOLLIN, on_wake, c);
    }
    return err;
}

static enum slr_err open_timer(struct slr_control *c)
{
    struct itimerspec each = {.it_interval = {.tv_sec = 1}, .it_value = {.tv_sec = 1}};
    c->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (c->timer_fd < 0 || timerfd_settime(c->timer_fd, 0, &each, NULL) != 0) {
        return slr_err_from_errno(errno);
    }
    return slr_loop_add(c->loop, &c->timer_watch, c->timer_fd, EPOLLIN, on_timer, c);
}

static enum slr_err open_signals(struct slr_control *c)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    c->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (c->signal_fd < 0) {
        return slr_err_from_errno(errno);
    }
    return slr_loop_add(c->loop, &c->signal_watch, c->signal_fd, EPOLLIN, on_signal, c);
}

static enum slr_err open_servers(struct slr_control *c, bool passive)
{
    enum slr_err err = SLR_OK;
    if (c->cfg->control) {
        struct slr_seam_server_config sc = {.path = c->cfg->control,
                                            .loop = c->loop,
                                            .log = c->log,
                                            .counters = &c->counters,
                                            .env = {.api = c->api,
                                                    .cfg = c->cfg,
                                                    .passive = passive,
                                                    .live = c->link,
                                                    .sip = &c->sip,
                                                    .add_counters = add_counters,
                                                    .ctx = c}};
        err = slr_seam_server_open(&sc, &c->seam);
    }
    if (err == SLR_OK && c->cfg->sniffer_port != 0) {
        struct slr_sniffer_config sc = {.bind = c->cfg->sniffer_bind,
                                        .port = c->cfg->sniffer_port,
                                        .key_file = c->cfg->sniffer_key,
                                        .node = c->cfg->node,
                                        .sessions_max = c->cfg->streams,
                                        .loop = c->loop,
                                        .log = c->log,
                                        .counters = &c->counters,
                                        .api = c->api};
        err = slr_sniffer_open(&sc, &c->sniffer);
    }
    if (err == SLR_OK && c->cfg->hep_send.count > 0) {
        err = slr_hep_push_open(&c->cfg->hep_send, c->cfg->node, c->cfg->streams, c->loop,
                                &c->counters, &c->push);
    }
    return err;
}

static enum slr_err open_engine(struct slr_control *c)
{
    struct slr_event_sink sink = {.emit = emit, .ctx = c};
    enum slr_err err = c->api->open(c->cfg, &sink, &c->engine);
    if (err != SLR_OK) {
        SLR_ERROR("engine_open_failed", "err=%s", slr_err_name(err));
        c->engine = NULL;
        return err;
    }
    if (c->seam) {
        err = slr_seam_server_engine(c->seam, c->engine);
    }
    if (err == SLR_OK && c->sniffer) {
        err = slr_sniffer_engine(c->sniffer, c->engine);
    }
    return err;
}

enum slr_err slr_control_open(struct slr_control *c, const struct slr_control_config *cfg,
                              bool passive, bool signals)
{
    c->cfg = cfg->engine;
    c->api = cfg->api;
    c->thread = pthread_self();
    const struct slr_capture_ops *ops =
        c->cfg->capture ? slr_capture_named(c->cfg->capture, NULL) : NULL;
    c->link = ops && ops->passive && ops->fd;
    c->wait_ms = -1;
    c->timer_fd = c->signal_fd = c->link_watch.fd = -1;
    c->mailbox_watch.fd = c->wake_watch.fd = c->timer_watch.fd = c->signal_watch.fd = -1;
    enum slr_err err = slr_loop_open(&c->loop);
    if (err == SLR_OK) {
        err = open_log(c, passive);
    }
    if (err == SLR_OK) {
        err = open_timer(c);
    }
    if (err == SLR_OK && signals) {
        err = open_signals(c);
    }
    if (err == SLR_OK) {
        err = open_servers(c, passive);
    }
    return err == SLR_OK ? open_engine(c) : err;
}

bool slr_control_round(struct slr_control *c, bool *more)
{
    if (!slr_loop_round(c->loop, *more ? 0 : c->wait_ms)) {
        return false;
    }
    *more = false;
    if (c->seam) {
        *more = slr_seam_server_pump(c->seam);
    }
    if (c->sniffer) {
        *more = slr_sniffer_pump(c->sniffer) || *more;
    }
    return true;
}

static bool readers_idle(const struct slr_control *c)
{
    return (!c->seam || slr_seam_server_idle(c->seam)) &&
           (!c->sniffer || slr_sniffer_idle(c->sniffer));
}

/* What the engine said last still goes to those that read. */
static void last_words(struct slr_control *c)
{
    int64_t until = slr_clock_mono(slr_clock_real()).ns + LAST_WORDS_NS;
    bool more = true;
    drain_mailbox(c);
    do {
        if (!slr_control_round(c, &more)) {
            return;
        }
    } while (!readers_idle(c) && slr_clock_mono(slr_clock_real()).ns < until);
}

void slr_control_close(struct slr_control *c, bool seal)
{
    if (c->engine) {
        struct slr_engine *e = c->engine;
        c->engine = NULL;
        /* no command may reach an engine that is going; this only clears a pointer */
        if ((c->seam && slr_seam_server_engine(c->seam, NULL) != SLR_OK) ||
            (c->sniffer && slr_sniffer_engine(c->sniffer, NULL) != SLR_OK)) {
            SLR_ERROR("engine_detach_failed", "reason=unknown");
        }
        c->api->close(e, seal);
        last_words(c);
    }
    slr_hep_push_close(c->push);
    slr_sniffer_close(c->sniffer);
    slr_seam_server_close(c->seam);
    slr_loop_close(c->loop);
    slr_evlog_close(c->log);
    if (c->mailbox_ready) {
        json_t *event;
        while ((event = slr_mailbox_take(&c->mailbox)) != NULL) {
            json_decref(event);
        }
        slr_mailbox_fini(&c->mailbox);
    }
    if (c->timer_fd >= 0) {
        close(c->timer_fd);
    }
    if (c->signal_fd >= 0) {
        close(c->signal_fd);
    }
    slr_clock_free(c->virtual_clock);
}

/* As for options that the table refuses: who started us need not try again. */
#define EXIT_OPTIONS 2

int slr_control_run(const struct slr_control_config *cfg)
{
    struct slr_control *c = calloc(1, sizeof *c);
    bool more = false;
    if (!c) {
        return EXIT_FAILURE;
    }
    enum slr_err err = slr_control_open(c, cfg, false, true);
    int failed = err == SLR_INVAL ? EXIT_OPTIONS : EXIT_FAILURE;
    if (err == SLR_OK) {
        SLR_INFO("slr_ready", "control=%s sniffer=%u engine=%s streams=%u",
                 SLR_Q(c->cfg->control ? c->cfg->control : "none"),
                 c->sniffer ? slr_sniffer_port(c->sniffer) : 0u, slr_evlog_engine(c->log),
                 c->cfg->streams);
        more = true; /* engine_open has emitted events */
        while (!c->stop && slr_control_round(c, &more)) {
        }
    }
    slr_control_close(c, err == SLR_OK && c->stop);
    free(c);
    return err == SLR_OK ? EXIT_SUCCESS : failed;
}
