/*
 * Corrections taken back: inserted samples leave, removed ones return.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "codecs/codec.h"
#include "load/undo.h"

Test(undo, samples_from_base64)
{
    int16_t *s = NULL;
    cr_assert_eq(slr_undo_samples("AQD//wCA", 3, &s), SLR_OK);
    cr_assert_eq(s[0], 1);
    cr_assert_eq(s[1], -1);
    cr_assert_eq(s[2], -32768);
    free(s);
    cr_assert_eq(slr_undo_samples("AQA=", 1, &s), SLR_OK);
    cr_assert_eq(s[0], 1);
    free(s);
    cr_assert_eq(slr_undo_samples("AQA=", 2, &s), SLR_FORMAT);
    cr_assert_eq(slr_undo_samples("AQD//wCA", 2, &s), SLR_FORMAT);
    cr_assert_eq(slr_undo_samples("A!A=", 1, &s), SLR_FORMAT);
}

Test(undo, both_kinds_in_both_formats)
{
    int16_t gone[] = {1000, 2000};
    /* 0 1 [x x] 2 3 (1000 2000) 4 5 [y] */
    const struct slr_undo_edit edit[] = {{2, 2, NULL, 0}, {6, 0, gone, 2}, {8, 5, NULL, 0}};
    int16_t in[] = {0, 1, 99, 99, 2, 3, 4, 5, 77};
    static const int16_t want[] = {0, 1, 2, 3, 1000, 2000, 4, 5};
    int16_t out[8];
    cr_assert_eq(slr_undo_size(9, edit, 3), 8);
    slr_undo((uint8_t *)in, 9, SLR_SAMPLE_S16, edit, 3, (uint8_t *)out);
    cr_assert_eq(memcmp(out, want, sizeof want), 0);
    uint8_t law_in[9];
    uint8_t law_out[8];
    for (int i = 0; i < 9; i++) {
        law_in[i] = (uint8_t)(10 + i);
    }
    slr_undo(law_in, 9, SLR_SAMPLE_ALAW, edit, 3, law_out);
    cr_assert_eq(law_out[1], 11);
    cr_assert_eq(law_out[2], 14);
    cr_assert_eq(law_out[4], slr_g711_s16_to_alaw(1000));
    cr_assert_eq(law_out[7], 17);
}

Test(undo, nothing_to_undo_and_edits_beyond_the_end)
{
    const struct slr_undo_edit edit[] = {{100, 5, NULL, 0}};
    uint8_t in[] = {1, 2, 3};
    uint8_t out[3];
    cr_assert_eq(slr_undo_size(3, edit, 1), 3);
    slr_undo(in, 3, SLR_SAMPLE_ULAW, edit, 1, out);
    cr_assert_eq(memcmp(in, out, 3), 0);
    slr_undo(in, 3, SLR_SAMPLE_ULAW, NULL, 0, out);
    cr_assert_eq(memcmp(in, out, 3), 0);
}
