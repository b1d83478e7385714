/*
 * log: events with a name and key=value fields, one line each, to standard error or a file.
 *
 * Line: `2026-11-20T19:01:02.123Z LEVEL component event key=value key="with blanks"`. Rate-limited
 * per call site (default 10 a second, then one line with how many were suppressed; 0: no limit).
 * Never called per packet; never given keys, dialled digits or audio. Any thread; one write(2) a
 * line; allocates nothing. The configuration (-l FILE) is a properties file:
 * level=debug|info|warn|error, file=PATH, rate=N; unknown keys are reported and ignored.
 */
#ifndef SLR_COMMON_LOG_H
#define SLR_COMMON_LOG_H

#include <stdatomic.h>
#include <stdint.h>

#include "common/err.h"

enum slr_log_level { SLR_LOG_DEBUG, SLR_LOG_INFO, SLR_LOG_WARN, SLR_LOG_ERROR };

/* State of one call site, made by the macros. */
struct slr_log_site {
    _Atomic int64_t window_ns;
    _Atomic uint32_t count;
    _Atomic uint32_t suppressed;
};

/* component: program name in each line, borrowed for ever. Before init lines go to standard error
 * at level info. */
void slr_log_init(const char *component, enum slr_log_level level);
enum slr_err slr_log_configure(const char *path) SLR_CHECKED;

/* fmt gives the fields: "call=%s port=%u". Text values that can hold blanks or quotes or come from
 * a peer go through SLR_Q() with a %s. */
void slr_log_event(struct slr_log_site *site, enum slr_log_level level, const char *event,
                   const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Quotes and escapes into a thread-local rotating buffer (8 of 256 bytes), valid until the
 * eighth next call on this thread. */
const char *slr_log_quote(const char *text);
#define SLR_Q(text) slr_log_quote(text)

#define SLR_LOG_AT(level, event, ...)                                                              \
    do {                                                                                           \
        static struct slr_log_site slr_site_;                                                      \
        slr_log_event(&slr_site_, level, event, __VA_ARGS__);                                      \
    } while (0)
#define SLR_DEBUG(event, ...) SLR_LOG_AT(SLR_LOG_DEBUG, event, __VA_ARGS__)
#define SLR_INFO(event, ...) SLR_LOG_AT(SLR_LOG_INFO, event, __VA_ARGS__)
#define SLR_WARN(event, ...) SLR_LOG_AT(SLR_LOG_WARN, event, __VA_ARGS__)
#define SLR_ERROR(event, ...) SLR_LOG_AT(SLR_LOG_ERROR, event, __VA_ARGS__)

#endif
