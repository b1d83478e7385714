/*
 * mark: the watermark. Each packet's payload says in its first 16 bytes whose it is, and the rest
 * follows from them, so that any stretch of a recording tells where it came from. Pure, any thread.
 */
#ifndef SLR_LOAD_MARK_H
#define SLR_LOAD_MARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLR_MARK_BYTES 16u
#define SLR_MARK_MAX_BYTES 1920u /* L16 at 48 kHz, 20 ms */

struct slr_mark {
    uint32_t run_id; /* other runs' recordings are not ours */
    uint32_t call, leg;
    uint32_t frame; /* number in its leg */
};

/* The payload of a frame: bytes in 16..SLR_MARK_MAX_BYTES, a multiple of 8. */
void slr_mark_fill(const struct slr_mark *m, uint8_t *at, size_t bytes);

/* Reads the first SLR_MARK_BYTES. False: no mark of that run. *out keeps nothing then. */
bool slr_mark_find(const uint8_t at[static SLR_MARK_BYTES], uint32_t run_id, struct slr_mark *out);

#endif
