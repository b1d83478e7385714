/* Payload types of a leg: rows only grow, since records that wait name them. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/leg_codecs.h"

static struct slr_pt_map row(uint8_t pt, const char *name, uint32_t clock_hz)
{
    struct slr_pt_map r;
    memset(&r, 0, sizeof r);
    r.pt = pt;
    r.clock_hz = clock_hz;
    r.channels = 1;
    snprintf(r.name, sizeof r.name, "%s", name);
    return r;
}

/* As in the state file. */
struct slot {
    struct slr_leg_run run;
    struct slr_leg leg;
    struct slr_leg_rare rare;
};

static struct slot *slot;
static struct slr_leg *leg;
static struct slr_leg_codecs codecs;

static void make(void)
{
    slot = aligned_alloc(SLR_PAGE_BYTES, sizeof *slot);
    cr_assert_not_null(slot);
    memset(slot, 0, sizeof *slot);
    leg = &slot->leg;
    leg->run_back_bytes = offsetof(struct slot, leg);
    leg->rare_bytes = offsetof(struct slot, rare) - offsetof(struct slot, leg);
}

static void drop(void)
{
    free(slot);
}

TestSuite(leg_codecs, .init = make, .fini = drop);

static enum slr_err put(const struct slr_pt_map *rows, uint32_t n)
{
    enum slr_err err = slr_leg_codecs_set(leg, rows, n);
    slr_leg_codecs_build(&codecs, leg);
    return err;
}

Test(leg_codecs, kinds)
{
    struct slr_pt_map rows[] = {row(8, "PCMA", 8000), row(0, "pcmu", 8000),
                                row(101, "Telephone-Event", 8000), row(13, "CN", 8000),
                                row(99, "FANTASY", 8000)};
    cr_assert_eq(put(rows, 5), SLR_OK);
    cr_assert_eq(codecs.kind[codecs.row_of_pt[8]], SLR_PT_AUDIO);
    cr_assert_eq(codecs.use[codecs.row_of_pt[0]].codec->static_pt, 0);
    cr_assert_eq(codecs.kind[codecs.row_of_pt[101]], SLR_PT_EVENT);
    cr_assert_eq(codecs.kind[codecs.row_of_pt[13]], SLR_PT_COMFORT);
    cr_assert_eq(codecs.kind[codecs.row_of_pt[99]], SLR_PT_UNKNOWN);
    cr_assert_eq(codecs.row_of_pt[1], 0xff);
}

/* Positions are divided by the clock. */
Test(leg_codecs, clocks_that_cannot_be)
{
    struct slr_pt_map rows[] = {row(8, "PCMA", 0), row(101, "telephone-event", 0), row(13, "CN", 1),
                                row(102, "telephone-event", 4000000000u)};
    cr_assert_eq(put(rows, 4), SLR_OK);
    for (uint32_t i = 0; i < 4; i++) {
        cr_assert_eq(codecs.kind[codecs.row_of_pt[rows[i].pt]], SLR_PT_UNKNOWN);
        cr_assert_null(codecs.use[i].codec);
    }
}

Test(leg_codecs, what_is_answered_anew_replaces_and_keeps_rows)
{
    struct slr_pt_map first[] = {row(8, "PCMA", 8000), row(101, "telephone-event", 8000)};
    struct slr_pt_map second[] = {row(0, "PCMU", 8000), row(101, "telephone-event", 8000)};
    cr_assert_eq(put(first, 2), SLR_OK);
    cr_assert_eq(put(second, 2), SLR_OK);
    cr_assert_eq(leg->pt_count, 3u);
    cr_assert_eq(leg->pt_active, 6u);
    cr_assert_eq(codecs.row_of_pt[8], 0); /* some of it is still under way */
    cr_assert_eq(codecs.row_of_pt[0], 2);
    cr_assert_eq(codecs.row_of_pt[101], 1);
    cr_assert_eq(codecs.use[0].codec->static_pt, 8); /* for records of before */
    cr_assert_eq(put(first, 2), SLR_OK);
    cr_assert_eq(leg->pt_count, 3u);
    cr_assert_eq(codecs.row_of_pt[8], 0);
}

/* The same number may mean something else after a new answer. */
Test(leg_codecs, a_number_that_changes_its_meaning)
{
    struct slr_pt_map a = row(96, "PCMA", 8000);
    struct slr_pt_map b = row(96, "PCMU", 8000);
    cr_assert_eq(put(&a, 1), SLR_OK);
    cr_assert_eq(put(&b, 1), SLR_OK);
    cr_assert_eq(codecs.row_of_pt[96], 1);
    cr_assert_eq(codecs.use[0].codec->static_pt, 8);
    cr_assert_eq(codecs.use[1].codec->static_pt, 0);
}

Test(leg_codecs, full_changes_nothing)
{
    struct slr_pt_map rows[SLR_LEG_PTS + 1];
    for (uint32_t i = 0; i <= SLR_LEG_PTS; i++) {
        rows[i] = row((uint8_t)(i + 64), "PCMA", 8000);
    }
    cr_assert_eq(put(rows, 2), SLR_OK);
    uint32_t active = leg->pt_active;
    cr_assert_eq(put(rows, SLR_LEG_PTS + 1), SLR_FULL);
    cr_assert_eq(leg->pt_count, 2u);
    cr_assert_eq(leg->pt_active, active);
    cr_assert_eq(put(rows, SLR_LEG_PTS), SLR_OK);
    cr_assert_eq(leg->pt_count, SLR_LEG_PTS);
}

Test(leg_codecs, static_types_follow_what_is_accepted)
{
    struct slr_pt_map out[SLR_MAX_PTS];
    uint8_t accept[128] = {0};
    uint32_t all = slr_leg_codecs_static(out, NULL);
    accept[8] = 1;
    uint32_t few = slr_leg_codecs_static(out, accept);
    cr_assert_lt(few, all);
    cr_assert_eq(out[0].pt, 8);
    cr_assert_eq(put(out, few), SLR_OK);
    cr_assert_eq(codecs.row_of_pt[0], 0xff);
    cr_assert_eq(codecs.row_of_pt[13], 0xff);
    cr_assert_eq(codecs.row_of_pt[19], 0xff);
    cr_assert_eq(codecs.kind[codecs.row_of_pt[101]], SLR_PT_EVENT);
    accept[19] = 1;
    cr_assert_eq(put(out, slr_leg_codecs_static(out, accept)), SLR_OK);
    cr_assert_eq(codecs.row_of_pt[13], 0xff);
    cr_assert_eq(codecs.kind[codecs.row_of_pt[19]], SLR_PT_COMFORT);
}

static enum slr_err signalled(const struct slr_pt_map *rows, uint32_t n, const uint8_t *accept)
{
    return slr_leg_codecs_signalled(&codecs, leg, rows, n, accept);
}

Test(leg_codecs, comfort_noise_needs_no_signalling)
{
    struct slr_pt_map rows[] = {row(8, "PCMA", 8000), row(102, "telephone-event", 8000)};
    cr_assert_eq(signalled(rows, 2, NULL), SLR_OK);
    cr_assert_eq(codecs.kind[codecs.row_of_pt[13]], SLR_PT_COMFORT);
    cr_assert_eq(codecs.kind[codecs.row_of_pt[19]], SLR_PT_COMFORT);
    cr_assert_eq(codecs.kind[codecs.row_of_pt[8]], SLR_PT_AUDIO);
    uint32_t count = leg->pt_count; /* the same again takes no more rows */
    cr_assert_eq(signalled(rows, 2, NULL), SLR_OK);
    cr_assert_eq(leg->pt_count, count);
}

Test(leg_codecs, comfort_noise_that_is_not_accepted)
{
    struct slr_pt_map rows[] = {row(8, "PCMA", 8000), row(102, "telephone-event", 8000)};
    uint8_t accept[128] = {[8] = 1, [19] = 1};
    cr_assert_eq(signalled(rows, 2, accept), SLR_OK);
    cr_assert_eq(codecs.row_of_pt[13], 0xff);
    cr_assert_eq(codecs.kind[codecs.row_of_pt[19]], SLR_PT_COMFORT);
}

Test(leg_codecs, comfort_noise_goes_by_the_clock_of_the_sound)
{
    struct slr_pt_map wide[] = {row(96, "opus", 48000), row(101, "telephone-event", 8000)};
    struct slr_pt_map other[] = {row(8, "PCMA", 8000), row(13, "PCMU", 8000)};
    struct slr_pt_map many[SLR_LEG_PTS];
    wide[0].channels = 2;
    cr_assert_eq(signalled(wide, 2, NULL), SLR_OK);
    cr_assert_eq(codecs.row_of_pt[13], 0xff);
    cr_assert_eq(signalled(other, 2, NULL), SLR_OK);
    cr_assert_eq(codecs.kind[codecs.row_of_pt[13]], SLR_PT_AUDIO);
    /* without room nothing is lost but that */
    for (uint32_t i = 0; i < SLR_LEG_PTS; i++) {
        many[i] = row((uint8_t)(i + 64), "PCMA", 8000);
    }
    leg->pt_count = 0;
    atomic_store(&codecs.rows, 0);
    cr_assert_eq(signalled(many, SLR_LEG_PTS, NULL), SLR_OK);
    cr_assert_eq(leg->pt_count, SLR_LEG_PTS);
    cr_assert_eq(codecs.row_of_pt[13], 0xff);
}

Test(leg_codecs, all_static_types_fit)
{
    struct slr_pt_map out[SLR_MAX_PTS];
    uint32_t n = slr_leg_codecs_static(out, NULL);
    bool seen[128] = {false};
    for (uint32_t i = 0; i < n; i++) {
        seen[out[i].pt] = true;
        cr_assert(out[i].pt != 10 || (out[i].clock_hz == 44100 && out[i].channels == 2));
        cr_assert(out[i].pt != 11 || (out[i].clock_hz == 44100 && out[i].channels == 1));
    }
    static const uint8_t want[] = {0, 3, 8, 9, 10, 11, 13, 19, 101};
    for (size_t i = 0; i < sizeof want; i++) {
        cr_assert(seen[want[i]], "%u", want[i]);
    }
    cr_assert_eq(put(out, n), SLR_OK);
    cr_assert_eq(codecs.use[codecs.row_of_pt[10]].sample_hz, 44100u);
    cr_assert_eq(codecs.use[codecs.row_of_pt[10]].channels, 2u);
    cr_assert_eq(codecs.use[codecs.row_of_pt[9]].clock_hz, 8000u);
    cr_assert_eq(codecs.use[codecs.row_of_pt[9]].sample_hz, 16000u);
}

Test(leg_codecs, types_given_as_text)
{
    struct slr_pt_map out[SLR_MAX_PTS];
    uint32_t n = 0;
    cr_assert_eq(slr_leg_codecs_add(out, &n, "118=amr/8000;octet-align=1"), SLR_OK);
    cr_assert_eq(slr_leg_codecs_add(out, &n, "99=L16/16000/2"), SLR_OK);
    cr_assert_eq(slr_leg_codecs_add(out, &n, "118=AMR/8000"), SLR_OK); /* again: instead */
    cr_assert_eq(slr_leg_codecs_add(out, &n, "96=telephone-event/16000"), SLR_OK);
    cr_assert_eq(n, 3u);
    cr_assert_eq(out[0].pt, 118);
    cr_assert_str_eq(out[0].name, "AMR");
    cr_assert_str_eq(out[0].fmtp, "");
    cr_assert_eq(out[1].channels, 2);
    static const char *const bad[] = {
        "",           "118",          "=AMR/8000",      "128=AMR/8000",
        "118=AMR",    "118=AMR/x",    "118=/8000",      "118=AMR/16000",
        "5=FOO/8000", "5=L16/8000/3", "5=L16/8000/1/1", "5=AMR/8000;crc=1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(slr_leg_codecs_add(out, &n, bad[i]), SLR_INVAL, "%s", bad[i]);
    }
    cr_assert_eq(n, 3u);
    for (unsigned pt = 64; n < SLR_MAX_PTS; pt++) {
        char text[32];
        snprintf(text, sizeof text, "%u=PCMA/8000", pt);
        cr_assert_eq(slr_leg_codecs_add(out, &n, text), SLR_OK);
    }
    cr_assert_eq(slr_leg_codecs_add(out, &n, "127=PCMA/8000"), SLR_FULL);
}
