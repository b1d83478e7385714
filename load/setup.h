/*
 * setup: the one contract by which calls are set up and ended: through SIP, or on the engine's
 * seam. Many at once; nothing waits but stats. The director's thread owns it.
 */
#ifndef SLR_LOAD_SETUP_H
#define SLR_LOAD_SETUP_H

#include <jansson.h>
#include <poll.h>
#include <stdint.h>

#include "common/err.h"
#include "load/book.h"
#include "load/cast.h"
#include "load/config.h"

/* What becomes of what was begun; called from step. */
struct slr_setup_hooks {
    void *ctx;
    void (*ready)(void *ctx, struct slr_call *call); /* both legs have addresses */
    void (*failed)(void *ctx, struct slr_call *call,
                   const char *why);                 /* neither set up nor ended */
    void (*ended)(void *ctx, struct slr_call *call); /* the recorder has said that it is over */
};

struct slr_setup_config {
    const struct slr_load_config *cfg;
    const struct slr_cast *cast;
    struct slr_book *book;
    struct slr_setup_hooks hooks;
};

struct slr_setup;

struct slr_setup_ops {
    const char *name;
    /* Connects. *local_ip: where RTP comes from unless cfg says otherwise; *media_ip: where the
     * recorder takes it, as far as is known. */
    enum slr_err (*open)(const struct slr_setup_config *sc, char local_ip[static 64],
                         char media_ip[static 64], struct slr_setup **out);
    void (*close)(struct slr_setup *s);
    /* What to poll for. */
    void (*poll)(const struct slr_setup *s, struct pollfd *out);
    /* Takes what came, sends again what was not answered. SLR_CLOSED: the recorder is gone. */
    enum slr_err (*step)(struct slr_setup *s, int64_t now_ns);
    void (*begin)(struct slr_setup *s, struct slr_call *call, int64_t now_ns);
    /* Only after ready. */
    void (*end)(struct slr_setup *s, struct slr_call *call, int64_t now_ns);
    /* The engine's counters by name, a new object; waits up to 2 s. NULL: none to be had. Itself
     * NULL: by cfg->stats only (slr_setup_stats). */
    json_t *(*stats)(struct slr_setup *s);
};

/* The engine's counters by a connection of its own that commands nothing; at `path` is its control
 * socket. NULL: not to be had. Waits up to 2 s. */
json_t *slr_setup_stats(const struct slr_load_config *cfg, const char *path);

extern const struct slr_setup_ops slr_setup_seam; /* cfg->seam */
extern const struct slr_setup_ops slr_setup_sip;  /* cfg->sip */
extern const struct slr_setup_ops
    slr_setup_none; /* neither: calls that are only watched, or just sent */

/* Which of them. */
static inline const struct slr_setup_ops *slr_setup_of(const struct slr_load_config *cfg)
{
    return cfg->seam ? &slr_setup_seam : cfg->sip ? &slr_setup_sip : &slr_setup_none;
}

#endif
