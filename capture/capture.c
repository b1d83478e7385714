/*
 * capture: the list of backends, made from capture.def. Const data, any thread, allocates nothing.
 */
#include "capture/capture.h"

#include <stddef.h>
#include <string.h>

#include "capture/backend.h"

static const struct slr_capture_ops *const all_ops[] = {
#define CAPTURE(name) &slr_##name##_ops,
#include "capture/capture.def"
#undef CAPTURE
    NULL,
};

const struct slr_capture_ops *slr_capture_find(const char *name)
{
    for (size_t i = 0; all_ops[i]; i++) {
        if (strcmp(all_ops[i]->name, name) == 0) {
            return all_ops[i];
        }
    }
    return NULL;
}

const struct slr_capture_ops *slr_capture_named(const char *value, const char **arg)
{
    char name[32];
    const char *colon = strchr(value, ':');
    size_t len_bytes = colon ? (size_t)(colon - value) : strlen(value);
    if (arg) {
        *arg = colon ? colon + 1 : NULL;
    }
    if (len_bytes >= sizeof name) {
        return NULL;
    }
    memcpy(name, value, len_bytes);
    name[len_bytes] = '\0';
    return slr_capture_find(name);
}

const struct slr_capture_ops *const *slr_capture_all(void)
{
    return all_ops;
}
