/* slice: takes succeed wholly or not at all; the writer stops at its bound. */
#include <criterion/criterion.h>

#include "common/slice.h"

Test(slice, integers_are_big_endian_and_bounded)
{
    const uint8_t bytes[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08};
    struct slr_slice s = slr_slice_of(bytes, sizeof bytes);
    uint8_t a;
    uint16_t b;
    uint32_t c;

    cr_assert(slr_slice_take_u8(&s, &a) && a == 1);
    cr_assert(slr_slice_take_u16(&s, &b) && b == 0x0203);
    cr_assert(slr_slice_take_u32(&s, &c) && c == 0x04050607);
    cr_assert_not(slr_slice_take_u16(&s, &b));
    cr_assert_eq(s.len_bytes, 1, "a failed take leaves the slice as it was");
    cr_assert(slr_slice_take_u8(&s, &a) && a == 8);
    cr_assert_not(slr_slice_take_u8(&s, &a));
}

Test(slice, lines)
{
    struct slr_slice s = slr_slice_str("one\r\n\ntwo\nthree"), line;

    cr_assert(slr_slice_take_line(&s, &line) && slr_slice_eq(line, "one"));
    cr_assert(slr_slice_take_line(&s, &line) && slr_slice_eq(line, ""));
    cr_assert(slr_slice_take_line(&s, &line) && slr_slice_eq(line, "two"));
    cr_assert(slr_slice_take_line(&s, &line) && slr_slice_eq(line, "three"));
    cr_assert_not(slr_slice_take_line(&s, &line));
}

Test(slice, tokens)
{
    struct slr_slice s = slr_slice_str("a;;bc"), token;

    cr_assert(slr_slice_take_token(&s, ';', &token) && slr_slice_eq(token, "a"));
    cr_assert(slr_slice_take_token(&s, ';', &token) && slr_slice_eq(token, ""));
    cr_assert(slr_slice_take_token(&s, ';', &token) && slr_slice_eq(token, "bc"));
    cr_assert_not(slr_slice_take_token(&s, ';', &token));
}

Test(slice, trim_and_compare)
{
    cr_assert(slr_slice_eq(slr_slice_trim(slr_slice_str(" \t x y\r\n")), "x y"));
    cr_assert(slr_slice_eq(slr_slice_trim(slr_slice_str("  \t")), ""));
    cr_assert(slr_slice_eq_nocase(slr_slice_str("Content-TYPE"), "content-type"));
    cr_assert_not(slr_slice_eq_nocase(slr_slice_str("content-typ"), "content-type"));
    cr_assert_not(slr_slice_eq_nocase(slr_slice_str("[a]"), "{a}"), "only letters fold");
    cr_assert_not(slr_slice_eq(slr_slice_str("ab"), "a"));
}

Test(slice, numbers)
{
    uint64_t v = 7;

    cr_assert(slr_slice_to_u64(slr_slice_str("65535"), 65535, &v) && v == 65535);
    cr_assert_not(slr_slice_to_u64(slr_slice_str("65536"), 65535, &v));
    cr_assert(slr_slice_to_u64(slr_slice_str("18446744073709551615"), UINT64_MAX, &v));
    cr_assert_eq(v, UINT64_MAX);
    cr_assert_not(slr_slice_to_u64(slr_slice_str("18446744073709551616"), UINT64_MAX, &v));
    cr_assert_not(slr_slice_to_u64(slr_slice_str("99999999999999999999"), UINT64_MAX, &v));
    cr_assert_not(slr_slice_to_u64(slr_slice_str(""), 10, &v));
    cr_assert_not(slr_slice_to_u64(slr_slice_str("-1"), 10, &v));
    cr_assert_not(slr_slice_to_u64(slr_slice_str("1x"), 10, &v));
    cr_assert_eq(v, UINT64_MAX, "a failure leaves the result as it was");
}

Test(slice, to_str_says_when_it_cut)
{
    char out[4];

    cr_assert(slr_slice_to_str(slr_slice_str("abc"), out, sizeof out));
    cr_assert_str_eq(out, "abc");
    cr_assert_not(slr_slice_to_str(slr_slice_str("abcd"), out, sizeof out));
    cr_assert_str_eq(out, "abc");
    cr_assert_not(slr_slice_to_str(slr_slice_of("a\0b", 3), out, sizeof out));
    cr_assert(slr_slice_to_str((struct slr_slice){NULL, 0}, out, sizeof out));
    cr_assert_str_eq(out, "");
}

Test(put, both_byte_orders)
{
    uint8_t out[15];
    struct slr_put p = slr_put_of(out, sizeof out);

    slr_put_u8(&p, 0xab);
    slr_put_u16(&p, 0x0102);
    slr_put_u32(&p, 0x03040506);
    slr_put_le16(&p, 0x0708);
    slr_put_le32(&p, 0x090a0b0c);
    slr_put_str(&p, "hi");
    cr_assert_not(p.overflow);
    const uint8_t want[] = {0xab, 1, 2, 3, 4, 5, 6, 8, 7, 0x0c, 0x0b, 0x0a, 9, 'h', 'i'};
    cr_assert_eq(p.len_bytes, sizeof want);
    cr_assert_arr_eq(out, want, sizeof want);
}

Test(put, overflow_stays)
{
    uint8_t out[5] = {0};
    struct slr_put p = slr_put_of(out, 4);

    slr_put_str(&p, "abc");
    slr_put_u16(&p, 0x4141);
    cr_assert(p.overflow);
    slr_put_u8(&p, 'x');
    cr_assert_eq(p.len_bytes, 3, "after an overflow nothing is put, even if it would fit");
    cr_assert_eq(out[4], 0);
}

Test(put, fmt_needs_a_spare_byte)
{
    char out[8];
    struct slr_put p = slr_put_of(out, sizeof out);

    slr_put_fmt(&p, "%u-%s", 12U, "ab");
    cr_assert_eq(p.len_bytes, 5);
    cr_assert_not(p.overflow);
    slr_put_fmt(&p, "%s", "xy");
    cr_assert_eq(p.len_bytes, 7);
    cr_assert_arr_eq(out, "12-abxy", 7);
    slr_put_fmt(&p, "%s", "z");
    cr_assert(p.overflow);
    cr_assert_eq(p.len_bytes, 7);
}
