/*
 * evlog: the engine's one numbered log of events, and cursors on it.
 *
 * An event gets its number, goes into the mapped ring (evring: survives the process) and from there
 * to the segment files (evfiles: survive the host) by a thread of the log's own, the only one that
 * waits for the disk. The seam and each sniffer reader are cursors. All calls come from one thread,
 * the control thread. Allocates for each append and each read from disk.
 */
#ifndef SLR_ENGINE_EVLOG_H
#define SLR_ENGINE_EVLOG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/slice.h"

struct slr_evlog_config {
    const char *data_dir;  /* DIR: engine.id and events/ */
    const char *state_dir; /* events.ring */
    const struct slr_clock *clock;
    uint64_t segment_bytes; /* 0: 16 MiB */
    uint64_t keep_bytes;    /* all segments together, 0: 256 MiB */
    size_t ring_bytes;      /* 0: 8 MiB */
    uint32_t sync_ms;       /* shortest time between two syncs, 0: 100 */
    bool seeded;            /* passive run: a new engine id is always the same */
};

struct slr_evlog;
struct slr_evlog_cursor;

/*
 * Makes the directories, takes the lock on DIR, reads or makes the engine's id, counts its epoch
 * up, writes what only the ring still held to disk, starts the thread. Waits for the disk. Errors,
 * each with a log event: SLR_BUSY another engine uses DIR; SLR_FORMAT engine.id is damaged; SLR_IO
 * and its like; SLR_NOMEM.
 */
enum slr_err slr_evlog_open(const struct slr_evlog_config *cfg, struct slr_evlog **out) SLR_CHECKED;
/* Waits until all is on disk. All cursors must be closed before. */
void slr_evlog_close(struct slr_evlog *log);

/*
 * Takes ownership of event, an object with "ev". Adds n, engine, engine_epoch, and wall_ns where it
 * is absent. Returns the number; 0 when the event could not be kept (no memory, or above
 * slr_evlog_text_max), with a log event.
 */
uint64_t slr_evlog_append(struct slr_evlog *log, json_t *event);
/* The text of the newest event, as in the log. Borrowed until the next append. */
struct slr_slice slr_evlog_newest(const struct slr_evlog *log);

const char *slr_evlog_engine(const struct slr_evlog *log);
uint64_t slr_evlog_epoch(const struct slr_evlog *log);
uint64_t slr_evlog_last(const struct slr_evlog *log);
size_t slr_evlog_text_max(const struct slr_evlog *log);
/* Newest number known to be on disk, and events that never got there (ring overrun while the disk
 * stood still). */
uint64_t slr_evlog_durable(struct slr_evlog *log);
uint64_t slr_evlog_unwritten(struct slr_evlog *log);

/* Waits until all is on disk. For tests and the end of a run. */
void slr_evlog_flush(struct slr_evlog *log);

/* An eventfd: readable when a cursor that answered SLR_AGAIN while behind can go on. */
int slr_evlog_wake_fd(const struct slr_evlog *log);
void slr_evlog_wake_clear(struct slr_evlog *log);

/* A cursor behind event after_n (above the newest: behind the newest). NULL: no memory. */
struct slr_evlog_cursor *slr_evlog_cursor_open(struct slr_evlog *log, uint64_t after_n);
void slr_evlog_cursor_close(struct slr_evlog_cursor *c);

struct slr_evlog_item {
    uint64_t n;
    struct slr_slice text;       /* one JSON object without LF, borrowed until the next append,
                                    peek or step */
    uint64_t lost_from, lost_to; /* with SLR_NOTFOUND */
};

/*
 * The item at the cursor. SLR_OK; SLR_AGAIN: none yet (the newest was taken, or the disk is being
 * read); SLR_NOTFOUND: events lost_from to lost_to are no longer kept and the cursor stands behind
 * them; SLR_NOMEM.
 */
enum slr_err slr_evlog_peek(struct slr_evlog_cursor *c, struct slr_evlog_item *item) SLR_CHECKED;
/* Moves past the item that peek gave. */
void slr_evlog_step(struct slr_evlog_cursor *c);
/* Number of the next item. */
uint64_t slr_evlog_cursor_next(const struct slr_evlog_cursor *c);

#endif
