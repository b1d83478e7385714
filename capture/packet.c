/*
 * packet: passive backend over a live link: a TPACKET_V3 ring of one interface (a SPAN port).
 *
 * The kernel puts whole frames into blocks of memory shared with it and gives a block away when it
 * is full or a few milliseconds old. Frames go through capture/frame.h as those of a file do; what
 * lies in the block of a burst is handed out where it lies, what reassembly made is copied. A block
 * goes back with the call after its last frame.
 * State: struct packet, owned by one worker thread (wake: any thread). Allocates at open only.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture/backend.h"
#include "capture/frame.h"
#include "capture/packet_spec.h"
#include "common/log.h"
#include "common/metrics.h"

/* Room for a frame that the card joined from many. A block with one frame is given away as one that
 * is full: a ring of many lasts longer while nobody reads. */
#define BLOCK_BYTES (1u << 17)
#define BLOCKS_PER_MB 8u
#define RETIRE_MS 10u
#define PACKET_BYTES_MAX ((size_t)65536)
#define ARENA_BYTES (4 * PACKET_BYTES_MAX)
/* A kernel stamp further off than this is a clock that was set, not a frame that waited. */
#define STAMP_MAX_AGE_NS (60 * SLR_NS_PER_S)
/* The kernel counts once, however many holes there are. No stream has two packets in less. */
#define LOSING_NS (10 * SLR_NS_PER_MS)
#define STATISTICS_NS (200 * SLR_NS_PER_MS)
#define LINK_ETHERNET 1 /* as in pcap-linktype(7) */
#define LINK_RAW 101
/* Of the address behind a frame's header: the header in whole units of TPACKET_ALIGNMENT. */
#define LINK_OFFSET_BYTES ((sizeof(struct tpacket3_hdr) + 15u) & ~(size_t)15u)

struct packet {
    struct slr_capture base;
    const struct slr_clock *clock;
    struct slr_packet_spec spec;
    int fd, wake_fd;
    bool down_told;
    uint8_t *ring;
    uint32_t blocks, block; /* how many, and the one that is read or comes next */
    bool reading;           /* the block is ours */
    uint32_t left;          /* frames of it that are not read yet */
    const uint8_t *at;      /* the first of them */
    struct slr_frame *frame;
    uint8_t *arena; /* ARENA_BYTES: bytes of the burst that lie in no block */
    size_t arena_used_bytes;
    int64_t wall_base_ns;      /* what makes the engine's wall time of monotonic time */
    int64_t now_ns, offset_ns; /* monotonic, and minus the kernel's wall time; once a burst */
    int64_t next_statistics_ns;
    uint32_t untold_drops; /* counted, in no packet's kernel_drops yet */
    bool losing;           /* so is what lay before the frames that are read, or it was counted */
    int64_t losing_told_ns;
    slr_counter drop_kernel, recv_errors, freezes;
};

static struct packet *packet_of(struct slr_capture *c)
{
    return (struct packet *)(void *)((char *)c - offsetof(struct packet, base));
}

static const struct packet *packet_of_const(const struct slr_capture *c)
{
    return (const struct packet *)(const void *)((const char *)c - offsetof(struct packet, base));
}

static void packet_close(struct slr_capture *c)
{
    struct packet *p = packet_of(c);
    if (p->ring) {
        munmap(p->ring, (size_t)p->blocks * BLOCK_BYTES);
    }
    if (p->fd >= 0) {
        close(p->fd);
    }
    if (p->wake_fd >= 0) {
        close(p->wake_fd);
    }
    slr_frame_close(p->frame);
    free(p->arena);
    free(p);
}

/* What a step of opening failed with. */
static enum slr_err refused(const struct packet *p, const char *step)
{
    int number = errno;
    const char *text = number == EPERM ? "needs CAP_NET_RAW" : strerror(number);
    SLR_ERROR("capture_open_failed", "backend=packet interface=%s step=%s text=%s",
              SLR_Q(p->spec.interface), step, SLR_Q(text));
    return number == ENODEV ? SLR_NOTFOUND : SLR_IO;
}

static enum slr_err find_interface(const struct packet *p, int *index, int *dlt)
{
    struct ifreq r = {.ifr_name = ""};
    memcpy(r.ifr_name, p->spec.interface, sizeof r.ifr_name);
    if (ioctl(p->fd, SIOCGIFINDEX, &r) != 0) {
        return refused(p, "interface");
    }
    *index = r.ifr_ifindex;
    if (ioctl(p->fd, SIOCGIFHWADDR, &r) != 0) {
        return refused(p, "hardware");
    }
    switch (r.ifr_hwaddr.sa_family) {
    case ARPHRD_ETHER:
    case ARPHRD_LOOPBACK:
        *dlt = LINK_ETHERNET;
        return SLR_OK;
    case ARPHRD_NONE: /* tun, wireguard */
    case ARPHRD_PPP:
        *dlt = LINK_RAW;
        return SLR_OK;
    default:
        SLR_ERROR("capture_open_failed", "backend=packet interface=%s hardware=%u text=%s",
                  SLR_Q(p->spec.interface), r.ifr_hwaddr.sa_family,
                  SLR_Q("kind of interface is not supported"));
        return SLR_FORMAT;
    }
}

/* Ethernet frames that cannot be media or signalling stay out of the ring: neither IP nor tagged,
 * other protocols, TCP of other ports. What is tagged, IPv6 or a fragment is looked at later. */
static enum slr_err set_filter(const struct packet *p)
{
    const uint32_t lo = p->spec.tcp_lo, hi = p->spec.tcp_hi;
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 5, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 17, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_8021Q, 16, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_8021AD, 15, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_QINQ1, 14, 0),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, ETH_P_802_3_MIN, 14, 13),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 23), /* IPv4 protocol */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 11, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_GRE, 10, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 10),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 20),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x3fff, 7, 0), /* a fragment */
        BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 14),
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, 14), /* source port */
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, lo, 0, 1),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, hi, 0, 3),
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, 16), /* destination port */
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, lo, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, hi, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, 0x40000),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog prog = {.len = sizeof f / sizeof f[0], .filter = f};
    return setsockopt(p->fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof prog) == 0
               ? SLR_OK
               : refused(p, "filter");
}

static enum slr_err make_ring(struct packet *p)
{
    const int version = TPACKET_V3;
    p->blocks = p->spec.ring_mb * BLOCKS_PER_MB;
    struct tpacket_req3 req = {.tp_block_size = BLOCK_BYTES,
                               .tp_block_nr = p->blocks,
                               .tp_frame_size = TPACKET_ALIGNMENT << 7,
                               .tp_retire_blk_tov = RETIRE_MS};
    req.tp_frame_nr = BLOCK_BYTES / req.tp_frame_size * p->blocks;
    if (setsockopt(p->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) != 0 ||
        setsockopt(p->fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof req) != 0) {
        return refused(p, "ring");
    }
    void *at = mmap(NULL, (size_t)p->blocks * BLOCK_BYTES, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_POPULATE, p->fd, 0);
    if (at == MAP_FAILED) {
        return refused(p, "map");
    }
    p->ring = at;
    return SLR_OK;
}

/* From bind on the kernel delivers. */
static enum slr_err join_link(const struct packet *p, int index)
{
    const int on = 1;
    const struct packet_mreq all = {.mr_ifindex = index, .mr_type = PACKET_MR_PROMISC};
    const struct sockaddr_ll link = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = index};
    struct tpacket_stats_v3 forget;
    socklen_t size_bytes = sizeof forget;
    /* older kernels know no such option: what goes out is told by its type, too */
    if (!p->spec.own &&
        setsockopt(p->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) != 0 &&
        errno != ENOPROTOOPT) {
        return refused(p, "outgoing");
    }
    if (setsockopt(p->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all) != 0) {
        return refused(p, "promiscuous");
    }
    if (bind(p->fd, (const struct sockaddr *)&link, sizeof link) != 0) {
        return refused(p, "bind");
    }
    (void)getsockopt(p->fd, SOL_PACKET, PACKET_STATISTICS, &forget, &size_bytes);
    return SLR_OK;
}

static enum slr_err open_link(struct packet *p)
{
    int index = 0, dlt = 0;
    p->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (p->fd < 0) {
        return refused(p, "socket");
    }
    p->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (p->wake_fd < 0) {
        return refused(p, "eventfd");
    }
    enum slr_err err = find_interface(p, &index, &dlt);
    if (err == SLR_OK) {
        err = slr_frame_open(dlt, &p->frame);
    }
    if (err == SLR_OK) {
        slr_frame_tcp_ports(p->frame, p->spec.tcp_lo, p->spec.tcp_hi);
        err = dlt == LINK_ETHERNET ? set_filter(p) : SLR_OK;
    }
    if (err == SLR_OK) {
        err = make_ring(p);
    }
    return err == SLR_OK ? join_link(p, index) : err;
}

static enum slr_err packet_open(const struct slr_capture_config *cfg, struct slr_capture **out)
{
    *out = NULL;
    struct packet *p = calloc(1, sizeof *p);
    if (!p) {
        return SLR_NOMEM;
    }
    p->base.ops = &slr_packet_ops;
    p->fd = p->wake_fd = -1;
    p->clock = slr_clock_real();
    p->wall_base_ns = cfg->wall_base_ns;
    enum slr_err err = slr_packet_spec_parse(cfg->arg, &p->spec);
    if (err != SLR_OK) {
        SLR_ERROR("bad_option", "option=capture value=%s expected=%s",
                  SLR_Q(cfg->arg ? cfg->arg : ""), SLR_Q(SLR_PACKET_SPEC_HELP));
    } else {
        p->arena = malloc(ARENA_BYTES);
        err = p->arena ? open_link(p) : SLR_NOMEM;
    }
    if (err != SLR_OK) {
        packet_close(&p->base);
        return err;
    }
    *out = &p->base;
    return SLR_OK;
}

static struct tpacket_block_desc *block_at(const struct packet *p)
{
    return (struct tpacket_block_desc *)(void *)(p->ring + (size_t)p->block * BLOCK_BYTES);
}

/* Back to the kernel; the next one is looked at. */
static void release_block(struct packet *p)
{
    __atomic_store_n(&block_at(p)->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    p->block = (p->block + 1) % p->blocks;
    p->reading = false;
}

/* Counts what was dropped since the last time; the next packet tells it. */
static void read_statistics(struct packet *p)
{
    struct tpacket_stats_v3 s = {0};
    socklen_t size_bytes = sizeof s;
    if (getsockopt(p->fd, SOL_PACKET, PACKET_STATISTICS, &s, &size_bytes) == 0 &&
        (s.tp_drops > 0 || s.tp_freeze_q_cnt > 0)) {
        slr_count_own(&p->drop_kernel, s.tp_drops);
        slr_count_own(&p->freezes, s.tp_freeze_q_cnt);
        p->untold_drops += s.tp_drops;
        SLR_WARN("capture_drops", "interface=%s frames=%u full=%u", SLR_Q(p->spec.interface),
                 s.tp_drops, s.tp_freeze_q_cnt);
    }
}

/* False: the kernel still has it. */
static bool take_block(struct packet *p)
{
    struct tpacket_block_desc *b = block_at(p);
    uint32_t status = __atomic_load_n(&b->hdr.bh1.block_status, __ATOMIC_ACQUIRE);
    if ((status & TP_STATUS_USER) == 0) {
        return false;
    }
    if (status & TP_STATUS_LOSING) {
        read_statistics(
            p); /* what was dropped lay before it: the kernel says so until it is read */
        p->losing = true;
    }
    p->reading = true;
    p->left = b->hdr.bh1.num_pkts;
    p->at = (const uint8_t *)b + b->hdr.bh1.offset_to_first_pkt;
    return true;
}

/* When the kernel saw it, on the engine's wall clock, which no setting of the clock disturbs. */
static slr_wall time_of(const struct packet *p, const struct tpacket3_hdr *h)
{
    int64_t mono_ns = (int64_t)h->tp_sec * SLR_NS_PER_S + h->tp_nsec + p->offset_ns;
    if (mono_ns > p->now_ns || mono_ns < p->now_ns - STAMP_MAX_AGE_NS) {
        mono_ns = p->now_ns;
    }
    return (slr_wall){mono_ns + p->wall_base_ns};
}

/* The next frame of the block. True: it made a packet. */
static bool read_frame(struct packet *p, struct slr_packet *out)
{
    const struct tpacket3_hdr *h = (const struct tpacket3_hdr *)(const void *)p->at;
    const struct sockaddr_ll *link =
        (const struct sockaddr_ll *)(const void *)(p->at + LINK_OFFSET_BYTES);
    struct slr_slice bytes = slr_slice_of(p->at + h->tp_mac, h->tp_snaplen);
    uint16_t vlan = 0;
    p->left--;
    p->at += h->tp_next_offset;
    if (link->sll_pkttype == PACKET_OUTGOING && !p->spec.own) {
        return false;
    }
    if (h->tp_status & TP_STATUS_VLAN_VALID) { /* the outermost tag, taken out of the frame */
        vlan = h->hv1.tp_vlan_tci & 0x0fff;
    }
    return slr_frame_put_tagged(p->frame, bytes, h->tp_snaplen < h->tp_len, vlan, time_of(p, h),
                                out);
}

/* What does not lie in the block is lost with the next frame. */
static void keep(struct packet *p, struct slr_packet *packet)
{
    const uint8_t *block = p->ring + (size_t)p->block * BLOCK_BYTES;
    if (p->reading && packet->at >= block && packet->at < block + BLOCK_BYTES) {
        return;
    }
    uint8_t *copy = p->arena + p->arena_used_bytes;
    memcpy(copy, packet->at, packet->len_bytes);
    packet->at = copy;
    p->arena_used_bytes += packet->len_bytes;
}

/* What is missing before a packet. */
static void tell_drops(struct packet *p, struct slr_packet *packet)
{
    packet->kernel_drops = p->untold_drops;
    packet->drops_anywhere = true;
    packet->drops_before = p->losing && packet->wall.ns - p->losing_told_ns >= LOSING_NS;
    if (packet->drops_before) {
        p->losing = false;
        p->losing_told_ns = packet->wall.ns;
    }
    p->untold_drops = 0;
}

static uint32_t fill(struct packet *p, struct slr_packet *burst)
{
    uint32_t count = 0;
    while (count < SLR_CAPTURE_BURST && p->arena_used_bytes + PACKET_BYTES_MAX <= ARENA_BYTES) {
        struct slr_packet *packet = &burst[count];
        if (!slr_frame_take(p->frame, packet)) {
            if (p->reading && p->left == 0) {
                if (count > 0) {
                    break; /* the burst lies in it */
                }
                release_block(p);
            }
            if (!p->reading && !take_block(p)) {
                break;
            }
            if (p->left == 0 || !read_frame(p, packet)) {
                continue;
            }
        }
        keep(p, packet);
        tell_drops(p, packet);
        count++;
    }
    return count;
}

/* An interface that is down may come back; one that is gone does not. */
static enum slr_err check_link(struct packet *p)
{
    int error = 0;
    socklen_t size_bytes = sizeof error;
    struct sockaddr_ll link = {.sll_ifindex = 0};
    socklen_t link_bytes = sizeof link;
    if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &size_bytes) != 0 || error == 0) {
        return SLR_OK;
    }
    slr_count_own(&p->recv_errors, 1);
    SLR_WARN("capture_link_error", "interface=%s text=%s", SLR_Q(p->spec.interface),
             SLR_Q(strerror(error)));
    bool gone =
        getsockname(p->fd, (struct sockaddr *)&link, &link_bytes) == 0 && link.sll_ifindex == -1;
    return gone ? SLR_CLOSED : SLR_OK;
}

/* Either the ring or somebody's wake. */
static void wait_for(const struct packet *p, uint32_t timeout_us)
{
    struct pollfd fds[2] = {{.fd = p->fd, .events = POLLIN}, {.fd = p->wake_fd, .events = POLLIN}};
    uint64_t times;
    if (poll(fds, 2, (int)((timeout_us + 999) / 1000)) > 0 && (fds[1].revents & POLLIN)) {
        (void)!read(p->wake_fd, &times, sizeof times);
    }
}

static void read_clocks(struct packet *p)
{
    p->now_ns = slr_clock_mono(p->clock).ns;
    p->offset_ns = p->now_ns - slr_clock_wall(p->clock).ns;
}

static enum slr_err packet_next(struct slr_capture *c, uint32_t timeout_us,
                                struct slr_packet *burst, uint32_t *count)
{
    struct packet *p = packet_of(c);
    read_clocks(p);
    p->arena_used_bytes = 0;
    *count = fill(p, burst);
    if (*count == 0 && timeout_us > 0) {
        wait_for(p, timeout_us);
        read_clocks(p);
        *count = fill(p, burst);
    }
    if (*count > 0) {
        return SLR_OK;
    }
    if (p->now_ns >= p->next_statistics_ns) {
        p->next_statistics_ns = p->now_ns + STATISTICS_NS;
        read_statistics(p);
    }
    return check_link(p);
}

static void packet_wake(struct slr_capture *c)
{
    const uint64_t one = 1;
    /* full: it is readable all the more */
    (void)!write(packet_of(c)->wake_fd, &one, sizeof one);
}

static int packet_fd(const struct slr_capture *c)
{
    return packet_of_const(c)->fd;
}

static void packet_stats(const struct slr_capture *c, struct slr_capture_stats *out)
{
    const struct packet *p = packet_of_const(c);
    slr_frame_stats(p->frame, out);
    out->drop_kernel = slr_count_get(&p->drop_kernel);
    out->recv_errors = slr_count_get(&p->recv_errors);
    out->no_buffers = slr_count_get(&p->freezes);
}

const struct slr_capture_ops slr_packet_ops = {
    .name = "packet",
    .passive = true,
    .open = packet_open,
    .next = packet_next,
    .wake = packet_wake,
    .fd = packet_fd,
    .stats = packet_stats,
    .close = packet_close,
};
