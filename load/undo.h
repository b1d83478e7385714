/*
 * undo: takes clock corrections back, so that a channel is in its leg's own time again
 * (docs/ledger.md, "Taking corrections back"). Pure; allocates nothing but in slr_undo_samples.
 */
#ifndef SLR_LOAD_UNDO_H
#define SLR_LOAD_UNDO_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "storage/container.h"

/* One correction at a sample of the file: `inserted` samples that are not the sender's begin there,
 * or `removed` ones of the sender's are missing before it. */
struct slr_undo_edit {
    int64_t at, inserted;
    int16_t *sample; /* those that are missing */
    size_t removed;
};

/* Samples from base64 of S16LE, malloc'd. SLR_FORMAT: not base64 of `count` samples; SLR_NOMEM. */
enum slr_err slr_undo_samples(const char *base64, size_t count, int16_t **out) SLR_CHECKED;

/* How many samples a channel of `samples` has once the edits (in order) are undone. */
size_t slr_undo_size(size_t samples, const struct slr_undo_edit *edit, size_t edits);

/* Undoes them. out holds what slr_undo_size says, in the file's format. */
void slr_undo(const uint8_t *in, size_t samples, enum slr_sample_format format,
              const struct slr_undo_edit *edit, size_t edits, uint8_t *out);

#endif
