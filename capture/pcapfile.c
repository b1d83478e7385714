/*
 * pcapfile: passive backend over a pcap or pcapng file, or standard input.
 *
 * Frames go through capture/frame.h; packets of a burst are copied into an arena, because libpcap
 * and the reassembly re-use their memory with each frame. The file's time is the only clock here.
 * State: struct pcapfile, owned by one worker thread. Allocates at open only (and libpcap its own
 * buffer, when a frame is larger than all before).
 */
#include <errno.h>
#include <pcap/pcap.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/backend.h"
#include "capture/frame.h"
#include "common/log.h"

#define PACKET_BYTES_MAX ((size_t)65536)
#define READ_BYTES ((size_t)1 << 18)
#define ARENA_BYTES (16 * PACKET_BYTES_MAX)
/* Seconds whose nanoseconds still fit 63 bits, the year 2242. */
#define WALL_S_MAX 8589934591LL

struct pcapfile {
    struct slr_capture base;
    pcap_t *pcap;
    struct slr_frame *frame;
    bool ended;     /* no frame follows; held TCP segments may */
    uint8_t *arena; /* ARENA_BYTES: bytes of the burst handed out last */
    size_t arena_used_bytes;
};

static struct pcapfile *pcapfile_of(struct slr_capture *c)
{
    return (struct pcapfile *)(void *)((char *)c - offsetof(struct pcapfile, base));
}

static void pcapfile_close(struct slr_capture *c)
{
    struct pcapfile *p = pcapfile_of(c);
    if (p->pcap) {
        pcap_close(p->pcap);
    }
    slr_frame_close(p->frame);
    free(p->arena);
    free(p);
}

/* Opens by name, so that "no such file" and "no capture file" are told apart. */
static enum slr_err open_pcap(const char *path, pcap_t **out)
{
    char text[PCAP_ERRBUF_SIZE] = "";
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rbe");
    if (!file) {
        enum slr_err err = slr_err_from_errno(errno);
        SLR_ERROR("capture_open_failed", "backend=pcapfile path=%s text=%s", SLR_Q(path),
                  SLR_Q(strerror(errno)));
        return err;
    }
    (void)setvbuf(file, NULL, _IOFBF, READ_BYTES); /* small reads are slower, nothing else */
    *out = pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, text);
    if (!*out) {
        SLR_ERROR("capture_open_failed", "backend=pcapfile path=%s text=%s", SLR_Q(path),
                  SLR_Q(text));
        if (file != stdin) {
            fclose(file);
        }
        return SLR_FORMAT;
    }
    return SLR_OK;
}

static enum slr_err pcapfile_open(const struct slr_capture_config *cfg, struct slr_capture **out)
{
    *out = NULL;
    if (!cfg->arg || cfg->arg[0] == '\0') {
        return SLR_INVAL;
    }
    struct pcapfile *p = calloc(1, sizeof *p);
    if (!p) {
        return SLR_NOMEM;
    }
    p->base.ops = &slr_pcapfile_ops;
    p->arena = malloc(ARENA_BYTES);
    enum slr_err err = p->arena ? open_pcap(cfg->arg, &p->pcap) : SLR_NOMEM;
    if (err == SLR_OK) {
        int dlt = pcap_datalink(p->pcap);
        err = slr_frame_open(dlt, &p->frame);
        if (err == SLR_UNSUPPORTED) {
            /* Another backend would not help: the file is of a kind that is not read. */
            SLR_ERROR("capture_open_failed", "backend=pcapfile path=%s link_type=%d text=%s",
                      SLR_Q(cfg->arg), dlt, SLR_Q("link type is not supported"));
            err = SLR_FORMAT;
        }
    }
    if (err != SLR_OK) {
        pcapfile_close(&p->base);
        return err;
    }
    *out = &p->base;
    return SLR_OK;
}

static slr_wall wall_of(const struct pcap_pkthdr *h)
{
    int64_t s = h->ts.tv_sec;
    int64_t ns = h->ts.tv_usec; /* nanoseconds: asked for at open */
    s = s < 0 ? 0 : s;
    s = s > WALL_S_MAX ? WALL_S_MAX : s;
    ns = ns < 0 || ns >= SLR_NS_PER_S ? 0 : ns;
    return (slr_wall){s * SLR_NS_PER_S + ns};
}

static void end_input(struct pcapfile *p, int result)
{
    struct slr_capture_stats s;
    p->ended = true;
    slr_frame_stats(p->frame, &s);
    if (result != PCAP_ERROR_BREAK) {
        SLR_WARN("capture_file_damaged", "frames=%llu text=%s", (unsigned long long)s.frames,
                 SLR_Q(pcap_geterr(p->pcap)));
    }
    if (s.time_clamped > 0) {
        SLR_WARN("capture_time_backwards", "frames=%llu", (unsigned long long)s.time_clamped);
    }
    slr_frame_flush(p->frame);
}

/* Reads one frame. True: it made a packet. */
static bool read_frame(struct pcapfile *p, struct slr_packet *packet)
{
    struct pcap_pkthdr *h;
    const u_char *at;
    int result = pcap_next_ex(p->pcap, &h, &at);
    if (result != 1) {
        end_input(p, result);
        return false;
    }
    return slr_frame_put(p->frame, slr_slice_of(at, h->caplen), h->caplen < h->len, wall_of(h),
                         packet);
}

static enum slr_err pcapfile_next(struct slr_capture *c, uint32_t timeout_us,
                                  struct slr_packet *burst, uint32_t *count)
{
    struct pcapfile *p = pcapfile_of(c);
    (void)timeout_us; /* a file never makes one wait */
    *count = 0;
    p->arena_used_bytes = 0;
    while (*count < SLR_CAPTURE_BURST && p->arena_used_bytes + PACKET_BYTES_MAX <= ARENA_BYTES) {
        struct slr_packet *packet = &burst[*count];
        if (!slr_frame_take(p->frame, packet)) {
            if (p->ended) {
                return *count > 0 ? SLR_OK : SLR_EOF;
            }
            if (!read_frame(p, packet)) {
                continue;
            }
        }
        uint8_t *copy = p->arena + p->arena_used_bytes;
        memcpy(copy, packet->at, packet->len_bytes);
        packet->at = copy;
        p->arena_used_bytes += packet->len_bytes;
        (*count)++;
    }
    return SLR_OK;
}

static void pcapfile_stats(const struct slr_capture *c, struct slr_capture_stats *out)
{
    const struct pcapfile *p =
        (const struct pcapfile *)(const void *)((const char *)c - offsetof(struct pcapfile, base));
    slr_frame_stats(p->frame, out);
}

const struct slr_capture_ops slr_pcapfile_ops = {
    .name = "pcapfile",
    .passive = true,
    .open = pcapfile_open,
    .next = pcapfile_next,
    .stats = pcapfile_stats,
    .close = pcapfile_close,
};
