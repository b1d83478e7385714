/*
 * finish: final files that are not the working file. What is in them byte for byte where that can
 * be said, and that nothing is lost whenever the making is cut off. What strangers read from them
 * is in tests/golden.
 */
#include <dirent.h>

#include "engine/cuts.h"
#include "storage/seal.h"
#include "tests/engine/outcome.h"

#define SSRC 0xf1a1u
#define FRAMES 32000

struct one {
    struct fx f;
    struct slr_session *s;
    char id[SLR_ID_SIZE];
    json_t *ledger;
};

/* Two legs of 4 s that are different, and have ended. */
static void begin_paused(struct one *o, struct slr_output output, bool paused)
{
    uint32_t slot[2];
    fx_open(&o->f);
    o->ledger = NULL;
    o->s = fx_session(&o->f, 2);
    o->s->output = output;
    slot[0] = fx_leg(&o->f, o->s, 0, 8);
    slot[1] = fx_leg(&o->f, o->s, 1, 8);
    memcpy(o->id, o->s->id, sizeof o->id);
    for (uint32_t k = 0; k < 200; k++) {
        if (paused && (k == 50 || k == 100)) {
            fx_pause(&o->f, o->s, k * 20 - 5, k == 50);
        }
        for (uint32_t i = 0; i < 2; i++) {
            (void)fx_rtp(&o->f, slot[i], k * 20, fx_audio(SSRC + i, k, 100, 5000));
        }
        fx_write(&o->f, k * 20);
    }
    fx_clock(&o->f, 4000);
    cr_assert_eq(slr_engine_session_end(&o->f.e, o->s, "bye", INT64_MIN), SLR_OK);
    fx_write(&o->f, 4000);
    cr_assert_eq(atomic_load(&o->s->state), (uint32_t)SLR_SESSION_SEALING);
}

static void begin(struct one *o, struct slr_output output)
{
    begin_paused(o, output, false);
}

static bool is_there(const struct one *o, const char *name)
{
    struct stat st;
    return fstatat(o->f.e.rec_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static uint8_t *read_rec(const struct one *o, const char *name, size_t *len)
{
    cr_assert(is_there(o, name), "%s is missing", name);
    return fx_read_file(o->f.root, name, len);
}

static void read_ledger(struct one *o)
{
    char name[SLR_REC_NAME_SIZE];
    size_t len = 0;
    slr_recfile_name_final(o->id, ".json", name);
    uint8_t *text = read_rec(o, name, &len);
    json_decref(o->ledger);
    o->ledger = json_loadb((const char *)text, len, 0, NULL);
    cr_assert_not_null(o->ledger);
    free(text);
}

static json_t *last_event(const struct one *o)
{
    return json_array_get(o->f.events, json_array_size(o->f.events) - 1);
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

/* Nothing but the final files is left. */
static void check_clean(const struct one *o)
{
    char name[SLR_REC_NAME_SIZE];
    slr_recfile_name_open(o->id, name);
    cr_assert_not(is_there(o, name));
    slr_recfile_name_spans(o->id, name);
    cr_assert_not(is_there(o, name));
    for (int i = -1; i < 8; i++) {
        snprintf(name, sizeof name, i < 0 ? "encode/%s.part" : "encode/%s-%d.part", o->id, i);
        cr_assert_not(is_there(o, name));
    }
}

static void seal(struct one *o)
{
    cr_assert_eq(slr_sealer_step(&o->f.e.sealer), 0u);
    read_ledger(o);
    json_t *ev = last_event(o);
    cr_assert_str_eq(text_of(ev, "ev"), "sealed");
    cr_assert_str_eq(text_of(ev, "file"), text_of(o->ledger, "file"));
    cr_assert_str_eq(text_of(ev, "media_hash"),
                     text_of(json_object_get(o->ledger, "media"), "hash"));
    cr_assert_str_eq(text_of(ev, "format"), text_of(json_object_get(o->ledger, "shape"), "format"));
    cr_assert(is_there(o, text_of(o->ledger, "file")));
    check_clean(o);
}

static void done(struct one *o)
{
    json_decref(o->ledger);
    fx_close(&o->f);
}

static int64_t int_of(const struct one *o, const char *key)
{
    return json_integer_value(json_object_get(o->ledger, key));
}

static const uint8_t *parse(const struct one *o, const char *name, struct slr_wav_info *info,
                            uint8_t **file)
{
    size_t len = 0;
    *file = read_rec(o, name, &len);
    cr_assert_eq(slr_wav_parse(slr_slice_of(*file, len), info), SLR_OK);
    cr_assert_not(info->truncated);
    return *file + info->data_offset_bytes;
}

/* A file for each leg has that leg's bytes as they were received. */
Test(finish, legs_are_byte_for_byte)
{
    struct one o;
    begin(&o, (struct slr_output){.layout = SLR_LAYOUT_LEGS});
    seal(&o);
    json_t *files = json_object_get(o.ledger, "files");
    cr_assert_eq(json_array_size(files), 2u);
    cr_assert_eq(json_array_size(json_object_get(last_event(&o), "files")), 2u);
    for (uint32_t c = 0; c < 2; c++) {
        struct slr_wav_info info;
        uint8_t *file = NULL;
        const char *name = text_of(json_array_get(files, c), "file");
        const uint8_t *media = parse(&o, name, &info, &file);
        cr_assert_eq(info.shape.format, SLR_SAMPLE_ALAW);
        cr_assert_eq(info.shape.channels, 1u);
        cr_assert_eq(info.frames, (uint64_t)FRAMES);
        for (int64_t i = 0; i < FRAMES; i++) {
            cr_assert_eq(media[i], fx_sample(SSRC + c, i));
        }
        free(file);
    }
    cr_assert_eq(int_of(&o, "frames"), FRAMES);
    done(&o);
}

Test(finish, pcm_is_what_the_law_says)
{
    struct one o;
    struct slr_wav_info info;
    uint8_t *file = NULL;
    begin(&o, (struct slr_output){.format = SLR_FORMAT_WAV_PCM});
    seal(&o);
    const uint8_t *media = parse(&o, text_of(o.ledger, "file"), &info, &file);
    cr_assert_eq(info.shape.format, SLR_SAMPLE_S16);
    cr_assert_eq(info.shape.channels, 2u);
    cr_assert_eq(info.frames, (uint64_t)FRAMES);
    for (int64_t i = 0; i < FRAMES * 2; i++) {
        int16_t is;
        memcpy(&is, media + i * 2, 2);
        cr_assert_eq(is, slr_g711_alaw_to_s16(fx_sample(SSRC + (uint32_t)(i % 2), i / 2)));
    }
    free(file);
    done(&o);
}

/* The sum, limited. */
Test(finish, mix_is_the_sum)
{
    struct one o;
    struct slr_wav_info info;
    uint8_t *file = NULL;
    uint32_t limited = 0;
    begin(&o, (struct slr_output){.format = SLR_FORMAT_WAV_PCM, .layout = SLR_LAYOUT_MIX});
    seal(&o);
    const uint8_t *media = parse(&o, text_of(o.ledger, "file"), &info, &file);
    cr_assert_eq(info.shape.channels, 1u);
    cr_assert_eq(info.frames, (uint64_t)FRAMES);
    for (int64_t i = 0; i < FRAMES; i++) {
        int16_t is;
        int32_t sum =
            slr_g711_alaw_to_s16(fx_sample(SSRC, i)) + slr_g711_alaw_to_s16(fx_sample(SSRC + 1, i));
        int32_t want = sum > INT16_MAX ? INT16_MAX : sum < INT16_MIN ? INT16_MIN : sum;
        limited += want != sum;
        memcpy(&is, media + i * 2, 2);
        cr_assert_eq(is, want);
    }
    cr_assert_gt(limited, 0u, "nothing was loud enough to be limited");
    free(file);
    done(&o);
}

/* Every format and layout seals, with the frames that it must have. */
Test(finish, every_policy_seals)
{
    static const uint32_t rates_hz[] = {0, 8000, 16000, 48000};
    for (uint8_t format = 0; format < SLR_FORMAT_COUNT; format++) {
        for (uint8_t layout = 0; layout <= SLR_LAYOUT_LEGS; layout++) {
            for (size_t r = 0; r < 4; r++) {
                struct slr_output output = {
                    .format = format, .layout = layout, .sample_hz = rates_hz[r]};
                const char *why = "";
                struct one o;
                if (slr_output_check(&output, &why) != SLR_OK) {
                    continue;
                }
                begin(&o, output);
                seal(&o);
                cr_assert_eq(int_of(&o, "frames"), rates_hz[r] ? 4 * (int64_t)rates_hz[r] : FRAMES);
                json_t *wish = json_object_get(o.ledger, "output");
                cr_assert_str_eq(text_of(wish, "format"), slr_format_name(format));
                done(&o);
            }
        }
    }
}

/* A call without a packet, or of a millisecond, with legs or without: no file is empty. */
static void check_short(uint8_t format, uint8_t layout, uint32_t legs, int64_t end_ms)
{
    struct slr_output output = {.format = format, .layout = layout};
    const char *why = "";
    struct one o = {.ledger = NULL};
    if (slr_output_check(&output, &why) != SLR_OK) {
        return;
    }
    fx_open(&o.f);
    o.s = fx_session(&o.f, 2);
    o.s->output = output;
    for (uint32_t i = 0; i < legs; i++) {
        (void)fx_leg(&o.f, o.s, i, 8);
    }
    memcpy(o.id, o.s->id, sizeof o.id);
    fx_clock(&o.f, end_ms);
    cr_assert_eq(slr_engine_session_end(&o.f.e, o.s, "bye", INT64_MIN), SLR_OK);
    fx_write(&o.f, end_ms);
    seal(&o);
    size_t len = 0;
    free(read_rec(&o, text_of(o.ledger, "file"), &len));
    cr_assert_geq(len, 42u, "%s, %zu bytes", text_of(o.ledger, "file"), len);
    cr_assert_eq(int_of(&o, "frames"), 8 * end_ms);
    done(&o);
}

Test(finish, nothing_is_a_recording_too)
{
    for (uint8_t format = 0; format < SLR_FORMAT_COUNT; format++) {
        for (uint8_t layout = 0; layout <= SLR_LAYOUT_LEGS; layout++) {
            for (uint32_t legs = 0; legs <= 2; legs++) {
                check_short(format, layout, legs, 0);
                check_short(format, layout, legs, 1);
            }
        }
    }
}

/* One second of two legs is paused: it is left out, and the ledger says where it was. */
Test(finish, pauses_are_cut)
{
    struct one o;
    struct slr_wav_info info;
    uint8_t *file = NULL;
    begin_paused(&o, (struct slr_output){.cut_pauses = true}, true);
    seal(&o);
    json_t *cuts = json_object_get(o.ledger, "cuts");
    cr_assert_eq(json_array_size(cuts), 1u);
    int64_t start = json_integer_value(json_object_get(json_array_get(cuts, 0), "start_ticks"));
    int64_t len = json_integer_value(json_object_get(json_array_get(cuts, 0), "len_ticks"));
    cr_assert_eq(start, SLR_TICKS_HZ);
    cr_assert_eq(len, SLR_TICKS_HZ);
    cr_assert_eq(int_of(&o, "frames"), FRAMES - 8000);
    cr_assert_eq(int_of(&o, "len_ticks"), 4 * SLR_TICKS_HZ);
    const uint8_t *media = parse(&o, text_of(o.ledger, "file"), &info, &file);
    cr_assert_eq(info.frames, (uint64_t)FRAMES - 8000);
    for (int64_t i = 0; i < FRAMES - 8000; i++) {
        for (uint32_t c = 0; c < 2; c++) {
            cr_assert_eq(media[i * 2 + c], fx_sample(SSRC + c, i < 8000 ? i : i + 8000));
        }
    }
    free(file);
    done(&o);
}

/* Samples that a correction took out lie between the spans and may look like any of them. */
Test(finish, removed_samples_are_no_pauses)
{
    struct slr_audio_shape shape = {SLR_SAMPLE_ALAW, 1, 8000};
    struct slr_span_entry entry[4];
    struct slr_ledger_cut *cut = NULL;
    uint32_t count = 0;
    memset(entry, 0, sizeof entry);
    entry[0].span = (struct slr_span){.kind = SLR_SPAN_RECEIVED, .len_ticks = 4000 * FX_MS};
    entry[1].span = (struct slr_span){.kind = SLR_SPAN_CORRECTED, .start_ticks = 2000 * FX_MS};
    entry[2].span = (struct slr_span){
        .kind = SLR_SPAN_PAUSED, .start_ticks = 1000 * FX_MS, .len_ticks = 3000 * FX_MS};
    entry[2].samples = SLR_SPAN_SAMPLES;
    entry[3].span = (struct slr_span){
        .kind = SLR_SPAN_PAUSED, .start_ticks = 4000 * FX_MS, .len_ticks = 1000 * FX_MS};
    const struct slr_journal journal = {.at = entry, .count = 4};
    cr_assert_eq(slr_cuts_find(&journal, 1, &shape, &cut, &count), SLR_OK);
    cr_assert_eq(count, 1u);
    cr_assert_eq(cut[0].start_ticks, 4000 * FX_MS);
    cr_assert_eq(cut[0].len_ticks, 1000 * FX_MS);
    free(cut);
}

Test(finish, without_a_pause_nothing_is_cut)
{
    struct one o;
    begin(&o, (struct slr_output){.cut_pauses = true});
    seal(&o);
    cr_assert_null(json_object_get(o.ledger, "cuts"));
    cr_assert_eq(int_of(&o, "frames"), FRAMES);
    done(&o);
}

static void link_to(const struct one *o, const char *from, const char *to)
{
    cr_assert_eq(linkat(o->f.e.rec_fd, from, o->f.e.rec_fd, to, 0), 0);
}

static void put_garbage(const struct one *o, const char *name)
{
    int fd = openat(o->f.e.rec_fd, name, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, "garbage", 7), 7);
    close(fd);
}

/*
 * A death after the ledger was written; `published` of the two files had got their names, `spoilt`
 * as another release would have made them. All is made again, and the same.
 */
static void check_death(uint32_t published, bool spoilt)
{
    struct one o;
    char open_name[SLR_REC_NAME_SIZE], spans_name[SLR_REC_NAME_SIZE], hash[2][65];
    begin(&o, (struct slr_output){.format = SLR_FORMAT_OPUS, .layout = SLR_LAYOUT_LEGS});
    slr_recfile_name_open(o.id, open_name);
    slr_recfile_name_spans(o.id, spans_name);
    link_to(&o, open_name, "media");
    link_to(&o, spans_name, "spans");
    size_t state_bytes = o.f.e.state->map_bytes;
    uint8_t *before = malloc(state_bytes);
    memcpy(before, o.f.e.state->header, state_bytes);
    seal(&o);
    memcpy((void *)o.f.e.state->header, before, state_bytes);
    free(before);
    for (uint32_t i = 0; i < 2; i++) {
        json_t *file = json_array_get(json_object_get(o.ledger, "files"), i);
        snprintf(hash[i], 65, "%s", text_of(json_object_get(file, "media"), "hash"));
        if (i >= published) {
            cr_assert_eq(unlinkat(o.f.e.rec_fd, text_of(file, "file"), 0), 0);
        } else if (spoilt) {
            put_garbage(&o, text_of(file, "file"));
        }
    }
    char part[SLR_REC_NAME_SIZE];
    snprintf(part, sizeof part, "encode/%s-1.part", o.id);
    put_garbage(&o, part);
    cr_assert_eq(renameat(o.f.e.rec_fd, "media", o.f.e.rec_fd, open_name), 0);
    cr_assert_eq(renameat(o.f.e.rec_fd, "spans", o.f.e.rec_fd, spans_name), 0);
    fx_die(&o.f);
    fx_boot(&o.f);
    fx_write(&o.f, 4100);
    seal(&o);
    for (uint32_t i = 0; i < 2; i++) {
        json_t *file = json_array_get(json_object_get(o.ledger, "files"), i);
        cr_assert_str_eq(text_of(json_object_get(file, "media"), "hash"), hash[i]);
        struct slr_sink_posix sink;
        char now[SLR_HASH_TEXT_SIZE];
        uint64_t size = 0;
        cr_assert_eq(slr_sink_posix_open(&sink, o.f.e.rec_fd, text_of(file, "file")), SLR_OK);
        cr_assert_eq(sink.base.ops->size(&sink.base, &size), SLR_OK);
        cr_assert_eq(slr_hash_media(&sink.base, 0, size, now), SLR_OK);
        cr_assert_str_eq(now, hash[i]);
        sink.base.ops->close(&sink.base);
    }
    done(&o);
}

Test(finish, goes_on_after_a_death)
{
    for (uint32_t published = 0; published <= 2; published++) {
        check_death(published, false);
        check_death(published, true);
    }
}

static void remove_state(const struct one *o)
{
    int fd = open(o->f.state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert_geq(fd, 0);
    DIR *dir = fdopendir(fd);
    for (const struct dirent *d = readdir(dir); d; d = readdir(dir)) {
        if (d->d_name[0] != '.') {
            cr_assert_eq(unlinkat(fd, d->d_name, 0), 0);
        }
    }
    closedir(dir);
}

/* Power is lost after the ledger was written, and `published` of the two files had got their names:
 * if not all of them, then the recording is the working file, and nothing else is left. */
static void check_power_loss(uint32_t published)
{
    struct one o;
    char open_name[SLR_REC_NAME_SIZE], spans_name[SLR_REC_NAME_SIZE], name[2][SLR_REC_NAME_SIZE];
    char part[SLR_REC_NAME_SIZE], plain[SLR_REC_NAME_SIZE];
    begin(&o, (struct slr_output){.format = SLR_FORMAT_OPUS, .layout = SLR_LAYOUT_LEGS});
    slr_recfile_name_open(o.id, open_name);
    slr_recfile_name_spans(o.id, spans_name);
    slr_recfile_name_final(o.id, ".wav", plain);
    link_to(&o, open_name, "media");
    link_to(&o, spans_name, "spans");
    seal(&o);
    for (uint32_t i = 0; i < 2; i++) {
        json_t *file = json_array_get(json_object_get(o.ledger, "files"), i);
        snprintf(name[i], sizeof name[i], "%s", text_of(file, "file"));
        if (i >= published) {
            cr_assert_eq(unlinkat(o.f.e.rec_fd, name[i], 0), 0);
            snprintf(part, sizeof part, "encode/%s-%u.part", o.id, i);
            put_garbage(&o, part);
        }
    }
    cr_assert_eq(renameat(o.f.e.rec_fd, "media", o.f.e.rec_fd, open_name), 0);
    cr_assert_eq(renameat(o.f.e.rec_fd, "spans", o.f.e.rec_fd, spans_name), 0);
    fx_die(&o.f);
    remove_state(&o);
    fx_boot(&o.f);
    slr_log_init("test", SLR_LOG_ERROR + 1);
    slr_engine_rescue(&o.f.e);
    fx_write(&o.f, 0);
    seal(&o);
    for (uint32_t i = 0; i < 2; i++) {
        cr_assert_eq(is_there(&o, name[i]), published == 2, "%u published: %s", published, name[i]);
    }
    cr_assert_eq(is_there(&o, plain), published < 2);
    cr_assert_eq(int_of(&o, "frames"), FRAMES);
    done(&o);
}

Test(finish, leaves_nothing_half_after_a_power_loss)
{
    for (uint32_t published = 0; published <= 2; published++) {
        check_power_loss(published);
    }
}

/* All was done but the event. */
Test(finish, tells_after_a_death_what_was_published)
{
    struct one o;
    char spans_name[SLR_REC_NAME_SIZE];
    begin(&o, (struct slr_output){.format = SLR_FORMAT_FLAC, .layout = SLR_LAYOUT_LEGS});
    slr_recfile_name_spans(o.id, spans_name);
    link_to(&o, spans_name, "spans");
    size_t state_bytes = o.f.e.state->map_bytes;
    uint8_t *before = malloc(state_bytes);
    memcpy(before, o.f.e.state->header, state_bytes);
    seal(&o);
    json_t *first = json_copy(last_event(&o));
    memcpy((void *)o.f.e.state->header, before, state_bytes);
    free(before);
    cr_assert_eq(renameat(o.f.e.rec_fd, "spans", o.f.e.rec_fd, spans_name), 0);
    fx_die(&o.f);
    fx_boot(&o.f);
    fx_write(&o.f, 4100);
    seal(&o);
    json_t *second = json_copy(last_event(&o));
    (void)json_object_del(first, "wall_ns");
    (void)json_object_del(second, "wall_ns");
    cr_assert(json_equal(first, second));
    json_decref(first);
    json_decref(second);
    done(&o);
}

/* Who ends the engine does not wait for an encoder; the next engine begins anew. */
Test(finish, is_given_up_at_the_engines_end)
{
    struct one o;
    char name[SLR_REC_NAME_SIZE];
    begin(&o, (struct slr_output){.format = SLR_FORMAT_OPUS});
    atomic_store(&o.f.e.sealer.stop, true);
    cr_assert_eq(slr_sealer_step(&o.f.e.sealer), 1u);
    slr_recfile_name_open(o.id, name);
    cr_assert(is_there(&o, name));
    snprintf(name, sizeof name, "encode/%s.part", o.id);
    cr_assert_not(is_there(&o, name));
    atomic_store(&o.f.e.sealer.stop, false);
    seal(&o);
    done(&o);
}

/* The disk refuses: the working file stays until it does not. */
Test(finish, tries_again)
{
    struct one o;
    char day[SLR_REC_NAME_SIZE], name[SLR_REC_NAME_SIZE];
    begin(&o, (struct slr_output){.format = SLR_FORMAT_FLAC});
    slr_log_init("test", SLR_LOG_ERROR + 1);
    snprintf(name, sizeof name, "encode/%s.part", o.id);
    cr_assert_eq(mkdirat(o.f.e.rec_fd, name, 0700), 0);
    cr_assert_eq(slr_sealer_step(&o.f.e.sealer), 1u);
    cr_assert_eq(slr_sealer_step(&o.f.e.sealer), 1u);
    slr_recfile_name_open(o.id, day);
    cr_assert(is_there(&o, day));
    cr_assert_eq(unlinkat(o.f.e.rec_fd, name, AT_REMOVEDIR), 0);
    seal(&o);
    done(&o);
}

Test(finish, all_files_are_deleted)
{
    struct one o;
    json_t *removed = NULL;
    begin(&o, (struct slr_output){.format = SLR_FORMAT_GSM, .layout = SLR_LAYOUT_LEGS});
    seal(&o);
    cr_assert_eq(slr_engine_recording_delete(&o.f.e, o.id, &removed), SLR_OK);
    json_decref(removed);
    cr_assert_eq(slr_sealer_step(&o.f.e.sealer), 0u);
    for (uint32_t i = 0; i < 2; i++) {
        json_t *file = json_array_get(json_object_get(o.ledger, "files"), i);
        cr_assert_not(is_there(&o, text_of(file, "file")));
    }
    done(&o);
}
