/*
 * resample: mono S16 from one rate to another, without moving anything in time.
 *
 * A run is a stretch of consecutive samples. Output sample k of a run is the sound at k / out_hz
 * after the run's first input sample; a run of n samples gives round(n * out_hz / in_hz) samples
 * in all, the last of them by the flush, which also ends the run. The filter looks ahead, so up to
 * `bound(r, 0)` samples are held back until then. Equal rates: a plain copy, nothing held back.
 *
 * A resampler belongs to one thread at a time. open allocates, nothing else does.
 */
#ifndef SLR_CODECS_RESAMPLE_H
#define SLR_CODECS_RESAMPLE_H

#include <stdint.h>

#include "common/err.h"

#define SLR_RESAMPLE_MIN_HZ 1000
#define SLR_RESAMPLE_MAX_HZ 192000
/* Of one run call. */
#define SLR_RESAMPLE_MAX_SAMPLES (1u << 24)

struct slr_resample;

/* Rates in SLR_RESAMPLE_MIN_HZ..SLR_RESAMPLE_MAX_HZ, otherwise SLR_INVAL. SLR_NOMEM. The caller
 * owns *out and gives it to close. */
enum slr_err slr_resample_open(uint32_t in_hz, uint32_t out_hz,
                               struct slr_resample **out) SLR_CHECKED;
/* NULL: nothing to do. */
void slr_resample_close(struct slr_resample *r);

/* What is held back is dropped; the next run begins with the next sample. */
void slr_resample_reset(struct slr_resample *r);

/* Room in samples that run needs at most for in_samples (up to SLR_RESAMPLE_MAX_SAMPLES), and flush
 * for in_samples = 0. */
uint32_t slr_resample_bound(const struct slr_resample *r, uint32_t in_samples);

/*
 * Takes all in_samples of the run in progress (or begins one) and writes what can be said by now.
 * Pieces of any size, empty ones too, give the same as one. in and out do not overlap.
 * SLR_TRUNCATED: out_max is less than bound says; nothing happened.
 */
enum slr_err slr_resample_run(struct slr_resample *r, const int16_t *in, uint32_t in_samples,
                              int16_t *out, uint32_t out_max, uint32_t *out_samples) SLR_CHECKED;

/* Writes what is held back, with silence after the end of the run, and ends the run.
 * SLR_TRUNCATED: out_max is less than bound says; nothing happened. */
enum slr_err slr_resample_flush(struct slr_resample *r, int16_t *out, uint32_t out_max,
                                uint32_t *out_samples) SLR_CHECKED;

#endif
