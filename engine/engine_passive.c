/*
 * engine_passive: capture files and live links. One thread does everything, driven by capture time:
 * it steps workers' housekeeping, writer and sealer, so the same file gives the same result. On a
 * link time goes on when nothing comes, too, and the sealer has threads of its own.
 */
#include <poll.h>
#include <string.h>

#include "common/log.h"
#include "engine/engine_priv.h"
#include "engine/passive_flow.h"
#include "engine/rtp.h"
#include "engine/steady.h"

#define TICK_NS (50 * SLR_NS_PER_MS)
#define STRAGGLER_NS (5 * SLR_NS_PER_S)
/* So many flows that are over may lie about. */
#define CLOSED_FLOWS 4096u
/* Frames lie in a block of the ring so long before they are seen, at most. */
#define LINK_DELAY_NS (20 * SLR_NS_PER_MS)
/* On a link that is never quiet the end comes so much later. */
#define LINK_REST_NS SLR_NS_PER_S
/* Then the caller has a turn, whatever waits. */
#define LINK_BURSTS 32u

/* A capture may have no BYE: a session whose legs are all silent for -t is over. */
static void end_silent_sessions(struct slr_engine *e)
{
    for (uint32_t i = 0; i < slr_state_sessions(e->state); i++) {
        struct slr_session *s = &e->state->session[i];
        if (e->active[i] && atomic_load(&s->state) == SLR_SESSION_OPEN && s->silent_told) {
            if (slr_engine_session_end(e, s, "silent", slr_passive_highest(e, s)) != SLR_OK) {
                SLR_WARN("session_end_failed", "session=%s", s->id);
            }
        }
    }
}

static void tick(struct slr_engine *e, slr_mono now)
{
    slr_worker_housekeeping(&e->worker[0], now);
    end_silent_sessions(e);
    if (now.ns >= e->next_flow_check_ns) {
        e->next_flow_check_ns = now.ns + 250 * SLR_NS_PER_MS;
        slr_passive_check_flows(e, now, false);
        if (e->flows.closed > CLOSED_FLOWS && e->flows.closed > e->flows.count / 4) {
            slr_flows_purge(&e->flows, (slr_mono){now.ns - STRAGGLER_NS + 1});
        }
    }
    (void)slr_writer_step(&e->writer[0], now);
    if (!e->link) {
        (void)slr_sealer_step(&e->sealer);
    }
}

static void first_packet(struct slr_engine *e, slr_wall wall)
{
    e->ids_ready = true;
    if (e->link) {
        slr_idgen_init(&e->ids);
    } else {
        slr_idgen_init_seeded(&e->ids, (uint64_t)wall.ns);
    }
    slr_clock_advance(e->virtual_clock, wall);
    /* what a link's first frames are may be seen a moment later */
    e->worker[0].place.flow_session.start.ns = wall.ns - (e->link ? SLR_NS_PER_S : 0);
    e->next_flow_check_ns = wall.ns;
}

/* Anything that time alone could change? */
static bool is_busy(const struct slr_engine *e)
{
    for (uint32_t i = 0; i < slr_state_sessions(e->state); i++) {
        if (atomic_load_explicit(&e->active[i], memory_order_relaxed)) {
            return true;
        }
    }
    return e->flows.unclaimed > 0 || e->sealer.waiting_count > 0;
}

/* Steps through quiet times, so that what is due in them happens at its moment. After more than -t
 * of nothing all is done, and the clock jumps. */
static void advance(struct slr_engine *e, slr_wall to)
{
    if (!e->ids_ready) {
        first_packet(e, to);
    }
    int64_t now = slr_clock_mono(e->clock).ns;
    int64_t quiet_end = now + ((int64_t)e->cfg->silence_timeout_s + 10) * SLR_NS_PER_S;
    while (to.ns - now > TICK_NS && now < quiet_end && is_busy(e)) {
        now += TICK_NS;
        slr_clock_advance(e->virtual_clock, (slr_wall){now});
        tick(e, (slr_mono){now});
    }
    slr_clock_advance(e->virtual_clock, to);
}

static slr_wall link_now(const struct slr_engine *e)
{
    return (slr_wall){slr_clock_mono(slr_clock_real()).ns + e->wall_base_ns};
}

void slr_passive_link_advance(struct slr_engine *e)
{
    if (e->link) {
        slr_clock_advance(e->virtual_clock, link_now(e));
    }
}

/* Nothing came: everything up to now has been seen, but for what lies in the ring's open block. */
static void link_quiet(struct slr_engine *e)
{
    slr_wall to = {link_now(e).ns - LINK_DELAY_NS};
    advance(e, to);
    if (to.ns >= e->next_tick_ns) {
        e->next_tick_ns = to.ns + TICK_NS;
        tick(e, slr_clock_mono(e->clock));
    }
}

static void count(struct slr_engine *e, enum slr_verdict verdict)
{
    slr_count(&e->worker[0].counters.at[verdict], 1);
}

static void take_rtcp(struct slr_engine *e, const struct slr_packet *pkt)
{
    struct slr_addr src = pkt->src;
    struct slr_addr dst = pkt->dst;
    src.port--;
    dst.port--;
    struct slr_flow *f = slr_flow_find(&e->flows, &src, &dst);
    if (f && f->leg != SLR_NONE) {
        slr_passive_keep_raw(e, f, true, pkt);
        slr_worker_packet(&e->worker[0], f->leg, true, pkt);
    } else {
        count(e, SLR_VERDICT_RTCP);
    }
}

static void take_rtp(struct slr_engine *e, const struct slr_packet *pkt)
{
    struct slr_flow *f = slr_flow_find(&e->flows, &pkt->src, &pkt->dst);
    if (f && f->leg == SLR_NONE) {
        if (pkt->arrival.ns - f->closed_ns < STRAGGLER_NS) {
            count(e, SLR_VERDICT_CLOSED);
            return;
        }
        slr_flows_purge(&e->flows, (slr_mono){pkt->arrival.ns - STRAGGLER_NS + 1});
        f = NULL;
    }
    if (!f) {
        f = slr_passive_new_flow(e, pkt);
    }
    if (!f) {
        count(e, SLR_VERDICT_FLOW_TABLE_FULL);
        return;
    }
    slr_passive_keep_raw(e, f, false, pkt);
    slr_worker_packet(&e->worker[0], f->leg, false, pkt);
}

/* Nobody knows whose they were: a gap in any stream may come of them. */
static void note_drops(struct slr_engine *e, uint32_t packets)
{
    slr_count(&e->worker[0].counters.at[SLR_CTR_KERNEL_DROPS], packets);
    for (uint32_t i = 0; i < slr_state_legs(e->state); i++) {
        if (atomic_load(&e->state->leg[i].state) == SLR_LEG_OPEN) {
            e->state->run[i].loss_flags |= SLR_REC_KERNEL_LOSS;
        }
    }
}

static bool is_signalling(const struct slr_packet *pkt)
{
    return pkt->tcp || slr_rtp_classify(slr_slice_of(pkt->at, pkt->len_bytes)) == SLR_IS_SIP;
}

/* True when it is for the core. */
static bool take_packet(struct slr_engine *e, const struct slr_packet *pkt,
                        struct slr_passive_sip *sip)
{
    enum slr_payload_kind kind = slr_rtp_classify(slr_slice_of(pkt->at, pkt->len_bytes));
    slr_count(&e->worker[0].counters.at[SLR_CTR_PACKETS_IN], 1);
    if (pkt->tcp || kind == SLR_IS_SIP) {
        count(e, SLR_VERDICT_SIP);
        *sip = (struct slr_passive_sip){pkt->at,  pkt->len_bytes, pkt->src,
                                        pkt->dst, pkt->tcp,       pkt->wall};
        return true;
    }
    if (pkt->truncated) {
        count(e, SLR_VERDICT_TRUNCATED);
    } else if (kind == SLR_IS_RTCP) {
        take_rtcp(e, pkt);
    } else if (kind == SLR_IS_RTP) {
        take_rtp(e, pkt);
    } else {
        count(e, SLR_VERDICT_NOT_RTP);
    }
    return false;
}

int slr_engine_passive_fd(const struct slr_engine *e)
{
    return e->link ? e->worker[0].capture->ops->fd(e->worker[0].capture) : -1;
}

bool slr_engine_passive_busy(const struct slr_engine *e)
{
    return is_busy(e);
}

/* So many packets ahead of what needs it, memory is asked for, as slr_worker_burst does. */
#define AHEAD 8u

static void fetch(struct slr_engine *e, uint32_t at)
{
    const struct slr_placement *p = &e->worker[0].place;
    uint32_t *leg = e->burst_leg;
    if (at < e->burst_count) {
        slr_flow_fetch(&e->flows, &e->burst[at].src, &e->burst[at].dst);
    }
    uint32_t i = at - AHEAD;
    if (at >= AHEAD && i < e->burst_count) {
        const struct slr_flow *f = slr_flow_find(&e->flows, &e->burst[i].src, &e->burst[i].dst);
        leg[i] = f ? f->leg : SLR_NONE;
        if (leg[i] != SLR_NONE) {
            slr_steady_fetch_run(p, leg[i]);
        }
    }
    i -= AHEAD;
    if (at >= 2 * AHEAD && i < e->burst_count && leg[i] != SLR_NONE) {
        slr_steady_fetch_queue(p, leg[i], e->burst[i].arrival);
    }
    i -= AHEAD;
    if (at >= 3 * AHEAD && i < e->burst_count && leg[i] != SLR_NONE) {
        slr_steady_fetch_session(p, leg[i], e->burst[i].arrival);
    }
}

/* The next burst; of a link also SLR_AGAIN: nothing now, SLR_BUSY: its turn is over. */
static enum slr_err read_burst(struct slr_engine *e, uint32_t *bursts)
{
    struct slr_capture *c = e->worker[0].capture;
    e->burst_at = 0;
    e->burst_count = 0;
    if (e->link && (*bursts)++ >= LINK_BURSTS) {
        return SLR_BUSY;
    }
    enum slr_err err = c->ops->next(c, 0, e->burst, &e->burst_count);
    if (err != SLR_OK) {
        e->burst_count = 0;
    }
    for (uint32_t i = 0; i < 4 * AHEAD; i++) {
        fetch(e, i);
    }
    if (err == SLR_OK && e->link && e->burst_count == 0) {
        link_quiet(e);
        return SLR_AGAIN;
    }
    return err;
}

enum slr_err slr_engine_passive_run(struct slr_engine *e, struct slr_passive_sip *sip)
{
    uint32_t bursts = 0;
    if (!e->passive) {
        return SLR_STATE;
    }
    while (!e->input_over) {
        if (e->burst_at == e->burst_count) {
            enum slr_err err = read_burst(e, &bursts);
            if (err == SLR_EOF) {
                e->input_over = true;
            } else if (err != SLR_OK) {
                return err;
            }
            continue;
        }
        fetch(e, e->burst_at + 4 * AHEAD);
        struct slr_packet *pkt = &e->burst[e->burst_at];
        if (e->only_media && is_signalling(pkt)) {
            return SLR_STATE;
        }
        e->burst_at++;
        if (pkt->kernel_drops > 0 || pkt->drops_before) {
            note_drops(e, pkt->kernel_drops);
            pkt->kernel_drops = 0;
            pkt->drops_before = false;
        }
        advance(e, pkt->wall);
        if (take_packet(e, pkt, sip)) {
            return SLR_OK;
        }
        if (pkt->wall.ns >= e->next_tick_ns) {
            e->next_tick_ns = pkt->wall.ns + TICK_NS;
            tick(e, pkt->arrival);
        }
    }
    return SLR_EOF;
}

/* What had come when the engine was told to end: the kernel gives the open block away when it is
 * LINK_DELAY_NS old at most. Nobody asks for signalling any more. */
static void take_rest(struct slr_engine *e)
{
    const struct slr_clock *real = slr_clock_real();
    const int64_t quiet_ns = slr_clock_mono(real).ns + LINK_DELAY_NS;
    const int64_t latest_ns = quiet_ns + LINK_REST_NS;
    struct slr_passive_sip sip;
    for (int64_t now = 0; now < latest_ns; now = slr_clock_mono(real).ns) {
        enum slr_err err = slr_engine_passive_run(e, &sip);
        if (err == SLR_AGAIN && now < quiet_ns) {
            struct pollfd link = {.fd = slr_engine_passive_fd(e), .events = POLLIN};
            (void)poll(&link, 1, (int)(LINK_DELAY_NS / SLR_NS_PER_MS));
        } else if (err != SLR_OK && err != SLR_BUSY) {
            return;
        }
    }
}

void slr_passive_link_end(struct slr_engine *e)
{
    take_rest(e);
    slr_passive_link_advance(e);
    slr_passive_check_flows(e, slr_clock_mono(e->clock), true);
}

/* A file can be read again with more room; what is missing must not go unseen. */
static enum slr_err all_had_room(const struct slr_engine *e)
{
    uint64_t packets = slr_count_get(&e->worker[0].counters.at[SLR_VERDICT_FLOW_TABLE_FULL]);
    uint64_t sessions = slr_count_get(&e->counters.at[SLR_CTR_SESSIONS_REFUSED]);
    if (packets == 0 && sessions == 0) {
        return SLR_OK;
    }
    SLR_ERROR("capture_no_room", "packets=%llu sessions=%llu streams=%u hint=%s",
              (unsigned long long)packets, (unsigned long long)sessions, e->cfg->streams,
              SLR_Q("more streams at once: a larger -S"));
    return SLR_FULL;
}

/* Signalling keeps its place before and behind commands of the core: it ends this. */
void slr_passive_link_catch_up(struct slr_engine *e)
{
    const struct slr_clock *real = slr_clock_real();
    const int64_t latest_ns = slr_clock_mono(real).ns + LINK_REST_NS;
    struct slr_passive_sip sip;
    enum slr_err err = e->link ? SLR_BUSY : SLR_AGAIN;
    e->only_media = true;
    while (err == SLR_BUSY && slr_clock_mono(real).ns < latest_ns) {
        err = slr_engine_passive_run(e, &sip);
    }
    e->only_media = false;
}

enum slr_err slr_engine_passive_flush(struct slr_engine *e)
{
    slr_mono now = slr_clock_mono(e->clock);
    slr_passive_check_flows(e, now, true);
    for (uint32_t i = 0; i < slr_state_sessions(e->state); i++) {
        struct slr_session *s = &e->state->session[i];
        if (atomic_load(&s->state) != SLR_SESSION_OPEN) {
            continue;
        }
        int64_t end = s->is_auto ? slr_passive_highest(e, s) : INT64_MIN;
        enum slr_err err = slr_engine_session_end(e, s, "eof", end);
        if (err != SLR_OK) {
            return err;
        }
    }
    uint32_t left = 0;
    for (int turn = 0; turn < 3; turn++) {
        /* errors of the disk put a step off by capture time, which stands still: move it */
        now.ns += SLR_NS_PER_S;
        left = slr_writer_step(&e->writer[0], now);
        left += slr_sealer_step(&e->sealer);
    }
    slr_engine_log_totals(e);
    return left > 0 ? SLR_IO : all_had_room(e);
}
