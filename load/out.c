/*
 * out: see the header.
 */
#include "load/out.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Of frames that come in: no socket of this machine has that address. */
#define PORT_MIN 16384u
#define PORTS 32768u

static enum slr_err open_socket(struct slr_out *o, const char *local_ip)
{
    socklen_t len = sizeof o->from;
    int big = 16 << 20;
    o->udp_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (o->udp_fd < 0 || inet_pton(AF_INET, local_ip, &o->from.sin_addr) != 1) {
        return o->udp_fd < 0 ? slr_err_from_errno(errno) : SLR_INVAL;
    }
    if (setsockopt(o->udp_fd, SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof big) != 0 &&
        setsockopt(o->udp_fd, SOL_SOCKET, SO_SNDBUF, &big, sizeof big) != 0) {
        return slr_err_from_errno(errno);
    }
    if (bind(o->udp_fd, (struct sockaddr *)&o->from, sizeof o->from) != 0 ||
        getsockname(o->udp_fd, (struct sockaddr *)&o->from, &len) != 0) {
        return slr_err_from_errno(errno);
    }
    o->way.fd = o->udp_fd;
    return SLR_OK;
}

static enum slr_err open_frames(struct slr_out *o, const struct slr_load_config *cfg,
                                const char *media_ip, enum slr_link_to whose, size_t packet_bytes)
{
    struct in_addr to;
    if (inet_pton(AF_INET, media_ip, &to) != 1) {
        return SLR_INVAL;
    }
    enum slr_err err = slr_link_open(&o->link, cfg->device, whose, &o->from, to);
    if (err != SLR_OK) {
        fprintf(stderr, "slr-load: %s: %s\n", cfg->device,
                err == SLR_TIMEOUT ? "the recorder is no neighbour there" : "no such device");
        return err;
    }
    o->way.link = &o->link;
    if (cfg->send_by == SLR_SEND_RAW) {
        o->way.fd = slr_link_socket(&o->link);
        return o->way.fd < 0 ? slr_err_from_errno(errno) : SLR_OK;
    }
    o->way.live = &o->live;
    return slr_live_open(&o->live, cfg->device,
                         cfg->send_by == SLR_SEND_LIVE ? SLR_LIVE_OUT : SLR_LIVE_IN,
                         SLR_LINK_HEAD_BYTES + packet_bytes, o->link.ifindex);
}

enum slr_err slr_out_open(struct slr_out *o, const struct slr_load_config *cfg,
                          const char *local_ip, const char *media_ip, enum slr_link_to whose,
                          size_t packet_bytes)
{
    memset(o, 0, sizeof *o);
    o->udp_fd = o->way.fd = -1;
    o->from.sin_family = AF_INET;
    enum slr_err err = SLR_OK;
    if (cfg->send_by == SLR_SEND_LIVE_IN) {
        o->from.sin_port = htons((uint16_t)(PORT_MIN + cfg->run_id % PORTS));
        err = inet_pton(AF_INET, local_ip, &o->from.sin_addr) == 1 ? SLR_OK : SLR_INVAL;
    } else {
        err = open_socket(o, local_ip);
    }
    return err == SLR_OK && cfg->send_by != SLR_SEND_UDP
               ? open_frames(o, cfg, media_ip, whose, packet_bytes)
               : err;
}

void slr_out_close(struct slr_out *o)
{
    if (o->way.fd >= 0 && o->way.fd != o->udp_fd) {
        close(o->way.fd);
    }
    if (o->udp_fd >= 0) {
        close(o->udp_fd);
    }
    if (o->way.live) {
        slr_live_close(&o->live);
    }
    o->udp_fd = o->way.fd = -1;
    o->way.live = NULL;
}

uint64_t slr_out_dropped(const struct slr_out *o)
{
    return o->way.live ? slr_live_dropped(&o->live) : 0;
}
