/*
 * setup_none: nothing is set up: calls are on a link that the recorder watches (--passive), or go
 * to ports where somebody listens anyway (--plain).
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/net.h"
#include "load/local.h"
#include "load/passive.h"
#include "load/setup.h"

#define PORT_LAST 65534u

struct slr_setup {
    struct slr_setup_config sc;
    struct slr_addr to; /* of family 0: the recorder only watches */
};

static enum slr_err open_plain(struct slr_setup *s, char local_ip[static 64],
                               char media_ip[static 64])
{
    const struct slr_load_config *cfg = s->sc.cfg;
    enum slr_err err = slr_addr_parse_port(cfg->plain, &s->to);
    uint64_t last = s->to.port + 2u * (uint64_t)SLR_LOAD_LEGS * cfg->calls;
    if (err != SLR_OK || s->to.family != 4 || s->to.port == 0 || last > PORT_LAST) {
        fprintf(stderr, "slr-load: --plain: an IPv4 address and a port with room behind it\n");
        return SLR_INVAL;
    }
    (void)inet_ntop(AF_INET, s->to.ip, media_ip, 64);
    if (cfg->local_ip) {
        snprintf(local_ip, 64, "%s", cfg->local_ip);
        return SLR_OK;
    }
    return slr_local_ip_towards(media_ip, s->to.port, local_ip);
}

static enum slr_err open_it(const struct slr_setup_config *sc, char local_ip[static 64],
                            char media_ip[static 64], struct slr_setup **out)
{
    struct slr_setup *s = calloc(1, sizeof *s);
    enum slr_err err = SLR_OK;
    if (!s) {
        return SLR_NOMEM;
    }
    s->sc = *sc;
    snprintf(local_ip, 64, "0.0.0.0"); /* each leg has addresses of its own */
    snprintf(media_ip, 64, "0.0.0.0");
    if (sc->cfg->plain) {
        err = open_plain(s, local_ip, media_ip);
    }
    if (err != SLR_OK) {
        free(s);
        return err;
    }
    *out = s;
    return SLR_OK;
}

static void close_it(struct slr_setup *s)
{
    free(s);
}

static void poll_it(const struct slr_setup *s, struct pollfd *out)
{
    (void)s;
    *out = (struct pollfd){.fd = -1};
}

static enum slr_err step(struct slr_setup *s, int64_t now_ns)
{
    (void)s;
    (void)now_ns;
    return SLR_OK;
}

static void begin(struct slr_setup *s, struct slr_call *call, int64_t now_ns)
{
    (void)now_ns;
    if (s->to.family == 0) {
        slr_passive_addresses(call);
    }
    for (uint32_t leg = 0; s->to.family != 0 && leg < SLR_LOAD_LEGS; leg++) {
        struct sockaddr_in *to = &call->leg[leg].rtp;
        uint32_t port = s->to.port + 2 * (call->index * SLR_LOAD_LEGS + leg);
        *to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        memcpy(&to->sin_addr, s->to.ip, sizeof to->sin_addr);
        call->leg[leg].rtcp = *to;
        call->leg[leg].rtcp.sin_port = htons((uint16_t)(port + 1));
    }
    s->sc.hooks.ready(s->sc.hooks.ctx, call);
}

static void end(struct slr_setup *s, struct slr_call *call, int64_t now_ns)
{
    (void)now_ns;
    s->sc.hooks.ended(s->sc.hooks.ctx, call);
}

const struct slr_setup_ops slr_setup_none = {.name = "none",
                                             .open = open_it,
                                             .close = close_it,
                                             .poll = poll_it,
                                             .step = step,
                                             .begin = begin,
                                             .end = end};
