/*
 * peaks: what a waveform is drawn from: least, greatest and mean square sample of each column of
 * time, for each channel of a recording's file. Pure but for slr_peaks_run, which is all that
 * `slr --render FILE --peaks N` does. Allocates the answer.
 */
#ifndef SLR_ENGINE_PEAKS_H
#define SLR_ENGINE_PEAKS_H

#include <jansson.h>
#include <stdint.h>

#include "common/err.h"
#include "common/slice.h"

#define SLR_PEAKS_MAX 100000u

/*
 * {"format","channels","sample_hz","frames","columns",
 *  "peaks":[[least,greatest,rms, ...] for each channel]}, values of 16 bits; a column without a
 * frame is 0,0,0. file: a whole file of any format that we write. SLR_FORMAT, SLR_TRUNCATED (fewer
 * frames than it says), SLR_UNSUPPORTED, SLR_NOMEM; SLR_INVAL: columns is 0 or more than
 * SLR_PEAKS_MAX.
 */
enum slr_err slr_peaks_json(struct slr_slice file, uint32_t columns, json_t **out) SLR_CHECKED;

/* Prints them for a file as one line. Exit status; errors are told on standard error. */
int slr_peaks_run(const char *path, uint32_t columns);

#endif
