/*
 * seam_server: the engine's end of the seam (docs/seam.md): connections of cores, their commands in
 * order, and the event log to each of them from its cursor on.
 *
 * A core that stops reading keeps its place in the log only; what is queued for it is bounded, then
 * it is disconnected. Control thread; allocates for connections, answers and frames.
 */
#ifndef SLR_ENGINE_SEAM_SERVER_H
#define SLR_ENGINE_SEAM_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/err.h"
#include "engine/evlog.h"
#include "engine/loop.h"
#include "engine/seam_cmd.h"
#include "engine/srv.h"

struct slr_seam_server_config {
    const char *path; /* NULL: nothing listens, connections come by slr_seam_server_adopt */
    struct slr_loop *loop;
    struct slr_evlog *log;
    struct slr_srv_counters *counters;
    struct slr_seam_cmd_env env; /* engine is set by slr_seam_server_engine */
};

struct slr_seam_server;

/* Nothing listens before slr_seam_server_engine. SLR_NOMEM. */
enum slr_err slr_seam_server_open(const struct slr_seam_server_config *cfg,
                                  struct slr_seam_server **out) SLR_CHECKED;
/* Closes all connections and removes the socket. */
void slr_seam_server_close(struct slr_seam_server *s);

/* The engine is there: listens from now on, so whoever gets through finds the sessions restored and
 * their ports bound. NULL: it is gone, commands are answered with STATE. Errors of slr_seam_listen,
 * with a log event. */
enum slr_err slr_seam_server_engine(struct slr_seam_server *s, struct slr_engine *e) SLR_CHECKED;

/* Serves a connected stream socket like an accepted one; fd is the server's in any case. */
enum slr_err slr_seam_server_adopt(struct slr_seam_server *s, int fd) SLR_CHECKED;

/* Sends events to those that have room. True: there is more to do at once. */
bool slr_seam_server_pump(struct slr_seam_server *s);
/* Once a second: drops those that don't read. */
void slr_seam_server_tick(struct slr_seam_server *s, slr_mono now);

/* Connections, those among them that said hello, and the highest event number any of those
 * acknowledged. */
uint32_t slr_seam_server_connections(const struct slr_seam_server *s);
uint32_t slr_seam_server_cores(const struct slr_seam_server *s);
uint64_t slr_seam_server_acked(const struct slr_seam_server *s);
/* True when every core has been sent all events, and its socket took all bytes. */
bool slr_seam_server_idle(const struct slr_seam_server *s);

#endif
