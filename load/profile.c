/*
 * profile: see the header.
 */
#include "load/profile.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    struct slr_profile profile;
} rows[] = {
#define PROFILE(name, loss, burst, burst_len, reorder, reorder_len, copies, jitter, pauses, skew,  \
                codecs, help)                                                                      \
    {#name,                                                                                        \
     {{.loss_ppm = (loss),                                                                         \
       .burst_ppm = (burst),                                                                       \
       .burst_pkts = (burst_len),                                                                  \
       .reorder_ppm = (reorder),                                                                   \
       .reorder_pkts = (reorder_len),                                                              \
       .duplicate_ppm = (copies),                                                                  \
       .jitter_us = (jitter)*1000u,                                                                \
       .dtx = (pauses),                                                                            \
       .skew_ppm = (skew)},                                                                        \
      codecs}},
#include "load/profile.def"
#undef PROFILE
};

enum slr_err slr_profile_find(const char *name, struct slr_profile *out)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            *out = rows[i].profile;
            return SLR_OK;
        }
    }
    return SLR_NOTFOUND;
}

const char *slr_profile_list(void)
{
    return ""
#define PROFILE(name, loss, burst, burst_len, reorder, reorder_len, copies, jitter, pauses, skew,  \
                codecs, help)                                                                      \
#name ": " help "\n"
#include "load/profile.def"
#undef PROFILE
        ;
}

bool slr_profile_percent(const char *text, uint32_t *ppm)
{
    char *end = NULL;
    double v = strtod(text, &end);
    if (end == text || *end != '\0' || !(v >= 0.0 && v <= 100.0)) {
        return false;
    }
    *ppm = (uint32_t)(v * 10000.0 + 0.5);
    return true;
}
