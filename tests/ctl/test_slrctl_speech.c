/* The demo's voices: WAV reading, A-law, and that both parties talk in turn. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "ctl/slrctl_speech.h"

/* Rows of G.711 table 1a: linear value (16 bit) and code with even bits inverted. */
Test(slrctl_speech, alaw)
{
    cr_assert_eq(slrctl_speech_alaw(0), 0xd5);
    cr_assert_eq(slrctl_speech_alaw(-1), 0x55);
    cr_assert_eq(slrctl_speech_alaw(32767), 0xaa);
    cr_assert_eq(slrctl_speech_alaw(-32768), 0x2a);
    cr_assert_eq(slrctl_speech_alaw(8), 0xd5);
    cr_assert_eq(slrctl_speech_alaw(16), 0xd4);
    cr_assert_eq(slrctl_speech_alaw(512), 0xf5);
    cr_assert_eq(slrctl_speech_alaw(1024), 0xe5);
}

static size_t make_wav(uint8_t *out, uint32_t hz, uint32_t claim, const int16_t *at, size_t count)
{
    struct slr_put p = slr_put_of(out, 4096);
    slr_put_str(&p, "RIFF");
    slr_put_le32(&p, 36 + claim);
    slr_put_str(&p, "WAVEfmt ");
    slr_put_le32(&p, 16);
    slr_put_le16(&p, 1);
    slr_put_le16(&p, 1);
    slr_put_le32(&p, hz);
    slr_put_le32(&p, hz * 2);
    slr_put_le16(&p, 2);
    slr_put_le16(&p, 16);
    slr_put_str(&p, "data");
    slr_put_le32(&p, claim);
    for (size_t i = 0; i < count; i++) {
        slr_put_le16(&p, (uint16_t)at[i]);
    }
    cr_assert_not(p.overflow);
    return p.len_bytes;
}

Test(slrctl_speech, wav)
{
    uint8_t wav[4096];
    static const int16_t in[8] = {100, 200, -300, -400, 500, 600, 700, 800};
    int16_t *out = NULL;
    size_t len = 0;
    size_t n = make_wav(wav, 8000, 16, in, 8);
    cr_assert_eq(slrctl_speech_read_wav(slr_slice_of(wav, n), &out, &len), SLR_OK);
    cr_assert_eq(len, 8);
    cr_assert_arr_eq(out, in, sizeof(in));
    free(out);
    n = make_wav(wav, 16000, 0x7ffff000, in, 8); /* a stream does not know its length */
    cr_assert_eq(slrctl_speech_read_wav(slr_slice_of(wav, n), &out, &len), SLR_OK);
    cr_assert_eq(len, 4);
    cr_assert_eq(out[0], 150);
    cr_assert_eq(out[1], -350);
    free(out);
    for (size_t cut = 0; cut < 40; cut++) {
        cr_assert_neq(slrctl_speech_read_wav(slr_slice_of(wav, cut), &out, &len), SLR_OK);
    }
    n = make_wav(wav, 0, 16, in, 8);
    cr_assert_eq(slrctl_speech_read_wav(slr_slice_of(wav, n), &out, &len), SLR_FORMAT);
}

static size_t loud(const uint8_t *at, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        n += (at[i] ^ 0x55) % 128 > 48 ? 1 : 0; /* segment 3 and above */
    }
    return n;
}

Test(slrctl_speech, two_voices_in_turn, .timeout = 30)
{
    struct slrctl_speech s;
    cr_assert_eq(slrctl_speech_make(&s), SLR_OK);
    cr_assert_gt(s.len_samples, 2 * SLRCTL_SPEECH_HZ);
    size_t third = s.len_samples / 3;
    cr_assert_gt(loud(s.party[0], third), third / 20);
    cr_assert_eq(loud(s.party[1], third), 0);
    cr_assert_gt(loud(s.party[1] + 2 * third, third), third / 20);
    cr_assert_eq(loud(s.party[0] + 2 * third, third), 0);
    slrctl_speech_free(&s);
}
