/*
 * base64: pure; allocates nothing.
 */
#include "common/base64.h"

#include <string.h>

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

enum slr_err slr_base64_decode(const char *text, uint8_t *out, size_t size_bytes, size_t *len_bytes)
{
    uint32_t bits = 0;
    unsigned have = 0;
    size_t n = 0;
    for (; *text && *text != '='; text++) {
        int v = value_of(*text);
        if (v < 0) {
            return SLR_FORMAT;
        }
        bits = (bits << 6) | (uint32_t)v;
        have += 6;
        if (have >= 8) {
            have -= 8;
            if (n == size_bytes) {
                return SLR_TOOLONG;
            }
            out[n++] = (uint8_t)(bits >> have);
        }
    }
    *len_bytes = n;
    return strspn(text, "=") == strlen(text) && strlen(text) <= 2 ? SLR_OK : SLR_FORMAT;
}
