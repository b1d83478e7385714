/*
 * mark: see the header. No state, allocates nothing.
 */
#include "load/mark.h"

#include <string.h>

#include "load/draw.h"

#define MARK_MAGIC 0x51a7e10du
#define LEG_BITS 3u

static void put32(uint8_t *at, uint32_t v)
{
    at[0] = (uint8_t)(v >> 24);
    at[1] = (uint8_t)(v >> 16);
    at[2] = (uint8_t)(v >> 8);
    at[3] = (uint8_t)v;
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint64_t key_of(const struct slr_mark *m)
{
    uint64_t who = (uint64_t)m->run_id << 32 | m->call;
    return slr_draw_mix(who ^ slr_draw_mix((uint64_t)m->frame << LEG_BITS | m->leg));
}

void slr_mark_fill(const struct slr_mark *m, uint8_t *at, size_t bytes)
{
    uint64_t key = key_of(m);
    put32(at, MARK_MAGIC ^ m->run_id);
    put32(at + 4, m->call << LEG_BITS | m->leg);
    put32(at + 8, m->frame);
    put32(at + 12, (uint32_t)key);
    for (size_t i = SLR_MARK_BYTES; i < bytes; i += 8) {
        /* independent of each other, so that the processor overlaps them */
        uint64_t word = slr_draw_mix(key + i * 0x9e3779b97f4a7c15u);
        memcpy(at + i, &word, 8);
    }
}

bool slr_mark_find(const uint8_t at[static SLR_MARK_BYTES], uint32_t run_id, struct slr_mark *out)
{
    if (get32(at) != (MARK_MAGIC ^ run_id)) {
        return false;
    }
    uint32_t who = get32(at + 4);
    struct slr_mark m = {.run_id = run_id,
                         .call = who >> LEG_BITS,
                         .leg = who & ((1u << LEG_BITS) - 1),
                         .frame = get32(at + 8)};
    if (get32(at + 12) != (uint32_t)key_of(&m)) {
        return false;
    }
    *out = m;
    return true;
}
