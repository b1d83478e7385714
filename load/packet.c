/*
 * packet: see the header.
 */
#include "load/packet.h"

#include "load/draw.h"

#define COMFORT_PT 13u
#define COMFORT_LEVEL 60u /* -60 dBov */

static void put16(uint8_t *at, uint32_t v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

static void put32(uint8_t *at, uint32_t v)
{
    put16(at, v >> 16);
    put16(at + 2, v);
}

void slr_packet_begin(struct slr_packet_leg *p, const struct slr_voice *voice, uint64_t seed,
                      uint32_t run_id, uint32_t call, uint32_t leg)
{
    uint64_t bits = slr_draw(seed ^ run_id, SLR_DRAW_STREAM, call, leg, 0);
    *p = (struct slr_packet_leg){.voice = voice,
                                 .run_id = run_id,
                                 .call = call,
                                 .leg = leg,
                                 .ssrc = (uint32_t)bits,
                                 .ts0 = (uint32_t)(bits >> 32),
                                 .seq0 = (uint16_t)slr_draw_mix(bits)};
}

size_t slr_packet_write(const struct slr_packet_leg *p, uint32_t frame, const struct slr_fate *fate,
                        uint8_t *at)
{
    size_t len = 1;
    uint8_t pt = COMFORT_PT;
    if (fate->comfort) {
        at[SLR_PACKET_HEADER_BYTES] = COMFORT_LEVEL;
    } else {
        struct slr_mark m = {p->run_id, p->call, p->leg, frame};
        len = slr_voice_payload(p->voice, &m, at + SLR_PACKET_HEADER_BYTES);
        pt = p->voice->row->pt;
    }
    at[0] = 0x80;
    at[1] = (uint8_t)(pt | (fate->marker ? 0x80 : 0));
    put16(at + 2, p->seq0 + fate->seq);
    put32(at + 4, p->ts0 + frame * p->voice->frame_ticks);
    put32(at + 8, p->ssrc);
    return SLR_PACKET_HEADER_BYTES + len;
}
