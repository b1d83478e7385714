/*
 * dtmf_tone: see the header.
 */
#include "engine/dtmf_tone.h"

#include <math.h>
#include <string.h>

#define RAMP_PER_S 500 /* 2 ms */
/* A sine of full scale has 3.14 dBm0 (G.711); each of the two tones has half the power. */
#define FULL_DBM0 3.14
#define HALF_DB 3.01

void slr_dtmf_tone_of(struct slr_slice payload, uint32_t hz, int64_t samples,
                      struct slr_dtmf_tone *out)
{
    uint8_t flags = 0;
    *out = (struct slr_dtmf_tone){.event = 0xff, .hz = hz, .samples = samples};
    if (slr_slice_take_u8(&payload, &out->event) && slr_slice_take_u8(&payload, &flags)) {
        out->volume_dbm0 = flags & 0x3f;
    }
}

/* 1 but for the ramps. */
static double envelope(const struct slr_dtmf_tone *tone, int64_t at)
{
    double ramp = (double)tone->hz / RAMP_PER_S;
    double before = (double)at + 1;
    double after = (double)(tone->samples - at);
    double least = before < after ? before : after;
    return least <= 0 ? 0 : (least < ramp ? least / ramp : 1);
}

void slr_dtmf_tone_make(const struct slr_dtmf_tone *tone, int64_t from, int16_t *out,
                        uint32_t count)
{
    static const double row_hz[4] = {697, 770, 852, 941};
    static const double column_hz[4] = {1209, 1336, 1477, 1633};
    static const uint8_t place[16] = {/* row * 4 + column of 0-9 * # A-D */
                                      13, 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 14, 3, 7, 11, 15};
    if (tone->event > 15) {
        memset(out, 0, count * sizeof *out);
        return;
    }
    double row = 2 * M_PI * row_hz[place[tone->event] / 4] / tone->hz;
    double column = 2 * M_PI * column_hz[place[tone->event] % 4] / tone->hz;
    double level = 32767 * pow(10, -(tone->volume_dbm0 + FULL_DBM0 + HALF_DB) / 20);
    for (uint32_t i = 0; i < count; i++) {
        double t = (double)(from + i);
        out[i] =
            (int16_t)lrint(level * envelope(tone, from + i) * (sin(row * t) + sin(column * t)));
    }
}
