/*
 * profile: named sets of what is done to the packets (profile.def), and single options that change
 * them. Used at start only.
 */
#ifndef SLR_LOAD_PROFILE_H
#define SLR_LOAD_PROFILE_H

#include <stdint.h>

#include "common/err.h"
#include "load/impair.h"

struct slr_profile {
    struct slr_impair impair;
    const char *codecs;
};

/* By name. SLR_NOTFOUND. */
enum slr_err slr_profile_find(const char *name, struct slr_profile *out) SLR_CHECKED;

/* "clean: nothing is touched" and so on, a line each; static. */
const char *slr_profile_list(void);

/* "0.5": percent, 0 to 100, to parts of a million. False: no such number. */
bool slr_profile_percent(const char *text, uint32_t *ppm);

#endif
