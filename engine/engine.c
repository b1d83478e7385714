/*
 * engine: start and stop of the media engine: configuration, state, workers, writers, sealer, sync.
 * Control thread. The only place where the parts are put together.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/thread_name.h"
#include "engine/engine_priv.h"
#include "engine/nofile.h"
#include "engine/pin.h"

#define SEAL_RING_SIZE 65536u

static enum slr_err read_addresses(struct slr_engine *e)
{
    const struct slr_option_list *list = &e->cfg->media_ip;
    if (list->count > SLR_MEDIA_IPS) {
        SLR_ERROR("bad_option", "option=media-ip max=%d", SLR_MEDIA_IPS);
        return SLR_INVAL;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (slr_addr_parse(list->item[i], &e->media_ip[i]) != SLR_OK) {
            SLR_ERROR("bad_option", "option=media-ip value=%s expected=%s", SLR_Q(list->item[i]),
                      SLR_Q("an IP address"));
            return SLR_INVAL;
        }
        e->media_ip_count++;
    }
    if (e->media_ip_count == 0) {
        e->media_ip_count = 1;
        return slr_addr_parse("127.0.0.1", &e->media_ip[0]);
    }
    return SLR_OK;
}

static enum slr_err read_ports(struct slr_engine *e)
{
    unsigned lo = 40000;
    unsigned hi = 59999;
    const char *text = e->cfg->media_ports;
    char more;
    if (text &&
        (sscanf(text, "%u-%u%c", &lo, &hi, &more) != 2 || lo < 1024 || hi > 65535 || lo >= hi)) {
        SLR_ERROR("bad_option", "option=media-ports value=%s expected=%s", SLR_Q(text),
                  SLR_Q("LO-HI, from 1024 to 65535"));
        return SLR_INVAL;
    }
    e->port_lo = (uint16_t)lo;
    e->port_hi = (uint16_t)hi;
    for (uint32_t i = 0; i < SLR_MEDIA_IPS; i++) {
        e->port_cursor[i] = (uint16_t)lo;
    }
    return SLR_OK;
}

static enum slr_err read_words(struct slr_engine *e)
{
    const char *source = e->cfg->media_source ? e->cfg->media_source : "host";
    const char *digits = e->cfg->digits ? e->cfg->digits : "keep";
    if (strcmp(source, "host") == 0) {
        e->policy = SLR_SOURCE_HOST;
    } else if (strcmp(source, "strict") == 0) {
        e->policy = SLR_SOURCE_STRICT;
    } else if (strcmp(source, "any") == 0) {
        e->policy = SLR_SOURCE_ANY;
    } else {
        SLR_ERROR("bad_option", "option=media-source value=%s expected=%s", SLR_Q(source),
                  SLR_Q("host, strict or any"));
        return SLR_INVAL;
    }
    e->rtcp = !e->cfg->rtcp || strcmp(e->cfg->rtcp, "auto") == 0 ? SLR_RTCP_AUTO
              : strcmp(e->cfg->rtcp, "always") == 0              ? SLR_RTCP_ALWAYS
                                                                 : SLR_RTCP_NEVER;
    e->admission_by_cost =
        !e->passive && (!e->cfg->admission || strcmp(e->cfg->admission, "streams") != 0);
    e->digits = strcmp(digits, "mask") == 0   ? SLR_DIGITS_MASK
                : strcmp(digits, "drop") == 0 ? SLR_DIGITS_DROP
                                              : SLR_DIGITS_KEEP;
    const char *why = "";
    if (slr_output_of_words(e->cfg->format, e->cfg->layout, e->cfg->rate_hz, e->cfg->cut_pauses,
                            &e->output, &why) != SLR_OK) {
        SLR_ERROR("bad_option", "option=format why=%s", SLR_Q(why));
        return SLR_INVAL;
    }
    if (e->cfg->accept_pt.count == 0) {
        memset(e->accept, 1, sizeof e->accept);
    }
    for (size_t i = 0; i < e->cfg->accept_pt.count; i++) {
        uint64_t pt = 0;
        if (!slr_slice_to_u64(slr_slice_str(e->cfg->accept_pt.item[i]), 127, &pt)) {
            SLR_ERROR("bad_option", "option=accept value=%s", SLR_Q(e->cfg->accept_pt.item[i]));
            return SLR_INVAL;
        }
        e->accept[pt] = 1;
    }
    e->unsignalled_count = slr_leg_codecs_static(e->unsignalled, e->accept);
    for (size_t i = 0; i < e->cfg->pt.count; i++) {
        enum slr_err err =
            slr_leg_codecs_add(e->unsignalled, &e->unsignalled_count, e->cfg->pt.item[i]);
        if (err != SLR_OK) {
            SLR_ERROR("bad_option", "option=pt value=%s", SLR_Q(e->cfg->pt.item[i]));
            return err;
        }
    }
    return SLR_OK;
}

static enum slr_err open_data(struct slr_engine *e)
{
    char path[4096];
    static const char *const sub[] = {"", "/rec", "/rec/open", "/rec/encode"};
    for (size_t i = 0; i < sizeof sub / sizeof sub[0]; i++) {
        snprintf(path, sizeof path, "%s%s", e->cfg->data_dir, sub[i]);
        if (mkdir(path, 0700) != 0 && errno != EEXIST) {
            SLR_ERROR("data_dir_failed", "path=%s errno=%d", SLR_Q(path), errno);
            return slr_err_from_errno(errno);
        }
    }
    snprintf(path, sizeof path, "%s/rec", e->cfg->data_dir);
    e->rec_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return e->rec_fd >= 0 ? SLR_OK : slr_err_from_errno(errno);
}

/* The named backend, or the next best where this machine refuses it. */
static enum slr_err open_capture(struct slr_engine *e, struct slr_capture **out)
{
    const char *want = e->cfg->capture ? e->cfg->capture : "uring";
    struct slr_capture_config cc = {.clock = e->clock,
                                    .wall_base_ns = e->wall_base_ns,
                                    .max_sockets = e->state->leg_max * 2,
                                    .batch_us = e->cfg->batch_us,
                                    .recv_buffer_bytes = 512 * 1024,
                                    .media_ip = e->media_ip,
                                    .media_ip_count = e->media_ip_count,
                                    .workers = e->worker_count,
                                    .first =
                                        out == &e->worker[0].capture ? NULL : e->worker[0].capture};
    const struct slr_capture_ops *ops = slr_capture_named(want, &cc.arg);
    if (!ops) {
        SLR_ERROR(
            "bad_option", "option=capture value=%s expected=%s", SLR_Q(want),
            SLR_Q("uring, shared, xdp, socket, pcapfile:FILE, packet:INTERFACE or dpdk:DEVICE"));
        return SLR_INVAL;
    }
    enum slr_err err = ops->open(&cc, out);
    while (err == SLR_UNSUPPORTED && !ops->passive && strcmp(ops->name, "socket") != 0) {
        const char *next = strcmp(ops->name, "uring") == 0 ? "socket" : "uring";
        SLR_INFO("capture_fallback", "refused=%s using=%s", ops->name, next);
        ops = slr_capture_find(next);
        err = ops->open(&cc, out);
    }
    e->backend = ops ? ops->name : "none";
    if (err == SLR_OK && out == &e->worker[0].capture && strcmp(e->backend, "socket") == 0) {
        slr_nofile_raise(slr_nofile_needed(e->cfg->streams, 0)); /* it says what is missing */
    }
    return err;
}

static enum slr_err make_workers(struct slr_engine *e)
{
    e->worker_count = e->passive || e->cfg->workers == 0 ? 1 : e->cfg->workers;
    e->worker = calloc(e->worker_count, sizeof *e->worker);
    e->taken_ns = calloc(e->worker_count, sizeof *e->taken_ns);
    if (!e->worker || !e->taken_ns) {
        return SLR_NOMEM;
    }
    for (uint32_t i = 0; i < e->worker_count; i++) {
        struct slr_worker *w = &e->worker[i];
        w->taken_ns = &e->taken_ns[i];
        w->place.state = e->state;
        w->place.codecs = e->codecs;
        w->place.counters = &w->counters;
        w->place.sink = &e->sink;
        w->place.window_ticks = e->window_ticks;
        w->clock = e->clock;
        w->active = e->active;
        w->srtp = e->srtp;
        w->plain = malloc(SLR_WORKER_PLAIN_BYTES);
        w->drops_seen = calloc(e->state->leg_max, sizeof *w->drops_seen);
        w->number = i;
        w->count = e->worker_count;
        w->silence_ns = (int64_t)e->cfg->silence_timeout_s * SLR_NS_PER_S;
        enum slr_err err = w->plain && w->drops_seen ? slr_srtp_aes_open(&w->aes) : SLR_NOMEM;
        if (err != SLR_OK) {
            SLR_ERROR("srtp_open_failed", "err=%s", slr_err_name(err));
            return err;
        }
        err = open_capture(e, &w->capture);
        if (err != SLR_OK) {
            SLR_ERROR("capture_open_failed", "capture=%s err=%s",
                      SLR_Q(e->cfg->capture ? e->cfg->capture : "uring"), slr_err_name(err));
            return err;
        }
    }
    return SLR_OK;
}

/* The writer of the second volume that stands in for one of the first. */
static void make_twin(struct slr_engine *e, struct slr_writer *w, struct slr_writer *first)
{
    w->home = first->home = e->home;
    w->held = first->held = e->held;
    w->give_up = first->give_up = &e->watch.second;
    w->first = first;
    w->file = e->spill_file;
    w->rec_fd = e->spill_fd;
    w->number = first->number;
    w->dirty_bytes = &e->spill_dirty_bytes;
}

static enum slr_err make_writers(struct slr_engine *e)
{
    e->writer_count = e->passive || e->cfg->writers == 0 ? 1 : e->cfg->writers;
    uint32_t writers = slr_engine_writers(e);
    e->writer = calloc(writers, sizeof *e->writer);
    e->to_sealer = calloc(writers, sizeof *e->to_sealer);
    if (!e->writer || !e->to_sealer) {
        return SLR_NOMEM;
    }
    uint32_t block_ms = e->cfg->block_ms ? e->cfg->block_ms : 1000;
    for (uint32_t i = 0; i < writers; i++) {
        struct slr_writer *w = &e->writer[i];
        w->state = e->state;
        w->codecs = e->codecs;
        w->active = e->active;
        w->file = e->file;
        w->to_sealer = &e->to_sealer[i];
        w->clock = e->clock;
        w->rec_fd = e->rec_fd;
        w->number = i;
        w->count = e->writer_count;
        w->window_ticks = e->window_ticks;
        w->block_ticks = slr_ticks_from_ns((int64_t)block_ms * SLR_NS_PER_MS);
        w->comfort_noise = e->cfg->comfort && strcmp(e->cfg->comfort, "noise") == 0;
        w->event_tones = e->cfg->event_tones;
        w->open_max = SLR_NOFILE_FILES / writers;
        w->dirty_bytes = &e->dirty_bytes;
        w->taken_ns = e->taken_ns;
        w->taken_count = e->passive ? 0 : e->worker_count;
        w->budget_ns = &e->watch.budget_ns;
        w->watch.state = e->state;
        w->watch.sink = &e->sink;
        w->watch.counters = &w->counters;
        w->watch.alarm_ns = (int64_t)e->cfg->silent_alarm_s * SLR_NS_PER_S;
        if (i >= e->writer_count) {
            make_twin(e, w, &e->writer[i - e->writer_count]);
        }
        enum slr_err err = slr_ring_init(w->to_sealer, SEAL_RING_SIZE);
        if (err == SLR_OK) {
            err = slr_writer_init(w);
        }
        if (err != SLR_OK) {
            return err;
        }
    }
    e->sealer.state = e->state;
    e->sealer.from_writers = e->to_sealer;
    e->sealer.ring_count = writers;
    e->sealer.spill_fd = e->spill_fd;
    e->sealer.home = e->home;
    e->sealer.sink = &e->sink;
    e->sealer.rec_fd = e->rec_fd;
    e->sealer.opus_bps = e->cfg->opus_bps;
    e->sealer.opus_complexity = e->cfg->opus_complexity;
    return slr_sealer_init(&e->sealer);
}

static enum slr_err make_tables(struct slr_engine *e)
{
    uint32_t legs = e->cfg->streams + e->cfg->streams / 4 + 16;
    uint32_t memory_mb = e->cfg->stall_memory_mb;
    const bool is_file = e->passive && !e->link; /* an import that died is begun anew */
    /* default: up to what 15 s of G.711 at 50 packets/s take, for each stream */
    uint32_t chunks =
        memory_mb ? memory_mb * (1024u * 1024u / SLR_CHUNK_BYTES) : e->cfg->streams * 40u + 256u;
    if (is_file && !memory_mb) { /* nothing waits for a disk */
        chunks = e->cfg->streams * 2u + 4096u;
    }
    enum slr_err err = slr_state_open(is_file ? NULL : e->cfg->state_dir, legs, chunks, &e->state);
    if (err == SLR_OK && memory_mb != 0 && !is_file) {
        err = slr_state_fill(e->state); /* said: had */
    }
    if (err != SLR_OK) {
        return err;
    }
    e->codecs = calloc(legs, sizeof *e->codecs);
    e->active = calloc(legs, sizeof *e->active);
    e->file = calloc(legs, sizeof *e->file);
    e->srtp = calloc(legs, sizeof *e->srtp);
    slr_engine_watch_init(e);
    e->port_past = calloc((size_t)e->media_ip_count * SLR_PORT_PAIRS, sizeof *e->port_past);
    if (!e->srtp || !e->codecs || !e->active || !e->file) {
        return SLR_NOMEM;
    }
    return SLR_OK;
}

/* One syncfs a second while something was written: bounds what a power loss can cost. */
static void *sync_run(void *arg)
{
    struct slr_disk_sync *s = arg;
    uint64_t synced = 0;
    uint32_t turns = 0;
    slr_thread_name("sync", 0);
    while (!atomic_load(&s->stop)) {
        nanosleep(&(struct timespec){0, 100 * SLR_NS_PER_MS}, NULL);
        uint64_t dirty = atomic_load(s->dirty_bytes);
        if (++turns >= 10 && dirty != synced) {
            turns = 0;
            synced = dirty;
            if (syncfs(s->fd) != 0) {
                SLR_ERROR("sync_failed", "errno=%d", errno);
            }
        }
    }
    return NULL;
}

/* A thread that was just started goes where its option says. */
static enum slr_err pin(const char *list, uint32_t number, pthread_t thread, const char *option)
{
    struct slr_pin cpus;
    enum slr_err err = slr_pin_parse(list, &cpus);
    if (err == SLR_OK) {
        err = slr_pin_thread(&cpus, number, thread);
    }
    if (err != SLR_OK) {
        SLR_ERROR("bad_option", "option=%s value=%s expected=%s", option, SLR_Q(list),
                  SLR_Q("processors that are there, as 0,2-3"));
    }
    return err;
}

static enum slr_err start_encoders(struct slr_engine *e)
{
    struct slr_encode *c = &e->encode;
    uint32_t block_ms = e->cfg->block_ms ? e->cfg->block_ms : 1000;
    c->state = e->state;
    c->sealer = &e->sealer;
    c->sink = &e->sink;
    c->rec_fd = e->rec_fd;
    c->encoders = e->cfg->encoders;
    c->pin = e->cfg->pin_encoders;
    c->limit_percent = e->cfg->encode_load_percent;
    c->within_s = e->cfg->encode_within_s;
    c->window_ticks = e->window_ticks;
    c->stalled_ns = &e->watch.stalled_ns;
    c->block_ticks = slr_ticks_from_ns((int64_t)block_ms * SLR_NS_PER_MS);
    enum slr_err err = slr_encode_start(c);
    if (err == SLR_OK) {
        e->sealer.encode = c;
    } else {
        SLR_ERROR("encoders_failed", "err=%s pin_encoders=%s expected=%s", slr_err_name(err),
                  SLR_Q(c->pin ? c->pin : ""), SLR_Q("processors that are there, as 0,2-3"));
    }
    return err;
}

/* What waits for the disk and needs nothing of the packet path. */
static enum slr_err start_disk_threads(struct slr_engine *e)
{
    enum slr_err err = slr_keeper_start(&e->keeper, e->state);
    if (err == SLR_OK) {
        err = start_encoders(e);
    }
    if (err == SLR_OK) {
        err = slr_sealer_start(&e->sealer);
    }
    for (uint32_t i = 0; i < (e->has_spill ? SLR_VOLUMES : 1) && err == SLR_OK; i++) {
        struct slr_disk_sync *s = &e->sync[i];
        s->fd = i == 0 ? e->rec_fd : e->spill_fd;
        s->dirty_bytes = i == 0 ? &e->dirty_bytes : &e->spill_dirty_bytes;
        s->running = pthread_create(&s->thread, NULL, sync_run, s) == 0;
        err = s->running ? SLR_OK : SLR_NOMEM;
    }
    return err;
}

static enum slr_err start_threads(struct slr_engine *e)
{
    enum slr_err err = SLR_OK;
    for (uint32_t i = 0; i < e->worker_count && err == SLR_OK; i++) {
        err = slr_worker_start(&e->worker[i]);
        if (err == SLR_OK) {
            err = pin(e->cfg->pin_workers, i, e->worker[i].thread, "pin-workers");
        }
    }
    if (err == SLR_OK) {
        slr_engine_restore_sockets(e);
    }
    for (uint32_t i = 0; i < slr_engine_writers(e) && err == SLR_OK; i++) {
        err = slr_writer_start(&e->writer[i]);
        if (err == SLR_OK) {
            err = pin(e->cfg->pin_writers, i % e->writer_count, e->writer[i].thread, "pin-writers");
        }
    }
    if (err == SLR_OK) {
        err = slr_engine_watch_start(e);
    }
    return err == SLR_OK ? start_disk_threads(e) : err;
}

static enum slr_err open_passive(struct slr_engine *e)
{
    if (!e->passive) {
        return SLR_OK;
    }
    e->virtual_clock = slr_clock_virtual((slr_wall){0});
    if (e->link && e->virtual_clock) {
        e->wall_base_ns = slr_clock_wall(slr_clock_real()).ns - e->started.ns;
        slr_passive_link_advance(e);
    }
    e->clock = e->virtual_clock;
    if (e->cfg->srtp_keys) {
        enum slr_err err = slr_srtp_keys_load(e->cfg->srtp_keys, &e->keys);
        if (err != SLR_OK) {
            return err;
        }
    }
    enum slr_err err = e->virtual_clock ? slr_flows_init(&e->flows, 65536) : SLR_NOMEM;
    return err == SLR_OK ? slr_raw_hold_init(&e->raw, SLR_FLOW_RAW_BYTES) : err;
}

enum slr_err slr_engine_open(const struct slr_engine_config *cfg, const struct slr_event_sink *sink,
                             struct slr_engine **out)
{
    struct slr_engine *e = calloc(1, sizeof *e);
    if (!e) {
        return SLR_NOMEM;
    }
    uint32_t window_ms = cfg->window_ms > SLR_MIN_WINDOW_MS ? cfg->window_ms : SLR_MIN_WINDOW_MS;
    e->cfg = cfg;
    e->sink = *sink;
    e->rec_fd = -1;
    e->clock = slr_clock_real();
    const struct slr_capture_ops *ops = cfg->capture ? slr_capture_named(cfg->capture, NULL) : NULL;
    e->passive = ops && ops->passive;
    e->link = e->passive && ops->fd;
    e->window_ticks = slr_ticks_from_ns((int64_t)window_ms * SLR_NS_PER_MS);
    e->started = slr_clock_mono(slr_clock_real());
    typedef enum slr_err (*stage)(struct slr_engine *);
    static const stage stages[] = {read_addresses,        read_ports,   read_words,
                                   open_passive,          open_data,    make_tables,
                                   slr_engine_spill_open, make_workers, make_writers,
                                   slr_engine_restore};
    enum slr_err err = SLR_OK;
    for (size_t i = 0; i < sizeof stages / sizeof stages[0] && err == SLR_OK; i++) {
        err = stages[i](e);
    }
    if (err == SLR_OK && (!e->passive || e->link)) {
        slr_engine_spill_restore(e);
        slr_engine_rescue(e);
        err = e->link ? start_disk_threads(e) : start_threads(e);
    }
    if (err != SLR_OK) {
        slr_engine_close(e, false);
        return err;
    }
    *out = e;
    return SLR_OK;
}

static uint32_t sessions_left(const struct slr_engine *e)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < slr_state_sessions(e->state); i++) {
        n += atomic_load(&e->state->session[i].state) != SLR_SESSION_FREE;
    }
    return n;
}

/* Ends all sessions and waits until they are sealed; gives up after 30 s of a disk that refuses
 * (they stay in the state file and go on at the next start). */
static void seal_all(struct slr_engine *e)
{
    if (e->link) {
        slr_passive_link_end(e);
    }
    for (uint32_t i = 0; i < slr_state_sessions(e->state); i++) {
        struct slr_session *s = &e->state->session[i];
        if (atomic_load(&s->state) == SLR_SESSION_OPEN &&
            slr_engine_session_end(e, s, "shutdown", INT64_MIN) != SLR_OK) {
            SLR_ERROR("session_end_failed", "session=%s", s->id);
        }
    }
    for (uint32_t turn = 0; turn < 3000 && sessions_left(e) > 0; turn++) {
        if (e->passive) {
            slr_passive_link_advance(e);
            (void)slr_writer_step(&e->writer[0], slr_clock_mono(e->clock));
        }
        if (e->passive && !e->link) {
            (void)slr_sealer_step(&e->sealer);
        } else {
            nanosleep(&(struct timespec){0, 10 * SLR_NS_PER_MS}, NULL);
        }
    }
}

static void stop_threads(struct slr_engine *e)
{
    slr_engine_watch_stop(e);
    for (uint32_t i = 0; e->worker && i < e->worker_count; i++) {
        slr_worker_stop(&e->worker[i]);
    }
    for (uint32_t i = 0; e->writer && i < slr_engine_writers(e); i++) {
        slr_writer_stop(&e->writer[i]);
    }
    slr_sealer_stop(&e->sealer);
    if (e->sealer.encode) {
        slr_encode_stop(&e->encode);
    }
    slr_keeper_stop(&e->keeper);
    for (uint32_t i = 0; i < SLR_VOLUMES; i++) {
        if (e->sync[i].running) {
            atomic_store(&e->sync[i].stop, true);
            pthread_join(e->sync[i].thread, NULL);
        }
    }
}

static void free_parts(struct slr_engine *e)
{
    for (uint32_t i = 0; e->worker && i < e->worker_count; i++) {
        if (e->worker[i].capture) {
            e->worker[i].capture->ops->close(e->worker[i].capture);
        }
    }
    for (uint32_t i = 0; e->writer && i < slr_engine_writers(e); i++) {
        slr_writer_fini(&e->writer[i]);
        slr_ring_fini(&e->to_sealer[i]);
    }
    if (e->sealer.waiting) {
        slr_sealer_fini(&e->sealer);
    }
    for (uint32_t i = 0; e->state && e->file && i < e->state->leg_max; i++) {
        slr_recfile_close(&e->file[i]);
    }
    slr_engine_spill_close(e);
}

void slr_engine_close(struct slr_engine *e, bool seal)
{
    if (!e) {
        return;
    }
    if (seal && e->state) {
        seal_all(e);
    }
    stop_threads(e);
    free_parts(e);
    slr_engine_secure_close(e);
    if (e->state) {
        slr_state_close(e->state, sessions_left(e) == 0);
    }
    if (e->rec_fd >= 0) {
        close(e->rec_fd);
    }
    slr_flows_fini(&e->flows);
    slr_raw_hold_fini(&e->raw);
    slr_clock_free(e->virtual_clock);
    free(e->worker);
    free(e->taken_ns);
    free(e->writer);
    free(e->to_sealer);
    free(e->codecs);
    free(e->port_past);
    free(e->active);
    free(e->file);
    free(e);
}

void slr_engine_drain(struct slr_engine *e, bool on)
{
    e->draining = on;
}

bool slr_engine_draining(const struct slr_engine *e)
{
    return e->draining;
}
