/*
 * quality_json: rounds, so that the same recording gives the same text. Sealer thread.
 */
#include "engine/quality_json.h"

#include <math.h>
#include <stdio.h>
#include <strings.h>

#include "codecs/codec.h"

/* RFC 3611: no value. */
#define XR_UNKNOWN 127

static json_t *rounded(double value, double unit)
{
    double n = round(value / unit);
    double per = round(1 / unit);
    return json_real((n > -0.5 && n < 0.5) ? 0.0 : n / per); /* never -0 */
}

static json_t *rounded2(double value)
{
    return rounded(value, 0.01);
}

static json_t *rounded3(double value)
{
    return rounded(value, 0.001);
}

static bool is_audio(const struct slr_pt_map *pt)
{
    return strcasecmp(pt->name, "CN") != 0 && strcasecmp(pt->name, "telephone-event") != 0;
}

/* The row that most of the leg's packets were of; NULL: there was no audio. */
static const struct slr_pt_map *main_codec(const struct slr_leg *leg)
{
    uint64_t count[128] = {0};
    uint64_t most = 0;
    const struct slr_pt_map *best = NULL;
    for (uint32_t i = 0; i < atomic_load(&leg->stream_count); i++) {
        const struct slr_stream *st = slr_leg_stream(leg, i);
        bool taken = atomic_load(&st->state) == SLR_STREAM_TAKEN;
        for (uint32_t k = 0; taken && k < st->pt_kinds; k++) {
            count[st->pt_used[k] & 0x7f] += st->pt_count[k];
        }
    }
    for (uint32_t i = 0; i < leg->pt_count && i < SLR_LEG_PTS; i++) {
        const struct slr_pt_map *pt = slr_leg_pt(leg, i);
        if (is_audio(pt) && count[pt->pt & 0x7f] > 0 && count[pt->pt & 0x7f] >= most) {
            most = count[pt->pt & 0x7f];
            best = pt;
        }
    }
    return best;
}

/* Of decoded audio. */
static uint32_t sample_hz_of(const struct slr_pt_map *pt)
{
    const struct slr_codec *codec = slr_codec_by_name(pt->name, pt->clock_hz);
    return codec && codec->sample_hz ? codec->sample_hz : pt->clock_hz;
}

static void put_score(json_t *o, const struct slr_pt_map *pt, const struct slr_loss_metrics *m)
{
    struct slr_score score;
    slr_score(pt ? pt->name : NULL, pt ? sample_hz_of(pt) : 0, m, &score);
    json_object_set_new(o, "codec", pt ? json_string(pt->name) : json_null());
    json_object_set_new(o, "mos", score.known ? rounded2(score.mos) : json_null());
    json_object_set_new(o, "r", score.known ? rounded2(score.r) : json_null());
    if (!score.known) {
        json_object_set_new(o, "mos_missing", json_string(score.why_not));
    }
}

static void put_loss(json_t *o, const struct slr_loss_metrics *m)
{
    json_object_set_new(o, "expected", json_integer((json_int_t)m->expected));
    json_object_set_new(o, "lost", json_integer((json_int_t)m->lost));
    json_object_set_new(o, "loss_pct", rounded2(m->loss_pct));
    json_object_set_new(o, "bursts", json_integer((json_int_t)m->bursts));
    json_object_set_new(o, "burst_ms", rounded2(m->burst_ms));
    json_object_set_new(o, "burst_density_pct", rounded2(m->burst_density_pct));
    json_object_set_new(o, "gap_density_pct", rounded2(m->gap_density_pct));
    json_object_set_new(o, "burst_r", rounded2(m->burst_r));
}

static void put_jitter(json_t *o, const struct slr_leg *leg)
{
    double sum_ms = 0;
    double max_ms = 0;
    uint64_t count = 0;
    for (uint32_t i = 0; i < atomic_load(&leg->stream_count); i++) {
        const struct slr_stream *st = slr_leg_stream(leg, i);
        const struct slr_jitter *j = &st->jitter;
        if (atomic_load(&st->state) == SLR_STREAM_TAKEN && j->clock_hz > 0) {
            double unit_ms = 1000.0 / j->clock_hz;
            sum_ms += j->sum * unit_ms;
            count += j->count;
            max_ms = j->max * unit_ms > max_ms ? j->max * unit_ms : max_ms;
        }
    }
    json_object_set_new(o, "jitter_ms", rounded3(count ? sum_ms / (double)count : 0));
    json_object_set_new(o, "jitter_max_ms", rounded3(max_ms));
}

static json_t *level_json(const struct slr_meter *meter)
{
    struct slr_level l;
    slr_meter_level(meter, &l);
    json_t *o = l.known ? json_object() : NULL;
    if (!o) {
        return json_null();
    }
    json_object_set_new(o, "active_dbov", rounded(l.active_dbov, 0.1));
    json_object_set_new(o, "rms_dbov", rounded(l.rms_dbov, 0.1));
    json_object_set_new(o, "peak_dbov", rounded(l.peak_dbov, 0.1));
    json_object_set_new(o, "silence_pct", rounded2(l.silence_pct));
    json_object_set_new(o, "digital_silence_pct", rounded2(l.dead_pct));
    json_object_set_new(o, "clipped_pct", rounded3(l.clipped_pct));
    json_object_set_new(o, "dc_pct", rounded3(l.dc_pct));
    return o;
}

json_t *slr_quality_json(const struct slr_leg *leg, const struct slr_sound *sound)
{
    json_t *o = json_object();
    struct slr_loss_metrics m;
    if (!o) {
        return NULL;
    }
    slr_loss_metrics(&sound->loss, &m);
    put_score(o, main_codec(leg), &m);
    put_loss(o, &m);
    put_jitter(o, leg);
    json_object_set_new(o, "level", level_json(&sound->meter));
    json_object_set_new(o, "silent_alarms", json_integer((json_int_t)leg->silence.alarms));
    return o;
}

static void put_ssrc(json_t *o, const char *key, uint32_t ssrc)
{
    char text[16];
    snprintf(text, sizeof text, "0x%08x", ssrc);
    json_object_set_new(o, key, json_string(text));
}

static void put_known(json_t *o, const char *key, int value, double unit)
{
    if (value != XR_UNKNOWN) {
        json_object_set_new(o, key, rounded(value * unit, unit));
    }
}

static json_t *voip_json(const struct slr_rtcp_voip *v)
{
    json_t *o = json_object();
    if (!o) {
        return NULL;
    }
    put_ssrc(o, "about", v->about);
    json_object_set_new(o, "loss_pct", rounded2(v->loss_rate / 2.56));
    json_object_set_new(o, "discard_pct", rounded2(v->discard_rate / 2.56));
    json_object_set_new(o, "burst_density_pct", rounded2(v->burst_density / 2.56));
    json_object_set_new(o, "gap_density_pct", rounded2(v->gap_density / 2.56));
    json_object_set_new(o, "burst_ms", json_integer(v->burst_ms));
    json_object_set_new(o, "gap_ms", json_integer(v->gap_ms));
    json_object_set_new(o, "round_trip_ms", json_integer(v->round_trip_ms));
    json_object_set_new(o, "end_system_ms", json_integer(v->end_system_ms));
    put_known(o, "signal_dbm", v->signal_dbm, 1);
    put_known(o, "noise_dbm", v->noise_dbm, 1);
    put_known(o, "rerl_db", v->rerl_db, 1);
    json_object_set_new(o, "gmin", json_integer(v->gmin));
    put_known(o, "r", v->r_factor, 1);
    put_known(o, "r_external", v->ext_r_factor, 1);
    put_known(o, "mos_lq", v->mos_lq, 0.1);
    put_known(o, "mos_cq", v->mos_cq, 0.1);
    json_object_set_new(o, "buffer_ms", json_integer(v->jb_nominal_ms));
    json_object_set_new(o, "buffer_max_ms", json_integer(v->jb_max_ms));
    return o;
}

json_t *slr_rtcp_json(const struct slr_stream *st)
{
    const struct slr_rtcp_kept *k = &st->rtcp;
    if (st->sr_count == 0 && k->reports == 0 && k->voips == 0) {
        return NULL;
    }
    json_t *o = json_object();
    double unit_ms = st->clock_hz ? 1000.0 / st->clock_hz : 0;
    json_object_set_new(o, "sender_reports", json_integer(st->sr_count));
    json_object_set_new(o, "reports", json_integer(k->reports));
    if (k->reports > 0) {
        put_ssrc(o, "about", k->report.about);
        json_object_set_new(o, "lost", json_integer(k->report.lost));
        json_object_set_new(o, "fraction_lost_pct", rounded2(k->report.fraction_lost / 2.56));
        json_object_set_new(o, "fraction_lost_max_pct", rounded2(k->fraction_lost_max / 2.56));
        json_object_set_new(o, "jitter_ms", rounded3(k->report.jitter * unit_ms));
        json_object_set_new(o, "jitter_max_ms", rounded3(k->jitter_max * unit_ms));
    }
    if (k->voips > 0) {
        json_object_set_new(o, "voip_metrics", voip_json(&k->voip));
    }
    return o;
}
