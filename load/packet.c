/*
 * packet: see the header.
 */
#include "load/packet.h"

#include <string.h>

#include "load/draw.h"

#define NTP_UNIX_S 2208988800u
#define REPORT_BYTES 48u
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

static uint64_t draw(uint64_t seed, uint32_t run_id, uint32_t call, uint32_t leg)
{
    return slr_draw(seed ^ run_id, SLR_DRAW_STREAM, call, leg, 0);
}

uint32_t slr_packet_ssrc(uint64_t seed, uint32_t run_id, uint32_t call, uint32_t leg)
{
    return (uint32_t)draw(seed, run_id, call, leg);
}

void slr_packet_begin(struct slr_packet_leg *p, const struct slr_voice *voice, uint64_t seed,
                      uint32_t run_id, uint32_t call, uint32_t leg)
{
    uint64_t bits = draw(seed, run_id, call, leg);
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
    len += SLR_PACKET_HEADER_BYTES;
    return p->secure ? slr_secure_rtp(p->secure, at, len, (uint64_t)p->seq0 + fate->seq) : len;
}

size_t slr_packet_report(const struct slr_packet_leg *p, uint32_t frame, uint32_t packets,
                         int64_t wall_ns, uint32_t number, uint8_t *at)
{
    static const uint8_t cname[12] = "\1\10slr-load\0"; /* item, length, text, end, padding */
    uint64_t fraction = (((uint64_t)wall_ns % 1000000000u) << 32) / 1000000000u;
    put32(at, 0x80c80006u); /* version 2, no report blocks, SR, 28 bytes */
    put32(at + 4, p->ssrc);
    put32(at + 8, (uint32_t)((uint64_t)wall_ns / 1000000000u + NTP_UNIX_S));
    put32(at + 12, (uint32_t)fraction);
    put32(at + 16, p->ts0 + frame * p->voice->frame_ticks);
    put32(at + 20, packets);
    put32(at + 24, packets * (uint32_t)p->voice->payload_bytes);
    put32(at + 28, 0x81ca0004u); /* SDES of one source, 20 bytes */
    put32(at + 32, p->ssrc);
    memcpy(at + 36, cname, sizeof cname);
    return p->secure ? slr_secure_rtcp(p->secure, at, REPORT_BYTES, number) : REPORT_BYTES;
}
