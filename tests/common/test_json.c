/* json: what is no single clean object is refused; members are taken by type. */
#include <criterion/criterion.h>

#include "common/json.h"

static json_t *load(const char *text)
{
    json_t *json = NULL;
    cr_assert_eq(slr_json_load(slr_slice_str(text), &json), SLR_OK, "%s", text);
    return json;
}

Test(json, members_by_type)
{
    json_t *j = load("{\"s\":\"x\",\"n\":5,\"m\":-5,\"b\":true,\"f\":false,\"r\":1.5,\"z\":null}");

    cr_assert_str_eq(slr_json_str(j, "s"), "x");
    cr_assert_null(slr_json_str(j, "n"));
    cr_assert_null(slr_json_str(j, "absent"));
    cr_assert_eq(slr_json_u64(j, "n", 9), 5);
    cr_assert_eq(slr_json_u64(j, "m", 9), 9, "a negative number is none");
    cr_assert_eq(slr_json_u64(j, "r", 9), 9);
    cr_assert_eq(slr_json_i64(j, "m", 9), -5);
    cr_assert_eq(slr_json_i64(j, "s", 9), 9);
    cr_assert(slr_json_bool(j, "b", false));
    cr_assert_not(slr_json_bool(j, "f", true));
    cr_assert(slr_json_bool(j, "n", true));
    cr_assert_not(slr_json_bool(j, "z", false));
    json_decref(j);
}

Test(json, no_object_has_no_members)
{
    json_t *list = json_array();
    cr_assert_null(slr_json_str(NULL, "s"));
    cr_assert_eq(slr_json_u64(list, "n", 3), 3);
    cr_assert(slr_json_bool(NULL, "b", true));
    json_decref(list);
}

Test(json, range)
{
    json_t *j = load("{\"n\":5,\"s\":\"5\"}");
    int64_t v = 77;

    cr_assert_eq(slr_json_range(j, "n", 1, 5, &v), SLR_OK);
    cr_assert_eq(v, 5);
    cr_assert_eq(slr_json_range(j, "n", 1, 4, &v), SLR_INVAL);
    cr_assert_eq(slr_json_range(j, "n", 6, 9, &v), SLR_INVAL);
    cr_assert_eq(slr_json_range(j, "s", 1, 5, &v), SLR_INVAL);
    cr_assert_eq(slr_json_range(j, "x", 1, 5, &v), SLR_NOTFOUND);
    cr_assert_eq(v, 5);
    json_decref(j);
}

Test(json, refuses)
{
    const char *bad[] = {"",
                         "[]",
                         "1",
                         "null",
                         "{",
                         "{}x",
                         "{}{}",
                         "{\"a\":1,\"a\":2}",
                         "{\"a\":\"\\u0000\"}",
                         "{\"a\":\"\xff\"}",
                         "{'a':1}"};
    json_t *j = NULL;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(slr_json_load(slr_slice_str(bad[i]), &j), SLR_FORMAT, "%s", bad[i]);
    }
    cr_assert_null(j);
}

Test(json, deep_nesting_is_refused_not_followed)
{
    static char deep[200000];
    memset(deep, '[', sizeof deep);
    memcpy(deep, "{\"a\":", 5);
    json_t *j = NULL;
    cr_assert_eq(slr_json_load(slr_slice_of(deep, sizeof deep), &j), SLR_FORMAT);
}
