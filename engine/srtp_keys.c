/*
 * srtp_keys: see srtp_keys.h. No state of its own.
 */
#include "engine/srtp_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

#define FILE_MAX_BYTES 65536u

static bool read_ssrc(struct slr_slice text, uint32_t *out)
{
    char word[16];
    char *end = NULL;
    if (text.len_bytes == 0 || !slr_slice_to_str(text, word, sizeof word) || word[0] < '0' ||
        word[0] > '9') {
        return false;
    }
    errno = 0;
    unsigned long v = strtoul(word, &end, 0);
    *out = (uint32_t)v;
    return errno == 0 && *end == '\0' && v <= UINT32_MAX;
}

static bool read_key(struct slr_slice text, struct slr_srtp_key *key)
{
    static const enum slr_srtp_suite usual[] = {SLR_SRTP_AES_CM_128_80, SLR_SRTP_AES_256_CM_80,
                                                SLR_SRTP_AEAD_AES_128, SLR_SRTP_AEAD_AES_256};
    const uint8_t *colon = text.len_bytes ? memchr(text.at, ':', text.len_bytes) : NULL;
    if (colon) {
        size_t n = (size_t)(colon - text.at);
        key->suite = (uint8_t)slr_srtp_suite_find(slr_slice_of(text.at, n));
        text = slr_slice_of(colon + 1, text.len_bytes - n - 1);
        return slr_srtp_key_text(text, key) == SLR_OK;
    }
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        key->suite = (uint8_t)usual[i];
        if (slr_srtp_key_text(text, key) == SLR_OK) {
            return true;
        }
    }
    return false;
}

static bool read_line(struct slr_slice line, struct slr_srtp_keys *out)
{
    struct slr_slice text;
    uint32_t i = out->count;
    if (!slr_slice_take_token(&line, '@', &text)) {
        return false;
    }
    out->key[i] = (struct slr_srtp_key){.suite = SLR_SRTP_NONE};
    bool with_ssrc = line.at > text.at + text.len_bytes;
    out->any[i] = !with_ssrc;
    out->ssrc[i] = 0;
    out->count++;
    return read_key(slr_slice_trim(text), &out->key[i]) &&
           (!with_ssrc || read_ssrc(line, &out->ssrc[i]));
}

enum slr_err slr_srtp_keys_read(struct slr_slice text, struct slr_srtp_keys *out)
{
    struct slr_slice line;
    out->count = 0;
    while (slr_slice_take_line(&text, &line)) {
        line = slr_slice_trim(line);
        if (line.len_bytes == 0 || line.at[0] == '#') {
            continue;
        }
        enum slr_err err = out->count < SLR_SRTP_FILE_KEYS ? SLR_OK : SLR_FULL;
        if (err == SLR_OK && !read_line(line, out)) {
            err = SLR_FORMAT;
        }
        if (err != SLR_OK) {
            explicit_bzero(out, sizeof *out);
            return err;
        }
    }
    return SLR_OK;
}

enum slr_err slr_srtp_keys_load(const char *path, struct slr_srtp_keys *out)
{
    char *text = malloc(FILE_MAX_BYTES);
    int fd = text ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n = fd >= 0 ? read(fd, text, FILE_MAX_BYTES) : -1;
    enum slr_err err = !text ? SLR_NOMEM : n < 0 ? slr_err_from_errno(errno) : SLR_OK;
    if (err == SLR_OK) {
        err = (size_t)n == FILE_MAX_BYTES ? SLR_TOOLONG
                                          : slr_srtp_keys_read(slr_slice_of(text, (size_t)n), out);
        explicit_bzero(text, (size_t)n);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    free(text);
    if (err != SLR_OK) {
        SLR_ERROR("srtp_keys_unusable", "path=%s err=%s hint=%s", SLR_Q(path), slr_err_name(err),
                  SLR_Q("one a line: [SUITE:]BASE64[@SSRC]"));
    }
    return err;
}

uint32_t slr_srtp_keys_for(const struct slr_srtp_keys *keys, const uint32_t *ssrc,
                           struct slr_srtp_key out[static SLR_SRTP_KEYS])
{
    uint32_t n = 0;
    for (int own = 1; own >= 0; own--) {
        for (uint32_t i = 0; i < keys->count && n < SLR_SRTP_KEYS; i++) {
            if (own ? !keys->any[i] && (!ssrc || keys->ssrc[i] == *ssrc) : keys->any[i]) {
                out[n++] = keys->key[i];
            }
        }
    }
    return n;
}
