/*
 * leg_codecs: payload type tables of a leg. See the header for who runs it; allocates nothing.
 */
#include "engine/leg_codecs.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Of audio and telephone events, with room on both sides. */
#define CLOCK_MIN_HZ 1000u
#define CLOCK_MAX_HZ 192000u
#define COMFORT_CLOCK_HZ 8000u

static const uint8_t comfort_pt[] = {13, 19};

static enum slr_pt_kind kind_of(const struct slr_pt_map *pt, struct slr_codec_use *use)
{
    *use = (struct slr_codec_use){0};
    if (pt->clock_hz < CLOCK_MIN_HZ || pt->clock_hz > CLOCK_MAX_HZ) {
        return SLR_PT_UNKNOWN; /* positions are divided by it */
    }
    if (strcasecmp(pt->name, "telephone-event") == 0) {
        return SLR_PT_EVENT;
    }
    if (strcasecmp(pt->name, "CN") == 0) {
        return SLR_PT_COMFORT;
    }
    const struct slr_codec *codec = slr_codec_by_name(pt->name, pt->clock_hz);
    struct slr_codec_params params = {pt->clock_hz, pt->channels, pt->fmtp};
    if (!codec || slr_codec_bind(codec, &params, use) != SLR_OK) {
        *use = (struct slr_codec_use){0};
        return SLR_PT_UNKNOWN;
    }
    return SLR_PT_AUDIO;
}

void slr_leg_codecs_build(struct slr_leg_codecs *c, const struct slr_leg *leg)
{
    memset(c->row_of_pt, 0xff, sizeof c->row_of_pt);
    uint32_t known = atomic_load_explicit(&c->rows, memory_order_relaxed);
    for (uint32_t i = 0; i < leg->pt_count && i < SLR_LEG_PTS; i++) {
        if (i >= known) {
            c->kind[i] = (uint8_t)kind_of(slr_leg_pt(leg, i), &c->use[i]);
            atomic_store_explicit(&c->rows, i + 1, memory_order_release);
        }
        if (leg->pt_active & (1u << i)) {
            c->row_of_pt[slr_leg_pt(leg, i)->pt & 0x7f] = (uint8_t)i;
        }
    }
    /* What was answered before may still be under way: a number that means nothing else now means
     * what it did last (RFC 3264 section 8.3.2). */
    for (uint32_t i = leg->pt_count; i > 0; i--) {
        uint8_t *row = i <= SLR_LEG_PTS ? &c->row_of_pt[slr_leg_pt(leg, i - 1)->pt & 0x7f] : NULL;
        if (row && *row == 0xff) {
            *row = (uint8_t)(i - 1);
        }
    }
}

static bool same_row(const struct slr_pt_map *a, const struct slr_pt_map *b)
{
    return a->pt == b->pt && a->clock_hz == b->clock_hz && a->channels == b->channels &&
           strcasecmp(a->name, b->name) == 0 && strcmp(a->fmtp, b->fmtp) == 0;
}

static uint32_t find_row(const struct slr_leg *leg, const struct slr_pt_map *pt)
{
    for (uint32_t i = 0; i < leg->pt_count; i++) {
        if (same_row(slr_leg_pt(leg, i), pt)) {
            return i;
        }
    }
    return SLR_NONE;
}

/* The row of that type, appended where it is new; there is room. */
static uint32_t put_row(struct slr_leg *leg, const struct slr_pt_map *pt)
{
    uint32_t row = find_row(leg, pt);
    if (row == SLR_NONE) {
        row = leg->pt_count;
        *slr_leg_pt(leg, row) = *pt;
        slr_leg_pt(leg, row)->pt &= 0x7f;
        leg->pt_count = row + 1;
    }
    return row;
}

enum slr_err slr_leg_codecs_set(struct slr_leg *leg, const struct slr_pt_map *pt, uint32_t count)
{
    uint32_t fresh = 0;
    for (uint32_t i = 0; i < count; i++) {
        fresh += find_row(leg, &pt[i]) == SLR_NONE;
    }
    if (leg->pt_count + fresh > SLR_LEG_PTS) {
        return SLR_FULL;
    }
    uint32_t far = leg->pt_count + fresh;
    if (far > SLR_LEG_PTS_NEAR &&
        !slr_space_touch(slr_leg_pt(leg, SLR_LEG_PTS_NEAR),
                         (far - SLR_LEG_PTS_NEAR) * sizeof(struct slr_pt_map))) {
        return SLR_NOMEM;
    }
    uint32_t active = 0;
    for (uint32_t i = 0; i < count; i++) {
        active |= 1u << put_row(leg, &pt[i]);
    }
    leg->pt_active = active;
    slr_leg_run(leg)->on = false;
    return SLR_OK;
}

static void add_static(struct slr_pt_map *out, uint8_t pt, const char *name, uint32_t clock_hz,
                       uint32_t channels)
{
    memset(out, 0, sizeof *out);
    out->pt = pt;
    out->clock_hz = clock_hz;
    out->channels = (uint8_t)channels;
    snprintf(out->name, sizeof out->name, "%s", name);
}

uint32_t slr_leg_codecs_static(struct slr_pt_map out[static SLR_MAX_PTS], const uint8_t *accept)
{
    uint32_t n = 0;
    for (uint32_t pt = 0; pt < 96 && n < SLR_MAX_PTS - 3; pt++) {
        struct slr_codec_params p;
        const struct slr_codec *codec = slr_codec_static((uint8_t)pt, &p);
        if (codec && (!accept || accept[pt])) {
            add_static(&out[n++], (uint8_t)pt, codec->name, p.clock_hz, p.channels);
        }
    }
    for (size_t i = 0; i < sizeof comfort_pt; i++) {
        if (!accept || accept[comfort_pt[i]]) {
            add_static(&out[n++], comfort_pt[i], "CN", COMFORT_CLOCK_HZ, 1);
        }
    }
    add_static(&out[n++], 101, "telephone-event", 8000, 1);
    return n;
}

bool slr_leg_codecs_is_sound(const struct slr_leg_codecs *c, const struct slr_leg *leg,
                             uint32_t row)
{
    return (leg->pt_active & (1u << row)) && c->kind[row] == SLR_PT_AUDIO;
}

static bool has_comfort_clock(const struct slr_leg_codecs *c, const struct slr_leg *leg)
{
    for (uint32_t i = 0; i < leg->pt_count; i++) {
        if (slr_leg_codecs_is_sound(c, leg, i) &&
            slr_leg_pt(leg, i)->clock_hz == COMFORT_CLOCK_HZ) {
            return true;
        }
    }
    return false;
}

uint32_t slr_leg_codecs_clock(const struct slr_leg_codecs *c, const struct slr_leg *leg)
{
    for (uint32_t i = 0; i < leg->pt_count; i++) {
        if (slr_leg_codecs_is_sound(c, leg, i)) {
            return slr_leg_pt(leg, i)->clock_hz;
        }
    }
    return 0;
}

enum slr_err slr_leg_codecs_signalled(struct slr_leg_codecs *c, struct slr_leg *leg,
                                      const struct slr_pt_map *pt, uint32_t count,
                                      const uint8_t *accept)
{
    enum slr_err err = slr_leg_codecs_set(leg, pt, count);
    if (err != SLR_OK) {
        return err;
    }
    slr_leg_codecs_build(c, leg);
    bool wanted = has_comfort_clock(c, leg);
    for (size_t i = 0; i < sizeof comfort_pt && wanted; i++) {
        uint8_t number = comfort_pt[i];
        struct slr_pt_map noise;
        add_static(&noise, number, "CN", COMFORT_CLOCK_HZ, 1);
        bool room = find_row(leg, &noise) != SLR_NONE || leg->pt_count < SLR_LEG_PTS;
        if (c->row_of_pt[number] == 0xff && room && (!accept || accept[number])) {
            leg->pt_active |= 1u << put_row(leg, &noise);
        }
    }
    slr_leg_codecs_build(c, leg);
    return SLR_OK;
}

/* "PT=NAME/CLOCK[/CHANNELS]" */
static bool read_row(struct slr_slice text, struct slr_pt_map *out)
{
    struct slr_slice number, name, clock, channels;
    uint64_t pt, clock_hz, n = 1;
    if (!slr_slice_take_token(&text, '=', &number) || !slr_slice_to_u64(number, 127, &pt) ||
        !slr_slice_take_token(&text, '/', &name) || name.len_bytes == 0 ||
        !slr_slice_to_str(name, out->name, sizeof out->name) ||
        !slr_slice_take_token(&text, '/', &clock) ||
        !slr_slice_to_u64(clock, CLOCK_MAX_HZ, &clock_hz)) {
        return false;
    }
    if (slr_slice_take_token(&text, '/', &channels) && !slr_slice_to_u64(channels, 2, &n)) {
        return false;
    }
    for (char *c = out->name; *c != '\0'; c++) {
        *c = (char)toupper((unsigned char)*c);
    }
    out->pt = (uint8_t)pt;
    out->clock_hz = (uint32_t)clock_hz;
    out->channels = (uint8_t)n;
    return text.len_bytes == 0;
}

enum slr_err slr_leg_codecs_add(struct slr_pt_map pt[static SLR_MAX_PTS], uint32_t *count,
                                const char *text)
{
    struct slr_pt_map row = {.pt = 0};
    struct slr_slice rest = slr_slice_str(text), map;
    struct slr_codec_use use;
    uint32_t at = 0;
    if (!slr_slice_take_token(&rest, ';', &map) || !read_row(map, &row) ||
        !slr_slice_to_str(slr_slice_trim(rest), row.fmtp, sizeof row.fmtp) ||
        kind_of(&row, &use) == SLR_PT_UNKNOWN) {
        return SLR_INVAL;
    }
    while (at < *count && pt[at].pt != row.pt) {
        at++;
    }
    if (at == SLR_MAX_PTS) {
        return SLR_FULL;
    }
    pt[at] = row;
    *count += at == *count;
    return SLR_OK;
}
