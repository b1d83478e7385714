/*
 * local: see the header. A UDP socket that is connected says it; nothing is sent.
 */
#include "load/local.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum slr_err slr_local_ip_towards(const char *ip, uint16_t port, char out[static 64])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t len = sizeof at;
    if (inet_pton(AF_INET, ip, &at.sin_addr) != 1) {
        return SLR_INVAL;
    }
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return slr_err_from_errno(errno);
    }
    enum slr_err err = SLR_OK;
    if (connect(fd, (struct sockaddr *)&at, sizeof at) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) != 0 ||
        !inet_ntop(AF_INET, &at.sin_addr, out, 64)) {
        err = slr_err_from_errno(errno);
    }
    close(fd);
    return err;
}
