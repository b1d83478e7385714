/*
 * find: see the header.
 */
#include "load/find.h"

uint32_t slr_find_begin(struct slr_find *f, uint32_t first, uint32_t most, uint32_t steps_max)
{
    *f = (struct slr_find){.most = most, .steps_max = steps_max};
    return first < most ? first : most;
}

uint32_t slr_find_next(struct slr_find *f, uint32_t tried, bool ok)
{
    f->steps++;
    if (ok) {
        f->good = tried > f->good ? tried : f->good;
    } else {
        f->bad = f->bad == 0 || tried < f->bad ? tried : f->bad;
    }
    if (f->steps >= f->steps_max || f->good >= f->most) {
        return 0;
    }
    if (f->bad == 0) {
        return f->good > f->most / 2 ? f->most : f->good * 2;
    }
    uint32_t apart = f->bad - f->good;
    if (f->bad <= f->good || apart <= 1 || apart <= f->good / 32) {
        return 0;
    }
    return f->good + apart / 2;
}
