/*
 * The checker: a channel with something wrong in it, and what it says of that.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "load/check.h"
#include "load/draw.h"

#define RUN 0x1234u
#define FRAMES 500u
#define START 1000 /* samples before the leg begins */

struct rig {
    struct slr_voice *voice;
    struct slr_impair impair;
    struct slr_check_leg leg;
    struct slr_check_track track;
    uint8_t *at;
    size_t bytes; /* of a sample */
    struct slr_check_result r;
};

static uint8_t *place(struct rig *g, int64_t frame)
{
    return g->at + (size_t)(START + frame * g->voice->frame_samples) * g->bytes;
}

static void put(struct rig *g, uint32_t call, uint32_t leg, uint32_t frame, uint8_t *at)
{
    struct slr_mark m = {RUN, call, leg, frame};
    cr_assert(slr_voice_want(g->voice, &m, g->track.format, at));
}

/* A channel with all of call 5, leg 1, as it should be. */
static struct rig make(const char *codec, enum slr_sample_format format, struct slr_impair im)
{
    struct rig g = {.impair = im};
    cr_assert_eq(slr_voice_open(codec, &g.voice), SLR_OK);
    g.bytes = slr_sample_bytes(format);
    g.track.samples = START + (FRAMES + 10) * g.voice->frame_samples;
    g.track.format = format;
    g.at = malloc(g.track.samples * g.bytes);
    cr_assert(g.at);
    memset(g.at,
           format == SLR_SAMPLE_ALAW   ? 0xd5
           : format == SLR_SAMPLE_ULAW ? 0xff
                                       : 0,
           g.track.samples * g.bytes);
    for (uint32_t n = 0; n < FRAMES; n++) {
        struct slr_fate f;
        slr_impair_fate(&im, g.voice->row->comfort, 5, 1, n, &f);
        if (f.talk && !f.dropped) {
            put(&g, 5, 1, n, place(&g, n));
        }
    }
    return g;
}

static void check(struct rig *g)
{
    g->leg = (struct slr_check_leg){.voice = g->voice,
                                    .impair = &g->impair,
                                    .run_id = RUN,
                                    .call = 5,
                                    .leg = 1,
                                    .frames = FRAMES,
                                    .expect = START + 13,
                                    .search = 8000};
    g->track.at = g->at;
    cr_assert_eq(slr_check_leg(&g->leg, &g->track, &g->r), SLR_OK);
}

static void done(struct rig *g)
{
    slr_voice_close(g->voice);
    free(g->at);
}

/* found, lost, misplaced, leaked, damaged */
static void expect(struct rig *g, uint64_t found, uint64_t lost, uint64_t misplaced,
                   uint64_t leaked, uint64_t damaged)
{
    check(g);
    cr_assert_eq(g->r.found, found, "found %llu", (unsigned long long)g->r.found);
    cr_assert_eq(g->r.lost, lost, "lost %llu", (unsigned long long)g->r.lost);
    cr_assert_eq(g->r.misplaced, misplaced, "misplaced %llu", (unsigned long long)g->r.misplaced);
    cr_assert_eq(g->r.leaked, leaked, "leaked %llu", (unsigned long long)g->r.leaked);
    cr_assert_eq(g->r.damaged, damaged, "damaged %llu", (unsigned long long)g->r.damaged);
}

static const struct slr_impair clean;

Test(check, whole_channels_of_every_exact_kind)
{
    static const struct {
        const char *codec;
        enum slr_sample_format format;
    } kinds[] = {{"PCMA", SLR_SAMPLE_ALAW},
                 {"PCMU", SLR_SAMPLE_ULAW},
                 {"PCMA", SLR_SAMPLE_S16},
                 {"PCMU", SLR_SAMPLE_S16},
                 {"L16", SLR_SAMPLE_S16}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct rig g = make(kinds[i].codec, kinds[i].format, clean);
        expect(&g, FRAMES, 0, 0, 0, 0);
        cr_assert(g.r.anchored);
        cr_assert_eq(g.r.anchor, START);
        cr_assert_eq(g.r.expected, FRAMES);
        done(&g);
    }
}

Test(check, what_the_sender_left_out_is_not_missed)
{
    struct slr_impair im = {.seed = 3, .loss_ppm = 50000, .dtx = true};
    struct rig g = make("PCMA", SLR_SAMPLE_ALAW, im);
    check(&g);
    cr_assert(g.r.expected > 200 && g.r.expected < 350);
    expect(&g, g.r.expected, 0, 0, 0, 0);
    done(&g);
}

Test(check, a_lost_packet_and_whose_loss_it_is)
{
    struct slr_check_span span[] = {{0, START + 100 * 160, SLR_KIND_RECEIVED},
                                    {START + 100 * 160, 320, SLR_KIND_LOST_KERNEL},
                                    {START + 102 * 160, 1000000, SLR_KIND_RECEIVED}};
    struct rig g = make("PCMA", SLR_SAMPLE_ALAW, clean);
    g.track.span = span;
    g.track.span_count = 3;
    memset(place(&g, 100), 0xd5, 320);
    memset(place(&g, 200), 0xd5, 160);
    expect(&g, FRAMES - 3, 3, 0, 0, 0);
    cr_assert_eq(g.r.lost_by[SLR_KIND_LOST_KERNEL], 2);
    cr_assert_eq(g.r.lost_unsaid, 1);
    done(&g);
}

Test(check, swapped_packets)
{
    struct rig g = make("PCMA", SLR_SAMPLE_ALAW, clean);
    put(&g, 5, 1, 50, place(&g, 51));
    put(&g, 5, 1, 51, place(&g, 50));
    expect(&g, FRAMES - 2, 0, 2, 0, 0);
    done(&g);
}

/* One sample too many in the middle: all after it is one sample off. */
Test(check, shifted_packets)
{
    static const char *const codecs[] = {"PCMA", "L16"};
    for (size_t i = 0; i < 2; i++) {
        struct rig g = make(codecs[i], i == 0 ? SLR_SAMPLE_ALAW : SLR_SAMPLE_S16, clean);
        size_t rest = (FRAMES - 100) * g.voice->frame_samples * g.bytes;
        memmove(place(&g, 100) + g.bytes, place(&g, 100), rest);
        memset(place(&g, 100), i == 0 ? 0xd5 : 0, g.bytes);
        expect(&g, 100, 0, FRAMES - 100, 0, 0);
        done(&g);
    }
}

Test(check, a_leg_that_lies_elsewhere_is_found_there)
{
    struct rig g = make("PCMA", SLR_SAMPLE_ALAW, clean);
    memmove(g.at + START + 900, g.at + START, FRAMES * 160);
    memset(g.at + START, 0xd5, 900);
    expect(&g, FRAMES, 0, 0, 0, 0);
    cr_assert_eq(g.r.anchor, START + 900);
    done(&g);
}

Test(check, another_calls_and_the_other_legs_packets)
{
    struct rig g = make("PCMA", SLR_SAMPLE_ALAW, clean);
    put(&g, 6, 1, 70, place(&g, 70));         /* in place of ours */
    put(&g, 5, 0, 80, place(&g, FRAMES + 2)); /* beside ours */
    put(&g, 7, 1, 1, g.at + 33);
    expect(&g, FRAMES - 1, 0, 0, 3, 1);
    done(&g);
}

Test(check, leaks_into_pcm_files)
{
    struct rig g = make("PCMA", SLR_SAMPLE_S16, clean);
    put(&g, 6, 1, 70, place(&g, FRAMES + 3));
    expect(&g, FRAMES, 0, 0, 1, 0);
    done(&g);
}

Test(check, one_changed_byte_anywhere)
{
    static const size_t offsets[] = {0, 3, 15, 16, 100, 159};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        struct rig g = make("PCMA", SLR_SAMPLE_ALAW, clean);
        place(&g, 300)[offsets[i]] ^= 0x10;
        expect(&g, FRAMES - 1, 0, 0, 0, 1);
        done(&g);
    }
}

Test(check, sound_where_nothing_was_sent)
{
    struct rig g = make("PCMA", SLR_SAMPLE_ALAW, clean);
    place(&g, FRAMES + 5)[40] = 0x12;
    expect(&g, FRAMES, 0, 0, 0, 1);
    g.at[3] = 0x55;
    check(&g);
    cr_assert_gt(g.r.damaged, 0);
    done(&g);
}

Test(check, an_empty_channel)
{
    struct rig g = make("PCMA", SLR_SAMPLE_ALAW, clean);
    memset(g.at, 0xd5, g.track.samples);
    expect(&g, 0, FRAMES, 0, 0, 0);
    cr_assert_not(g.r.anchored);
    g.track.samples = 0;
    expect(&g, 0, FRAMES, 0, 0, 0);
    done(&g);
}

Test(check, a_file_that_ends_too_early)
{
    struct rig g = make("PCMA", SLR_SAMPLE_ALAW, clean);
    g.track.samples = START + 400 * 160 + 80;
    check(&g);
    cr_assert_eq(g.r.found, 400);
    cr_assert_eq(g.r.lost + g.r.damaged, FRAMES - 400);
    done(&g);
}

Test(check, another_format_than_it_can_be)
{
    struct rig g = make("PCMA", SLR_SAMPLE_ALAW, clean);
    g.track.format = SLR_SAMPLE_ULAW;
    g.track.at = g.at;
    g.leg = (struct slr_check_leg){.voice = g.voice, .impair = &g.impair, .frames = 1};
    cr_assert_eq(slr_check_leg(&g.leg, &g.track, &g.r), SLR_UNSUPPORTED);
    done(&g);
}
