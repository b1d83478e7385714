/*
 * base64: out of text (RFC 4648 section 4). Pure.
 */
#ifndef SLR_COMMON_BASE64_H
#define SLR_COMMON_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/* Standard base64 (RFC 4648) of `text` into out; *len_bytes gets the length. SLR_FORMAT,
 * SLR_TOOLONG. */
enum slr_err slr_base64_decode(const char *text, uint8_t *out, size_t size_bytes,
                               size_t *len_bytes) SLR_CHECKED;

#endif
