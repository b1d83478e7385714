/*
 * core_api: what the HTTP side asks of the signalling thread, and how.
 *
 * The HTTP threads call slr_core_ask, which posts a request into the signalling loop and waits for
 * its answer (bounded by timeout_ms). Implemented by core.c; http_*.c only know this header,
 * store.h and catalogue.h.
 */
#ifndef SLR_CTL_CORE_API_H
#define SLR_CTL_CORE_API_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct slr_core;

enum slr_core_verb {
    SLR_CORE_STATUS, /* -> {"version","uptime_s","engine":{...stats or "connected":false},"calls",
                           "dialogs","draining","store":{"jobs","oldest_ms"}} */
    SLR_CORE_CALLS,  /* -> {"calls":[{"id","call","state","paused","start","channels","legs":[..],
                           "meta"}]}; id is the recording's id */
    SLR_CORE_PAUSE,  /* id, arg: it ends by itself after that many ms (0: as the engine's option
                        says) -> {"id","paused","at_ticks","max_ms"} */
    SLR_CORE_RESUME, /* id -> same */
    SLR_CORE_STOP,   /* id -> {"id","state"}: recording closed, BYE sent to its dialogs */
    SLR_CORE_DELETE, /* id -> {"removed":[..]}: asks the engine; SLR_BUSY while open */
    SLR_CORE_DRAIN,  /* on=1/0 -> {"draining"} */
    SLR_CORE_METRICS /* -> {"text": Prometheus text of core counters, "engine": counters} */
};

/*
 * id: recording id or (pause, resume, stop) the call's id; "" where not used. arg: verb's number.
 * *answer: new object owned by the caller, on errors possibly NULL or {"detail":...}. SLR_TIMEOUT,
 * SLR_NOTFOUND, SLR_STATE, SLR_CLOSED (no engine).
 */
enum slr_err slr_core_ask(struct slr_core *core, enum slr_core_verb verb, const char *id,
                          int64_t arg, uint32_t timeout_ms, json_t **answer) SLR_CHECKED;

#endif
