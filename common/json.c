/*
 * json: a thin layer over jansson that never trusts the type of a member.
 * No state; any thread; only slr_json_load allocates.
 */
#include "common/json.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static void wipe_and_free(void *at)
{
    if (at) {
        explicit_bzero(at, malloc_usable_size(at));
        free(at);
    }
}

void slr_json_forget_freed(void)
{
    json_set_alloc_funcs(malloc, wipe_and_free);
}

enum slr_err slr_json_load(struct slr_slice text, json_t **out)
{
    json_error_t error;
    json_t *json;

    if (text.len_bytes == 0) {
        return SLR_FORMAT;
    }
    json = json_loadb((const char *)text.at, text.len_bytes, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(json)) {
        json_decref(json);
        return SLR_FORMAT;
    }
    *out = json;
    return SLR_OK;
}

const char *slr_json_str(const json_t *obj, const char *key)
{
    return json_string_value(json_object_get(obj, key));
}

int64_t slr_json_i64(const json_t *obj, const char *key, int64_t def)
{
    const json_t *member = json_object_get(obj, key);
    return json_is_integer(member) ? (int64_t)json_integer_value(member) : def;
}

uint64_t slr_json_u64(const json_t *obj, const char *key, uint64_t def)
{
    int64_t value = slr_json_i64(obj, key, -1);
    return value >= 0 ? (uint64_t)value : def;
}

bool slr_json_bool(const json_t *obj, const char *key, bool def)
{
    const json_t *member = json_object_get(obj, key);
    return json_is_boolean(member) ? json_is_true(member) : def;
}

enum slr_err slr_json_range(const json_t *obj, const char *key, int64_t min, int64_t max,
                            int64_t *out)
{
    const json_t *member = json_object_get(obj, key);
    if (!member) {
        return SLR_NOTFOUND;
    }
    if (!json_is_integer(member) || json_integer_value(member) < min ||
        json_integer_value(member) > max) {
        return SLR_INVAL;
    }
    *out = (int64_t)json_integer_value(member);
    return SLR_OK;
}
