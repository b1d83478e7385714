/*
 * seam: framing of the control socket between core and engine (docs/seam.md).
 *
 * A frame is a 32-bit big-endian length (1 to 1 MiB) and that many bytes of one JSON object, on a
 * Unix stream socket, with at most one descriptor (SCM_RIGHTS) sent along. Connections never block
 * and are bounded both ways; the owner polls slr_seam_fd for input, and for output while
 * slr_seam_wants_write. One owner thread for a connection; frames allocate.
 */
#ifndef SLR_COMMON_SEAM_H
#define SLR_COMMON_SEAM_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/slice.h"

#define SLR_SEAM_FRAME_MAX_BYTES (1U << 20)
/* What may wait to be sent on one connection. */
#define SLR_SEAM_QUEUE_MAX_BYTES (64U << 20)

struct slr_seam_conn; /* opaque; owns its descriptor, its buffers and the descriptors in them */

/* Listens at `path` (mode 0600 whatever the umask, non-blocking, close-on-exec). A socket that
 * nobody listens on any more is removed first. *fd is the caller's to close; so is removing the
 * path. SLR_BUSY: somebody listens there; SLR_EXISTS: the path is no socket; SLR_TOOLONG; else
 * from errno. */
enum slr_err slr_seam_listen(const char *path, int *fd) SLR_CHECKED;

/* Takes one connection. SLR_AGAIN: none waits; SLR_DENIED: the peer is neither of this process's
 * user nor root, and was closed. */
enum slr_err slr_seam_accept(int listen_fd, struct slr_seam_conn **out) SLR_CHECKED;

/* SLR_NOTFOUND: no such path; SLR_CLOSED: nobody listens; SLR_AGAIN: the listener's queue is full.
 */
enum slr_err slr_seam_connect(const char *path, struct slr_seam_conn **out) SLR_CHECKED;

/* A connection over any Unix stream socket, as of socketpair. Owns fd from SLR_OK on. */
enum slr_err slr_seam_open(int fd, struct slr_seam_conn **out) SLR_CHECKED;

int slr_seam_fd(const struct slr_seam_conn *conn);

/* Queues one frame; msg stays the caller's. pass_fd: -1, or a descriptor that on SLR_OK becomes
 * the connection's and is closed once sent. SLR_INVAL: no object; SLR_TOOLONG: above 1 MiB;
 * SLR_FULL: the queue's bound; SLR_CLOSED: the connection has failed already. */
enum slr_err slr_seam_put(struct slr_seam_conn *conn, const json_t *msg, int pass_fd) SLR_CHECKED;

/* The same for an object that is text already; the text is not checked but for its length. */
enum slr_err slr_seam_put_text(struct slr_seam_conn *conn, struct slr_slice text,
                               int pass_fd) SLR_CHECKED;

/* Sends what is queued. SLR_OK: all is sent; SLR_AGAIN: the socket is full; SLR_CLOSED. */
enum slr_err slr_seam_flush(struct slr_seam_conn *conn) SLR_CHECKED;
bool slr_seam_wants_write(const struct slr_seam_conn *conn);
size_t slr_seam_queued_bytes(const struct slr_seam_conn *conn);

/* Takes the next message; call until SLR_AGAIN. *msg is the caller's; *passed_fd is -1 or a
 * descriptor that becomes the caller's (passed_fd NULL: it is closed). SLR_AGAIN: no whole frame;
 * SLR_CLOSED: the peer is gone; SLR_FORMAT: a bad length, bad JSON, or more descriptors than
 * allowed. The last two are final, later calls repeat them. */
enum slr_err slr_seam_take(struct slr_seam_conn *conn, json_t **msg, int *passed_fd) SLR_CHECKED;

/* Closes and frees; what is still queued is lost. NULL is allowed. */
void slr_seam_close(struct slr_seam_conn *conn);

/* The frame at the front of s, which moves past it. SLR_AGAIN: not whole yet; SLR_FORMAT: a length
 * of 0 or above 1 MiB. Pure. */
enum slr_err slr_seam_frame(struct slr_slice *s, struct slr_slice *body) SLR_CHECKED;

#endif
