/*
 * slr_load_mark: watermarked payload. Pure.
 */
#include <string.h>

#include "bench/slr_load.h"

#define MARK_MAGIC 0x51a7e10du

static void put32(uint8_t *at, uint32_t v)
{
    for (int i = 0; i < 4; i++) {
        at[i] = (uint8_t)(v >> (24 - 8 * i));
    }
}

void slr_load_mark(uint8_t at[static SLR_LOAD_PACKET_BYTES], uint32_t run_id, uint32_t call,
                   uint32_t leg, uint32_t n)
{
    uint64_t x = ((uint64_t)run_id << 32 | call) * 0x9e3779b97f4a7c15u + (leg << 24 | n);
    put32(at, MARK_MAGIC ^ run_id);
    put32(at + 4, call);
    put32(at + 8, leg);
    put32(at + 12, n);
    for (uint32_t i = 16; i < SLR_LOAD_PACKET_BYTES; i += 8) {
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        uint64_t word = x * 0x2545f4914f6cdd1du;
        memcpy(at + i, &word, 8);
    }
}
