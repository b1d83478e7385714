/*
 * srtp_crypt: one SRTP master key at work: key derivation (RFC 3711 4.3, rate 0), authentication
 * and decryption of one packet (RFC 3711, 6188, 7714).
 *
 * The only file of the engine that sees OpenSSL. What a leg keeps are keys alone, 96 bytes of which
 * a packet needs; the library's objects are those of the thread (struct slr_srtp_aes), and each
 * packet's key is put into them. An object of its own for each stream is faster with few streams
 * only: with 20,000 its memory is not in the cache, and the schedule is made sooner than fetched.
 * Both lie in process memory, belong to the thread that owns the leg and are made anew after a
 * restart. Only slr_srtp_aes_open allocates.
 */
#ifndef SLR_ENGINE_SRTP_CRYPT_H
#define SLR_ENGINE_SRTP_CRYPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/srtp_suite.h"

struct slr_srtp_aes;

/* SHA-1 after the block of a padded key. */
struct slr_srtp_sha {
    uint32_t h[5];
};

struct slr_srtp_direction {
    uint8_t key[SLR_SRTP_KEY_BYTES]; /* zeros behind a shorter one */
    uint8_t salt[SLR_SRTP_SALT_BYTES];
    struct slr_srtp_sha inner, outer; /* HMAC, not for GCM */
};

/* Who holds one wipes it (slr_srtp_crypt_wipe). What a packet of RTP needs comes first. */
struct slr_srtp_crypt {
    const struct slr_srtp_suite_row *row;
    struct slr_srtp_direction rtp, rtcp;
};

/* Of a thread. SLR_NOMEM, SLR_UNSUPPORTED when the library refuses the ciphers. */
enum slr_err slr_srtp_aes_open(struct slr_srtp_aes **out) SLR_CHECKED;
/* Nothing is left in them of the key that they had last; NULL is fine. For the end of a leg. */
void slr_srtp_aes_forget(struct slr_srtp_aes *x);
/* Wipes and frees; NULL is fine. */
void slr_srtp_aes_close(struct slr_srtp_aes *x);

/* Derives the session keys. SLR_UNSUPPORTED when the library refuses the cipher. */
enum slr_err slr_srtp_crypt_open(const struct slr_srtp_key *key,
                                 struct slr_srtp_crypt *out) SLR_CHECKED;

/*
 * in[0, header_bytes) is the RTP header with extension, up to body_bytes is what was encrypted, at
 * `tag` is the tag as the suite has it; `index` is the packet's 48 bits. True: authentic, and out
 * holds body_bytes of plain packet. False: out holds nothing of use.
 */
bool slr_srtp_crypt_rtp(struct slr_srtp_aes *x, const struct slr_srtp_crypt *c, const uint8_t *in,
                        size_t header_bytes, size_t body_bytes, const uint8_t *tag, uint64_t index,
                        uint8_t *out);

/* The same for RTCP; body_bytes >= 8, `word` is the E flag and the index as sent. */
bool slr_srtp_crypt_rtcp(struct slr_srtp_aes *x, const struct slr_srtp_crypt *c, const uint8_t *in,
                         size_t body_bytes, const uint8_t *tag, uint32_t word, uint8_t *out);

/* RFC 3711 4.3.2; those of RTCP begin at 3 in the same order. */
enum slr_srtp_label { SLR_SRTP_LABEL_RTP_KEY, SLR_SRTP_LABEL_RTCP_KEY = 3 };

/* One derived key: the label, or 1 (authentication), 2 (salt) beyond it. False: no memory. */
bool slr_srtp_crypt_derive(const struct slr_srtp_key *key, enum slr_srtp_label label, uint8_t *out,
                           size_t bytes);

/* Makes memory forget a key, whatever the compiler thinks of it. */
void slr_srtp_crypt_wipe(void *at, size_t len_bytes);

#endif
