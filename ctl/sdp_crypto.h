/*
 * sdp_crypto: keys in session descriptions (RFC 4568): reading a=crypto, choosing among its lines,
 * our own key, and texts without keys for what is stored.
 *
 * Pure but for slr_sdp_crypto_make, which asks the kernel for random bytes; any thread, allocates
 * nothing. Who holds a struct slr_sdp_crypto wipes it.
 */
#ifndef SLR_CTL_SDP_CRYPTO_H
#define SLR_CTL_SDP_CRYPTO_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/slice.h"
#include "common/srtp_suite.h"

#define SLR_SDP_CRYPTO_MAX 6 /* lines that are kept */
#define SLR_SDP_CRYPTO_NAME_SIZE 32

/* One a=crypto line that we can use. */
struct slr_sdp_crypto {
    uint32_t tag;
    char name[SLR_SDP_CRYPTO_NAME_SIZE]; /* the suite as the peer spells it */
    uint8_t key_count;
    struct slr_srtp_key key[SLR_SRTP_KEYS];
};

/*
 * Reads the text after "a=crypto:". SLR_FORMAT: malformed. SLR_UNSUPPORTED: a suite, or a session
 * parameter, that we cannot do (no encryption or no authentication, derivation rates, keys of
 * forward error correction, unknown ones that are not marked as optional).
 */
enum slr_err slr_sdp_crypto_read(struct slr_slice value, struct slr_sdp_crypto *out) SLR_CHECKED;

/* The best of the lines, by the rank of its suite, then by order; NULL: there is none. */
const struct slr_sdp_crypto *slr_sdp_crypto_best(const struct slr_sdp_crypto *line, uint8_t count);
/* The line with that tag; NULL: there is none. */
const struct slr_sdp_crypto *slr_sdp_crypto_tagged(const struct slr_sdp_crypto *line, uint8_t count,
                                                   uint32_t tag);

/* A fresh key of our own. False: the kernel has no random bytes. */
bool slr_sdp_crypto_make(enum slr_srtp_suite suite, struct slr_srtp_key *out) SLR_CHECKED;

/* The keys of a line as the seam's field `srtp`; NULL gives an empty list. */
json_t *slr_sdp_crypto_json(const struct slr_sdp_crypto *line);

/* Shortens each key of a=crypto lines to `*`, in place. */
void slr_sdp_crypto_mask(char *text);

/* Puts key[i] where m-line i of a masked text has a `*`; a suite NONE leaves it. SLR_TOOLONG. */
enum slr_err slr_sdp_crypto_unmask(struct slr_slice text, const struct slr_srtp_key *key,
                                   uint8_t count, struct slr_put *out) SLR_CHECKED;

#endif
