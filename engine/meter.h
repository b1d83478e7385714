/*
 * meter: the level of a leg's decoded audio: active speech level, peak, clipping, silence, offset;
 * and when it was last alive.
 *
 * Pure: works on the caller's struct, which lies in the leg's slot; writer thread; allocates
 * nothing. Frames of 20 ms run over the borders of packets and blocks.
 */
#ifndef SLR_ENGINE_METER_H
#define SLR_ENGINE_METER_H

#include <stdbool.h>
#include <stdint.h>

#define SLR_METER_BINS 100u

/* Frames are dead when their samples differ by no more than this: G.711's smallest steps come to
 * 16, and AMR-WB at its lowest rate makes up to 28 of zeros. -66 dBov at most. */
#define SLR_METER_DEAD_RANGE 32

struct slr_meter {
    uint64_t samples, clipped;
    int64_t sum;
    uint64_t frames, dead_frames;
    uint32_t bin[SLR_METER_BINS]; /* frames of -n to -n-1 dBov; the last one: and less */
    int32_t peak;
    /* the frame that is not full yet */
    uint64_t frame_squares;
    uint32_t frame_samples;
    int32_t frame_min, frame_max;
};

/* Adds samples; true: a frame among those that it filled was alive. */
bool slr_meter_put(struct slr_meter *m, const int16_t *pcm, uint32_t samples, uint32_t sample_hz);

struct slr_level {
    bool known;         /* at least one whole frame */
    double active_dbov; /* speech while it is active, ITU-T P.56 on frames of 20 ms */
    double rms_dbov;    /* of all frames */
    double peak_dbov;   /* of the largest sample; -100: nothing but zeros */
    double silence_pct; /* frames that are not active speech */
    double dead_pct;    /* frames of digital silence */
    double clipped_pct; /* samples at full scale */
    double dc_pct;      /* mean of all samples, of full scale */
};

void slr_meter_level(const struct slr_meter *m, struct slr_level *out);

#endif
