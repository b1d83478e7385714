/*
 * clock: monotonic and wall time as types of their own, real or driven by a capture file.
 *
 * Live processes read the kernel's clocks; on import and in simulations the reader of the capture
 * advances a virtual clock, and everything that asks for time gets capture time, so the same file
 * gives the same result. Time is read once a burst and handed down. Reading is allowed from any
 * thread; slr_clock_advance only from the one thread that drives a virtual clock.
 */
#ifndef SLR_COMMON_CLOCK_H
#define SLR_COMMON_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Nanoseconds of CLOCK_MONOTONIC (or of the virtual clock). Comparable within one boot. */
typedef struct {
    int64_t ns;
} slr_mono;

/* Nanoseconds since 1970-01-01 UTC. */
typedef struct {
    int64_t ns;
} slr_wall;

#define SLR_NS_PER_MS 1000000LL
#define SLR_NS_PER_S 1000000000LL

/* Ticks of the session timeline: 1/14,112,000 s, a whole number of ticks per sample at 8000,
 * 11025, 12000, 16000, 22050, 24000, 32000, 44100 and 48000 Hz. */
#define SLR_TICKS_HZ 14112000LL

struct slr_clock; /* opaque */

/* The kernel's clocks. Never freed, shared by all. */
const struct slr_clock *slr_clock_real(void);

/* A virtual clock standing at `wall`, with monotonic time equal to wall time. NULL: no memory.
 * Freed with slr_clock_free. */
struct slr_clock *slr_clock_virtual(slr_wall wall);
void slr_clock_free(struct slr_clock *clock);

/* Moves a virtual clock forward to `wall`; going back is ignored. */
void slr_clock_advance(struct slr_clock *clock, slr_wall wall);

bool slr_clock_is_virtual(const struct slr_clock *clock);
slr_mono slr_clock_mono(const struct slr_clock *clock);
slr_wall slr_clock_wall(const struct slr_clock *clock);

/* Conversions; round towards minus infinity. Valid for |ns| up to 20 years. */
int64_t slr_ticks_from_ns(int64_t ns);
int64_t slr_ns_from_ticks(int64_t ticks);

/* RFC 3339 UTC with milliseconds, "2026-11-20T19:01:02.123Z" (24 characters and NUL).
 * out must have 32 bytes. */
void slr_wall_format(slr_wall wall, char out[static 32]);
/* Parses the same form (fraction and zone optional, zone only Z); false when malformed. */
bool slr_wall_parse(const char *text, slr_wall *out);

#endif
