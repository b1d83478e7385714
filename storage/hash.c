/*
 * hash: the media hash, a two-level SHA-256 that can be checked block by block.
 * No state; blocks on the disk; allocates a read buffer for the time of the call.
 */
#include <openssl/evp.h>
#include <stdlib.h>

#include "storage/seal.h"

#define READ_BYTES (64u * 1024u)
#define DIGEST_BYTES 32u

/* Two contexts, made once a call: OpenSSL looks the algorithm up at each init. */
struct hasher {
    EVP_MD *md;
    EVP_MD_CTX *block, *whole;
    uint8_t *buffer;
};

static void hasher_fini(struct hasher *h)
{
    EVP_MD_CTX_free(h->block);
    EVP_MD_CTX_free(h->whole);
    EVP_MD_free(h->md);
    free(h->buffer);
}

static enum slr_err hasher_init(struct hasher *h)
{
    h->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    h->block = EVP_MD_CTX_new();
    h->whole = EVP_MD_CTX_new();
    h->buffer = malloc(READ_BYTES);
    if (!h->md || !h->block || !h->whole || !h->buffer ||
        EVP_DigestInit_ex2(h->whole, h->md, NULL) != 1) {
        hasher_fini(h);
        return SLR_NOMEM;
    }
    return SLR_OK;
}

/* Adds the digest of one block of the sink to the whole. */
static enum slr_err add_block(struct hasher *h, struct slr_sink *sink, uint64_t offset_bytes,
                              uint64_t len_bytes)
{
    uint8_t digest[DIGEST_BYTES];

    if (EVP_DigestInit_ex2(h->block, h->md, NULL) != 1) {
        return SLR_NOMEM;
    }
    while (len_bytes > 0) {
        size_t n = len_bytes < READ_BYTES ? (size_t)len_bytes : READ_BYTES;
        enum slr_err err = sink->ops->read_at(sink, offset_bytes, h->buffer, n);
        if (err != SLR_OK) {
            return err;
        }
        if (EVP_DigestUpdate(h->block, h->buffer, n) != 1) {
            return SLR_NOMEM;
        }
        offset_bytes += n;
        len_bytes -= n;
    }
    if (EVP_DigestFinal_ex(h->block, digest, NULL) != 1 ||
        EVP_DigestUpdate(h->whole, digest, sizeof digest) != 1) {
        return SLR_NOMEM;
    }
    return SLR_OK;
}

static void put_hex(const uint8_t digest[static DIGEST_BYTES], char out[static SLR_HASH_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 0x0f];
    }
    out[2 * DIGEST_BYTES] = '\0';
}

enum slr_err slr_hash_media(struct slr_sink *sink, uint64_t offset_bytes, uint64_t len_bytes,
                            char out[static SLR_HASH_TEXT_SIZE])
{
    uint8_t digest[DIGEST_BYTES];
    struct hasher h;
    enum slr_err err = hasher_init(&h);

    out[0] = '\0';
    if (err != SLR_OK) {
        return err;
    }
    while (err == SLR_OK && len_bytes > 0) {
        uint64_t n = len_bytes < SLR_HASH_BLOCK_BYTES ? len_bytes : SLR_HASH_BLOCK_BYTES;
        err = add_block(&h, sink, offset_bytes, n);
        offset_bytes += n;
        len_bytes -= n;
    }
    if (err == SLR_OK) {
        if (EVP_DigestFinal_ex(h.whole, digest, NULL) == 1) {
            put_hex(digest, out);
        } else {
            err = SLR_NOMEM;
        }
    }
    hasher_fini(&h);
    return err;
}
