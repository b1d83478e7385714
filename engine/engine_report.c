/*
 * engine_report: snapshot, statistics and metrics. Control thread; reads what others write through
 * atomics or accepts a value that is a moment old.
 */
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "engine/engine_priv.h"
#include "engine/queue.h"
#include "engine/sound.h"

static json_t *leg_json(const struct slr_engine *e, const struct slr_session *s, uint32_t slot)
{
    const struct slr_leg *leg = &e->state->leg[slot];
    char ip[SLR_ADDR_TEXT_SIZE] = "";
    uint64_t packets = 0;
    slr_mono now = slr_clock_mono(e->clock);
    if (leg->local.family) {
        slr_addr_format_ip(&leg->local, ip);
    }
    for (uint32_t i = 0; i < atomic_load(&leg->stream_count); i++) {
        packets += slr_leg_stream(leg, i)->packets;
    }
    int64_t heard_ns = slr_leg_run(leg)->heard_ns;
    int64_t since = heard_ns ? heard_ns : s->start.ns;
    return json_pack("{s:s,s:i,s:s,s:s,s:i,s:i,s:b,s:b,s:b,s:I,s:I,s:s}", "leg", leg->id, "channel",
                     (int)leg->channel, "dn", leg->dn, "ip", ip, "port", (int)leg->local.port,
                     "rtcp_port", (int)leg->rtcp_port, "heard", heard_ns != 0, "hold",
                     atomic_load(&leg->holding) != 0, "open",
                     atomic_load(&leg->state) == SLR_LEG_OPEN, "packets", (json_int_t)packets,
                     "silent_ms", (json_int_t)((now.ns - since) / SLR_NS_PER_MS), "silent_cause",
                     slr_silence_name(atomic_load(&leg->silence.cause)));
}

static json_t *session_json(const struct slr_engine *e, const struct slr_session *s)
{
    json_t *legs = json_array();
    for (uint32_t i = 0; legs && i < atomic_load(&s->leg_count); i++) {
        json_array_append_new(legs, leg_json(e, s, atomic_load(&s->leg[i])));
    }
    json_t *meta = slr_session_meta(s)[0] ? json_loads(slr_session_meta(s), 0, NULL) : NULL;
    bool open = atomic_load(&s->state) == SLR_SESSION_OPEN;
    return json_pack("{s:s,s:s,s:s,s:I,s:b,s:b,s:i,s:o,s:o}", "session", s->id, "call", s->call,
                     "state", open ? "open" : "sealing", "start_wall_ns",
                     (json_int_t)s->start_wall.ns, "paused", atomic_load(&s->paused) != 0, "auto",
                     (int)s->is_auto, "channels", (int)s->channels, "meta",
                     meta ? meta : json_object(), "legs", legs);
}

json_t *slr_engine_snapshot(struct slr_engine *e)
{
    json_t *list = json_array();
    for (uint32_t i = 0; list && i < slr_state_sessions(e->state); i++) {
        const struct slr_session *s = &e->state->session[i];
        if (atomic_load(&s->state) >= SLR_SESSION_OPEN) {
            json_array_append_new(list, session_json(e, s));
        }
    }
    return list;
}

static uint64_t counter_sum(const struct slr_engine *e, uint32_t id)
{
    uint64_t sum = slr_count_get(&e->counters.at[id]) + slr_count_get(&e->sealer.counters.at[id]) +
                   slr_count_get(&e->encode.counters.at[id]);
    for (uint32_t i = 0; i < e->worker_count; i++) {
        sum += slr_count_get(&e->worker[i].counters.at[id]);
    }
    for (uint32_t i = 0; i < slr_engine_writers(e); i++) {
        sum += slr_count_get(&e->writer[i].counters.at[id]);
    }
    return sum;
}

static json_t *capture_json(const struct slr_engine *e)
{
    struct slr_capture_stats sum = {0};
    for (uint32_t i = 0; i < e->worker_count; i++) {
        struct slr_capture_stats st = {0};
        e->worker[i].capture->ops->stats(e->worker[i].capture, &st);
        const uint64_t *from = (const uint64_t *)(const void *)&st;
        uint64_t *to = (uint64_t *)(void *)&sum;
        for (size_t k = 0; k < sizeof st / sizeof *from; k++) {
            to[k] += from[k];
        }
    }
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "packets",
                     (json_int_t)sum.packets, "by_ring", (json_int_t)sum.by_ring, "frames",
                     (json_int_t)sum.frames, "drop_link", (json_int_t)sum.drop_link, "drop_ip",
                     (json_int_t)sum.drop_ip, "drop_fragment", (json_int_t)sum.drop_fragment,
                     "drop_transport", (json_int_t)sum.drop_transport, "fragments_joined",
                     (json_int_t)sum.fragments_joined, "drop_truncated",
                     (json_int_t)sum.drop_truncated, "drop_kernel", (json_int_t)sum.drop_kernel,
                     "drop_stray", (json_int_t)sum.drop_stray, "recv_errors",
                     (json_int_t)sum.recv_errors, "no_buffers", (json_int_t)sum.no_buffers);
}

/* What goes up and down, beside the counters: it goes to /metrics as they do. */
static void put_gauges(const struct slr_engine *e, json_t *counters)
{
    const struct slr_engine_watch *w = &e->watch;
    double budget_s = (double)atomic_load(&w->budget_ns) / (double)SLR_NS_PER_S;
    double stalled_s = (double)atomic_load(&w->stalled_ns) / (double)SLR_NS_PER_S;
    json_object_set_new(counters, "slr_storage_stall_budget_seconds", json_real(budget_s));
    json_object_set_new(counters, "slr_storage_stalled_seconds", json_real(stalled_s));
    enum slr_limit limit = SLR_LIMIT_STREAMS;
    json_object_set_new(counters, "slr_calls_left", json_integer(slr_engine_calls_left(e, &limit)));
    for (uint32_t i = 0; i < SLR_LIMITS; i++) {
        char name[64];
        snprintf(name, sizeof name, "slr_calls_left_by{limit=\"%s\"}",
                 slr_limit_name((enum slr_limit)i));
        uint32_t used = slr_engine_streams_used(e);
        uint32_t by = i == SLR_LIMIT_STREAMS
                          ? (used < e->cfg->streams ? (e->cfg->streams - used) / 2 : 0)
                          : atomic_load(&w->left[i]);
        json_object_set_new(counters, name, json_integer(by));
    }
    json_object_set_new(counters, "slr_storage_second_in_use",
                        json_integer(atomic_load(&w->second)));
    json_object_set_new(counters, "slr_storage_refusing", json_integer(atomic_load(&w->refuse)));
}

json_t *slr_engine_stats(struct slr_engine *e)
{
    json_t *counters = json_object();
    const struct slr_metric *table = slr_counters_table();
    for (uint32_t i = 0; counters && i < SLR_CTR_COUNT; i++) {
        json_object_set_new(counters, table[i].name, json_integer((json_int_t)counter_sum(e, i)));
    }
    uint32_t sessions = 0;
    for (uint32_t i = 0; i < slr_state_sessions(e->state); i++) {
        sessions += atomic_load(&e->state->session[i].state) == SLR_SESSION_OPEN;
    }
    uint32_t used = slr_engine_streams_used(e);
    if (!e->watch.running) {
        slr_engine_watch_step(e, slr_clock_mono(e->clock));
    }
    double budget = (double)atomic_load(&e->watch.budget_ns) / (double)SLR_NS_PER_S;
    put_gauges(e, counters);
    const char *limit = "";
    uint32_t left = slr_engine_calls_left_of(e, &limit);
    slr_mono now = slr_clock_mono(slr_clock_real());
    json_t *encode = e->sealer.encode ? slr_encode_stats(e->sealer.encode) : json_object();
    return json_pack(
        "{s:i,s:i,s:i,s:b,s:I,s:s,s:f,s:s,s:I,s:s,s:o,s:o,s:o}", "streams_used", (int)used,
        "streams_max", (int)e->cfg->streams, "sessions", (int)sessions, "draining",
        (int)e->draining, "uptime_s", (json_int_t)((now.ns - e->started.ns) / SLR_NS_PER_S),
        "backend", e->backend, "stall_budget_s", budget, "refusing",
        slr_refusal_name(slr_engine_refusal(e, 2)), "calls_left", (json_int_t)left, "calls_limit",
        limit, "encode", encode, "capture", capture_json(e), "counters", counters);
}

void slr_engine_log_totals(const struct slr_engine *e)
{
    static const char *const reason[] = {
#define VERDICT(name, text) text,
#include "engine/verdict.def"
#undef VERDICT
    };
    char text[1024];
    struct slr_put put = slr_put_of(text, sizeof text - 1);
    for (uint32_t i = 0; i < SLR_VERDICT_COUNT; i++) {
        uint64_t n = counter_sum(e, i);
        if (n > 0) {
            slr_put_fmt(&put, " %s=%llu", reason[i], (unsigned long long)n);
        }
    }
    text[put.len_bytes] = '\0';
    SLR_INFO("capture_end", "datagrams=%llu%s",
             (unsigned long long)counter_sum(e, SLR_CTR_PACKETS_IN), text);
}
