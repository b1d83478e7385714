/*
 * secure: see the header. HMAC-SHA1 is kept as the two states after the padded key, which the
 * digest functions of OpenSSL 1.1 can go on from without allocating.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "load/secure.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "load/draw.h"

#define HEADER_BYTES 12u
#define RTCP_HEADER_BYTES 8u
#define TAG_BYTES 16u /* AEAD */
#define ENCRYPTED 0x80000000u

struct side { /* RTP or RTCP */
    EVP_CIPHER_CTX *cipher;
    uint8_t salt[14];
    SHA_CTX inner, outer;
};

struct slr_secure {
    const struct slr_srtp_suite_row *row;
    struct side rtp, rtcp;
};

static void put32(uint8_t *at, uint32_t v)
{
    at[0] = (uint8_t)(v >> 24);
    at[1] = (uint8_t)(v >> 16);
    at[2] = (uint8_t)(v >> 8);
    at[3] = (uint8_t)v;
}

void slr_secure_key(struct slr_srtp_key *key, enum slr_srtp_suite suite, uint64_t seed,
                    uint32_t run_id, uint32_t call, uint32_t leg)
{
    memset(key, 0, sizeof *key);
    key->suite = (uint8_t)suite;
    for (uint32_t i = 0; i < sizeof key->key; i++) {
        key->key[i] = (uint8_t)slr_draw(seed ^ run_id, SLR_DRAW_KEY, call, leg, i);
    }
    for (uint32_t i = 0; i < sizeof key->salt; i++) {
        key->salt[i] = (uint8_t)slr_draw(seed ^ run_id, SLR_DRAW_KEY, call, leg, 64 + i);
    }
}

/* RFC 3711 4.3.1 and 4.3.3: AES in counter mode of the salt with the label in it. */
static bool derive(const struct slr_srtp_key *key, uint8_t label, uint8_t *out, size_t bytes)
{
    const struct slr_srtp_suite_row *row = slr_srtp_suite_row((enum slr_srtp_suite)key->suite);
    const EVP_CIPHER *cipher = row->key_bytes == 16 ? EVP_aes_128_ctr() : EVP_aes_256_ctr();
    uint8_t iv[16] = {0};
    uint8_t zero[32] = {0};
    int n = 0;
    memcpy(iv, key->salt, row->salt_bytes);
    iv[7] ^= label;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool done = ctx && bytes <= sizeof zero &&
                EVP_EncryptInit_ex(ctx, cipher, NULL, key->key, iv) == 1 &&
                EVP_EncryptUpdate(ctx, out, &n, zero, (int)bytes) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return done;
}

static void key_hash(SHA_CTX *sha, const uint8_t secret[static 20], uint8_t pad)
{
    uint8_t block[64];
    memset(block, pad, sizeof block);
    for (int i = 0; i < 20; i++) {
        block[i] ^= secret[i];
    }
    SHA1_Init(sha);
    SHA1_Update(sha, block, sizeof block);
}

static bool open_side(struct side *d, const struct slr_srtp_key *key, uint8_t label)
{
    const struct slr_srtp_suite_row *row = slr_srtp_suite_row((enum slr_srtp_suite)key->suite);
    uint8_t secret[32];
    bool wide = row->key_bytes == 32;
    const EVP_CIPHER *cipher = row->cipher == SLR_SRTP_GCM
                                   ? (wide ? EVP_aes_256_gcm() : EVP_aes_128_gcm())
                                   : (wide ? EVP_aes_256_ctr() : EVP_aes_128_ctr());
    d->cipher = EVP_CIPHER_CTX_new();
    bool done = d->cipher && derive(key, label, secret, row->key_bytes) &&
                EVP_EncryptInit_ex(d->cipher, cipher, NULL, secret, NULL) == 1 &&
                derive(key, (uint8_t)(label + 2), d->salt, row->salt_bytes);
    if (done && row->cipher != SLR_SRTP_GCM) {
        done = derive(key, (uint8_t)(label + 1), secret, 20);
        key_hash(&d->inner, secret, 0x36);
        key_hash(&d->outer, secret, 0x5c);
    }
    OPENSSL_cleanse(secret, sizeof secret);
    return done;
}

enum slr_err slr_secure_open(const struct slr_srtp_key *key, struct slr_secure **out)
{
    struct slr_secure *s = calloc(1, sizeof *s);
    if (!s) {
        return SLR_NOMEM;
    }
    s->row = slr_srtp_suite_row((enum slr_srtp_suite)key->suite);
    if (!open_side(&s->rtp, key, 0) || !open_side(&s->rtcp, key, 3)) {
        slr_secure_close(s);
        return SLR_UNSUPPORTED;
    }
    *out = s;
    return SLR_OK;
}

void slr_secure_close(struct slr_secure *s)
{
    if (s) {
        EVP_CIPHER_CTX_free(s->rtp.cipher);
        EVP_CIPHER_CTX_free(s->rtcp.cipher);
        OPENSSL_cleanse(s, sizeof *s);
        free(s);
    }
}

/* RFC 3711 4.1.1. */
static bool run_counter(struct side *d, uint32_t ssrc_at, uint8_t *packet, uint64_t index,
                        uint8_t *at, size_t bytes)
{
    uint8_t iv[16] = {0};
    int n = 0;
    memcpy(iv, d->salt, sizeof d->salt);
    for (uint32_t i = 0; i < 4; i++) {
        iv[4 + i] ^= packet[ssrc_at + i];
    }
    for (uint32_t i = 0; i < 6; i++) {
        iv[8 + i] ^= (uint8_t)(index >> (40 - 8 * i));
    }
    return EVP_EncryptInit_ex(d->cipher, NULL, NULL, NULL, iv) == 1 &&
           EVP_EncryptUpdate(d->cipher, at, &n, at, (int)bytes) == 1;
}

static void sign(const struct side *d, const uint8_t *at, size_t bytes, uint32_t word,
                 uint8_t digest[static 20])
{
    uint8_t tail[4];
    SHA_CTX sha = d->inner;
    put32(tail, word);
    SHA1_Update(&sha, at, bytes);
    SHA1_Update(&sha, tail, sizeof tail);
    SHA1_Final(digest, &sha);
    sha = d->outer;
    SHA1_Update(&sha, digest, 20);
    SHA1_Final(digest, &sha);
}

/* RFC 7714: what is clear in two parts, what is encrypted in its place, the tag behind it. */
static bool run_gcm(struct side *d, const uint8_t nonce[static 12], const uint8_t *clear,
                    size_t clear_bytes, const uint8_t *more, size_t more_bytes, uint8_t *at,
                    size_t bytes)
{
    uint8_t iv[12];
    int n = 0;
    for (uint32_t i = 0; i < sizeof iv; i++) {
        iv[i] = nonce[i] ^ d->salt[i];
    }
    return EVP_EncryptInit_ex(d->cipher, NULL, NULL, NULL, iv) == 1 &&
           EVP_EncryptUpdate(d->cipher, NULL, &n, clear, (int)clear_bytes) == 1 &&
           (more_bytes == 0 ||
            EVP_EncryptUpdate(d->cipher, NULL, &n, more, (int)more_bytes) == 1) &&
           EVP_EncryptUpdate(d->cipher, at, &n, at, (int)bytes) == 1 &&
           EVP_EncryptFinal_ex(d->cipher, at + bytes, &n) == 1 &&
           EVP_CIPHER_CTX_ctrl(d->cipher, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, at + bytes) == 1;
}

size_t slr_secure_rtp(struct slr_secure *s, uint8_t *at, size_t len_bytes, uint64_t index)
{
    size_t body = len_bytes - HEADER_BYTES;
    if (s->row->cipher == SLR_SRTP_GCM) {
        uint8_t nonce[12] = {0};
        memcpy(nonce + 2, at + 8, 4);
        put32(nonce + 6, (uint32_t)(index >> 16));
        nonce[10] = (uint8_t)(index >> 8);
        nonce[11] = (uint8_t)index;
        return run_gcm(&s->rtp, nonce, at, HEADER_BYTES, NULL, 0, at + HEADER_BYTES, body)
                   ? len_bytes + TAG_BYTES
                   : 0;
    }
    uint8_t digest[20];
    if (!run_counter(&s->rtp, 8, at, index, at + HEADER_BYTES, body)) {
        return 0;
    }
    sign(&s->rtp, at, len_bytes, (uint32_t)(index >> 16), digest);
    memcpy(at + len_bytes, digest, s->row->tag_bytes);
    return len_bytes + s->row->tag_bytes;
}

size_t slr_secure_rtcp(struct slr_secure *s, uint8_t *at, size_t len_bytes, uint32_t index)
{
    uint8_t *body = at + RTCP_HEADER_BYTES;
    size_t bytes = len_bytes - RTCP_HEADER_BYTES;
    uint8_t word[4];
    put32(word, index | ENCRYPTED);
    if (s->row->cipher == SLR_SRTP_GCM) {
        uint8_t nonce[12] = {0};
        memcpy(nonce + 2, at + 4, 4);
        put32(nonce + 8, index);
        if (!run_gcm(&s->rtcp, nonce, at, RTCP_HEADER_BYTES, word, 4, body, bytes)) {
            return 0;
        }
        memcpy(at + len_bytes + TAG_BYTES, word, 4);
        return len_bytes + TAG_BYTES + 4;
    }
    uint8_t digest[20];
    if (!run_counter(&s->rtcp, 4, at, index, body, bytes)) {
        return 0;
    }
    memcpy(at + len_bytes, word, 4);
    sign(&s->rtcp, at, len_bytes, index | ENCRYPTED, digest);
    memcpy(at + len_bytes + 4, digest, s->row->rtcp_tag_bytes);
    return len_bytes + 4 + s->row->rtcp_tag_bytes;
}
