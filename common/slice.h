/*
 * slice: bounds-checked reading of outside bytes, and bounded writing.
 *
 * A slice borrows memory, never owns it. Readers consume from the front; every take either succeeds
 * wholly or leaves the slice as it was and returns false. Pure, any thread, allocates nothing.
 */
#ifndef SLR_COMMON_SLICE_H
#define SLR_COMMON_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slr_slice {
    const uint8_t *at;
    size_t len_bytes;
};

static inline struct slr_slice slr_slice_of(const void *at, size_t len_bytes)
{
    return (struct slr_slice){(const uint8_t *)at, len_bytes};
}

static inline struct slr_slice slr_slice_str(const char *text)
{
    return slr_slice_of(text, strlen(text));
}

static inline bool slr_slice_take_u8(struct slr_slice *s, uint8_t *out)
{
    if (s->len_bytes < 1) {
        return false;
    }
    *out = s->at[0];
    s->at += 1;
    s->len_bytes -= 1;
    return true;
}

/* Big endian (network order). */
static inline bool slr_slice_take_u16(struct slr_slice *s, uint16_t *out)
{
    if (s->len_bytes < 2) {
        return false;
    }
    *out = (uint16_t)((uint16_t)(s->at[0] << 8) | s->at[1]);
    s->at += 2;
    s->len_bytes -= 2;
    return true;
}

static inline bool slr_slice_take_u32(struct slr_slice *s, uint32_t *out)
{
    if (s->len_bytes < 4) {
        return false;
    }
    *out = ((uint32_t)s->at[0] << 24) | ((uint32_t)s->at[1] << 16) | ((uint32_t)s->at[2] << 8) |
           (uint32_t)s->at[3];
    s->at += 4;
    s->len_bytes -= 4;
    return true;
}

/* Splits off the first `len_bytes` as a slice of their own. */
static inline bool slr_slice_take(struct slr_slice *s, size_t len_bytes, struct slr_slice *out)
{
    if (s->len_bytes < len_bytes) {
        return false;
    }
    *out = slr_slice_of(s->at, len_bytes);
    s->at += len_bytes;
    s->len_bytes -= len_bytes;
    return true;
}

static inline bool slr_slice_skip(struct slr_slice *s, size_t len_bytes)
{
    struct slr_slice ignored;
    return slr_slice_take(s, len_bytes, &ignored);
}

static inline bool slr_slice_eq(struct slr_slice s, const char *text)
{
    size_t n = strlen(text);
    return s.len_bytes == n && memcmp(s.at, text, n) == 0;
}

/* ASCII case folded comparison. */
bool slr_slice_eq_nocase(struct slr_slice s, const char *text);

/* Takes one line up to LF or the end; *line is without LF and a CR before it. False at the end. */
bool slr_slice_take_line(struct slr_slice *s, struct slr_slice *line);

/* Takes up to the next `delim`, which is consumed; all that is left where it does not occur.
 * False when nothing was left. */
bool slr_slice_take_token(struct slr_slice *s, char delim, struct slr_slice *token);

/* Removes blanks (space, tab, CR, LF) at both ends. */
struct slr_slice slr_slice_trim(struct slr_slice s);

/* Whole slice as an unsigned decimal number; false when empty, not digits or above max. */
bool slr_slice_to_u64(struct slr_slice s, uint64_t max, uint64_t *out);

/* Copies as a C string, cut at size_bytes-1; returns false when it was cut or held a NUL. */
bool slr_slice_to_str(struct slr_slice s, char *out, size_t size_bytes);

/* A bounded writer into borrowed memory. After an overflow it stays at its length and `overflow`
 * is true; every put is then a no-op. */
struct slr_put {
    uint8_t *at;
    size_t size_bytes;
    size_t len_bytes;
    bool overflow;
};

static inline struct slr_put slr_put_of(void *at, size_t size_bytes)
{
    return (struct slr_put){(uint8_t *)at, size_bytes, 0, false};
}

void slr_put_u8(struct slr_put *p, uint8_t v);
void slr_put_u16(struct slr_put *p, uint16_t v);
void slr_put_u32(struct slr_put *p, uint32_t v);
void slr_put_le16(struct slr_put *p, uint16_t v);
void slr_put_le32(struct slr_put *p, uint32_t v);
void slr_put_bytes(struct slr_put *p, const void *at, size_t len_bytes);
void slr_put_str(struct slr_put *p, const char *text);
/* vsnprintf works in place: one byte more than the text must be free, or it overflows. */
void slr_put_fmt(struct slr_put *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
