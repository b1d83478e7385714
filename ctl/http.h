/*
 * http: the API server (libmicrohttpd, threads of its own). Routes are the table routes.def, which
 * also gives the OpenAPI document. Access rules of docs/architecture.md (API).
 *
 * Every connection has a thread of its own, so that one that waits for a disk holds up no other;
 * how many may wait for a disk at once is bounded. These threads reach signalling only through
 * `ask`.
 */
#ifndef SLR_CTL_HTTP_H
#define SLR_CTL_HTTP_H

#include <stdint.h>

#include "common/err.h"
#include "common/net.h"
#include "ctl/core_api.h"
#include "ctl/store.h"

struct slr_http;

struct slr_http_config {
    const char *listen;             /* "ADDR:PORT"; port 0: any (see slr_http_port) */
    const char *data_dir;           /* DIR: core database in DIR/core, recordings in DIR/rec */
    const char *token_file;         /* NULL: none. Needed with TLS off loopback */
    const char *tls_cert, *tls_key; /* PEM files or NULL */
    const char *host_name; /* one more Host name that a loopback listener answers to, or NULL */
    struct slr_core *core;
    struct slr_store *store; /* for audit */
    /* How the signalling thread is asked; NULL: slr_core_ask. Tests put their own here. */
    enum slr_err (*ask)(struct slr_core *core, enum slr_core_verb verb, const char *id, int64_t arg,
                        uint32_t timeout_ms, json_t **answer);
};

/* Texts of cfg are copied. SLR_DENIED when the address is not loopback and TLS or token are
 * missing, or others can read the token file; SLR_INVAL (address), SLR_FORMAT (token file),
 * SLR_BUSY (port taken), SLR_IO, SLR_NOMEM; each is logged. */
enum slr_err slr_http_start(const struct slr_http_config *cfg, struct slr_http **out) SLR_CHECKED;
/* The port in use. */
uint16_t slr_http_port(const struct slr_http *h);
/* Ends all connections and waits for their threads. */
void slr_http_stop(struct slr_http *h);

#endif
