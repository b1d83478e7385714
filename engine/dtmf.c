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

void slr_dtmf_take(struct slr_leg *leg, uint8_t leg_number, const struct slr_dtmf *ev,
                   uint32_t ssrc, int64_t ts_ext, int64_t pos_ticks, uint32_t clock_hz)
{
    if (ev->digit == '\0') {
        return;
    }
    uint32_t duration_ms = (uint32_t)((uint64_t)ev->duration_units * 1000u / clock_hz);
    uint32_t n = leg->digit_count;
    if (n > 0 && leg->digit_ssrc == ssrc && leg->digit_ts_ext == ts_ext) {
        if (duration_ms > leg->digit[n - 1].duration_ms) {
            leg->digit[n - 1].duration_ms = duration_ms;
        }
        return;
    }
    if (n > 0 && leg->digit_ssrc == ssrc && ts_ext < leg->digit_ts_ext &&
        pos_ticks <= leg->digit[n - 1].start_ticks) {
        return; /* a straggler of an event that was entered already */
    }
    if (n == SLR_LEG_DIGITS) {
        return;
    }
    leg->digit[n] = (struct slr_ledger_digit){pos_ticks, duration_ms, leg_number, ev->digit};
    leg->digit_ssrc = ssrc;
    leg->digit_ts_ext = ts_ext;
    leg->digit_count = n + 1;
}
