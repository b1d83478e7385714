/*
 * AMR payloads of RFC 4867: both packings, several frames, silence, bad frames, and what must be
 * refused.
 */
#include <criterion/criterion.h>

#include "codecs/amr_payload.h"

static struct slr_codec_use use_of(const char *fmtp)
{
    struct slr_codec_use use;
    struct slr_codec_params p = {.clock_hz = 8000, .channels = 1, .fmtp = fmtp};
    cr_assert_eq(slr_codec_bind(&slr_codec_amr, &p, &use), SLR_OK, "%s", fmtp);
    return use;
}

Test(amr_payload, parameters)
{
    static const struct {
        const char *fmtp;
        int mode; /* -1: refused */
    } row[] = {
        {NULL, 0},
        {"", 0},
        {"octet-align=1", 1},
        {" Octet-Align = 1 ; mode-set=0,2", 1},
        {"mode-set=7;octet-align=1;mode-change-period=2", 1},
        {"octet-align", 1},
        {"octet-align=0", 0},
        {"max-red=220", 0},
        {"octet-align=1; crc=1", -1},
        {"crc=0; robust-sorting=0", 0},
        {"robust-sorting=1", -1},
        {"interleaving=8", -1},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct slr_codec_use use;
        struct slr_codec_params p = {.clock_hz = 8000, .channels = 1, .fmtp = row[i].fmtp};
        enum slr_err want = row[i].mode < 0 ? SLR_UNSUPPORTED : SLR_OK;
        cr_assert_eq(slr_codec_bind(&slr_codec_amr, &p, &use), want, "%s", row[i].fmtp);
        cr_assert(row[i].mode < 0 || use.mode == (uint32_t)row[i].mode, "%s", row[i].fmtp);
        p.channels = 2;
        cr_assert_eq(slr_codec_bind(&slr_codec_amr, &p, &use), SLR_UNSUPPORTED);
    }
}

/* RFC 4867 section 4.3.5.1: one frame of 5.9 kbit/s, bandwidth efficient. */
Test(amr_payload, one_frame_bandwidth_efficient)
{
    struct slr_codec_use use = use_of("");
    struct slr_amr_payload parsed;
    struct slr_payload_info info;
    uint8_t payload[16] = {0xf1, 0x40}, frame[SLR_AMR_FRAME_BYTES];
    payload[1] |= 0x2a;                             /* the frame's first six bits: 101010 */
    struct slr_slice p = slr_slice_of(payload, 16); /* 10 + 118 bits are 16 bytes */
    cr_assert_eq(slr_amr_read(&slr_amr_narrow, &use, p, &parsed), SLR_OK);
    cr_assert_eq(parsed.frames, 1u);
    cr_assert_eq(parsed.frame[0].type, 2);
    cr_assert(parsed.frame[0].good);
    cr_assert_eq(parsed.frame[0].bit_at, 10u);
    slr_amr_frame(&slr_amr_narrow, p, &parsed, 0, frame);
    cr_assert_eq(frame[0], 2 << 3 | 4);
    cr_assert_eq(frame[1], 0xa8);
    cr_assert_eq(slr_amr_inspect(&slr_amr_narrow, &use, p, &info), SLR_OK);
    cr_assert_eq(info.samples, 160u);
    cr_assert(!info.comfort);
    for (size_t len = 0; len < 16; len++) {
        cr_assert_eq(slr_amr_read(&slr_amr_narrow, &use, slr_slice_of(payload, len), &parsed),
                     SLR_FORMAT);
    }
}

/* Section 4.4.5.1: two frames octet-aligned, here a silence descriptor and nothing. */
Test(amr_payload, silence_octet_aligned)
{
    struct slr_codec_use use = use_of("octet-align=1");
    struct slr_payload_info info;
    uint8_t payload[] = {0xf0, 0x80 | 8 << 3 | 4, 15 << 3 | 4, 1, 2, 3, 4, 5};
    struct slr_slice p = slr_slice_of(payload, sizeof payload);
    cr_assert_eq(slr_amr_inspect(&slr_amr_narrow, &use, p, &info), SLR_OK);
    cr_assert_eq(info.samples, 320u);
    cr_assert(info.comfort);
    payload[2] = 12 << 3 | 4; /* a reserved type: the payload is to be discarded */
    cr_assert_eq(slr_amr_inspect(&slr_amr_narrow, &use, p, &info), SLR_FORMAT);
    payload[2] = 15 << 3 | 4;
    p.len_bytes--;
    cr_assert_eq(slr_amr_inspect(&slr_amr_narrow, &use, p, &info), SLR_FORMAT);
}

/* The wide-band codec's "speech lost" is no comfort, its reserved types are refused. */
Test(amr_payload, wide)
{
    struct slr_codec_use use = use_of("octet-align=1");
    struct slr_payload_info info;
    for (uint8_t type = 0; type < 16; type++) {
        uint8_t payload[2 + 60] = {0xf0, (uint8_t)(type << 3 | 4)};
        int16_t bits = slr_amr_wide.bits[type];
        size_t len = 2 + (bits > 0 ? (size_t)(bits + 7) / 8 : 0);
        enum slr_err err = slr_amr_inspect(&slr_amr_wide, &use, slr_slice_of(payload, len), &info);
        cr_assert_eq(err, type >= 10 && type <= 13 ? SLR_FORMAT : SLR_OK, "type %u", type);
        cr_assert(err != SLR_OK || info.samples == 320);
        cr_assert(err != SLR_OK || info.comfort == (type == 9 || type == 15), "type %u", type);
    }
}

/* Written and read again in both packings, any number of frames. */
Test(amr_payload, there_and_back)
{
    static const char *const fmtp[] = {"", "octet-align=1"};
    uint32_t seed = 20261121;
    for (int round = 0; round < 400; round++) {
        struct slr_codec_use use = use_of(fmtp[round % 2]);
        const struct slr_amr_kind *kind = round % 4 < 2 ? &slr_amr_narrow : &slr_amr_wide;
        uint8_t frame[SLR_AMR_MAX_FRAMES][SLR_AMR_FRAME_BYTES] = {{0}}, again[SLR_AMR_FRAME_BYTES];
        uint8_t out[1000];
        size_t len = 0;
        struct slr_amr_payload parsed;
        uint32_t frames = 1 + (uint32_t)round % SLR_AMR_MAX_FRAMES;
        for (uint32_t i = 0; i < frames; i++) {
            uint32_t type = (seed >> 10) % (kind->sid_type + 1u);
            uint32_t bits = (uint32_t)kind->bits[type];
            frame[i][0] = (uint8_t)(type << 3 | (seed >> 20 & 1u) << 2);
            for (uint32_t k = 0; k < bits; k++) {
                seed = seed * 1664525u + 1013904223u;
                frame[i][1 + k / 8] |= (uint8_t)((seed >> 30 & 1u) << (7 - k % 8));
            }
        }
        cr_assert_eq(slr_amr_write(kind, &use, frame[0], frames, out, sizeof out, &len), SLR_OK);
        struct slr_slice p = slr_slice_of(out, len);
        cr_assert_eq(slr_amr_read(kind, &use, p, &parsed), SLR_OK);
        cr_assert_eq(parsed.frames, frames);
        for (uint32_t i = 0; i < frames; i++) {
            slr_amr_frame(kind, p, &parsed, i, again);
            cr_assert(memcmp(again, frame[i], sizeof again) == 0, "round %d frame %u", round, i);
        }
        cr_assert_eq(slr_amr_write(kind, &use, frame[0], frames, out, len - 1, &len),
                     SLR_TRUNCATED);
    }
}

Test(amr_payload, too_many_frames)
{
    struct slr_codec_use use = use_of("octet-align=1");
    struct slr_amr_payload parsed;
    uint8_t payload[SLR_AMR_MAX_FRAMES + 2];
    memset(payload, 0x80 | 15 << 3 | 4, sizeof payload);
    payload[sizeof payload - 1] = 15 << 3 | 4;
    cr_assert_eq(
        slr_amr_read(&slr_amr_narrow, &use, slr_slice_of(payload, sizeof payload), &parsed),
        SLR_FORMAT);
    payload[sizeof payload - 2] = 15 << 3 | 4;
    cr_assert_eq(
        slr_amr_read(&slr_amr_narrow, &use, slr_slice_of(payload, sizeof payload - 1), &parsed),
        SLR_OK);
}
