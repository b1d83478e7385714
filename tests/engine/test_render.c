/* Render: payload of any law comes to lie at its place in a block, cut at its bounds. */
#include "codecs/codec.h"
#include "tests/engine/outcome.h"

#define SSRC 0xabcu

static struct slr_block block_of(uint8_t *at, enum slr_sample_format format, uint64_t first_frame)
{
    return (struct slr_block){at, {format, 2, 8000}, first_frame, 400};
}

Test(render, silence_of_each_format)
{
    uint8_t at[1600];
    struct slr_block b = block_of(at, SLR_SAMPLE_ALAW, 0);
    slr_render_silence(&b);
    cr_assert(at[0] == 0xd5 && at[799] == 0xd5);
    b.shape.format = SLR_SAMPLE_ULAW;
    slr_render_silence(&b);
    cr_assert(at[0] == 0xff && at[799] == 0xff);
    b.shape.format = SLR_SAMPLE_S16;
    slr_render_silence(&b);
    cr_assert(at[0] == 0 && at[1599] == 0);
}

struct one {
    struct fx f;
    struct slr_session *s;
    uint32_t slot;
    uint8_t at[1600], plane[2][800];
    struct slr_track track;
    struct slr_render_scratch scratch;
    struct slr_leg_voices *voices;
};

static struct one *begin(void)
{
    struct one *o = calloc(1, sizeof *o);
    cr_assert_not_null(o);
    fx_open(&o->f);
    cr_assert_eq(slr_track_init(&o->track), SLR_OK);
    o->s = fx_session(&o->f, 2);
    o->slot = fx_leg(&o->f, o->s, 1, 8);
    return o;
}

static void end(struct one *o)
{
    slr_track_fini(&o->track);
    slr_render_scratch_fini(&o->scratch);
    fx_end(&o->f, o->s, 1000);
    fx_close(&o->f);
    free(o);
}

static void render_track(struct one *o)
{
    struct slr_render r = {.state = o->f.e.state,
                           .session = o->s,
                           .leg_index = o->slot,
                           .codecs = &o->f.e.codecs[o->slot],
                           .voices = &o->voices,
                           .track = &o->track,
                           .scratch = &o->scratch,
                           .counters = &o->f.writer.counters};
    slr_render_leg(&r);
    cr_assert_null(o->voices);
}

static void render(struct one *o, struct slr_block *b)
{
    static const struct slr_corrections none;
    slr_render_silence(b);
    slr_track_begin(&o->track, &b->shape, (int64_t)b->first_frame, b->frames);
    render_track(o);
    struct slr_block channel[2] = {*b, *b};
    const uint8_t *plane[2];
    for (uint32_t c = 0; c < 2; c++) {
        channel[c].at = o->plane[c];
        channel[c].shape.channels = 1;
        slr_render_silence(&channel[c]);
        plane[c] = o->plane[c];
    }
    slr_track_store(&o->track, &none, o->plane[1], b->frames, false);
    slr_track_join(&b->shape, plane, b->frames, b->at);
}

static uint32_t noted(const struct slr_track *t)
{
    uint32_t packets = 0;
    for (uint32_t i = 0; i < t->note_count; i++) {
        packets += 1 + t->note[i].more;
    }
    return packets;
}

/* Usual packets share a note; what is not like the one before, or not next to it, has its own. */
Test(render, packets_that_follow_each_other_share_a_note)
{
    struct one *o = begin();
    for (uint32_t k = 0; k < 20; k++) {
        struct fx_packet p = fx_audio(SSRC, k, 1, 1);
        p.kernel_drops = k == 12 ? 1 : 0;
        if (k != 5 && k != 11) {
            cr_assert_eq(fx_rtp(&o->f, o->slot, k * 20, p), SLR_VERDICT_TAKEN);
        }
    }
    static const struct {
        int64_t start, end, seq;
        uint32_t more;
    } want[] = {{0, 5, 0, 4}, {6, 11, 6, 4}, {12, 13, 12, 0}, {13, 20, 13, 6}};
    struct slr_block b = block_of(o->at, SLR_SAMPLE_ALAW, 0);
    for (uint32_t k = 0; k < 2; k++) { /* without the first, of which a part is left */
        slr_track_begin(&o->track, &b.shape, k * 200, 4000);
        render_track(o);
        cr_assert_eq(o->track.note_count, 4u);
        int64_t seq = o->track.note[0].seq_ext - k;
        for (uint32_t i = 0; i < 4; i++) {
            const struct slr_note *n = &o->track.note[i];
            uint32_t gone = i == 0 ? k : 0;
            cr_assert_eq(n->start_ticks, (want[i].start + gone) * SLR_TICKS_HZ / 50);
            cr_assert_eq(n->end_ticks, want[i].end * SLR_TICKS_HZ / 50);
            cr_assert_eq(n->seq_ext, seq + want[i].seq + gone);
            cr_assert_eq(n->more, want[i].more - gone);
            cr_assert_eq(slr_note_dur(n), SLR_TICKS_HZ / 50);
        }
    }
    end(o);
}

/* Blocks of 400 frames and packets of 160: every bound falls into a packet. */
Test(render, packets_across_the_bounds_of_blocks)
{
    struct one *o = begin();
    for (uint32_t k = 0; k < 10; k++) {
        struct fx_packet p = fx_audio(SSRC, k, 1, 1);
        cr_assert_eq(fx_rtp(&o->f, o->slot, k * 20, p), SLR_VERDICT_TAKEN);
    }
    for (uint32_t first = 0; first < 1600; first += 400) {
        struct slr_block b = block_of(o->at, SLR_SAMPLE_ALAW, first);
        render(o, &b);
        for (uint32_t i = 0; i < 400; i++) {
            cr_assert_eq(o->at[2 * i], 0xd5);
            cr_assert_eq(o->at[2 * i + 1], fx_sample(SSRC, first + i));
        }
    }
    end(o);
}

Test(render, into_the_other_law_and_into_pcm)
{
    struct one *o = begin();
    struct fx_packet p = fx_audio(SSRC, 0, 1, 1);
    cr_assert_eq(fx_rtp(&o->f, o->slot, 10, p), SLR_VERDICT_TAKEN);
    struct slr_block b = block_of(o->at, SLR_SAMPLE_ULAW, 0);
    render(o, &b);
    for (uint32_t i = 0; i < 160; i++) {
        uint8_t want = slr_g711_s16_to_ulaw(slr_g711_alaw_to_s16(p.at[i]));
        cr_assert_eq(o->at[2 * (80 + i) + 1], want);
    }
    b = block_of(o->at, SLR_SAMPLE_S16, 0);
    render(o, &b);
    for (uint32_t i = 0; i < 160; i++) {
        int16_t is = 0;
        memcpy(&is, o->at + 4 * (80 + i) + 2, 2);
        cr_assert_eq(is, slr_g711_alaw_to_s16(p.at[i]));
    }
    end(o);
}

/* Streams that are not believed (yet), or whose slot has another owner by now, stay out. */
Test(render, only_what_was_taken)
{
    struct one *o = begin();
    struct slr_leg *leg = &o->f.e.state->leg[o->slot];
    cr_assert_eq(fx_rtp(&o->f, o->slot, 0, fx_audio(SSRC, 0, 1, 1)), SLR_VERDICT_TAKEN);
    struct slr_block b = block_of(o->at, SLR_SAMPLE_ALAW, 0);
    atomic_store(&slr_leg_stream(leg, 0)->state, SLR_STREAM_PROBATION);
    render(o, &b);
    cr_assert_eq(o->at[1], 0xd5);
    atomic_store(&slr_leg_stream(leg, 0)->state, SLR_STREAM_TAKEN);
    render(o, &b);
    cr_assert_eq(o->at[1], fx_sample(SSRC, 0));
    slr_leg_stream(leg, 0)->generation++;
    render(o, &b);
    cr_assert_eq(o->at[1], 0xd5);
    end(o);
}

/* A flood of packets for one moment: none is left out, and the newest sample wins. */
Test(render, many_records_for_one_moment)
{
    struct one *o = begin();
    uint32_t taken = 0;
    for (uint32_t k = 0; k < 6000; k++) {
        struct fx_packet p = fx_audio(SSRC, k % 7, 0, 1);
        p.seq = (uint16_t)k;
        p.ts = 1;
        p.len_bytes = 8;
        taken += fx_rtp_ns(&o->f, o->slot, 0, &p) == SLR_VERDICT_TAKEN;
    }
    cr_assert_gt(taken, 4096u);
    struct slr_block b = block_of(o->at, SLR_SAMPLE_ALAW, 0);
    render(o, &b);
    cr_assert_eq(noted(&o->track), taken);
    for (uint32_t i = 0; i < 8; i++) {
        cr_assert_eq(o->at[2 * i + 1], fx_sample(SSRC, 5999 % 7 * 160 + i));
    }
    end(o);
}

/* In the worst order there is, and still sorted (and soon so). */
Test(render, records_in_the_reverse_order)
{
    struct one *o = begin();
    uint32_t kept = 0;
    for (uint32_t k = 900; k > 0; k--) {
        struct fx_packet p = fx_audio(SSRC, 0, 0, 1);
        p.seq = (uint16_t)k;
        p.ts = 1 + k;
        p.len_bytes = 1;
        p.at[0] = fx_sample(SSRC, k);
        kept += fx_rtp_ns(&o->f, o->slot, 200 * SLR_NS_PER_MS, &p) == SLR_VERDICT_TAKEN;
    }
    cr_assert_eq(kept, 900u);
    struct slr_leg *leg = &o->f.e.state->leg[o->slot];
    int64_t low = atomic_load(&slr_leg_run(leg)->highest_ticks) / (SLR_TICKS_HZ / 8000) - 900;
    struct slr_block b = block_of(o->at, SLR_SAMPLE_ALAW, (uint64_t)low);
    render(o, &b);
    cr_assert_eq(noted(&o->track), 400u);
    for (uint32_t i = 0; i < 400; i++) {
        cr_assert_eq(o->at[2 * i + 1], fx_sample(SSRC, i + 1), "frame %u", i);
    }
    end(o);
}
