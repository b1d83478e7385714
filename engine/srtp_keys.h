/*
 * srtp_keys: SRTP keys from a file, for captures whose signalling does not tell them.
 *
 * One a line: [SUITE:]BASE64[@SSRC]. Without a suite the length says which (AES-CM with tags of 80
 * bits, or GCM); without an SSRC it is for every stream. Read once at start, const afterwards.
 */
#ifndef SLR_ENGINE_SRTP_KEYS_H
#define SLR_ENGINE_SRTP_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/slice.h"
#include "common/srtp_suite.h"

#define SLR_SRTP_FILE_KEYS 64u

struct slr_srtp_keys {
    struct slr_srtp_key key[SLR_SRTP_FILE_KEYS];
    uint32_t ssrc[SLR_SRTP_FILE_KEYS];
    bool any[SLR_SRTP_FILE_KEYS]; /* for every SSRC */
    uint32_t count;
};

/* Reads the text of a file; blank lines and those with # are left out. SLR_FORMAT, SLR_FULL. */
enum slr_err slr_srtp_keys_read(struct slr_slice text, struct slr_srtp_keys *out) SLR_CHECKED;

/* The same from a file (64 KiB at most), with a log event on failure. */
enum slr_err slr_srtp_keys_load(const char *path, struct slr_srtp_keys *out) SLR_CHECKED;

/* The keys for one SSRC, its own before those for all; NULL: of all SSRCs. Returns how many. */
uint32_t slr_srtp_keys_for(const struct slr_srtp_keys *keys, const uint32_t *ssrc,
                           struct slr_srtp_key out[static SLR_SRTP_KEYS]);

#endif
