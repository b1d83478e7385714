/*
 * director: see the header.
 */
#include "load/director.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "load/draw.h"
#include "load/impair.h"

#define ROUND_MS 2
#define SETTLE_NS (100 * SLR_NS_PER_MS) /* from the last set-up to the measured time */
#define TAIL_NS (100 * SLR_NS_PER_MS)   /* from the last packet to the end of the call */
/* A recorder on a link learns of an end from what it reads there, behind the media; the seam tells
 * it at once, while packets may still lie unread in its ring. */
#define LINK_TAIL_NS (3 * SLR_NS_PER_S)

static int64_t now_ns(void)
{
    return slr_clock_mono(slr_clock_real()).ns;
}

/* Sums call-seconds of the measured time up to now; before each change of `sending`. */
static void account(struct slr_director *d, int64_t now)
{
    if (d->measuring) {
        d->call_seconds += (double)d->sending * (double)(now - d->last_ns) / (double)SLR_NS_PER_S;
        d->last_ns = now;
    }
}

/* How long a call sends. With churn: those of the ramp end evenly spread over a mean call's time
 * from the end of the ramp on, so that from then on `churn` a second end; those that follow them
 * hold for half to one and a half times that. */
static int64_t hold_of(const struct slr_director *d, const struct slr_call *call, int64_t now)
{
    if (d->cfg->churn == 0) {
        return INT64_MAX;
    }
    int64_t mean_ns = (int64_t)d->cfg->calls * SLR_NS_PER_S / d->cfg->churn;
    uint64_t bits = slr_draw(d->cfg->seed, SLR_DRAW_HOLD, call->index, 0, 0);
    int64_t drawn_ns = (int64_t)((double)mean_ns * (double)(bits >> 40) / (double)(1u << 24));
    if (call->index >= d->cfg->calls) {
        return mean_ns / 2 + drawn_ns;
    }
    int64_t ramp_ns = (int64_t)d->cfg->calls * SLR_NS_PER_S / d->cfg->ramp;
    int64_t left_ns = d->start_ns + ramp_ns - now;
    return (left_ns > 0 ? left_ns : 0) + drawn_ns + SLR_NS_PER_S / 2;
}

static void begin_sending(struct slr_director *d, struct slr_call *call, int64_t now)
{
    account(d, now);
    d->sending++;
    d->up_most = d->sending > d->up_most ? d->sending : d->up_most;
    call->hold_ns = hold_of(d, call, now);
    atomic_store(&call->state, SLR_CALL_SENDING);
    if (!slr_book_secure(d->book, call)) { /* it goes on without: the recorder will not take it */
        fprintf(stderr, "slr-load: no memory for keys\n");
    }
    (void)slr_sender_put(d->sender, call); /* its ring has room for all that may send */
}

static void on_ready(void *ctx, struct slr_call *call)
{
    struct slr_director *d = ctx;
    int64_t now = now_ns();
    call->ready_ns = now;
    slr_hist_add(&d->setup_latency, now - call->asked_ns, 1);
    d->setting_up--;
    d->set_up++;
    if (!d->silent) {
        begin_sending(d, call, now);
    }
}

static void on_failed(void *ctx, struct slr_call *call, const char *why)
{
    struct slr_director *d = ctx;
    if (atomic_load(&call->state) == SLR_CALL_ASKED) {
        d->setting_up--;
        d->failed++;
        atomic_store(&call->state, SLR_CALL_FAILED);
        if (d->why[0] == '\0') {
            snprintf(d->why, sizeof d->why, "%s", why);
            fprintf(stderr, "slr-load: call %u could not be set up: %s\n", call->index, why);
        }
    } else if (atomic_load(&call->state) == SLR_CALL_ENDING) {
        d->ending--;
        d->end_failed++;
        atomic_store(&call->state, SLR_CALL_ENDED); /* its recording counts all the same */
        fprintf(stderr, "slr-load: call %u could not be ended: %s\n", call->index, why);
    }
}

static void on_ended(void *ctx, struct slr_call *call)
{
    struct slr_director *d = ctx;
    d->ending--;
    d->ended++;
    atomic_store_explicit(&call->state, SLR_CALL_ENDED, memory_order_release);
}

struct slr_setup_hooks slr_director_hooks(struct slr_director *d)
{
    return (struct slr_setup_hooks){
        .ctx = d, .ready = on_ready, .failed = on_failed, .ended = on_ended};
}

uint32_t slr_director_calls_max(const struct slr_load_config *cfg)
{
    uint64_t turned = (uint64_t)cfg->churn * (cfg->seconds + cfg->calls / cfg->ramp + 30u) * 5 / 4;
    uint64_t all = cfg->calls + turned + 64;
    return all < UINT32_MAX / 4 ? (uint32_t)all : UINT32_MAX / 4;
}

static void open_calls(struct slr_director *d, uint32_t due, int64_t now)
{
    while (d->asked < due && d->setting_up < d->cfg->inflight) {
        struct slr_call *call = slr_book_next(d->book);
        if (!call) {
            return;
        }
        d->asked++;
        d->setting_up++;
        call->asked_ns = now;
        atomic_store(&call->state, SLR_CALL_ASKED);
        d->ops->begin(d->setup, call, now);
    }
}

static void end_calls(struct slr_director *d, int64_t now)
{
    struct slr_call *call;
    while ((call = slr_sender_take(d->sender)) != NULL) {
        account(d, now);
        d->sending--;
        d->churned++;
        slr_book_plain(call);
        call->over_ns = now;
        d->queue[(d->queue_head + d->queue_count++) % d->book->size] = call;
    }
    while (d->queue_count > 0 && d->ending < d->cfg->inflight &&
           d->queue[d->queue_head]->over_ns + d->tail_ns <= now) {
        call = d->queue[d->queue_head];
        d->queue_head = (d->queue_head + 1) % d->book->size;
        d->queue_count--;
        d->ending++;
        atomic_store(&call->state, SLR_CALL_ENDING);
        d->ops->end(d->setup, call, now);
    }
}

/* One round of what all phases have in common. */
static enum slr_err round_of(struct slr_director *d, uint32_t due)
{
    struct pollfd p;
    int64_t now = now_ns();
    enum slr_err err = d->ops->step(d->setup, now);
    if (err != SLR_OK) {
        return err;
    }
    end_calls(d, now);
    open_calls(d, due, now);
    err = d->ops->step(d->setup, now); /* sends what was queued */
    d->ops->poll(d->setup, &p);
    (void)poll(&p, 1, ROUND_MS);
    return err;
}

/* Calls that should have been begun by now. */
static uint32_t due_at(const struct slr_director *d, int64_t since_ns)
{
    int64_t due = 1 + since_ns * d->cfg->ramp / SLR_NS_PER_S;
    return due < d->cfg->calls ? (uint32_t)due : d->cfg->calls;
}

static void measure(struct slr_director *d, bool on, int64_t now)
{
    account(d, now);
    const char *path = d->cfg->stats;
    json_t *stats = d->ops->stats ? d->ops->stats(d->setup)
                    : path        ? slr_setup_stats(d->cfg, path)
                                  : NULL;
    if (on) {
        d->stats_before = stats;
    } else {
        d->stats_after = stats;
    }
    if (d->measure) {
        d->measure(d->measure_ctx, on);
    }
    slr_sender_measure(d->sender, on);
    d->last_ns = now_ns();
    d->measuring = on;
}

/* Calls that were set up in silence begin to send, as many a second as were to be set up. */
static enum slr_err begin_all(struct slr_director *d)
{
    enum slr_err err = SLR_OK;
    uint32_t done = 0;
    d->silent = false;
    d->start_ns = now_ns();
    while (done < d->asked && err == SLR_OK) {
        int64_t now = now_ns();
        uint32_t due = due_at(d, now - d->start_ns);
        for (; done < d->asked && done < due; done++) {
            if (atomic_load(&d->book->call[done].state) == SLR_CALL_ASKED) {
                begin_sending(d, &d->book->call[done], now);
            }
        }
        err = round_of(d, 0);
    }
    return err;
}

enum slr_err slr_director_run(struct slr_director *d)
{
    enum slr_err err = SLR_OK;
    d->start_ns = now_ns();
    d->tail_ns = (d->cfg->passive && d->cfg->seam ? LINK_TAIL_NS : TAIL_NS) +
                 (int64_t)slr_impair_delay_max_us(&d->cfg->impair) * 1000;
    d->queue = calloc(d->book->size, sizeof(struct slr_call *));
    if (!d->queue) {
        return SLR_NOMEM;
    }
    d->silent = d->cfg->silent_setup;
    while (err == SLR_OK && d->set_up + d->failed < d->cfg->calls) {
        err = round_of(d, due_at(d, now_ns() - d->start_ns) + d->churned);
    }
    d->setup_s = (double)(now_ns() - d->start_ns) / (double)SLR_NS_PER_S;
    if (err == SLR_OK && d->silent) {
        err = begin_all(d);
    }
    if (err == SLR_OK && d->set_up == 0) {
        return SLR_TIMEOUT;
    }
    int64_t begin = now_ns() + SETTLE_NS;
    while (err == SLR_OK && now_ns() < begin) {
        err = round_of(d, d->cfg->calls + d->churned);
    }
    begin = now_ns();
    measure(d, true, begin);
    int64_t until = now_ns() + (int64_t)d->cfg->seconds * SLR_NS_PER_S;
    slr_sender_stop_at(d->sender, until);
    while (err == SLR_OK && now_ns() < until) {
        err = round_of(d, d->cfg->calls + d->churned);
    }
    uint32_t churned = d->churned;
    measure(d, false, now_ns());
    d->measured_s = (double)(until - begin) / (double)SLR_NS_PER_S;
    while (err == SLR_OK &&
           (d->setting_up > 0 || d->sending > 0 || d->queue_count > 0 || d->ending > 0)) {
        err = round_of(d, 0);
    }
    d->churned = churned;
    return err;
}

void slr_director_free(struct slr_director *d)
{
    free(d->queue);
    json_decref(d->stats_before);
    json_decref(d->stats_after);
    d->queue = NULL;
    d->stats_before = d->stats_after = NULL;
}
