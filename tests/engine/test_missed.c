/*
 * Missed: which records that came into no block are told, and that each is told once, however often
 * the process dies. The interleavings that make such records: test_claim.c, test_belief.c.
 */
#include "engine/missed.h"
#include "tests/engine/drive.h"

#define LEG 1u
#define SLOT 3u
#define DUR 20

struct one {
    char root[64], dir[96];
    struct slr_state *s;
    struct slr_leg *leg;
    struct slr_stream *st;
    uint32_t packets;
};

static void begin(struct one *o, uint32_t chunks)
{
    memset(o, 0, sizeof *o);
    slr_log_init("test", SLR_LOG_ERROR);
    snprintf(o->root, sizeof o->root, FX_FOLDER "/slr-missed-XXXXXX");
    cr_assert_not_null(mkdtemp(o->root));
    snprintf(o->dir, sizeof o->dir, "%s/state", o->root);
    cr_assert_eq(slr_state_open(o->dir, 2, chunks, &o->s), SLR_OK);
    o->leg = &o->s->leg[LEG];
    o->st = slr_leg_stream(o->leg, SLOT);
    atomic_store(&o->leg->queue_head, SLR_NONE);
    o->s->run[LEG].queue_tail = SLR_NONE;
    atomic_store(&o->st->state, SLR_STREAM_TAKEN);
    atomic_store(&o->st->generation, 7);
}

static void end(struct one *o)
{
    slr_state_close(o->s, true);
    cr_assert_eq(nftw(o->root, fx_remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static const struct slr_rec *put_rec(struct one *o, struct slr_rec rec)
{
    static const uint8_t payload[SLR_CHUNK_BYTES];
    rec.stream = SLOT;
    cr_assert_eq(slr_queue_put(o->s, LEG, &rec, payload), SLR_OK);
    struct slr_queue_mark at = slr_queue_last(o->s, LEG, rec.len_bytes);
    return (const struct slr_rec *)(const void *)(o->s->chunk[at.chunk].at + at.offset_bytes);
}

/* A packet of its own. */
static const struct slr_rec *put(struct one *o, int64_t pos_ticks)
{
    return put_rec(o, (struct slr_rec){.pos_ticks = pos_ticks,
                                       .dur_ticks = DUR,
                                       .len_bytes = 160,
                                       .generation = 7,
                                       .seq_ext = (int32_t)++o->packets});
}

static void mark(struct one *o, const struct slr_rec *rec, enum slr_rec_fate fate)
{
    slr_chunk_mark(&o->s->chunk[slr_rec_chunk(o->s, rec)], slr_rec_offset(o->s, rec), fate);
}

static void assert_listed(const struct one *o, uint32_t i, int64_t start, int64_t end_ticks,
                          uint32_t packets)
{
    const struct slr_ledger_late *l = &slr_leg_rare(o->leg)->missed[i];
    cr_assert_eq(l->start_ticks, start);
    cr_assert_eq(l->end_ticks, end_ticks);
    cr_assert_eq(l->packets, packets);
}

Test(missed, what_is_in_no_block_is_told_once)
{
    struct one o;
    begin(&o, 16);
    const struct slr_rec *rec = put(&o, 100);
    cr_assert_eq(slr_missed_judge(o.s, LEG, rec), 1u);
    cr_assert_eq(slr_missed_judge(o.s, LEG, rec), 0u);
    cr_assert_eq(slr_count_get(&o.st->missed), 1u);
    cr_assert_eq(o.leg->missed.count, 1u);
    assert_listed(&o, 0, 100, 120, 1);
    end(&o);
}

Test(missed, what_leaves_the_queue_unheard_for_good_reason_is_not_told)
{
    struct one o;
    begin(&o, 16);
    struct slr_rec rec = {.dur_ticks = DUR, .generation = 7, .flags = SLR_REC_SUPPRESSED};
    cr_assert_eq(slr_missed_judge(o.s, LEG, put_rec(&o, rec)), 0u);
    rec.flags = SLR_REC_UNDECODED;
    cr_assert_eq(slr_missed_judge(o.s, LEG, put_rec(&o, rec)), 0u);
    rec.flags = 0;
    rec.generation = 6; /* of the SSRC that had the slot before */
    cr_assert_eq(slr_missed_judge(o.s, LEG, put_rec(&o, rec)), 0u);
    const struct slr_rec *rendered = put(&o, 0);
    mark(&o, rendered, SLR_FATE_RENDERED);
    cr_assert_eq(slr_missed_judge(o.s, LEG, rendered), 0u);
    atomic_store(&o.st->state, SLR_STREAM_PROBATION);
    const struct slr_rec *other = put(&o, 0);
    cr_assert_eq(slr_missed_judge(o.s, LEG, other), 0u);
    cr_assert_eq(slr_count_get(&o.st->missed), 0u);
    atomic_store(&o.st->state, SLR_STREAM_TAKEN); /* believed after all */
    cr_assert_eq(slr_missed_judge(o.s, LEG, other), 1u);
    rec.generation = 7;
    rec.seq_ext = 1000;
    rec.flags = SLR_REC_EVENT; /* these are late as audio is, where they come late */
    cr_assert_eq(slr_missed_judge(o.s, LEG, put_rec(&o, rec)), 1u);
    rec.seq_ext = 1001;
    rec.flags = SLR_REC_COMFORT;
    cr_assert_eq(slr_missed_judge(o.s, LEG, put_rec(&o, rec)), 1u);
    end(&o);
}

/* A long one is more than one record, each in a chunk of its own. */
Test(missed, a_packet_is_one)
{
    struct one o;
    begin(&o, 16);
    struct slr_rec rec = {.dur_ticks = DUR, .generation = 7, .len_bytes = 3000, .seq_ext = 5};
    uint32_t told = 0;
    for (uint32_t i = 0; i < 6; i++) {
        rec.pos_ticks = i * DUR;
        rec.seq_ext = i < 3 ? 5 : 6;
        told += slr_missed_judge(o.s, LEG, put_rec(&o, rec));
    }
    cr_assert_eq(told, 2u);
    cr_assert_eq(slr_count_get(&o.st->missed), 2u);
    assert_listed(&o, 0, 0, 6 * DUR, 2);
    end(&o);
}

Test(missed, a_full_list_goes_on_counting)
{
    struct one o;
    begin(&o, 16);
    for (int64_t i = 0; i < SLR_LEG_MISSED + 10; i++) {
        cr_assert_eq(slr_missed_judge(o.s, LEG, put(&o, i * 100)), 1u);
    }
    cr_assert_eq(o.leg->missed.count, SLR_LEG_MISSED);
    cr_assert_eq(slr_count_get(&o.st->missed), SLR_LEG_MISSED + 10);
    int64_t last = (SLR_LEG_MISSED - 1) * 100;
    assert_listed(&o, SLR_LEG_MISSED - 1, last, last + DUR, 1);
    cr_assert_eq(slr_missed_judge(o.s, LEG, put(&o, last + DUR)), 1u); /* joins it */
    assert_listed(&o, SLR_LEG_MISSED - 1, last, last + 2 * DUR, 2);
    end(&o);
}

/* What the process that died had stored: the first `stores` of what follows the decision. */
static void die_after(struct one *o, const struct slr_rec *rec, const struct slr_leg_missed *after,
                      uint32_t stores)
{
    struct slr_leg_missed *m = &o->leg->missed;
    m->step = after->step;
    if (stores > 0) {
        atomic_store(&m->under_way, 1);
    }
    if (stores > 1) {
        atomic_store(&o->st->missed, after->step.packets);
    }
    if (stores > 2) {
        slr_leg_rare(o->leg)->missed[after->step.at] = after->step.entry;
    }
    if (stores > 3) {
        m->count = after->count;
    }
    if (stores > 4) {
        m->stream = after->stream;
    }
    if (stores > 5) {
        m->seq_ext = after->seq_ext;
    }
    if (stores > 6) {
        mark(o, rec, SLR_FATE_MISSED);
    }
    if (stores > 7) {
        atomic_store(&m->under_way, 0);
    }
}

/* The next process finds the record in the queue, and another one after it. */
Test(missed, a_death_at_any_store_neither_forgets_nor_tells_twice)
{
    for (uint32_t stores = 0; stores <= 8; stores++) {
        for (int64_t second = 120; second <= 200; second += 80) { /* it joins the first, or not */
            struct one o;
            begin(&o, 16);
            cr_assert_eq(slr_missed_judge(o.s, LEG, put(&o, 100)), 1u);
            struct slr_leg_missed before = o.leg->missed;
            struct slr_ledger_late *list = slr_leg_rare(o.leg)->missed;
            struct slr_ledger_late list_before[SLR_LEG_MISSED];
            struct slr_ledger_late list_after[SLR_LEG_MISSED];
            memcpy(list_before, list, sizeof list_before);
            const struct slr_rec *rec = put(&o, second);
            cr_assert_eq(slr_missed_judge(o.s, LEG, rec), 1u);
            struct slr_leg_missed after = o.leg->missed;
            memcpy(list_after, list, sizeof list_after);
            memcpy(list, list_before, sizeof list_before);
            o.leg->missed = before;
            atomic_store(&o.st->missed, 1);
            atomic_store(&o.s->chunk[slr_rec_chunk(o.s, rec)].fate[SLR_FATE_MISSED][0], 1);
            cr_assert_not(slr_rec_has(o.s, rec, SLR_FATE_MISSED));
            die_after(&o, rec, &after, stores);
            (void)slr_missed_judge(o.s, LEG, rec);
            cr_assert(slr_rec_has(o.s, rec, SLR_FATE_MISSED));
            cr_assert_eq(slr_count_get(&o.st->missed), 2u, "after %u stores", stores);
            cr_assert_eq(memcmp(&o.leg->missed, &after, sizeof after), 0, "after %u stores",
                         stores);
            cr_assert_eq(memcmp(list, list_after, sizeof list_after), 0, "after %u", stores);
            cr_assert_eq(slr_missed_judge(o.s, LEG, put(&o, 300)), 1u);
            cr_assert_eq(slr_count_get(&o.st->missed), 3u);
            end(&o);
        }
    }
}

/* A bit for each record, of the smallest ones, too; and a chunk that is used again knows none. */
Test(missed, each_record_has_its_own_fate)
{
    struct one o;
    begin(&o, 2);
    struct slr_rec rec = {.dur_ticks = 1, .generation = 7};
    uint32_t most = SLR_CHUNK_ROOM / (uint32_t)sizeof rec;
    for (uint32_t turn = 0; turn < 2; turn++) {
        const struct slr_rec *at[SLR_CHUNK_ROOM / sizeof rec];
        for (uint32_t i = 0; i < most; i++) {
            at[i] = put_rec(&o, rec);
            cr_assert_eq(slr_rec_chunk(o.s, at[i]), slr_rec_chunk(o.s, at[0]));
        }
        for (uint32_t i = 0; i < most; i++) {
            cr_assert_not(slr_rec_has(o.s, at[i], SLR_FATE_RENDERED), "%u", i);
            cr_assert_not(slr_rec_has(o.s, at[i], SLR_FATE_MISSED), "%u", i);
            mark(&o, at[i], i % 3 ? SLR_FATE_RENDERED : SLR_FATE_MISSED);
        }
        for (uint32_t i = 0; i < most; i++) {
            cr_assert_eq(slr_rec_has(o.s, at[i], SLR_FATE_RENDERED), i % 3 != 0, "%u", i);
            cr_assert_eq(slr_rec_has(o.s, at[i], SLR_FATE_MISSED), i % 3 == 0, "%u", i);
        }
        slr_queue_reset(o.s, LEG);
    }
    end(&o);
}

Test(missed, what_leaves_the_queue_is_judged_before_it_does)
{
    struct one o;
    begin(&o, 16);
    for (int64_t i = 0; i < 60; i++) { /* 21 fit into a chunk */
        const struct slr_rec *rec = put(&o, i * DUR);
        if (i % 10 != 0) {
            mark(&o, rec, SLR_FATE_RENDERED);
        }
    }
    cr_assert_eq(slr_queue_free_until(o.s, LEG, 45 * DUR), 5u); /* two chunks */
    cr_assert_eq(slr_count_get(&o.st->missed), 5u);
    cr_assert_eq(slr_missed_rest(o.s, LEG, 50 * DUR), 0u);
    cr_assert_eq(slr_missed_rest(o.s, LEG, 51 * DUR), 1u);
    cr_assert_eq(slr_missed_rest(o.s, LEG, INT64_MAX), 0u);
    cr_assert_eq(slr_queue_free_until(o.s, LEG, INT64_MAX), 0u);
    cr_assert_eq(slr_count_get(&o.st->missed), 6u);
    end(&o);
}

/* The slot of a stream is not used again before that. */
Test(missed, a_stream_waits_until_all_of_it_is_in_the_file_or_told)
{
    struct one o;
    begin(&o, 16);
    cr_assert_not(slr_missed_pending(o.s, LEG, SLOT, 0));
    const struct slr_rec *rec = put(&o, 100);
    cr_assert(slr_missed_pending(o.s, LEG, SLOT, 0));
    cr_assert_not(slr_missed_pending(o.s, LEG, SLOT + 1, 0));
    mark(&o, rec, SLR_FATE_RENDERED); /* the disk may refuse that yet */
    cr_assert(slr_missed_pending(o.s, LEG, SLOT, 119));
    cr_assert_not(slr_missed_pending(o.s, LEG, SLOT, 120));
    rec = put(&o, 60);
    cr_assert(slr_missed_pending(o.s, LEG, SLOT, 120));
    cr_assert_eq(slr_missed_judge(o.s, LEG, rec), 1u);
    cr_assert_not(slr_missed_pending(o.s, LEG, SLOT, 120));
    end(&o);
}
