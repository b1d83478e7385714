/*
 * assert: the words of criterion that the engine's test fixture uses, for a program without it: a
 * failure ends the process, and the runner names the seed.
 */
#ifndef SLR_TESTS_SIM_ASSERT_H
#define SLR_TESTS_SIM_ASSERT_H

#include <stdio.h>
#include <stdlib.h>

#define cr_assert(x, ...)                                                                          \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                                \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)
#define cr_assert_not(x, ...) cr_assert(!(x))
#define cr_assert_eq(a, b, ...) cr_assert((a) == (b))
#define cr_assert_neq(a, b, ...) cr_assert((a) != (b))
#define cr_assert_gt(a, b, ...) cr_assert((a) > (b))
#define cr_assert_lt(a, b, ...) cr_assert((a) < (b))
#define cr_assert_not_null(a, ...) cr_assert((a) != NULL)

#endif
