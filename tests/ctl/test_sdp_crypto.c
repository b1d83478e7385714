/*
 * sdp_crypto: lines that are taken, lines that are not, the choice among them, texts without keys.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "ctl/sdp_crypto.h"

#define KEY "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
#define KEY2 "PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR"
#define S80 "AES_CM_128_HMAC_SHA1_80"

static struct slr_sdp_crypto line;

static enum slr_err read_text(const char *text)
{
    return slr_sdp_crypto_read(slr_slice_str(text), &line);
}

Test(sdp_crypto, lines_of_the_rfc_are_read)
{
    char text[SLR_SRTP_KEY_TEXT_SIZE];
    cr_assert_eq(read_text("1 " S80 " inline:" KEY "|2^20|1:4 FEC_ORDER=FEC_SRTP"), SLR_OK);
    cr_assert_eq(line.tag, 1u);
    cr_assert_str_eq(line.name, S80);
    cr_assert_eq(line.key_count, 1);
    cr_assert_eq(line.key[0].mki, 1u);
    cr_assert_eq(line.key[0].mki_len, 4);
    slr_srtp_key_format(&line.key[0], text);
    cr_assert_str_eq(text, KEY);
    cr_assert_eq(read_text("000000002 " S80 " inline:" KEY "|1:32;inline:" KEY2 "|2^31|2:32"),
                 SLR_OK);
    cr_assert_eq(line.key_count, 2);
    cr_assert_eq(read_text("  7  aes_cm_128_hmac_sha1_32\tx"), SLR_FORMAT);
    cr_assert_eq(read_text("7 aes_cm_128_hmac_sha1_32  INLINE:" KEY "|1048576 WSH=64 -NEW=x "),
                 SLR_OK);
}

Test(sdp_crypto, keys_of_every_suite_have_their_length)
{
    for (int suite = 1; suite < SLR_SRTP_SUITE_COUNT; suite++) {
        const struct slr_srtp_suite_row *row = slr_srtp_suite_row((enum slr_srtp_suite)suite);
        struct slr_srtp_key key;
        char text[SLR_SRTP_KEY_TEXT_SIZE], one[256];
        cr_assert(slr_sdp_crypto_make((enum slr_srtp_suite)suite, &key));
        slr_srtp_key_format(&key, text);
        (void)snprintf(one, sizeof one, "1 %s inline:%s", row->name, text);
        cr_assert_eq(read_text(one), SLR_OK, "%s", one);
        cr_assert_eq(memcmp(line.key[0].key, key.key, row->key_bytes), 0);
        cr_assert_eq(memcmp(line.key[0].salt, key.salt, row->salt_bytes), 0);
        char *pad = strchr(one, '=');
        if (pad) {
            *pad = '\0'; /* padding is often left out */
            cr_assert_eq(read_text(one), SLR_OK, "%s", one);
        }
        one[strlen(one) - 1] = '\0';
        cr_assert_eq(read_text(one), SLR_FORMAT, "%s", one);
    }
}

Test(sdp_crypto, what_cannot_be_decrypted_is_refused)
{
    static const char *const unsupported[] = {"1 F8_128_HMAC_SHA1_80 inline:" KEY,
                                              "1 " S80 " inline:" KEY " UNENCRYPTED_SRTP",
                                              "1 " S80 " inline:" KEY " KDR=1",
                                              "1 " S80 " inline:" KEY " UNENCRYPTED_SRTCP",
                                              "1 " S80 " inline:" KEY " WSH=64 FOO",
                                              "1 " S80 " inline:" KEY " UNAUTHENTICATED_SRTP",
                                              "1 " S80 " inline:" KEY " FEC_KEY=inline:" KEY2};
    static const char *const malformed[] = {"",
                                            "1",
                                            "1 " S80,
                                            "x " S80 " inline:" KEY,
                                            "1234567890 " S80 " inline:" KEY,
                                            "1 " S80 " inline:",
                                            "1 " S80 " inline:" KEY "AAAA",
                                            "1 " S80 " inline:" KEY "|2^49",
                                            "1 " S80 " inline:" KEY "|1:0",
                                            "1 " S80 " inline:" KEY "|1:129",
                                            "1 " S80 " inline:" KEY "|256:1",
                                            "1 " S80 " inline:" KEY "|1:4|2^20",
                                            "1 " S80 " inline:" KEY "|2^20|1:4|x",
                                            "1 " S80 " outline:" KEY,
                                            "1 " S80 " inline:" KEY ";inline:" KEY2,
                                            "1 " S80 " inline:" KEY "|1:4;inline:" KEY2 "|1:4",
                                            "1 " S80 " inline:" KEY "|1:4;inline:" KEY2 "|2:3"};
    static const struct slr_sdp_crypto none;
    for (size_t i = 0; i < sizeof unsupported / sizeof unsupported[0]; i++) {
        cr_assert_eq(read_text(unsupported[i]), SLR_UNSUPPORTED, "%s", unsupported[i]);
        cr_assert_eq(memcmp(&line, &none, sizeof none), 0, "a part of a key is left");
    }
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        cr_assert_eq(read_text(malformed[i]), SLR_FORMAT, "%s", malformed[i]);
        cr_assert_eq(memcmp(&line, &none, sizeof none), 0, "a part of a key is left");
    }
}

Test(sdp_crypto, own_keys_are_never_the_same)
{
    struct slr_srtp_key a, b;
    cr_assert(slr_sdp_crypto_make(SLR_SRTP_AES_CM_128_80, &a));
    cr_assert(slr_sdp_crypto_make(SLR_SRTP_AES_CM_128_80, &b));
    cr_assert_neq(memcmp(a.key, b.key, 16), 0);
}

Test(sdp_crypto, texts_lose_their_keys_and_get_new_ones)
{
    char text[512] = "m=audio 1 RTP/AVP 0\r\na=x\r\nm=audio 9 RTP/SAVP 0\r\nA=Crypto:1 " S80
                     " inline:" KEY "|2^20\r\na=inline:" KEY2 "\r\n";
    char back[512];
    struct slr_srtp_key key[2] = {{.suite = SLR_SRTP_NONE}, {.suite = SLR_SRTP_AES_CM_128_80}};
    struct slr_put put = slr_put_of(back, sizeof back);
    slr_sdp_crypto_mask(text);
    cr_assert_null(strstr(text, KEY));
    cr_assert(strstr(text, " inline:*|2^20\r\na=inline:" KEY2 "\r\n"), "%s", text);
    cr_assert_eq(slr_srtp_key_text(slr_slice_str(KEY2), &key[1]), SLR_OK);
    cr_assert_eq(slr_sdp_crypto_unmask(slr_slice_str(text), key, 2, &put), SLR_OK);
    slr_put_u8(&put, 0);
    cr_assert(strstr(back, " inline:" KEY2 "|2^20\r\n"), "%s", back);
    struct slr_put small = slr_put_of(back, 40);
    cr_assert_eq(slr_sdp_crypto_unmask(slr_slice_str(text), key, 2, &small), SLR_TOOLONG);
}
