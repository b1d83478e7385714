/* The table keeps what it is given through growth, replacement and removal. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "ctl/table.h"

static int values[5000];

static void remove_odd(void *ctx, void *value)
{
    struct slr_table *t = ctx;
    int n = (int)((int *)value - values);
    if (n % 2) {
        char key[16];
        snprintf(key, sizeof key, "k%d", n);
        cr_assert_eq(slr_table_take(t, key), value);
    }
}

Test(table, grows_and_forgets)
{
    struct slr_table t = {.bucket = NULL};
    char key[16];
    cr_assert_null(slr_table_get(&t, "x"));
    cr_assert_null(slr_table_take(&t, "x"));
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        cr_assert_eq(slr_table_put(&t, key, &values[i]), SLR_OK);
    }
    cr_assert_eq(t.count, 5000u);
    cr_assert_eq(slr_table_put(&t, "k7", &values[9]), SLR_OK);
    cr_assert_eq(t.count, 5000u);
    cr_assert_eq(slr_table_get(&t, "k7"), &values[9]);
    cr_assert_eq(slr_table_put(&t, "k7", &values[7]), SLR_OK);
    slr_table_each(&t, remove_odd, &t);
    cr_assert_eq(t.count, 2500u);
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        cr_assert_eq(slr_table_get(&t, key), i % 2 ? NULL : &values[i]);
    }
    slr_table_fini(&t, NULL);
    cr_assert_eq(t.count, 0u);
}
