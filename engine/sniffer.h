/*
 * sniffer: the virtual sniffer port (-w): readers connect over TCP and get every event as HEP v3,
 * with pseudo-SIP beside it (docs/sniffer.md). Each reader is a cursor on the event log.
 *
 * Control thread; allocates for connections.
 */
#ifndef SLR_ENGINE_SNIFFER_H
#define SLR_ENGINE_SNIFFER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/err.h"
#include "engine/engine_api.h"
#include "engine/evlog.h"
#include "engine/loop.h"
#include "engine/srv.h"

struct slr_sniffer_config {
    const char *bind;     /* IP literal, NULL: 127.0.0.1 */
    uint32_t port;        /* 0: any free one (for tests) */
    const char *key_file; /* NULL: no key is asked for; then only loopback is allowed */
    const char *node;     /* agent name in packets, borrowed */
    uint32_t sessions_max;
    struct slr_loop *loop;
    struct slr_evlog *log;
    struct slr_srv_counters *counters;
    const struct slr_engine_api *api;
};

struct slr_sniffer;

/* Listens; readers are served once slr_sniffer_engine gave an engine. Errors, each with a log
 * event: SLR_INVAL bind or key; SLR_DENIED beyond loopback without a key; SLR_BUSY the port is
 * taken; else from errno. */
enum slr_err slr_sniffer_open(const struct slr_sniffer_config *cfg,
                              struct slr_sniffer **out) SLR_CHECKED;
void slr_sniffer_close(struct slr_sniffer *s);
/* NULL: it is gone; readers are still sent what is left. */
enum slr_err slr_sniffer_engine(struct slr_sniffer *s, struct slr_engine *e) SLR_CHECKED;

uint16_t slr_sniffer_port(const struct slr_sniffer *s);
uint32_t slr_sniffer_readers(const struct slr_sniffer *s);

/* Sends events to those that have room. True: there is more to do at once. */
bool slr_sniffer_pump(struct slr_sniffer *s);
/* Once a second: pings, time limits. */
void slr_sniffer_tick(struct slr_sniffer *s, slr_mono now, slr_wall wall);
/* True when every reader has been sent all events. */
bool slr_sniffer_idle(const struct slr_sniffer *s);

#endif
