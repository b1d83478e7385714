/*
 * secure: one leg's SRTP, the sending side (RFC 3711, RFC 7714): session keys and ready contexts,
 * so that a packet costs its encryption and nothing else. Belongs to one thread at a time;
 * allocates at open.
 */
#ifndef SLR_LOAD_SECURE_H
#define SLR_LOAD_SECURE_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/srtp_suite.h"

#define SLR_SECURE_MORE_BYTES 20u /* by which a packet grows at most: tag, index of RTCP */

struct slr_secure;

/* The key of a leg, drawn. */
void slr_secure_key(struct slr_srtp_key *key, enum slr_srtp_suite suite, uint64_t seed,
                    uint32_t run_id, uint32_t call, uint32_t leg);

/* SLR_NOMEM, SLR_UNSUPPORTED. */
enum slr_err slr_secure_open(const struct slr_srtp_key *key, struct slr_secure **out) SLR_CHECKED;
void slr_secure_close(struct slr_secure *s);

/* Turns an RTP packet (header of 12 bytes) into SRTP in its place; index is its 48-bit number.
 * Gives the new length; 0: the library refused. `at` has SLR_SECURE_MORE_BYTES more. */
size_t slr_secure_rtp(struct slr_secure *s, uint8_t *at, size_t len_bytes, uint64_t index);

/* The same for a compound RTCP packet; index counts these, 31 bits. */
size_t slr_secure_rtcp(struct slr_secure *s, uint8_t *at, size_t len_bytes, uint32_t index);

#endif
