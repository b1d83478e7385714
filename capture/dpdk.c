/*
 * dpdk: passive backend over a port of DPDK: frames past the kernel, from a card or a virtual
 * device.
 *
 * DPDK itself is in the module slr-dpdk.so (dpdk_port.h), loaded when this backend is opened.
 * Frames go through capture/frame.h as those of a file do; what lies in a frame of the burst is
 * handed out where it lies, what reassembly made is copied. The arrival of a frame is when its
 * burst was fetched: nothing tells when the device took it. Nothing tells that a frame waits,
 * either: while none comes, a timer looks again after a time that grows to some milliseconds, or
 * (`spin`) without pause.
 *
 * State: struct dpdk, owned by one worker thread (wake: any thread). Allocates at open only.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "capture/backend.h"
#include "capture/dpdk_port.h"
#include "capture/dpdk_spec.h"
#include "capture/frame.h"
#include "common/log.h"
#include "common/metrics.h"

#define LINK_ETHERNET 1 /* as in pcap-linktype(7) */
#define PACKET_BYTES_MAX ((size_t)65536)
#define ARENA_BYTES (4 * PACKET_BYTES_MAX)
#define STATISTICS_NS (200 * SLR_NS_PER_MS)
/* While nothing comes. A ring of 4096 descriptors lasts 1 ms of 10 GbE's smallest frames that carry
 * speech, and 4 ms where a link that was quiet for a second begins. */
#define NS_PER_US 1000LL
#define NAP_MIN_NS (50 * NS_PER_US)
#define NAP_MAX_NS SLR_NS_PER_MS
#define NAP_IDLE_MAX_NS (4 * SLR_NS_PER_MS)
#define NAP_IDLE_STEPS 256
/* Of frames that are none of ours, so many bursts a call. */
#define BURSTS_MAX 16u
#define HUGE_PAGES "/sys/kernel/mm/hugepages"

struct dpdk {
    struct slr_capture base;
    const struct slr_clock *clock;
    struct slr_dpdk_spec spec;
    struct slr_dpdk_args args;
    const struct slr_dpdk_port_ops *ops;
    struct slr_dpdk_port *port;
    int fd, wake_fd; /* fd: the timer, or what is always readable */
    int64_t nap_ns;
    struct slr_dpdk_frame frames[SLR_DPDK_BURST];
    uint32_t frame_count, frame_at; /* of the burst that the port lent; the next to be read */
    const struct slr_dpdk_frame *current;
    bool empty; /* the port had nothing when it was asked last */
    struct slr_frame *frame;
    uint8_t *arena; /* ARENA_BYTES: bytes of the burst that lie in no frame */
    size_t arena_used_bytes;
    int64_t wall_base_ns;
    int64_t now_ns; /* once a burst */
    int64_t next_statistics_ns;
    struct slr_dpdk_port_stats seen;
    uint32_t untold_drops; /* counted, in no packet's kernel_drops yet */
    uint32_t later_drops;  /* not to be told before what waits in the device has been fetched ... */
    uint64_t later_frames; /* ... or so many frames have */
    uint64_t fetched;      /* frames, ever */
    slr_counter drop_kernel, recv_errors, no_buffers;
};

static struct dpdk *dpdk_of(struct slr_capture *c)
{
    return (struct dpdk *)(void *)((char *)c - offsetof(struct dpdk, base));
}

static const struct dpdk *dpdk_of_const(const struct slr_capture *c)
{
    return (const struct dpdk *)(const void *)((const char *)c - offsetof(struct dpdk, base));
}

static void log_line(enum slr_dpdk_loud loud, const char *line)
{
    switch (loud) {
    case SLR_DPDK_LOG_DEBUG:
    case SLR_DPDK_LOG_INFO:
        SLR_DEBUG("dpdk", "text=%s", SLR_Q(line));
        break;
    case SLR_DPDK_LOG_WARN:
        SLR_INFO("dpdk", "text=%s", SLR_Q(line));
        break;
    case SLR_DPDK_LOG_ERROR:
        SLR_WARN("dpdk", "text=%s", SLR_Q(line));
        break;
    }
}

static void refused(const char *step, const char *text)
{
    SLR_ERROR("capture_open_failed", "backend=dpdk step=%s text=%s", step, SLR_Q(text));
}

/* The module stays: DPDK's threads cannot be unloaded. */
static enum slr_err load(const struct slr_dpdk_port_ops **out)
{
    void *module = dlopen(SLR_DPDK_PORT_FILE, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!module) {
        const char *why = dlerror();
#ifdef SLR_HAVE_DPDK
        refused("module", why ? why : "it cannot be loaded");
#else
        (void)why;
        refused("module", "this build is without DPDK (libdpdk-dev was not there)");
#endif
        return SLR_UNSUPPORTED;
    }
    const struct slr_dpdk_port_ops *ops = dlsym(module, SLR_DPDK_PORT_SYMBOL);
    if (!ops || ops->version != SLR_DPDK_PORT_VERSION) {
        refused("module", "slr-dpdk.so is of another build");
        return SLR_UNSUPPORTED;
    }
    *out = ops;
    return SLR_OK;
}

static bool has_free(const char *size)
{
    char path[512], digits[32] = "";
    snprintf(path, sizeof path, HUGE_PAGES "/%s/free_hugepages", size);
    FILE *f = fopen(path, "re");
    bool some = f && fgets(digits, sizeof digits, f) && strtoull(digits, NULL, 10) > 0;
    if (f) {
        fclose(f);
    }
    return some;
}

static bool has_huge_pages(void)
{
    DIR *sizes = opendir(HUGE_PAGES);
    bool some = false;
    for (struct dirent *e = sizes ? readdir(sizes) : NULL; e && !some; e = readdir(sizes)) {
        some = strncmp(e->d_name, "hugepages-", 10) == 0 && has_free(e->d_name);
    }
    if (sizes) {
        closedir(sizes);
    }
    return some;
}

/* "0-3,8": what this thread may run on. */
static void list_cpus(char *out, size_t size_bytes)
{
    cpu_set_t set;
    size_t used = 0;
    out[0] = '\0';
    if (sched_getaffinity(0, sizeof set, &set) != 0) {
        CPU_ZERO(&set);
        CPU_SET(0, &set);
    }
    for (size_t cpu = 0; cpu < CPU_SETSIZE && used < size_bytes; cpu++) {
        size_t last = cpu;
        if (!CPU_ISSET(cpu, &set)) {
            continue;
        }
        while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, &set)) {
            last++;
        }
        int n = snprintf(out + used, size_bytes - used, "%s%zu-%zu", used ? "," : "", cpu, last);
        used += n > 0 ? (size_t)n : 0;
        cpu = last;
    }
}

static void dpdk_close(struct slr_capture *c)
{
    struct dpdk *d = dpdk_of(c);
    if (d->port) {
        d->ops->close(d->port);
    }
    if (d->fd >= 0) {
        close(d->fd);
    }
    if (d->wake_fd >= 0) {
        close(d->wake_fd);
    }
    slr_frame_close(d->frame);
    free(d->arena);
    free(d);
}

static enum slr_err open_port(struct dpdk *d)
{
    char cpus[1024];
    struct slr_dpdk_port_about about;
    enum slr_err err = load(&d->ops);
    if (err != SLR_OK) {
        return err;
    }
    list_cpus(cpus, sizeof cpus);
    const struct slr_dpdk_host host = {.huge_pages = has_huge_pages(), .cpus = cpus};
    err = slr_dpdk_args_make(&d->spec, &host, &d->args);
    if (err != SLR_OK) {
        refused("arguments", "too many");
        return err;
    }
    const struct slr_dpdk_port_config pc = {.argv = d->args.argv,
                                            .argc = d->args.count,
                                            .device = d->spec.device,
                                            .queues = d->spec.queues,
                                            .mbufs = d->spec.mbufs,
                                            .ring = d->spec.ring,
                                            .log = log_line,
                                            .refused = refused};
    err = d->ops->open(&pc, &d->port, &about);
    if (err == SLR_OK) {
        SLR_INFO("dpdk_port", "driver=%s queues=%u ring=%u mtu=%u promiscuous=%s huge_pages=%s",
                 about.driver, about.queues, about.ring, about.mtu_bytes,
                 about.promiscuous ? "yes" : "no", host.huge_pages ? "yes" : "no");
        d->ops->stats(d->port, &d->seen);
    }
    return err;
}

/* Until it is over fd is not readable. */
static void nap(struct dpdk *d)
{
    const struct itimerspec after = {.it_value = {.tv_sec = 0, .tv_nsec = d->nap_ns}};
    if (!d->spec.spin) {
        (void)timerfd_settime(d->fd, 0, &after, NULL);
    }
    d->nap_ns += d->nap_ns < NAP_MAX_NS ? d->nap_ns : d->nap_ns / NAP_IDLE_STEPS;
    d->nap_ns = d->nap_ns < NAP_IDLE_MAX_NS ? d->nap_ns : NAP_IDLE_MAX_NS;
}

static enum slr_err open_all(struct dpdk *d)
{
    d->fd = d->spec.spin ? eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC)
                         : timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    d->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    d->arena = malloc(ARENA_BYTES);
    if (d->fd < 0 || d->wake_fd < 0 || !d->arena) {
        return d->arena ? slr_err_from_errno(errno) : SLR_NOMEM;
    }
    nap(d);
    enum slr_err err = slr_frame_open(LINK_ETHERNET, &d->frame);
    if (err == SLR_OK) {
        slr_frame_tcp_ports(d->frame, d->spec.tcp_lo, d->spec.tcp_hi);
        err = open_port(d);
    }
    return err;
}

static enum slr_err dpdk_open(const struct slr_capture_config *cfg, struct slr_capture **out)
{
    *out = NULL;
    struct dpdk *d = calloc(1, sizeof *d);
    if (!d) {
        return SLR_NOMEM;
    }
    d->base.ops = &slr_dpdk_ops;
    d->fd = d->wake_fd = -1;
    d->nap_ns = NAP_MIN_NS;
    d->clock = slr_clock_real();
    d->wall_base_ns = cfg->wall_base_ns;
    enum slr_err err = slr_dpdk_spec_parse(cfg->arg, &d->spec);
    if (err != SLR_OK) {
        SLR_ERROR("bad_option", "option=capture value=%s expected=%s",
                  SLR_Q(cfg->arg ? cfg->arg : ""), SLR_Q(SLR_DPDK_SPEC_HELP));
    } else {
        err = open_all(d);
    }
    if (err != SLR_OK) {
        dpdk_close(&d->base);
        return err;
    }
    *out = &d->base;
    return SLR_OK;
}

/* Counts what the device dropped since the last time. When that was, before or after what waits in
 * the device came, nobody knows: one half is told with the next packet, the other behind those. */
static void read_statistics(struct dpdk *d)
{
    struct slr_dpdk_port_stats s;
    d->next_statistics_ns = d->now_ns + STATISTICS_NS;
    d->ops->stats(d->port, &s);
    uint64_t missed = s.missed - d->seen.missed;
    uint64_t no_mbufs = s.no_mbufs - d->seen.no_mbufs;
    uint64_t errors = s.errors - d->seen.errors;
    d->seen = s;
    if (missed > 0 || no_mbufs > 0 || errors > 0) {
        slr_count_own(&d->drop_kernel, missed);
        slr_count_own(&d->no_buffers, no_mbufs);
        slr_count_own(&d->recv_errors, errors);
        d->untold_drops += (uint32_t)(missed / 2);
        d->later_drops += (uint32_t)(missed - missed / 2);
        d->later_frames = d->fetched + (uint64_t)d->spec.ring * d->spec.queues;
        SLR_WARN("capture_drops", "device=%s missed=%llu no_mbufs=%llu broken=%llu",
                 SLR_Q(d->spec.device), (unsigned long long)missed, (unsigned long long)no_mbufs,
                 (unsigned long long)errors);
    }
}

/* The next frame of the burst. True: it made a packet. */
static bool read_frame(struct dpdk *d, struct slr_packet *out)
{
    const struct slr_dpdk_frame *f = &d->frames[d->frame_at++];
    d->current = f;
    return slr_frame_put_tagged(d->frame, slr_slice_of(f->at, f->len_bytes), f->cut, f->vlan,
                                (slr_wall){d->now_ns + d->wall_base_ns}, out);
}

/* What does not lie in the frame just read is lost with the next one. */
static void keep(struct dpdk *d, struct slr_packet *packet)
{
    const struct slr_dpdk_frame *f = d->current;
    if (f && packet->at >= f->at && packet->at < f->at + f->len_bytes) {
        return;
    }
    uint8_t *copy = d->arena + d->arena_used_bytes;
    memcpy(copy, packet->at, packet->len_bytes);
    packet->at = copy;
    d->arena_used_bytes += packet->len_bytes;
}

/* The next burst of the port; false: there is none. */
static bool fetch(struct dpdk *d)
{
    d->frame_at = 0;
    d->frame_count = d->ops->burst(d->port, d->frames);
    d->fetched += d->frame_count;
    d->empty = d->frame_count == 0;
    if (d->later_drops > 0 && (d->empty || d->fetched > d->later_frames)) {
        d->untold_drops += d->later_drops;
        d->later_drops = 0;
    }
    return !d->empty;
}

static uint32_t fill(struct dpdk *d, struct slr_packet *burst)
{
    uint32_t count = 0, bursts = 0;
    d->empty = false;
    while (count < SLR_CAPTURE_BURST && d->arena_used_bytes + PACKET_BYTES_MAX <= ARENA_BYTES) {
        struct slr_packet *packet = &burst[count];
        if (!slr_frame_take(d->frame, packet)) {
            if (d->frame_at == d->frame_count) {
                if (count > 0 || bursts++ == BURSTS_MAX) {
                    break; /* packets lie in its frames */
                }
                if (!fetch(d)) {
                    break;
                }
            }
            if (!read_frame(d, packet)) {
                continue;
            }
        }
        keep(d, packet);
        packet->kernel_drops = d->untold_drops;
        packet->drops_anywhere = true;
        d->untold_drops = 0;
        count++;
    }
    return count;
}

/* Either time to look again or somebody's wake. */
static bool wait_for(const struct dpdk *d, uint32_t timeout_us)
{
    struct pollfd fds[2] = {{.fd = d->fd, .events = POLLIN}, {.fd = d->wake_fd, .events = POLLIN}};
    uint64_t times;
    bool woken = poll(fds, 2, (int)((timeout_us + 999) / 1000)) > 0 && (fds[1].revents & POLLIN);
    if (woken) {
        (void)!read(d->wake_fd, &times, sizeof times);
    }
    return woken;
}

/* Looks once. */
static uint32_t look(struct dpdk *d, struct slr_packet *burst)
{
    d->now_ns = slr_clock_mono(d->clock).ns;
    if (d->now_ns >= d->next_statistics_ns) {
        read_statistics(d);
    }
    d->arena_used_bytes = 0;
    uint32_t count = fill(d, burst);
    if (!d->empty) {
        d->nap_ns = NAP_MIN_NS;
    } else if (count == 0) {
        nap(d);
    }
    return count;
}

static enum slr_err dpdk_next(struct slr_capture *c, uint32_t timeout_us, struct slr_packet *burst,
                              uint32_t *count)
{
    struct dpdk *d = dpdk_of(c);
    *count = look(d, burst);
    const int64_t until_ns = d->now_ns + (int64_t)timeout_us * NS_PER_US;
    while (*count == 0 && d->now_ns < until_ns) {
        if (wait_for(d, (uint32_t)((until_ns - d->now_ns) / NS_PER_US))) {
            *count = look(d, burst);
            break;
        }
        *count = look(d, burst);
    }
    return SLR_OK;
}

static void dpdk_wake(struct slr_capture *c)
{
    const uint64_t one = 1;
    /* full: it is readable all the more */
    (void)!write(dpdk_of(c)->wake_fd, &one, sizeof one);
}

static int dpdk_fd(const struct slr_capture *c)
{
    return dpdk_of_const(c)->fd;
}

static void dpdk_stats(const struct slr_capture *c, struct slr_capture_stats *out)
{
    const struct dpdk *d = dpdk_of_const(c);
    slr_frame_stats(d->frame, out);
    out->drop_kernel = slr_count_get(&d->drop_kernel);
    out->recv_errors = slr_count_get(&d->recv_errors);
    out->no_buffers = slr_count_get(&d->no_buffers);
}

const struct slr_capture_ops slr_dpdk_ops = {
    .name = "dpdk",
    .passive = true,
    .open = dpdk_open,
    .next = dpdk_next,
    .wake = dpdk_wake,
    .fd = dpdk_fd,
    .stats = dpdk_stats,
    .close = dpdk_close,
};
