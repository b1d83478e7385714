/*
 * core: the signalling thread's life: it opens the store, the SIP agent, the link to the engine and
 * the API, restores what was going on, runs the loop, and answers the API (core_api.h).
 */
#ifndef SLR_CTL_CORE_H
#define SLR_CTL_CORE_H

#include <stdbool.h>

#include "common/err.h"
#include "common/options.h"
#include "ctl/core_api.h"

/* Filled from the command line (core_main.c); const after start. */
struct slr_core_config {
    const char *engine;            /* the engine's control socket */
    const char *sniffer;           /* HOST:PORT of another engine's event stream, or NULL */
    const char *sniffer_key;       /* file with the key for it, or NULL */
    const char *sip_udp, *sip_tcp; /* ADDR:PORT, port 0 any; NULL: none */
    uint32_t sip_tcp_idle_s;       /* 0: connections may be idle for ever */
    const char *http;              /* ADDR:PORT or NULL */
    const char *data;              /* DIR: database in DIR/core, recordings in DIR/rec */
    struct slr_option_list sip_allow;
    const char *api_token_file, *tls_cert, *tls_key;
    const char *name;
    const char *log;
    const char *compression;       /* none, opus, gsm or flac; NULL: the engine's own choice */
    const char *mime_type_default; /* of recordings where compression is none */
    const char *layout;            /* channels, mix, legs */
    uint32_t rate_hz;              /* 0: as recorded */
    bool cut_pauses;
    bool import;     /* no listeners, end after the capture's end, ids from its time */
    bool supervised; /* started by the small supervisor: end when it goes */
};

/* Opens everything; what is listened on is logged (`sip_listening`, `http_listening`) and written
 * to DIR/core/ports.json. Signals TERM, INT, HUP and PIPE must be blocked by the caller before
 * (threads inherit it). Errors as of the parts; each is logged. */
enum slr_err slr_core_open(const struct slr_core_config *cfg, struct slr_core **out) SLR_CHECKED;

/* Runs until SIGTERM, SIGINT or, with `import`, the end of the capture. Calls go on in the engine
 * and in the store. Returns the process's exit status. */
int slr_core_run(struct slr_core *core);

/* NULL is allowed. */
void slr_core_close(struct slr_core *core);

#endif
