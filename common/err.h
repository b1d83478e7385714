/*
 * err: the one list of errors (err.def). Pure, any thread, allocates nothing.
 */
#ifndef SLR_COMMON_ERR_H
#define SLR_COMMON_ERR_H

enum slr_err {
#define ERR(name, text) SLR_##name,
#include "common/err.def"
#undef ERR
    SLR_ERR_COUNT
};

/* Results are always looked at: functions that can fail carry this. */
#define SLR_CHECKED __attribute__((warn_unused_result))

/* Short upper-case name ("NOMEM"), never NULL; "?" out of range. Static storage. */
const char *slr_err_name(enum slr_err err);

/* One English phrase, never NULL. Static storage. */
const char *slr_err_text(enum slr_err err);

/* Maps an errno value (ENOSPC, EAGAIN, EACCES, ...) to the nearest slr_err; 0 gives SLR_OK. */
enum slr_err slr_err_from_errno(int errnum);

#endif
