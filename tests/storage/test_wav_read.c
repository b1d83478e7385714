/*
 * The WAV reader against files written by hand here, byte by byte, not by our writer.
 */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>

#include "storage/wav_read.h"

/* A file under construction. */
struct file {
    uint8_t at[512];
    struct slr_put p;
};

static void file_begin(struct file *f)
{
    f->p = slr_put_of(f->at, sizeof f->at);
    slr_put_str(&f->p, "RIFF");
    slr_put_le32(&f->p, 0xdeadbeef); /* never trusted */
    slr_put_str(&f->p, "WAVE");
}

static void put_fmt(struct file *f, uint16_t tag, uint16_t channels, uint32_t hz, uint16_t bits)
{
    slr_put_str(&f->p, "fmt ");
    slr_put_le32(&f->p, 16);
    slr_put_le16(&f->p, tag);
    slr_put_le16(&f->p, channels);
    slr_put_le32(&f->p, hz);
    slr_put_le32(&f->p, hz * channels * bits / 8);
    slr_put_le16(&f->p, (uint16_t)(channels * bits / 8));
    slr_put_le16(&f->p, bits);
}

static void put_data(struct file *f, uint32_t stated, const char *bytes)
{
    slr_put_str(&f->p, "data");
    slr_put_le32(&f->p, stated);
    slr_put_str(&f->p, bytes);
}

static enum slr_err parse(const struct file *f, struct slr_wav_info *info)
{
    cr_assert(!f->p.overflow);
    memset(info, 0xee, sizeof *info);
    return slr_wav_parse(slr_slice_of(f->at, f->p.len_bytes), info);
}

Test(wav_read, pcm)
{
    struct file f;
    struct slr_wav_info info;
    file_begin(&f);
    put_fmt(&f, 1, 2, 16000, 16);
    put_data(&f, 8, "aabbccdd");
    cr_assert_eq(parse(&f, &info), SLR_OK);
    cr_assert_eq(info.shape.format, SLR_SAMPLE_S16);
    cr_assert_eq(info.shape.channels, 2u);
    cr_assert_eq(info.shape.sample_hz, 16000u);
    cr_assert_eq(info.data_offset_bytes, 44u);
    cr_assert_eq(info.data_len_bytes, 8u);
    cr_assert_eq(info.frames, 2u);
    cr_assert(!info.truncated);
    cr_assert(!info.has_fact);
}

Test(wav_read, companded_with_fact)
{
    static const uint16_t tags[] = {6, 7};
    static const enum slr_sample_format formats[] = {SLR_SAMPLE_ALAW, SLR_SAMPLE_ULAW};
    for (int i = 0; i < 2; i++) {
        struct file f;
        struct slr_wav_info info;
        file_begin(&f);
        put_fmt(&f, tags[i], 1, 8000, 8);
        slr_put_str(&f.p, "fact");
        slr_put_le32(&f.p, 4);
        slr_put_le32(&f.p, 3);
        put_data(&f, 3, "abc");
        cr_assert_eq(parse(&f, &info), SLR_OK);
        cr_assert_eq(info.shape.format, formats[i]);
        cr_assert_eq(info.frames, 3u);
        cr_assert(info.has_fact);
        cr_assert_eq(info.fact_frames, 3u);
        cr_assert(!info.truncated);
    }
}

static void put_extensible(struct file *f, uint16_t tag, uint8_t guid_byte)
{
    static const uint8_t tail[14] = {0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71};
    slr_put_str(&f->p, "fmt ");
    slr_put_le32(&f->p, 40);
    slr_put_le16(&f->p, 0xfffe);
    slr_put_le16(&f->p, 1);
    slr_put_le32(&f->p, 8000);
    slr_put_le32(&f->p, 16000);
    slr_put_le16(&f->p, 2);
    slr_put_le16(&f->p, 16);
    slr_put_le16(&f->p, 22);
    slr_put_le16(&f->p, 16);
    slr_put_le32(&f->p, 4);
    slr_put_le16(&f->p, tag);
    slr_put_bytes(&f->p, tail, sizeof tail - 1);
    slr_put_u8(&f->p, guid_byte);
}

Test(wav_read, extensible)
{
    struct file f;
    struct slr_wav_info info;
    file_begin(&f);
    put_extensible(&f, 1, 0x71);
    put_data(&f, 4, "abcd");
    cr_assert_eq(parse(&f, &info), SLR_OK);
    cr_assert_eq(info.shape.format, SLR_SAMPLE_S16);
    cr_assert_eq(info.frames, 2u);

    file_begin(&f);
    put_extensible(&f, 1, 0x72);
    put_data(&f, 4, "abcd");
    cr_assert_eq(parse(&f, &info), SLR_UNSUPPORTED);

    file_begin(&f);
    put_extensible(&f, 3, 0x71);
    put_data(&f, 4, "abcd");
    cr_assert_eq(parse(&f, &info), SLR_UNSUPPORTED);
}

Test(wav_read, chunks_in_any_order)
{
    struct file f;
    struct slr_wav_info info;
    file_begin(&f);
    slr_put_str(&f.p, "LIST");
    slr_put_le32(&f.p, 3);
    slr_put_str(&f.p, "odd");
    slr_put_u8(&f.p, 0);
    put_data(&f, 4, "abcd");
    slr_put_str(&f.p, "junk");
    slr_put_le32(&f.p, 0);
    put_fmt(&f, 1, 1, 8000, 16);
    cr_assert_eq(parse(&f, &info), SLR_OK);
    cr_assert_eq(info.data_offset_bytes, 12u + 12 + 8);
    cr_assert_eq(info.frames, 2u);
    cr_assert(!info.truncated);
}

static void put_ds64(struct file *f, uint32_t data_low, uint32_t data_high)
{
    slr_put_str(&f->p, "ds64");
    slr_put_le32(&f->p, 28);
    slr_put_le32(&f->p, 0xdeadbeef);
    slr_put_le32(&f->p, 1);
    slr_put_le32(&f->p, data_low);
    slr_put_le32(&f->p, data_high);
    slr_put_le32(&f->p, 4);
    slr_put_le32(&f->p, 2);
    slr_put_le32(&f->p, 0);
}

/* The sizes of ds64 count where 32 bits say that they can't, and only in an RF64. */
Test(wav_read, rf64)
{
    struct file f;
    struct slr_wav_info info;
    for (int i = 0; i < 4; i++) {
        file_begin(&f);
        memcpy(f.at, i == 3 ? "RIFF" : "RF64", 4);
        put_ds64(&f, i == 1 ? 4 : 8, i == 2);
        put_fmt(&f, 1, 2, 8000, 16);
        slr_put_str(&f.p, "fact");
        slr_put_le32(&f.p, 4);
        slr_put_le32(&f.p, UINT32_MAX);
        put_data(&f, UINT32_MAX, "aabbccdd");
        cr_assert_eq(parse(&f, &info), SLR_OK);
        cr_assert_eq(info.is_rf64, i != 3);
        cr_assert_eq(info.frames, i == 1 ? 1u : 2u);
        cr_assert_eq(info.stated_len_bytes, i == 0   ? 8u
                                            : i == 1 ? 4u
                                            : i == 2 ? (1ull << 32) + 8
                                                     : UINT32_MAX);
        cr_assert_eq(info.truncated, i >= 2);
        cr_assert_eq(info.fact_frames, i == 3 ? UINT32_MAX : 4 + (2ull << 32));
    }
}

/* All of it is seen, and a chunk behind it. The memory is there, but nobody touches most of it. */
Test(wav_read, rf64_beyond_4_gib)
{
    const uint64_t media_bytes = (5ull << 30) + 4;
    const size_t size_bytes = (size_t)media_bytes + 4096;
    struct slr_wav_info info;
    struct file f;
    uint8_t *at = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    cr_assert_neq(at, MAP_FAILED);
    file_begin(&f);
    memcpy(f.at, "RF64", 4);
    put_ds64(&f, (uint32_t)media_bytes, true);
    put_fmt(&f, 1, 2, 48000, 16);
    put_data(&f, UINT32_MAX, "");
    memcpy(at, f.at, f.p.len_bytes);
    uint64_t head = f.p.len_bytes;
    memcpy(at + head + media_bytes, "fact\4\0\0\0\7\0\0\0", 12);
    struct slr_slice file = slr_slice_of(at, (size_t)(head + media_bytes) + 12);
    cr_assert_eq(slr_wav_parse(file, &info), SLR_OK);
    cr_assert(info.is_rf64 && !info.truncated);
    cr_assert_eq(info.data_len_bytes, media_bytes);
    cr_assert_eq(info.frames, media_bytes / 4);
    cr_assert(info.has_fact && info.fact_frames == 7);
    munmap(at, size_bytes);
}

Test(wav_read, the_first_of_two_counts)
{
    struct file f;
    struct slr_wav_info info;
    file_begin(&f);
    put_fmt(&f, 1, 1, 8000, 16);
    put_data(&f, 2, "ab");
    put_fmt(&f, 6, 3, 9000, 8);
    put_data(&f, 4, "cdef");
    cr_assert_eq(parse(&f, &info), SLR_OK);
    cr_assert_eq(info.shape.sample_hz, 8000u);
    cr_assert_eq(info.frames, 1u);
}

Test(wav_read, truncated_data_is_reported)
{
    static const uint32_t stated[] = {100, 0xffffffff, 0xfffffffe};
    for (int i = 0; i < 3; i++) {
        struct file f;
        struct slr_wav_info info;
        file_begin(&f);
        put_fmt(&f, 1, 1, 8000, 16);
        put_data(&f, stated[i], "abcde");
        cr_assert_eq(parse(&f, &info), SLR_OK);
        cr_assert(info.truncated);
        cr_assert_eq(info.frames, 2u);
        cr_assert_eq(info.data_len_bytes, 4u);
        cr_assert_eq(info.stated_len_bytes, stated[i]);
    }
}

Test(wav_read, half_a_frame_is_truncation)
{
    struct file f;
    struct slr_wav_info info;
    file_begin(&f);
    put_fmt(&f, 1, 2, 8000, 16);
    put_data(&f, 6, "abcdef");
    cr_assert_eq(parse(&f, &info), SLR_OK);
    cr_assert(info.truncated);
    cr_assert_eq(info.frames, 1u);
}

Test(wav_read, refuses)
{
    struct file f;
    struct slr_wav_info info;
    cr_assert_eq(slr_wav_parse(slr_slice_of(NULL, 0), &info), SLR_TRUNCATED);
    cr_assert_eq(slr_wav_parse(slr_slice_str("RIFF1234WAV"), &info), SLR_TRUNCATED);
    cr_assert_eq(slr_wav_parse(slr_slice_str("RIFX1234WAVE"), &info), SLR_FORMAT);
    cr_assert_eq(slr_wav_parse(slr_slice_str("RIFF1234AVI "), &info), SLR_FORMAT);
    cr_assert_eq(slr_wav_parse(slr_slice_str("RIFF1234WAVE"), &info), SLR_TRUNCATED);

    file_begin(&f);
    put_data(&f, 2, "ab");
    cr_assert_eq(parse(&f, &info), SLR_FORMAT, "no fmt");

    file_begin(&f);
    put_fmt(&f, 1, 1, 8000, 16);
    cr_assert_eq(parse(&f, &info), SLR_TRUNCATED, "no data");
}

/* tag, channels, hz, bits, expected. */
Test(wav_read, refuses_what_fmt_says)
{
    static const struct {
        uint16_t tag, channels;
        uint32_t hz;
        uint16_t bits;
        enum slr_err want;
    } cases[] = {
        {1, 0, 8000, 16, SLR_FORMAT},        {1, 1, 0, 16, SLR_FORMAT},
        {1, 1, 8000, 8, SLR_UNSUPPORTED},    {1, 1, 8000, 24, SLR_UNSUPPORTED},
        {3, 1, 8000, 32, SLR_UNSUPPORTED},   {6, 1, 8000, 16, SLR_UNSUPPORTED},
        {1, 256, 8000, 16, SLR_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct file f;
        struct slr_wav_info info;
        file_begin(&f);
        put_fmt(&f, cases[i].tag, cases[i].channels, cases[i].hz, cases[i].bits);
        put_data(&f, 2, "ab");
        cr_assert_eq(parse(&f, &info), cases[i].want, "case %zu", i);
    }
}

Test(wav_read, refuses_a_wrong_block_size_and_a_short_fmt)
{
    struct file f;
    struct slr_wav_info info;
    file_begin(&f);
    put_fmt(&f, 1, 1, 8000, 16);
    f.at[32] = 4; /* block align */
    put_data(&f, 2, "ab");
    cr_assert_eq(parse(&f, &info), SLR_FORMAT);

    file_begin(&f);
    slr_put_str(&f.p, "fmt ");
    slr_put_le32(&f.p, 14);
    slr_put_str(&f.p, "0123456789abcd");
    put_data(&f, 2, "ab");
    cr_assert_eq(parse(&f, &info), SLR_FORMAT);
}
