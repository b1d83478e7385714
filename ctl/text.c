/*
 * text: see text.h. No state; any thread; allocates nothing.
 */
#include "ctl/text.h"

#include <stddef.h>
#include <stdint.h>

/* Length of the well-formed sequence at s, 0 when malformed. s is NUL terminated, so a sequence
 * that ends early meets the NUL, which is no continuation byte. */
static size_t sequence_bytes(const unsigned char *s)
{
    static const struct {
        uint8_t lead_low, lead_high, second_low, second_high;
        size_t bytes;
    } form[] = {{0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
                {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3},
                {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
                {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    if (s[0] < 0x80) {
        return 1;
    }
    for (size_t i = 0; i < sizeof form / sizeof form[0]; i++) {
        if (s[0] < form[i].lead_low || s[0] > form[i].lead_high) {
            continue;
        }
        if (s[1] < form[i].second_low || s[1] > form[i].second_high) {
            return 0;
        }
        for (size_t k = 2; k < form[i].bytes; k++) {
            if ((s[k] & 0xc0) != 0x80) {
                return 0;
            }
        }
        return form[i].bytes;
    }
    return 0;
}

void slr_text_clean(char *text)
{
    unsigned char *s = (unsigned char *)text;
    while (*s) {
        size_t n = sequence_bytes(s);
        if (n == 0) {
            *s = '?';
            n = 1;
        }
        s += n;
    }
}
