/*
 * Spill: a recording whose volume stands still goes on on the second one and is brought home when
 * it is over, and not a byte tells of it. Deaths in between.
 */
#include "engine/engine_priv.h"
#include "engine/spill.h"
#include "tests/engine/outcome.h"

#define A 0xaaaa0001u

/* The second volume, and the twin of the fixture's writer on it. */
struct spilled {
    struct fx f;
    struct slr_session *s;
    uint32_t slot;
    char id[SLR_ID_SIZE];
    struct slr_writer twin;
    struct slr_recfile file[16];
    _Atomic uint8_t home[16], held[16];
    _Atomic bool give_up;
    _Atomic uint64_t dirty;
    int fd;
};

/* As often as a process begins. */
static void boot(struct spilled *t)
{
    struct slr_writer *w = &t->f.writer;
    w->home = t->home;
    w->held = t->held;
    w->give_up = &t->give_up;
    t->twin = (struct slr_writer){.state = w->state,
                                  .codecs = w->codecs,
                                  .active = w->active,
                                  .file = t->file,
                                  .to_sealer = w->to_sealer,
                                  .clock = w->clock,
                                  .rec_fd = t->fd,
                                  .count = 1,
                                  .window_ticks = w->window_ticks,
                                  .block_ticks = w->block_ticks,
                                  .open_max = 100,
                                  .dirty_bytes = &t->dirty,
                                  .home = t->home,
                                  .held = t->held,
                                  .give_up = &t->give_up,
                                  .first = w,
                                  .watch = w->watch};
    cr_assert_eq(slr_writer_init(&t->twin), SLR_OK);
    t->f.e.sealer.spill_fd = t->fd;
    t->f.e.sealer.home = t->home;
    t->f.e.has_spill = true;
    t->f.e.spill_fd = t->fd;
    t->f.e.home = t->home;
}

static void begin(struct spilled *t)
{
    char path[128];
    memset(t, 0, sizeof *t);
    fx_open(&t->f);
    snprintf(path, sizeof path, "%s/second", t->f.root);
    cr_assert_eq(mkdir(path, 0700), 0);
    t->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert_geq(t->fd, 0);
    cr_assert_eq(mkdirat(t->fd, "open", 0700), 0);
    boot(t);
    t->s = fx_session(&t->f, 1);
    t->slot = fx_leg(&t->f, t->s, 0, 8);
    memcpy(t->id, t->s->id, sizeof t->id);
}

static void close_twin(struct spilled *t)
{
    for (uint32_t i = 0; i < 16; i++) {
        slr_recfile_close(&t->file[i]);
    }
    slr_writer_fini(&t->twin);
}

static void done(struct spilled *t)
{
    close_twin(t);
    t->f.e.has_spill = false; /* the fixture has but one writer */
    fx_close(&t->f);
    close(t->fd);
}

static void twin_write(struct spilled *t, int64_t at_ms)
{
    fx_clock(&t->f, at_ms);
    cr_assert_eq(slr_writer_step(&t->twin, fx_time(at_ms * SLR_NS_PER_MS)), 0u);
}

static bool is_there(const struct spilled *t, const char *suffix)
{
    char name[SLR_REC_NAME_SIZE];
    struct stat st;
    snprintf(name, sizeof name, "open/%s%s", t->id, suffix);
    return fstatat(t->fd, name, &st, 0) == 0;
}

/* Ends, is sealed, and is whole; nothing is left on the second volume. */
static void end(struct spilled *t, int64_t at_ms, uint32_t packets)
{
    struct fx_result r;
    fx_clock(&t->f, at_ms);
    cr_assert_eq(slr_engine_session_end(&t->f.e, t->s, "bye", INT64_MIN), SLR_OK);
    fx_write(&t->f, at_ms);
    twin_write(t, at_ms);
    cr_assert_eq(slr_sealer_step(&t->f.e.sealer), 0u);
    cr_assert_eq(atomic_load(&t->s->state), (uint32_t)SLR_SESSION_FREE);
    fx_result(&t->f, t->id, &r);
    cr_assert_eq(r.wav.frames, packets * 160u);
    fx_assert_audio(&r, 0, 0, packets * 160, A, 0);
    char want[64];
    snprintf(want, sizeof want, "received 0+%u", packets * 20);
    fx_assert_spans(&r, 0, want);
    cr_assert_str_eq(json_string_value(json_object_get(r.ledger, "state")), "sealed");
    fx_result_free(&r);
    cr_assert(!is_there(t, ".wav") && !is_there(t, ".spans") && !is_there(t, ".from"));
}

Test(spill, a_running_recording_goes_on_there_and_comes_home)
{
    struct spilled t;
    begin(&t);
    fx_stream(&t.f, t.slot, 0, A, 0, 150);
    fx_write(&t.f, 3000);
    uint64_t before = slr_session_commit(t.s)->frames;
    cr_assert_gt(before, 8000u);
    twin_write(&t, 3000); /* not asked for */
    cr_assert_eq(t.home[t.s - t.f.e.state->session], 0);
    atomic_store(&t.give_up, true);
    fx_stream(&t.f, t.slot, 3000, A, 150, 300);
    twin_write(&t, 6000);
    cr_assert_eq(t.home[t.s - t.f.e.state->session], 1);
    cr_assert_gt(slr_session_commit(t.s)->frames, before);
    cr_assert(is_there(&t, ".wav") && is_there(&t, ".from"));
    atomic_store(&t.give_up, false); /* it stays there all the same */
    fx_stream(&t.f, t.slot, 6000, A, 300, 400);
    fx_write(&t.f, 8000);
    uint64_t there = slr_session_commit(t.s)->frames;
    twin_write(&t, 8000);
    cr_assert_gt(slr_session_commit(t.s)->frames, there);
    end(&t, 8000, 400);
    done(&t);
}

Test(spill, one_that_begins_meanwhile)
{
    struct spilled t;
    begin(&t);
    atomic_store(&t.give_up, true);
    fx_stream(&t.f, t.slot, 0, A, 0, 100);
    fx_write(&t.f, 2000);
    cr_assert_eq(slr_session_commit(t.s)->frames, 0u);
    twin_write(&t, 2000);
    fx_write(&t.f, 2000);
    cr_assert(slr_session_commit(t.s)->frames > 0 && is_there(&t, ".from"));
    atomic_store(&t.give_up, false);
    end(&t, 2000, 100);
    done(&t);
}

Test(spill, what_the_other_writer_is_at_is_left_to_it)
{
    struct spilled t;
    begin(&t);
    fx_stream(&t.f, t.slot, 0, A, 0, 150);
    uint32_t session = (uint32_t)(t.s - t.f.e.state->session);
    atomic_store(&t.held[session], 1); /* its write does not come back */
    atomic_store(&t.give_up, true);
    twin_write(&t, 3000);
    cr_assert(t.home[session] == 0 && slr_session_commit(t.s)->frames == 0);
    atomic_store(&t.held[session], 0);
    twin_write(&t, 3000);
    cr_assert(t.home[session] == 1 && slr_session_commit(t.s)->frames > 0);
    end(&t, 3000, 150);
    done(&t);
}

Test(spill, the_process_dies_meanwhile)
{
    struct spilled t;
    begin(&t);
    fx_stream(&t.f, t.slot, 0, A, 0, 150);
    fx_write(&t.f, 3000);
    atomic_store(&t.give_up, true);
    fx_stream(&t.f, t.slot, 3000, A, 150, 200);
    twin_write(&t, 4000);
    close_twin(&t);
    memset((void *)t.home, 0, sizeof t.home);
    fx_die(&t.f);
    fx_boot(&t.f);
    memset(t.file, 0, sizeof t.file);
    boot(&t);
    slr_engine_spill_restore(&t.f.e);
    t.s = slr_engine_session_find(&t.f.e, t.id);
    cr_assert_not_null(t.s);
    cr_assert_eq(t.home[t.s - t.f.e.state->session], 1);
    atomic_store(&t.give_up, false);
    fx_stream(&t.f, t.slot, 4000, A, 200, 250);
    end(&t, 5000, 250);
    done(&t);
}

/* Between any two steps of bringing it home: they are done again. */
Test(spill, home_twice_is_home)
{
    struct spilled t;
    char name[SLR_REC_NAME_SIZE], text[2][64] = {{0}};
    begin(&t);
    fx_stream(&t.f, t.slot, 0, A, 0, 150);
    fx_write(&t.f, 3000);
    atomic_store(&t.give_up, true);
    fx_stream(&t.f, t.slot, 3000, A, 150, 200);
    twin_write(&t, 4000);
    snprintf(name, sizeof name, "open/%s.from", t.id);
    int fd = openat(t.fd, name, O_RDONLY);
    cr_assert_gt(read(fd, text[0], sizeof text[0] - 1), 0);
    close(fd);
    fx_write(&t.f, 4000); /* closes what it had open */
    cr_assert_eq(slr_spill_bring_home(t.f.e.rec_fd, t.fd, t.s), SLR_OK);
    cr_assert(!is_there(&t, ".wav") && !is_there(&t, ".from"));
    fd = openat(t.fd, name, O_WRONLY | O_CREAT, 0600); /* it died before this was removed */
    cr_assert_eq(write(fd, text[0], strlen(text[0])), (ssize_t)strlen(text[0]));
    close(fd);
    cr_assert_eq(slr_spill_bring_home(t.f.e.rec_fd, t.fd, t.s), SLR_OK);
    cr_assert_not(is_there(&t, ".from"));
    t.home[t.s - t.f.e.state->session] = 0;
    atomic_store(&t.give_up, false);
    fx_stream(&t.f, t.slot, 4000, A, 200, 250);
    end(&t, 5000, 250);
    done(&t);
}

/* The host lost its memory: files without a session. */
Test(spill, files_that_nobody_knows_come_home)
{
    struct spilled t;
    char name[SLR_REC_NAME_SIZE];
    struct stat st;
    begin(&t);
    fx_stream(&t.f, t.slot, 0, A, 0, 150);
    fx_write(&t.f, 3000);
    atomic_store(&t.give_up, true);
    fx_stream(&t.f, t.slot, 3000, A, 150, 200);
    twin_write(&t, 4000);
    uint64_t frames = slr_session_commit(t.s)->frames;
    atomic_store(&t.s->state, SLR_SESSION_FREE);
    slr_engine_spill_restore(&t.f.e);
    cr_assert(!is_there(&t, ".wav") && !is_there(&t, ".from"));
    slr_recfile_name_open(t.id, name);
    cr_assert_eq(fstatat(t.f.e.rec_fd, name, &st, 0), 0);
    cr_assert_gt((uint64_t)st.st_size, frames);
    done(&t);
}

Test(spill, a_volume_that_takes_data_again)
{
    struct spilled t;
    begin(&t);
    cr_assert_eq(slr_spill_probe(t.fd), SLR_OK);
    cr_assert_eq(unlinkat(t.fd, "open", AT_REMOVEDIR), 0);
    cr_assert_neq(slr_spill_probe(t.fd), SLR_OK);
    cr_assert_eq(mkdirat(t.fd, "open", 0700), 0);
    done(&t);
}

/* A second volume that takes nothing keeps nothing: what the first can write again, it writes. */
Test(spill, a_second_volume_that_takes_nothing)
{
    struct spilled t;
    begin(&t);
    uint32_t session = (uint32_t)(t.s - t.f.e.state->session);
    fx_stream(&t.f, t.slot, 0, A, 0, 150);
    cr_assert_eq(unlinkat(t.fd, "open", AT_REMOVEDIR), 0);
    atomic_store(&t.give_up, true);
    fx_clock(&t.f, 3000);
    cr_assert_gt(slr_writer_step(&t.twin, fx_time(3000 * SLR_NS_PER_MS)), 0u);
    cr_assert(t.home[session] == 0 && atomic_load(&t.twin.failing_since_ns) != 0);
    atomic_store(&t.give_up, false);
    fx_write(&t.f, 3000);
    cr_assert_gt(slr_session_commit(t.s)->frames, 0u);
    cr_assert_eq(mkdirat(t.fd, "open", 0700), 0);
    twin_write(&t, 3000); /* and it says that it is well again, for the next time */
    cr_assert_eq(atomic_load(&t.twin.failing_since_ns), 0);
    end(&t, 3000, 150);
    done(&t);
}

/* A slot that somebody else has by now is not sealed, whoever asks. */
Test(spill, what_is_not_to_be_sealed_is_not)
{
    struct spilled t;
    begin(&t);
    fx_stream(&t.f, t.slot, 0, A, 0, 150);
    fx_write(&t.f, 3000);
    uintptr_t session = (uintptr_t)(t.s - t.f.e.state->session);
    cr_assert(slr_ring_put(t.f.writer.to_sealer, (void *)(session + 1)));
    cr_assert_eq(slr_sealer_step(&t.f.e.sealer), 0u);
    cr_assert_eq(atomic_load(&t.s->state), (uint32_t)SLR_SESSION_OPEN);
    end(&t, 3000, 150);
    done(&t);
}

/* Its writer had nothing to write any more, and says by a probe when the volume is well. */
Test(spill, the_writer_that_was_given_up_probes)
{
    struct spilled t;
    begin(&t);
    atomic_store(&t.f.writer.failing_since_ns, 1);
    fx_write(&t.f, 1000);
    cr_assert_eq(atomic_load(&t.f.writer.failing_since_ns), 1);
    atomic_store(&t.give_up, true);
    fx_write(&t.f, 2000);
    cr_assert_eq(atomic_load(&t.f.writer.failing_since_ns), 0);
    done(&t);
}

/* Started without its second volume, the engine has silence for what is there, and all of what is
 * at home. */
Test(spill, without_the_second_volume_what_is_at_home_stays)
{
    struct spilled t;
    struct fx_result r;
    begin(&t);
    fx_stream(&t.f, t.slot, 0, A, 0, 150);
    fx_write(&t.f, 3000);
    int64_t at_home = (int64_t)slr_session_commit(t.s)->frames;
    atomic_store(&t.give_up, true);
    fx_stream(&t.f, t.slot, 3000, A, 150, 300);
    twin_write(&t, 6000);
    int64_t there = (int64_t)slr_session_commit(t.s)->frames;
    close_twin(&t);
    fx_die(&t.f);
    t.f.e.has_spill = false;
    fx_boot(&t.f);
    t.s = slr_engine_session_find(&t.f.e, t.id);
    fx_end(&t.f, t.s, 6000);
    fx_result(&t.f, t.id, &r);
    fx_assert_audio(&r, 0, 0, at_home, A, 0);
    fx_assert_silence(&r, 0, at_home, there - at_home);
    fx_assert_audio(&r, 0, there, 48000 - there, A, there);
    cr_assert_str_eq(json_string_value(json_object_get(r.ledger, "state")), "partial");
    fx_result_free(&r);
    fx_close(&t.f);
    close(t.fd);
}
