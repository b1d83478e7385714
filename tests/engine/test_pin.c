/* Pin: lists of processors, and that a thread runs where it was bound to. */
#include <criterion/criterion.h>
#include <sched.h>

#include "engine/pin.h"

Test(pin, lists)
{
    static const struct {
        const char *text;
        uint32_t count;
        uint16_t cpu[5];
    } good[] = {{NULL, 0, {0}},
                {"0", 1, {0}},
                {"3,1", 2, {3, 1}},
                {"0-2,7", 4, {0, 1, 2, 7}},
                {"5-5,0-1", 3, {5, 0, 1}}};
    static const char *const bad[] = {"",   ",",     "1,",     "a",           "2-1", "-1",
                                      "1-", "1-2-3", "0-1023", "99999999999", " 1",  "1;2"};
    struct slr_pin pin;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        cr_assert_eq(slr_pin_parse(good[i].text, &pin), SLR_OK, "%s", good[i].text);
        cr_assert_eq(pin.count, good[i].count);
        for (uint32_t k = 0; k < pin.count; k++) {
            cr_assert_eq(pin.cpu[k], good[i].cpu[k], "%s", good[i].text);
        }
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(slr_pin_parse(bad[i], &pin), SLR_INVAL, "'%s'", bad[i]);
        cr_assert_eq(pin.count, 0u);
    }
}

Test(pin, a_thread)
{
    cpu_set_t have;
    cpu_set_t is;
    struct slr_pin pin = {.count = 0};
    cr_assert_eq(sched_getaffinity(0, sizeof have, &have), 0);
    cr_assert_eq(slr_pin_thread(&pin, 0, pthread_self()), SLR_OK);
    cr_assert_eq(sched_getaffinity(0, sizeof is, &is), 0);
    cr_assert(CPU_EQUAL(&have, &is), "no list, no change");
    for (uint16_t cpu = 0; cpu < 255; cpu++) {
        if (CPU_ISSET(cpu, &have)) {
            pin.cpu[pin.count++] = cpu;
        }
    }
    cr_assert_eq(slr_pin_thread(&pin, pin.count, pthread_self()), SLR_OK);
    cr_assert_eq(sched_getaffinity(0, sizeof is, &is), 0);
    cr_assert_eq(CPU_COUNT(&is), 1);
    cr_assert(CPU_ISSET(pin.cpu[0], &is), "from the beginning again");
    pin.cpu[0] = 1000;
    cr_assert_eq(slr_pin_thread(&pin, 0, pthread_self()), SLR_INVAL);
}
