/*
 * container: the one contract by which frames of audio become bytes of a file.
 *
 * A container never touches a file: it says which bytes go where through the sink it is given.
 * Rows of container.def; contract tests run over every row. State is caller memory (state_bytes).
 * Used by one writer thread per file. Positions are frames (one sample of every channel).
 */
#ifndef SLR_STORAGE_CONTAINER_H
#define SLR_STORAGE_CONTAINER_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "storage/sink.h"

enum slr_sample_format {
    SLR_SAMPLE_S16,  /* host-order signed 16 bit, interleaved */
    SLR_SAMPLE_ALAW, /* one byte, interleaved */
    SLR_SAMPLE_ULAW
};

/* Bytes of one sample of one channel. */
uint32_t slr_sample_bytes(enum slr_sample_format format);
/* "s16", "alaw", "ulaw"; static. */
const char *slr_sample_name(enum slr_sample_format format);

struct slr_audio_shape {
    enum slr_sample_format format;
    uint32_t channels;  /* 1..255 */
    uint32_t sample_hz; /* 8000..48000 */
};

struct slr_container {
    const char *name;      /* "wav" */
    const char *extension; /* ".wav" */
    const char *mime_type; /* "audio/wav" */
    size_t state_bytes;
    /* SLR_UNSUPPORTED when this container can't hold that shape. */
    enum slr_err (*check)(const struct slr_audio_shape *shape);
    /*
     * Begins a file (resume_frames == 0) or goes on with one that holds resume_frames whole frames
     * (after a process death; bytes beyond are overwritten). Nothing is kept of sink but the
     * pointer. The header is valid for the frames written so far after every checkpoint.
     * When resuming: SLR_TRUNCATED when the file holds fewer frames, SLR_FORMAT when it is no file
     * of that shape (neither writes anything). Errors of the sink pass through; begin may then be
     * called again.
     */
    enum slr_err (*begin)(void *state, const struct slr_audio_shape *shape, struct slr_sink *sink,
                          uint64_t resume_frames);
    /* Appends interleaved frames in shape->format. On any error the position is as before, so the
     * same frames may be given again. SLR_TOOLONG: the container can hold no more (nothing was
     * written); checkpoint and finish still work. SLR_STATE: not begun. */
    enum slr_err (*append)(void *state, const void *frames, uint64_t count_frames);
    /* Makes the file readable up to here by a stranger (sizes in the header). */
    enum slr_err (*checkpoint)(void *state);
    /* Last header, and the file is cut to what belongs to it; it is complete afterwards. begin is
     * needed before further use; after an error finish may be called again. */
    enum slr_err (*finish)(void *state);
    /* Where the media bytes lie in the file: offset and length, for hashing. Also after finish. */
    void (*media_range)(const void *state, uint64_t *offset_bytes, uint64_t *len_bytes);
};

/* The rows themselves, each in its file. */
#define CONTAINER(name) extern const struct slr_container slr_container_##name;
#include "storage/container.def"
#undef CONTAINER

/* NULL: unknown. */
const struct slr_container *slr_container_by_name(const char *name);
/* All rows, ended by NULL. */
const struct slr_container *const *slr_container_all(void);

#endif
