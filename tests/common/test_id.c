/* id: shape, order by age, determinism of seeded ids. */
#include <criterion/criterion.h>
#include <string.h>

#include "common/id.h"

Test(id, shape_and_time)
{
    struct slr_idgen g;
    char id[SLR_ID_SIZE];

    slr_idgen_init(&g);
    slr_idgen_next(&g, (slr_wall){0x123456789abLL * SLR_NS_PER_MS}, id);
    cr_assert(slr_id_valid(id));
    cr_assert_eq(strncmp(id, "0123456789ab", 12), 0, "%s", id);
}

Test(id, sorts_by_age)
{
    struct slr_idgen g;
    char older[SLR_ID_SIZE], newer[SLR_ID_SIZE];

    slr_idgen_init(&g);
    slr_idgen_next(&g, (slr_wall){1795201262123 * SLR_NS_PER_MS}, older);
    slr_idgen_next(&g, (slr_wall){1795201262124 * SLR_NS_PER_MS}, newer);
    cr_assert_lt(strcmp(older, newer), 0);
}

Test(id, seeded_ids_repeat)
{
    struct slr_idgen a, b, c;
    char x[SLR_ID_SIZE], y[SLR_ID_SIZE], z[SLR_ID_SIZE], last[SLR_ID_SIZE] = "";

    slr_idgen_init_seeded(&a, 42);
    slr_idgen_init_seeded(&b, 42);
    slr_idgen_init_seeded(&c, 43);
    for (int i = 0; i < 100; i++) {
        slr_idgen_next(&a, (slr_wall){7}, x);
        slr_idgen_next(&b, (slr_wall){7}, y);
        slr_idgen_next(&c, (slr_wall){7}, z);
        cr_assert_str_eq(x, y);
        cr_assert_str_neq(x, z);
        cr_assert_str_neq(x, last);
        memcpy(last, x, sizeof last);
    }
}

Test(id, random_ids_differ)
{
    struct slr_idgen a, b;
    char x[SLR_ID_SIZE], y[SLR_ID_SIZE];

    slr_idgen_init(&a);
    b = a; /* a fork or copy must not repeat ids */
    slr_idgen_next(&a, (slr_wall){7}, x);
    slr_idgen_next(&b, (slr_wall){7}, y);
    cr_assert_str_neq(x, y);
}

Test(id, validity)
{
    cr_assert(slr_id_valid("0123456789abcdef0123456789abcdef"));
    cr_assert_not(slr_id_valid("0123456789abcdef0123456789abcde"));
    cr_assert_not(slr_id_valid("0123456789abcdef0123456789abcdef0"));
    cr_assert_not(slr_id_valid("0123456789ABCDEF0123456789abcdef"));
    cr_assert_not(slr_id_valid("../3456789abcdef0123456789abcdef"));
    cr_assert_not(slr_id_valid(""));
    cr_assert_not(slr_id_valid(NULL));
}
