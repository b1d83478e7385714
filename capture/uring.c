/*
 * uring: live backend with io_uring: one multishot recvmsg a socket, buffers from a provided ring.
 *
 * Sockets are direct descriptors: they lie in a table of the ring (of RLIMIT_NOFILE entries at
 * most) and not among the process's open files, so each worker has as many of them again. What
 * does not fit into the table keeps its file descriptor.
 * Completions are moved from the kernel's queue into a stash of our own and handed out from there,
 * so that remove can look for the end of one request without losing the others' packets. A batch is
 * what has gathered in batch_us, during which the thread sleeps outside of the ring; with
 * DEFER_TASKRUN nothing runs on its core meanwhile, and a call to wake takes effect at once. (A
 * wait in the ring for many completions, min_wait or not, would hold it up until the batch's end.)
 * Then many completions are asked for in one call, since the kernel runs deferred work in small
 * portions otherwise; and no more than a share of the buffers, so that they do not run out. Of the
 * buffers only so many are in use as batches need, since a core's cache holds few. The ring belongs
 * to the thread that makes the first call after open. Of a direct socket, drops that no later
 * packet tells are known since Linux 6.7; before 6.4 its port is free up to a second after remove.
 * State: struct uring, owned by one worker thread (wake: any thread). Allocates at open and add;
 * kernel and buffer memory follow from max_sockets.
 */
#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "capture/backend.h"
#include "capture/live.h"
#include "common/log.h"

#define SUBMIT_ENTRIES 256u
#define BUFFERS_MIN 256u
#define BUFFERS_MAX 8192u
#define SOCKETS_A_BUFFER 2u /* a batch is a fraction of the streams, and half are RTCP */
#define BATCH_SHARE 2u      /* of the buffers in use: more is not asked for at once */
#define COMPLETIONS_MAX 65536u
#define NO_FILE UINT32_MAX
#define SOCKET_GETSOCKOPT 2u /* newer than the liburing of Debian 12 */
#define BUFFER_GROUP 0
/* Room for sockaddr_in6, rounded up so that the control messages after it are aligned. */
#define NAME_BYTES 32u
#define BUFFER_HEAD_BYTES                                                                          \
    ((uint32_t)sizeof(struct io_uring_recvmsg_out) + NAME_BYTES + SLR_LIVE_CONTROL_BYTES)
#define BUFFER_BYTES (BUFFER_HEAD_BYTES + SLR_LIVE_PAYLOAD_BYTES)
/* A cancelled request ends at once; this is for a kernel that broke its word. */
#define CANCEL_WAIT_NS (10 * SLR_NS_PER_MS)
#define CANCEL_TRIES 200

enum kind { KIND_RECV = 1, KIND_WAKE = 2, KIND_CANCEL = 3, KIND_DROPS = 4 };

struct completion {
    uint64_t key;
    int32_t result;
    uint32_t flags;
};

/* What the ring knows of a slot. */
struct request {
    uint32_t file; /* in the ring's table, NO_FILE: the socket has a descriptor */
    bool armed;    /* the kernel has a request, or its last completion was not reaped */
    bool unarmed;  /* a request is due but did not fit into the submission queue */
    bool closing;  /* being removed: its completions are thrown away */
};

struct uring {
    struct slr_capture base;
    struct slr_live live;
    struct io_uring ring;
    bool ring_made, enabled, wake_armed, woken;
    bool broken; /* the kernel refused to wait: no call can succeed any more */
    bool more;   /* the last batch was cut off: more may wait in the kernel */
    int64_t batch_at_ns;
    struct request *request; /* by slot */
    uint32_t unarmed_count;
    uint32_t *file_free; /* stack of free places in the ring's table */
    uint32_t file_free_count;
    bool asking; /* for a socket's drops */
    uint32_t told[SK_MEMINFO_VARS];
    struct msghdr message; /* lengths for multishot recvmsg; the kernel reads it at submission */
    struct io_uring_buf_ring *buffers;
    uint8_t *bytes; /* BUFFER_BYTES for each buffer */
    uint32_t buffer_count;
    uint32_t stocked; /* those the kernel was given; they come back and are given again */
    uint16_t lent[SLR_CAPTURE_BURST]; /* buffers of the burst handed out last */
    uint32_t lent_count;
    struct completion *stash;
    uint32_t stash_mask, stash_head, stash_tail;
};

static struct uring *uring_of(struct slr_capture *c)
{
    return (struct uring *)(void *)((char *)c - offsetof(struct uring, base));
}

static uint64_t key_of(const struct uring *u, enum kind kind, uint32_t slot)
{
    uint64_t generation = kind == KIND_RECV ? u->live.slot[slot].generation : 0;
    return (uint64_t)kind << 56 | generation << 24 | slot;
}

static enum kind kind_of(uint64_t key)
{
    return (enum kind)(key >> 56);
}

static uint32_t slot_of(uint64_t key)
{
    return (uint32_t)(key & 0xffffff);
}

static uint32_t power_of_two(uint32_t n)
{
    uint32_t p = 1;
    while (p < n) {
        p *= 2;
    }
    return p;
}

static size_t buffer_ring_bytes(const struct uring *u)
{
    return u->buffer_count * sizeof(struct io_uring_buf);
}

static size_t buffer_bytes(const struct uring *u)
{
    return (size_t)u->buffer_count * BUFFER_BYTES;
}

static void put_back(struct uring *u, const uint16_t *id, uint32_t count)
{
    int mask = io_uring_buf_ring_mask(u->buffer_count);
    for (uint32_t i = 0; i < count; i++) {
        io_uring_buf_ring_add(u->buffers, u->bytes + (size_t)id[i] * BUFFER_BYTES, BUFFER_BYTES,
                              id[i], mask, (int)i);
    }
    io_uring_buf_ring_advance(u->buffers, (int)count);
}

/* More of them than before are in use from now on. */
static void stock(struct uring *u, uint32_t count)
{
    for (; u->stocked < count && u->stocked < u->buffer_count; u->stocked++) {
        const uint16_t id = (uint16_t)u->stocked;
        put_back(u, &id, 1);
    }
}

/* A completion that is not handed out gives its buffer back. */
static void discard(struct uring *u, const struct completion *c)
{
    if (c->flags & IORING_CQE_F_BUFFER) {
        uint16_t id = (uint16_t)(c->flags >> IORING_CQE_BUFFER_SHIFT);
        put_back(u, &id, 1);
    }
}

/* ---- requests ---- */

static struct io_uring_sqe *get_entry(struct uring *u)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&u->ring);
    if (!entry) {
        io_uring_submit(&u->ring);
        entry = io_uring_get_sqe(&u->ring);
    }
    return entry;
}

static void arm(struct uring *u, uint32_t slot)
{
    struct request *r = &u->request[slot];
    struct io_uring_sqe *entry = get_entry(u);
    if (!entry) {
        u->unarmed_count += !r->unarmed;
        r->unarmed = true;
        return;
    }
    bool direct = r->file != NO_FILE;
    io_uring_prep_recvmsg_multishot(entry, direct ? (int)r->file : u->live.slot[slot].fd,
                                    &u->message, 0);
    entry->flags |= IOSQE_BUFFER_SELECT | (direct ? IOSQE_FIXED_FILE : 0);
    entry->buf_group = BUFFER_GROUP;
    io_uring_sqe_set_data64(entry, key_of(u, KIND_RECV, slot));
    u->unarmed_count -= r->unarmed;
    r->unarmed = false;
    r->armed = true;
}

static void arm_wake(struct uring *u)
{
    struct io_uring_sqe *entry = u->wake_armed ? NULL : get_entry(u);
    if (entry) {
        io_uring_prep_poll_add(entry, u->live.wake_fd, POLLIN);
        io_uring_sqe_set_data64(entry, key_of(u, KIND_WAKE, 0));
        u->wake_armed = true;
    }
}

/* What did not fit into the submission queue before. */
static void arm_missing(struct uring *u)
{
    arm_wake(u);
    for (uint32_t i = 0; u->unarmed_count > 0 && i < u->live.size; i++) {
        if (u->request[i].unarmed) {
            arm(u, i);
        }
    }
}

/* ---- completions ---- */

static uint32_t stash_count(const struct uring *u)
{
    return u->stash_tail - u->stash_head;
}

static void take_completion(struct uring *u, const struct completion *c)
{
    if (kind_of(c->key) == KIND_WAKE) {
        u->wake_armed = false;
        u->woken = slr_live_take_wake(&u->live) || u->woken;
        return;
    }
    if (kind_of(c->key) == KIND_DROPS) {
        u->asking = false;
    }
    if (kind_of(c->key) != KIND_RECV) {
        return;
    }
    struct request *r = &u->request[slot_of(c->key)];
    bool current = c->key == key_of(u, KIND_RECV, slot_of(c->key));
    if (current && !(c->flags & IORING_CQE_F_MORE)) {
        r->armed = false;
    }
    if (!current || r->closing) {
        discard(u, c);
        return;
    }
    assert(stash_count(u) <= u->stash_mask);
    u->stash[u->stash_tail++ & u->stash_mask] = *c;
}

/* Empties the kernel's completion queue; how many there were. */
static uint32_t reap(struct uring *u)
{
    struct io_uring_cqe *cqe;
    unsigned head, count = 0;
    io_uring_for_each_cqe(&u->ring, head, cqe)
    {
        const struct completion c = {cqe->user_data, cqe->res, cqe->flags};
        take_completion(u, &c);
        count++;
    }
    io_uring_cq_advance(&u->ring, count);
    return count;
}

/* Time that is up, interruptions and a full queue are no errors: what matters is in it. */
static uint32_t entered(struct uring *u, int result)
{
    if (result < 0 && result != -ETIME && result != -EINTR && result != -EAGAIN &&
        result != -EBUSY) {
        SLR_ERROR("capture_wait_failed", "backend=uring text=%s", SLR_Q(strerror(-result)));
        u->broken = true;
    }
    return reap(u);
}

/* Submits, waits until `want` completions are there or the time is up, and takes them. */
static uint32_t wait_for(struct uring *u, uint32_t want, int64_t ns)
{
    struct __kernel_timespec ts = {.tv_sec = ns / SLR_NS_PER_S, .tv_nsec = ns % SLR_NS_PER_S};
    struct io_uring_cqe *cqe;
    return entered(u, io_uring_submit_and_wait_timeout(&u->ring, &cqe, want, &ts, NULL));
}

static uint32_t batch_max(const struct uring *u)
{
    return u->stocked / BATCH_SHARE;
}

/* Takes what is there. In small portions, since asking for more than there is would put the thread
 * to sleep, if only for a moment: on a busy machine that is long. */
static void sweep(struct uring *u)
{
    u->more = true;
    while (u->more && stash_count(u) < batch_max(u)) {
        u->more = entered(u, io_uring_submit_and_get_events(&u->ring)) > 0;
    }
}

/* Takes what is there, where that is likely to be much. */
static void take_batch(struct uring *u)
{
    u->more = wait_for(u, batch_max(u), 0) >= batch_max(u);
}

/* Fills the empty stash with the next batch. */
static void gather(struct uring *u, uint32_t timeout_us)
{
    if (timeout_us == 0) {
        sweep(u);
        return;
    }
    if (u->more) {
        take_batch(u);
        if (stash_count(u) > 0) {
            return;
        }
    }
    int64_t now_ns = slr_clock_mono(u->live.clock).ns;
    int64_t end_ns = now_ns + (int64_t)timeout_us * 1000;
    int64_t batch_end_ns = u->batch_at_ns + u->live.batch_ns;
    if (batch_end_ns > now_ns) {
        u->woken =
            slr_live_sleep(&u->live, (batch_end_ns < end_ns ? batch_end_ns : end_ns) - now_ns, NULL,
                           0) ||
            u->woken;
        take_batch(u);
        now_ns = slr_clock_mono(u->live.clock).ns;
        if (u->more && now_ns < batch_end_ns + u->live.batch_ns) {
            stock(u, u->stocked * 2); /* a batch should fit in */
        }
    }
    /* Anything that completes ends this wait, also what is no packet: hence the loop. */
    while (stash_count(u) == 0 && !u->woken && !u->broken && now_ns < end_ns) {
        arm_wake(u);
        if (wait_for(u, 1, end_ns - now_ns) > 0) {
            sweep(u); /* with others behind it */
        }
        now_ns = slr_clock_mono(u->live.clock).ns;
    }
    u->batch_at_ns = now_ns;
}

/* ---- packets ---- */

/* Errors after which the same request would only fail again. */
static bool is_final(int32_t result)
{
    return result == -EBADF || result == -EINVAL || result == -ENOTSOCK || result == -EOPNOTSUPP;
}

/* The request ended (no more buffers, an empty datagram, a full queue, an error): a new one. */
static void renew(struct uring *u, uint32_t slot, int32_t result)
{
    if (result == -ENOBUFS) {
        slr_count_own(&u->live.no_buffers, 1);
        stock(u, u->stocked * 2);
    } else if (result < 0) {
        slr_count_own(&u->live.recv_errors, 1);
    }
    if (is_final(result)) {
        SLR_ERROR("capture_receive_failed", "backend=uring tag=%u text=%s", slot,
                  SLR_Q(strerror(-result)));
    } else {
        arm(u, slot);
    }
}

/* False: the completion holds no datagram. */
static bool parse(struct uring *u, const struct completion *c, struct slr_packet *p)
{
    uint32_t slot = slot_of(c->key);
    uint16_t id = (uint16_t)(c->flags >> IORING_CQE_BUFFER_SHIFT);
    if (!(c->flags & IORING_CQE_F_BUFFER)) {
        return false;
    }
    uint8_t *at = u->bytes + (size_t)id * BUFFER_BYTES;
    if (c->result < (int32_t)BUFFER_HEAD_BYTES || c->result > (int32_t)BUFFER_BYTES) {
        discard(u, c);
        return false;
    }
    struct io_uring_recvmsg_out head;
    memcpy(&head, at, sizeof head);
    uint8_t *control = at + sizeof head + NAME_BYTES;
    const struct msghdr msg = {
        .msg_name = at + sizeof head,
        .msg_namelen = head.namelen < NAME_BYTES ? head.namelen : NAME_BYTES,
        .msg_control = control,
        .msg_controllen =
            head.controllen < SLR_LIVE_CONTROL_BYTES ? head.controllen : SLR_LIVE_CONTROL_BYTES,
        .msg_flags = (int)head.flags,
    };
    struct slr_live_news news = slr_live_read(&msg);
    slr_live_fill(&u->live, slot, &msg, &news, control + SLR_LIVE_CONTROL_BYTES,
                  (uint32_t)c->result - BUFFER_HEAD_BYTES, p);
    p->kernel_drops = slr_live_news_drops(&u->live, &news, &u->live.slot[slot].drops_seen);
    u->lent[u->lent_count++] = id;
    return true;
}

static void enable(struct uring *u)
{
    if (!u->enabled) {
        /* Debian's liburing 2.3 declares io_uring_enable_rings but does not export it. */
        if (syscall(__NR_io_uring_register, u->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL,
                    0) < 0) {
            SLR_ERROR("capture_enable_failed", "backend=uring text=%s", SLR_Q(strerror(errno)));
            u->broken = true;
        }
        u->enabled = true;
        arm_wake(u);
    }
}

static enum slr_err uring_next(struct slr_capture *c, uint32_t timeout_us, struct slr_packet *burst,
                               uint32_t *count)
{
    struct uring *u = uring_of(c);
    *count = 0;
    enable(u);
    put_back(u, u->lent, u->lent_count);
    u->lent_count = 0;
    arm_missing(u);
    if (stash_count(u) == 0) {
        gather(u, timeout_us);
        u->woken = false;
    } else if (io_uring_sq_ready(&u->ring) > 0) {
        io_uring_submit(&u->ring);
    }
    if (stash_count(u) == 0) {
        return u->broken ? SLR_IO : SLR_OK;
    }
    slr_live_stamp(&u->live);
    while (*count < SLR_CAPTURE_BURST && stash_count(u) > 0) {
        const struct completion done = u->stash[u->stash_head++ & u->stash_mask];
        if (parse(u, &done, &burst[*count])) {
            (*count)++;
        }
        if (!(done.flags & IORING_CQE_F_MORE)) {
            renew(u, slot_of(done.key), done.result);
        }
    }
    return SLR_OK;
}

/* ---- sockets ---- */

/* Moves a socket into the ring's table; NO_FILE: it stays a descriptor. */
static uint32_t take_file(struct uring *u, int fd)
{
    if (u->file_free_count == 0) {
        return NO_FILE;
    }
    uint32_t file = u->file_free[u->file_free_count - 1];
    int result = io_uring_register_files_update(&u->ring, file, &fd, 1);
    if (result != 1) {
        SLR_WARN("capture_direct_failed", "backend=uring text=%s", SLR_Q(strerror(-result)));
        u->file_free_count = 0; /* it won't work the next time either */
        return NO_FILE;
    }
    u->file_free_count--;
    close(fd);
    return file;
}

static void release_file(struct uring *u, uint32_t file)
{
    const int none = -1;
    int result = io_uring_register_files_update(&u->ring, file, &none, 1);
    if (result != 1) {
        SLR_ERROR("capture_release_failed", "backend=uring text=%s", SLR_Q(strerror(-result)));
        return;
    }
    u->file_free[u->file_free_count++] = file;
}

static enum slr_err uring_add(struct slr_capture *c, int fd, uint32_t tag)
{
    struct uring *u = uring_of(c);
    enable(u);
    enum slr_err err = slr_live_add(&u->live, fd, tag);
    if (err != SLR_OK) {
        return err;
    }
    uint32_t file = take_file(u, fd);
    u->live.slot[tag].fd = file == NO_FILE ? fd : -1;
    u->request[tag] = (struct request){.file = file};
    arm(u, tag);
    return SLR_OK;
}

/* Throws away what the stash holds of one slot; the rest keeps its order. */
static void purge(struct uring *u, uint32_t slot)
{
    uint32_t to = u->stash_head;
    for (uint32_t from = u->stash_head; from != u->stash_tail; from++) {
        const struct completion *c = &u->stash[from & u->stash_mask];
        if (slot_of(c->key) == slot) {
            discard(u, c);
        } else {
            u->stash[to++ & u->stash_mask] = *c;
        }
    }
    u->stash_tail = to;
}

/* Asks the kernel for the drops of a socket that has no descriptor. */
static void ask_drops(struct uring *u, uint32_t slot)
{
    struct io_uring_sqe *entry = get_entry(u);
    memset(u->told, 0, sizeof u->told);
    if (!entry) {
        return;
    }
    io_uring_prep_rw(IORING_OP_URING_CMD, entry, (int)u->request[slot].file, NULL, 0, 0);
    entry->flags |= IOSQE_FIXED_FILE;
    entry->cmd_op = SOCKET_GETSOCKOPT;
    entry->addr = (uint64_t)SO_MEMINFO << 32 | SOL_SOCKET; /* level and name */
    entry->file_index = sizeof u->told;                    /* length */
    entry->addr3 = (uintptr_t)u->told;                     /* value */
    io_uring_sqe_set_data64(entry, key_of(u, KIND_DROPS, slot));
    u->asking = true;
}

/* Ends the request and waits until the kernel has let go of the socket: only then is the port free
 * when the socket is closed. */
static void cancel(struct uring *u, uint32_t slot)
{
    struct io_uring_sqe *entry = u->request[slot].armed ? get_entry(u) : NULL;
    if (entry) {
        io_uring_prep_cancel64(entry, key_of(u, KIND_RECV, slot), 0);
        io_uring_sqe_set_data64(entry, key_of(u, KIND_CANCEL, slot));
    }
    for (int i = 0; i < CANCEL_TRIES && (u->request[slot].armed || u->asking) && !u->broken; i++) {
        wait_for(u, 1, CANCEL_WAIT_NS);
    }
    if (u->request[slot].armed) {
        SLR_ERROR("capture_cancel_failed", "backend=uring tag=%u", slot);
    }
    u->asking = false;
}

static void uring_remove(struct slr_capture *c, uint32_t tag)
{
    struct uring *u = uring_of(c);
    if (!slr_live_has(&u->live, tag)) {
        return;
    }
    struct request *r = &u->request[tag];
    r->closing = true;
    if (r->file != NO_FILE) {
        ask_drops(u, tag);
    }
    cancel(u, tag);
    purge(u, tag);
    u->unarmed_count -= r->unarmed;
    if (r->file != NO_FILE) {
        slr_live_count_drops(&u->live, tag, u->told[SK_MEMINFO_DROPS]);
        release_file(u, r->file);
    }
    slr_live_remove(&u->live, tag);
}

/* ---- open and close ---- */

static void uring_close(struct slr_capture *c)
{
    struct uring *u = uring_of(c);
    for (uint32_t i = 0; u->enabled && i < u->live.size; i++) {
        uring_remove(c, i);
    }
    if (u->ring_made) {
        io_uring_unregister_buf_ring(&u->ring, BUFFER_GROUP);
        io_uring_queue_exit(&u->ring);
    }
    if (u->buffers) {
        munmap(u->buffers, buffer_ring_bytes(u));
    }
    if (u->bytes) {
        munmap(u->bytes, buffer_bytes(u));
    }
    slr_live_fini(&u->live);
    free(u->file_free);
    free(u->stash);
    free(u->request);
    free(u);
}

/* What a machine says that has no (or no new enough) io_uring, or forbids it. */
static enum slr_err open_error(int result, const char *what)
{
    enum slr_err err = slr_err_from_errno(-result);
    if (result == -EPERM || result == -EACCES || result == -ENOSYS || result == -EINVAL) {
        err = SLR_UNSUPPORTED;
    }
    SLR_WARN("capture_open_failed", "backend=uring what=%s text=%s", what,
             SLR_Q(strerror(-result)));
    return err;
}

/* Before Linux 5.19, or without memory for it, there is no table: then sockets are descriptors. */
static void make_files(struct uring *u)
{
    struct rlimit limit;
    uint32_t count = u->live.size;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return;
    }
    count = limit.rlim_cur < count ? (uint32_t)limit.rlim_cur : count;
    u->file_free = calloc(count, sizeof *u->file_free);
    int result = u->file_free ? io_uring_register_files_sparse(&u->ring, count) : -ENOMEM;
    if (result < 0) {
        SLR_WARN("capture_direct_failed", "backend=uring text=%s", SLR_Q(strerror(-result)));
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        u->file_free[i] = count - 1 - i;
    }
    u->file_free_count = count;
}

/*
 * DEFER_TASKRUN came with Linux 6.1, multishot recvmsg with 6.0, so the flags are the probe for all
 * that is needed. R_DISABLED: the ring belongs to the thread that enables it, not to this one.
 */
static enum slr_err make_ring(struct uring *u)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
        .cq_entries = power_of_two(u->buffer_count + u->live.size + 2)};
    if (params.cq_entries > COMPLETIONS_MAX) {
        params.cq_entries = COMPLETIONS_MAX;
    }
    int result = io_uring_queue_init_params(SUBMIT_ENTRIES, &u->ring, &params);
    if (result < 0) {
        return open_error(result, "setup");
    }
    u->ring_made = true;
    struct io_uring_buf_reg reg = {
        .ring_addr = (uintptr_t)u->buffers, .ring_entries = u->buffer_count, .bgid = BUFFER_GROUP};
    result = io_uring_register_buf_ring(&u->ring, &reg, 0);
    if (result < 0) {
        return open_error(result, "buffers");
    }
    make_files(u);
    return SLR_OK;
}

static void *map_bytes(size_t len_bytes)
{
    void *at = mmap(NULL, len_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

static enum slr_err allocate(struct uring *u)
{
    uint32_t wanted = power_of_two(u->live.size / SOCKETS_A_BUFFER);
    wanted = wanted < BUFFERS_MIN ? BUFFERS_MIN : wanted;
    u->buffer_count = wanted > BUFFERS_MAX ? BUFFERS_MAX : wanted;
    /* Every stashed completion holds a buffer or is the last one of a slot's request. */
    uint32_t stash_size = power_of_two(u->buffer_count + u->live.size);
    u->stash_mask = stash_size - 1;
    u->stash = calloc(stash_size, sizeof *u->stash);
    u->request = calloc(u->live.size, sizeof *u->request);
    u->buffers = map_bytes(buffer_ring_bytes(u));
    u->bytes = map_bytes(buffer_bytes(u));
    return u->stash && u->request && u->buffers && u->bytes ? SLR_OK : SLR_NOMEM;
}

static enum slr_err uring_open(const struct slr_capture_config *cfg, struct slr_capture **out)
{
    *out = NULL;
    struct uring *u = calloc(1, sizeof *u);
    if (!u) {
        return SLR_NOMEM;
    }
    u->base.ops = &slr_uring_ops;
    u->message.msg_namelen = NAME_BYTES;
    u->message.msg_controllen = SLR_LIVE_CONTROL_BYTES;
    enum slr_err err = slr_live_init(&u->live, cfg);
    if (err != SLR_OK) {
        free(u);
        return err;
    }
    err = allocate(u);
    if (err == SLR_OK) {
        err = make_ring(u);
    }
    if (err != SLR_OK) {
        uring_close(&u->base);
        return err;
    }
    io_uring_buf_ring_init(u->buffers);
    stock(u, BUFFERS_MIN);
    *out = &u->base;
    return SLR_OK;
}

static bool uring_behind(const struct slr_capture *c)
{
    const struct uring *u =
        (const struct uring *)(const void *)((const char *)c - offsetof(struct uring, base));
    return u->more || stash_count(u) > 0;
}

static void uring_wake(struct slr_capture *c)
{
    slr_live_wake(&uring_of(c)->live);
}

static void uring_stats(const struct slr_capture *c, struct slr_capture_stats *out)
{
    const struct uring *u =
        (const struct uring *)(const void *)((const char *)c - offsetof(struct uring, base));
    slr_live_stats(&u->live, out);
}

const struct slr_capture_ops slr_uring_ops = {
    .name = "uring",
    .passive = false,
    .open = uring_open,
    .add = uring_add,
    .remove = uring_remove,
    .next = uring_next,
    .behind = uring_behind,
    .wake = uring_wake,
    .stats = uring_stats,
    .close = uring_close,
};
