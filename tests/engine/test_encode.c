/*
 * encode: what the sealer gets for an answer, and what it does then. Without threads: the line and
 * the queue are looked at, not worked off (tests/e2e/test_encode.py does that).
 */
#include "engine/encode.h"

#include "tests/engine/outcome.h"

struct rig {
    struct fx f;
    struct slr_encode encode;
    struct slr_session *s;
    char id[SLR_ID_SIZE];
};

/* An ended session of 1 s that is to become Opus, and encoders that do not run. */
static void begin(struct rig *r, bool room)
{
    fx_open(&r->f);
    r->s = fx_session(&r->f, 1);
    r->s->output = (struct slr_output){.format = SLR_FORMAT_OPUS};
    uint32_t slot = fx_leg(&r->f, r->s, 0, 8);
    memcpy(r->id, r->s->id, sizeof r->id);
    fx_stream(&r->f, slot, 0, 7, 0, 50);
    fx_write(&r->f, 1000);
    cr_assert_eq(slr_engine_session_end(&r->f.e, r->s, "bye", INT64_MIN), SLR_OK);
    fx_write(&r->f, 1000);
    cr_assert_eq(atomic_load(&r->s->state), (uint32_t)SLR_SESSION_SEALING);
    memset(&r->encode, 0, sizeof r->encode);
    pthread_mutex_init(&r->encode.lock, NULL);
    r->encode.state = r->f.e.state;
    r->encode.sealer = &r->f.e.sealer;
    r->encode.pool.count = 1;
    r->encode.pool.slot = calloc(1, sizeof *r->encode.pool.slot);
    atomic_store(&r->encode.room, room);
    r->f.e.sealer.encode = &r->encode;
}

static void end(struct rig *r)
{
    free(r->encode.pool.slot);
    slr_encode_queue_fini(&r->encode.queue);
    pthread_mutex_destroy(&r->encode.lock);
    r->f.e.sealer.encode = NULL;
    fx_close(&r->f);
}

static bool is_there(const struct rig *r, const char *name)
{
    struct stat st;
    return fstatat(r->f.e.rec_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool is_sealed_as_wav(const struct rig *r)
{
    char name[SLR_REC_NAME_SIZE];
    slr_recfile_name_encode(r->id, name);
    return is_there(r, name) && atomic_load(&r->s->state) == SLR_SESSION_FREE;
}

Test(encode, under_load_the_sealer_goes_on_by_itself)
{
    struct rig r;
    begin(&r, false);
    cr_assert_eq(slr_sealer_step(&r.f.e.sealer), 0u);
    cr_assert(is_sealed_as_wav(&r));
    cr_assert_eq(r.encode.queue.count, 1u);
    cr_assert_str_eq(r.encode.queue.at[0].id, r.id);
    cr_assert_eq(r.encode.queue.at[0].len_ms, 1000);
    cr_assert_eq(slr_count_get(&r.encode.counters.at[SLR_CTR_ENCODE_PUT_OFF]), 1u);
    end(&r);
}

Test(encode, with_room_the_session_is_handed_over)
{
    struct rig r;
    begin(&r, true);
    cr_assert_eq(slr_sealer_step(&r.f.e.sealer), 0u);
    cr_assert_eq(atomic_load(&r.s->state), (uint32_t)SLR_SESSION_SEALING);
    cr_assert_eq(r.encode.line_count, 1u);
    cr_assert_eq(r.encode.line[0].session, 0u);
    cr_assert_eq(slr_sealer_step(&r.f.e.sealer), 0u, "it is not the sealer's any more");
    cr_assert_eq(r.encode.line_count, 1u);
    /* it comes back: WAV, whatever room there is by then */
    r.encode.line_count = 0;
    slr_sealer_put_off(&r.f.e.sealer, 0);
    cr_assert_eq(slr_sealer_step(&r.f.e.sealer), 0u);
    cr_assert(is_sealed_as_wav(&r));
    cr_assert_eq(r.encode.line_count, 0u);
    cr_assert_eq(r.encode.queue.count, 1u);
    /* and the slot's next session is asked for anew */
    cr_assert_eq(atomic_load(&r.f.e.sealer.put_off[0]), 0);
    end(&r);
}

Test(encode, plain_wav_never_waits_for_encoders)
{
    struct rig r;
    char name[SLR_REC_NAME_SIZE];
    begin(&r, true);
    r.s->output = (struct slr_output){.format = SLR_FORMAT_WAV};
    cr_assert_eq(slr_sealer_step(&r.f.e.sealer), 0u);
    slr_recfile_name_final(r.id, ".wav", name);
    cr_assert(is_there(&r, name));
    cr_assert_eq(r.encode.line_count + r.encode.queue.count, 0u);
    end(&r);
}

Test(encode, the_line_is_short)
{
    struct rig r;
    begin(&r, true);
    for (uint32_t i = 0; i < SLR_ENCODE_LINE; i++) {
        cr_assert(slr_encode_offer(&r.encode, i));
    }
    cr_assert_not(slr_encode_offer(&r.encode, 9));
    end(&r);
}

/* Who came first is encoded first. */
Test(encode, nobody_passes_the_backlog)
{
    struct rig r;
    begin(&r, true);
    slr_encode_put(&r.encode, r.id, 1000);
    cr_assert_not(slr_encode_offer(&r.encode, 0));
    r.encode.queue.at[0].running = true;
    cr_assert(slr_encode_offer(&r.encode, 0), "none waits");
    r.encode.queue.at[0].running = false;
    r.encode.queue.at[0].not_before_ns = INT64_MAX;
    cr_assert(slr_encode_offer(&r.encode, 0), "one that failed stands in nobody's way");
    end(&r);
}

Test(encode, nothing_is_taken_at_the_end)
{
    struct rig r;
    begin(&r, true);
    atomic_store(&r.encode.stop, true);
    cr_assert_not(slr_encode_offer(&r.encode, 0));
    end(&r);
}

/* What is being encoded is deleted when that is over, and not tried again. */
Test(encode, deletion_waits_for_what_is_being_made)
{
    struct rig r;
    begin(&r, false);
    cr_assert_eq(slr_sealer_step(&r.f.e.sealer), 0u);
    r.encode.queue.at[0].running = true;
    cr_assert_eq(slr_sealer_delete(&r.f.e.sealer, r.id), SLR_OK);
    cr_assert_eq(slr_sealer_step(&r.f.e.sealer), 0u);
    cr_assert(is_sealed_as_wav(&r));
    cr_assert_eq(slr_encode_cancel(&r.encode, r.id), SLR_BUSY);
    slr_encode_queue_back(&r.encode.queue, r.id);
    cr_assert_eq(r.encode.queue.count, 0u);
    cr_assert_eq(slr_sealer_step(&r.f.e.sealer), 0u);
    cr_assert_not(is_sealed_as_wav(&r));
    end(&r);
}
