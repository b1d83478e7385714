/*
 * The container contract over every row of container.def and every shape, through the memory sink
 * and a sink that fails at each operation in turn; and what only WAV can meet.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "storage/container.h"
#include "storage/wav_read.h"

static const uint32_t channel_counts[] = {1, 2, 3, 8, 255};
static const uint32_t rates_hz[] = {8000, 16000, 44100, 48000};

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* What a stranger reads from the file: each row has its reader here. */
struct seen {
    struct slr_audio_shape shape;
    uint64_t frames;
    const uint8_t *media;
    bool whole; /* nothing is cut short */
};

static void read_wav(const struct slr_sink_memory *m, struct seen *seen)
{
    struct slr_wav_info info;
    cr_assert_eq(slr_wav_parse(slr_slice_of(m->at, m->len_bytes), &info), SLR_OK);
    uint64_t end = info.data_offset_bytes + info.stated_len_bytes;
    uint32_t riff = (uint32_t)m->at[4] | (uint32_t)m->at[5] << 8 | (uint32_t)m->at[6] << 16 |
                    (uint32_t)m->at[7] << 24;
    cr_assert_eq(riff + 8u, end + (end & 1), "RIFF size");
    cr_assert_leq(riff + 8u, m->len_bytes, "RIFF size promises more than is there");
    cr_assert_eq(info.has_fact, info.shape.format != SLR_SAMPLE_S16);
    if (info.has_fact) {
        cr_assert_eq(info.fact_frames, info.frames);
    }
    *seen = (struct seen){info.shape, info.frames, m->at + info.data_offset_bytes, !info.truncated};
}

/* A resumable row needs its reader here; files of the others are read by strangers (golden). */
static void read_of(const struct slr_container *c, const struct slr_sink_memory *m,
                    struct seen *seen)
{
    cr_assert_str_eq(c->name, "wav");
    read_wav(m, seen);
}

/* A recording that is being made, and all frames that went in. */
struct work {
    const struct slr_container *c;
    size_t row;
    struct slr_audio_shape shape;
    uint32_t frame_bytes;
    void *state;
    struct slr_sink_memory sink;
};

/* Every byte of the media depends on its place. */
static void fill(const struct work *w, uint64_t first_frame, uint8_t *at, uint64_t frames)
{
    for (uint64_t i = 0; i < frames * w->frame_bytes; i++) {
        uint64_t place = first_frame * w->frame_bytes + i;
        at[i] = (uint8_t)(place * 2654435761u >> 13);
    }
}

static enum slr_err append(struct work *w, uint64_t first_frame, uint64_t frames)
{
    uint8_t *block = malloc(frames * w->frame_bytes + 1);
    cr_assert(block);
    fill(w, first_frame, block, frames);
    enum slr_err err = w->c->append(w->state, block, frames);
    free(block);
    return err;
}

static void check_seen(const struct work *w, uint64_t frames)
{
    struct seen seen = {.frames = 0};
    read_of(w->c, &w->sink, &seen);
    cr_assert(seen.whole);
    cr_assert_eq(seen.frames, frames);
    cr_assert_eq(seen.shape.format, w->shape.format);
    cr_assert_eq(seen.shape.channels, w->shape.channels);
    cr_assert_eq(seen.shape.sample_hz, w->shape.sample_hz);
    uint8_t *want = malloc(frames * w->frame_bytes + 1);
    cr_assert(want);
    fill(w, 0, want, frames);
    cr_assert_eq(memcmp(seen.media, want, frames * w->frame_bytes), 0, "media differ");
    free(want);
    uint64_t offset = 0, len = 0;
    w->c->media_range(w->state, &offset, &len);
    cr_assert_eq(w->sink.at + offset, seen.media);
    cr_assert_eq(len, frames * w->frame_bytes);
}

static void work_init(struct work *w, size_t row, const struct slr_audio_shape *shape)
{
    *w = (struct work){.c = slr_container_all()[row], .row = row, .shape = *shape};
    w->frame_bytes = shape->channels * slr_sample_bytes(shape->format);
    cr_assert_eq(posix_memalign(&w->state, 16, w->c->state_bytes), 0);
    memset(w->state, 0xa5, w->c->state_bytes); /* begin must not count on zeros */
    slr_sink_memory_init(&w->sink);
}

static void work_fini(struct work *w)
{
    w->sink.base.ops->close(&w->sink.base);
    free(w->state);
}

typedef void contract(struct work *w);

/* A coder whose packets depend on what it gets; some of them are long. */
static enum slr_err fake_encode(void *ctx, uint32_t channel, const int16_t *in, uint32_t samples,
                                uint8_t *out, size_t out_bytes, size_t *len_bytes)
{
    uint32_t sum = 7 + channel;
    (void)ctx;
    for (uint32_t i = 0; i < samples; i++) {
        sum = sum * 31 + (uint16_t)in[i];
    }
    *len_bytes = 1 + sum % 600;
    cr_assert_leq(*len_bytes, out_bytes);
    for (size_t i = 0; i < *len_bytes; i++) {
        out[i] = (uint8_t)(i == 0 ? 0x08 : sum >> (i % 24));
    }
    return SLR_OK;
}

static const struct slr_packet_encoder fake_encoder = {
    .encode = fake_encode, .delay_samples = 52, .name = "fake"};
static const struct slr_container_options fake_options = {&fake_encoder, 0x5eed};

/* Over every row that is resumable, or not, and every shape that it takes. */
static void over_rows(bool resumable, contract *run)
{
    size_t runs = 0;
    for (size_t row = 0; slr_container_all()[row]; row++) {
        if (slr_container_all()[row]->resumable != resumable) {
            continue;
        }
        for (int format = SLR_SAMPLE_S16; format <= SLR_SAMPLE_ULAW; format++) {
            for (size_t ch = 0; ch < COUNT(channel_counts); ch++) {
                for (size_t hz = 0; hz < COUNT(rates_hz); hz++) {
                    struct slr_audio_shape shape = {(enum slr_sample_format)format,
                                                    channel_counts[ch], rates_hz[hz]};
                    if (slr_container_all()[row]->check(&shape) != SLR_OK) {
                        continue;
                    }
                    struct work w;
                    work_init(&w, row, &shape);
                    run(&w);
                    work_fini(&w);
                    runs++;
                }
            }
        }
    }
    cr_assert_gt(runs, 0u);
}

static void over_all(contract *run)
{
    over_rows(true, run);
}

Test(container, rows_are_whole_and_found)
{
    for (const struct slr_container *const *row = slr_container_all(); *row; row++) {
        const struct slr_container *c = *row;
        cr_assert(c->name && c->extension && c->extension[0] == '.' && c->mime_type);
        cr_assert(c->state_bytes > 0 && c->check && c->begin && c->append && c->checkpoint &&
                  c->finish && c->media_range);
        cr_assert(c->resumable || (c->drop && c->coding));
        cr_assert_eq(slr_container_by_name(c->name), c);
    }
    cr_assert_null(slr_container_by_name("mp3"));
    cr_assert_null(slr_container_by_name(""));
    cr_assert_null(slr_container_by_name(NULL));
}

Test(container, sample_formats)
{
    cr_assert_eq(slr_sample_bytes(SLR_SAMPLE_S16), 2u);
    cr_assert_eq(slr_sample_bytes(SLR_SAMPLE_ALAW), 1u);
    cr_assert_eq(slr_sample_bytes(SLR_SAMPLE_ULAW), 1u);
    cr_assert_str_eq(slr_sample_name(SLR_SAMPLE_S16), "s16");
    cr_assert_str_eq(slr_sample_name(SLR_SAMPLE_ALAW), "alaw");
    cr_assert_str_eq(slr_sample_name(SLR_SAMPLE_ULAW), "ulaw");
}

static const uint64_t steps[] = {1, 159, 160, 0, 801, 3};

static void check_growing(struct work *w)
{
    uint64_t frames = 0;
    cr_assert_eq(w->c->begin(w->state, &w->shape, NULL, &w->sink.base, 0), SLR_OK);
    cr_assert_eq(w->c->checkpoint(w->state), SLR_OK);
    check_seen(w, 0);
    for (size_t i = 0; i < COUNT(steps); i++) {
        cr_assert_eq(append(w, frames, steps[i]), SLR_OK);
        frames += steps[i];
        cr_assert_eq(w->c->checkpoint(w->state), SLR_OK);
        check_seen(w, frames);
    }
    cr_assert_eq(w->c->finish(w->state), SLR_OK);
    check_seen(w, frames);
}

Test(container, readable_at_every_checkpoint)
{
    over_all(check_growing);
}

Test(container, readable_before_the_first_checkpoint)
{
    for (size_t row = 0; slr_container_all()[row]; row++) {
        if (!slr_container_all()[row]->resumable) {
            continue;
        }
        for (int format = SLR_SAMPLE_S16; format <= SLR_SAMPLE_ULAW; format++) {
            struct slr_audio_shape shape = {(enum slr_sample_format)format, 1, 8000};
            struct work w;
            work_init(&w, row, &shape);
            cr_assert_eq(w.c->begin(w.state, &w.shape, NULL, &w.sink.base, 0), SLR_OK);
            cr_assert_eq(append(&w, 0, 77), SLR_OK);
            struct seen seen;
            read_of(w.c, &w.sink, &seen);
            cr_assert_eq(seen.frames, 0u);
            cr_assert(seen.whole);
            work_fini(&w);
        }
    }
}

/* All of it in one go, to compare with. */
static void make_whole(const struct work *like, struct work *whole, uint64_t frames)
{
    work_init(whole, like->row, &like->shape);
    cr_assert_eq(whole->c->begin(whole->state, &whole->shape, NULL, &whole->sink.base, 0), SLR_OK);
    cr_assert_eq(append(whole, 0, frames), SLR_OK);
    cr_assert_eq(whole->c->finish(whole->state), SLR_OK);
}

static void check_same_file(const struct work *a, const struct work *b)
{
    cr_assert_eq(a->sink.len_bytes, b->sink.len_bytes);
    bool same = a->sink.len_bytes == 0 || memcmp(a->sink.at, b->sink.at, a->sink.len_bytes) == 0;
    cr_assert(same, "files differ");
}

/* The process dies after `written` frames, of which the state file knows `known`. */
static void resume_at(struct work *w, uint64_t written, uint64_t known, uint64_t total,
                      bool checkpointed)
{
    struct work whole;
    cr_assert_eq(w->c->begin(w->state, &w->shape, NULL, &w->sink.base, 0), SLR_OK);
    cr_assert_eq(append(w, 0, written), SLR_OK);
    if (checkpointed) {
        cr_assert_eq(w->c->checkpoint(w->state), SLR_OK);
    }
    memset(w->state, 0x5a, w->c->state_bytes); /* death */
    cr_assert_eq(w->c->begin(w->state, &w->shape, NULL, &w->sink.base, known), SLR_OK);
    if (known > 0) {
        check_seen(w, known);
    }
    cr_assert_eq(append(w, known, total - known), SLR_OK);
    cr_assert_eq(w->c->finish(w->state), SLR_OK);
    check_seen(w, total);
    make_whole(w, &whole, total);
    check_same_file(w, &whole);
    work_fini(&whole);
}

static void check_resume(struct work *w)
{
    static const struct {
        uint64_t written, known, total;
    } cases[] = {{100, 100, 333}, {101, 50, 60}, {101, 1, 333}, {77, 0, 10}, {33, 33, 33}};
    for (size_t i = 0; i < COUNT(cases) * 2; i++) {
        w->sink.base.ops->close(&w->sink.base);
        resume_at(w, cases[i / 2].written, cases[i / 2].known, cases[i / 2].total, i & 1);
    }
}

Test(container, resuming_gives_the_bytes_of_an_uninterrupted_run)
{
    over_all(check_resume);
}

static void check_resume_refused(struct work *w)
{
    struct slr_audio_shape other = w->shape;
    cr_assert_eq(w->c->begin(w->state, &w->shape, NULL, &w->sink.base, 0), SLR_OK);
    cr_assert_eq(append(w, 0, 10), SLR_OK);
    size_t len = w->sink.len_bytes;
    uint8_t *before = malloc(len);
    cr_assert(before);
    memcpy(before, w->sink.at, len);

    cr_assert_eq(w->c->begin(w->state, &w->shape, NULL, &w->sink.base, 11), SLR_TRUNCATED);
    cr_assert_eq(append(w, 11, 1), SLR_STATE);
    other.sample_hz = other.sample_hz == 8000 ? 16000 : 8000;
    cr_assert_eq(w->c->begin(w->state, &other, NULL, &w->sink.base, 10), SLR_FORMAT);
    cr_assert_eq(w->c->checkpoint(w->state), SLR_STATE);
    cr_assert_eq(w->c->finish(w->state), SLR_STATE);

    cr_assert_eq(w->sink.len_bytes, len);
    cr_assert_eq(memcmp(before, w->sink.at, len), 0, "a refused resume wrote");
    free(before);
}

Test(container, resuming_what_is_not_there_is_refused)
{
    over_all(check_resume_refused);
}

static void check_states(struct work *w)
{
    uint64_t offset = 0, len = 0;
    cr_assert_eq(w->c->begin(w->state, &w->shape, NULL, &w->sink.base, 0), SLR_OK);
    cr_assert_eq(append(w, 0, 5), SLR_OK);
    cr_assert_eq(w->c->finish(w->state), SLR_OK);
    size_t size = w->sink.len_bytes;
    cr_assert_eq(append(w, 5, 5), SLR_STATE);
    cr_assert_eq(w->c->checkpoint(w->state), SLR_STATE);
    cr_assert_eq(w->c->finish(w->state), SLR_STATE);
    cr_assert_eq(w->sink.len_bytes, size);
    w->c->media_range(w->state, &offset, &len);
    cr_assert_eq(len, 5u * w->frame_bytes);
}

Test(container, nothing_after_finish)
{
    over_all(check_states);
}

Test(container, shapes_out_of_range_are_refused)
{
    static const struct slr_audio_shape bad[] = {
        {SLR_SAMPLE_S16, 0, 8000},   {SLR_SAMPLE_S16, 256, 8000}, {SLR_SAMPLE_S16, 2, 0},
        {SLR_SAMPLE_S16, 2, 7999},   {SLR_SAMPLE_S16, 2, 48001},  {SLR_SAMPLE_ALAW, 0, 8000},
        {SLR_SAMPLE_ULAW, 1, 96000},
    };
    for (size_t row = 0; slr_container_all()[row]; row++) {
        for (size_t i = 0; i < COUNT(bad); i++) {
            struct work w;
            work_init(&w, row, &bad[i]);
            cr_assert_eq(w.c->check(&bad[i]), SLR_UNSUPPORTED);
            cr_assert_eq(w.c->begin(w.state, &bad[i], &fake_options, &w.sink.base, 0),
                         SLR_UNSUPPORTED);
            cr_assert_eq(w.sink.len_bytes, 0u);
            work_fini(&w);
        }
    }
}

/* A sink over another one that fails at one operation, after doing half of it if it is a write. */
struct faulty {
    struct slr_sink base;
    struct slr_sink *under;
    uint32_t ops;     /* done so far */
    uint32_t fail_at; /* counted from 1; 0: never */
    enum slr_err err;
    bool half;
};

static struct faulty *faulty_of(struct slr_sink *s)
{
    return (struct faulty *)(void *)s;
}

static bool fails_now(struct faulty *f)
{
    return ++f->ops == f->fail_at;
}

static enum slr_err faulty_write(struct slr_sink *s, uint64_t offset, const void *at, size_t len)
{
    struct faulty *f = faulty_of(s);
    if (!fails_now(f)) {
        return f->under->ops->write_at(f->under, offset, at, len);
    }
    if (f->half && len > 1) {
        cr_assert_eq(f->under->ops->write_at(f->under, offset, at, len / 2), SLR_OK);
    }
    return f->err;
}

static enum slr_err faulty_read(struct slr_sink *s, uint64_t offset, void *at, size_t len)
{
    struct faulty *f = faulty_of(s);
    return fails_now(f) ? f->err : f->under->ops->read_at(f->under, offset, at, len);
}

static enum slr_err faulty_size(struct slr_sink *s, uint64_t *size)
{
    struct faulty *f = faulty_of(s);
    return fails_now(f) ? f->err : f->under->ops->size(f->under, size);
}

static enum slr_err faulty_truncate(struct slr_sink *s, uint64_t size)
{
    struct faulty *f = faulty_of(s);
    return fails_now(f) ? f->err : f->under->ops->truncate(f->under, size);
}

static enum slr_err faulty_sync(struct slr_sink *s)
{
    struct faulty *f = faulty_of(s);
    return fails_now(f) ? f->err : f->under->ops->sync(f->under);
}

static void faulty_close(struct slr_sink *s)
{
    (void)s;
}

static const struct slr_sink_ops faulty_ops = {
    .name = "faulty",
    .write_at = faulty_write,
    .read_at = faulty_read,
    .size = faulty_size,
    .truncate = faulty_truncate,
    .sync = faulty_sync,
    .close = faulty_close,
};

/* Repeats what failed once; counts the failures and checks what they say. */
#define RETRY(failures, want, call)                                                                \
    do {                                                                                           \
        enum slr_err err_ = (call);                                                                \
        if (err_ != SLR_OK) {                                                                      \
            cr_assert_eq(err_, want);                                                              \
            (failures)++;                                                                          \
            cr_assert_eq((call), SLR_OK);                                                          \
        }                                                                                          \
    } while (0)

/* One whole life with a death in the middle; returns the number of failed calls. */
static uint32_t life(struct work *w, struct faulty *f)
{
    uint32_t failures = 0;
    RETRY(failures, f->err, w->c->begin(w->state, &w->shape, NULL, &f->base, 0));
    RETRY(failures, f->err, append(w, 0, 33));
    RETRY(failures, f->err, w->c->checkpoint(w->state));
    RETRY(failures, f->err, append(w, 33, 20));
    memset(w->state, 0x5a, w->c->state_bytes);
    RETRY(failures, f->err, w->c->begin(w->state, &w->shape, NULL, &f->base, 33));
    RETRY(failures, f->err, append(w, 33, 8));
    RETRY(failures, f->err, w->c->finish(w->state));
    return failures;
}

Test(container, every_failure_of_the_sink_is_told_and_survived)
{
    static const enum slr_err errs[] = {SLR_NOSPACE, SLR_IO};
    for (size_t row = 0; slr_container_all()[row]; row++) {
        if (!slr_container_all()[row]->resumable) {
            continue;
        }
        for (int variant = 0; variant < 12; variant++) {
            struct slr_audio_shape shape = {(enum slr_sample_format)(variant % 3), 1, 8000};
            uint32_t fail_at = 1, failures = 1;
            while (failures > 0) {
                struct work w, whole;
                work_init(&w, row, &shape);
                struct faulty f = {{&faulty_ops}, &w.sink.base,      0,
                                   fail_at,       errs[variant / 6], variant / 3 % 2};
                failures = life(&w, &f);
                cr_assert_eq(failures, f.ops >= fail_at ? 1u : 0u, "failure %u was hidden",
                             fail_at);
                check_seen(&w, 41);
                make_whole(&w, &whole, 41);
                check_same_file(&w, &whole);
                work_fini(&whole);
                work_fini(&w);
                fail_at++;
            }
            cr_assert_gt(fail_at, 7u, "the sink was hardly used");
        }
    }
}

/* The whole file for three samples, byte by byte. */
Test(wav, golden_pcm_file)
{
    static const uint8_t want[] = {
        'R', 'I', 'F', 'F', 78, 0, 0,    0,    'W', 'A', 'V',  'E',  'J', 'U', 'N', 'K', 28, 0,
        0,   0,   0,   0,   0,  0, 0,    0,    0,   0,   0,    0,    0,   0,   0,   0,   0,  0,
        0,   0,   0,   0,   0,  0, 0,    0,    0,   0,   0,    0,    'f', 'm', 't', ' ', 16, 0,
        0,   0,   1,   0,   1,  0, 0x40, 0x1f, 0,   0,   0x80, 0x3e, 0,   0,   2,   0,   16, 0,
        'd', 'a', 't', 'a', 6,  0, 0,    0,    1,   0,   0xff, 0xff, 0,   0x80};
    static const int16_t frames[] = {1, -1, INT16_MIN};
    struct slr_audio_shape shape = {SLR_SAMPLE_S16, 1, 8000};
    struct work w;
    work_init(&w, 0, &shape);
    cr_assert_eq(w.c->begin(w.state, &shape, NULL, &w.sink.base, 0), SLR_OK);
    cr_assert_eq(w.c->append(w.state, frames, 3), SLR_OK);
    cr_assert_eq(w.c->finish(w.state), SLR_OK);
    cr_assert_eq(w.sink.len_bytes, sizeof want);
    cr_assert_arr_eq(w.sink.at, want, sizeof want);
    work_fini(&w);
}

/* An odd number of bytes: padded, and the pad is in the RIFF size but not in the data size. */
Test(wav, golden_alaw_file)
{
    static const uint8_t want[] = {
        'R', 'I', 'F', 'F', 90,  0, 0,   0,   'W', 'A',  'V',  'E',  'J', 'U',  'N',  'K', 28,
        0,   0,   0,   0,   0,   0, 0,   0,   0,   0,    0,    0,    0,   0,    0,    0,   0,
        0,   0,   0,   0,   0,   0, 0,   0,   0,   0,    0,    0,    0,   0,    'f',  'm', 't',
        ' ', 18,  0,   0,   0,   6, 0,   1,   0,   0x40, 0x1f, 0,    0,   0x40, 0x1f, 0,   0,
        1,   0,   8,   0,   0,   0, 'f', 'a', 'c', 't',  4,    0,    0,   0,    3,    0,   0,
        0,   'd', 'a', 't', 'a', 3, 0,   0,   0,   0xd5, 0x55, 0x2a, 0};
    static const uint8_t frames[] = {0xd5, 0x55, 0x2a};
    struct slr_audio_shape shape = {SLR_SAMPLE_ALAW, 1, 8000};
    struct work w;
    work_init(&w, 0, &shape);
    cr_assert_eq(w.c->begin(w.state, &shape, NULL, &w.sink.base, 0), SLR_OK);
    cr_assert_eq(w.c->append(w.state, frames, 3), SLR_OK);
    cr_assert_eq(w.c->finish(w.state), SLR_OK);
    cr_assert_eq(w.sink.len_bytes, sizeof want);
    cr_assert_arr_eq(w.sink.at, want, sizeof want);
    work_fini(&w);
}

/* First and last 50 ms of a recording made of 20 ms blocks: where containers like to lose. */
Test(container, first_and_last_50_ms_are_kept)
{
    enum { BLOCK = 160, BLOCKS = 51, EDGE = 400, TOTAL = BLOCK * BLOCKS + 7 };
    for (size_t row = 0; slr_container_all()[row]; row++) {
        if (!slr_container_all()[row]->resumable) {
            continue;
        }
        for (int format = SLR_SAMPLE_S16; format <= SLR_SAMPLE_ULAW; format++) {
            struct slr_audio_shape shape = {(enum slr_sample_format)format, 2, 8000};
            struct work w;
            struct seen seen;
            work_init(&w, row, &shape);
            uint8_t *want = malloc((size_t)TOTAL * w.frame_bytes);
            cr_assert(want);
            fill(&w, 0, want, TOTAL);
            cr_assert_eq(w.c->begin(w.state, &shape, NULL, &w.sink.base, 0), SLR_OK);
            for (uint64_t at = 0; at < TOTAL; at += BLOCK) {
                uint64_t n = TOTAL - at < BLOCK ? TOTAL - at : BLOCK;
                cr_assert_eq(w.c->append(w.state, want + at * w.frame_bytes, n), SLR_OK);
            }
            cr_assert_eq(w.c->finish(w.state), SLR_OK);
            read_of(w.c, &w.sink, &seen);
            cr_assert_eq(seen.frames, (uint64_t)TOTAL);
            size_t edge = (size_t)EDGE * w.frame_bytes, all = (size_t)TOTAL * w.frame_bytes;
            cr_assert_arr_eq(seen.media, want, edge);
            cr_assert_arr_eq(seen.media + all - edge, want + all - edge, edge);
            free(want);
            work_fini(&w);
        }
    }
}

/* Rows that are complete only after finish. */

static enum slr_err stream_life(struct work *w, struct slr_sink *sink, uint64_t frames,
                                uint64_t step)
{
    enum slr_err err = w->c->begin(w->state, &w->shape, &fake_options, sink, 0);
    if (err != SLR_OK) {
        return err;
    }
    for (uint64_t at = 0; at < frames && err == SLR_OK; at += step) {
        err = append(w, at, frames - at < step ? frames - at : step);
        err = err == SLR_OK ? w->c->checkpoint(w->state) : err;
    }
    err = err == SLR_OK ? w->c->finish(w->state) : err;
    if (err != SLR_OK) {
        w->c->drop(w->state);
        cr_assert_eq(append(w, 0, 1), SLR_STATE, "dropped");
    }
    return err;
}

/* The whole file is the media, and depends on nothing but the frames. */
static void check_stream(struct work *w)
{
    static const uint64_t frames[] = {0, 1, 159, 960, 8003};
    for (size_t i = 0; i < COUNT(frames); i++) {
        struct work other;
        uint64_t offset = 0, len = 0;
        work_init(&other, w->row, &w->shape);
        w->sink.base.ops->close(&w->sink.base);
        cr_assert_eq(stream_life(w, &w->sink.base, frames[i], 100000), SLR_OK);
        cr_assert_eq(stream_life(&other, &other.sink.base, frames[i], 77), SLR_OK);
        check_same_file(w, &other);
        w->c->media_range(w->state, &offset, &len);
        cr_assert_eq(offset, 0u);
        cr_assert_eq(len, w->sink.len_bytes);
        cr_assert_eq(append(w, 0, 1), SLR_STATE);
        cr_assert_eq(w->c->checkpoint(w->state), SLR_STATE);
        cr_assert_eq(w->c->finish(w->state), SLR_STATE);
        w->c->drop(w->state); /* nothing to do */
        work_fini(&other);
    }
}

Test(container, streams_depend_on_their_frames_only)
{
    over_rows(false, check_stream);
}

static void check_stream_refusals(struct work *w)
{
    struct slr_audio_shape law = w->shape;
    law.format = SLR_SAMPLE_ALAW;
    cr_assert_eq(w->c->begin(w->state, &w->shape, &fake_options, &w->sink.base, 1),
                 SLR_UNSUPPORTED);
    cr_assert_eq(append(w, 0, 1), SLR_STATE);
    cr_assert_eq(w->c->begin(w->state, &law, &fake_options, &w->sink.base, 0), SLR_UNSUPPORTED);
    cr_assert_eq(w->sink.len_bytes, 0u);
}

Test(container, streams_are_not_gone_on_with)
{
    over_rows(false, check_stream_refusals);
}

Test(container, opus_wants_an_encoder)
{
    struct slr_audio_shape shape = {SLR_SAMPLE_S16, 1, 8000};
    const struct slr_container *c = slr_container_by_name("opus");
    struct slr_sink_memory sink;
    void *state = malloc(c->state_bytes);
    slr_sink_memory_init(&sink);
    cr_assert_eq(c->begin(state, &shape, NULL, &sink.base, 0), SLR_INVAL);
    free(state);
}

Test(container, every_failure_of_a_streams_sink_is_told)
{
    for (size_t row = 0; slr_container_all()[row]; row++) {
        struct slr_audio_shape shape = {SLR_SAMPLE_S16, 1, 8000};
        if (slr_container_all()[row]->resumable) {
            continue;
        }
        enum slr_err err = SLR_NOSPACE;
        for (uint32_t fail_at = 1; err != SLR_OK; fail_at++) {
            struct work w, whole;
            work_init(&w, row, &shape);
            work_init(&whole, row, &shape);
            struct faulty f = {{&faulty_ops}, &w.sink.base, 0, fail_at, SLR_NOSPACE, fail_at & 1};
            err = stream_life(&w, &f.base, 30000, 4000);
            cr_assert_eq(err, f.ops >= fail_at ? SLR_NOSPACE : SLR_OK, "%s: failure %u gave %d",
                         w.c->name, fail_at, (int)err);
            cr_assert(err == SLR_OK || stream_life(&w, &w.sink.base, 30000, 4000) == SLR_OK);
            cr_assert_eq(stream_life(&whole, &whole.sink.base, 30000, 4000), SLR_OK);
            check_same_file(&w, &whole);
            work_fini(&whole);
            work_fini(&w);
        }
    }
}
