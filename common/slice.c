/*
 * slice: the longer readers over borrowed bytes, and the bounded writer.
 * No state of its own; any thread, allocates nothing.
 */
#include "common/slice.h"

#include <stdarg.h>
#include <stdio.h>

static uint8_t fold_ascii(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool slr_slice_eq_nocase(struct slr_slice s, const char *text)
{
    if (s.len_bytes != strlen(text)) {
        return false;
    }
    for (size_t i = 0; i < s.len_bytes; i++) {
        if (fold_ascii(s.at[i]) != fold_ascii((uint8_t)text[i])) {
            return false;
        }
    }
    return true;
}

bool slr_slice_take_token(struct slr_slice *s, char delim, struct slr_slice *token)
{
    if (s->len_bytes == 0) {
        return false;
    }
    const uint8_t *end = memchr(s->at, (uint8_t)delim, s->len_bytes);
    if (!end) {
        *token = *s;
        s->at += s->len_bytes;
        s->len_bytes = 0;
        return true;
    }
    size_t n = (size_t)(end - s->at);
    *token = slr_slice_of(s->at, n);
    s->at += n + 1;
    s->len_bytes -= n + 1;
    return true;
}

bool slr_slice_take_line(struct slr_slice *s, struct slr_slice *line)
{
    if (!slr_slice_take_token(s, '\n', line)) {
        return false;
    }
    if (line->len_bytes > 0 && line->at[line->len_bytes - 1] == '\r') {
        line->len_bytes--;
    }
    return true;
}

struct slr_slice slr_slice_trim(struct slr_slice s)
{
    while (s.len_bytes > 0 && is_blank(s.at[0])) {
        s.at++;
        s.len_bytes--;
    }
    while (s.len_bytes > 0 && is_blank(s.at[s.len_bytes - 1])) {
        s.len_bytes--;
    }
    return s;
}

bool slr_slice_to_u64(struct slr_slice s, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    if (s.len_bytes == 0) {
        return false;
    }
    for (size_t i = 0; i < s.len_bytes; i++) {
        if (s.at[i] < '0' || s.at[i] > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(s.at[i] - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
        if (value > max) {
            return false;
        }
    }
    *out = value;
    return true;
}

bool slr_slice_to_str(struct slr_slice s, char *out, size_t size_bytes)
{
    if (size_bytes == 0) {
        return false;
    }
    size_t n = s.len_bytes < size_bytes ? s.len_bytes : size_bytes - 1;
    if (n > 0) {
        memcpy(out, s.at, n);
    }
    out[n] = '\0';
    return n == s.len_bytes && strlen(out) == n;
}

void slr_put_bytes(struct slr_put *p, const void *at, size_t len_bytes)
{
    if (p->overflow || p->size_bytes - p->len_bytes < len_bytes) {
        p->overflow = true;
        return;
    }
    if (len_bytes > 0) {
        memcpy(p->at + p->len_bytes, at, len_bytes);
        p->len_bytes += len_bytes;
    }
}

void slr_put_u8(struct slr_put *p, uint8_t v)
{
    slr_put_bytes(p, &v, 1);
}

void slr_put_u16(struct slr_put *p, uint16_t v)
{
    uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};
    slr_put_bytes(p, b, sizeof b);
}

void slr_put_u32(struct slr_put *p, uint32_t v)
{
    uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    slr_put_bytes(p, b, sizeof b);
}

void slr_put_le16(struct slr_put *p, uint16_t v)
{
    uint8_t b[2] = {(uint8_t)v, (uint8_t)(v >> 8)};
    slr_put_bytes(p, b, sizeof b);
}

void slr_put_le32(struct slr_put *p, uint32_t v)
{
    uint8_t b[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
    slr_put_bytes(p, b, sizeof b);
}

void slr_put_str(struct slr_put *p, const char *text)
{
    slr_put_bytes(p, text, strlen(text));
}

void slr_put_fmt(struct slr_put *p, const char *fmt, ...)
{
    if (p->overflow) {
        return;
    }
    size_t left = p->size_bytes - p->len_bytes;
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(left > 0 ? (char *)p->at + p->len_bytes : NULL, left, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= left) {
        p->overflow = true;
        return;
    }
    p->len_bytes += (size_t)n;
}
