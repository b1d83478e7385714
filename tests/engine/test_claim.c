/*
 * Claim: what comes between the making of a block and its commit, while the disk takes its time,
 * and what slips in between the claim and the making (missed.h).
 * What happens then happens in the sink's write, on the same thread.
 */
#include "tests/engine/outcome.h"

#define A 0xaaaa0001u
/* The packet that the network kept: 2400 ms to 2420 ms, in the block that is written at 3500. */
#define KEPT 120u
#define KEPT_MS 2400

struct one {
    struct fx f;
    struct slr_session *s;
    struct slr_leg_run *run;
    uint32_t slot;
    char id[SLR_ID_SIZE];
    struct fx_result r;
    /* once, in the write of a block that has the packet's place */
    enum slr_err (*meanwhile)(struct one *o);
    int64_t now_ms, claimed_ticks;
    uint32_t happened;
};

static struct one *current; /* a sink has no context */

static enum slr_err write_at(struct slr_sink *s, uint64_t offset_bytes, const void *at, size_t len)
{
    struct one *o = current;
    if (o->happened == 0 && o->now_ms >= KEPT_MS + 1020 &&
        slr_session_written_ticks(o->s) <= KEPT_MS * FX_MS) {
        o->happened++;
        enum slr_err err = o->meanwhile(o);
        if (err != SLR_OK) {
            return err;
        }
    }
    return slr_sink_posix_ops.write_at(s, offset_bytes, at, len);
}

static struct slr_sink_ops ops;

/* The disk's turn: whatever file is open by then is the test's. */
static uint32_t disk(struct one *o, int64_t at_ms)
{
    struct slr_recfile *file = &o->f.e.file[o->s - o->f.e.state->session];
    if (file->is_open) {
        file->media.base.ops = &ops;
    }
    o->now_ms = at_ms;
    fx_clock(&o->f, at_ms);
    return slr_writer_step(&o->f.writer, fx_time(at_ms * SLR_NS_PER_MS));
}

static void begin(struct one *o, enum slr_err (*meanwhile)(struct one *o))
{
    memset(o, 0, sizeof *o);
    ops = slr_sink_posix_ops;
    ops.write_at = write_at;
    current = o;
    o->meanwhile = meanwhile;
    fx_open(&o->f);
    o->s = fx_session(&o->f, 1);
    o->slot = fx_leg(&o->f, o->s, 0, 8);
    o->run = &o->f.e.state->run[o->slot];
    memcpy(o->id, o->s->id, sizeof o->id);
}

/* Packets [from, to) but the one that is kept, each followed by the disk. */
static void talk(struct one *o, uint32_t from, uint32_t to)
{
    for (uint32_t k = from; k < to; k++) {
        struct fx_packet p = fx_audio(A, k, 100, 5000);
        if (k != KEPT) {
            cr_assert_eq(fx_rtp(&o->f, o->slot, k * 20, p), SLR_VERDICT_TAKEN, "packet %u", k);
        }
        cr_assert_eq(disk(o, k * 20), 0u);
    }
}

static enum slr_verdict it_comes(struct one *o)
{
    return fx_rtp(&o->f, o->slot, o->now_ms, fx_audio(A, KEPT, 100, 5000));
}

static void end(struct one *o, int64_t at_ms)
{
    fx_end(&o->f, o->s, at_ms);
    fx_result(&o->f, o->id, &o->r);
}

static void done(struct one *o)
{
    fx_result_free(&o->r);
    fx_close(&o->f);
}

/* Not in the file, and told: counted, listed, and silent in the spans. */
static void assert_late(struct one *o, int64_t packets)
{
    json_t *span = json_array_get(json_object_get(fx_leg_json(&o->r, 0), "spans"), 1);
    cr_assert_eq(o->happened, 1u);
    cr_assert_eq(fx_stream_count(&o->r, 0, 0, "packets"), packets);
    cr_assert_eq(fx_stream_count(&o->r, 0, 0, "placed"), packets - 1);
    cr_assert_eq(fx_stream_count(&o->r, 0, 0, "late"), 1);
    cr_assert_eq(json_integer_value(json_object_get(span, "start_ticks")), KEPT_MS * FX_MS);
    cr_assert_eq(json_integer_value(json_object_get(span, "len_ticks")), 20 * FX_MS);
    cr_assert_eq(json_integer_value(json_object_get(span, "late")), 1);
    fx_assert_silence(&o->r, 0, KEPT * 160, 160);
    fx_assert_audio(&o->r, 0, KEPT * 160 + 160, 160, A, KEPT * 160 + 160);
}

static void assert_whole(struct one *o, int64_t packets)
{
    cr_assert_eq(o->happened, 1u);
    cr_assert_eq(fx_stream_count(&o->r, 0, 0, "placed"), packets);
    cr_assert_eq(fx_stream_count(&o->r, 0, 0, "late"), 0);
    fx_assert_audio(&o->r, 0, 0, packets * 160, A, 0);
}

static enum slr_err late_comer(struct one *o)
{
    cr_assert_eq(it_comes(o), SLR_VERDICT_LATE);
    return SLR_OK;
}

Test(claim, what_comes_while_its_block_is_written_is_late)
{
    struct one o;
    begin(&o, late_comer);
    talk(&o, 0, 300);
    end(&o, 6000);
    assert_late(&o, 300);
    cr_assert_eq(fx_counted(&o.f, SLR_CTR_MISSED), 0u); /* the worker knew */
    done(&o);
}

/* The worker had asked what is late just before the writer began. */
static int64_t unclaim(struct one *o)
{
    int64_t claimed = atomic_load(&o->run->claimed_ticks);
    cr_assert_gt(claimed, slr_session_written_ticks(o->s));
    atomic_store(&o->run->claimed_ticks, slr_session_written_ticks(o->s));
    return claimed;
}

/* ... and was slow to queue. */
static enum slr_err queued_late(struct one *o)
{
    int64_t claimed = unclaim(o);
    cr_assert_eq(it_comes(o), SLR_VERDICT_TAKEN);
    atomic_store(&o->run->claimed_ticks, claimed);
    return SLR_OK;
}

Test(claim, what_was_queued_when_the_writer_had_looked_is_late)
{
    struct one o;
    begin(&o, queued_late);
    talk(&o, 0, 210);
    cr_assert_eq(fx_counted(&o.f, SLR_CTR_MISSED), 1u); /* when it looked again */
    talk(&o, 210, 300);
    end(&o, 6000);
    assert_late(&o, 300);
    cr_assert_eq(fx_counted(&o.f, SLR_CTR_MISSED), 1u);
    done(&o);
}

Test(claim, what_was_queued_then_is_told_at_the_end_at_the_latest)
{
    struct one o;
    begin(&o, queued_late);
    talk(&o, 0, 177);
    cr_assert_eq(o.happened, 1u);
    cr_assert_eq(fx_counted(&o.f, SLR_CTR_MISSED), 0u);
    end(&o, 3540);
    cr_assert_eq(fx_counted(&o.f, SLR_CTR_MISSED), 1u);
    assert_late(&o, 177);
    done(&o);
}

/* What was dialled then counts; in the file it is nowhere. */
static enum slr_err pressed_late(struct one *o)
{
    int64_t claimed = unclaim(o);
    struct fx_packet p = fx_event(A, 100 + KEPT, 5000 + KEPT * 160, 5, 160, true);
    cr_assert_eq(fx_rtp(&o->f, o->slot, o->now_ms, p), SLR_VERDICT_EVENT);
    atomic_store(&o->run->claimed_ticks, claimed);
    return SLR_OK;
}

Test(claim, an_event_that_was_queued_then_is_late)
{
    struct one o;
    begin(&o, pressed_late);
    talk(&o, 0, 300);
    end(&o, 6000);
    assert_late(&o, 300);
    json_t *digits = json_object_get(o.r.ledger, "digits");
    cr_assert_eq(json_integer_value(json_object_get(digits, "count")), 1);
    done(&o);
}

static void dies(struct one *o)
{
    fx_die(&o->f);
    fx_boot(&o->f);
    o->s = slr_engine_session_find(&o->f.e, o->id);
    o->run = &o->f.e.state->run[o->slot];
}

/* Neither the one that had it in its queue nor the one that told it lives on. */
Test(claim, deaths_neither_forget_it_nor_tell_it_twice)
{
    struct one o;
    begin(&o, queued_late);
    talk(&o, 0, 177);
    cr_assert_eq(o.happened, 1u);
    dies(&o);
    cr_assert_eq(fx_rtp(&o.f, o.slot, 3560, fx_audio(A, 177, 100, 5000)), SLR_VERDICT_TAKEN);
    cr_assert_eq(disk(&o, 4100), 0u);
    cr_assert_eq(fx_counted(&o.f, SLR_CTR_MISSED), 1u);
    dies(&o);
    cr_assert_eq(disk(&o, 4700), 0u);
    cr_assert_eq(fx_counted(&o.f, SLR_CTR_MISSED), 0u);
    end(&o, 4700);
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "late"), 1);
    cr_assert_eq(fx_stream_count(&o.r, 0, 0, "placed"), 177);
    done(&o);
}

/* The writer had looked, but the block is made again. */
static enum slr_err queued_and_refused(struct one *o)
{
    (void)queued_late(o);
    return SLR_IO;
}

Test(claim, what_was_queued_while_a_disk_refused_is_in_the_next_try)
{
    struct one o;
    begin(&o, queued_and_refused);
    slr_log_init("test", SLR_LOG_ERROR + 1);
    talk(&o, 0, 175);
    cr_assert_eq(fx_rtp(&o.f, o.slot, 3500, fx_audio(A, 175, 100, 5000)), SLR_VERDICT_TAKEN);
    cr_assert_eq(disk(&o, 3500), 1u);
    end(&o, 3720);
    assert_whole(&o, 176);
    done(&o);
}

#define B 0xbbbb0002u

/* Another SSRC takes over at KEPT; its numbers leap, so nobody believes it before the third of
 * `from`. */
static enum slr_verdict leaps(struct one *o, uint32_t k, uint32_t from)
{
    struct fx_packet p = fx_audio(B, k, 0, 0);
    p.seq = (uint16_t)(k < from ? 40 * k : 40 * from + k - from);
    return fx_rtp(&o->f, o->slot, KEPT_MS + 20 * (int64_t)k, p);
}

static enum slr_err believed_late(struct one *o)
{
    int64_t claimed = unclaim(o);
    for (uint32_t k = 75; k < 80; k++) {
        (void)fx_kept(leaps(o, k, 76));
    }
    cr_assert_eq(o->f.e.state->leg[o->slot].current, 1u);
    atomic_store(&o->run->claimed_ticks, claimed);
    return SLR_OK;
}

/* The writer left out what was not believed, and the worker believed it before the claim. */
Test(claim, what_was_believed_when_the_writer_had_looked_is_late)
{
    struct one o;
    begin(&o, believed_late);
    talk(&o, 0, KEPT);
    for (uint32_t k = 0; k < 75; k++) {
        cr_assert_eq(leaps(&o, k, 76), SLR_VERDICT_PROBATION);
        cr_assert_eq(disk(&o, KEPT_MS + 20 * (int64_t)k), 0u);
    }
    cr_assert_eq(disk(&o, 3900), 0u);
    cr_assert_eq(o.happened, 1u);
    int64_t late = (slr_session_written_ticks(o.s) / FX_MS - KEPT_MS) / 20;
    end(&o, 4000);
    cr_assert_gt(late, 0);
    cr_assert_eq(fx_stream_count(&o.r, 0, 1, "late"), late);
    cr_assert_eq(fx_stream_count(&o.r, 0, 1, "placed"), 80 - late);
    fx_assert_silence(&o.r, 0, KEPT * 160, late * 160);
    fx_assert_audio(&o.r, 0, KEPT * 160 + late * 160, (80 - late) * 160, B, late * 160);
    done(&o);
}

static enum slr_err refuse(struct one *o)
{
    o->claimed_ticks = atomic_load(&o->run->claimed_ticks);
    cr_assert_geq(o->claimed_ticks, (KEPT_MS + 20) * FX_MS);
    return SLR_IO;
}

/* The block is made again, so what comes before that is not late. */
Test(claim, a_disk_that_refuses_takes_nothing)
{
    struct one o;
    begin(&o, refuse);
    slr_log_init("test", SLR_LOG_ERROR + 1);
    talk(&o, 0, 175);
    cr_assert_eq(fx_rtp(&o.f, o.slot, 3500, fx_audio(A, 175, 100, 5000)), SLR_VERDICT_TAKEN);
    cr_assert_eq(disk(&o, 3500), 1u);
    cr_assert_eq(it_comes(&o), SLR_VERDICT_TAKEN);
    end(&o, 3720);
    assert_whole(&o, 176);
    done(&o);
}

/* A death in the write: the block was claimed, and is not committed. */
Test(claim, what_a_dead_process_claimed_is_free_again)
{
    struct one o;
    begin(&o, refuse);
    slr_log_init("test", SLR_LOG_ERROR + 1);
    talk(&o, 0, 175);
    cr_assert_eq(fx_rtp(&o.f, o.slot, 3500, fx_audio(A, 175, 100, 5000)), SLR_VERDICT_TAKEN);
    cr_assert_eq(disk(&o, 3500), 1u);
    atomic_store(&o.run->claimed_ticks, o.claimed_ticks);
    dies(&o);
    cr_assert_eq(atomic_load(&o.run->claimed_ticks), slr_session_written_ticks(o.s));
    cr_assert_eq(it_comes(&o), SLR_VERDICT_TAKEN);
    end(&o, 3520);
    assert_whole(&o, 176);
    done(&o);
}

/* A leg that has no channel in the file is not rendered at all. */
Test(claim, what_no_channel_has_is_told)
{
    struct one o;
    begin(&o, late_comer);
    slr_log_init("test", SLR_LOG_ERROR + 1);
    talk(&o, 0, 100);
    cr_assert_gt(slr_session_written_ticks(o.s), 0);
    uint32_t other = fx_leg(&o.f, o.s, 1, 8);
    fx_stream(&o.f, other, 2000, B, 0, 10);
    end(&o, 2200);
    cr_assert_eq(fx_stream_count(&o.r, 1, 0, "placed"), 0);
    cr_assert_eq(fx_stream_count(&o.r, 1, 0, "late"), 10);
    done(&o);
}

/* The worker stood still and has packets in its sockets: nothing is claimed of when they came. */
Test(claim, a_worker_that_stands_still_is_waited_for)
{
    struct one o;
    _Atomic int64_t taken_ns = 0;
    begin(&o, late_comer);
    o.happened = 1; /* nothing while it writes */
    o.f.writer.taken_ns = &taken_ns;
    o.f.writer.taken_count = 1;
    talk(&o, 0, 50);
    atomic_store(&taken_ns, fx_time(1000 * SLR_NS_PER_MS).ns);
    cr_assert_eq(disk(&o, 4000), 0u);
    cr_assert_eq(slr_session_written_ticks(o.s), 0);
    for (uint32_t k = 50; k < 200; k++) { /* with the time when they came */
        cr_assert_eq(fx_rtp(&o.f, o.slot, k * 20, fx_audio(A, k, 100, 5000)), SLR_VERDICT_TAKEN);
    }
    atomic_store(&taken_ns, fx_time(4000 * SLR_NS_PER_MS).ns);
    cr_assert_eq(disk(&o, 4000), 0u);
    cr_assert_geq(slr_session_written_ticks(o.s), 2500 * FX_MS);
    /* but not for ever */
    cr_assert_eq(disk(&o, 15000), 0u);
    cr_assert_geq(slr_session_written_ticks(o.s), 3500 * FX_MS);
    end(&o, 15000);
    done(&o);
}
