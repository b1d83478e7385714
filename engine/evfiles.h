/*
 * evfiles: the event log on disk: JSON lines in segment files under DIR/events.
 *
 * A segment is named by its first number, `events-00000000000000000001.jsonl`; each line starts
 * with {"n":NUMBER. One thread at a time: the opener, then the log thread. Every call may wait for
 * the disk. Allocates at open and when the list of segments grows.
 */
#ifndef SLR_ENGINE_EVFILES_H
#define SLR_ENGINE_EVFILES_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/slice.h"

struct slr_evfiles;

/*
 * Opens or makes DIR/events (mode 0750), cuts a last line that is not whole. A segment that has
 * reached segment_bytes is followed by a new one; the oldest are removed while all together exceed
 * keep_bytes. Errors: SLR_IO and its like, SLR_NOMEM, SLR_TOOLONG (path).
 */
enum slr_err slr_evfiles_open(const char *data_dir, uint64_t segment_bytes, uint64_t keep_bytes,
                              struct slr_evfiles **out) SLR_CHECKED;
void slr_evfiles_close(struct slr_evfiles *f);

/* Number of the oldest kept line and of the newest; 0 when there is none. */
uint64_t slr_evfiles_first(const struct slr_evfiles *f);
uint64_t slr_evfiles_last(const struct slr_evfiles *f);

/*
 * Appends whole lines, each ended by LF, numbered first_n..last_n without holes, and syncs them
 * (fdatasync). After an error nothing of them is in the file; the same call may be made again.
 */
enum slr_err slr_evfiles_append(struct slr_evfiles *f, struct slr_slice lines, uint64_t first_n,
                                uint64_t last_n) SLR_CHECKED;

/* Where to go on reading; zero: unknown. */
struct slr_evfiles_hint {
    uint64_t segment_n;
    uint64_t offset_bytes;
};

/*
 * Fills out with whole lines (LF included) beginning at the first line numbered from_n or above.
 * hint is used and moved past what was read. out.len_bytes 0 afterwards: no such line. SLR_TOOLONG:
 * the line does not fit.
 */
enum slr_err slr_evfiles_read(struct slr_evfiles *f, uint64_t from_n, struct slr_evfiles_hint *hint,
                              struct slr_put *out) SLR_CHECKED;

/* The number a line starts with. SLR_FORMAT. */
enum slr_err slr_evfiles_number(struct slr_slice line, uint64_t *n) SLR_CHECKED;

#endif
