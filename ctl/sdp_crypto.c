/*
 * sdp_crypto: see sdp_crypto.h. No state of its own.
 */
#include "ctl/sdp_crypto.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#define TAG_MAX 999999999u /* nine digits (RFC 4568 9.1) */
#define INLINE "inline:"

static bool take_word(struct slr_slice *s, struct slr_slice *word)
{
    struct slr_slice token;
    while (slr_slice_take_token(s, ' ', &token)) {
        token = slr_slice_trim(token);
        if (token.len_bytes > 0) {
            *word = token;
            return true;
        }
    }
    return false;
}

static bool starts(struct slr_slice s, const char *text)
{
    size_t n = strlen(text);
    return s.len_bytes >= n && strncasecmp((const char *)s.at, text, n) == 0;
}

/* "2^20" or "1048576": when it is over the sender changes the key; we take what it sends. */
static bool is_lifetime(struct slr_slice s)
{
    uint64_t n;
    if (starts(s, "2^")) {
        return slr_slice_to_u64(slr_slice_of(s.at + 2, s.len_bytes - 2), 48, &n);
    }
    return slr_slice_to_u64(s, UINT64_C(1) << 48, &n) && n > 0;
}

/* "1:4" */
static bool read_mki(struct slr_slice s, struct slr_srtp_key *key)
{
    struct slr_slice value;
    uint64_t len = 0;
    if (!slr_slice_take_token(&s, ':', &value) || !slr_slice_to_u64(value, INT64_MAX, &key->mki) ||
        !slr_slice_to_u64(s, SLR_SRTP_MKI_BYTES, &len) || len == 0 ||
        (len < 8 && key->mki >> (8 * len) != 0)) {
        return false;
    }
    key->mki_len = (uint8_t)len;
    return true;
}

/* "inline:base64[|lifetime][|mki:length]" */
static bool read_key(struct slr_slice s, struct slr_srtp_key *key)
{
    struct slr_slice text, part;
    if (!starts(s, INLINE)) {
        return false;
    }
    s = slr_slice_of(s.at + strlen(INLINE), s.len_bytes - strlen(INLINE));
    if (!slr_slice_take_token(&s, '|', &text) || slr_srtp_key_text(text, key) != SLR_OK) {
        return false;
    }
    for (int n = 0; slr_slice_take_token(&s, '|', &part); n++) {
        bool mki = part.len_bytes > 0 && memchr(part.at, ':', part.len_bytes) != NULL;
        if (n > 1 || key->mki_len > 0 ||
            (mki ? !read_mki(part, key) : n > 0 || !is_lifetime(part))) {
            return false;
        }
    }
    return true;
}

/* Several keys need identifiers, all of one length and each its own (RFC 4568 6.1). */
static bool keys_differ(const struct slr_sdp_crypto *c)
{
    for (uint8_t i = 1; i < c->key_count; i++) {
        if (c->key[i].mki_len == 0 || c->key[i].mki_len != c->key[0].mki_len) {
            return false;
        }
        for (uint8_t k = 0; k < i; k++) {
            if (c->key[i].mki == c->key[k].mki) {
                return false;
            }
        }
    }
    return true;
}

static bool read_keys(struct slr_slice params, uint8_t suite, struct slr_sdp_crypto *out)
{
    struct slr_slice one;
    while (slr_slice_take_token(&params, ';', &one)) {
        if (out->key_count == SLR_SRTP_KEYS) {
            return false;
        }
        struct slr_srtp_key *key = &out->key[out->key_count++];
        *key = (struct slr_srtp_key){.suite = suite};
        if (!read_key(one, key)) {
            return false;
        }
    }
    return out->key_count > 0 && keys_differ(out);
}

/* What a sender tells about its forward error correction and window is not ours to follow. */
static bool is_harmless(struct slr_slice param)
{
    return param.at[0] == '-' || starts(param, "FEC_ORDER=") || starts(param, "WSH=");
}

static enum slr_err read_line(struct slr_slice value, struct slr_sdp_crypto *out)
{
    struct slr_slice tag, suite, params, session;
    uint64_t number;
    if (!take_word(&value, &tag) || !take_word(&value, &suite) || !take_word(&value, &params) ||
        !slr_slice_to_u64(tag, TAG_MAX, &number) ||
        !slr_slice_to_str(suite, out->name, sizeof out->name)) {
        return SLR_FORMAT;
    }
    out->tag = (uint32_t)number;
    enum slr_srtp_suite found = slr_srtp_suite_find(suite);
    if (found == SLR_SRTP_NONE) {
        return SLR_UNSUPPORTED;
    }
    if (!read_keys(params, (uint8_t)found, out)) {
        return SLR_FORMAT;
    }
    while (take_word(&value, &session)) {
        if (!is_harmless(session)) {
            return SLR_UNSUPPORTED;
        }
    }
    return SLR_OK;
}

enum slr_err slr_sdp_crypto_read(struct slr_slice value, struct slr_sdp_crypto *out)
{
    memset(out, 0, sizeof *out);
    enum slr_err err = read_line(value, out);
    if (err != SLR_OK) {
        explicit_bzero(out, sizeof *out);
    }
    return err;
}

static uint8_t rank_of(const struct slr_sdp_crypto *c)
{
    return slr_srtp_suite_row((enum slr_srtp_suite)c->key[0].suite)->rank;
}

const struct slr_sdp_crypto *slr_sdp_crypto_best(const struct slr_sdp_crypto *line, uint8_t count)
{
    const struct slr_sdp_crypto *best = NULL;
    for (uint8_t i = 0; i < count; i++) {
        best = !best || rank_of(&line[i]) > rank_of(best) ? &line[i] : best;
    }
    return best;
}

const struct slr_sdp_crypto *slr_sdp_crypto_tagged(const struct slr_sdp_crypto *line, uint8_t count,
                                                   uint32_t tag)
{
    for (uint8_t i = 0; i < count; i++) {
        if (line[i].tag == tag) {
            return &line[i];
        }
    }
    return NULL;
}

bool slr_sdp_crypto_make(enum slr_srtp_suite suite, struct slr_srtp_key *out)
{
    *out = (struct slr_srtp_key){.suite = (uint8_t)suite};
    return getrandom(out->key, sizeof out->key, 0) == (ssize_t)sizeof out->key &&
           getrandom(out->salt, sizeof out->salt, 0) == (ssize_t)sizeof out->salt;
}

json_t *slr_sdp_crypto_json(const struct slr_sdp_crypto *line)
{
    json_t *list = json_array();
    for (uint8_t i = 0; list && line && i < line->key_count; i++) {
        const struct slr_srtp_key *k = &line->key[i];
        char text[SLR_SRTP_KEY_TEXT_SIZE];
        slr_srtp_key_format(k, text);
        (void)json_array_append_new(
            list, json_pack("{s:I, s:s, s:s, s:I, s:i}", "tag", (json_int_t)line->tag, "suite",
                            slr_srtp_suite_row((enum slr_srtp_suite)k->suite)->name, "key", text,
                            "mki", (json_int_t)k->mki, "mki_len", (int)k->mki_len));
        explicit_bzero(text, sizeof text);
    }
    return list;
}

static bool is_key_end(char c)
{
    return c == '\0' || c == '|' || c == ';' || isspace((unsigned char)c);
}

void slr_sdp_crypto_mask(char *text)
{
    char *to = text;
    bool line_start = true, secret = false;
    for (const char *at = text; *at != '\0';) {
        if (line_start) {
            secret = strncasecmp(at, "a=crypto:", 9) == 0;
        }
        if (secret && strncasecmp(at, INLINE, strlen(INLINE)) == 0) {
            memmove(to, at, strlen(INLINE));
            to += strlen(INLINE);
            at += strlen(INLINE);
            if (!is_key_end(*at)) { /* so that the text never grows */
                *to++ = '*';
            }
            while (!is_key_end(*at)) {
                at++;
            }
            line_start = false;
            continue;
        }
        line_start = *at == '\n' || *at == '\r';
        *to++ = *at++;
    }
    explicit_bzero(to, strlen(to));
    *to = '\0';
}

enum slr_err slr_sdp_crypto_unmask(struct slr_slice text, const struct slr_srtp_key *key,
                                   uint8_t count, struct slr_put *out)
{
    static const char mask[] = INLINE "*";
    struct slr_slice line;
    int media = -1;
    while (slr_slice_take_line(&text, &line)) {
        const uint8_t *at = line.len_bytes ? memmem(line.at, line.len_bytes, mask, 8) : NULL;
        media += starts(line, "m=") ? 1 : 0;
        if (starts(line, "a=crypto:") && at && media >= 0 && media < count &&
            key[media].suite != SLR_SRTP_NONE) {
            char secret[SLR_SRTP_KEY_TEXT_SIZE];
            size_t before = (size_t)(at - line.at) + strlen(INLINE);
            slr_srtp_key_format(&key[media], secret);
            slr_put_bytes(out, line.at, before);
            slr_put_str(out, secret);
            slr_put_bytes(out, line.at + before + 1, line.len_bytes - before - 1);
            explicit_bzero(secret, sizeof secret);
        } else {
            slr_put_bytes(out, line.at, line.len_bytes);
        }
        slr_put_str(out, "\r\n");
    }
    return out->overflow ? SLR_TOOLONG : SLR_OK;
}
