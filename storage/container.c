/*
 * container: the list of containers, made from container.def, and what a sample format is.
 * Const data; any thread, allocates nothing.
 */
#include "storage/container.h"

#include <string.h>

static const struct slr_container *const all_containers[] = {
#define CONTAINER(name) &slr_container_##name,
#include "storage/container.def"
#undef CONTAINER
    NULL,
};

uint32_t slr_sample_bytes(enum slr_sample_format format)
{
    return format == SLR_SAMPLE_S16 ? 2 : 1;
}

const char *slr_sample_name(enum slr_sample_format format)
{
    switch (format) {
    case SLR_SAMPLE_S16:
        return "s16";
    case SLR_SAMPLE_ALAW:
        return "alaw";
    case SLR_SAMPLE_ULAW:
        return "ulaw";
    }
    return "?";
}

const struct slr_container *slr_container_by_name(const char *name)
{
    if (!name) {
        return NULL;
    }
    for (size_t i = 0; all_containers[i]; i++) {
        if (strcmp(all_containers[i]->name, name) == 0) {
            return all_containers[i];
        }
    }
    return NULL;
}

const struct slr_container *const *slr_container_all(void)
{
    return all_containers;
}
