/*
 * srtp_crypt: see srtp_crypt.h. The rounds are OpenSSL's; what is ours is how they are put together
 * so that a stream needs no object of the library's:
 *
 * HMAC-SHA1 is kept as the two states after the padded key, 20 bytes each. The digest functions of
 * OpenSSL 1.1 go on from such a state without allocating, those of 3.0 cannot be given one; hence
 * the deprecated ones.
 *
 * Counter mode is AES (ECB) over blocks counted here: EVP's own takes longer to take an IV than ECB
 * to take a key. For GCM the stream of a whole packet, with the hash key and the mask of the tag,
 * is one call as well, and GHASH is CRYPTO_gcm128_*, which EVP's GCM stands on: with a key for each
 * packet two thirds of what EVP takes.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "engine/srtp_crypt.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/modes.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#define AUTH_KEY_BYTES 20u
#define SHA1_BYTES 20u
#define SHA1_BLOCK_BITS 512u
#define RTCP_CLEAR_BYTES 8u
#define RTCP_ENCRYPTED 0x80000000u
#define BLOCK_BYTES 16u
#define STREAM_BLOCKS 130u /* two of GCM's own and 2 KiB: longer packets are done in parts */

struct slr_srtp_aes {
    EVP_CIPHER_CTX *ecb[2]; /* keys of 16 bytes, of 32 */
    GCM128_CONTEXT *gcm;
    EVP_CIPHER_CTX *at_work; /* which of ecb has the key; NULL: none */
    bool hashing;            /* gcm has it, too */
    uint8_t key[SLR_SRTP_KEY_BYTES];
    uint32_t first; /* counter of stream[0] */
    uint32_t count; /* blocks of the stream that are made */
    uint8_t stream[STREAM_BLOCKS][BLOCK_BYTES];
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

static void sha_keep(const uint8_t pad[static 64], struct slr_srtp_sha *out)
{
    SHA_CTX sha;
    SHA1_Init(&sha);
    SHA1_Update(&sha, pad, 64);
    *out = (struct slr_srtp_sha){{sha.h0, sha.h1, sha.h2, sha.h3, sha.h4}};
    OPENSSL_cleanse(&sha, sizeof sha);
}

static void sha_resume(const struct slr_srtp_sha *from, SHA_CTX *sha)
{
    SHA1_Init(sha);
    sha->h0 = from->h[0];
    sha->h1 = from->h[1];
    sha->h2 = from->h[2];
    sha->h3 = from->h[3];
    sha->h4 = from->h[4];
    sha->Nl = SHA1_BLOCK_BITS;
}

static bool open_mac(const struct slr_srtp_key *key, enum slr_srtp_label label,
                     struct slr_srtp_direction *d)
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
                           struct slr_srtp_direction *d)
{
    const struct slr_srtp_suite_row *row = slr_srtp_suite_row((enum slr_srtp_suite)key->suite);
    return slr_srtp_crypt_derive(key, first, d->key, row->key_bytes) &&
           slr_srtp_crypt_derive(key, first + 2, d->salt, row->salt_bytes) &&
           (row->cipher == SLR_SRTP_GCM || open_mac(key, first + 1, d));
}

enum slr_err slr_srtp_crypt_open(const struct slr_srtp_key *key, struct slr_srtp_crypt *out)
{
    if (key->suite == SLR_SRTP_NONE || key->suite >= SLR_SRTP_SUITE_COUNT) {
        return SLR_UNSUPPORTED;
    }
    memset(out, 0, sizeof *out);
    out->row = slr_srtp_suite_row((enum slr_srtp_suite)key->suite);
    if (!open_direction(key, SLR_SRTP_LABEL_RTP_KEY, &out->rtp) ||
        !open_direction(key, SLR_SRTP_LABEL_RTCP_KEY, &out->rtcp)) {
        OPENSSL_cleanse(out, sizeof *out);
        return SLR_UNSUPPORTED;
    }
    return SLR_OK;
}

static void put_u32(uint8_t at[static 4], uint32_t v)
{
    at[0] = (uint8_t)(v >> 24);
    at[1] = (uint8_t)(v >> 16);
    at[2] = (uint8_t)(v >> 8);
    at[3] = (uint8_t)v;
}

static uint32_t get_u32(const uint8_t at[static 4])
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void xor_bytes(uint8_t *at, const uint8_t *with, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        at[i] ^= with[i];
    }
}

/* ---- the ciphers of a thread ---- */

/* What GCM asks for is in the stream. */
static void take_block(const unsigned char in[16], unsigned char out[16], const void *key)
{
    const struct slr_srtp_aes *x = key;
    uint32_t i = get_u32(in + 12) - x->first;
    int n = 0;
    if (i < x->count) {
        memcpy(out, x->stream[i], BLOCK_BYTES);
    } else {
        (void)EVP_EncryptUpdate(x->at_work, out, &n, in, BLOCK_BYTES);
    }
}

static void xor_stream(const uint8_t *in, const uint8_t *stream, size_t bytes, uint8_t *out)
{
    size_t i = 0;
    for (; i + sizeof(uint64_t) <= bytes; i += sizeof(uint64_t)) {
        uint64_t a, b;
        memcpy(&a, in + i, sizeof a);
        memcpy(&b, stream + i, sizeof b);
        a ^= b;
        memcpy(out + i, &a, sizeof a);
    }
    for (; i < bytes; i++) {
        out[i] = in[i] ^ stream[i];
    }
}

static void take_blocks(const unsigned char *in, unsigned char *out, size_t blocks, const void *key,
                        const unsigned char ivec[16])
{
    const struct slr_srtp_aes *x = key;
    uint32_t i = get_u32(ivec + 12) - x->first;
    assert(i <= x->count && blocks <= x->count - i);
    xor_stream(in, x->stream[i], blocks * BLOCK_BYTES, out);
}

enum slr_err slr_srtp_aes_open(struct slr_srtp_aes **out)
{
    static const char *const names[2] = {"AES-128-ECB", "AES-256-ECB"};
    struct slr_srtp_aes *x = calloc(1, sizeof *x);
    if (!x) {
        return SLR_NOMEM;
    }
    bool done = true;
    for (int i = 0; i < 2; i++) {
        EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, names[i], NULL);
        x->ecb[i] = EVP_CIPHER_CTX_new();
        done = done && cipher && x->ecb[i] &&
               EVP_EncryptInit_ex(x->ecb[i], cipher, NULL, x->key, NULL) == 1;
        EVP_CIPHER_free(cipher);
    }
    x->at_work = x->ecb[0];
    x->gcm = done ? CRYPTO_gcm128_new(x, take_block) : NULL;
    x->at_work = NULL;
    if (!x->gcm) {
        slr_srtp_aes_close(x);
        return SLR_UNSUPPORTED;
    }
    *out = x;
    return SLR_OK;
}

void slr_srtp_aes_forget(struct slr_srtp_aes *x)
{
    static const uint8_t zeros[BLOCK_BYTES];
    if (!x) {
        return;
    }
    OPENSSL_cleanse(x->key, sizeof x->key);
    OPENSSL_cleanse(x->stream, sizeof x->stream);
    for (int i = 0; i < 2; i++) {
        (void)EVP_EncryptInit_ex(x->ecb[i], NULL, NULL, x->key, NULL);
    }
    x->at_work = x->ecb[0];
    x->count = 0;
    CRYPTO_gcm128_init(x->gcm, x, take_block); /* clears all of it */
    CRYPTO_gcm128_setiv(x->gcm, zeros, 12);
    x->at_work = NULL;
    x->hashing = false;
}

void slr_srtp_aes_close(struct slr_srtp_aes *x)
{
    if (!x) {
        return;
    }
    CRYPTO_gcm128_release(x->gcm); /* these wipe what they have */
    EVP_CIPHER_CTX_free(x->ecb[0]);
    EVP_CIPHER_CTX_free(x->ecb[1]);
    OPENSSL_cleanse(x, sizeof *x);
    free(x);
}

/* The key of the last packet is there still: several packets of one stream follow each other, or
 * several indices are tried for one. */
static bool use_key(struct slr_srtp_aes *x, const struct slr_srtp_suite_row *row,
                    const struct slr_srtp_direction *d)
{
    EVP_CIPHER_CTX *ecb = x->ecb[row->key_bytes > 16];
    if (x->at_work == ecb && memcmp(x->key, d->key, sizeof x->key) == 0) {
        return true;
    }
    x->at_work = NULL;
    x->hashing = false;
    if (EVP_EncryptInit_ex(ecb, NULL, NULL, d->key, NULL) != 1) {
        return false;
    }
    memcpy(x->key, d->key, sizeof x->key);
    x->at_work = ecb;
    return true;
}

/* Blocks with the counters first, first + 1 ... beyond that of `iv`, to be encrypted. */
static void count_blocks(struct slr_srtp_aes *x, const uint8_t iv[static BLOCK_BYTES],
                         uint32_t first, uint32_t count)
{
    uint32_t word = get_u32(iv + 12) + first;
    x->first = first;
    x->count = count;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(x->stream[i], iv, 12);
        put_u32(x->stream[i] + 12, word + i);
    }
}

static bool encrypt_blocks(struct slr_srtp_aes *x)
{
    int n = 0;
    return EVP_EncryptUpdate(x->at_work, x->stream[0], &n, x->stream[0],
                             (int)(x->count * BLOCK_BYTES)) == 1;
}

static uint32_t blocks_of(size_t bytes, uint32_t most)
{
    size_t blocks = (bytes + BLOCK_BYTES - 1) / BLOCK_BYTES;
    return blocks < most ? (uint32_t)blocks : most;
}

/* ---- one packet ---- */

static bool is_authentic(const struct slr_srtp_direction *d, const uint8_t *in, size_t bytes,
                         uint32_t word, const uint8_t *tag, size_t tag_bytes)
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
static bool run_counter(struct slr_srtp_aes *x, const struct slr_srtp_crypt *c,
                        const struct slr_srtp_direction *d, const uint8_t *ssrc, uint64_t index,
                        struct slr_slice in, uint8_t *out)
{
    uint8_t iv[BLOCK_BYTES] = {0};
    bool good = use_key(x, c->row, d);
    memcpy(iv + 4, ssrc, 4);
    put_u32(iv + 8, (uint32_t)(index >> 16));
    iv[12] = (uint8_t)(index >> 8);
    iv[13] = (uint8_t)index;
    xor_bytes(iv, d->salt, SLR_SRTP_SALT_BYTES);
    for (size_t at = 0; good && at < in.len_bytes;) {
        size_t left = in.len_bytes - at;
        uint32_t blocks = blocks_of(left, STREAM_BLOCKS);
        size_t part = left < blocks * BLOCK_BYTES ? left : blocks * BLOCK_BYTES;
        count_blocks(x, iv, (uint32_t)(at / BLOCK_BYTES), blocks);
        good = encrypt_blocks(x);
        xor_stream(in.at + at, x->stream[0], part, out + at);
        at += part;
    }
    return good;
}

/* What is authenticated only, in two parts; then what is decrypted, too. */
struct aead {
    const uint8_t *clear, *more, *tag;
    size_t clear_bytes, more_bytes;
    struct slr_slice in;
};

/* NIST SP 800-38D with an IV of 12 bytes: counter 1 masks the tag, 2 is the first block's. What
 * zeros become is the hash key; it takes the place of counter 0. */
static bool run_gcm(struct slr_srtp_aes *x, const struct slr_srtp_crypt *c,
                    const struct slr_srtp_direction *d, uint8_t iv[static BLOCK_BYTES],
                    const struct aead *a, uint8_t *out)
{
    bool good = use_key(x, c->row, d);
    uint32_t blocks = blocks_of(a->in.len_bytes, STREAM_BLOCKS - 2);
    xor_bytes(iv, d->salt, 12);
    count_blocks(x, iv, 0, blocks + 2);
    memset(x->stream[0], 0, BLOCK_BYTES);
    if (!good || !encrypt_blocks(x)) {
        return false;
    }
    if (!x->hashing) {
        CRYPTO_gcm128_init(x->gcm, x, take_block);
        x->hashing = true;
    }
    CRYPTO_gcm128_setiv(x->gcm, iv, 12);
    good = CRYPTO_gcm128_aad(x->gcm, a->clear, a->clear_bytes) == 0 &&
           (a->more_bytes == 0 || CRYPTO_gcm128_aad(x->gcm, a->more, a->more_bytes) == 0);
    for (size_t at = 0; good && at < a->in.len_bytes;) {
        size_t left = a->in.len_bytes - at;
        size_t part = left < blocks * BLOCK_BYTES ? left : blocks * BLOCK_BYTES;
        if (at > 0) {
            count_blocks(x, iv, (uint32_t)(at / BLOCK_BYTES) + 2, blocks);
            good = encrypt_blocks(x);
        }
        good = good &&
               CRYPTO_gcm128_decrypt_ctr32(x->gcm, a->in.at + at, out + at, part, take_blocks) == 0;
        at += part;
    }
    return good && CRYPTO_gcm128_finish(x->gcm, a->tag, 16) == 0;
}

bool slr_srtp_crypt_rtp(struct slr_srtp_aes *x, const struct slr_srtp_crypt *c, const uint8_t *in,
                        size_t header_bytes, size_t body_bytes, const uint8_t *tag, uint64_t index,
                        uint8_t *out)
{
    const struct slr_srtp_direction *d = &c->rtp;
    struct slr_slice body = slr_slice_of(in + header_bytes, body_bytes - header_bytes);
    bool good;
    if (c->row->cipher == SLR_SRTP_GCM) {
        uint8_t iv[BLOCK_BYTES] = {0}; /* 0, SSRC, index (RFC 7714 8.1) */
        struct aead a = {.clear = in, .clear_bytes = header_bytes, .in = body, .tag = tag};
        memcpy(iv + 2, in + 8, 4);
        put_u32(iv + 6, (uint32_t)(index >> 16));
        iv[10] = (uint8_t)(index >> 8);
        iv[11] = (uint8_t)index;
        good = run_gcm(x, c, d, iv, &a, out + header_bytes);
    } else {
        good = is_authentic(d, in, body_bytes, (uint32_t)(index >> 16), tag, c->row->tag_bytes) &&
               run_counter(x, c, d, in + 8, index, body, out + header_bytes);
    }
    memcpy(out, in, header_bytes);
    return good;
}

bool slr_srtp_crypt_rtcp(struct slr_srtp_aes *x, const struct slr_srtp_crypt *c, const uint8_t *in,
                         size_t body_bytes, const uint8_t *tag, uint32_t word, uint8_t *out)
{
    const struct slr_srtp_direction *d = &c->rtcp;
    bool encrypted = (word & RTCP_ENCRYPTED) != 0;
    size_t clear = encrypted ? RTCP_CLEAR_BYTES : body_bytes;
    struct slr_slice body = slr_slice_of(in + clear, body_bytes - clear);
    bool good;
    if (c->row->cipher == SLR_SRTP_GCM) {
        uint8_t iv[BLOCK_BYTES] = {0}; /* 0, SSRC, 0, index (RFC 7714 9.1) */
        uint8_t tail[4];
        struct aead a = {.clear = in,
                         .clear_bytes = clear,
                         .more = tail,
                         .more_bytes = sizeof tail,
                         .in = body,
                         .tag = tag};
        put_u32(tail, word);
        memcpy(iv + 2, in + 4, 4);
        put_u32(iv + 8, word & ~RTCP_ENCRYPTED);
        good = run_gcm(x, c, d, iv, &a, out + clear);
    } else {
        good =
            is_authentic(d, in, body_bytes, word, tag, c->row->rtcp_tag_bytes) &&
            (!encrypted || run_counter(x, c, d, in + 4, word & ~RTCP_ENCRYPTED, body, out + clear));
    }
    memcpy(out, in, clear);
    return good;
}
