/*
 * sniffer_reader: a reader of another engine's event stream (docs/sniffer.md): one TCP connection
 * inside the signalling loop, HEP framing, hello, acknowledgements, and reconnecting.
 *
 * Owned by the signalling thread; all hooks are called there and must not close the reader.
 */
#ifndef SLR_CTL_SNIFFER_READER_H
#define SLR_CTL_SNIFFER_READER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/slice.h"
#include "ctl/sofia.h"

#define SLR_SNIFFER_READER_RETRY_MS 500 /* doubled up to */
#define SLR_SNIFFER_READER_RETRY_MAX_MS 30000
#define SLR_SNIFFER_READER_HELLO_MS 10000
#define SLR_SNIFFER_READER_KEY_SIZE 256

struct slr_sniffer_reader;

struct slr_sniffer_reader_hooks {
    void *ctx;
    int64_t (*resume_after)(void *ctx);            /* event number for the hello */
    bool (*up)(void *ctx, const json_t *hello);    /* its member "hello"; false: connect anew */
    void (*message)(void *ctx, const json_t *msg); /* any later object, borrowed */
    void (*idle)(void *ctx);                       /* all that was readable has been handed out */
    void (*tick)(void *ctx);                       /* twice a second, connected or not */
    void (*malformed)(void *ctx);                  /* what came closes the connection */
};

struct slr_sniffer_reader_config {
    su_root_t *root;
    const char *address;  /* HOST:PORT; a name is looked up here, once */
    const char *name;     /* of this reader, 1 to 63 bytes; borrowed */
    const char *key_file; /* NULL: none; read here */
    struct slr_sniffer_reader_hooks hooks;
};

/* Starts connecting in the background. SLR_INVAL: address or key cannot be used (logged);
 * SLR_NOTFOUND: the name is unknown; SLR_NOMEM; or why the key cannot be read. */
enum slr_err slr_sniffer_reader_open(const struct slr_sniffer_reader_config *cfg,
                                     struct slr_sniffer_reader **out) SLR_CHECKED;
/* NULL is allowed. */
void slr_sniffer_reader_close(struct slr_sniffer_reader *r);

/* {"ack":n} and {"snapshot":true}. Lost when there is no connection. NULL is allowed. */
void slr_sniffer_reader_ack(struct slr_sniffer_reader *r, int64_t n);
void slr_sniffer_reader_ask_snapshot(struct slr_sniffer_reader *r);

/* Takes the packet at the front of the stream, which moves past it. SLR_OK: *msg is its JSON
 * object, the caller's, or NULL for a packet that carries something else (pseudo-SIP); SLR_AGAIN:
 * it is not whole yet; SLR_FORMAT: no HEP v3, or JSON that is none. Pure. */
enum slr_err slr_sniffer_reader_next(struct slr_slice *stream, json_t **msg) SLR_CHECKED;

#endif
