/*
 * The checker of codecs that lose something: what a fresh decoder makes of a leg is that leg, and
 * nothing else is.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "load/check_sound.h"
#include "load/draw.h"

#define FRAMES 300u
#define START 500

struct rig {
    struct slr_voice *voice;
    struct slr_impair impair;
    struct slr_check_leg leg;
    struct slr_check_track track;
    int16_t *at;
    struct slr_check_result r;
};

/* Decodes call 5, leg 1 with a new decoder into a channel. */
static struct rig make(const char *codec)
{
    struct rig g = {0};
    cr_assert_eq(slr_voice_open(codec, &g.voice), SLR_OK);
    const struct slr_codec *c = g.voice->use.codec;
    size_t state_bytes = (c->decoder_bytes + 16) & ~(size_t)15;
    void *state = aligned_alloc(16, state_bytes);
    memset(state, 0, state_bytes);
    cr_assert(!c->decoder_init || c->decoder_init(state, &g.voice->use) == SLR_OK);
    g.track.samples = START + (FRAMES + 5) * g.voice->frame_samples;
    g.track.format = SLR_SAMPLE_S16;
    g.at = calloc(g.track.samples, sizeof *g.at);
    for (uint32_t n = 0; n < FRAMES; n++) {
        uint8_t payload[SLR_VOICE_MAX_BYTES];
        struct slr_mark m = {77, 5, 1, n};
        uint32_t samples;
        size_t len = slr_voice_payload(g.voice, &m, payload);
        cr_assert_eq(c->decode(state, &g.voice->use, slr_slice_of(payload, len),
                               g.at + START + n * g.voice->frame_samples, g.voice->frame_samples,
                               &samples),
                     SLR_OK);
        cr_assert_eq(samples, g.voice->frame_samples);
    }
    if (c->decoder_fini) {
        c->decoder_fini(state);
    }
    free(state);
    return g;
}

static void check(struct rig *g, uint32_t call)
{
    g->leg = (struct slr_check_leg){.voice = g->voice,
                                    .impair = &g->impair,
                                    .run_id = 77,
                                    .call = call,
                                    .leg = 1,
                                    .frames = FRAMES,
                                    .expect = START + 20,
                                    .search = 8000};
    g->track.at = (const uint8_t *)g->at;
    cr_assert_eq(slr_check_sound(&g->leg, &g->track, &g->r), SLR_OK);
}

static int16_t *place(struct rig *g, uint32_t frame)
{
    return g->at + START + frame * g->voice->frame_samples;
}

static void done(struct rig *g)
{
    slr_voice_close(g->voice);
    free(g->at);
}

static const char *const codecs[] = {"G722", "GSM", "opus"};

Test(check_sound, what_was_sent_is_found)
{
    for (size_t i = 0; i < 3; i++) {
        struct rig g = make(codecs[i]);
        check(&g, 5);
        cr_assert_eq(g.r.found, FRAMES, "%s: %llu", codecs[i], (unsigned long long)g.r.found);
        cr_assert_eq(g.r.lost + g.r.misplaced + g.r.leaked + g.r.damaged, 0);
        cr_assert_eq(g.r.anchor, START);
        done(&g);
    }
}

Test(check_sound, another_calls_sound_is_a_leak)
{
    for (size_t i = 0; i < 3; i++) {
        struct rig g = make(codecs[i]);
        check(&g, 6);
        cr_assert_lt(g.r.found, 20, "%s", codecs[i]);
        cr_assert_gt(g.r.leaked, FRAMES - 40, "%s: %llu leaked", codecs[i],
                     (unsigned long long)g.r.leaked);
        done(&g);
    }
}

Test(check_sound, silence_noise_and_shift)
{
    for (size_t i = 0; i < 3; i++) {
        struct rig g = make(codecs[i]);
        size_t frame_bytes = g.voice->frame_samples * sizeof(int16_t);
        memset(place(&g, 50), 0, frame_bytes);
        for (uint32_t k = 0; k < g.voice->frame_samples; k++) {
            place(&g, 80)[k] = (int16_t)(slr_draw_mix(k) >> 50);
        }
        memmove(place(&g, 200) + 3, place(&g, 200), 50 * frame_bytes); /* 3 samples late */
        check(&g, 5);
        cr_assert_eq(g.r.lost, 1, "%s", codecs[i]);
        cr_assert_eq(g.r.lost_unsaid, 1);
        cr_assert_gt(g.r.damaged + g.r.misplaced + g.r.leaked, 45, "%s", codecs[i]);
        cr_assert_lt(g.r.found, 255, "%s", codecs[i]);
        done(&g);
    }
}

Test(check_sound, sound_before_the_beginning)
{
    struct rig g = make("GSM");
    g.at[17] = 5000;
    check(&g, 5);
    cr_assert_eq(g.r.found, FRAMES);
    cr_assert_eq(g.r.damaged, 1);
    done(&g);
}
