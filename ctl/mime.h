/*
 * mime: splits a multipart body (RFC 2046) into its parts. Boundary quoted or not, preamble and
 * epilogue, blanks after a delimiter, LF alone and a missing close delimiter are taken.
 * Pure, any thread, allocates nothing; parts borrow the body.
 */
#ifndef SLR_CTL_MIME_H
#define SLR_CTL_MIME_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/slice.h"

#define SLR_MIME_PARTS_MAX 8
#define SLR_MIME_BOUNDARY_MAX 70

struct slr_mime_part {
    struct slr_slice type;        /* "application/sdp" without parameters; empty: not given */
    struct slr_slice disposition; /* whole header value; empty: not given */
    struct slr_slice encoding;    /* Content-Encoding; empty: not given */
    struct slr_slice body;
};

struct slr_mime {
    size_t count;
    bool closed; /* the close delimiter was there */
    struct slr_mime_part part[SLR_MIME_PARTS_MAX];
};

/* Finds the boundary parameter in a Content-Type value. SLR_NOTFOUND, SLR_FORMAT (empty or longer
 * than SLR_MIME_BOUNDARY_MAX). The slice borrows `content_type`. */
enum slr_err slr_mime_boundary(struct slr_slice content_type,
                               struct slr_slice *boundary) SLR_CHECKED;

/*
 * Splits `body`. Errors: SLR_NOTFOUND when no delimiter is there, SLR_FULL with more parts than
 * SLR_MIME_PARTS_MAX, SLR_FORMAT when a part's headers are malformed or the boundary is unusable.
 */
enum slr_err slr_mime_split(struct slr_slice body, struct slr_slice boundary,
                            struct slr_mime *out) SLR_CHECKED;

/* First part of that type (case folded), or NULL. */
const struct slr_mime_part *slr_mime_find(const struct slr_mime *m, const char *type);

/* True when the part is unknown to us and its sender insists that we handle it
 * (Content-Disposition handling=required, RFC 3261 20.11; absent means required for SIP, yet
 * recording peers add parts of their own without saying so, so only the explicit word counts). */
bool slr_mime_required(const struct slr_mime_part *p);

#endif
