/*
 * srtp_crypt: see srtp_crypt.h. HMAC-SHA1 is kept as the two states after the padded key; the
 * digest functions of OpenSSL 1.1 work on such a state without allocating, those of 3.0 do not.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "engine/srtp_crypt.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#define AUTH_KEY_BYTES 20u
#define SHA1_BYTES 20u
#define SHA1_BLOCK_BITS 512u
#define RTCP_CLEAR_BYTES 8u
#define RTCP_ENCRYPTED 0x80000000u

/* SHA-1 after the key's block. */
struct sha_state {
    SHA_LONG h[5];
};

struct direction {
    EVP_CIPHER_CTX *cipher;
    uint8_t salt[SLR_SRTP_SALT_BYTES];
    struct sha_state inner, outer;
};

struct slr_srtp_crypt {
    const struct slr_srtp_suite_row *row;
    struct direction rtp, rtcp;
};

void slr_srtp_crypt_wipe(void *at, size_t len_bytes)
{
    OPENSSL_cleanse(at, len_bytes);
}

static const EVP_CIPHER *counter_mode(size_t key_bytes)
{
    return key_bytes == 16 ? EVP_aes_128_ctr() : EVP_aes_256_ctr();
}

/* AES counter mode over an IV of (label * 2^48 xor salt) * 2^16; a shorter salt has zeros behind.
 */
bool slr_srtp_crypt_derive(const struct slr_srtp_key *key, enum slr_srtp_label label, uint8_t *out,
                           size_t bytes)
{
    const struct slr_srtp_suite_row *row = slr_srtp_suite_row((enum slr_srtp_suite)key->suite);
    uint8_t iv[16] = {0};
    int n = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    memcpy(iv, key->salt, row->salt_bytes);
    iv[7] ^= (uint8_t)label;
    memset(out, 0, bytes);
    bool done = ctx &&
                EVP_EncryptInit_ex(ctx, counter_mode(row->key_bytes), NULL, key->key, iv) == 1 &&
                EVP_EncryptUpdate(ctx, out, &n, out, (int)bytes) == 1;
    EVP_CIPHER_CTX_free(ctx);
    OPENSSL_cleanse(iv, sizeof iv);
    return done;
}

static void sha_keep(const uint8_t pad[static 64], struct sha_state *out)
{
    SHA_CTX sha;
    SHA1_Init(&sha);
    SHA1_Update(&sha, pad, 64);
    *out = (struct sha_state){{sha.h0, sha.h1, sha.h2, sha.h3, sha.h4}};
    OPENSSL_cleanse(&sha, sizeof sha);
}

static void sha_resume(const struct sha_state *from, SHA_CTX *sha)
{
    SHA1_Init(sha);
    sha->h0 = from->h[0];
    sha->h1 = from->h[1];
    sha->h2 = from->h[2];
    sha->h3 = from->h[3];
    sha->h4 = from->h[4];
    sha->Nl = SHA1_BLOCK_BITS;
}

static bool open_mac(const struct slr_srtp_key *key, enum slr_srtp_label label, struct direction *d)
{
    uint8_t secret[AUTH_KEY_BYTES];
    uint8_t pad[64];
    bool done = slr_srtp_crypt_derive(key, label, secret, sizeof secret);
    memset(pad, 0x36, sizeof pad);
    for (size_t i = 0; i < sizeof secret; i++) {
        pad[i] ^= secret[i];
    }
    sha_keep(pad, &d->inner);
    for (size_t i = 0; i < sizeof pad; i++) {
        pad[i] ^= 0x36 ^ 0x5c;
    }
    sha_keep(pad, &d->outer);
    OPENSSL_cleanse(secret, sizeof secret);
    OPENSSL_cleanse(pad, sizeof pad);
    return done;
}

static bool open_direction(const struct slr_srtp_key *key, enum slr_srtp_label first,
                           struct direction *d)
{
    const struct slr_srtp_suite_row *row = slr_srtp_suite_row((enum slr_srtp_suite)key->suite);
    uint8_t secret[SLR_SRTP_KEY_BYTES];
    bool gcm = row->cipher == SLR_SRTP_GCM;
    const EVP_CIPHER *cipher = !gcm                   ? counter_mode(row->key_bytes)
                               : row->key_bytes == 16 ? EVP_aes_128_gcm()
                                                      : EVP_aes_256_gcm();
    d->cipher = EVP_CIPHER_CTX_new();
    bool done = d->cipher && slr_srtp_crypt_derive(key, first, secret, row->key_bytes) &&
                slr_srtp_crypt_derive(key, first + 2, d->salt, row->salt_bytes) &&
                EVP_DecryptInit_ex(d->cipher, cipher, NULL, secret, NULL) == 1 &&
                (gcm || open_mac(key, first + 1, d));
    OPENSSL_cleanse(secret, sizeof secret);
    return done;
}

enum slr_err slr_srtp_crypt_open(const struct slr_srtp_key *key, struct slr_srtp_crypt **out)
{
    if (key->suite == SLR_SRTP_NONE || key->suite >= SLR_SRTP_SUITE_COUNT) {
        return SLR_UNSUPPORTED;
    }
    struct slr_srtp_crypt *c = calloc(1, sizeof *c);
    if (!c) {
        return SLR_NOMEM;
    }
    c->row = slr_srtp_suite_row((enum slr_srtp_suite)key->suite);
    if (!open_direction(key, SLR_SRTP_LABEL_RTP_KEY, &c->rtp) ||
        !open_direction(key, SLR_SRTP_LABEL_RTCP_KEY, &c->rtcp)) {
        slr_srtp_crypt_close(c);
        return SLR_UNSUPPORTED;
    }
    *out = c;
    return SLR_OK;
}

void slr_srtp_crypt_close(struct slr_srtp_crypt *c)
{
    if (!c) {
        return;
    }
    EVP_CIPHER_CTX_free(c->rtp.cipher); /* wipes its key schedule */
    EVP_CIPHER_CTX_free(c->rtcp.cipher);
    OPENSSL_cleanse(c, sizeof *c);
    free(c);
}

static void put_u32(uint8_t at[static 4], uint32_t v)
{
    at[0] = (uint8_t)(v >> 24);
    at[1] = (uint8_t)(v >> 16);
    at[2] = (uint8_t)(v >> 8);
    at[3] = (uint8_t)v;
}

static void xor_bytes(uint8_t *at, const uint8_t *with, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        at[i] ^= with[i];
    }
}

static bool is_authentic(const struct direction *d, const uint8_t *in, size_t bytes, uint32_t word,
                         const uint8_t *tag, size_t tag_bytes)
{
    uint8_t digest[SHA1_BYTES];
    uint8_t tail[4];
    SHA_CTX sha;
    put_u32(tail, word);
    sha_resume(&d->inner, &sha);
    SHA1_Update(&sha, in, bytes);
    SHA1_Update(&sha, tail, sizeof tail);
    SHA1_Final(digest, &sha);
    sha_resume(&d->outer, &sha);
    SHA1_Update(&sha, digest, sizeof digest);
    SHA1_Final(digest, &sha);
    return CRYPTO_memcmp(digest, tag, tag_bytes) == 0;
}

/* RFC 3711 4.1.1: salt * 2^16 xor SSRC * 2^64 xor index * 2^16. */
static bool run_counter(const struct direction *d, const uint8_t *ssrc, uint64_t index,
                        const uint8_t *in, size_t bytes, uint8_t *out)
{
    uint8_t iv[16] = {0};
    int n = 0;
    memcpy(iv + 4, ssrc, 4);
    put_u32(iv + 8, (uint32_t)(index >> 16));
    iv[12] = (uint8_t)(index >> 8);
    iv[13] = (uint8_t)index;
    xor_bytes(iv, d->salt, SLR_SRTP_SALT_BYTES);
    return EVP_DecryptInit_ex(d->cipher, NULL, NULL, NULL, iv) == 1 &&
           EVP_DecryptUpdate(d->cipher, out, &n, in, (int)bytes) == 1;
}

/* What is authenticated only, in two parts; then what is decrypted, too. */
struct aead {
    const uint8_t *clear, *more, *in, *tag;
    size_t clear_bytes, more_bytes, in_bytes;
};

static bool run_gcm(const struct direction *d, uint8_t iv[static 12], const struct aead *a,
                    uint8_t *out)
{
    uint8_t tag[16];
    int n = 0;
    memcpy(tag, a->tag, sizeof tag);
    xor_bytes(iv, d->salt, 12);
    return EVP_DecryptInit_ex(d->cipher, NULL, NULL, NULL, iv) == 1 &&
           EVP_DecryptUpdate(d->cipher, NULL, &n, a->clear, (int)a->clear_bytes) == 1 &&
           (a->more_bytes == 0 ||
            EVP_DecryptUpdate(d->cipher, NULL, &n, a->more, (int)a->more_bytes) == 1) &&
           (a->in_bytes == 0 ||
            EVP_DecryptUpdate(d->cipher, out, &n, a->in, (int)a->in_bytes) == 1) &&
           EVP_CIPHER_CTX_ctrl(d->cipher, EVP_CTRL_AEAD_SET_TAG, sizeof tag, tag) == 1 &&
           EVP_DecryptFinal_ex(d->cipher, tag, &n) == 1;
}

bool slr_srtp_crypt_rtp(struct slr_srtp_crypt *c, const uint8_t *in, size_t header_bytes,
                        size_t body_bytes, const uint8_t *tag, uint64_t index, uint8_t *out)
{
    const struct direction *d = &c->rtp;
    bool good;
    if (c->row->cipher == SLR_SRTP_GCM) {
        uint8_t iv[12] = {0}; /* 0, SSRC, index (RFC 7714 8.1) */
        struct aead a = {.clear = in,
                         .clear_bytes = header_bytes,
                         .in = in + header_bytes,
                         .in_bytes = body_bytes - header_bytes,
                         .tag = tag};
        memcpy(iv + 2, in + 8, 4);
        put_u32(iv + 6, (uint32_t)(index >> 16));
        iv[10] = (uint8_t)(index >> 8);
        iv[11] = (uint8_t)index;
        good = run_gcm(d, iv, &a, out + header_bytes);
    } else {
        good = is_authentic(d, in, body_bytes, (uint32_t)(index >> 16), tag, c->row->tag_bytes) &&
               run_counter(d, in + 8, index, in + header_bytes, body_bytes - header_bytes,
                           out + header_bytes);
    }
    memcpy(out, in, header_bytes);
    return good;
}

bool slr_srtp_crypt_rtcp(struct slr_srtp_crypt *c, const uint8_t *in, size_t body_bytes,
                         const uint8_t *tag, uint32_t word, uint8_t *out)
{
    const struct direction *d = &c->rtcp;
    bool encrypted = (word & RTCP_ENCRYPTED) != 0;
    size_t clear = encrypted ? RTCP_CLEAR_BYTES : body_bytes;
    bool good;
    if (c->row->cipher == SLR_SRTP_GCM) {
        uint8_t iv[12] = {0}; /* 0, SSRC, 0, index (RFC 7714 9.1) */
        uint8_t tail[4];
        struct aead a = {.clear = in,
                         .clear_bytes = clear,
                         .more = tail,
                         .more_bytes = sizeof tail,
                         .in = in + clear,
                         .in_bytes = body_bytes - clear,
                         .tag = tag};
        put_u32(tail, word);
        memcpy(iv + 2, in + 4, 4);
        put_u32(iv + 8, word & ~RTCP_ENCRYPTED);
        good = run_gcm(d, iv, &a, out + clear);
    } else {
        good = is_authentic(d, in, body_bytes, word, tag, c->row->rtcp_tag_bytes) &&
               (!encrypted || run_counter(d, in + 4, word & ~RTCP_ENCRYPTED, in + clear,
                                          body_bytes - clear, out + clear));
    }
    memcpy(out, in, clear);
    return good;
}
