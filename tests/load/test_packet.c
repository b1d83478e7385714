/*
 * Packets as a receiver reads them.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "load/packet.h"

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static struct slr_packet_leg make(struct slr_voice **v)
{
    struct slr_packet_leg p;
    cr_assert_eq(slr_voice_open("PCMA", v), SLR_OK);
    slr_packet_begin(&p, *v, 1, 2, 3, 1);
    return p;
}

Test(packet, header_and_mark)
{
    struct slr_voice *v;
    struct slr_packet_leg p = make(&v);
    uint8_t at[SLR_PACKET_MAX_BYTES];
    struct slr_fate f = {.talk = true, .marker = true, .seq = 70000};
    struct slr_mark m;
    cr_assert_eq(slr_packet_write(&p, 70100, &f, at), 172);
    cr_assert_eq(at[0], 0x80);
    cr_assert_eq(at[1], 0x88);
    cr_assert_eq((uint16_t)(at[2] << 8 | at[3]), (uint16_t)(p.seq0 + 70000));
    cr_assert_eq(get32(at + 4), p.ts0 + 70100u * 160u);
    cr_assert_eq(get32(at + 8), p.ssrc);
    cr_assert(slr_mark_find(at + 12, 2, &m));
    cr_assert(m.call == 3 && m.leg == 1 && m.frame == 70100);
    slr_voice_close(v);
}

Test(packet, comfort_noise)
{
    struct slr_voice *v;
    struct slr_packet_leg p = make(&v);
    uint8_t at[SLR_PACKET_MAX_BYTES];
    struct slr_fate f = {.comfort = true};
    cr_assert_eq(slr_packet_write(&p, 5, &f, at), 13);
    cr_assert_eq(at[1], 13);
    slr_voice_close(v);
}

Test(packet, sender_report)
{
    struct slr_voice *v;
    struct slr_packet_leg p = make(&v);
    uint8_t at[SLR_PACKET_REPORT_BYTES];
    cr_assert_eq(slr_packet_report(&p, 100, 90, 1500000000500000000LL, 1, at), 48);
    cr_assert_eq(get32(at), 0x80c80006u);
    cr_assert_eq(get32(at + 4), p.ssrc);
    cr_assert_eq(get32(at + 8), 1500000000u + 2208988800u);
    cr_assert_eq(get32(at + 12), 0x80000000u);
    cr_assert_eq(get32(at + 16), p.ts0 + 16000u);
    cr_assert_eq(get32(at + 20), 90);
    cr_assert_eq(get32(at + 28), 0x81ca0004u);
    cr_assert_eq(memcmp(at + 36, "\1\10slr-load", 10), 0);
    slr_voice_close(v);
}
