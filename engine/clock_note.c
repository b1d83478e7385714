/*
 * clock_note: a bounded list. Worker thread; allocates nothing.
 */
#include "engine/clock_note.h"

#include <stddef.h>

#include "engine/space.h"

static struct slr_clock_note *place(const struct slr_clock_notes *list, uint32_t number)
{
    uintptr_t far = (uintptr_t)list + (uintptr_t)list->far_bytes;
    return number < SLR_CLOCK_NOTES_NEAR
               ? (struct slr_clock_note *)(uintptr_t)&list->near[number]
               : (struct slr_clock_note *)far + (number - SLR_CLOCK_NOTES_NEAR);
}

uint32_t slr_clock_note_put(struct slr_clock_notes *list, const struct slr_clock_note *note)
{
    uint32_t n = list->count;
    uint32_t room = list->far_bytes ? SLR_CLOCK_NOTES : SLR_CLOCK_NOTES_NEAR;
    bool fits = n < room && list->listed >= n &&
                (n < SLR_CLOCK_NOTES_NEAR || slr_space_touch(place(list, n), sizeof *note));
    if (fits) {
        *place(list, n) = *note;
        list->listed = n + 1;
    }
    list->count = n + 1;
    return fits ? n : SLR_CLOCK_NOTES;
}

struct slr_clock_note *slr_clock_note_at(const struct slr_clock_notes *list, uint32_t number)
{
    return number < list->listed && number < list->count ? place(list, number) : NULL;
}
