/*
 * container: the one contract by which frames of audio become bytes of a file.
 *
 * A container never touches a file: it says which bytes go where through the sink it is given.
 * Rows of container.def; contract tests run over every row. State is caller memory (state_bytes).
 * Used by one writer thread per file. Positions are frames (one sample of every channel).
 */
#ifndef SLR_STORAGE_CONTAINER_H
#define SLR_STORAGE_CONTAINER_H

#include <stdbool.h>
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

/* How a container of coded packets (Ogg Opus) gets them: this module knows no codec. Each channel
 * is coded by itself, so that no party is heard in another's channel. */
struct slr_packet_encoder {
    void *ctx;
    /* Codes 20 ms of one channel (`samples` at the shape's rate) into at most out_bytes. */
    enum slr_err (*encode)(void *ctx, uint32_t channel, const int16_t *in, uint32_t samples,
                           uint8_t *out, size_t out_bytes, size_t *len_bytes);
    uint32_t delay_samples; /* by which decoded audio lags behind what was coded */
    const char *name;       /* for the file's tags */
};

/* What some rows need; others ignore it. Kept by pointer until finish or drop. */
struct slr_container_options {
    const struct slr_packet_encoder *encoder;
    uint32_t serial; /* of the stream: the same recording is to give the same bytes */
};

struct slr_container {
    const char *name;      /* "wav" */
    const char *extension; /* ".wav" */
    const char *mime_type; /* "audio/wav" */
    const char *coding;    /* of what is stored: "gsm"; NULL: the samples as they are given */
    size_t state_bytes;    /* 16-byte aligned; stays where it is from begin to finish or drop */
    /* A file under construction can be read at each checkpoint, and gone on with after a death.
     * Others are complete only after finish, refuse resume_frames (SLR_UNSUPPORTED), and any error
     * is the file's end: drop it and begin anew. */
    bool resumable;
    /* SLR_UNSUPPORTED when this container can't hold that shape. */
    enum slr_err (*check)(const struct slr_audio_shape *shape);
    /*
     * Begins a file (resume_frames == 0) or goes on with one that holds resume_frames whole frames
     * (after a process death; bytes beyond are overwritten). Nothing is kept of sink but the
     * pointer. The header is valid for the frames written so far after every checkpoint.
     * options: NULL where the row needs none (SLR_INVAL when it does).
     * When resuming: SLR_TRUNCATED when the file holds fewer frames, SLR_FORMAT when it is no file
     * of that shape (neither writes anything). Errors of the sink pass through; begin may then be
     * called again.
     */
    enum slr_err (*begin)(void *state, const struct slr_audio_shape *shape,
                          const struct slr_container_options *options, struct slr_sink *sink,
                          uint64_t resume_frames);
    /* Appends interleaved frames in shape->format. On any error the position is as before, so the
     * same frames may be given again (resumable rows). SLR_TOOLONG: the container can hold no more
     * (nothing was written); checkpoint and finish still work. SLR_STATE: not begun. */
    enum slr_err (*append)(void *state, const void *frames, uint64_t count_frames);
    /* Makes the file readable up to here by a stranger (sizes in the header). */
    enum slr_err (*checkpoint)(void *state);
    /* Last header, and the file is cut to what belongs to it; it is complete afterwards. begin is
     * needed before further use; after an error finish may be called again (resumable rows). */
    enum slr_err (*finish)(void *state);
    /* Frees what the state holds and leaves the file as it is; nothing to do after finish. NULL: it
     * holds nothing. */
    void (*drop)(void *state);
    /* Where the media bytes lie in the file, for hashing: the samples where they are stored as they
     * were given, else the whole file. Also after finish. */
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
