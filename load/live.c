/*
 * live: see the header. State: struct slr_live.
 */
#include "load/live.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/bpf.h"

#define BATCH 64u /* frames between two looks at the receive work; a veth's ring holds 256 */

/* The map's only value: this, then the rows. */
struct head {
    _Atomic uint32_t next; /* the program's: runs so far */
    uint32_t base_bytes;   /* length of the frame that a run is given */
    uint8_t pad[56];
};

struct row {
    uint32_t len_bytes;
    uint8_t pad[4];
    uint8_t frame[];
};

static struct head *head_of(const struct slr_live *l)
{
    return (struct head *)(void *)l->map;
}

static struct row *row_of(const struct slr_live *l, uint32_t number)
{
    size_t at = (size_t)(number % SLR_LIVE_FRAMES) * l->stride_bytes;
    return (struct row *)(void *)(l->map + sizeof(struct head) + at);
}

/* Register 6: the context, 7: the row, 8: its number, 9: its length. */
static void assemble(const struct slr_live *l, struct slr_bpf_code *c)
{
    slr_bpf_move(c, BPF_REG_6, BPF_REG_1);
    slr_bpf_value(c, BPF_REG_7, l->map_fd, 0);
    slr_bpf_read(c, BPF_W, BPF_REG_8, BPF_REG_7, offsetof(struct head, next));
    slr_bpf_read(c, BPF_W, BPF_REG_3, BPF_REG_7, offsetof(struct head, base_bytes));
    slr_bpf_move(c, BPF_REG_1, BPF_REG_8);
    slr_bpf_emit(c, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_1, 0, 1);
    slr_bpf_write(c, BPF_W, BPF_REG_7, offsetof(struct head, next), BPF_REG_1);
    slr_bpf_emit(c, BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_8, 0, SLR_LIVE_FRAMES - 1);
    slr_bpf_emit(c, BPF_ALU64 | BPF_MUL | BPF_K, BPF_REG_8, 0, (int32_t)l->stride_bytes);
    slr_bpf_emit(c, BPF_ALU64 | BPF_ADD | BPF_X, BPF_REG_7, BPF_REG_8, 0);
    slr_bpf_emit(c, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_7, 0, sizeof(struct head));
    slr_bpf_read(c, BPF_W, BPF_REG_9, BPF_REG_7, offsetof(struct row, len_bytes));
    slr_bpf_leave(c, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_9, 0);
    slr_bpf_leave(c, BPF_JMP | BPF_JGT | BPF_K, BPF_REG_9,
                  (int32_t)(l->stride_bytes - sizeof(struct row)));
    slr_bpf_move(c, BPF_REG_2, BPF_REG_9);
    slr_bpf_emit(c, BPF_ALU64 | BPF_SUB | BPF_X, BPF_REG_2, BPF_REG_3, 0);
    uint32_t as_long = slr_bpf_jump(c, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_2, 0);
    slr_bpf_move(c, BPF_REG_1, BPF_REG_6);
    slr_bpf_call(c, BPF_FUNC_xdp_adjust_tail);
    slr_bpf_leave(c, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0);
    slr_bpf_land(c, as_long);
    slr_bpf_move(c, BPF_REG_1, BPF_REG_6);
    slr_bpf_set(c, BPF_REG_2, 0);
    slr_bpf_move(c, BPF_REG_3, BPF_REG_7);
    slr_bpf_emit(c, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_3, 0, offsetof(struct row, frame));
    slr_bpf_move(c, BPF_REG_4, BPF_REG_9);
    slr_bpf_call(c, BPF_FUNC_xdp_store_bytes);
    slr_bpf_leave(c, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0);
    slr_bpf_set(c, BPF_REG_0, l->way == SLR_LIVE_OUT ? XDP_TX : XDP_PASS);
    slr_bpf_emit(c, BPF_JMP | BPF_EXIT, 0, 0, 0);
    slr_bpf_land_leaves(c);
    slr_bpf_set(c, BPF_REG_0, XDP_DROP);
    slr_bpf_emit(c, BPF_JMP | BPF_EXIT, 0, 0, 0);
}

/* A program that no device has is patched into the kernel and out again at each run, which takes
 * some 20 ms. So a tap device has it, which stays down and ends with its descriptor. */
static enum slr_err keep_attached(struct slr_live *l)
{
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    memcpy(r.ifr_name, "slr-live%d", sizeof "slr-live%d");
    l->tap_fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (l->tap_fd < 0 || ioctl(l->tap_fd, TUNSETIFF, &r) != 0) {
        return slr_err_from_errno(errno);
    }
    attr.link_create.prog_fd = (uint32_t)l->program_fd;
    attr.link_create.target_ifindex = if_nametoindex(r.ifr_name);
    attr.link_create.attach_type = BPF_XDP;
    l->link_fd = slr_bpf(BPF_LINK_CREATE, &attr);
    return l->link_fd < 0 ? slr_err_from_errno(errno) : SLR_OK;
}

/* NULL, or what failed (errno says why). */
static const char *set_up(struct slr_live *l)
{
    struct slr_bpf_code code = {.count = 0};
    l->map_fd = slr_bpf_map_open(BPF_MAP_TYPE_ARRAY, (uint32_t)l->map_bytes, 1, BPF_F_MMAPABLE);
    if (l->map_fd < 0) {
        return "map";
    }
    void *at =
        mmap(NULL, l->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, l->map_fd, 0);
    if (at == MAP_FAILED) {
        return "mmap";
    }
    l->map = at;
    assemble(l, &code);
    l->program_fd = slr_bpf_load(&code, BPF_PROG_TYPE_XDP, 0, "slr_live");
    if (l->program_fd < 0) {
        return "program";
    }
    return keep_attached(l) == SLR_OK ? NULL : "tap device";
}

static uint64_t read_dropped(const struct slr_live *l)
{
    char line[512];
    uint64_t dropped = 0;
    size_t n = strlen(l->device);
    FILE *f = fopen("/proc/net/dev", "re");
    while (f && fgets(line, sizeof line, f)) {
        const char *at = line + strspn(line, " ");
        if (strncmp(at, l->device, n) == 0 && at[n] == ':') {
            /* 8 numbers of what was received; bytes, packets, errors, drops of what was sent */
            (void)sscanf(at + n + 1, "%*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %" SCNu64,
                         &dropped);
        }
    }
    if (f) {
        fclose(f);
    }
    return dropped;
}

enum slr_err slr_live_open(struct slr_live *l, const char *device, enum slr_live_way way,
                           size_t frame_bytes, int ifindex)
{
    *l = (struct slr_live){.map_fd = -1, .program_fd = -1, .tap_fd = -1, .link_fd = -1};
    assert(frame_bytes >= 14 && frame_bytes <= 3000);
    l->way = way;
    l->ifindex = ifindex;
    l->stride_bytes = (uint32_t)(sizeof(struct row) + frame_bytes + 63u) & ~63u;
    l->map_bytes = sizeof(struct head) + (size_t)SLR_LIVE_FRAMES * l->stride_bytes;
    if (snprintf(l->device, sizeof l->device, "%s", device) >= (int)sizeof l->device) {
        return SLR_NOTFOUND;
    }
    const char *failed = set_up(l);
    if (failed) {
        fprintf(stderr, "slr-load: live frames: %s: %s\n", failed, strerror(errno));
        return SLR_UNSUPPORTED;
    }
    l->dropped_before = read_dropped(l);
    return SLR_OK;
}

static void close_one(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

void slr_live_close(struct slr_live *l)
{
    if (l->map) {
        munmap(l->map, l->map_bytes);
        l->map = NULL;
    }
    close_one(l->link_fd);
    close_one(l->tap_fd);
    close_one(l->program_fd);
    close_one(l->map_fd);
    l->link_fd = l->tap_fd = l->program_fd = l->map_fd = -1;
}

uint8_t *slr_live_at(const struct slr_live *l, uint32_t n)
{
    return row_of(l, l->first + n)->frame;
}

void slr_live_put(struct slr_live *l, uint32_t n, size_t len_bytes)
{
    row_of(l, l->first + n)->len_bytes = (uint32_t)len_bytes;
}

uint32_t slr_live_send(struct slr_live *l, uint32_t count)
{
    struct head *h = head_of(l);
    uint32_t end = l->first + count;
    uint32_t left = count;
    while (left > 0) {
        const struct row *row = row_of(l, end - left);
        struct xdp_md ctx = {.data_end = row->len_bytes, .ingress_ifindex = (uint32_t)l->ifindex};
        union bpf_attr attr;
        memset(&attr, 0, sizeof attr);
        h->base_bytes = row->len_bytes;
        attr.test.prog_fd = (uint32_t)l->program_fd;
        attr.test.data_in = (uintptr_t)row->frame;
        attr.test.data_size_in = row->len_bytes;
        attr.test.ctx_in = (uintptr_t)&ctx;
        attr.test.ctx_size_in = sizeof ctx;
        attr.test.repeat = left;
        attr.test.batch_size = BATCH;
        attr.test.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
        bool done = slr_bpf(BPF_PROG_TEST_RUN, &attr) == 0;
        left = end - atomic_load_explicit(&h->next, memory_order_relaxed);
        if (!done && errno != EINTR) {
            break;
        }
    }
    l->first = end;
    atomic_store_explicit(&h->next, end, memory_order_relaxed);
    return left;
}

uint64_t slr_live_dropped(const struct slr_live *l)
{
    return read_dropped(l) - l->dropped_before;
}
