/*
 * seam: buffered, non-blocking connections that carry JSON frames.
 *
 * Each connection belongs to one thread. Received bytes lie in one buffer that grows up to one
 * frame; it is read into only while it holds no whole frame. Frames to send are a list, each a
 * block of its own.
 *
 * Which frame a descriptor belongs to: the sender gives it to the first byte of its frame, with no
 * byte of a later frame in the same sendmsg; the kernel ends a recvmsg behind the bytes that a
 * descriptor came with. So it belongs to the frame that holds the last byte of that recvmsg.
 */
#include "common/seam.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/json.h"

#define HEADER_BYTES 4
#define IN_FIRST_BYTES 65536U
#define IN_MAX_BYTES (HEADER_BYTES + SLR_SEAM_FRAME_MAX_BYTES)
/* At most one descriptor for the frame begun and one for the last of those behind it. */
#define FDS_MAX 2
/* Room in a control message, so that a peer's surplus is seen and closed. */
#define FDS_RECEIVE_MAX 4
#define BACKLOG 16

struct frame {
    struct frame *next;
    size_t len_bytes, sent_bytes;
    int fd; /* -1: none or sent */
    uint8_t bytes[];
};

struct pending_fd {
    uint64_t offset; /* of a byte of its frame, counted from the connection's first byte */
    int fd;
};

struct slr_seam_conn {
    int fd;
    enum slr_err failed; /* SLR_OK, or what every take answers from now on */
    uint8_t *in;
    size_t in_size, in_start, in_len; /* [in_start, in_start + in_len) is to be read */
    uint64_t in_offset;               /* stream offset of in_start */
    struct pending_fd pending[FDS_MAX];
    size_t pending_count;
    struct frame *out_first, *out_last;
    size_t out_bytes; /* queued, not yet sent */
};

static enum slr_err set_address(const char *path, struct sockaddr_un *sa)
{
    size_t n = strlen(path);
    *sa = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (n == 0) {
        return SLR_INVAL;
    }
    if (n >= sizeof sa->sun_path) {
        return SLR_TOOLONG;
    }
    memcpy(sa->sun_path, path, n + 1);
    return SLR_OK;
}

static enum slr_err connect_fd(const char *path, int *out)
{
    struct sockaddr_un sa;
    enum slr_err err = set_address(path, &sa);
    if (err != SLR_OK) {
        return err;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return slr_err_from_errno(errno);
    }
    if (connect(fd, (const struct sockaddr *)&sa, sizeof sa) != 0) {
        err = slr_err_from_errno(errno);
        close(fd);
        return err;
    }
    *out = fd;
    return SLR_OK;
}

/* Makes way for bind: a socket left by a process that is gone is removed, and nothing else. */
static enum slr_err remove_stale(const char *path)
{
    struct stat st;
    int probe;

    if (lstat(path, &st) != 0) {
        return errno == ENOENT ? SLR_OK : slr_err_from_errno(errno);
    }
    if (!S_ISSOCK(st.st_mode)) {
        return SLR_EXISTS;
    }
    enum slr_err err = connect_fd(path, &probe);
    if (err == SLR_OK) {
        close(probe);
        return SLR_BUSY;
    }
    if (err != SLR_CLOSED) {
        return err == SLR_AGAIN ? SLR_BUSY : err;
    }
    return unlink(path) == 0 || errno == ENOENT ? SLR_OK : slr_err_from_errno(errno);
}

enum slr_err slr_seam_listen(const char *path, int *fd)
{
    struct sockaddr_un sa;
    enum slr_err err = set_address(path, &sa);
    if (err == SLR_OK) {
        err = remove_stale(path);
    }
    if (err != SLR_OK) {
        return err;
    }
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* On Linux bind gives the path the mode of the socket's own inode: no moment with a wider
     * mode, and no umask changed under other threads. */
    if (s < 0 || fchmod(s, 0600) != 0 || bind(s, (const struct sockaddr *)&sa, sizeof sa) != 0 ||
        listen(s, BACKLOG) != 0) {
        err = slr_err_from_errno(errno);
        if (s >= 0) {
            close(s);
        }
        return err;
    }
    *fd = s;
    return SLR_OK;
}

enum slr_err slr_seam_accept(int listen_fd, struct slr_seam_conn **out)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0) {
        return errno == ECONNABORTED ? SLR_AGAIN : slr_err_from_errno(errno);
    }
    enum slr_err err = SLR_OK;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 || len != sizeof peer) {
        err = SLR_DENIED;
    } else if (peer.uid != geteuid() && peer.uid != 0) {
        err = SLR_DENIED;
    }
    if (err == SLR_OK) {
        err = slr_seam_open(fd, out);
    }
    if (err != SLR_OK) {
        close(fd);
    }
    return err;
}

enum slr_err slr_seam_connect(const char *path, struct slr_seam_conn **out)
{
    int fd;
    enum slr_err err = connect_fd(path, &fd);
    if (err != SLR_OK) {
        return err;
    }
    err = slr_seam_open(fd, out);
    if (err != SLR_OK) {
        close(fd);
    }
    return err;
}

enum slr_err slr_seam_open(int fd, struct slr_seam_conn **out)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        return slr_err_from_errno(errno);
    }
    struct slr_seam_conn *conn = calloc(1, sizeof *conn);
    if (!conn) {
        return SLR_NOMEM;
    }
    conn->in = malloc(IN_FIRST_BYTES);
    if (!conn->in) {
        free(conn);
        return SLR_NOMEM;
    }
    conn->in_size = IN_FIRST_BYTES;
    conn->fd = fd;
    *out = conn;
    return SLR_OK;
}

int slr_seam_fd(const struct slr_seam_conn *conn)
{
    return conn->fd;
}

static void free_frame(struct frame *f)
{
    if (f->fd >= 0) {
        close(f->fd);
    }
    explicit_bzero(f->bytes, f->len_bytes); /* may have held media keys */
    free(f);
}

void slr_seam_close(struct slr_seam_conn *conn)
{
    if (!conn) {
        return;
    }
    while (conn->out_first) {
        struct frame *next = conn->out_first->next;
        free_frame(conn->out_first);
        conn->out_first = next;
    }
    for (size_t i = 0; i < conn->pending_count; i++) {
        close(conn->pending[i].fd);
    }
    close(conn->fd);
    explicit_bzero(conn->in, conn->in_size);
    free(conn->in);
    free(conn);
}

/* --- sending --- */

/* A frame with its header written and `body_bytes` to be filled in behind it. */
static enum slr_err make_frame(const struct slr_seam_conn *conn, size_t body_bytes,
                               struct frame **out)
{
    if (conn->failed != SLR_OK) {
        return SLR_CLOSED;
    }
    if (body_bytes == 0) {
        return SLR_INVAL;
    }
    if (body_bytes > SLR_SEAM_FRAME_MAX_BYTES) {
        return SLR_TOOLONG;
    }
    if (conn->out_bytes + HEADER_BYTES + body_bytes > SLR_SEAM_QUEUE_MAX_BYTES) {
        return SLR_FULL;
    }
    struct frame *f = malloc(sizeof *f + HEADER_BYTES + body_bytes);
    if (!f) {
        return SLR_NOMEM;
    }
    *f = (struct frame){.len_bytes = HEADER_BYTES + body_bytes, .fd = -1};
    struct slr_put p = slr_put_of(f->bytes, HEADER_BYTES);
    slr_put_u32(&p, (uint32_t)body_bytes);
    *out = f;
    return SLR_OK;
}

static void queue_frame(struct slr_seam_conn *conn, struct frame *f, int pass_fd)
{
    f->fd = pass_fd;
    if (conn->out_last) {
        conn->out_last->next = f;
    } else {
        conn->out_first = f;
    }
    conn->out_last = f;
    conn->out_bytes += f->len_bytes;
}

enum slr_err slr_seam_put(struct slr_seam_conn *conn, const json_t *msg, int pass_fd)
{
    struct frame *f;
    if (!json_is_object(msg)) {
        return SLR_INVAL;
    }
    size_t body_bytes = json_dumpb(msg, NULL, 0, JSON_COMPACT);
    enum slr_err err = make_frame(conn, body_bytes, &f);
    if (err != SLR_OK) {
        return err;
    }
    char *body = (char *)f->bytes + HEADER_BYTES;
    if (json_dumpb(msg, body, body_bytes, JSON_COMPACT) != body_bytes) {
        free_frame(f);
        return SLR_INVAL;
    }
    queue_frame(conn, f, pass_fd);
    return SLR_OK;
}

enum slr_err slr_seam_put_text(struct slr_seam_conn *conn, struct slr_slice text, int pass_fd)
{
    struct frame *f;
    enum slr_err err = make_frame(conn, text.len_bytes, &f);
    if (err != SLR_OK) {
        return err;
    }
    memcpy(f->bytes + HEADER_BYTES, text.at, text.len_bytes);
    queue_frame(conn, f, pass_fd);
    return SLR_OK;
}

/* One sendmsg of the rest of a frame; its descriptor goes with the first byte. */
static ssize_t send_frame(int fd, struct frame *f)
{
    union {
        struct cmsghdr align;
        uint8_t bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {f->bytes + f->sent_bytes, f->len_bytes - f->sent_bytes};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (f->fd >= 0) {
        memset(&control, 0, sizeof control);
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.align), &f->fd, sizeof(int));
        msg.msg_control = &control;
        msg.msg_controllen = sizeof control.bytes;
    }
    ssize_t n;
    do {
        n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n;
}

enum slr_err slr_seam_flush(struct slr_seam_conn *conn)
{
    while (conn->out_first) {
        struct frame *f = conn->out_first;
        ssize_t n = send_frame(conn->fd, f);
        if (n < 0) {
            bool full =
                errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM || errno == ETOOMANYREFS;
            return full ? SLR_AGAIN : SLR_CLOSED;
        }
        if (f->fd >= 0) {
            close(f->fd);
            f->fd = -1;
        }
        f->sent_bytes += (size_t)n;
        conn->out_bytes -= (size_t)n;
        if (f->sent_bytes == f->len_bytes) {
            conn->out_first = f->next;
            if (!conn->out_first) {
                conn->out_last = NULL;
            }
            free_frame(f);
        }
    }
    return SLR_OK;
}

bool slr_seam_wants_write(const struct slr_seam_conn *conn)
{
    return conn->out_first != NULL;
}

size_t slr_seam_queued_bytes(const struct slr_seam_conn *conn)
{
    return conn->out_bytes;
}

/* --- receiving --- */

enum slr_err slr_seam_frame(struct slr_slice *s, struct slr_slice *body)
{
    struct slr_slice rest = *s;
    uint32_t len;

    if (!slr_slice_take_u32(&rest, &len)) {
        return SLR_AGAIN;
    }
    if (len == 0 || len > SLR_SEAM_FRAME_MAX_BYTES) {
        return SLR_FORMAT;
    }
    if (!slr_slice_take(&rest, len, body)) {
        return SLR_AGAIN;
    }
    *s = rest;
    return SLR_OK;
}

/* Keeps the one descriptor of a recvmsg that ended at stream offset `end`; closes what is too
 * much, which is an error of the peer. */
static enum slr_err keep_fds(struct slr_seam_conn *conn, struct msghdr *msg, uint64_t end)
{
    enum slr_err err = (msg->msg_flags & MSG_CTRUNC) ? SLR_FORMAT : SLR_OK;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (conn->pending_count == FDS_MAX) {
                close(fd);
                err = SLR_FORMAT;
            } else {
                conn->pending[conn->pending_count++] = (struct pending_fd){end - 1, fd};
            }
        }
    }
    return err;
}

/* Makes room behind the received bytes, for one whole frame at the most. */
static enum slr_err make_room(struct slr_seam_conn *conn)
{
    if (conn->in_len > 0 && conn->in_start > 0) {
        memmove(conn->in, conn->in + conn->in_start, conn->in_len);
        explicit_bzero(conn->in + conn->in_len, conn->in_start);
    }
    conn->in_start = 0;
    if (conn->in_len < conn->in_size) {
        return SLR_OK;
    }
    /* A full buffer without a whole frame is below IN_MAX_BYTES, as the length was checked. */
    size_t size = conn->in_size * 2 < IN_MAX_BYTES ? conn->in_size * 2 : IN_MAX_BYTES;
    uint8_t *in = malloc(size);
    if (!in) {
        return SLR_NOMEM;
    }
    memcpy(in, conn->in, conn->in_len);
    explicit_bzero(conn->in, conn->in_size);
    free(conn->in);
    conn->in = in;
    conn->in_size = size;
    return SLR_OK;
}

/* One recvmsg. SLR_OK: there are more bytes now. */
static enum slr_err receive(struct slr_seam_conn *conn)
{
    union {
        struct cmsghdr align;
        uint8_t bytes[CMSG_SPACE(FDS_RECEIVE_MAX * sizeof(int))];
    } control;
    enum slr_err err = make_room(conn);
    if (err != SLR_OK) {
        return err;
    }
    struct iovec iov = {conn->in + conn->in_len, conn->in_size - conn->in_len};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof control.bytes};
    ssize_t n;
    do {
        n = recvmsg(conn->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == ENOMEM)) {
        return SLR_AGAIN;
    }
    if (n <= 0) {
        return SLR_CLOSED;
    }
    conn->in_len += (size_t)n;
    return keep_fds(conn, &msg, conn->in_offset + conn->in_len);
}

/* The descriptor of the frame that ends at in_offset, if it has one. */
static enum slr_err take_fd(struct slr_seam_conn *conn, int *fd)
{
    *fd = -1;
    while (conn->pending_count > 0 && conn->pending[0].offset < conn->in_offset) {
        int next = conn->pending[0].fd;
        conn->pending_count--;
        memmove(&conn->pending[0], &conn->pending[1],
                conn->pending_count * sizeof conn->pending[0]);
        if (*fd >= 0) {
            close(next);
            close(*fd);
            *fd = -1;
            return SLR_FORMAT;
        }
        *fd = next;
    }
    return SLR_OK;
}

static enum slr_err take_frame(struct slr_seam_conn *conn, json_t **msg, int *passed_fd)
{
    struct slr_slice s = slr_slice_of(conn->in + conn->in_start, conn->in_len), body;
    int fd;
    enum slr_err err = slr_seam_frame(&s, &body);
    if (err != SLR_OK) {
        return err;
    }
    size_t used = conn->in_len - s.len_bytes;
    conn->in_start += used;
    conn->in_len -= used;
    conn->in_offset += used;
    err = take_fd(conn, &fd);
    if (err == SLR_OK) {
        err = slr_json_load(body, msg);
    }
    explicit_bzero(conn->in + conn->in_start - used, used); /* media keys don't stay here */
    if (fd >= 0 && (err != SLR_OK || !passed_fd)) {
        close(fd);
        fd = -1;
    }
    if (err == SLR_OK && passed_fd) {
        *passed_fd = fd;
    }
    return err;
}

enum slr_err slr_seam_take(struct slr_seam_conn *conn, json_t **msg, int *passed_fd)
{
    enum slr_err err = conn->failed;
    if (err != SLR_OK) {
        return err;
    }
    for (;;) {
        err = take_frame(conn, msg, passed_fd);
        if (err == SLR_AGAIN) {
            err = receive(conn);
            if (err == SLR_OK) {
                continue;
            }
        }
        if (err == SLR_CLOSED || err == SLR_FORMAT) {
            conn->failed = err;
        }
        return err;
    }
}
