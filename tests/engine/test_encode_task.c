/*
 * encode_task: recordings that are sealed as WAV and encoded later are the same in the end, byte
 * for byte, as if they had been encoded at once; cut off anywhere, they are so too, and until then
 * the WAV is there.
 */
#include "engine/encode_task.h"

#include "tests/engine/outcome.h"

#define SSRC 0xe4c0u

struct one {
    struct fx f;
    struct slr_session *s;
    char id[SLR_ID_SIZE];
    char source[SLR_REC_NAME_SIZE]; /* "encode/ID.wav" */
    char ledger[SLR_REC_NAME_SIZE];
};

/* All that a recording is: its files, one behind the other, and its ledger. */
struct bytes {
    uint8_t *at[SLR_MAX_CHANNELS + 1];
    size_t len[SLR_MAX_CHANNELS + 1];
    uint32_t count;
};

/* Two legs of 4 s, the second and the third of them paused, that have ended. */
static void begin(struct one *o, struct slr_output output)
{
    uint32_t slot[2];
    fx_open(&o->f);
    o->s = fx_session(&o->f, 2);
    o->s->output = output;
    slot[0] = fx_leg(&o->f, o->s, 0, 8);
    slot[1] = fx_leg(&o->f, o->s, 1, 8);
    memcpy(o->id, o->s->id, sizeof o->id);
    slr_recfile_name_encode(o->id, o->source);
    slr_recfile_name_final(o->id, ".json", o->ledger);
    for (uint32_t k = 0; k < 200; k++) {
        if (k == 50 || k == 100) {
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

static bool is_there(const struct one *o, const char *name)
{
    struct stat st;
    return fstatat(o->f.e.rec_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static json_t *read_ledger(const struct one *o)
{
    size_t len = 0;
    uint8_t *text = fx_read_file(o->f.root, o->ledger, &len);
    json_t *ledger = json_loadb((const char *)text, len, 0, NULL);
    cr_assert_not_null(ledger);
    free(text);
    return ledger;
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

static const json_t *last_event(const struct one *o)
{
    return json_array_get(o->f.events, json_array_size(o->f.events) - 1);
}

/* Reads all that is there under its final name; nothing else may be left. */
static void read_all(struct one *o, struct bytes *b)
{
    char name[SLR_REC_NAME_SIZE];
    json_t *ledger = read_ledger(o), *files = json_object_get(ledger, "files");
    size_t n = json_array_size(files) ? json_array_size(files) : 1;
    b->at[0] = fx_read_file(o->f.root, o->ledger, &b->len[0]);
    for (uint32_t i = 0; i < n; i++) {
        const json_t *from = files ? json_array_get(files, i) : ledger;
        b->at[i + 1] = fx_read_file(o->f.root, text_of(from, "file"), &b->len[i + 1]);
    }
    b->count = (uint32_t)n + 1;
    json_decref(ledger);
    cr_assert_not(is_there(o, o->source));
    slr_recfile_name_open(o->id, name);
    cr_assert_not(is_there(o, name));
    slr_recfile_name_spans(o->id, name);
    cr_assert_not(is_there(o, name));
    for (int i = -1; i < 2; i++) {
        snprintf(name, sizeof name, i < 0 ? "encode/%s.part" : "encode/%s-%d.part", o->id, i);
        cr_assert_not(is_there(o, name));
    }
}

static void free_all(struct bytes *b)
{
    for (uint32_t i = 0; i < b->count; i++) {
        free(b->at[i]);
    }
}

static void check_equal(const struct bytes *a, const struct bytes *b)
{
    cr_assert_eq(a->count, b->count);
    for (uint32_t i = 0; i < a->count; i++) {
        cr_assert_eq(a->len[i], b->len[i], "%u: %zu and %zu bytes", i, a->len[i], b->len[i]);
        cr_assert_eq(memcmp(a->at[i], b->at[i], a->len[i]), 0, "%u differs", i);
    }
}

/* As it is where there is room. */
static void at_once(struct slr_output output, struct bytes *b)
{
    struct one o;
    begin(&o, output);
    cr_assert_eq(slr_sealer_step(&o.f.e.sealer), 0u);
    read_all(&o, b);
    fx_close(&o.f);
}

static void seal_as_wav(struct one *o)
{
    slr_sealer_put_off(&o->f.e.sealer, 0);
    /* the writer has handed it over as well: not a second time */
    cr_assert_not_null(slr_ring_take(&o->f.ring));
    cr_assert_eq(slr_sealer_step(&o->f.e.sealer), 0u);
    cr_assert_eq(atomic_load(&o->s->state), (uint32_t)SLR_SESSION_FREE);
}

/* How far it comes before a death. */
enum step { OPENED, MADE, NAMED, TOLD, ALL };

static void encode(struct one *o, enum step last)
{
    static const _Atomic bool never;
    struct slr_encode_task t;
    uint64_t frames = 0;
    enum slr_err err = slr_encode_task_open(&t, o->f.e.rec_fd, o->id);
    if (err == SLR_OK && last >= MADE) {
        t.job.stop = &never;
        cr_assert_eq(slr_finish_run(&t.job, t.file, &frames), SLR_OK);
    }
    if (err == SLR_OK && last == NAMED) { /* the first file only */
        cr_assert_eq(slr_finish_publish(o->f.e.rec_fd, &t.file[0]), SLR_OK);
    }
    if (err == SLR_OK && last >= TOLD) {
        cr_assert_eq(slr_encode_task_publish(&t, o->f.e.rec_fd, frames), SLR_OK);
    }
    cr_assert(err == SLR_OK || err == SLR_EXISTS);
    if (last == ALL) {
        json_t *ev = slr_encode_task_event(&t);
        cr_assert_not_null(ev);
        o->f.e.sink.emit(o->f.e.sink.ctx, ev);
        slr_encode_task_remove_source(&t, o->f.e.rec_fd);
    }
    slr_encode_task_close(&t);
}

static const struct slr_output all[] = {
    {.format = SLR_FORMAT_OPUS},
    {.format = SLR_FORMAT_OPUS, .layout = SLR_LAYOUT_LEGS, .cut_pauses = true},
    {.format = SLR_FORMAT_FLAC, .layout = SLR_LAYOUT_MIX, .sample_hz = 16000},
    {.format = SLR_FORMAT_GSM},
    {.format = SLR_FORMAT_WAV_PCM, .cut_pauses = true},
};

Test(encode_task, gives_what_encoding_at_once_gives)
{
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct bytes want, have;
        struct one o;
        at_once(all[i], &want);
        begin(&o, all[i]);
        seal_as_wav(&o);
        encode(&o, ALL);
        read_all(&o, &have);
        check_equal(&want, &have);
        free_all(&want);
        free_all(&have);
        fx_close(&o.f);
    }
}

/* Cut off after each step, and once more then. */
Test(encode_task, goes_on_after_a_death)
{
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct bytes want, have;
        at_once(all[i], &want);
        for (int step = OPENED; step <= TOLD; step++) {
            struct one o;
            begin(&o, all[i]);
            seal_as_wav(&o);
            encode(&o, (enum step)step);
            cr_assert(is_there(&o, o.source), "until the end there is the WAV");
            encode(&o, (enum step)step);
            encode(&o, ALL);
            read_all(&o, &have);
            check_equal(&want, &have);
            free_all(&have);
            fx_close(&o.f);
        }
        free_all(&want);
    }
}

/* What is told, and what can be fetched meanwhile. */
Test(encode_task, is_told_twice)
{
    struct one o;
    begin(&o, (struct slr_output){.format = SLR_FORMAT_OPUS, .layout = SLR_LAYOUT_LEGS});
    seal_as_wav(&o);
    const json_t *ev = last_event(&o);
    cr_assert_str_eq(text_of(ev, "ev"), "sealed");
    cr_assert_str_eq(text_of(ev, "state"), "sealed");
    cr_assert_str_eq(text_of(ev, "encoding"), "pending");
    cr_assert_str_eq(text_of(ev, "file"), o.source);
    cr_assert_str_eq(text_of(ev, "format"), "alaw");
    json_t *ledger = read_ledger(&o);
    cr_assert_str_eq(text_of(ledger, "file"), o.source);
    cr_assert_str_eq(text_of(json_object_get(ledger, "encoding"), "state"), "pending");
    json_decref(ledger);
    size_t len = 0;
    struct slr_wav_info info;
    uint8_t *wav = fx_read_file(o.f.root, o.source, &len);
    cr_assert_eq(slr_wav_parse(slr_slice_of(wav, len), &info), SLR_OK);
    cr_assert_eq(info.frames, 32000u);
    free(wav);
    encode(&o, ALL);
    ledger = read_ledger(&o);
    ev = last_event(&o);
    cr_assert_str_eq(text_of(ev, "ev"), "encoded");
    cr_assert_str_eq(text_of(ev, "session"), o.id);
    cr_assert_str_eq(text_of(ev, "file"), text_of(ledger, "file"));
    cr_assert_str_eq(text_of(ev, "format"), "opus");
    cr_assert_eq(json_array_size(json_object_get(ev, "files")), 2u);
    cr_assert_null(json_object_get(ledger, "encoding"));
    json_decref(ledger);
    fx_close(&o.f);
}

/* The name is there, the event was not sent, the engine died: WAV it stays. */
Test(encode_task, sealing_once_more_stays_put_off)
{
    struct bytes want, have;
    struct one o;
    at_once(all[1], &want);
    begin(&o, all[1]);
    size_t state_bytes = o.f.e.state->map_bytes;
    uint8_t *before = malloc(state_bytes);
    memcpy(before, o.f.e.state->header, state_bytes);
    seal_as_wav(&o);
    memcpy((void *)o.f.e.state->header, before, state_bytes);
    free(before);
    fx_die(&o.f);
    fx_boot(&o.f);
    fx_write(&o.f, 4100);
    cr_assert_eq(slr_sealer_step(&o.f.e.sealer), 0u);
    cr_assert_str_eq(text_of(last_event(&o), "encoding"), "pending");
    cr_assert_str_eq(text_of(last_event(&o), "file"), o.source);
    encode(&o, ALL);
    read_all(&o, &have);
    check_equal(&want, &have);
    free_all(&want);
    free_all(&have);
    fx_close(&o.f);
}

static void spoil(const struct one *o, const char *name, const char *text)
{
    int fd = openat(o->f.e.rec_fd, name, O_WRONLY | O_TRUNC);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static enum slr_err try_open(const struct one *o)
{
    struct slr_encode_task t;
    enum slr_err err = slr_encode_task_open(&t, o->f.e.rec_fd, o->id);
    slr_encode_task_close(&t);
    return err;
}

/* Nothing is ever removed for the sake of what is not there. */
Test(encode_task, damage)
{
    struct one o;
    begin(&o, (struct slr_output){.format = SLR_FORMAT_OPUS});
    seal_as_wav(&o);
    json_t *ledger = read_ledger(&o);
    json_object_del(ledger, "encoding");
    json_object_set_new(ledger, "file", json_string("20231114/nothing.opus"));
    char *text = json_dumps(ledger, 0);
    spoil(&o, o.ledger, text);
    cr_assert_eq(try_open(&o), SLR_FORMAT, "made, says the ledger, but there is nothing");
    free(text);
    json_decref(ledger);
    spoil(&o, o.ledger, "{\"recording\":");
    cr_assert_eq(try_open(&o), SLR_FORMAT);
    cr_assert_eq(unlinkat(o.f.e.rec_fd, o.ledger, 0), 0);
    cr_assert_eq(try_open(&o), SLR_NOTFOUND, "deleted");
    cr_assert(is_there(&o, o.source));
    fx_close(&o.f);
}

Test(encode_task, a_file_that_was_cut_is_not_encoded)
{
    struct one o;
    begin(&o, (struct slr_output){.format = SLR_FORMAT_OPUS});
    seal_as_wav(&o);
    spoil(&o, o.source, "RIFF");
    cr_assert_eq(try_open(&o), SLR_TRUNCATED);
    fx_close(&o.f);
}

Test(encode_task, deleting_removes_what_waits)
{
    struct one o;
    begin(&o, (struct slr_output){.format = SLR_FORMAT_OPUS});
    seal_as_wav(&o);
    cr_assert_eq(slr_sealer_delete(&o.f.e.sealer, o.id), SLR_OK);
    cr_assert_eq(slr_sealer_step(&o.f.e.sealer), 0u);
    cr_assert_not(is_there(&o, o.source));
    cr_assert_not(is_there(&o, o.ledger));
    cr_assert_str_eq(text_of(last_event(&o), "ev"), "deleted");
    fx_close(&o.f);
}
