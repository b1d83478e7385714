/*
 * explain_rows: joins spans to rows, and says in words what a row is. Pure, see the header.
 */
#include "ctl/explain_rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"

#define MS_MAX 1e12 /* 30 years: what is beyond is nonsense */

static enum slr_span_kind kind_of(const char *name)
{
    for (int k = 0; name && k < SLR_SPAN_COUNT; k++) {
        if (strcmp(name, slr_span_name((enum slr_span_kind)k)) == 0) {
            return (enum slr_span_kind)k;
        }
    }
    return SLR_SPAN_COUNT;
}

/* What the sender meant to be heard: it is no news in a table. */
static bool is_sound(enum slr_span_kind kind)
{
    return kind == SLR_SPAN_RECEIVED || kind == SLR_SPAN_COMFORT || kind == SLR_SPAN_EVENT;
}

static double ms_of(const json_t *o, const char *key, double ticks_hz)
{
    double ms = (double)slr_json_i64(o, key, 0) * 1000 / ticks_hz;
    return ms > 0 ? fmin(ms, MS_MAX) : 0;
}

bool slr_explain_span(const json_t *span, double ticks_hz, struct slr_explain_row *row)
{
    enum slr_span_kind kind = kind_of(slr_json_str(span, "kind"));
    enum slr_span_kind cause = kind_of(slr_json_str(span, "cause"));
    if (kind == SLR_SPAN_COUNT) {
        return false; /* of a later version */
    }
    *row = (struct slr_explain_row){.kind = kind, .times = 1};
    row->start_ms = ms_of(span, "start_ticks", ticks_hz);
    row->of_kind_ms = ms_of(span, "len_ticks", ticks_hz);
    row->end_ms = row->start_ms + row->of_kind_ms;
    row->packets = slr_json_u64(span, "packets", 0) & UINT32_MAX;
    if (kind == SLR_SPAN_CORRECTED) {
        row->packets = slr_json_u64(span, "removed", 0) & UINT32_MAX;
    }
    row->late = slr_json_u64(span, "late", 0) & UINT32_MAX;
    row->cause = kind == SLR_SPAN_CONCEALED && cause != SLR_SPAN_COUNT ? (uint8_t)cause : 0;
    return true;
}

/* The same, all that the sender meant to be heard being one. */
static bool read_span(const json_t *span, double ticks_hz, struct slr_explain_row *row)
{
    if (!slr_explain_span(span, ticks_hz, row)) {
        return false;
    }
    if (is_sound(row->kind)) {
        row->comfort_ms = row->kind == SLR_SPAN_COMFORT ? row->of_kind_ms : 0;
        row->events = row->kind == SLR_SPAN_EVENT;
        row->kind = SLR_SPAN_RECEIVED;
    }
    return true;
}

static void add_sums(struct slr_explain_sums *s, const struct slr_explain_row *r)
{
    if (r->kind == SLR_SPAN_CONCEALED && r->cause != 0) {
        s->healed_times++;
        s->healed_packets += r->packets;
        s->healed_ms += r->of_kind_ms;
        return;
    }
    if (s->times[r->kind]++ == 0) {
        s->first_at_ms[r->kind] = r->start_ms;
    }
    s->packets[r->kind] += r->packets;
    s->ms[r->kind] += r->of_kind_ms;
    s->late += r->late;
    if (r->of_kind_ms > s->longest_ms[r->kind]) {
        s->longest_ms[r->kind] = r->of_kind_ms;
        s->longest_at_ms[r->kind] = r->start_ms;
    }
}

static bool same(const struct slr_explain_row *a, const struct slr_explain_row *b)
{
    return a->kind == b->kind && a->cause == b->cause;
}

static void join(struct slr_explain_row *to, const struct slr_explain_row *more)
{
    to->end_ms = more->end_ms;
    to->times += more->times;
    to->packets += more->packets;
    to->late += more->late;
    to->of_kind_ms += more->of_kind_ms;
    to->comfort_ms += more->comfort_ms;
    to->events += more->events;
}

/* Neighbours of one kind, and trouble of one kind with less than `apart_ms` of sound between. */
static size_t join_rows(struct slr_explain_row *row, size_t count, double apart_ms)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (n > 0 && same(&row[n - 1], &row[i])) {
            join(&row[n - 1], &row[i]);
            continue;
        }
        bool again = n > 1 && !is_sound(row[i].kind) && is_sound(row[n - 1].kind) &&
                     same(&row[n - 2], &row[i]) &&
                     row[n - 1].end_ms - row[n - 1].start_ms < apart_ms;
        if (again) {
            row[n - 2].events += row[n - 1].events;
            join(&row[n - 2], &row[i]);
            n--;
        } else {
            row[n++] = row[i];
        }
    }
    return n;
}

bool slr_explain_rows(const json_t *spans, double ticks_hz, struct slr_explain_row **rows,
                      size_t *count, struct slr_explain_sums *sums)
{
    static const double apart_ms[] = {0, 500, 2000, 10000, 60000, 600000, MS_MAX};
    size_t i = 0;
    json_t *span = NULL;
    memset(sums, 0, sizeof *sums);
    *count = 0;
    *rows = calloc(json_array_size(spans) + 1, sizeof **rows);
    if (!*rows) {
        return false;
    }
    json_array_foreach(spans, i, span)
    {
        if (read_span(span, ticks_hz, &(*rows)[*count])) {
            add_sums(sums, &(*rows)[*count]);
            (*count)++;
        }
    }
    for (i = 0; i < sizeof apart_ms / sizeof apart_ms[0]; i++) {
        *count = join_rows(*rows, *count, apart_ms[i]);
        if (i >= 1 && *count <= SLR_EXPLAIN_ROWS_MAX) {
            break;
        }
    }
    return true;
}

static const char *words_of(const struct slr_explain_row *r)
{
    switch (r->kind) {
    case SLR_SPAN_CONCEALED:
        return r->cause ? "lost, and filled by the codec" : "came and could not be decoded";
    case SLR_SPAN_HOLD:
        return "on hold";
    case SLR_SPAN_PAUSED:
        return "recording paused";
    case SLR_SPAN_ABSENT:
        return "nothing was heard";
    case SLR_SPAN_ENDED:
        return "this leg was over";
    case SLR_SPAN_LOST_NETWORK:
        return "lost in the network";
    case SLR_SPAN_LOST_KERNEL:
        return "dropped by this host's kernel";
    case SLR_SPAN_LOST_QUEUE:
        return "dropped by the recorder, whose packet memory was full";
    case SLR_SPAN_LOST_DISK:
        return "could not be written";
    case SLR_SPAN_ENGINE_DOWN:
        return "the recorder was not running";
    case SLR_SPAN_CLOCK:
        return "the sender's clock jumped over it";
    case SLR_SPAN_CORRECTED:
        return "corrected for clock skew";
    case SLR_SPAN_RECEIVED:
    case SLR_SPAN_COMFORT:
    case SLR_SPAN_EVENT:
    case SLR_SPAN_COUNT:
        break;
    }
    return "received";
}

static void what_sound(const struct slr_explain_row *r, char *out, size_t size_bytes)
{
    char pauses[64] = "";
    char keys[64] = "";
    char length[32];
    bool only_comfort = r->comfort_ms > 0 && r->of_kind_ms - r->comfort_ms < 0.001;
    slr_explain_length(r->comfort_ms, length);
    if (r->comfort_ms > 0 && !only_comfort) {
        snprintf(pauses, sizeof pauses, ", %s of it announced as silence", length);
    }
    if (r->events > 0) {
        snprintf(keys, sizeof keys, ", %llu key press%s", (unsigned long long)r->events,
                 r->events == 1 ? "" : "es");
    }
    snprintf(out, size_bytes, "%s%s%s",
             only_comfort ? "silence that the sender announced" : "received", pauses, keys);
}

void slr_explain_what(const struct slr_explain_row *r, char *out, size_t size_bytes)
{
    char times[96] = "";
    char packets[48] = "";
    char late[64] = "";
    char length[32];
    if (is_sound(r->kind)) {
        what_sound(r, out, size_bytes);
        return;
    }
    slr_explain_length(r->of_kind_ms, length);
    if (r->times > 1) {
        snprintf(times, sizeof times, ", %llu times, together %s", (unsigned long long)r->times,
                 length);
    }
    if (r->packets > 0) {
        bool samples = r->kind == SLR_SPAN_CORRECTED;
        snprintf(packets, sizeof packets, samples ? " (%llu sample%s removed)" : " (%llu packet%s)",
                 (unsigned long long)r->packets, r->packets == 1 ? "" : "s");
    }
    if (r->late > 0) {
        snprintf(late, sizeof late, "; %llu came too late", (unsigned long long)r->late);
    }
    snprintf(out, size_bytes, "%s%s%s%s", words_of(r), times, packets, late);
}

void slr_explain_position(double ms, char out[static 32])
{
    uint64_t n = ms > 0 ? (uint64_t)llround(fmin(ms, MS_MAX)) : 0;
    unsigned long long h = n / 3600000;
    unsigned m = (unsigned)(n / 60000 % 60);
    unsigned s = (unsigned)(n / 1000 % 60);
    unsigned rest = (unsigned)(n % 1000);
    if (h > 0) {
        snprintf(out, 32, "%02llu:%02u:%02u.%03u", h, m, s, rest);
    } else {
        snprintf(out, 32, "%02u:%02u.%03u", m, s, rest);
    }
}

void slr_explain_length(double ms, char out[static 32])
{
    double n = ms > 0 ? fmin(ms, MS_MAX) : 0;
    if (n < 999.5) {
        bool whole = fabs(n - nearbyint(n)) < 0.005;
        snprintf(out, 32, whole ? "%.0f ms" : "%.2f ms", n);
    } else if (n < 59999.5) {
        snprintf(out, 32, "%.3f s", n / 1000);
    } else {
        slr_explain_position(n, out);
    }
}
