/*
 * comfort: see comfort.h. White noise through the all-pole lattice of the reflection coefficients,
 * its gain such that what comes out has the level that was sent. State is the caller's.
 */
#include "codecs/comfort.h"

#include <math.h>
#include <string.h>

/* 0 dBov is the power of a square wave at full scale (RFC 3389 section 3.1). */
#define FULL_SCALE 32768.0f

void slr_comfort_reset(struct slr_comfort *c, uint32_t seed)
{
    *c = (struct slr_comfort){.random = seed};
}

enum slr_err slr_comfort_level(struct slr_slice payload, uint32_t *level_dbov)
{
    uint8_t level;
    if (!slr_slice_take_u8(&payload, &level)) {
        return SLR_FORMAT;
    }
    *level_dbov = level & 0x7fu; /* the first bit is always 0 */
    return SLR_OK;
}

enum slr_err slr_comfort_take(struct slr_comfort *c, struct slr_slice payload)
{
    uint32_t level_dbov, order = 0;
    uint8_t coded;
    enum slr_err err = slr_comfort_level(payload, &level_dbov);
    if (err != SLR_OK) {
        return err;
    }
    float power = 1.0f;
    (void)slr_slice_skip(&payload, 1);
    while (order < SLR_COMFORT_MAX_ORDER && slr_slice_take_u8(&payload, &coded)) {
        float k = 258.0f * ((float)coded - 127.0f) / 32768.0f; /* 255 is reserved */
        k = coded == 255 ? 0.0f : k;
        c->reflection[order++] = k;
        power *= 1.0f - k * k; /* what the lattice adds */
    }
    c->order = order;
    memset(c->delay + order, 0, (SLR_COMFORT_MAX_ORDER + 1 - order) * sizeof c->delay[0]);
    c->gain = FULL_SCALE * powf(10.0f, -(float)level_dbov / 20.0f) * sqrtf(power);
    return SLR_OK;
}

/* Uniform, with a power of 1. */
static float next_white(struct slr_comfort *c)
{
    c->random = c->random * 1664525u + 1013904223u;
    return ((float)(c->random >> 8) / 8388608.0f - 1.0f) * 1.7320508f;
}

/* A lattice is stable for each set of coefficients, but not while they change all the time. */
static float limited(float v)
{
    return fminf(fmaxf(v, -16.0f * FULL_SCALE), 16.0f * FULL_SCALE);
}

void slr_comfort_make(struct slr_comfort *c, int16_t *out, uint32_t samples)
{
    for (uint32_t i = 0; i < samples; i++) {
        float forward = next_white(c) * c->gain;
        for (uint32_t k = c->order; k > 0; k--) {
            forward -= c->reflection[k - 1] * c->delay[k - 1];
            c->delay[k] = limited(c->delay[k - 1] + c->reflection[k - 1] * forward);
        }
        c->delay[0] = limited(forward);
        out[i] = (int16_t)lrintf(fminf(fmaxf(forward, -FULL_SCALE), FULL_SCALE - 1.0f));
    }
}
