/*
 * wav_read: what a WAV file in memory says about itself. For tools and tests; the recorder itself
 * never reads a WAV file. Pure, any thread, allocates nothing.
 */
#ifndef SLR_STORAGE_WAV_READ_H
#define SLR_STORAGE_WAV_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/slice.h"
#include "storage/container.h"

struct slr_wav_info {
    struct slr_audio_shape shape;
    uint64_t data_offset_bytes; /* of the first frame in the file */
    uint64_t data_len_bytes;    /* whole frames that are there */
    uint64_t frames;            /* the same in frames */
    uint64_t stated_len_bytes;  /* what the data chunk's header says */
    uint64_t fact_frames;       /* 0 where there is no fact chunk */
    bool has_fact;
    bool is_rf64;   /* sizes beyond 32 bits stand in a ds64 chunk */
    bool truncated; /* the file ends before the data chunk does, or within a frame */
};

/*
 * Reads the chunks of a RIFF/WAVE or RF64 (EBU Tech 3306) file held whole in `file`. Accepts PCM of
 * 16 bits, A-law and mu-law of 8, plain or as WAVE_FORMAT_EXTENSIBLE, 1 to 255 channels; chunks in
 * any order, unknown ones skipped, the first fmt and data count. The RIFF size is not trusted. A
 * data chunk longer than the file is cut to what is there and reported as truncated.
 *
 * SLR_FORMAT: no RIFF/WAVE, or fmt missing, too short or contradicting itself. SLR_TRUNCATED: it
 * ends before a fmt and a data chunk header were seen. SLR_UNSUPPORTED: another sample format.
 * *info is written on SLR_OK only.
 */
enum slr_err slr_wav_parse(struct slr_slice file, struct slr_wav_info *info) SLR_CHECKED;

#endif
