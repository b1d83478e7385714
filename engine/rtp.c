/*
 * rtp: header reader and classifier, through the bounds-checked slice only.
 */
#include "engine/rtp.h"

enum slr_err slr_rtp_parse(struct slr_slice bytes, struct slr_rtp *out)
{
    uint8_t b0 = 0;
    uint8_t b1 = 0;
    if (!slr_slice_take_u8(&bytes, &b0) || !slr_slice_take_u8(&bytes, &b1)) {
        return SLR_TRUNCATED;
    }
    if (b0 >> 6 != 2) {
        return SLR_FORMAT;
    }
    out->pt = b1 & 0x7f;
    out->marker = (b1 & 0x80) != 0;
    if (!slr_slice_take_u16(&bytes, &out->seq) || !slr_slice_take_u32(&bytes, &out->ts) ||
        !slr_slice_take_u32(&bytes, &out->ssrc) ||
        !slr_slice_skip(&bytes, 4u * (size_t)(b0 & 0x0f))) {
        return SLR_TRUNCATED;
    }
    if (b0 & 0x10) {
        uint16_t profile = 0;
        uint16_t words = 0;
        if (!slr_slice_take_u16(&bytes, &profile) || !slr_slice_take_u16(&bytes, &words) ||
            !slr_slice_skip(&bytes, 4u * (size_t)words)) {
            return SLR_TRUNCATED;
        }
    }
    if (b0 & 0x20) {
        uint8_t pad = bytes.len_bytes > 0 ? bytes.at[bytes.len_bytes - 1] : 0;
        if (pad == 0 || pad > bytes.len_bytes) {
            return SLR_TRUNCATED;
        }
        bytes.len_bytes -= pad;
    }
    out->payload = bytes;
    return SLR_OK;
}

static bool starts_with(struct slr_slice bytes, const char *text)
{
    size_t n = strlen(text);
    return bytes.len_bytes >= n && memcmp(bytes.at, text, n) == 0;
}

static bool looks_like_sip(struct slr_slice bytes)
{
    static const char *const start[] = {
        "SIP/2.0 ",   "INVITE ", "ACK ",   "BYE ",     "CANCEL ", "OPTIONS ", "REGISTER ", "PRACK ",
        "SUBSCRIBE ", "NOTIFY ", "REFER ", "MESSAGE ", "UPDATE ", "INFO ",    "PUBLISH "};
    for (size_t i = 0; i < sizeof start / sizeof start[0]; i++) {
        if (starts_with(bytes, start[i])) {
            return true;
        }
    }
    return false;
}

enum slr_payload_kind slr_rtp_classify(struct slr_slice bytes)
{
    if (bytes.len_bytes < 8) {
        return SLR_IS_OTHER;
    }
    if (bytes.at[0] >> 6 == 2) {
        /* RTCP packet types 192 to 223 are what RTP would read as marker and types 64 to 95 */
        bool rtcp = bytes.at[1] >= 192 && bytes.at[1] <= 223;
        if (rtcp) {
            return SLR_IS_RTCP;
        }
        return bytes.len_bytes >= 12 ? SLR_IS_RTP : SLR_IS_OTHER;
    }
    return looks_like_sip(bytes) ? SLR_IS_SIP : SLR_IS_OTHER;
}
