/*
 * run: see the header.
 */
#include "load/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "load/director.h"
#include "load/files.h"

/* Beyond these the generator, not the recorder, is what ends first. */
#define LATE_P99_NS (5 * SLR_NS_PER_MS)
#define LATE_MAX_NS (100 * SLR_NS_PER_MS)
#define BUSY_SHARE 0.97

struct run {
    const struct slr_load_config *cfg;
    struct slr_result *r;
    struct slr_cast cast;
    struct slr_book book;
    struct slr_setup *setup;
    struct slr_sender *sender;
    struct slr_files *files;
    struct slr_director director;
    int64_t cpu_before_ns;
};

static void measure(void *ctx, bool on)
{
    struct run *x = ctx;
    if (on) {
        x->cpu_before_ns = slr_sender_cpu_ns(x->sender);
        slr_sender_stats(x->sender, &x->r->sent_before);
    } else {
        x->r->sender_cpu_ns = slr_sender_cpu_ns(x->sender) - x->cpu_before_ns;
    }
    slr_usage_take(x->cfg, on ? &x->r->before : &x->r->after);
}

static enum slr_err say(enum slr_err err, const char *what)
{
    if (err != SLR_OK) {
        fprintf(stderr, "slr-load: %s: %s\n", what, slr_err_text(err));
    }
    return err;
}

static enum slr_err open_all(struct run *x)
{
    const struct slr_load_config *cfg = x->cfg;
    const struct slr_setup_ops *ops = slr_setup_of(cfg);
    char local_ip[64];
    char media_ip[64];
    enum slr_err err = slr_cast_open(&x->cast, &cfg->codec, cfg->codecs, cfg->seed);
    if (err == SLR_OK) {
        err = say(slr_book_open(&x->book, cfg, slr_director_calls_max(cfg)), "memory");
    }
    if (err != SLR_OK) {
        return err;
    }
    struct slr_setup_config sc = {
        .cfg = cfg, .cast = &x->cast, .book = &x->book, .hooks = slr_director_hooks(&x->director)};
    err = say(ops->open(&sc, local_ip, media_ip, &x->setup), "the recorder can't be reached");
    if (err != SLR_OK) {
        return err;
    }
    struct slr_sender_config tc = {.cfg = cfg,
                                   .cast = &x->cast,
                                   .local_ip = local_ip,
                                   .media_ip = media_ip,
                                   .streams_max = (cfg->calls + cfg->inflight) * SLR_LOAD_LEGS};
    err = say(slr_sender_open(&tc, &x->sender), "sender");
    x->director = (struct slr_director){.cfg = cfg,
                                        .book = &x->book,
                                        .ops = ops,
                                        .setup = x->setup,
                                        .sender = x->sender,
                                        .measure = measure,
                                        .measure_ctx = x};
    return err;
}

static void close_all(struct run *x)
{
    slr_files_close(x->files);
    slr_sender_close(x->sender);
    if (x->setup) {
        slr_setup_of(x->cfg)->close(x->setup);
    }
    slr_director_free(&x->director);
    slr_book_close(&x->book);
    slr_cast_close(&x->cast);
}

static void gather(struct run *x)
{
    struct slr_result *r = x->r;
    struct slr_director *d = &x->director;
    size_t n = 0;
    for (uint32_t i = 0; i < x->cast.count; i++) {
        int more = snprintf(r->codecs + n, sizeof r->codecs - n, "%s%s", i > 0 ? "+" : "",
                            x->cast.voice[i]->row->name);
        n += more > 0 && (size_t)more < sizeof r->codecs - n ? (size_t)more : 0;
    }
    r->set_up = d->set_up;
    r->failed = d->failed;
    r->end_failed = d->end_failed;
    r->up_most = d->up_most;
    r->churned = d->churned;
    memcpy(r->why, d->why, sizeof r->why);
    r->setup_s = d->setup_s;
    r->measured_s = d->measured_s;
    r->call_seconds = d->call_seconds;
    r->setup_latency = d->setup_latency;
    r->stats_before = json_incref(d->stats_before);
    r->stats_after = json_incref(d->stats_after);
    slr_sender_stats(x->sender, &r->sent);
    slr_sender_late(x->sender, &r->late);
}

static void judge(struct slr_result *r)
{
    const struct slr_verdict *v = &r->verdict;
    bool clean = r->failed == 0 && r->end_failed == 0 && r->sent.errors == 0;
    bool whole = v->expected > 0 && v->found == v->expected && v->lost == 0 && v->misplaced == 0 &&
                 v->leaked == 0 && v->damaged == 0 && v->missing == 0 && v->unpaired == 0 &&
                 v->unreadable == 0;
    r->ok = clean && (whole || !r->checked);
    r->generator_limit =
        slr_hist_at(&r->late, 99.0) > LATE_P99_NS || r->late.max_ns > LATE_MAX_NS ||
        (double)r->sender_cpu_ns > BUSY_SHARE * r->measured_s * (double)SLR_NS_PER_S;
}

enum slr_err slr_run_once(const struct slr_load_config *cfg, struct slr_result *r)
{
    struct run x = {.cfg = cfg, .r = r};
    memset(r, 0, sizeof *r);
    r->calls = cfg->calls;
    r->label = cfg->label;
    enum slr_err err = open_all(&x);
    if (err == SLR_OK && cfg->churn > 0 && !cfg->no_check) { /* as they come */
        err = say(slr_files_open(cfg, &x.cast, &x.book, &x.files), "checker");
    }
    if (err == SLR_OK) {
        err = slr_director_run(&x.director);
        gather(&x);
        (void)say(err, err == SLR_TIMEOUT ? "no call could be set up" : "the run broke off");
    }
    if (err == SLR_OK && !x.files && !cfg->no_check) {
        err = say(slr_files_open(cfg, &x.cast, &x.book, &x.files), "checker");
    }
    if (err == SLR_OK && !cfg->no_check) {
        slr_files_finish(x.files, &r->verdict);
        r->checked = true;
    }
    if (err == SLR_OK) {
        judge(r);
    }
    close_all(&x);
    return err;
}

void slr_run_free(struct slr_result *r)
{
    json_decref(r->stats_before);
    json_decref(r->stats_after);
    r->stats_before = r->stats_after = NULL;
}
