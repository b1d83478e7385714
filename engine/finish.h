/*
 * finish: from the working file of an ended recording to its final files, where these are not the
 * working file itself: other format, rate or layout, or pauses left out.
 *
 * Streaming, in constant memory; an encoder's thread, blocks on the disk, allocates for the time of
 * the call. It only reads the working file and makes "encode/ID.part" or "encode/ID-N.part" from
 * its beginning each time, so it can be repeated after a death at any point. The same recording
 * gives the same bytes.
 */
#ifndef SLR_ENGINE_FINISH_H
#define SLR_ENGINE_FINISH_H

#include <stdatomic.h>

#include "engine/recfile.h"
#include "storage/format.h"
#include "storage/ledger.h"
#include "storage/seal.h"

struct slr_finish_job {
    int rec_fd;
    const char *id;
    struct slr_sink *media; /* the working file */
    uint64_t offset_bytes, frames;
    struct slr_audio_shape recorded;
    const struct slr_output_plan *plan;
    const struct slr_ledger_cut *cut; /* in order; on frames of `recorded` */
    uint32_t cut_count;
    uint32_t opus_bps, opus_complexity; /* of a channel; 0 bits/s: by rate */
    const _Atomic bool *stop;           /* true: give up */
};

/* One final file: names, hash and size. */
struct slr_final_file {
    char file[SLR_REC_NAME_SIZE]; /* where it is to be published */
    char part[SLR_REC_NAME_SIZE]; /* where it is now */
    char hash[SLR_HASH_TEXT_SIZE];
    uint64_t media_offset_bytes, media_len_bytes;
};

/* Fills in names: of the only file, or of the one of channel `number`. */
void slr_finish_names(const char *id, const struct slr_output_plan *plan, uint32_t number,
                      struct slr_final_file *f);

/*
 * Makes plan->files parts, hashed, not yet synced; file[] has room for all. *frames: in each of
 * them. Errors of the disk (parts are removed, so that a full disk gets its space back), SLR_AGAIN
 * by stop, SLR_NOMEM, SLR_UNSUPPORTED where this build lacks the codec.
 */
enum slr_err slr_finish_run(const struct slr_finish_job *job, struct slr_final_file *file,
                            uint64_t *frames) SLR_CHECKED;

/* A part gets its final name, on the disk. What lies there is of an earlier attempt that told
 * nobody. */
enum slr_err slr_finish_publish(int rec_fd, const struct slr_final_file *f) SLR_CHECKED;

/* Removes parts that a death left behind. */
void slr_finish_clean(int rec_fd, const char *id);

#endif
