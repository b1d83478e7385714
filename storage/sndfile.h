/*
 * sndfile: reads back what the containers of sndfile.c and ogg_opus.c wrote: FLAC, GSM 6.10 in WAV
 * and Ogg Opus. For pictures and tools; the recorder itself never reads a final file. One thread a
 * reader; allocates.
 */
#ifndef SLR_STORAGE_SNDFILE_H
#define SLR_STORAGE_SNDFILE_H

#include <stdint.h>

#include "common/err.h"
#include "common/slice.h"
#include "storage/container.h"

struct slr_sndfile;

struct slr_sndfile_info {
    struct slr_audio_shape shape; /* of what is read: always S16 */
    const char *coding;           /* "flac", "gsm", "opus"; static */
    uint64_t frames;              /* that the file says it has */
};

/*
 * `file` is the whole file and stays where it is until close. SLR_FORMAT: none of these formats, or
 * damaged; SLR_UNSUPPORTED: a WAV or Ogg file of another coding; SLR_NOMEM.
 */
enum slr_err slr_sndfile_open(struct slr_slice file, struct slr_sndfile **out,
                              struct slr_sndfile_info *info) SLR_CHECKED;
/* Next frames, interleaved, at most max_frames; how many it were, 0 at the end (or where what
 * follows cannot be decoded: fewer than info.frames were read then). */
uint64_t slr_sndfile_read(struct slr_sndfile *f, int16_t *out, uint64_t max_frames);
/* NULL is allowed. */
void slr_sndfile_close(struct slr_sndfile *f);

#endif
