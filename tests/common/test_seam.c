/* seam: frames over socket pairs and a listening socket; bounds, descriptors, bad peers. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/json.h"
#include "common/seam.h"

struct pair {
    struct slr_seam_conn *a, *b;
};

static struct pair open_pair(void)
{
    struct pair p;
    int fd[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    cr_assert_eq(slr_seam_open(fd[0], &p.a), SLR_OK);
    cr_assert_eq(slr_seam_open(fd[1], &p.b), SLR_OK);
    return p;
}

static void close_pair(struct pair p)
{
    slr_seam_close(p.a);
    slr_seam_close(p.b);
}

/* One end is a bare descriptor, to send what the module would not. */
static struct slr_seam_conn *open_half(int *raw)
{
    struct slr_seam_conn *conn;
    int fd[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    cr_assert_eq(slr_seam_open(fd[1], &conn), SLR_OK);
    *raw = fd[0];
    return conn;
}

static enum slr_err put_number(struct slr_seam_conn *conn, int n, int pass_fd)
{
    json_t *msg = json_pack("{s:i}", "n", n);
    enum slr_err err = slr_seam_put(conn, msg, pass_fd);
    json_decref(msg);
    return err;
}

static int take_number(struct slr_seam_conn *conn, int *fd)
{
    json_t *msg;
    cr_assert_eq(slr_seam_take(conn, &msg, fd), SLR_OK);
    int n = (int)slr_json_i64(msg, "n", -1);
    json_decref(msg);
    return n;
}

Test(seam, messages_both_ways_in_order)
{
    struct pair p = open_pair();
    json_t *msg;

    cr_assert_eq(slr_seam_take(p.b, &msg, NULL), SLR_AGAIN);
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(put_number(p.a, i, -1), SLR_OK);
    }
    cr_assert(slr_seam_wants_write(p.a));
    cr_assert_eq(slr_seam_flush(p.a), SLR_OK);
    cr_assert_not(slr_seam_wants_write(p.a));
    cr_assert_eq(slr_seam_queued_bytes(p.a), 0);
    cr_assert_eq(put_number(p.b, 1000, -1), SLR_OK);
    cr_assert_eq(slr_seam_flush(p.b), SLR_OK);
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(take_number(p.b, NULL), i);
    }
    cr_assert_eq(slr_seam_take(p.b, &msg, NULL), SLR_AGAIN);
    cr_assert_eq(take_number(p.a, NULL), 1000);
    close_pair(p);
}

Test(seam, largest_frame_passes_in_pieces)
{
    struct pair p = open_pair();
    char *text = malloc(SLR_SEAM_FRAME_MAX_BYTES + 1);
    json_t *msg = NULL;

    memset(text, 'x', SLR_SEAM_FRAME_MAX_BYTES + 1);
    memcpy(text, "{\"t\":\"", 6);
    memcpy(text + SLR_SEAM_FRAME_MAX_BYTES - 2, "\"}", 2);
    struct slr_slice s = slr_slice_of(text, SLR_SEAM_FRAME_MAX_BYTES);
    cr_assert_eq(slr_seam_put_text(p.a, s, -1), SLR_OK);
    cr_assert_eq(put_number(p.a, 7, -1), SLR_OK);
    enum slr_err err;
    int turns = 0;
    do {
        err = slr_seam_flush(p.a);
        cr_assert(err == SLR_OK || err == SLR_AGAIN);
        err = slr_seam_take(p.b, &msg, NULL);
    } while (err == SLR_AGAIN && turns++ < 10000);
    cr_assert_eq(err, SLR_OK);
    cr_assert_gt(turns, 0, "the frame is larger than a socket's buffer");
    cr_assert_eq(strlen(slr_json_str(msg, "t")), SLR_SEAM_FRAME_MAX_BYTES - 8);
    json_decref(msg);
    cr_assert_eq(slr_seam_flush(p.a), SLR_OK);
    cr_assert_eq(take_number(p.b, NULL), 7);
    s.len_bytes++;
    cr_assert_eq(slr_seam_put_text(p.a, s, -1), SLR_TOOLONG);
    free(text);
    close_pair(p);
}

Test(seam, the_queue_is_bounded)
{
    struct pair p = open_pair();
    size_t len = SLR_SEAM_FRAME_MAX_BYTES - 4;
    char *text = calloc(1, len);
    unsigned queued = 0;

    while (slr_seam_put_text(p.a, slr_slice_of(text, len), -1) == SLR_OK) {
        queued++;
        cr_assert_leq(queued, 64);
    }
    cr_assert_eq(queued, 64);
    cr_assert_eq(put_number(p.a, 1, -1), SLR_FULL);
    cr_assert_eq(slr_seam_queued_bytes(p.a), SLR_SEAM_QUEUE_MAX_BYTES);
    cr_assert_eq(slr_seam_flush(p.a), SLR_AGAIN, "nobody reads");
    cr_assert(slr_seam_wants_write(p.a));
    cr_assert_lt(slr_seam_queued_bytes(p.a), SLR_SEAM_QUEUE_MAX_BYTES);
    free(text);
    close_pair(p);
}

Test(seam, put_refuses_what_is_no_object)
{
    struct pair p = open_pair();
    json_t *list = json_array();

    cr_assert_eq(slr_seam_put(p.a, list, -1), SLR_INVAL);
    cr_assert_eq(slr_seam_put(p.a, NULL, -1), SLR_INVAL);
    cr_assert_eq(slr_seam_put_text(p.a, slr_slice_str(""), -1), SLR_INVAL);
    cr_assert_not(slr_seam_wants_write(p.a));
    json_decref(list);
    close_pair(p);
}

/* A pipe whose read end holds one known byte. */
static int marked_fd(char mark)
{
    int fd[2];
    cr_assert_eq(pipe2(fd, O_CLOEXEC), 0);
    cr_assert_eq(write(fd[1], &mark, 1), 1);
    close(fd[1]);
    return fd[0];
}

static void check_mark(int fd, char want)
{
    char mark = 0;
    cr_assert_geq(fd, 0);
    cr_assert_eq(read(fd, &mark, 1), 1);
    cr_assert_eq(mark, want);
    cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
}

Test(seam, a_descriptor_comes_with_its_frame)
{
    struct pair p = open_pair();
    int fd;

    for (int i = 0; i < 6; i++) {
        cr_assert_eq(put_number(p.a, i, i % 2 ? marked_fd((char)('a' + i)) : -1), SLR_OK);
    }
    cr_assert_eq(put_number(p.a, 6, marked_fd('g')), SLR_OK);
    cr_assert_eq(slr_seam_flush(p.a), SLR_OK);
    for (int i = 0; i < 7; i++) {
        cr_assert_eq(take_number(p.b, &fd), i);
        if (i % 2 || i == 6) {
            check_mark(fd, (char)('a' + i));
        } else {
            cr_assert_eq(fd, -1);
        }
    }
    close_pair(p);
}

Test(seam, a_descriptor_comes_with_a_frame_in_pieces)
{
    struct pair p = open_pair();
    size_t len = 600000;
    char *text = malloc(len);
    json_t *msg;
    int fd = -1, turns = 0;
    enum slr_err err;

    memset(text, 'x', len);
    memcpy(text, "{\"t\":\"", 6);
    memcpy(text + len - 2, "\"}", 2);
    cr_assert_eq(put_number(p.a, 1, -1), SLR_OK);
    cr_assert_eq(slr_seam_put_text(p.a, slr_slice_of(text, len), marked_fd('m')), SLR_OK);
    cr_assert_eq(put_number(p.a, 2, marked_fd('n')), SLR_OK);
    (void)!slr_seam_flush(p.a);
    cr_assert_eq(take_number(p.b, &fd), 1);
    cr_assert_eq(fd, -1);
    while ((err = slr_seam_take(p.b, &msg, &fd)) == SLR_AGAIN && turns++ < 10000) {
        (void)!slr_seam_flush(p.a);
    }
    cr_assert_eq(err, SLR_OK);
    json_decref(msg);
    check_mark(fd, 'm');
    cr_assert_eq(slr_seam_flush(p.a), SLR_OK);
    cr_assert_eq(take_number(p.b, &fd), 2);
    check_mark(fd, 'n');
    free(text);
    close_pair(p);
}

static int lowest_free_fd(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(fd);
    return fd;
}

Test(seam, descriptors_never_leak)
{
    int before = lowest_free_fd();
    struct pair p = open_pair();

    cr_assert_eq(put_number(p.a, 1, marked_fd('a')), SLR_OK);
    cr_assert_eq(put_number(p.a, 2, marked_fd('b')), SLR_OK);
    cr_assert_eq(slr_seam_flush(p.a), SLR_OK);
    cr_assert_eq(take_number(p.b, NULL), 1, "not wanted: closed");
    cr_assert_eq(put_number(p.a, 3, marked_fd('c')), SLR_OK);
    close_pair(p);
    cr_assert_eq(lowest_free_fd(), before);
}

/* Sends bytes with `count` descriptors to a connection, as a careless peer may. */
static void send_fds(int raw, const void *at, size_t len, size_t count)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(8 * sizeof(int))];
    } control = {0};
    struct iovec iov = {(void *)(uintptr_t)at, len};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(count * sizeof(int));
    for (size_t i = 0; i < count; i++) {
        int fd = STDERR_FILENO;
        memcpy(CMSG_DATA(c) + i * sizeof fd, &fd, sizeof fd);
    }
    cr_assert_eq(sendmsg(raw, &msg, 0), (ssize_t)len);
}

Test(seam, too_many_descriptors_are_an_error)
{
    for (size_t count = 2; count <= 8; count++) {
        int before = lowest_free_fd(), raw;
        struct slr_seam_conn *conn = open_half(&raw);
        json_t *msg;

        send_fds(raw, "\0\0\0\2{}", 6, count);
        cr_assert_eq(slr_seam_take(conn, &msg, NULL), SLR_FORMAT, "%zu", count);
        slr_seam_close(conn);
        close(raw);
        cr_assert_eq(lowest_free_fd(), before, "%zu", count);
    }
}

static enum slr_err take_raw(const void *at, size_t len)
{
    int raw;
    json_t *msg;
    struct slr_seam_conn *conn = open_half(&raw);

    cr_assert_eq(write(raw, at, len), (ssize_t)len);
    close(raw);
    enum slr_err err = slr_seam_take(conn, &msg, NULL);
    if (err == SLR_OK) {
        json_decref(msg);
    } else {
        cr_assert_eq(slr_seam_take(conn, &msg, NULL), err, "an end is final");
        cr_assert_eq(put_number(conn, 1, -1), SLR_CLOSED);
    }
    slr_seam_close(conn);
    return err;
}

Test(seam, bad_frames)
{
    cr_assert_eq(take_raw("\0\0\0\2{}", 6), SLR_OK);
    cr_assert_eq(take_raw("\0\0\0\0{}", 6), SLR_FORMAT);
    cr_assert_eq(take_raw("\0\x10\0\1{}", 6), SLR_FORMAT, "1 MiB and a byte");
    cr_assert_eq(take_raw("\xff\xff\xff\xff{}", 6), SLR_FORMAT);
    cr_assert_eq(take_raw("\0\0\0\2[]", 6), SLR_FORMAT);
    cr_assert_eq(take_raw("\0\0\0\3{}x", 7), SLR_FORMAT);
    cr_assert_eq(take_raw("\0\0\0\3{}", 6), SLR_CLOSED, "the peer leaves within a frame");
    cr_assert_eq(take_raw("\0\0", 2), SLR_CLOSED);
    cr_assert_eq(take_raw("", 0), SLR_CLOSED);
}

Test(seam, what_came_before_the_end_is_still_taken)
{
    struct pair p = open_pair();
    json_t *msg;

    cr_assert_eq(put_number(p.a, 5, -1), SLR_OK);
    cr_assert_eq(slr_seam_flush(p.a), SLR_OK);
    slr_seam_close(p.a);
    cr_assert_eq(take_number(p.b, NULL), 5);
    cr_assert_eq(slr_seam_take(p.b, &msg, NULL), SLR_CLOSED);
    slr_seam_close(p.b);
}

Test(seam, flush_to_a_gone_peer)
{
    struct pair p = open_pair();
    slr_seam_close(p.a);
    cr_assert_eq(put_number(p.b, 5, -1), SLR_OK);
    cr_assert_eq(slr_seam_flush(p.b), SLR_CLOSED, "and no SIGPIPE");
    slr_seam_close(p.b);
    slr_seam_close(NULL);
}

/* --- listening --- */

static char folder[64], path[96];

static void make_folder(void)
{
    snprintf(folder, sizeof folder, "/tmp/slr_test_seam_XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/control", folder);
}

static void remove_folder(void)
{
    unlink(path);
    rmdir(folder);
}

Test(seam, listen_connect_accept, .init = make_folder, .fini = remove_folder)
{
    struct slr_seam_conn *client, *server;
    struct stat st;
    int fd;

    umask(0);
    cr_assert_eq(slr_seam_connect(path, &client), SLR_NOTFOUND);
    cr_assert_eq(slr_seam_listen(path, &fd), SLR_OK);
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(st.st_mode & 07777, 0600, "%o", (unsigned)st.st_mode);
    cr_assert_eq(slr_seam_accept(fd, &server), SLR_AGAIN);
    cr_assert_eq(slr_seam_connect(path, &client), SLR_OK);
    cr_assert_eq(slr_seam_accept(fd, &server), SLR_OK);
    cr_assert_eq(put_number(client, 3, -1), SLR_OK);
    cr_assert_eq(slr_seam_flush(client), SLR_OK);
    cr_assert_eq(take_number(server, NULL), 3);
    slr_seam_close(client);
    slr_seam_close(server);
    close(fd);
}

/* Needs root, to become somebody else for one connect. */
Test(seam, another_user_is_refused, .init = make_folder, .fini = remove_folder)
{
    const uid_t nobody = 65534;
    struct slr_seam_conn *client, *server;
    json_t *msg;
    int fd;

    if (geteuid() != 0) {
        cr_skip_test("needs root");
    }
    cr_assert_eq(slr_seam_listen(path, &fd), SLR_OK);
    cr_assert_eq(chmod(folder, 0755), 0);
    cr_assert_eq(seteuid(nobody), 0);
    enum slr_err by_mode = slr_seam_connect(path, &client);
    cr_assert_eq(seteuid(0), 0);
    cr_assert_eq(by_mode, SLR_DENIED, "the path's mode keeps others out");

    cr_assert_eq(chmod(path, 0666), 0);
    cr_assert_eq(seteuid(nobody), 0);
    enum slr_err by_peer = slr_seam_connect(path, &client);
    cr_assert_eq(seteuid(0), 0);
    cr_assert_eq(by_peer, SLR_OK);
    cr_assert_eq(slr_seam_accept(fd, &server), SLR_DENIED, "and so does the check of the peer");
    cr_assert_eq(slr_seam_take(client, &msg, NULL), SLR_CLOSED);
    slr_seam_close(client);
    close(fd);
}

Test(seam, a_stale_socket_is_replaced_a_live_one_is_not, .init = make_folder, .fini = remove_folder)
{
    struct slr_seam_conn *client;
    int fd, second;

    cr_assert_eq(slr_seam_listen(path, &fd), SLR_OK);
    cr_assert_eq(slr_seam_listen(path, &second), SLR_BUSY);
    close(fd);
    cr_assert_eq(slr_seam_connect(path, &client), SLR_CLOSED);
    cr_assert_eq(slr_seam_listen(path, &fd), SLR_OK);
    cr_assert_eq(slr_seam_connect(path, &client), SLR_OK);
    slr_seam_close(client);
    close(fd);
}

Test(seam, a_file_is_never_removed, .init = make_folder, .fini = remove_folder)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    close(fd);
    cr_assert_eq(slr_seam_listen(path, &fd), SLR_EXISTS);
    cr_assert_eq(access(path, F_OK), 0);
}

Test(seam, path_limits)
{
    char longer[200];
    int fd;
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    cr_assert_eq(slr_seam_listen(longer, &fd), SLR_TOOLONG);
    cr_assert_eq(slr_seam_listen("", &fd), SLR_INVAL);
}

Test(seam, frame_reader_is_pure)
{
    struct slr_slice s = slr_slice_of("\0\0\0\1a\0\0\0\2bc\0", 12), body;

    cr_assert_eq(slr_seam_frame(&s, &body), SLR_OK);
    cr_assert(slr_slice_eq(body, "a"));
    cr_assert_eq(slr_seam_frame(&s, &body), SLR_OK);
    cr_assert(slr_slice_eq(body, "bc"));
    cr_assert_eq(slr_seam_frame(&s, &body), SLR_AGAIN);
    cr_assert_eq(s.len_bytes, 1);
}
