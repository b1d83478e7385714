/*
 * sender: see the header. What is due stands in a calendar: a ring of slots (load/pace.h), each
 * with a list of streams whose next frame is due and one of packets that were held back.
 */
#include "load/sender.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "common/clock.h"
#include "common/metrics.h"
#include "common/prefetch.h"
#include "common/ring.h"
#include "load/batch.h"
#include "load/impair.h"
#include "load/out.h"
#include "load/pace.h"
#include "load/packet.h"

#define CALENDAR 4096u /* slots; more than the longest delay and two frames */
#define NONE UINT32_MAX
#define START_NS (30 * SLR_NS_PER_MS) /* between the answer and the first packet */
#define REPORT_FRAMES 250u
#define ANCHOR_FRAMES 37u /* by the least delayed of these a recorder places a leg */
#define HELD_PER_STREAM 4u

struct stream {
    struct sockaddr_in to, from;
    struct slr_call *call;
    struct slr_packet_leg packet;
    int64_t start_ns, start_slot, end_ns;
    int64_t late_ns; /* the least that its first packets were late */
    uint32_t frame, next;
    int32_t ppm;
    uint32_t reports;
    uint16_t held; /* packets of it that wait in the calendar */
    bool over;
};

struct held {
    uint32_t stream, frame, next;
    bool copy;
};

struct slr_sender {
    struct slr_sender_config sc;
    struct slr_out out;
    pthread_t thread;
    clockid_t cpu_clock;
    _Atomic bool quit, measuring;
    _Atomic int64_t stop_ns;
    struct slr_ring to_sender, to_director;
    /* the thread's own */
    struct slr_pace pace;
    struct slr_batch batch;
    struct stream *stream;
    struct held *held;
    uint32_t stream_free, held_free;
    uint32_t streams_at[CALENDAR], held_at[CALENDAR];
    int64_t late_ns; /* how far behind it is */
    int64_t slot_ns; /* nominal time of the slot that is being sent */
    struct slr_hist late;
    slr_counter packets, bytes, dropped, copies, delayed, comfort, waits, errors, behind, failed;
};

static int64_t now_ns(void)
{
    return slr_clock_mono(slr_clock_real()).ns;
}

static void flush(struct slr_sender *s)
{
    struct slr_batch *b = &s->batch;
    if (b->count == 0) {
        return;
    }
    int64_t late_ns = now_ns() - s->slot_ns;
    uint32_t n = slr_batch_flush(b);
    if (atomic_load_explicit(&s->measuring, memory_order_relaxed)) {
        slr_hist_add(&s->late, late_ns, n);
    }
    atomic_store_explicit(&s->packets, b->packets, memory_order_relaxed);
    atomic_store_explicit(&s->bytes, b->bytes, memory_order_relaxed);
    atomic_store_explicit(&s->waits, b->waits, memory_order_relaxed);
    atomic_store_explicit(&s->errors, b->errors, memory_order_relaxed);
}

/* The packet that was written at the batch's end; none where its length is 0. */
static void add(struct slr_sender *s, const struct sockaddr_in *from, const struct sockaddr_in *to,
                size_t len_bytes)
{
    if (len_bytes == 0) {
        slr_count_own(&s->failed, 1);
        return;
    }
    slr_batch_add(&s->batch, from, to, len_bytes);
    if (s->batch.count == s->batch.most) {
        flush(s);
    }
}

static void emit(struct slr_sender *s, const struct stream *st, uint32_t frame,
                 const struct slr_fate *fate)
{
    size_t len = slr_packet_write(&st->packet, frame, fate, slr_batch_at(&s->batch));
    if (fate->comfort) {
        slr_count_own(&s->comfort, 1);
    }
    add(s, &st->from, &st->to, len);
}

static void emit_report(struct slr_sender *s, struct stream *st, const struct slr_fate *fate)
{
    int64_t wall_ns = slr_pace_frame(st->start_ns, st->frame, st->ppm) + s->sc.cfg->wall_offset_ns;
    size_t len = slr_packet_report(&st->packet, st->frame, fate->seq, wall_ns, ++st->reports,
                                   slr_batch_at(&s->batch));
    const struct slr_call_leg *leg = &st->call->leg[st->packet.leg];
    add(s, &leg->rtcp_from, &leg->rtcp, len);
}

/* False: no room; the packet goes now. */
static bool hold(struct slr_sender *s, uint32_t stream, uint32_t delay_us, bool copy)
{
    struct stream *st = &s->stream[stream];
    uint32_t i = s->held_free;
    if (i == NONE) {
        return false;
    }
    int64_t at_ns = slr_pace_frame(st->start_ns, st->frame, st->ppm) + (int64_t)delay_us * 1000;
    int64_t slot = slr_pace_slot(&s->pace, at_ns);
    slot = slot < s->pace.slot ? s->pace.slot : slot;
    s->held_free = s->held[i].next;
    s->held[i] = (struct held){stream, st->frame, s->held_at[slot % CALENDAR], copy};
    s->held_at[slot % CALENDAR] = i;
    st->held++;
    slr_count_own(copy ? &s->copies : &s->delayed, 1);
    return true;
}

static void finish(struct slr_sender *s, uint32_t stream)
{
    struct stream *st = &s->stream[stream];
    struct slr_call *call = st->call;
    slr_pace_leave(&s->pace, st->start_slot);
    call->leg[st->packet.leg].start_ns = st->start_ns;
    call->leg[st->packet.leg].late_ns = st->frame > 0 ? st->late_ns : 0;
    call->leg[st->packet.leg].frames = st->frame;
    st->next = s->stream_free;
    s->stream_free = stream;
    if (--call->legs_sending == 0) {
        (void)slr_ring_put(&s->to_director, call); /* as large as there can be calls */
    }
}

static void send_frame(struct slr_sender *s, uint32_t stream)
{
    struct stream *st = &s->stream[stream];
    const struct slr_impair *im = &s->sc.cfg->impair;
    struct slr_fate fate;
    int64_t due_ns = slr_pace_frame(st->start_ns, st->frame, st->ppm);
    if (due_ns >= st->end_ns || due_ns >= atomic_load_explicit(&s->stop_ns, memory_order_relaxed)) {
        st->over = true;
        if (st->held == 0) {
            finish(s, stream);
        }
        return;
    }
    if (st->frame < ANCHOR_FRAMES && s->late_ns < st->late_ns) {
        st->late_ns = s->late_ns;
    }
    slr_impair_fate(im, st->packet.voice->row->comfort, st->call->index, st->packet.leg, st->frame,
                    &fate);
    if (fate.dropped) {
        slr_count_own(&s->dropped, 1);
    } else if (fate.talk || fate.comfort) {
        if (fate.delay_us == 0 || !hold(s, stream, fate.delay_us, false)) {
            emit(s, st, st->frame, &fate);
        }
        if (fate.copy_us != SLR_FATE_NO_COPY) {
            (void)hold(s, stream, fate.copy_us, true);
        }
    }
    if (s->sc.cfg->rtcp && st->frame % REPORT_FRAMES == st->packet.ssrc % REPORT_FRAMES) {
        emit_report(s, st, &fate);
    }
    st->frame++;
    int64_t next_ns = slr_pace_frame(st->start_ns, st->frame, st->ppm);
    uint32_t at = (uint32_t)(slr_pace_slot(&s->pace, next_ns) % CALENDAR);
    st->next = s->streams_at[at];
    s->streams_at[at] = stream;
}

static void send_held(struct slr_sender *s, uint32_t index)
{
    struct held *h = &s->held[index];
    struct stream *st = &s->stream[h->stream];
    struct slr_fate fate;
    slr_impair_fate(&s->sc.cfg->impair, st->packet.voice->row->comfort, st->call->index,
                    st->packet.leg, h->frame, &fate);
    emit(s, st, h->frame, &fate);
    if (--st->held == 0 && st->over) {
        finish(s, h->stream);
    }
    h->next = s->held_free;
    s->held_free = index;
}

static void send_slot(struct slr_sender *s, int64_t slot)
{
    uint32_t at = (uint32_t)(slot % CALENDAR);
    uint32_t i = s->held_at[at];
    s->held_at[at] = NONE;
    while (i != NONE) {
        uint32_t next = s->held[i].next;
        send_held(s, i);
        i = next;
    }
    i = s->streams_at[at];
    s->streams_at[at] = NONE;
    while (i != NONE) {
        uint32_t next = s->stream[i].next;
        if (next != NONE) {
            slr_prefetch((uintptr_t)&s->stream[next], sizeof s->stream[next]);
        }
        send_frame(s, i);
        i = next;
    }
    flush(s);
}

static void begin_leg(struct slr_sender *s, struct slr_call *call, uint32_t leg, int64_t from_slot)
{
    uint32_t i = s->stream_free;
    struct stream *st = &s->stream[i];
    s->stream_free = st->next;
    int64_t slot = slr_pace_join(&s->pace, from_slot);
    *st = (struct stream){.to = call->leg[leg].rtp,
                          .from = call->leg[leg].from,
                          .call = call,
                          .late_ns = INT64_MAX,
                          .ppm = slr_impair_skew_ppm(&s->sc.cfg->impair, leg),
                          .start_slot = slot,
                          .start_ns = slr_pace_time(&s->pace, slot)};
    slr_packet_begin(&st->packet, slr_cast_voice(s->sc.cast, call->index), s->sc.cfg->seed,
                     s->sc.cfg->run_id, call->index, leg);
    st->packet.secure = call->leg[leg].secure;
    st->end_ns = call->hold_ns == INT64_MAX ? INT64_MAX : st->start_ns + call->hold_ns;
    st->next = s->streams_at[slot % CALENDAR];
    s->streams_at[slot % CALENDAR] = i;
}

static void take_calls(struct slr_sender *s)
{
    struct slr_call *call;
    while ((call = slr_ring_take(&s->to_sender)) != NULL) {
        int64_t from = slr_pace_slot(&s->pace, now_ns() + START_NS);
        from = from < s->pace.slot ? s->pace.slot : from;
        call->legs_sending = SLR_LOAD_LEGS;
        for (uint32_t leg = 0; leg < SLR_LOAD_LEGS; leg++) {
            begin_leg(s, call, leg, from);
        }
    }
}

static void sleep_until(int64_t at_ns)
{
    struct timespec t = {at_ns / SLR_NS_PER_S, at_ns % SLR_NS_PER_S};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {
    }
}

static void *run(void *ctx)
{
    struct slr_sender *s = ctx;
    prctl(PR_SET_NAME, "load-send");
    prctl(PR_SET_TIMERSLACK, 1000ul);
    slr_pace_init(&s->pace, now_ns() + SLR_NS_PER_MS);
    while (!atomic_load_explicit(&s->quit, memory_order_relaxed)) {
        int64_t due = slr_pace_due(&s->pace);
        int64_t now = now_ns();
        if (now < due) {
            sleep_until(due);
            now = now_ns();
        }
        take_calls(s);
        int64_t slot = slr_pace_next(&s->pace, now);
        s->slot_ns = slr_pace_time(&s->pace, slot);
        s->late_ns = now - s->slot_ns;
        if (now - s->slot_ns > SLR_PACE_SLOT_NS) {
            slr_count_own(&s->behind, 1);
        }
        send_slot(s, slot);
    }
    return NULL;
}

static enum slr_err open_out(struct slr_sender *s)
{
    size_t packet_bytes = SLR_PACKET_MAX_BYTES - SLR_VOICE_MAX_BYTES +
                          slr_cast_payload_max(s->sc.cast) + SLR_PACKET_REPORT_BYTES;
    enum slr_link_to whose = s->sc.cfg->passive                       ? SLR_LINK_FOREIGN
                             : s->sc.cfg->send_by == SLR_SEND_LIVE_IN ? SLR_LINK_SELF
                                                                      : SLR_LINK_NEIGHBOUR;
    enum slr_err err =
        slr_out_open(&s->out, s->sc.cfg, s->sc.local_ip, s->sc.media_ip, whose, packet_bytes);
    return err == SLR_OK ? slr_batch_open(&s->batch, &s->out.way, packet_bytes) : err;
}

static enum slr_err open_memory(struct slr_sender *s)
{
    uint32_t streams = s->sc.streams_max;
    uint32_t held = streams * HELD_PER_STREAM + 1024;
    uint32_t ring = 2;
    while (ring < streams + 1) {
        ring *= 2;
    }
    s->stream = calloc(streams, sizeof *s->stream);
    s->held = calloc(held, sizeof *s->held);
    if (!s->stream || !s->held) {
        return SLR_NOMEM;
    }
    for (uint32_t i = 0; i < streams; i++) {
        s->stream[i].next = i + 1 < streams ? i + 1 : NONE;
    }
    for (uint32_t i = 0; i < held; i++) {
        s->held[i].next = i + 1 < held ? i + 1 : NONE;
    }
    for (uint32_t i = 0; i < CALENDAR; i++) {
        s->streams_at[i] = s->held_at[i] = NONE;
    }
    enum slr_err err = slr_ring_init(&s->to_sender, ring);
    return err == SLR_OK ? slr_ring_init(&s->to_director, ring) : err;
}

static enum slr_err start(struct slr_sender *s)
{
    pthread_attr_t attr;
    struct sched_param prio = {.sched_priority = 1};
    if (pthread_attr_init(&attr) != 0) {
        return SLR_NOMEM;
    }
    pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
    pthread_attr_setschedpolicy(&attr, SCHED_FIFO);
    pthread_attr_setschedparam(&attr, &prio);
    int failed = pthread_create(&s->thread, &attr, run, s);
    pthread_attr_destroy(&attr);
    if (failed != 0) { /* no right to real-time priority */
        failed = pthread_create(&s->thread, NULL, run, s);
    }
    if (failed == 0 && pthread_getcpuclockid(s->thread, &s->cpu_clock) != 0) {
        s->cpu_clock = CLOCK_PROCESS_CPUTIME_ID;
    }
    return slr_err_from_errno(failed);
}

enum slr_err slr_sender_open(const struct slr_sender_config *sc, struct slr_sender **out)
{
    struct slr_sender *s = aligned_alloc(64, (sizeof *s + 63u) & ~(size_t)63u);
    if (!s) {
        return SLR_NOMEM;
    }
    memset(s, 0, sizeof *s);
    s->sc = *sc;
    s->stop_ns = INT64_MAX;
    enum slr_err err = open_out(s);
    err = err == SLR_OK ? open_memory(s) : err;
    err = err == SLR_OK ? start(s) : err;
    if (err != SLR_OK) {
        atomic_store(&s->quit, true);
        s->thread = 0;
        slr_sender_close(s);
        return err;
    }
    *out = s;
    return SLR_OK;
}

void slr_sender_close(struct slr_sender *s)
{
    if (!s) {
        return;
    }
    atomic_store(&s->quit, true);
    if (s->thread != 0) {
        pthread_join(s->thread, NULL);
    }
    slr_out_close(&s->out);
    slr_batch_close(&s->batch);
    slr_ring_fini(&s->to_sender);
    slr_ring_fini(&s->to_director);
    free(s->stream);
    free(s->held);
    free(s);
}

bool slr_sender_put(struct slr_sender *s, struct slr_call *call)
{
    return slr_ring_put(&s->to_sender, call);
}

struct slr_call *slr_sender_take(struct slr_sender *s)
{
    return slr_ring_take(&s->to_director);
}

void slr_sender_stop_at(struct slr_sender *s, int64_t at_ns)
{
    atomic_store_explicit(&s->stop_ns, at_ns, memory_order_relaxed);
}

void slr_sender_measure(struct slr_sender *s, bool on)
{
    atomic_store_explicit(&s->measuring, on, memory_order_relaxed);
}

int64_t slr_sender_cpu_ns(const struct slr_sender *s)
{
    struct timespec t = {0};
    clock_gettime(s->cpu_clock, &t);
    return t.tv_sec * SLR_NS_PER_S + t.tv_nsec;
}

void slr_sender_stats(const struct slr_sender *s, struct slr_sender_stats *out)
{
    *out = (struct slr_sender_stats){.packets = slr_count_get(&s->packets),
                                     .bytes = slr_count_get(&s->bytes),
                                     .dropped = slr_count_get(&s->dropped),
                                     .copies = slr_count_get(&s->copies),
                                     .delayed = slr_count_get(&s->delayed),
                                     .comfort = slr_count_get(&s->comfort),
                                     .waits = slr_count_get(&s->waits),
                                     .errors = slr_count_get(&s->errors) +
                                               slr_count_get(&s->failed) + slr_out_dropped(&s->out),
                                     .slots_behind = slr_count_get(&s->behind)};
}

void slr_sender_late(const struct slr_sender *s, struct slr_hist *out)
{
    *out = s->late;
}
