/*
 * log: builds each line in a buffer on the stack and hands it over with one write(2).
 *
 * Process-wide state (component, level, rate, descriptor) is a few atomics set at start-up and by
 * slr_log_configure; it is the one exception to "no mutable globals", so that every module can log
 * without a context. Any thread; allocates nothing; errno is left as it was.
 */
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/slice.h"

#define LINE_BYTES 2048
#define CONFIG_BYTES 8192
#define QUOTE_BYTES 256
#define QUOTE_COUNT 8
#define RATE_DEFAULT 10

static const char *const level_names[] = {"DEBUG", "INFO", "WARN", "ERROR"};

static struct {
    _Atomic(const char *) component;
    _Atomic int level;
    _Atomic int fd;
    _Atomic uint32_t rate; /* lines a second and site, 0: no limit */
} state = {"slr", SLR_LOG_INFO, STDERR_FILENO, RATE_DEFAULT};

void slr_log_init(const char *component, enum slr_log_level level)
{
    atomic_store(&state.component, component);
    atomic_store(&state.level, (int)level);
}

/* Ends the text as one line: what is too long is cut visibly, control characters become '?'. */
static void write_line(char *line, int len, size_t prefix_bytes)
{
    size_t n = len < 0 ? prefix_bytes : (size_t)len;
    if (n > LINE_BYTES - 2) {
        n = LINE_BYTES - 2;
        for (size_t i = n - 3; i < n; i++) {
            line[i] = '.';
        }
    }
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)line[i];
        if (c < 0x20 || c == 0x7f) {
            line[i] = '?';
        }
    }
    line[n++] = '\n';
    ssize_t done;
    do {
        done = write(atomic_load(&state.fd), line, n);
    } while (done < 0 && errno == EINTR);
}

static size_t put_prefix(char line[static LINE_BYTES], enum slr_log_level level, const char *event)
{
    char when[32];
    slr_wall_format(slr_clock_wall(slr_clock_real()), when);
    unsigned i = (unsigned)level <= SLR_LOG_ERROR ? (unsigned)level : SLR_LOG_ERROR;
    int n = snprintf(line, LINE_BYTES / 2, "%s %s %s %s", when, level_names[i],
                     atomic_load(&state.component), event);
    if (n < 0) {
        return 0;
    }
    return n < LINE_BYTES / 2 ? (size_t)n : LINE_BYTES / 2 - 1;
}

/* Counts a line against its site's second. False: suppress it. A window that starts gives in
 * *suppressed how many the last one cost. */
static bool admit(struct slr_log_site *site, uint32_t rate, uint32_t *suppressed)
{
    int64_t now_ns = slr_clock_mono(slr_clock_real()).ns;
    int64_t window_ns = atomic_load(&site->window_ns);

    *suppressed = 0;
    if (rate == 0) {
        return true;
    }
    if ((window_ns == 0 || now_ns - window_ns >= SLR_NS_PER_S) &&
        atomic_compare_exchange_strong(&site->window_ns, &window_ns, now_ns)) {
        atomic_store(&site->count, 0);
        *suppressed = atomic_exchange(&site->suppressed, 0);
    }
    if (atomic_fetch_add(&site->count, 1) < rate) {
        return true;
    }
    atomic_fetch_add(&site->suppressed, 1);
    return false;
}

void slr_log_event(struct slr_log_site *site, enum slr_log_level level, const char *event,
                   const char *fmt, ...)
{
    if ((int)level < atomic_load(&state.level)) {
        return;
    }
    int saved_errno = errno;
    uint32_t suppressed;
    bool admitted = admit(site, atomic_load(&state.rate), &suppressed);
    char line[LINE_BYTES];

    if (suppressed > 0) {
        size_t n = put_prefix(line, level, event);
        int more = snprintf(line + n, LINE_BYTES - n, " suppressed=%" PRIu32, suppressed);
        write_line(line, more < 0 ? -1 : (int)n + more, n);
    }
    if (admitted) {
        size_t n = put_prefix(line, level, event);
        va_list args;
        if (fmt[0] != '\0') {
            line[n++] = ' ';
        }
        va_start(args, fmt);
        int more = vsnprintf(line + n, LINE_BYTES - n, fmt, args);
        va_end(args);
        write_line(line, more < 0 ? -1 : (int)n + more, n);
    }
    errno = saved_errno;
}

/* Length of the well-formed UTF-8 sequence at `at` (no C1 controls, no surrogates), 0: none. */
static size_t utf8_len(const unsigned char *at)
{
    unsigned c = at[0], low = 0x80, high = 0xbf;
    size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;

    if (c < 0xc2 || c > 0xf4) {
        return 0;
    }
    low = c == 0xc2 || c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : low;
    high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : high;
    if (at[1] < low || at[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < n; i++) {
        if (at[i] < 0x80 || at[i] > 0xbf) {
            return 0;
        }
    }
    return n;
}

static bool is_bare(const char *text)
{
    for (const char *c = text; *c; c++) {
        if (*c <= ' ' || *c > '~' || *c == '"' || *c == '\\' || *c == '=') {
            return false;
        }
    }
    return text[0] != '\0';
}

const char *slr_log_quote(const char *text)
{
    static _Thread_local char ring[QUOTE_COUNT][QUOTE_BYTES];
    static _Thread_local unsigned turn;
    char *out = ring[turn++ % QUOTE_COUNT];
    /* Room is kept for the dots of a cut, the closing quote and the NUL. */
    struct slr_put p = slr_put_of(out, QUOTE_BYTES - 5);

    if (!text) {
        return "-";
    }
    bool bare = is_bare(text);
    if (!bare) {
        slr_put_u8(&p, '"');
    }
    while (*text && !p.overflow) {
        unsigned char c = (unsigned char)*text;
        size_t n = c < 0x80 ? 1 : utf8_len((const unsigned char *)text);
        if (c == '"' || c == '\\') {
            slr_put_bytes(&p, (const char[2]){'\\', (char)c}, 2);
        } else if (n == 0 || c < ' ' || c == 0x7f) {
            static const char hex[] = "0123456789abcdef";
            slr_put_bytes(&p, (const char[4]){'\\', 'x', hex[c >> 4], hex[c & 15]}, 4);
            n = 1;
        } else {
            slr_put_bytes(&p, text, n);
        }
        text += n;
    }
    size_t len = p.len_bytes;
    if (p.overflow) {
        memcpy(out + len, "...", 3);
        len += 3;
    }
    if (!bare) {
        out[len++] = '"';
    }
    out[len] = '\0';
    return out;
}

struct settings {
    int level; /* -1: not given */
    int64_t rate;
    char file[1024];
};

static bool set_key(struct settings *s, struct slr_slice key, struct slr_slice value)
{
    uint64_t number;

    if (slr_slice_eq(key, "level")) {
        for (int i = 0; i < 4; i++) {
            if (slr_slice_eq_nocase(value, level_names[i])) {
                s->level = i;
                return true;
            }
        }
        return false;
    }
    if (slr_slice_eq(key, "rate")) {
        if (!slr_slice_to_u64(value, 1000000, &number)) {
            return false;
        }
        s->rate = (int64_t)number;
        return true;
    }
    if (slr_slice_eq(key, "file")) {
        return value.len_bytes > 0 && slr_slice_to_str(value, s->file, sizeof s->file);
    }
    char text[64];
    (void)slr_slice_to_str(key, text, sizeof text); /* a long key is shown cut */
    SLR_WARN("log_config_unknown", "key=%s", SLR_Q(text));
    return true;
}

static enum slr_err read_settings(int fd, struct settings *s)
{
    char text[CONFIG_BYTES];
    size_t len = 0;
    struct slr_slice rest, line, key;

    for (;;) {
        ssize_t n = read(fd, text + len, sizeof text - len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return slr_err_from_errno(errno);
        }
        if (n == 0) {
            break;
        }
        len += (size_t)n;
        if (len == sizeof text) {
            return SLR_TOOLONG;
        }
    }
    rest = slr_slice_of(text, len);
    while (slr_slice_take_line(&rest, &line)) {
        line = slr_slice_trim(line);
        if (line.len_bytes == 0 || line.at[0] == '#' || line.at[0] == '!') {
            continue;
        }
        if (!slr_slice_take_token(&line, '=', &key) ||
            !set_key(s, slr_slice_trim(key), slr_slice_trim(line))) {
            return SLR_FORMAT;
        }
    }
    return SLR_OK;
}

/* A second file takes the first one's descriptor number in one step (dup3), so that no thread
 * ever writes to a closed one. */
static enum slr_err switch_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    int old = atomic_load(&state.fd);
    if (fd < 0) {
        return slr_err_from_errno(errno);
    }
    if (old == STDERR_FILENO) {
        atomic_store(&state.fd, fd);
        return SLR_OK;
    }
    enum slr_err err = dup3(fd, old, O_CLOEXEC) < 0 ? slr_err_from_errno(errno) : SLR_OK;
    close(fd);
    return err;
}

enum slr_err slr_log_configure(const char *path)
{
    struct settings s = {.level = -1, .rate = -1};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return slr_err_from_errno(errno);
    }
    enum slr_err err = read_settings(fd, &s);
    close(fd);
    if (err == SLR_OK && s.file[0] != '\0') {
        err = switch_file(s.file);
    }
    if (err != SLR_OK) {
        return err;
    }
    if (s.level >= 0) {
        atomic_store(&state.level, s.level);
    }
    if (s.rate >= 0) {
        atomic_store(&state.rate, (uint32_t)s.rate);
    }
    return SLR_OK;
}
