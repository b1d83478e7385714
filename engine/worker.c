/*
 * worker: the packet path's thread.
 */
#include "engine/worker.h"

#include <stdlib.h>
#include <time.h>

#include "common/log.h"
#include "common/prefetch.h"
#include "common/thread_name.h"
#include "engine/queue.h"
#include "engine/rtcp.h"
#include "engine/steady.h"

/* So long packets that are there already hold up calls, which have half a second. */
#define DRAIN_NS (100 * SLR_NS_PER_MS)

struct call {
    slr_worker_fn fn;
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t done_cond;
    bool done;
};

void slr_worker_call(struct slr_worker *w, slr_worker_fn fn, void *arg)
{
    if (!w->running) {
        fn(w, arg);
        return;
    }
    struct call c = {.fn = fn, .arg = arg};
    pthread_mutex_init(&c.lock, NULL);
    pthread_cond_init(&c.done_cond, NULL);
    while (slr_mailbox_put(&w->calls, &c) != SLR_OK) {
        nanosleep(&(struct timespec){0, SLR_NS_PER_MS}, NULL);
    }
    w->capture->ops->wake(w->capture);
    pthread_mutex_lock(&c.lock);
    while (!c.done) {
        pthread_cond_wait(&c.done_cond, &c.lock);
    }
    pthread_mutex_unlock(&c.lock);
    pthread_cond_destroy(&c.done_cond);
    pthread_mutex_destroy(&c.lock);
}

static enum slr_verdict take_rtcp(struct slr_worker *w, uint32_t leg, const struct slr_packet *pkt)
{
    slr_steady_stop(&w->place.state->leg[leg]);
    enum slr_err err = slr_rtcp_take(&w->place.state->leg[leg],
                                     slr_slice_of(pkt->at, pkt->len_bytes), pkt->arrival);
    return err == SLR_OK ? SLR_VERDICT_RTCP : SLR_VERDICT_RTCP_MALFORMED;
}

static enum slr_verdict take_plain(struct slr_worker *w, uint32_t leg, bool rtcp_port,
                                   enum slr_payload_kind kind, const struct slr_packet *pkt)
{
    struct slr_slice bytes = slr_slice_of(pkt->at, pkt->len_bytes);
    struct slr_rtp rtp;
    if (kind == SLR_IS_RTCP) {
        return take_rtcp(w, leg, pkt); /* on the RTP port too: rtcp-mux */
    }
    if (rtcp_port) {
        return SLR_VERDICT_RTCP_MALFORMED;
    }
    if (kind != SLR_IS_RTP || slr_rtp_parse(bytes, &rtp) != SLR_OK) {
        return SLR_VERDICT_MALFORMED;
    }
    return slr_placement_rtp(&w->place, leg, pkt, &rtp);
}

/* What does not authenticate goes no further: it neither latches nor counts for a stream. */
static enum slr_verdict take_secure(struct slr_worker *w, uint32_t leg, bool rtcp_port,
                                    enum slr_payload_kind kind, const struct slr_packet *pkt)
{
    static const enum slr_verdict verdicts[SLR_SRTP_RESULTS] = {
        [SLR_SRTP_AUTH] = SLR_VERDICT_SRTP_AUTH,
        [SLR_SRTP_REPLAY] = SLR_VERDICT_SRTP_REPLAY,
        [SLR_SRTP_MKI] = SLR_VERDICT_SRTP_MKI,
        [SLR_SRTP_SHORT] = SLR_VERDICT_SRTP_SHORT,
        [SLR_SRTP_NO_KEY] = SLR_VERDICT_SRTP_NO_KEY};
    size_t bytes = 0;
    if (atomic_load_explicit(&w->place.state->leg[leg].state, memory_order_acquire) !=
        SLR_LEG_OPEN) {
        return SLR_VERDICT_CLOSED;
    }
    if (pkt->len_bytes > SLR_WORKER_PLAIN_BYTES) {
        return SLR_VERDICT_MALFORMED;
    }
    enum slr_srtp_result result = slr_srtp_take(
        &w->place.state->srtp[leg], &w->srtp[leg], w->aes, slr_slice_of(pkt->at, pkt->len_bytes),
        kind == SLR_IS_RTCP, pkt->arrival, w->plain, &bytes);
    if (result == SLR_SRTP_PLAIN) {
        return take_plain(w, leg, rtcp_port, kind, pkt);
    }
    if (result != SLR_SRTP_OK) {
        if (kind == SLR_IS_RTP) {
            atomic_store_explicit(&w->place.state->leg[leg].stray_ns, pkt->arrival.ns,
                                  memory_order_relaxed);
        }
        return verdicts[result];
    }
    struct slr_packet plain = *pkt;
    plain.at = w->plain;
    plain.len_bytes = (uint32_t)bytes;
    slr_count_own(&w->counters.at[SLR_CTR_SRTP_OPENED], 1);
    return take_plain(w, leg, rtcp_port, kind, &plain);
}

static bool is_secure(const struct slr_placement *p, uint32_t leg)
{
    return atomic_load_explicit(&p->state->run[leg].secure, memory_order_relaxed) != 0;
}

static enum slr_verdict take_datagram(struct slr_worker *w, uint32_t leg, bool rtcp_port,
                                      const struct slr_packet *pkt)
{
    if (pkt->truncated) {
        return SLR_VERDICT_TRUNCATED;
    }
    enum slr_payload_kind kind = slr_rtp_classify(slr_slice_of(pkt->at, pkt->len_bytes));
    if (is_secure(&w->place, leg) && (kind == SLR_IS_RTP || kind == SLR_IS_RTCP)) {
        return take_secure(w, leg, rtcp_port, kind, pkt);
    }
    return take_plain(w, leg, rtcp_port, kind, pkt);
}

/*
 * A gap right before this packet may be the kernel's fault when it dropped some since the leg's
 * packet before. Of a socket of several legs the kernel does not tell whose it dropped: then that
 * holds for the next packet of each.
 */
static void take_drops(struct slr_worker *w, uint32_t leg, bool rtcp_port,
                       const struct slr_packet *pkt)
{
    if (!pkt->drops_anywhere || !w->drops_seen) {
        slr_placement_drops(&w->place, leg, rtcp_port ? 0 : pkt->kernel_drops);
        return;
    }
    if (pkt->kernel_drops > 0) {
        w->drops_told++;
        slr_count(&w->counters.at[SLR_CTR_KERNEL_DROPS], pkt->kernel_drops);
    }
    if (w->drops_told != 0 && !rtcp_port && w->drops_seen[leg] != w->drops_told) {
        w->drops_seen[leg] = w->drops_told;
        w->place.state->run[leg].loss_flags |= SLR_REC_KERNEL_LOSS;
    }
}

void slr_worker_packet(struct slr_worker *w, uint32_t leg, bool rtcp_port,
                       const struct slr_packet *pkt)
{
    take_drops(w, leg, rtcp_port, pkt);
    slr_count_own(&w->counters.at[take_datagram(w, leg, rtcp_port, pkt)], 1);
}

/* So many packets ahead of what needs it, memory is asked for: a round trip to it takes as long as
 * all of them. */
#define AHEAD 8u

/* The second and the third thing to ask for; the leg's run is there. */
static void fetch_more(const struct slr_worker *w, const struct slr_packet *pkt)
{
    uint32_t leg = pkt->tag >> 1;
    slr_steady_fetch_queue(&w->place, leg, pkt->arrival);
    if (is_secure(&w->place, leg)) {
        slr_srtp_fetch_box(&w->place.state->srtp[leg], &w->srtp[leg]);
    }
}

static void fetch_last(const struct slr_worker *w, const struct slr_packet *pkt)
{
    uint32_t leg = pkt->tag >> 1;
    slr_steady_fetch_session(&w->place, leg, pkt->arrival);
    if (is_secure(&w->place, leg)) {
        slr_srtp_fetch_keys(&w->place.state->srtp[leg], &w->srtp[leg],
                            slr_slice_of(pkt->at, pkt->len_bytes));
    }
}

void slr_worker_burst(struct slr_worker *w, const struct slr_packet *burst, uint32_t count)
{
    const struct slr_placement *p = &w->place;
    for (uint32_t i = 0; i < count + 3 * AHEAD; i++) {
        if (i < count) {
            slr_steady_fetch_run(p, burst[i].tag >> 1);
            slr_prefetch_read((uintptr_t)burst[i].at, burst[i].len_bytes);
        }
        if (i >= AHEAD && i - AHEAD < count) {
            fetch_more(w, &burst[i - AHEAD]);
        }
        if (i >= 2 * AHEAD && i - 2 * AHEAD < count) {
            fetch_last(w, &burst[i - 2 * AHEAD]);
        }
        if (i >= 3 * AHEAD) {
            const struct slr_packet *pkt = &burst[i - 3 * AHEAD];
            slr_worker_packet(w, pkt->tag >> 1, (pkt->tag & 1u) != 0, pkt);
        }
    }
}

/* What came until nothing was left the last time was gathered after that, and is placed by now. */
static void note_emptied(struct slr_worker *w)
{
    const struct slr_capture_ops *ops = w->capture->ops;
    if (!w->taken_ns || (ops->behind && ops->behind(w->capture))) {
        return;
    }
    atomic_store_explicit(w->taken_ns, w->emptied_ns, memory_order_release);
    w->emptied_ns = slr_clock_mono(w->clock).ns;
}

static enum slr_err take_burst(struct slr_worker *w, uint32_t timeout_us, uint32_t *count)
{
    struct slr_packet burst[SLR_CAPTURE_BURST];
    *count = 0;
    enum slr_err err = w->capture->ops->next(w->capture, timeout_us, burst, count);
    slr_worker_burst(w, burst, *count);
    slr_count(&w->counters.at[SLR_CTR_PACKETS_IN], *count);
    note_emptied(w);
    return err;
}

/*
 * What came before a call is taken before the call is carried out: closing a leg throws away what
 * lies unread in its socket, and after a stall that may be seconds of a conversation. Nothing twice
 * in a row is the end: a backend that had run out of buffers gives nothing once.
 */
static void drain(struct slr_worker *w)
{
    int64_t end_ns = slr_clock_mono(w->clock).ns + DRAIN_NS;
    enum slr_err err = SLR_OK;
    int empty = 0;
    while (err == SLR_OK && empty < 2 && slr_clock_mono(w->clock).ns < end_ns) {
        uint32_t count = 0;
        err = take_burst(w, 0, &count);
        empty = count > 0 ? 0 : empty + 1;
    }
}

static void run_calls(struct slr_worker *w)
{
    for (struct call *c = slr_mailbox_take(&w->calls); c; c = slr_mailbox_take(&w->calls)) {
        drain(w); /* before each: between two of them a port may be opened, used and closed */
        c->fn(w, c->arg);
        pthread_mutex_lock(&c->lock);
        c->done = true;
        pthread_cond_signal(&c->done_cond);
        pthread_mutex_unlock(&c->lock);
    }
}

static void emit_silence(struct slr_worker *w, const struct slr_session *s,
                         const struct slr_leg *leg)
{
    json_t *ev = leg ? json_pack("{s:s,s:s,s:s,s:I}", "ev", "stream_end", "session", s->id, "leg",
                                 leg->id, "silent_s", (json_int_t)(w->silence_ns / SLR_NS_PER_S))
                     : json_pack("{s:s,s:s}", "ev", "session_silent", "session", s->id);
    if (ev) {
        w->place.sink->emit(w->place.sink->ctx, ev);
    }
}

/* -t: does not run in pause and hold. */
static void check_silence(struct slr_worker *w, struct slr_session *s, slr_mono now)
{
    bool all = true;
    bool excused = atomic_load(&s->paused) != 0;
    uint32_t n = atomic_load(&s->leg_count);
    for (uint32_t i = 0; i < n; i++) {
        struct slr_leg *leg = &w->place.state->leg[atomic_load(&s->leg[i])];
        if (atomic_load(&leg->state) != SLR_LEG_OPEN) {
            continue;
        }
        int64_t heard_ns = slr_leg_run(leg)->heard_ns;
        int64_t since = heard_ns ? heard_ns : s->start.ns;
        bool holding = atomic_load(&leg->holding) != 0;
        excused |= holding;
        bool silent = now.ns - since > w->silence_ns;
        all &= silent;
        if (silent && heard_ns && !leg->silent_told && !holding && !excused) {
            leg->silent_told = true;
            emit_silence(w, s, leg);
        }
    }
    if (all && n > 0 && !excused && !s->silent_told) {
        s->silent_told = true;
        emit_silence(w, s, NULL);
    }
}

/* A pause that nobody ended in time ends by itself. */
static void check_pause(struct slr_worker *w, struct slr_session *s, slr_mono now)
{
    int64_t at_ticks = 0;
    if (s->resume_at_ns == 0 || now.ns < s->resume_at_ns || !atomic_load(&s->paused)) {
        return;
    }
    if (slr_placement_pause(&w->place, s, false, now, &at_ticks)) {
        slr_count(&w->counters.at[SLR_CTR_PAUSES_TIMED_OUT], 1);
        SLR_WARN("pause_timed_out", "session=%s", s->id);
        json_t *ev = json_pack("{s:s,s:s,s:I,s:s}", "ev", "resumed", "session", s->id, "at_ticks",
                               (json_int_t)at_ticks, "by", "timer");
        if (ev) {
            w->place.sink->emit(w->place.sink->ctx, ev);
        }
    }
    s->resume_at_ns = 0;
}

void slr_worker_housekeeping(struct slr_worker *w, slr_mono now)
{
    atomic_store_explicit(&w->place.state->header->alive_ns, now.ns, memory_order_relaxed);
    if (now.ns < w->housekeeping_ns) {
        return;
    }
    w->housekeeping_ns = now.ns + 100 * SLR_NS_PER_MS;
    for (uint32_t i = w->number; i < slr_state_sessions(w->place.state); i += w->count) {
        struct slr_session *s = &w->place.state->session[i];
        if (atomic_load_explicit(&w->active[i], memory_order_acquire) &&
            atomic_load(&s->state) == SLR_SESSION_OPEN) {
            check_pause(w, s, now);
            check_silence(w, s, now);
        }
    }
}

enum slr_err slr_worker_step(struct slr_worker *w, uint32_t timeout_us)
{
    uint32_t count = 0;
    enum slr_err err = take_burst(w, timeout_us, &count);
    run_calls(w);
    slr_worker_housekeeping(w, slr_clock_mono(w->clock));
    return err;
}

static void *run(void *arg)
{
    struct slr_worker *w = arg;
    slr_thread_name("work", w->number);
    while (!atomic_load(&w->stop)) {
        enum slr_err err = slr_worker_step(w, 50000);
        if (err != SLR_OK && err != SLR_AGAIN) {
            SLR_ERROR("capture_failed", "worker=%u err=%s", w->number, slr_err_name(err));
            nanosleep(&(struct timespec){0, 10 * SLR_NS_PER_MS}, NULL);
        }
    }
    run_calls(w);
    return NULL;
}

enum slr_err slr_worker_start(struct slr_worker *w)
{
    enum slr_err err = slr_mailbox_init(&w->calls, 1024);
    if (err != SLR_OK) {
        return err;
    }
    w->running = true;
    if (pthread_create(&w->thread, NULL, run, w) != 0) {
        w->running = false;
        slr_mailbox_fini(&w->calls);
        return SLR_NOMEM;
    }
    return SLR_OK;
}

void slr_worker_stop(struct slr_worker *w)
{
    if (!w->running) {
        return;
    }
    atomic_store(&w->stop, true);
    w->capture->ops->wake(w->capture);
    pthread_join(w->thread, NULL);
    w->running = false;
    slr_mailbox_fini(&w->calls);
}
