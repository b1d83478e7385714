/*
 * rtcp: compound reader, through the bounds-checked slice only.
 */
#include "engine/rtcp.h"

#include "engine/place.h"

#define RTCP_SR 200u
#define RTCP_RR 201u
#define RTCP_XR 207u
#define XR_VOIP 7u

static bool read_sr(struct slr_slice *body, struct slr_rtcp_sr *sr)
{
    return slr_slice_take_u32(body, &sr->ssrc) && slr_slice_take_u32(body, &sr->ntp_seconds) &&
           slr_slice_take_u32(body, &sr->ntp_fraction) && slr_slice_take_u32(body, &sr->rtp_ts) &&
           slr_slice_take_u32(body, &sr->packets) && slr_slice_take_u32(body, &sr->bytes);
}

static bool read_report(struct slr_slice *body, struct slr_rtcp_report *r)
{
    uint32_t loss = 0;
    bool ok = slr_slice_take_u32(body, &r->about) && slr_slice_take_u32(body, &loss) &&
              slr_slice_take_u32(body, &r->highest_seq) && slr_slice_take_u32(body, &r->jitter) &&
              slr_slice_take_u32(body, &r->lsr) && slr_slice_take_u32(body, &r->dlsr);
    r->fraction_lost = (uint8_t)(loss >> 24);
    r->lost = (int32_t)(loss & 0xffffffu);
    if (r->lost & 0x800000) {
        r->lost -= 0x1000000;
    }
    return ok;
}

static void read_reports(struct slr_slice body, uint32_t sender, uint32_t count,
                         struct slr_rtcp *out)
{
    for (uint32_t i = 0; i < count && out->report_count < SLR_RTCP_REPORTS; i++) {
        struct slr_rtcp_report r = {.sender = sender};
        if (!read_report(&body, &r)) {
            return;
        }
        out->report[out->report_count++] = r;
    }
}

static bool read_voip(struct slr_slice body, struct slr_rtcp_voip *v)
{
    uint8_t signal = 0;
    uint8_t noise = 0;
    uint8_t reserved = 0;
    bool ok =
        slr_slice_take_u32(&body, &v->about) && slr_slice_take_u8(&body, &v->loss_rate) &&
        slr_slice_take_u8(&body, &v->discard_rate) && slr_slice_take_u8(&body, &v->burst_density) &&
        slr_slice_take_u8(&body, &v->gap_density) && slr_slice_take_u16(&body, &v->burst_ms) &&
        slr_slice_take_u16(&body, &v->gap_ms) && slr_slice_take_u16(&body, &v->round_trip_ms) &&
        slr_slice_take_u16(&body, &v->end_system_ms) && slr_slice_take_u8(&body, &signal) &&
        slr_slice_take_u8(&body, &noise) && slr_slice_take_u8(&body, &v->rerl_db) &&
        slr_slice_take_u8(&body, &v->gmin) && slr_slice_take_u8(&body, &v->r_factor) &&
        slr_slice_take_u8(&body, &v->ext_r_factor) && slr_slice_take_u8(&body, &v->mos_lq) &&
        slr_slice_take_u8(&body, &v->mos_cq) && slr_slice_take_u8(&body, &v->rx_config) &&
        slr_slice_take_u8(&body, &reserved) && slr_slice_take_u16(&body, &v->jb_nominal_ms) &&
        slr_slice_take_u16(&body, &v->jb_max_ms) && slr_slice_take_u16(&body, &v->jb_abs_max_ms);
    v->signal_dbm = (int8_t)signal;
    v->noise_dbm = (int8_t)noise;
    return ok;
}

/* Blocks of other types are skipped; one that is cut ends the list. */
static void read_xr(struct slr_slice body, struct slr_rtcp *out)
{
    uint32_t sender = 0;
    uint8_t type = 0;
    uint8_t specific = 0;
    uint16_t words = 0;
    struct slr_slice block;
    if (!slr_slice_take_u32(&body, &sender)) {
        return;
    }
    while (slr_slice_take_u8(&body, &type) && slr_slice_take_u8(&body, &specific) &&
           slr_slice_take_u16(&body, &words) && slr_slice_take(&body, 4u * (size_t)words, &block)) {
        struct slr_rtcp_voip v = {.sender = sender};
        if (type == XR_VOIP && out->voip_count < SLR_RTCP_VOIPS && read_voip(block, &v)) {
            out->voip[out->voip_count++] = v;
        }
    }
}

static enum slr_err read_packet(uint8_t type, uint32_t count, struct slr_slice body,
                                struct slr_rtcp *out)
{
    uint32_t sender = 0;
    switch (type) {
    case RTCP_SR:
        if (!read_sr(&body, &out->sr)) {
            return SLR_TRUNCATED;
        }
        out->has_sr = true;
        read_reports(body, out->sr.ssrc, count, out);
        break;
    case RTCP_RR:
        if (slr_slice_take_u32(&body, &sender)) {
            read_reports(body, sender, count, out);
        }
        break;
    case RTCP_XR:
        read_xr(body, out);
        break;
    default:
        break;
    }
    return SLR_OK;
}

enum slr_err slr_rtcp_parse(struct slr_slice bytes, struct slr_rtcp *out)
{
    out->has_sr = false;
    out->report_count = out->voip_count = 0;
    if (bytes.len_bytes < 4) {
        return SLR_TRUNCATED;
    }
    while (bytes.len_bytes > 0) {
        uint8_t first = 0;
        uint8_t type = 0;
        uint16_t words = 0;
        struct slr_slice body;
        if (!slr_slice_take_u8(&bytes, &first) || !slr_slice_take_u8(&bytes, &type) ||
            !slr_slice_take_u16(&bytes, &words) ||
            !slr_slice_take(&bytes, 4u * (size_t)words, &body)) {
            return SLR_TRUNCATED;
        }
        if (first >> 6 != 2 || type < 192 || type > 223) {
            return SLR_FORMAT;
        }
        enum slr_err err = read_packet(type, first & 0x1fu, body, out);
        if (err != SLR_OK) {
            return err;
        }
    }
    return SLR_OK;
}

/* Of which moment it is on the leg's timeline: for the writer, which compares the clocks. */
static void tell_report(struct slr_leg *leg, uint32_t index, const struct slr_rtcp_sr *sr)
{
    const struct slr_stream *st = slr_leg_stream(leg, index);
    const struct slr_anchor *a = slr_place_anchor(st);
    struct slr_leg_report *r = &leg->report;
    uint32_t turn = atomic_load_explicit(&r->turn, memory_order_relaxed) | 1u;
    if (a->clock_hz == 0 || st->refine.since_ns != 0 || index != leg->current) {
        return; /* its place may still change */
    }
    int64_t ts_ext = st->ts_last_ext + (int32_t)(sr->rtp_ts - (uint32_t)st->ts_last_ext);
    int64_t position = a->ticks + slr_ticks_from_rtp(ts_ext - a->ts_ext, a->clock_hz) +
                       slr_place_shift(leg, a->segment);
    int64_t sender = (int64_t)sr->ntp_seconds * SLR_TICKS_HZ +
                     (int64_t)((uint64_t)sr->ntp_fraction * (uint64_t)SLR_TICKS_HZ >> 32);
    atomic_store_explicit(&r->turn, turn, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&r->stream, st->generation << 8 | index, memory_order_relaxed);
    atomic_store_explicit(&r->sender_ticks, sender, memory_order_relaxed);
    atomic_store_explicit(&r->position_ticks, position, memory_order_relaxed);
    atomic_store_explicit(&r->turn, turn + 1, memory_order_release);
}

static void keep_sr(struct slr_stream *st, const struct slr_rtcp_sr *sr, slr_mono arrival)
{
    st->sr_ntp = (uint64_t)sr->ntp_seconds << 32 | sr->ntp_fraction;
    st->sr_rtp_ts = sr->rtp_ts;
    st->sr_arrival_ns = arrival.ns;
    st->sr_count++;
}

/* What the stream's sender says of what it hears. */
static void keep_reports(struct slr_stream *st, const struct slr_rtcp *r)
{
    struct slr_rtcp_kept *kept = &st->rtcp;
    for (uint32_t i = 0; i < r->report_count; i++) {
        const struct slr_rtcp_report *report = &r->report[i];
        if (report->sender != st->ssrc) {
            continue;
        }
        kept->report = *report;
        kept->reports++;
        if (report->fraction_lost > kept->fraction_lost_max) {
            kept->fraction_lost_max = report->fraction_lost;
        }
        if (report->jitter > kept->jitter_max) {
            kept->jitter_max = report->jitter;
        }
    }
    for (uint32_t i = 0; i < r->voip_count; i++) {
        if (r->voip[i].sender == st->ssrc) {
            kept->voip = r->voip[i];
            kept->voips++;
        }
    }
}

enum slr_err slr_rtcp_take(struct slr_leg *leg, struct slr_slice bytes, slr_mono arrival)
{
    struct slr_rtcp r;
    enum slr_err err = slr_rtcp_parse(bytes, &r);
    if (err != SLR_OK) {
        return err;
    }
    for (uint32_t i = 0; i < atomic_load(&leg->stream_count); i++) {
        struct slr_stream *st = slr_leg_stream(leg, i);
        if (atomic_load(&st->state) != SLR_STREAM_TAKEN) {
            continue;
        }
        if (r.has_sr && st->ssrc == r.sr.ssrc) {
            keep_sr(st, &r.sr, arrival);
            tell_report(leg, i, &r.sr);
        }
        keep_reports(st, &r);
    }
    return SLR_OK;
}
