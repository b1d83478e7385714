/*
 * Frames of our own making, as a receiver checks them.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>

#include "load/batch.h"
#include "load/link.h"

static uint32_t sum_of(const uint8_t *at, size_t bytes)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < bytes; i += 2) {
        sum += (uint32_t)at[i] << 8 | at[i + 1];
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

/* As slr_link_open makes it. */
static struct slr_link make(void)
{
    struct slr_link l = {.ifindex = 1};
    memcpy(l.head, "\1\2\3\4\5\6\7\10\11\12\13\14\10\0", 14);
    memcpy(l.head + 14, "\x45\0\0\0\0\0\x40\0\x40\x11", 10);
    memcpy(l.head + 26, "\12\313\1\2", 4);
    memcpy(l.head + 34, "\x9c\x41", 2);
    return l;
}

Test(link, head_of_any_length_and_address)
{
    struct slr_link l = make();
    for (uint32_t i = 0; i < 2000; i++) {
        uint8_t at[SLR_LINK_HEAD_BYTES];
        struct sockaddr_in to = {.sin_port = htons((uint16_t)(i * 31)),
                                 .sin_addr = {.s_addr = htonl(0x0a000000u + i * 65537u)}};
        size_t len = 12 + i % 1400;
        slr_link_head(&l, NULL, &to, len, at);
        cr_assert_eq(sum_of(at + 14, 20), 0xffff, "%u", i);
        cr_assert_eq((size_t)(at[16] << 8 | at[17]), 28 + len);
        cr_assert_eq((size_t)(at[38] << 8 | at[39]), 8 + len);
        cr_assert_eq(memcmp(at + 26, "\12\313\1\2", 4), 0);
        cr_assert_eq(memcmp(at + 30, &to.sin_addr, 4), 0);
        cr_assert_eq(memcmp(at + 36, &to.sin_port, 2), 0);
        cr_assert_eq(at[40] | at[41], 0);
    }
}

Test(link, head_from_elsewhere)
{
    struct slr_link l = make();
    uint8_t at[SLR_LINK_HEAD_BYTES];
    struct sockaddr_in to = {.sin_port = htons(5000), .sin_addr = {.s_addr = htonl(0x0a000001)}};
    struct sockaddr_in from = {
        .sin_family = AF_INET, .sin_port = htons(6000), .sin_addr = {.s_addr = htonl(0x0a000002)}};
    slr_link_head(&l, &from, &to, 172, at);
    cr_assert_eq(sum_of(at + 14, 20), 0xffff);
    cr_assert_eq(memcmp(at + 26, &from.sin_addr, 4), 0);
    cr_assert_eq(memcmp(at + 34, &from.sin_port, 2), 0);
    from.sin_family = 0; /* none: the link's */
    slr_link_head(&l, &from, &to, 172, at);
    cr_assert_eq(memcmp(at + 26, "\12\313\1\2", 4), 0);
}

Test(link, a_batch_puts_the_head_before_the_packet)
{
    struct slr_link l = make();
    struct slr_batch b;
    struct slr_batch_way way = {.fd = -1, .link = &l};
    struct sockaddr_in to = {.sin_port = htons(4000)};
    cr_assert_eq(slr_batch_open(&b, &way, 200), SLR_OK);
    for (uint8_t i = 0; i < 3; i++) {
        memset(slr_batch_at(&b), 0x40 + i, 172);
        slr_batch_add(&b, NULL, &to, 172);
    }
    for (uint8_t i = 0; i < 3; i++) {
        const uint8_t *at = b.iov[i].iov_base;
        cr_assert_eq(b.iov[i].iov_len, SLR_LINK_HEAD_BYTES + 172);
        cr_assert_eq(at[0], 1);
        cr_assert_eq(at[SLR_LINK_HEAD_BYTES], 0x40 + i);
        cr_assert_eq(at[SLR_LINK_HEAD_BYTES + 171], 0x40 + i);
        cr_assert_null(b.msg[i].msg_hdr.msg_name);
    }
    slr_batch_close(&b);
}

Test(link, no_such_device)
{
    struct slr_link l;
    struct sockaddr_in from = {.sin_family = AF_INET};
    struct in_addr to = {.s_addr = htonl(INADDR_LOOPBACK)};
    cr_assert_eq(slr_link_open(&l, "slr-none", SLR_LINK_SELF, &from, to), SLR_NOTFOUND);
}
