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

static struct slr_leg *leg;
static struct slr_leg_codecs codecs;

static void make(void)
{
    leg = calloc(1, sizeof *leg);
    cr_assert_not_null(leg);
}

static void drop(void)
{
    free(leg);
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
    cr_assert_eq(codecs.row_of_pt[8], 0xff);
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
    cr_assert_eq(codecs.kind[codecs.row_of_pt[101]], SLR_PT_EVENT);
}
