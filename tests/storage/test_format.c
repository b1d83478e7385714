/*
 * format: names and mime types, which policies are refused, and that every other one has a plan for
 * every shape.
 */
#include <criterion/criterion.h>

#include "storage/format.h"

static uint8_t find(const char *text)
{
    uint8_t format = 99;
    enum slr_err err = slr_format_find(text, &format);
    cr_assert_eq(err, format == 99 ? SLR_UNSUPPORTED : SLR_OK);
    return format;
}

Test(format, by_name_and_mime_type)
{
    cr_assert_eq(find("wav"), SLR_FORMAT_WAV);
    cr_assert_eq(find("audio/WAV"), SLR_FORMAT_WAV);
    cr_assert_eq(find("audio/vnd.wave"), SLR_FORMAT_WAV);
    cr_assert_eq(find("audio/vnd.wave; codec=6"), SLR_FORMAT_WAV_ALAW);
    cr_assert_eq(find("audio/vnd.wave;codec=\"7\""), SLR_FORMAT_WAV_ULAW);
    cr_assert_eq(find("wav-pcm"), SLR_FORMAT_WAV_PCM);
    cr_assert_eq(find("audio/ogg; codecs=opus"), SLR_FORMAT_OPUS);
    cr_assert_eq(find("Opus"), SLR_FORMAT_OPUS);
    cr_assert_eq(find("audio/x-flac"), SLR_FORMAT_FLAC);
    cr_assert_eq(find("gsm"), SLR_FORMAT_GSM);
    static const char *const unknown[] = {
        "", " ", "mp3", "audio/", "audio", "wav,x", "audio/wav,audio/x-wav"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        cr_assert_eq(find(unknown[i]), 99, "%s", unknown[i]);
    }
    cr_assert_eq(find(NULL), 99);
}

Test(format, names_come_back)
{
    for (uint8_t i = 0; i < SLR_FORMAT_COUNT; i++) {
        cr_assert_eq(find(slr_format_name(i)), i);
    }
    cr_assert_str_eq(slr_format_name(SLR_FORMAT_COUNT), "?");
    for (uint8_t i = 0; i <= SLR_LAYOUT_LEGS; i++) {
        uint8_t layout = 99;
        cr_assert_eq(slr_layout_find(slr_layout_name(i), &layout), SLR_OK);
        cr_assert_eq(layout, i);
    }
    uint8_t layout = 99;
    cr_assert_eq(slr_layout_find("stereo", &layout), SLR_OK);
    cr_assert_eq(layout, SLR_LAYOUT_CHANNELS);
    cr_assert_eq(slr_layout_find("quad", &layout), SLR_UNSUPPORTED);
}

static enum slr_err check(uint8_t format, uint8_t layout, uint32_t sample_hz)
{
    struct slr_output o = {.format = format, .layout = layout, .sample_hz = sample_hz};
    const char *why = NULL;
    enum slr_err err = slr_output_check(&o, &why);
    cr_assert_not_null(why);
    cr_assert_eq(why[0] == '\0', err == SLR_OK);
    return err;
}

Test(format, what_no_file_can_be_is_refused)
{
    cr_assert_eq(check(SLR_FORMAT_GSM, SLR_LAYOUT_CHANNELS, 0), SLR_UNSUPPORTED);
    cr_assert_eq(check(SLR_FORMAT_GSM, SLR_LAYOUT_MIX, 16000), SLR_UNSUPPORTED);
    cr_assert_eq(check(SLR_FORMAT_OPUS, SLR_LAYOUT_MIX, 44100), SLR_UNSUPPORTED);
    cr_assert_eq(check(SLR_FORMAT_WAV, SLR_LAYOUT_MIX, 8001), SLR_UNSUPPORTED);
    cr_assert_eq(check(SLR_FORMAT_WAV, 9, 0), SLR_UNSUPPORTED);
    cr_assert_eq(check(SLR_FORMAT_COUNT, 0, 0), SLR_UNSUPPORTED);
    cr_assert_eq(check(SLR_FORMAT_GSM, SLR_LAYOUT_DEFAULT, 8000), SLR_OK);
    cr_assert_eq(check(SLR_FORMAT_OPUS, SLR_LAYOUT_CHANNELS, 48000), SLR_OK);
    cr_assert_eq(check(SLR_FORMAT_WAV, 0, 0), SLR_OK);
}

Test(format, every_policy_has_a_plan_for_every_shape)
{
    static const uint32_t rates_hz[] = {8000,  11025, 12000, 16000, 22050,
                                        24000, 32000, 44100, 48000};
    for (uint8_t format = 0; format < SLR_FORMAT_COUNT; format++) {
        for (uint32_t i = 0; i < 3u * 8 * 9 * 4 * 10; i++) {
            struct slr_audio_shape recorded = {(enum slr_sample_format)(i % 3), 1 + i / 3 % 8,
                                               rates_hz[i / 24 % 9]};
            uint32_t wish = i / 24 / 9 / 4;
            struct slr_output o = {.format = format,
                                   .layout = (uint8_t)(i / 24 / 9 % 4),
                                   .sample_hz = wish ? rates_hz[wish - 1] : 0};
            const char *why = NULL;
            struct slr_output_plan plan;
            if (slr_output_check(&o, &why) != SLR_OK) {
                continue;
            }
            slr_output_apply(&o, &recorded, false, &plan);
            cr_assert_eq(plan.container->check(&plan.shape), SLR_OK);
            cr_assert_eq(plan.files * plan.shape.channels,
                         plan.layout == SLR_LAYOUT_MIX ? 1 : recorded.channels);
            cr_assert(!o.sample_hz || plan.shape.sample_hz == o.sample_hz);
            cr_assert(format == SLR_FORMAT_GSM || o.sample_hz ||
                      plan.shape.sample_hz >= recorded.sample_hz);
        }
    }
}

static bool is_plain(uint8_t format, uint8_t layout, uint32_t sample_hz, bool cuts)
{
    struct slr_audio_shape recorded = {SLR_SAMPLE_ALAW, 2, 8000};
    struct slr_output o = {.format = format, .layout = layout, .sample_hz = sample_hz};
    struct slr_output_plan plan;
    slr_output_apply(&o, &recorded, cuts, &plan);
    return plan.is_plain;
}

/* Only what the working file is already is a plain case. */
Test(format, plain_is_the_working_file)
{
    cr_assert(is_plain(SLR_FORMAT_WAV, 0, 0, false));
    cr_assert(is_plain(SLR_FORMAT_WAV, SLR_LAYOUT_CHANNELS, 8000, false));
    cr_assert(is_plain(SLR_FORMAT_WAV_ALAW, 0, 0, false));
    cr_assert_not(is_plain(SLR_FORMAT_WAV_ULAW, 0, 0, false));
    cr_assert_not(is_plain(SLR_FORMAT_WAV, 0, 16000, false));
    cr_assert_not(is_plain(SLR_FORMAT_WAV, SLR_LAYOUT_MIX, 0, false));
    cr_assert_not(is_plain(SLR_FORMAT_WAV, SLR_LAYOUT_LEGS, 0, false));
    cr_assert_not(is_plain(SLR_FORMAT_WAV, 0, 0, true));
    cr_assert_not(is_plain(SLR_FORMAT_FLAC, 0, 0, false));
}
