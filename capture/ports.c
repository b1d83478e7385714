/*
 * ports: binds pairs of UDP sockets for RTP and RTCP.
 * The state is the caller's cursor. Any thread that owns the cursor; allocates nothing.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture/capture.h"
#include "common/log.h"

static enum slr_err open_socket(const struct slr_addr *ip, int *fd)
{
    int domain = ip->family == 6 ? AF_INET6 : AF_INET;
    int on = 1;
    *fd = socket(domain, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* A wildcard IPv6 socket would take the IPv4 port of another leg too. */
    if (*fd >= 0 && domain == AF_INET6 &&
        setsockopt(*fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0) {
        close(*fd);
        *fd = -1;
    }
    if (*fd < 0) {
        SLR_ERROR("media_socket_failed", "text=%s", SLR_Q(strerror(errno)));
        return SLR_IO;
    }
    return SLR_OK;
}

/* SLR_BUSY: the port is taken (or not for us), the next one may be free. */
static enum slr_err bind_port(int fd, const struct slr_addr *ip, uint16_t port)
{
    struct sockaddr_storage sa;
    struct slr_addr at = *ip;
    at.port = port;
    socklen_t len_bytes = slr_addr_to_sockaddr(&at, &sa);
    if (bind(fd, (const struct sockaddr *)&sa, len_bytes) == 0) {
        return SLR_OK;
    }
    if (errno == EADDRINUSE || errno == EACCES) {
        return SLR_BUSY;
    }
    SLR_ERROR("media_bind_failed", "port=%u text=%s", (unsigned)port, SLR_Q(strerror(errno)));
    return SLR_IO;
}

static enum slr_err bind_new(const struct slr_addr *ip, uint16_t port, int *fd)
{
    enum slr_err err = open_socket(ip, fd);
    if (err != SLR_OK) {
        return err;
    }
    err = bind_port(*fd, ip, port);
    if (err != SLR_OK) {
        close(*fd);
        *fd = -1;
    }
    return err;
}

/* RTP at `port` on the unbound socket *rtp_fd, RTCP one above. A socket that was bound in vain is
 * replaced, since it cannot be bound again. */
static enum slr_err bind_pair(const struct slr_addr *ip, uint16_t port, int *rtp_fd, int *rtcp_fd)
{
    enum slr_err err = bind_port(*rtp_fd, ip, port);
    if (err != SLR_OK || !rtcp_fd) {
        return err;
    }
    err = bind_new(ip, (uint16_t)(port + 1), rtcp_fd);
    if (err == SLR_BUSY) {
        close(*rtp_fd);
        enum slr_err again = open_socket(ip, rtp_fd);
        err = again == SLR_OK ? SLR_BUSY : again;
    }
    return err;
}

enum slr_err slr_ports_bind(const struct slr_addr *ip, uint16_t lo, uint16_t hi, uint16_t *cursor,
                            uint16_t exact_port, int *rtp_fd, int *rtcp_fd, uint16_t *port)
{
    uint32_t span = rtcp_fd ? 1 : 0; /* ports above the even one that are needed */
    uint32_t first = (lo + 1u) & ~1u;
    uint32_t last = hi < span ? 0 : (hi - span) & ~1u;
    if (exact_port != 0) {
        first = last = exact_port;
    }
    if (first == 0 || first > last || last + span > UINT16_MAX) {
        return SLR_INVAL;
    }
    if (rtcp_fd) {
        *rtcp_fd = -1;
    }
    uint32_t at = first;
    if (exact_port == 0 && *cursor >= first && *cursor <= last) {
        at = *cursor & ~1u;
    }
    *rtp_fd = -1;
    enum slr_err err = open_socket(ip, rtp_fd);
    if (err != SLR_OK) {
        return err;
    }
    for (uint32_t tries = (last - first) / 2 + 1; tries > 0; tries--) {
        err = bind_pair(ip, (uint16_t)at, rtp_fd, rtcp_fd);
        uint32_t next = at + 2 > last ? first : at + 2;
        if (err == SLR_OK) {
            *port = (uint16_t)at;
            *cursor = exact_port != 0 ? *cursor : (uint16_t)next;
            return SLR_OK;
        }
        if (err != SLR_BUSY) {
            break;
        }
        at = next;
    }
    if (*rtp_fd >= 0) {
        close(*rtp_fd);
        *rtp_fd = -1;
    }
    return err == SLR_BUSY && exact_port == 0 ? SLR_FULL : err;
}
