/*
 * setup_passive: nothing is set up: calls are on a link that the recorder watches.
 */
#include <stdio.h>
#include <stdlib.h>

#include "load/passive.h"
#include "load/setup.h"

struct slr_setup {
    struct slr_setup_config sc;
};

static enum slr_err open_it(const struct slr_setup_config *sc, char local_ip[static 64],
                            char media_ip[static 64], struct slr_setup **out)
{
    struct slr_setup *s = calloc(1, sizeof *s);
    if (!s) {
        return SLR_NOMEM;
    }
    s->sc = *sc;
    snprintf(local_ip, 64, "0.0.0.0"); /* each leg has addresses of its own */
    snprintf(media_ip, 64, "0.0.0.0");
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
    slr_passive_addresses(call);
    s->sc.hooks.ready(s->sc.hooks.ctx, call);
}

static void end(struct slr_setup *s, struct slr_call *call, int64_t now_ns)
{
    (void)now_ns;
    s->sc.hooks.ended(s->sc.hooks.ctx, call);
}

static json_t *stats(struct slr_setup *s)
{
    return s->sc.cfg->stats ? slr_setup_stats(s->sc.cfg, s->sc.cfg->stats) : NULL;
}

const struct slr_setup_ops slr_setup_passive = {.name = "passive",
                                                .open = open_it,
                                                .close = close_it,
                                                .poll = poll_it,
                                                .step = step,
                                                .begin = begin,
                                                .end = end,
                                                .stats = stats};
