/*
 * http_access: who may ask: Host names of a loopback listener, bearer tokens.
 * Tokens are loaded at start and const afterwards; checks are pure, any thread. Takes outside
 * bytes.
 */
#ifndef SLR_CTL_HTTP_ACCESS_H
#define SLR_CTL_HTTP_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/slice.h"

#define SLR_HTTP_TOKENS_MAX 64
#define SLR_HTTP_TOKEN_MIN_BYTES 16
#define SLR_HTTP_ACTOR_SIZE 64

struct slr_http_tokens {
    size_t count;
    struct {
        char name[SLR_HTTP_ACTOR_SIZE];
        uint8_t digest[32]; /* SHA-256 of the token; the token itself is not kept */
    } token[SLR_HTTP_TOKENS_MAX];
};

/* Lines `NAME TOKEN`; blank lines and lines that start with # are skipped. SLR_FORMAT: a line of
 * another shape, a short token, a name given twice, or none at all; SLR_FULL: too many. */
enum slr_err slr_http_access_read_tokens(struct slr_slice text,
                                         struct slr_http_tokens *out) SLR_CHECKED;
/* The same from a file, which others than owner and group must not be able to read: SLR_DENIED;
 * SLR_IO. */
enum slr_err slr_http_access_load_tokens(const char *path, struct slr_http_tokens *out) SLR_CHECKED;

/* authorization: value of the header. The name of the token's line, or NULL. Takes the same time
 * for every wrong token. */
const char *slr_http_access_actor(const struct slr_http_tokens *tokens,
                                  struct slr_slice authorization);

/* Does a Host value (with any port or none) name this host: localhost, 127.0.0.1, [::1], own_ip
 * (text without brackets) or name (may be NULL)? Keeps web pages that rebind a DNS name out. */
bool slr_http_access_host_allowed(struct slr_slice host, const char *own_ip, const char *name);

#endif
