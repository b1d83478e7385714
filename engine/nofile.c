/*
 * nofile: raises RLIMIT_NOFILE. No state.
 */
#include "engine/nofile.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/resource.h>

#include "common/log.h"

#define OTHERS 256u

uint64_t slr_nofile_needed(uint32_t streams, uint32_t tables)
{
    /* legs of closing sessions overlap with new ones: a quarter more slots than streams */
    uint64_t slots = (uint64_t)streams + streams / 4 + 16;
    uint64_t files = streams < SLR_NOFILE_FILES ? streams : SLR_NOFILE_FILES;
    uint64_t with_tables = (slots * 2 + files + OTHERS) / (tables + 1) + 1;
    return with_tables > files + OTHERS ? with_tables : files + OTHERS;
}

uint64_t slr_nofile_raise(uint64_t needed)
{
    struct rlimit now, want;

    if (getrlimit(RLIMIT_NOFILE, &now) != 0) {
        SLR_WARN("nofile_unknown", "errno=%d", errno);
        return 0;
    }
    if (now.rlim_max < needed) { /* only a privileged process may */
        want = (struct rlimit){.rlim_cur = needed, .rlim_max = needed};
        if (setrlimit(RLIMIT_NOFILE, &want) == 0) {
            now = want;
        }
    }
    if (now.rlim_cur < now.rlim_max) {
        want = (struct rlimit){.rlim_cur = now.rlim_max, .rlim_max = now.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &want) == 0) {
            now = want;
        }
    }
    if (now.rlim_cur < needed) {
        SLR_WARN("nofile_too_low", "limit=%" PRIu64 " needed=%" PRIu64 " raise=%s",
                 (uint64_t)now.rlim_cur, needed,
                 SLR_Q("LimitNOFILE= of the unit, or ulimit -n, or use a smaller -S"));
    }
    return (uint64_t)now.rlim_cur;
}
