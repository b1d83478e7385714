/*
 * recfile: the working files of a recording in progress: media and span journal, and their names.
 *
 * Names are a pure function of the recording's id: DIR/rec/open/ID.wav and ID.spans while it is
 * open, DIR/rec/YYYYMMDD/ID.wav and ID.json once sealed (the day in the id's time stamp, UTC).
 * A recfile belongs to one writer (later the sealer) at a time. It is opened on demand and goes on
 * where the session's commit says; everything beyond that is overwritten.
 */
#ifndef SLR_ENGINE_RECFILE_H
#define SLR_ENGINE_RECFILE_H

#include "engine/render.h"
#include "engine/spans.h"
#include "storage/container.h"
#include "storage/sink.h"

#define SLR_CONTAINER_STATE_BYTES 512u
#define SLR_REC_NAME_SIZE 64u

struct slr_recfile {
    bool is_open;
    char id[SLR_ID_SIZE]; /* while open: whose file it is */
    struct slr_sink_posix media;
    int spans_fd; /* -1: not needed now */
    _Alignas(16) uint8_t state[SLR_CONTAINER_STATE_BYTES];
    uint32_t since_checkpoint; /* blocks */
};

/* "open/ID.wav", "open/ID.spans", "YYYYMMDD/ID.wav", "YYYYMMDD/ID.json", "YYYYMMDD". */
void slr_recfile_name_open(const char *id, char out[static SLR_REC_NAME_SIZE]);
void slr_recfile_name_spans(const char *id, char out[static SLR_REC_NAME_SIZE]);
/* "encode/ID.wav": sealed, and to be encoded (engine/encode.h). */
void slr_recfile_name_encode(const char *id, char out[static SLR_REC_NAME_SIZE]);
void slr_recfile_name_day(const char *id, char out[static SLR_REC_NAME_SIZE]);
void slr_recfile_name_final(const char *id, const char *extension,
                            char out[static SLR_REC_NAME_SIZE]);

/* rec_fd: descriptor of DIR/rec. Makes what is missing. A file that lost what the commit says is in
 * it is filled up with silence, and s->damaged is set. Errors of the disk. */
enum slr_err slr_recfile_open(struct slr_recfile *f, int rec_fd, struct slr_session *s) SLR_CHECKED;
/* The same for what is in it at `frames`: what lies behind is overwritten. */
enum slr_err slr_recfile_open_at(struct slr_recfile *f, int rec_fd, struct slr_session *s,
                                 uint64_t frames) SLR_CHECKED;
/* Opens the span journal too, or makes it: it is not there before a span is over. Errors of the
 * disk. */
enum slr_err slr_recfile_open_spans(struct slr_recfile *f, int rec_fd, const char *id) SLR_CHECKED;
/* Appends a block and its spans at the places of the session's commit; counts nothing as written
 * before both succeeded. After an error close the file: the next open goes on from the commit. */
enum slr_err slr_recfile_append(struct slr_recfile *f, int rec_fd, const struct slr_session *s,
                                const struct slr_block *block,
                                const struct slr_span_buffer *spans) SLR_CHECKED;
/* Descriptors that it has open: 0 to 2. */
uint32_t slr_recfile_fds(const struct slr_recfile *f);
void slr_recfile_close(struct slr_recfile *f);

#endif
