/*
 * wav_file: what a working file on the disk says of itself, without reading its sound. No state;
 * any thread, allocates nothing.
 */
#ifndef SLR_STORAGE_WAV_FILE_H
#define SLR_STORAGE_WAV_FILE_H

#include <stdint.h>

#include "common/err.h"
#include "storage/container.h"

/* *frames: whole ones that are there, whatever the header says. modified_wall_ns (may be NULL):
 * when it was written last. Errors of opening and reading, and of slr_wav_parse. */
enum slr_err slr_wav_file_shape(int dir_fd, const char *name, struct slr_audio_shape *shape,
                                uint64_t *frames, int64_t *modified_wall_ns) SLR_CHECKED;

#endif
