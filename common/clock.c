/*
 * clock: the kernel's clocks and the virtual one, tick conversion, RFC 3339 text.
 *
 * A virtual clock's time is one atomic, written by its driver and read by anybody. Only
 * slr_clock_virtual allocates.
 */
#include "common/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* 14,112,000 / 1e9 in lowest terms. */
#define TICKS_PART 441
#define NS_PART 31250

struct slr_clock {
    bool is_virtual;
    _Atomic int64_t wall_ns;
};

static const struct slr_clock real_clock = {.is_virtual = false};

static int64_t read_ns(clockid_t id)
{
    struct timespec ts = {0, 0};
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * SLR_NS_PER_S + ts.tv_nsec;
}

const struct slr_clock *slr_clock_real(void)
{
    return &real_clock;
}

struct slr_clock *slr_clock_virtual(slr_wall wall)
{
    struct slr_clock *clock = malloc(sizeof *clock);
    if (clock) {
        clock->is_virtual = true;
        atomic_init(&clock->wall_ns, wall.ns);
    }
    return clock;
}

void slr_clock_free(struct slr_clock *clock)
{
    free(clock);
}

void slr_clock_advance(struct slr_clock *clock, slr_wall wall)
{
    if (atomic_load_explicit(&clock->wall_ns, memory_order_relaxed) < wall.ns) {
        atomic_store_explicit(&clock->wall_ns, wall.ns, memory_order_release);
    }
}

bool slr_clock_is_virtual(const struct slr_clock *clock)
{
    return clock->is_virtual;
}

slr_mono slr_clock_mono(const struct slr_clock *clock)
{
    if (!clock->is_virtual) {
        return (slr_mono){read_ns(CLOCK_MONOTONIC)};
    }
    return (slr_mono){atomic_load_explicit(&clock->wall_ns, memory_order_acquire)};
}

slr_wall slr_clock_wall(const struct slr_clock *clock)
{
    if (!clock->is_virtual) {
        return (slr_wall){read_ns(CLOCK_REALTIME)};
    }
    return (slr_wall){atomic_load_explicit(&clock->wall_ns, memory_order_acquire)};
}

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return a % b < 0 ? q - 1 : q;
}

/* value * mul / div without a product that overflows: the whole part first, then the rest. */
static int64_t scale_floor(int64_t value, int64_t mul, int64_t div)
{
    int64_t whole = floor_div(value, div);
    int64_t rest = value - whole * div;
    return whole * mul + rest * mul / div;
}

int64_t slr_ticks_from_ns(int64_t ns)
{
    return scale_floor(ns, TICKS_PART, NS_PART);
}

int64_t slr_ns_from_ticks(int64_t ticks)
{
    return scale_floor(ticks, NS_PART, TICKS_PART);
}

void slr_wall_format(slr_wall wall, char out[static 32])
{
    int64_t ms = floor_div(wall.ns, SLR_NS_PER_MS);
    time_t seconds = (time_t)floor_div(ms, 1000);
    int rest_ms = (int)(ms - (int64_t)seconds * 1000);
    struct tm tm = {0};
    gmtime_r(&seconds, &tm); /* cannot fail: int64 nanoseconds stay within the years 1677..2262 */
    char date[24];
    if (strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm) == 0) {
        date[0] = '\0';
    }
    snprintf(out, 32, "%s.%03dZ", date, rest_ms);
}

/* Exactly `digits` decimal digits at *text, which moves past them. */
static bool take_number(const char **text, int digits, int min, int max, int *out)
{
    int value = 0;
    for (int i = 0; i < digits; i++) {
        char c = (*text)[i];
        if (c < '0' || c > '9') {
            return false;
        }
        value = value * 10 + (c - '0');
    }
    *text += digits;
    *out = value;
    return value >= min && value <= max;
}

static bool take_char(const char **text, char c)
{
    if (**text != c) {
        return false;
    }
    (*text)++;
    return true;
}

/* ".123" with one digit or more; what is finer than a nanosecond is dropped. */
static bool take_fraction(const char **text, int64_t *ns)
{
    int64_t unit = SLR_NS_PER_S / 10;
    *ns = 0;
    if (!take_char(text, '.')) {
        return true;
    }
    if (**text < '0' || **text > '9') {
        return false;
    }
    for (; **text >= '0' && **text <= '9'; (*text)++) {
        *ns += (**text - '0') * unit;
        unit /= 10;
    }
    return true;
}

bool slr_wall_parse(const char *text, slr_wall *out)
{
    int year, month, day, hour, minute, second;
    int64_t fraction_ns, ns;

    if (!text || !take_number(&text, 4, 1678, 2261, &year) || !take_char(&text, '-') ||
        !take_number(&text, 2, 1, 12, &month) || !take_char(&text, '-') ||
        !take_number(&text, 2, 1, 31, &day) || !take_char(&text, 'T') ||
        !take_number(&text, 2, 0, 23, &hour) || !take_char(&text, ':') ||
        !take_number(&text, 2, 0, 59, &minute) || !take_char(&text, ':') ||
        !take_number(&text, 2, 0, 60, &second) || !take_fraction(&text, &fraction_ns)) {
        return false;
    }
    if (*text == 'Z') {
        text++;
    }
    if (*text != '\0') {
        return false;
    }
    struct tm tm = {.tm_year = year - 1900,
                    .tm_mon = month - 1,
                    .tm_mday = day,
                    .tm_hour = hour,
                    .tm_min = minute,
                    .tm_sec = second};
    int64_t seconds = (int64_t)timegm(&tm);
    if (tm.tm_mday != day && second != 60) {
        return false; /* timegm moved 31 April on to 1 May */
    }
    ns = seconds * SLR_NS_PER_S + fraction_ns;
    *out = (slr_wall){ns};
    return true;
}
