/*
 * core: see core.h. Owns everything of the signalling thread; opens in order, closes in reverse.
 */
#include "ctl/core.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "ctl/core_int.h"
#include "ctl/sip.h"
#include "ctl/tracker.h"

#define MAILBOX_SIZE                                                                               \
    262144 /* above the store's limit of jobs plus what the API may ask at once                    \
            */
#define STATS_MS 1000
#define PATH_SIZE 1024

slr_wall slr_core_now(const struct slr_core *core)
{
    return slr_clock_wall(core->capture_clock ? core->capture_clock : slr_clock_real());
}

struct slr_core_post *slr_core_post_new(struct slr_core *core,
                                        void (*run)(void *ctx, enum slr_err result), void *ctx)
{
    struct slr_core_post *post = calloc(1, sizeof(*post));
    if (post) {
        *post = (struct slr_core_post){.core = core, .run = run, .ctx = ctx};
    }
    return post;
}

void slr_core_store_done(void *ctx, enum slr_err result)
{
    struct slr_core_post *post = ctx;
    post->result = result;
    if (slr_mailbox_put(&post->core->mailbox, post) != SLR_OK) {
        /* cannot be: it holds more than can ever be waiting */
        SLR_ERROR("mailbox_full", "size=%d", MAILBOX_SIZE);
    }
}

void slr_core_stored(struct slr_core *core, enum slr_err err, const char *what)
{
    if (err != SLR_OK) {
        slr_core_count(core, SLR_CORE_M_STORE_REFUSED);
        SLR_ERROR("store_refused", "what=%s err=%s", what, slr_err_name(err));
    }
}

static void run_posts(struct slr_core *core)
{
    for (struct slr_core_post *post = slr_mailbox_take(&core->mailbox); post;
         post = slr_mailbox_take(&core->mailbox)) {
        post->run(post->ctx, post->result);
        free(post);
    }
}

static int on_mail(void *magic, su_wait_t *wait, void *arg)
{
    (void)magic;
    (void)wait;
    run_posts(arg);
    return 0;
}

static int on_signal(void *magic, su_wait_t *wait, void *arg)
{
    struct slr_core *core = arg;
    struct signalfd_siginfo info;
    (void)magic;
    (void)wait;
    while (read(core->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        SLR_INFO("stopping", "signal=%u", info.ssi_signo);
        su_root_break(core->root);
    }
    return 0;
}

static void on_stats_timer(void *magic, su_timer_t *timer, void *arg)
{
    (void)magic;
    (void)timer;
    slr_core_poll_stats(arg);
}

static int watch(struct slr_core *core, int fd, su_wakeup_f wakeup)
{
    su_wait_t wait;
    su_wait_init(&wait);
    if (su_wait_create(&wait, fd, SU_WAIT_IN) != 0) {
        return 0;
    }
    return su_root_register(core->root, &wait, wakeup, core, 0);
}

static void unwatch(struct slr_core *core, int index)
{
    if (index > 0) {
        (void)su_root_deregister(core->root, index);
    }
}

static enum slr_err open_loop(struct slr_core *core)
{
    sigset_t mask;
    if (su_init() != 0) {
        return SLR_NOMEM;
    }
    core->root = su_root_create(NULL);
    if (!core->root) {
        return SLR_NOMEM;
    }
    su_root_threading(core->root, 0);
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    core->signal_fd = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
    enum slr_err err = slr_mailbox_init(&core->mailbox, MAILBOX_SIZE);
    if (err != SLR_OK) {
        return err;
    }
    core->mailbox_index = watch(core, core->mailbox.event_fd, on_mail);
    core->signal_index = core->signal_fd >= 0 ? watch(core, core->signal_fd, on_signal) : 0;
    core->stats_timer = su_timer_create(su_root_task(core->root), STATS_MS);
    if (core->mailbox_index <= 0 || core->signal_index <= 0 || !core->stats_timer ||
        su_timer_set_for_ever(core->stats_timer, on_stats_timer, core) != 0) {
        return SLR_NOMEM;
    }
    return SLR_OK;
}

static enum slr_err open_store(struct slr_core *core)
{
    char dir[PATH_SIZE], name[PATH_SIZE];
    const char *data = core->cfg->data;
    int n = snprintf(dir, sizeof dir, "%s/core", data);
    if (n < 0 || (size_t)n >= sizeof dir - 32) {
        return SLR_TOOLONG;
    }
    if (mkdir(data, 0750) != 0 && errno != EEXIST) {
        SLR_ERROR("data_dir", "path=%s err=%s", SLR_Q(data), strerror(errno));
        return SLR_IO;
    }
    enum slr_err err = slr_store_open(dir, &core->store);
    if (err != SLR_OK) {
        SLR_ERROR("store_open", "path=%s err=%s", SLR_Q(dir), slr_err_name(err));
        return err;
    }
    core->epoch = slr_store_value(core->store, "core_epoch", 0) + 1;
    slr_core_stored(core, slr_store_put_value(core->store, "core_epoch", core->epoch, NULL, NULL),
                    "value");
    (void)snprintf(name, sizeof name, "cursor:%s", core->cfg->engine);
    core->cursor = core->cursor_posted = slr_store_value(core->store, name, 0);
    (void)snprintf(name, sizeof name, "engine:%s", core->cfg->engine);
    core->engine_hash = slr_store_value(core->store, name, 0);
    return SLR_OK;
}

static enum slr_err open_link(struct slr_core *core)
{
    struct slr_link_config link = {.root = core->root,
                                   .path = core->cfg->engine,
                                   .name = core->cfg->name,
                                   .epoch = core->epoch,
                                   .counter = core->counter,
                                   .hooks = {.ctx = core,
                                             .resume_after = slr_events_resume_after,
                                             .up = slr_events_up,
                                             .down = slr_events_down,
                                             .event = slr_events_take,
                                             .idle = slr_events_idle,
                                             .epoch = slr_events_epoch}};
    return slr_link_open(&link, &core->link);
}

static enum slr_err open_http(struct slr_core *core)
{
    const struct slr_core_config *cfg = core->cfg;
    struct slr_http_config http = {.listen = cfg->http,
                                   .data_dir = cfg->data,
                                   .token_file = cfg->api_token_file,
                                   .tls_cert = cfg->tls_cert,
                                   .tls_key = cfg->tls_key,
                                   .core = core,
                                   .store = core->store};
    if (!cfg->http || cfg->import) {
        return SLR_OK;
    }
    enum slr_err err = slr_http_start(&http, &core->http);
    if (err != SLR_OK) {
        SLR_ERROR("http_cannot_listen", "address=%s err=%s", SLR_Q(cfg->http), slr_err_name(err));
    } else {
        SLR_INFO("http_listening", "address=%s port=%u", SLR_Q(cfg->http),
                 slr_http_port(core->http));
    }
    return err;
}

/* For tests and tools: which ports were given where "any" was asked for. */
static enum slr_err write_ports(const struct slr_core *core)
{
    char path[PATH_SIZE], temp[PATH_SIZE + 8];
    (void)snprintf(path, sizeof path, "%s/core/ports.json", core->cfg->data);
    (void)snprintf(temp, sizeof temp, "%s.new", path);
    FILE *f = fopen(temp, "we");
    if (!f) {
        return SLR_IO;
    }
    int n = fprintf(f, "{\"sip_udp\": %u, \"sip_tcp\": %u, \"http\": %u, \"pid\": %ld}\n",
                    slr_sip_udp_port(core->sip), slr_sip_tcp_port(core->sip),
                    core->http ? slr_http_port(core->http) : 0, (long)getpid());
    if (fclose(f) != 0 || n < 0 || rename(temp, path) != 0) {
        return SLR_IO;
    }
    return SLR_OK;
}

static enum slr_err open_signalling(struct slr_core *core)
{
    const struct slr_core_config *cfg = core->cfg;
    enum slr_err err = slr_tracker_open(core, &core->tracker);
    bool sip = !cfg->import && (cfg->sip_udp || cfg->sip_tcp);
    if (err == SLR_OK && sip) {
        err = slr_sip_open(core, &core->sip);
    }
    if (err == SLR_OK) {
        err = slr_restore_all(core);
    }
    if (err == SLR_OK) {
        err = open_link(core);
    }
    if (err == SLR_OK && cfg->sniffer && !cfg->import) {
        err = slr_others_open(core);
    }
    if (err == SLR_OK && sip) {
        err = slr_sip_listen(core->sip);
    }
    return err;
}

enum slr_err slr_core_open(const struct slr_core_config *cfg, struct slr_core **out)
{
    struct slr_core *core = calloc(1, sizeof(*core));
    if (!core) {
        return SLR_NOMEM;
    }
    core->cfg = cfg;
    core->signal_fd = -1;
    core->mailbox.event_fd = -1;
    core->started = slr_clock_mono(slr_clock_real());
    slr_idgen_init(&core->idgen);
    enum slr_err err = open_loop(core);
    if (err == SLR_OK && cfg->import) {
        core->capture_clock = slr_clock_virtual((slr_wall){0});
        err = core->capture_clock ? SLR_OK : SLR_NOMEM;
    }
    if (err == SLR_OK) {
        err = open_store(core);
    }
    if (err == SLR_OK) {
        err = open_signalling(core);
    }
    if (err == SLR_OK) {
        err = open_http(core);
    }
    if (err == SLR_OK) {
        err = write_ports(core);
    }
    if (err != SLR_OK) {
        slr_core_close(core);
        return err;
    }
    *out = core;
    return SLR_OK;
}

int slr_core_run(struct slr_core *core)
{
    SLR_INFO("started", "name=%s epoch=%lld engine=%s", SLR_Q(core->cfg->name),
             (long long)core->epoch, SLR_Q(core->cfg->engine));
    su_root_run(core->root);
    return core->exit_status;
}

static void free_call(void *call)
{
    slr_call_free(call);
}

void slr_core_close(struct slr_core *core)
{
    if (!core) {
        return;
    }
    slr_http_stop(core->http);
    slr_sip_quiesce(core->sip);
    slr_link_close(core->link);
    core->link = NULL;
    slr_others_close(core->others);
    core->others = NULL;
    if (core->store) {
        slr_store_close(core->store);
        core->store = NULL;
    }
    if (core->mailbox.slot) {
        run_posts(core);
    }
    slr_tracker_close(core->tracker);
    slr_sip_close(core->sip);
    slr_table_fini(&core->dialogs, NULL);
    slr_table_fini(&core->keys, NULL);
    slr_table_fini(&core->origins, NULL);
    slr_table_fini(&core->sessions, free_call);
    json_decref(core->snapshot);
    json_decref(core->stats);
    su_timer_destroy(core->stats_timer);
    if (core->root) {
        unwatch(core, core->mailbox_index);
        unwatch(core, core->signal_index);
        su_root_destroy(core->root);
        su_deinit();
    }
    if (core->mailbox.slot) {
        slr_mailbox_fini(&core->mailbox);
    }
    if (core->signal_fd >= 0) {
        (void)close(core->signal_fd);
    }
    slr_clock_free(core->capture_clock);
    free(core);
}
