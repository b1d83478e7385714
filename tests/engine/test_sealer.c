/* Sealer: publishing can be cut off anywhere and is then done once more, with the same outcome. */
#include "tests/engine/outcome.h"

#define SSRC 0x5ea1u

struct one {
    struct fx f;
    struct slr_session *s;
    uint32_t slot;
    char id[SLR_ID_SIZE];
    struct fx_result r;
};

/* A session with 4 s of media that has ended and waits for the sealer. */
static void begin(struct one *o)
{
    fx_open(&o->f);
    o->s = fx_session(&o->f, 1);
    o->slot = fx_leg(&o->f, o->s, 0, 8);
    memcpy(o->id, o->s->id, sizeof o->id);
    for (uint32_t k = 0; k < 200; k++) {
        if (k != 77) {
            struct fx_packet p = fx_audio(SSRC, k, 100, 5000);
            cr_assert_eq(fx_rtp(&o->f, o->slot, k * 20, p), SLR_VERDICT_TAKEN);
        }
        fx_write(&o->f, k * 20);
    }
    fx_clock(&o->f, 4000);
    cr_assert_eq(slr_engine_session_end(&o->f.e, o->s, "bye", INT64_MIN), SLR_OK);
    fx_write(&o->f, 4000);
    cr_assert_eq(atomic_load(&o->s->state), (uint32_t)SLR_SESSION_SEALING);
}

static size_t events(const struct one *o, const char *name)
{
    size_t i = 0;
    size_t n = 0;
    json_t *ev = NULL;
    json_array_foreach(o->f.events, i, ev)
    {
        n += strcmp(json_string_value(json_object_get(ev, "ev")), name) == 0;
    }
    return n;
}

static json_t *last_event(const struct one *o)
{
    return json_array_get(o->f.events, json_array_size(o->f.events) - 1);
}

static void check(struct one *o)
{
    char name[SLR_REC_NAME_SIZE];
    struct stat st;
    fx_result(&o->f, o->id, &o->r);
    fx_assert_audio(&o->r, 0, 0, 77 * 160, SSRC, 0);
    fx_assert_audio(&o->r, 0, 78 * 160, 122 * 160, SSRC, 78 * 160);
    fx_assert_spans(&o->r, 0, "received 0+1540, lost-network 1540+20 (1), received 1560+2440");
    json_t *hash = json_object_get(json_object_get(o->r.ledger, "media"), "hash");
    json_t *ev = last_event(o);
    cr_assert_str_eq(json_string_value(json_object_get(ev, "ev")), "sealed");
    cr_assert_str_eq(json_string_value(json_object_get(ev, "state")), "sealed");
    cr_assert_str_eq(json_string_value(json_object_get(ev, "media_hash")), json_string_value(hash));
    cr_assert_eq(json_integer_value(json_object_get(ev, "bytes")) + (int64_t)(o->r.wav.frames & 1),
                 (int64_t)o->r.len_bytes);
    json_t *leg = json_array_get(json_object_get(ev, "legs"), 0);
    cr_assert_eq(json_integer_value(json_object_get(leg, "packets")), 199);
    cr_assert_eq(json_integer_value(json_object_get(leg, "lost")), 1);
    slr_recfile_name_open(o->id, name);
    cr_assert_neq(fstatat(o->f.e.rec_fd, name, &st, 0), 0);
    slr_recfile_name_spans(o->id, name);
    cr_assert_neq(fstatat(o->f.e.rec_fd, name, &st, 0), 0);
    cr_assert_eq(slr_state_chunks_free(o->f.e.state), o->f.chunks);
    for (uint32_t i = 0; i < o->f.legs; i++) {
        cr_assert_eq(atomic_load(&o->f.e.state->leg[i].state), (uint32_t)SLR_LEG_FREE);
        cr_assert_eq(atomic_load(&o->f.e.state->session[i].state), (uint32_t)SLR_SESSION_FREE);
    }
    fx_result_free(&o->r);
}

static void restart(struct one *o)
{
    fx_die(&o->f);
    fx_boot(&o->f);
    o->s = &o->f.e.state->session[0];
}

static void seal(struct one *o)
{
    fx_write(&o->f, 4100);
    cr_assert_eq(slr_sealer_step(&o->f.e.sealer), 0u);
}

Test(sealer, publishes)
{
    struct one o;
    begin(&o);
    seal(&o);
    check(&o);
    cr_assert_eq(events(&o, "sealed"), 1u);
    fx_close(&o.f);
}

Test(sealer, goes_on_after_a_death_before_it)
{
    struct one o;
    begin(&o);
    restart(&o);
    seal(&o);
    check(&o);
    fx_close(&o.f);
}

/* All was done but the event: told from what was published, once more at most. */
Test(sealer, goes_on_after_a_death_between_publishing_and_telling)
{
    struct one o;
    begin(&o);
    size_t state_bytes = o.f.e.state->map_bytes;
    uint8_t *before = malloc(state_bytes);
    cr_assert_not_null(before);
    memcpy(before, o.f.e.state->header, state_bytes);
    seal(&o);
    memcpy((void *)o.f.e.state->header, before, state_bytes);
    free(before);
    restart(&o);
    seal(&o);
    check(&o);
    cr_assert_eq(events(&o, "sealed"), 2u);
    fx_close(&o.f);
}

/* The ledger is there, the rename is not. */
Test(sealer, goes_on_after_a_death_before_the_rename)
{
    struct one o;
    char open_name[SLR_REC_NAME_SIZE];
    char spans_name[SLR_REC_NAME_SIZE];
    char final_name[SLR_REC_NAME_SIZE];
    char spans_copy[] = "spans";
    size_t n = 0;
    begin(&o);
    slr_recfile_name_open(o.id, open_name);
    slr_recfile_name_spans(o.id, spans_name);
    slr_recfile_name_final(o.id, ".wav", final_name);
    cr_assert_eq(linkat(o.f.e.rec_fd, spans_name, o.f.e.rec_fd, spans_copy, 0), 0);
    size_t state_bytes = o.f.e.state->map_bytes;
    uint8_t *before = malloc(state_bytes);
    memcpy(before, o.f.e.state->header, state_bytes);
    seal(&o);
    memcpy((void *)o.f.e.state->header, before, state_bytes);
    free(before);
    cr_assert_eq(renameat(o.f.e.rec_fd, final_name, o.f.e.rec_fd, open_name), 0);
    cr_assert_eq(renameat(o.f.e.rec_fd, spans_copy, o.f.e.rec_fd, spans_name), 0);
    free(fx_read_file(o.f.root, open_name, &n));
    restart(&o);
    seal(&o);
    check(&o);
    fx_close(&o.f);
}

/* It freed the session, then died: its legs are nobody's, and found. */
Test(sealer, legs_left_over_by_a_death_are_found)
{
    struct one o;
    begin(&o);
    atomic_store(&o.s->state, SLR_SESSION_FREE);
    cr_assert_lt(slr_state_chunks_free(o.f.e.state), o.f.chunks);
    restart(&o);
    cr_assert_eq(slr_state_chunks_free(o.f.e.state), o.f.chunks);
    cr_assert_eq(atomic_load(&o.f.e.state->leg[o.slot].state), (uint32_t)SLR_LEG_FREE);
    fx_close(&o.f);
}

/* Something stands in the way: it is tried again, and told once it is done. */
Test(sealer, tries_again)
{
    struct one o;
    char day[SLR_REC_NAME_SIZE];
    begin(&o);
    slr_log_init("test", SLR_LOG_ERROR + 1);
    slr_recfile_name_day(o.id, day);
    int fd = openat(o.f.e.rec_fd, day, O_CREAT | O_WRONLY, 0600); /* a file, no folder */
    cr_assert_geq(fd, 0);
    close(fd);
    cr_assert_eq(slr_sealer_step(&o.f.e.sealer), 1u);
    cr_assert_eq(slr_sealer_step(&o.f.e.sealer), 1u);
    cr_assert_eq(events(&o, "sealed"), 0u);
    cr_assert_eq(unlinkat(o.f.e.rec_fd, day, 0), 0);
    cr_assert_eq(slr_sealer_step(&o.f.e.sealer), 0u);
    check(&o);
    fx_close(&o.f);
}

/* The working file with the spans was removed under the engine: the sound is published all the
 * same, as partial, and what is not known of it is called so. */
Test(sealer, spans_that_are_gone)
{
    struct one o;
    char name[SLR_REC_NAME_SIZE];
    begin(&o);
    slr_recfile_name_spans(o.id, name);
    cr_assert_eq(unlinkat(o.f.e.rec_fd, name, 0), 0);
    slr_recfile_close(&o.f.e.file[o.s - o.f.e.state->session]);
    cr_assert_eq(slr_sealer_step(&o.f.e.sealer), 0u);
    cr_assert_eq(events(&o, "sealed"), 1u);
    fx_result(&o.f, o.id, &o.r);
    cr_assert_str_eq(json_string_value(json_object_get(o.r.ledger, "state")), "partial");
    fx_assert_audio(&o.r, 0, 0, 77 * 160, SSRC, 0);
    fx_assert_spans(&o.r, 0, "lost-disk 0+4000 (0)");
    fx_result_free(&o.r);
    fx_close(&o.f);
}

/* A death while the core replaced it left half of it. */
Test(sealer, half_written_meta)
{
    struct one o;
    begin(&o);
    snprintf(o.s->meta_near, sizeof o.s->meta_near, "{\"caller\":\"12");
    seal(&o);
    check(&o);
    fx_close(&o.f);
}

Test(sealer, reasons_give_states)
{
    static const char *const reason[] = {"orphan", "reboot", "stop"};
    static const char *const state[] = {"orphan", "partial", "sealed"};
    for (size_t i = 0; i < 3; i++) {
        struct one o;
        begin(&o);
        snprintf(o.s->end_reason, sizeof o.s->end_reason, "%s", reason[i]);
        seal(&o);
        json_t *ev = last_event(&o);
        cr_assert_str_eq(json_string_value(json_object_get(ev, "state")), state[i]);
        fx_close(&o.f);
    }
}

Test(sealer, deletes)
{
    struct one o;
    char name[SLR_REC_NAME_SIZE];
    json_t *removed = NULL;
    struct stat st;
    begin(&o);
    cr_assert_eq(slr_engine_recording_delete(&o.f.e, o.id, &removed), SLR_BUSY);
    seal(&o);
    check(&o);
    cr_assert_eq(slr_engine_recording_delete(&o.f.e, o.id, &removed), SLR_OK);
    json_decref(removed);
    cr_assert_eq(slr_sealer_step(&o.f.e.sealer), 0u);
    slr_recfile_name_final(o.id, ".wav", name);
    cr_assert_neq(fstatat(o.f.e.rec_fd, name, &st, 0), 0);
    slr_recfile_name_final(o.id, ".json", name);
    cr_assert_neq(fstatat(o.f.e.rec_fd, name, &st, 0), 0);
    cr_assert_eq(events(&o, "deleted"), 1u);
    cr_assert_eq(slr_engine_recording_delete(&o.f.e, "../../etc/passwd", &removed), SLR_INVAL);
    fx_close(&o.f);
}
