/*
 * dtmf: telephone events. Worker thread; allocates nothing.
 */
#include "engine/dtmf.h"

enum slr_err slr_dtmf_parse(struct slr_slice payload, struct slr_dtmf *out)
{
    static const char name[] = "0123456789*#ABCDF";
    uint8_t flags = 0;
    if (payload.len_bytes < 4 || payload.len_bytes % 4 != 0 || payload.len_bytes > 64) {
        return payload.len_bytes < 4 ? SLR_TRUNCATED : SLR_FORMAT; /* 2.3.5: events may follow */
    }
    if (!slr_slice_take_u8(&payload, &out->event) || !slr_slice_take_u8(&payload, &flags) ||
        !slr_slice_take_u16(&payload, &out->duration_units)) {
        return SLR_TRUNCATED;
    }
    out->end = (flags & 0x80) != 0;
    out->digit = out->event < sizeof name - 1 ? name[out->event] : '\0';
    return SLR_OK;
}

/* A key that is held for longer than a duration can say goes on as another event (2.5.1.3). */
#define LONGEST_UNITS 0xffff

/* What an event's time is counted from, before its timestamp: the events that it goes on for. */
static int64_t units_before(const struct slr_leg_digit *d, int64_t pos_ticks, uint32_t clock_hz)
{
    int64_t ticks = pos_ticks - d->start_ticks;
    int64_t units = (ticks * clock_hz + SLR_TICKS_HZ / 2) / SLR_TICKS_HZ;
    return units > 0 && units % LONGEST_UNITS == 0 ? units : 0;
}

/* Is it the key that was entered last? Old senders let the timestamp of each packet move on
 * together with the duration. */
static bool goes_on(const struct slr_leg *leg, const struct slr_dtmf *ev, uint32_t ssrc,
                    int64_t ts_ext, uint32_t clock_hz)
{
    const struct slr_leg_digit *d = &slr_leg_rare(leg)->digit[leg->digit_count - 1];
    int64_t moved = ts_ext - leg->digit_ts_ext;
    if (leg->digit_ssrc != ssrc || d->digit != ev->digit) {
        return false;
    }
    int64_t grown_ms = (int64_t)ev->duration_units * 1000 / clock_hz - (int64_t)d->duration_ms;
    int64_t apart_ms = moved * 1000 / (int64_t)clock_hz - grown_ms;
    return moved == LONGEST_UNITS || (moved != 0 && apart_ms >= -1 && apart_ms <= 1);
}

/* A later packet of the event that was entered last, or of what goes on with it. */
static void lengthen(struct slr_leg *leg, const struct slr_dtmf *ev, int64_t ts_ext,
                     int64_t pos_ticks, uint32_t clock_hz)
{
    struct slr_leg_digit *d = &slr_leg_rare(leg)->digit[leg->digit_count - 1];
    int64_t units = units_before(d, pos_ticks, clock_hz) + ev->duration_units;
    uint32_t duration_ms = (uint32_t)(units * 1000 / clock_hz);
    if (duration_ms > d->duration_ms) {
        d->duration_ms = duration_ms;
        leg->digit_ts_ext = ts_ext;
    }
}

void slr_dtmf_take(struct slr_leg *leg, uint8_t segment, const struct slr_dtmf *ev, uint32_t ssrc,
                   int64_t ts_ext, int64_t pos_ticks, uint32_t clock_hz)
{
    uint32_t n = leg->digit_count;
    if (ev->digit == '\0') {
        return;
    }
    bool same = n > 0 && leg->digit_ssrc == ssrc && leg->digit_ts_ext == ts_ext;
    if (same || (n > 0 && goes_on(leg, ev, ssrc, ts_ext, clock_hz))) {
        lengthen(leg, ev, ts_ext, pos_ticks, clock_hz);
        return;
    }
    if (n > 0 && leg->digit_ssrc == ssrc && ts_ext < leg->digit_ts_ext &&
        pos_ticks <= slr_leg_rare(leg)->digit[n - 1].start_ticks) {
        return; /* a straggler of an event that was entered already */
    }
    struct slr_leg_digit *d = &slr_leg_rare(leg)->digit[n];
    if (n == SLR_LEG_DIGITS || !slr_space_touch(d, sizeof *d)) {
        return;
    }
    uint32_t duration_ms = (uint32_t)((uint64_t)ev->duration_units * 1000u / clock_hz);
    *d = (struct slr_leg_digit){pos_ticks, duration_ms, segment, ev->digit};
    leg->digit_ssrc = ssrc;
    leg->digit_ts_ext = ts_ext;
    leg->digit_count = n + 1;
}
