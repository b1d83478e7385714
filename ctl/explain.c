/*
 * explain: facts of each leg, and the sentences of the conclusion. Pure, see the header.
 */
#include "ctl/explain.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "ctl/explain_rows.h"

#define TEXT_SIZE 512
#define POOR_MOS 3.6
#define QUIET_DBOV (-45.0)
#define LOUD_DBOV (-9.0)
#define CLIPPED_PCT 0.1
#define DEAD_PCT 95.0
#define OFFSET_PCT 1.0

/* A leg under examination. */
struct leg {
    const json_t *ledger; /* its object there */
    char who[96];
    struct slr_explain_sums sums;
    const json_t *quality;
};

static double real_of(const json_t *o, const char *key, double def)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : def;
}

/* Bytes that move a terminal's cursor are never printed; nor is what is no ASCII. */
static void clean(const char *text, char *out, size_t size_bytes)
{
    size_t n = 0;
    for (; text && *text && n + 1 < size_bytes; text++) {
        out[n++] = *text >= ' ' && *text <= '~' ? *text : '?';
    }
    out[n] = '\0';
}

static void put_clean(json_t *to, const char *key, const json_t *from, const char *name)
{
    char text[TEXT_SIZE];
    clean(slr_json_str(from, name), text, sizeof text);
    json_object_set_new(to, key, json_string(text));
}

static void say(json_t *list, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(json_t *list, const char *fmt, ...)
{
    char text[TEXT_SIZE];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    json_array_append_new(list, json_string(text));
}

static void name_leg(struct leg *l)
{
    char dn[64];
    clean(slr_json_str(l->ledger, "dn"), dn, sizeof dn);
    if (dn[0]) {
        snprintf(l->who, sizeof l->who, "%s", dn);
    } else {
        snprintf(l->who, sizeof l->who, "channel %lld",
                 (long long)slr_json_i64(l->ledger, "channel", 0));
    }
}

static const char *verdict_of(double mos)
{
    return mos >= 4.3        ? "excellent"
           : mos >= 4.0      ? "good"
           : mos >= POOR_MOS ? "fair"
           : mos >= 2.6      ? "poor"
                             : "bad";
}

static json_t *quality_words(const json_t *q)
{
    char text[TEXT_SIZE];
    const json_t *level = json_object_get(q, "level");
    char sound[160] = "";
    if (!json_is_object(q)) {
        return json_string("not measured");
    }
    if (json_is_object(level)) {
        snprintf(sound, sizeof sound,
                 "; speech at %.1f dBov, peak %.1f, silent %.0f %% of the time",
                 real_of(level, "active_dbov", 0), real_of(level, "peak_dbov", 0),
                 real_of(level, "silence_pct", 0));
    }
    if (json_is_number(json_object_get(q, "mos"))) {
        double mos = real_of(q, "mos", 1);
        snprintf(text, sizeof text, "MOS %.2f, %s%s", mos, verdict_of(mos), sound);
    } else {
        char why[32];
        clean(slr_json_str(q, "mos_missing"), why, sizeof why);
        snprintf(text, sizeof text, "no MOS (%s)%s", why, sound);
    }
    return json_string(text);
}

static json_t *transport_words(const struct leg *l)
{
    char text[TEXT_SIZE];
    char codec[32], suite[40];
    char src[80] = "";
    uint64_t packets = 0;
    size_t i = 0;
    json_t *st = NULL;
    const json_t *streams = json_object_get(l->ledger, "streams");
    json_array_foreach(streams, i, st)
    {
        packets += slr_json_u64(st, "packets", 0) & UINT32_MAX;
        clean(slr_json_str(st, "src"), src, sizeof src);
    }
    if (packets == 0) {
        return json_string("no packet was taken");
    }
    clean(slr_json_str(l->quality, "codec"), codec, sizeof codec);
    clean(slr_json_str(json_object_get(l->ledger, "srtp"), "suite"), suite, sizeof suite);
    int n = snprintf(text, sizeof text, "%s%s%s%s%sfrom %s, %llu packets", codec,
                     codec[0] ? " " : "", suite[0] ? "by SRTP (" : "", suite, suite[0] ? ") " : "",
                     src, (unsigned long long)packets);
    if (json_array_size(streams) > 1 && n > 0) {
        n += snprintf(text + n, sizeof text - (size_t)n, " in %zu streams",
                      json_array_size(streams));
    }
    if (json_is_object(l->quality) && n > 0) {
        snprintf(text + n, sizeof text - (size_t)n,
                 ", %llu lost (%.2f %%), jitter %.1f ms, at most %.1f ms",
                 (unsigned long long)slr_json_u64(l->quality, "lost", 0),
                 real_of(l->quality, "loss_pct", 0), real_of(l->quality, "jitter_ms", 0),
                 real_of(l->quality, "jitter_max_ms", 0));
    }
    return json_string(text);
}

static json_t *rows_json(const struct slr_explain_row *row, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        char what[TEXT_SIZE];
        slr_explain_what(&row[i], what, sizeof what);
        json_array_append_new(list, json_pack("{s:f,s:f,s:s,s:s}", "start_ms", row[i].start_ms,
                                              "len_ms", row[i].end_ms - row[i].start_ms, "kind",
                                              slr_span_name(row[i].kind), "what", what));
    }
    return list;
}

static const char *clock_words(const char *kind)
{
    static const char *const words[][2] = {
        {"ts-jump", "timestamps jumped while no time passed"},
        {"ts-still", "time passed and timestamps did not follow"},
        {"rate", "the sender's clock runs at another speed"},
        {"step", "the delay between sender and recorder changed"},
        {"restart", "the sender began its numbers anew"},
        {"burst", "the network held packets back, then all came at once"}};
    for (size_t i = 0; kind && i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(kind, words[i][0]) == 0) {
            return words[i][1];
        }
    }
    return "the clocks parted";
}

static json_t *clock_json(const json_t *notes, double ticks_hz)
{
    json_t *list = json_array();
    size_t i = 0;
    json_t *note = NULL;
    json_array_foreach(notes, i, note)
    {
        char text[TEXT_SIZE];
        const char *winner = slr_json_str(note, "winner");
        bool rtp = winner && strcmp(winner, "rtp") == 0;
        double at_ms = (double)slr_json_i64(note, "at_ticks", 0) * 1000 / ticks_hz;
        snprintf(text, sizeof text, "%s; placed by %s", clock_words(slr_json_str(note, "kind")),
                 rtp ? "RTP time" : "arrival");
        json_array_append_new(list, json_pack("{s:f,s:s}", "at_ms", at_ms, "what", text));
    }
    return list;
}

static const char *alarm_words(const char *cause)
{
    static const char *const words[][2] = {
        {"no-packets", "no packets came"},
        {"no-audio", "packets came, but only digital silence in them"},
        {"comfort-only", "nothing but comfort noise came"},
        {"undecodable", "packets came that could not be decoded"}};
    for (size_t i = 0; cause && i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(cause, words[i][0]) == 0) {
            return words[i][1];
        }
    }
    return "nothing was heard";
}

/* Those of all alarms that are this leg's. */
static json_t *alarms_json(const json_t *alarms, const char *leg)
{
    json_t *list = json_array();
    size_t i = 0;
    json_t *one = NULL;
    json_array_foreach(alarms, i, one)
    {
        char text[TEXT_SIZE];
        char length[32];
        const char *id = slr_json_str(one, "leg");
        bool over = json_is_integer(json_object_get(one, "silent_ms"));
        double silent_ms = (double)slr_json_i64(one, "silent_ms", 0);
        if (!leg || !id || strcmp(id, leg) != 0) {
            continue;
        }
        slr_explain_length(silent_ms, length);
        snprintf(text, sizeof text, "%s; %s%s", alarm_words(slr_json_str(one, "cause")),
                 over ? "heard again after " : "never heard again", over ? length : "");
        json_t *row =
            json_pack("{s:f,s:s}", "at_ms", (double)slr_json_i64(one, "since_ms", 0), "what", text);
        if (row && over) {
            json_object_set_new(row, "len_ms", json_real(silent_ms));
        }
        json_array_append_new(list, row);
    }
    return list;
}

static void conclude_network(json_t *list, const struct leg *l)
{
    const struct slr_explain_sums *s = &l->sums;
    char length[32];
    char longest[32];
    char at[32];
    uint64_t times = s->times[SLR_SPAN_LOST_NETWORK];
    if (times > 0) {
        slr_explain_length(s->ms[SLR_SPAN_LOST_NETWORK], length);
        slr_explain_length(s->longest_ms[SLR_SPAN_LOST_NETWORK], longest);
        slr_explain_position(s->longest_at_ms[SLR_SPAN_LOST_NETWORK], at);
        say(list,
            "The network lost %llu packets from %s at %llu place%s, %s in all; the longest gap is "
            "%s at %s.",
            (unsigned long long)s->packets[SLR_SPAN_LOST_NETWORK], l->who,
            (unsigned long long)times, times == 1 ? "" : "s", length, longest, at);
    }
    if (s->late > 0) {
        say(list, "%llu packets from %s came after all, but when their place was written.",
            (unsigned long long)s->late, l->who);
    }
    if (s->healed_times > 0) {
        slr_explain_length(s->healed_ms, length);
        say(list, "%llu more lost packets from %s (%s) were filled in by the codec.",
            (unsigned long long)s->healed_packets, l->who, length);
    }
}

/* "BEFORE who (how much, where) AFTER" */
static void conclude_host(json_t *list, const struct leg *l)
{
    static const struct {
        enum slr_span_kind kind;
        const char *before, *after;
    } row[] = {{SLR_SPAN_LOST_KERNEL, "This host's kernel dropped packets from ",
                ": its receive buffer was full."},
               {SLR_SPAN_LOST_QUEUE, "The recorder had no packet memory left for ",
                ": see --packet-memory and the disk."},
               {SLR_SPAN_LOST_DISK, "The disk did not take what came from ", "."},
               {SLR_SPAN_ENGINE_DOWN, "The recorder was not running to hear ", "."},
               {SLR_SPAN_CONCEALED, "Payload that cannot be decoded came from ",
                ": see its payload types."},
               {SLR_SPAN_CLOCK, "Timestamps jumped over time of ", "."}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        char length[32];
        char at[32];
        if (l->sums.times[row[i].kind] > 0) {
            slr_explain_length(l->sums.ms[row[i].kind], length);
            slr_explain_position(l->sums.first_at_ms[row[i].kind], at);
            say(list, "%s%s (%s, first at %s)%s", row[i].before, l->who, length, at, row[i].after);
        }
    }
}

static void conclude_sound(json_t *list, const struct leg *l)
{
    const json_t *level = json_object_get(l->quality, "level");
    const json_t *mos = json_object_get(l->quality, "mos");
    uint64_t alarms = slr_json_u64(l->quality, "silent_alarms", 0);
    if (json_is_number(mos) && json_number_value(mos) < POOR_MOS) {
        say(list, "%s sounds %s (MOS %.2f).", l->who, verdict_of(json_number_value(mos)),
            json_number_value(mos));
    }
    if (alarms > 0) {
        say(list, "Nothing was heard of %s for so long that the alarm went off, %llu time%s.",
            l->who, (unsigned long long)alarms, alarms == 1 ? "" : "s");
    }
    if (!json_is_object(level)) {
        return;
    }
    if (real_of(level, "digital_silence_pct", 0) > DEAD_PCT) {
        say(list, "%.0f %% of what %s sent is digital silence.",
            real_of(level, "digital_silence_pct", 0), l->who);
    } else if (real_of(level, "active_dbov", -20) < QUIET_DBOV) {
        say(list, "%s is very quiet (%.1f dBov).", l->who, real_of(level, "active_dbov", 0));
    } else if (real_of(level, "active_dbov", -20) > LOUD_DBOV) {
        say(list, "%s is very loud (%.1f dBov).", l->who, real_of(level, "active_dbov", 0));
    }
    if (real_of(level, "clipped_pct", 0) > CLIPPED_PCT) {
        say(list, "%s is clipped (%.2f %% of the samples).", l->who,
            real_of(level, "clipped_pct", 0));
    }
    if (fabs(real_of(level, "dc_pct", 0)) > OFFSET_PCT) {
        say(list, "%s has an offset of %.1f %% of full scale.", l->who,
            real_of(level, "dc_pct", 0));
    }
}

static void conclude_srtp(json_t *list, const struct leg *l)
{
    const char *reason = NULL;
    json_t *count = NULL;
    json_t *failed = json_object_get(json_object_get(l->ledger, "srtp"), "failed");
    json_object_foreach(failed, reason, count)
    {
        char text[64];
        clean(reason, text, sizeof text);
        if (json_integer_value(count) > 0) {
            say(list, "%lld encrypted packets from %s were refused: %s.",
                (long long)json_integer_value(count), l->who, text);
        }
    }
}

static void conclude_leg(json_t *list, const struct leg *l)
{
    size_t clocks = json_array_size(json_object_get(l->ledger, "clock"));
    uint64_t foreign = slr_json_u64(l->ledger, "foreign", 0);
    if (json_array_size(json_object_get(l->ledger, "streams")) == 0) {
        char local[80];
        clean(slr_json_str(l->ledger, "local"), local, sizeof local);
        say(list, "Nothing was heard of %s%s%s%s.", l->who, local[0] ? " at " : "", local,
            foreign > 0 ? "; packets came, but none that could be its own" : "");
        conclude_srtp(list, l);
        return;
    }
    conclude_network(list, l);
    conclude_host(list, l);
    conclude_srtp(list, l);
    conclude_sound(list, l);
    if (clocks > 0) {
        say(list, "The clocks of %s and of this host parted %zu time%s: see there.", l->who, clocks,
            clocks == 1 ? "" : "s");
    }
    if (l->sums.times[SLR_SPAN_CORRECTED] > 0) {
        say(list, "Clock skew of %s was corrected %llu times.", l->who,
            (unsigned long long)l->sums.times[SLR_SPAN_CORRECTED]);
    }
}

static json_t *explain_leg(const json_t *leg, const json_t *alarms, double ticks_hz,
                           json_t *conclusion)
{
    struct leg l = {.ledger = leg, .quality = json_object_get(leg, "quality")};
    struct slr_explain_row *row = NULL;
    size_t count = 0;
    json_t *o = json_object();
    name_leg(&l);
    if (!o || !slr_explain_rows(json_object_get(leg, "spans"), ticks_hz, &row, &count, &l.sums)) {
        json_decref(o);
        return NULL;
    }
    json_object_set_new(o, "who", json_string(l.who));
    json_object_set_new(o, "channel", json_integer(slr_json_i64(leg, "channel", 0)));
    put_clean(o, "leg", leg, "id");
    json_object_set_new(o, "transport", transport_words(&l));
    json_object_set_new(o, "verdict", quality_words(l.quality));
    json_object_set_new(o, "rows", rows_json(row, count));
    json_object_set_new(o, "clock", clock_json(json_object_get(leg, "clock"), ticks_hz));
    json_object_set_new(o, "alarms", alarms_json(alarms, slr_json_str(leg, "id")));
    conclude_leg(conclusion, &l);
    free(row);
    return o;
}

/* Names of all whose channel it is, one after the other. */
static void name_channel(const json_t *legs, int64_t channel, char *out, size_t size_bytes)
{
    size_t i = 0;
    size_t at = 0;
    json_t *leg = NULL;
    out[0] = '\0';
    json_array_foreach(legs, i, leg)
    {
        struct leg l = {.ledger = leg};
        if (slr_json_i64(leg, "channel", 0) != channel) {
            continue;
        }
        name_leg(&l);
        int n = snprintf(out + at, size_bytes - at, "%s%s", at > 0 ? ", then " : "", l.who);
        at += n > 0 ? (size_t)n : 0;
        at = at < size_bytes ? at : size_bytes - 1;
    }
}

/* Each file, and whose it is. */
static json_t *files_json(const json_t *ledger)
{
    json_t *list = json_array();
    size_t i = 0;
    json_t *file = NULL;
    json_array_foreach(json_object_get(ledger, "files"), i, file)
    {
        char who[TEXT_SIZE];
        int64_t channel = slr_json_i64(file, "channel", 0);
        json_t *one = json_pack("{s:I}", "channel", (json_int_t)channel);
        name_channel(json_object_get(ledger, "legs"), channel, who, sizeof who);
        put_clean(one, "file", file, "file");
        json_object_set_new(one, "who", json_string(who));
        json_array_append_new(list, one);
    }
    return list;
}

static void put_head(json_t *o, const json_t *ledger, double ticks_hz)
{
    static const char *const texts[] = {"recording",  "call",  "state",
                                        "end_reason", "start", "file"};
    const json_t *shape = json_object_get(ledger, "shape");
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        put_clean(o, texts[i], ledger, texts[i]);
    }
    put_clean(o, "layout", ledger, "layout");
    json_object_set_new(o, "files", files_json(ledger));
    double len_ms = (double)slr_json_i64(ledger, "len_ticks", 0) * 1000 / ticks_hz;
    json_object_set_new(o, "len_ms", json_real(len_ms));
    put_clean(o, "format", shape, "format");
    json_object_set_new(o, "channels", json_integer(slr_json_i64(shape, "channels", 0)));
    json_object_set_new(o, "sample_hz", json_integer(slr_json_i64(shape, "sample_hz", 0)));
    json_object_set_new(o, "digits",
                        json_integer(slr_json_i64(json_object_get(ledger, "digits"), "count", 0)));
}

json_t *slr_explain(const json_t *ledger)
{
    json_t *o = json_object();
    json_t *legs = json_array();
    json_t *conclusion = json_array();
    size_t i = 0;
    json_t *leg = NULL;
    int64_t hz = slr_json_i64(ledger, "ticks_hz", SLR_TICKS_HZ);
    double ticks_hz = hz > 0 ? (double)hz : (double)SLR_TICKS_HZ;
    if (!o || !legs || !conclusion) {
        json_decref(o);
        json_decref(legs);
        json_decref(conclusion);
        return NULL;
    }
    put_head(o, ledger, ticks_hz);
    json_array_foreach(json_object_get(ledger, "legs"), i, leg)
    {
        json_t *one = explain_leg(leg, json_object_get(ledger, "alarms"), ticks_hz, conclusion);
        if (one) {
            json_array_append_new(legs, one);
        }
    }
    const char *state = slr_json_str(ledger, "state");
    if (state && strcmp(state, "sealed") != 0) {
        char text[32];
        clean(state, text, sizeof text);
        say(conclusion, "The recording is %s, not complete.", text);
    }
    if (json_array_size(conclusion) == 0) {
        say(conclusion, "Nothing: no packet was lost, and every millisecond is accounted for.");
    }
    json_object_set_new(o, "legs", legs);
    json_object_set_new(o, "conclusion", conclusion);
    return o;
}
