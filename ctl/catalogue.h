/*
 * catalogue: read queries on the core's database for HTTP and the command line.
 *
 * Each object is one read-only connection, opened and used by one thread; it may block on the disk
 * (so never on the signalling thread) and never blocks the store's writer.
 */
#ifndef SLR_CTL_CATALOGUE_H
#define SLR_CTL_CATALOGUE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/id.h"

#define SLR_CATALOGUE_MAX_ROWS 1000u
#define SLR_CURSOR_SIZE 64

struct slr_catalogue;

/* A place in a listing: the last row that was given out. */
struct slr_cursor {
    int64_t start_ns;
    char id[SLR_ID_SIZE];
};

struct slr_catalogue_query {
    int64_t from_ns; /* start >= from_ns; INT64_MIN: no limit */
    int64_t to_ns;   /* start < to_ns; INT64_MAX: no limit */
    const char *dn;  /* NULL: any, for all texts */
    const char *call;
    const char *state; /* NULL: any but deleted */
    const char *id;
    uint32_t limit;    /* 1..SLR_CATALOGUE_MAX_ROWS */
    bool oldest_first; /* else newest first */
    bool has_after;
    struct slr_cursor after;
};

/* dir: DIR/core. SLR_NOTFOUND (no database yet), SLR_IO, SLR_VERSION, SLR_NOMEM. */
enum slr_err slr_catalogue_open(const char *dir, struct slr_catalogue **out) SLR_CHECKED;
void slr_catalogue_close(struct slr_catalogue *c);

/* *rows: new array of recording records, owned by the caller. *more: there are rows beyond the
 * limit, to be had with after = *next. SLR_IO, SLR_BUSY, SLR_NOMEM. */
enum slr_err slr_catalogue_recordings(struct slr_catalogue *c, const struct slr_catalogue_query *q,
                                      json_t **rows, bool *more,
                                      struct slr_cursor *next) SLR_CHECKED;

/* One record (also a deleted one: look at its state), owned by the caller. SLR_NOTFOUND. */
enum slr_err slr_catalogue_recording(struct slr_catalogue *c, const char *id,
                                     json_t **record) SLR_CHECKED;

/* Cursors as opaque text for the API. Parsing takes outside bytes: false when malformed. */
void slr_cursor_format(const struct slr_cursor *cursor, char out[static SLR_CURSOR_SIZE]);
bool slr_cursor_parse(const char *text, struct slr_cursor *out);

#endif
