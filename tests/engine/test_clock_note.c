/* Clock notes: a bounded list that never forgets how many there were. */
#include <criterion/criterion.h>
#include <string.h>

#include "engine/clock_note.h"

Test(clock_note, what_finds_no_room_is_counted)
{
    struct {
        struct slr_clock_notes list;
        struct slr_clock_note far[SLR_CLOCK_NOTES - SLR_CLOCK_NOTES_NEAR];
    } both = {.list = {.far_bytes = sizeof both.list}};
    for (uint32_t i = 0; i < SLR_CLOCK_NOTES + 3; i++) {
        struct slr_clock_note n = {.at_ticks = i, .kind = SLR_CLOCK_BURST};
        uint32_t number = slr_clock_note_put(&both.list, &n);
        cr_assert_eq(number, i < SLR_CLOCK_NOTES ? i : SLR_CLOCK_NOTES);
    }
    cr_assert_eq(both.list.count, SLR_CLOCK_NOTES + 3);
    for (uint32_t i = 0; i < SLR_CLOCK_NOTES; i++) {
        cr_assert_eq(slr_clock_note_at(&both.list, i)->at_ticks, i);
    }
    cr_assert_null(slr_clock_note_at(&both.list, SLR_CLOCK_NOTES));
}

Test(clock_note, there_is_none_before_it_is_put)
{
    struct slr_clock_notes list;
    memset(&list, 0, sizeof list);
    cr_assert_null(slr_clock_note_at(&list, 0));
}

/* Where there is no memory for more, what comes is counted, and the list has no holes. */
Test(clock_note, without_room_for_more)
{
    struct slr_clock_notes list;
    memset(&list, 0, sizeof list);
    struct slr_clock_note n = {.at_ticks = 7};
    for (uint32_t i = 0; i < SLR_CLOCK_NOTES_NEAR + 2; i++) {
        uint32_t number = slr_clock_note_put(&list, &n);
        cr_assert_eq(number, i < SLR_CLOCK_NOTES_NEAR ? i : SLR_CLOCK_NOTES);
    }
    cr_assert_eq(list.count, SLR_CLOCK_NOTES_NEAR + 2);
    cr_assert_not_null(slr_clock_note_at(&list, SLR_CLOCK_NOTES_NEAR - 1));
    cr_assert_null(slr_clock_note_at(&list, SLR_CLOCK_NOTES_NEAR));
}
