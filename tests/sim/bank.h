/*
 * bank: ten seconds of sound that every leg with a codec of the lossy kind says, from a place of
 * its own: encoded once a process, and what a decoder that heard all of it makes of it, at any rate
 * of a file. The sound is noise, so that each millisecond is like no other, and a ring: after its
 * last unit comes its first. A unit is 10 ms.
 */
#ifndef SLR_TESTS_SIM_BANK_H
#define SLR_TESTS_SIM_BANK_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/leg.h"

#define SIM_BANK_UNITS 1024
#define SIM_UNITS_PER_S 100

/* A payload type as a leg may answer it. */
struct sim_line {
    const char *name;
    uint8_t pt;
    uint32_t clock_hz, sample_hz, channels;
    const char *fmtp;
    uint32_t frame_units; /* packets hold whole frames */
    uint32_t most_units;
    bool conceals;
    /* how far into a run decoders that began elsewhere may differ, and how much after that */
    int64_t settle_ms;
    double most_error;
};

const struct sim_line *sim_line(enum sim_codec codec);

/* Payload of so many units from `unit` on (any number: it is a ring); returns its length. */
uint32_t sim_bank_payload(enum sim_codec codec, int64_t unit, uint32_t units, uint8_t *out,
                          uint32_t out_bytes);

/* Makes all of it now, for the processes that will be forked. */
void sim_bank_fill(void);

/* All of it as it sounds at hz (no less than the codec's): SIM_BANK_UNITS * hz / SIM_UNITS_PER_S
 * samples. Borrowed. */
const int16_t *sim_bank_sound(enum sim_codec codec, uint32_t hz);

/* What a decoder that heard nothing before makes of so many units from `unit` on (whole frames), at
 * the codec's rate. */
void sim_bank_fresh(enum sim_codec codec, int64_t unit, uint32_t units, int16_t *out);

#endif
