/*
 * amr_payload: see amr_payload.h. Bits are counted from the payload's first, most significant one;
 * in the octet-aligned packing all parts start at whole bytes. Pure, allocates nothing.
 */
#include "codecs/amr_payload.h"

#include <string.h>

#define OCTET_ALIGNED 1u
#define NO_MODE_REQUEST 15u

const struct slr_amr_kind slr_amr_narrow = {
    .bits = {95, 103, 118, 134, 148, 159, 204, 244, 39, 43, 38, 37, -1, -1, -1, 0},
    .sid_type = 8,
    .lost_sids = 3,
    .samples = 160,
};

const struct slr_amr_kind slr_amr_wide = {
    .bits = {132, 177, 253, 285, 317, 365, 397, 461, 477, 40, -1, -1, -1, -1, 0, 0},
    .sid_type = 9,
    .lost_sids = 0,
    .samples = 320,
};

/* "name=1" or "name" of a parameter that is on; anything but 0 counts. */
static bool is_on(struct slr_slice item, const char *name)
{
    struct slr_slice key;
    bool has_value = item.len_bytes > 0 && memchr(item.at, '=', item.len_bytes) != NULL;
    if (!slr_slice_take_token(&item, '=', &key) ||
        !slr_slice_eq_nocase(slr_slice_trim(key), name)) {
        return false;
    }
    return !has_value || !slr_slice_eq(slr_slice_trim(item), "0");
}

enum slr_err slr_amr_bind(const struct slr_codec_params *p, struct slr_codec_use *use)
{
    struct slr_slice rest = slr_slice_str(p->fmtp ? p->fmtp : ""), item;
    if (p->channels > 1) {
        return SLR_UNSUPPORTED;
    }
    use->mode = 0;
    while (slr_slice_take_token(&rest, ';', &item)) {
        item = slr_slice_trim(item);
        if (is_on(item, "octet-align")) {
            use->mode = OCTET_ALIGNED;
        }
        if (is_on(item, "crc") || is_on(item, "interleaving") || is_on(item, "robust-sorting")) {
            return SLR_UNSUPPORTED;
        }
    }
    return SLR_OK;
}

/* Up to 8 bits; false beyond the end. */
static bool take_bits(struct slr_slice payload, uint32_t *bit_at, uint32_t count, uint32_t *out)
{
    *out = 0;
    if (*bit_at + count > payload.len_bytes * 8) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++, (*bit_at)++) {
        *out = *out << 1 | (payload.at[*bit_at / 8] >> (7 - *bit_at % 8) & 1u);
    }
    return true;
}

static uint32_t padded(uint32_t bits, bool aligned)
{
    return aligned ? (bits + 7) / 8 * 8 : bits;
}

/* The table of contents: F, FT, Q, and in the aligned packing two bits of padding. */
static bool read_contents(const struct slr_amr_kind *kind, bool aligned, struct slr_slice payload,
                          uint32_t *bit_at, struct slr_amr_payload *out)
{
    uint32_t entry, more = 1;
    while (more) {
        if (out->frames == SLR_AMR_MAX_FRAMES ||
            !take_bits(payload, bit_at, aligned ? 8 : 6, &entry)) {
            return false;
        }
        entry = aligned ? entry >> 2 : entry;
        more = entry >> 5;
        uint32_t type = entry >> 1 & 15u;
        if (kind->bits[type] < 0) {
            return false;
        }
        out->frame[out->frames].type = (uint8_t)type;
        out->frame[out->frames].good = entry & 1u;
        out->frames++;
    }
    return true;
}

enum slr_err slr_amr_read(const struct slr_amr_kind *kind, const struct slr_codec_use *use,
                          struct slr_slice payload, struct slr_amr_payload *out)
{
    bool aligned = use->mode == OCTET_ALIGNED;
    uint32_t bit_at = 0, request;
    out->frames = 0;
    if (payload.len_bytes > SLR_AMR_MAX_FRAMES * SLR_AMR_FRAME_BYTES + 2 ||
        !take_bits(payload, &bit_at, aligned ? 8 : 4, &request) ||
        !read_contents(kind, aligned, payload, &bit_at, out)) {
        return SLR_FORMAT;
    }
    for (uint32_t i = 0; i < out->frames; i++) {
        out->frame[i].bit_at = bit_at;
        bit_at += padded((uint32_t)kind->bits[out->frame[i].type], aligned);
    }
    return (bit_at + 7) / 8 == payload.len_bytes ? SLR_OK : SLR_FORMAT;
}

enum slr_err slr_amr_inspect(const struct slr_amr_kind *kind, const struct slr_codec_use *use,
                             struct slr_slice payload, struct slr_payload_info *info)
{
    struct slr_amr_payload parsed;
    enum slr_err err = slr_amr_read(kind, use, payload, &parsed);
    if (err != SLR_OK) {
        return err;
    }
    *info = (struct slr_payload_info){.samples = parsed.frames * kind->samples, .comfort = true};
    for (uint32_t i = 0; i < parsed.frames; i++) {
        uint8_t type = parsed.frame[i].type;
        info->comfort &= type >= kind->sid_type && type != SLR_AMR_SPEECH_LOST;
    }
    return SLR_OK;
}

void slr_amr_frame(const struct slr_amr_kind *kind, struct slr_slice payload,
                   const struct slr_amr_payload *parsed, uint32_t i,
                   uint8_t out[static SLR_AMR_FRAME_BYTES])
{
    uint8_t type = parsed->frame[i].type;
    uint32_t bit_at = parsed->frame[i].bit_at, left = (uint32_t)kind->bits[type];
    memset(out, 0, SLR_AMR_FRAME_BYTES);
    out[0] = (uint8_t)(type << 3 | (parsed->frame[i].good ? 4 : 0));
    for (uint32_t at = 1; left > 0; at++) {
        uint32_t take = left < 8 ? left : 8, value = 0;
        (void)take_bits(payload, &bit_at, take, &value);
        out[at] = (uint8_t)(value << (8 - take));
        left -= take;
    }
}

static void put_bits(uint8_t *out, uint32_t *bit_at, uint32_t count, uint32_t value)
{
    for (uint32_t i = count; i > 0; i--, (*bit_at)++) {
        out[*bit_at / 8] |= (uint8_t)((value >> (i - 1) & 1u) << (7 - *bit_at % 8));
    }
}

enum slr_err slr_amr_write(const struct slr_amr_kind *kind, const struct slr_codec_use *use,
                           const uint8_t *frame, uint32_t frames, uint8_t *out, size_t out_bytes,
                           size_t *len_bytes)
{
    bool aligned = use->mode == OCTET_ALIGNED;
    uint32_t bits = (aligned ? 8 : 4) + frames * (aligned ? 8 : 6), bit_at = 0;
    if (frames == 0 || frames > SLR_AMR_MAX_FRAMES) {
        return SLR_INVAL;
    }
    for (uint32_t i = 0; i < frames; i++) {
        int16_t n = kind->bits[frame[i * SLR_AMR_FRAME_BYTES] >> 3 & 15];
        bits += padded(n > 0 ? (uint32_t)n : 0, aligned);
    }
    if ((bits + 7) / 8 > out_bytes) {
        return SLR_TRUNCATED;
    }
    *len_bytes = (bits + 7) / 8;
    memset(out, 0, *len_bytes);
    put_bits(out, &bit_at, 4, NO_MODE_REQUEST);
    bit_at = padded(bit_at, aligned);
    for (uint32_t i = 0; i < frames; i++) {
        uint32_t header = frame[i * SLR_AMR_FRAME_BYTES] >> 2 & 31u;
        put_bits(out, &bit_at, 6, (i + 1 < frames ? 32u : 0) | header);
        bit_at = padded(bit_at, aligned);
    }
    for (uint32_t i = 0; i < frames; i++) {
        const uint8_t *from = frame + i * SLR_AMR_FRAME_BYTES;
        int16_t n = kind->bits[*from >> 3 & 15];
        for (uint32_t k = 0; n > 0 && k < (uint32_t)n; k++) {
            put_bits(out, &bit_at, 1, from[1 + k / 8] >> (7 - k % 8) & 1u);
        }
        bit_at = padded(bit_at, aligned);
    }
    return SLR_OK;
}
