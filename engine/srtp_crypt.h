/*
 * srtp_crypt: one SRTP master key at work: key derivation (RFC 3711 4.3, rate 0), authentication
 * and decryption of one packet (RFC 3711, 6188, 7714).
 *
 * The only file of the engine that sees OpenSSL. An object lies in process memory, belongs to the
 * thread that owns the leg and is made anew from the key after a restart. Allocates at open, never
 * for a packet.
 */
#ifndef SLR_ENGINE_SRTP_CRYPT_H
#define SLR_ENGINE_SRTP_CRYPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/srtp_suite.h"

struct slr_srtp_crypt;

/* Derives the session keys. SLR_NOMEM, SLR_UNSUPPORTED when the library refuses the cipher. */
enum slr_err slr_srtp_crypt_open(const struct slr_srtp_key *key,
                                 struct slr_srtp_crypt **out) SLR_CHECKED;
/* Wipes and frees; NULL is fine. */
void slr_srtp_crypt_close(struct slr_srtp_crypt *c);

/*
 * in[0, header_bytes) is the RTP header with extension, up to body_bytes is what was encrypted, at
 * `tag` is the tag as the suite has it; `index` is the packet's 48 bits. True: authentic, and out
 * holds body_bytes of plain packet. False: out holds nothing of use.
 */
bool slr_srtp_crypt_rtp(struct slr_srtp_crypt *c, const uint8_t *in, size_t header_bytes,
                        size_t body_bytes, const uint8_t *tag, uint64_t index, uint8_t *out);

/* The same for RTCP; body_bytes >= 8, `word` is the E flag and the index as sent. */
bool slr_srtp_crypt_rtcp(struct slr_srtp_crypt *c, const uint8_t *in, size_t body_bytes,
                         const uint8_t *tag, uint32_t word, uint8_t *out);

/* RFC 3711 4.3.2; those of RTCP begin at 3 in the same order. */
enum slr_srtp_label { SLR_SRTP_LABEL_RTP_KEY, SLR_SRTP_LABEL_RTCP_KEY = 3 };

/* One derived key: the label, or 1 (authentication), 2 (salt) beyond it. False: no memory. */
bool slr_srtp_crypt_derive(const struct slr_srtp_key *key, enum slr_srtp_label label, uint8_t *out,
                           size_t bytes);

/* Makes memory forget a key, whatever the compiler thinks of it. */
void slr_srtp_crypt_wipe(void *at, size_t len_bytes);

#endif
