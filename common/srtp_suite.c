/*
 * srtp_suite: see srtp_suite.h. No state.
 */
#include "common/srtp_suite.h"

#include <string.h>

static const struct slr_srtp_suite_row ROWS[SLR_SRTP_SUITE_COUNT] = {
    {.name = ""},
#define SUITE(id, name, cipher, key, salt, tag, rtcp_tag, rank)                                    \
    {name, SLR_SRTP_##cipher, key, salt, tag, rtcp_tag, rank},
#include "common/srtp_suite.def"
#undef SUITE
};

static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

const struct slr_srtp_suite_row *slr_srtp_suite_row(enum slr_srtp_suite suite)
{
    return &ROWS[suite];
}

enum slr_srtp_suite slr_srtp_suite_find(struct slr_slice name)
{
    for (int i = 1; i < SLR_SRTP_SUITE_COUNT; i++) {
        if (slr_slice_eq_nocase(name, ROWS[i].name)) {
            return (enum slr_srtp_suite)i;
        }
    }
    /* the name that drafts of RFC 6188 used, still sent */
    if (slr_slice_eq_nocase(name, "AES_CM_256_HMAC_SHA1_80")) {
        return SLR_SRTP_AES_256_CM_80;
    }
    return slr_slice_eq_nocase(name, "AES_CM_256_HMAC_SHA1_32") ? SLR_SRTP_AES_256_CM_32
                                                                : SLR_SRTP_NONE;
}

static int digit_value(uint8_t c)
{
    const char *at = c ? strchr(DIGITS, c) : NULL;
    return at ? (int)(at - DIGITS) : -1;
}

enum slr_err slr_srtp_key_text(struct slr_slice text, struct slr_srtp_key *key)
{
    const struct slr_srtp_suite_row *row = &ROWS[key->suite];
    size_t want = (size_t)row->key_bytes + row->salt_bytes;
    uint8_t bytes[SLR_SRTP_KEY_BYTES + SLR_SRTP_SALT_BYTES + 3];
    size_t digits = (want * 8 + 5) / 6;
    uint32_t bits = 0, have = 0;
    size_t n = 0;
    enum slr_err err = want > 0 && text.len_bytes >= digits ? SLR_OK : SLR_FORMAT;
    for (size_t i = 0; err == SLR_OK && i < text.len_bytes; i++) {
        int v = i < digits ? digit_value(text.at[i]) : text.at[i] == '=' ? 0 : -1;
        if (v < 0 || i >= digits + 2) {
            err = SLR_FORMAT;
        } else if (i < digits) {
            bits = bits << 6 | (uint32_t)v;
            have += 6;
            if (have >= 8 && n < want) {
                have -= 8;
                bytes[n++] = (uint8_t)(bits >> have);
            }
        }
    }
    if (err == SLR_OK) {
        memcpy(key->key, bytes, row->key_bytes);
        memcpy(key->salt, bytes + row->key_bytes, row->salt_bytes);
    }
    explicit_bzero(bytes, sizeof bytes);
    return err;
}

void slr_srtp_key_format(const struct slr_srtp_key *key, char out[static SLR_SRTP_KEY_TEXT_SIZE])
{
    const struct slr_srtp_suite_row *row = &ROWS[key->suite];
    size_t want = (size_t)row->key_bytes + row->salt_bytes;
    uint8_t bytes[SLR_SRTP_KEY_BYTES + SLR_SRTP_SALT_BYTES + 2] = {0};
    char *at = out;
    memcpy(bytes, key->key, row->key_bytes);
    memcpy(bytes + row->key_bytes, key->salt, row->salt_bytes);
    for (size_t i = 0; i < want; i += 3) {
        uint32_t v = (uint32_t)bytes[i] << 16 | (uint32_t)bytes[i + 1] << 8 | bytes[i + 2];
        *at++ = DIGITS[v >> 18];
        *at++ = DIGITS[v >> 12 & 63];
        *at++ = i + 1 < want ? DIGITS[v >> 6 & 63] : '=';
        *at++ = i + 2 < want ? DIGITS[v & 63] : '=';
    }
    *at = '\0';
    explicit_bzero(bytes, sizeof bytes);
}
