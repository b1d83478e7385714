/*
 * srtp_suite: the SRTP crypto suites by their names in SDP (RFC 4568, 6188, 7714), and a master
 * key with its salt as both programs pass it along.
 *
 * Pure, any thread, allocates nothing. Who holds a struct slr_srtp_key wipes it.
 */
#ifndef SLR_COMMON_SRTP_SUITE_H
#define SLR_COMMON_SRTP_SUITE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/slice.h"

#define SLR_SRTP_KEYS 4u /* of one crypto line, told apart by MKI */
#define SLR_SRTP_KEY_BYTES 32u
#define SLR_SRTP_SALT_BYTES 14u
#define SLR_SRTP_MKI_BYTES 128u
#define SLR_SRTP_KEY_TEXT_SIZE 65u /* key and salt in base64 */

enum slr_srtp_suite {
    SLR_SRTP_NONE,
#define SUITE(id, name, cipher, key, salt, tag, rtcp_tag, rank) SLR_SRTP_##id,
#include "common/srtp_suite.def"
#undef SUITE
    SLR_SRTP_SUITE_COUNT
};

enum slr_srtp_cipher { SLR_SRTP_CM, SLR_SRTP_GCM };

struct slr_srtp_suite_row {
    const char *name;
    uint8_t cipher; /* enum slr_srtp_cipher */
    uint8_t key_bytes, salt_bytes;
    uint8_t tag_bytes, rtcp_tag_bytes;
    uint8_t rank;
};

/* A master key. Lies in the engine's state file as it is: no pointers. */
struct slr_srtp_key {
    uint8_t suite;   /* enum slr_srtp_suite */
    uint8_t mki_len; /* bytes in each packet, 0: none */
    uint8_t key[SLR_SRTP_KEY_BYTES];
    uint8_t salt[SLR_SRTP_SALT_BYTES];
    uint64_t mki; /* the identifier's value, sent big endian in mki_len bytes */
};

/* The row of a suite that is not NONE. */
const struct slr_srtp_suite_row *slr_srtp_suite_row(enum slr_srtp_suite suite);

/* By name, letters of either case (peers differ). SLR_SRTP_NONE: not one of ours. */
enum slr_srtp_suite slr_srtp_suite_find(struct slr_slice name);

/* Key and salt out of "base64(key || salt)", padding optional; key->suite says the lengths.
 * SLR_FORMAT. */
enum slr_err slr_srtp_key_text(struct slr_slice text, struct slr_srtp_key *key) SLR_CHECKED;

/* The other way round, NUL terminated. */
void slr_srtp_key_format(const struct slr_srtp_key *key, char out[static SLR_SRTP_KEY_TEXT_SIZE]);

#endif
