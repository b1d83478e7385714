/*
 * clock_note: a bounded list. Worker thread; allocates nothing.
 */
#include "engine/clock_note.h"

#include <stddef.h>

uint32_t slr_clock_note_put(struct slr_clock_notes *list, const struct slr_clock_note *note)
{
    uint32_t n = list->count;
    if (n < SLR_CLOCK_NOTES) {
        list->at[n] = *note;
    }
    list->count = n + 1;
    return n < SLR_CLOCK_NOTES ? n : SLR_CLOCK_NOTES;
}

struct slr_clock_note *slr_clock_note_at(struct slr_clock_notes *list, uint32_t number)
{
    return number < SLR_CLOCK_NOTES && number < list->count ? &list->at[number] : NULL;
}
