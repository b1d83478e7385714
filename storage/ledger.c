/*
 * ledger: renders struct slr_ledger as JSON (docs/ledger.md). No state, any thread; allocates the
 * JSON tree and the text. Field order is the order of the calls below, so the bytes depend on the
 * input only.
 */
#include "storage/ledger.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Digits that a double always keeps: milliseconds with three decimals up to 30,000 years. */
#define REAL_DIGITS 15
#define DUMP_FLAGS (JSON_INDENT(1) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(REAL_DIGITS))

/* 1,000,000 us / 14,112,000 ticks in lowest terms. */
#define US_PART 125
#define TICKS_PART 1764
_Static_assert(SLR_TICKS_HZ *US_PART == 1000000LL * TICKS_PART, "ticks to microseconds");

static const char *const span_names[SLR_SPAN_COUNT] = {
#define SPAN(name, text) [SLR_SPAN_##name] = text,
#include "storage/span.def"
#undef SPAN
};

const char *slr_span_name(enum slr_span_kind kind)
{
    return (unsigned)kind < SLR_SPAN_COUNT ? span_names[kind] : "?";
}

/* One failed allocation anywhere spoils the whole; it is looked at once, at the end. */
struct render {
    const struct slr_ledger *ledger;
    bool failed;
};

/* Steals value. */
static void put(struct render *r, json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) != 0) {
        r->failed = true;
    }
}

static void add(struct render *r, json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) != 0) {
        r->failed = true;
    }
}

/* What the caller made, if it made any. */
static void put_given(struct render *r, json_t *object, const char *key, json_t *value)
{
    if (value) {
        put(r, object, key, json_incref(value));
    }
}

static void put_int(struct render *r, json_t *object, const char *key, int64_t value)
{
    put(r, object, key, json_integer((json_int_t)value));
}

/* Counters never come near the sign bit; one that does is a bug elsewhere and stays printable. */
static void put_count(struct render *r, json_t *object, const char *key, uint64_t value)
{
    put_int(r, object, key, value <= INT64_MAX ? (int64_t)value : INT64_MAX);
}

/* Names and numbers of parties come from the wire and need not be UTF-8: each byte that is not
 * ASCII then becomes '?' (also where memory ended just there). NULL counts as empty. */
static void put_text(struct render *r, json_t *object, const char *key, const char *text)
{
    json_t *value = json_string(text ? text : "");

    if (!value) {
        char *clean = strdup(text ? text : "");
        for (char *c = clean; c && *c; c++) {
            if ((unsigned char)*c >= 0x80) {
                *c = '?';
            }
        }
        value = clean ? json_string(clean) : NULL;
        free(clean);
    }
    put(r, object, key, value);
}

static void put_address(struct render *r, json_t *object, const char *key, const struct slr_addr *a)
{
    char text[SLR_ADDR_TEXT_SIZE];

    slr_addr_format(a, text);
    put_text(r, object, key, text);
}

/* Rounded to the nearest microsecond, half up; exact for all lengths below 160 years. */
static double ms_of_ticks(int64_t ticks)
{
    int64_t scaled = ticks * US_PART + TICKS_PART / 2;
    int64_t us = scaled / TICKS_PART - (scaled % TICKS_PART < 0 ? 1 : 0);

    return (double)us / 1000.0;
}

/* "<name>_ticks" and "<name>_ms". */
static void put_ticks(struct render *r, json_t *object, const char *name, int64_t ticks)
{
    char key[32];

    snprintf(key, sizeof key, "%s_ticks", name);
    put_int(r, object, key, ticks);
    snprintf(key, sizeof key, "%s_ms", name);
    put(r, object, key, json_real(ms_of_ticks(ticks)));
}

/* Rounded down to the microsecond. */
static double jitter_ms(const struct slr_ledger_stream *s)
{
    if (s->clock_hz == 0) {
        return 0;
    }
    return (double)((uint64_t)s->jitter_ticks * 1000000 / s->clock_hz) / 1000.0;
}

static json_t *render_payload_types(struct render *r, const struct slr_ledger_stream *s)
{
    json_t *types = json_object();

    for (unsigned pt = 0; pt < 128; pt++) {
        if (s->pt_packets[pt] > 0) {
            char key[4];
            snprintf(key, sizeof key, "%u", pt);
            put_count(r, types, key, s->pt_packets[pt]);
        }
    }
    return types;
}

static json_t *render_stream(struct render *r, const struct slr_ledger_stream *s)
{
    json_t *o = json_object();
    char ssrc[16];

    snprintf(ssrc, sizeof ssrc, "0x%08" PRIx32, s->ssrc);
    put_text(r, o, "ssrc", ssrc);
    put_address(r, o, "src", &s->src);
    put_int(r, o, "clock_hz", s->clock_hz);
    put_count(r, o, "packets", s->packets);
    put_count(r, o, "bytes", s->bytes);
    put_count(r, o, "placed", s->placed);
    put_count(r, o, "lost", s->lost);
    put_count(r, o, "duplicate", s->duplicate);
    put_count(r, o, "reordered", s->reordered);
    put_count(r, o, "late", s->late);
    put_count(r, o, "suppressed", s->suppressed);
    put_count(r, o, "rejected", s->rejected);
    put(r, o, "jitter_ms", json_real(jitter_ms(s)));
    put(r, o, "payload_types", render_payload_types(r, s));
    put_ticks(r, o, "first", s->first_ticks);
    put_ticks(r, o, "last", s->last_ticks);
    put_given(r, o, "rtcp", s->rtcp);
    return o;
}

static bool is_loss(enum slr_span_kind kind)
{
    return kind == SLR_SPAN_LOST_NETWORK || kind == SLR_SPAN_LOST_KERNEL ||
           kind == SLR_SPAN_LOST_QUEUE || kind == SLR_SPAN_LOST_DISK;
}

/* RFC 4648 section 4, of samples as little-endian bytes. NULL: no memory. */
static char *base64_of(const int16_t *sample, uint32_t count)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t len_bytes = (size_t)count * 2;
    char *text = malloc((len_bytes + 2) / 3 * 4 + 1);
    size_t n = 0;

    for (size_t i = 0; text && i < len_bytes; i += 3) {
        uint32_t group = 0;
        for (size_t k = i; k < i + 3; k++) {
            uint16_t v = k < len_bytes ? (uint16_t)sample[k / 2] : 0;
            group = group << 8 | (k % 2 ? v >> 8 : v & 0xffu);
        }
        text[n++] = digit[group >> 18];
        text[n++] = digit[group >> 12 & 63];
        text[n++] = digit[group >> 6 & 63];
        text[n++] = digit[group & 63];
    }
    if (text) {
        if (len_bytes % 3 != 0) {
            text[n - 1] = '=';
        }
        if (len_bytes % 3 == 1) {
            text[n - 2] = '=';
        }
        text[n] = '\0';
    }
    return text;
}

/* What the skew stage did: inserted len, or took out samples, which are kept here. */
static void put_corrected(struct render *r, json_t *o, const struct slr_span *s,
                          const int16_t **removed)
{
    put_text(r, o, "in", slr_span_name((enum slr_span_kind)s->cause));
    if (s->len_ticks == 0) {
        char *text = base64_of(*removed, s->info);
        put_int(r, o, "removed", s->info);
        put(r, o, "samples", text ? json_string(text) : NULL);
        free(text);
        *removed += s->info;
    }
}

/* The digit itself stands in the list of digits only, where the policy is applied: a span never
 * tells it. */
static json_t *render_span(struct render *r, const struct slr_span *s, const int16_t **removed)
{
    enum slr_span_kind kind = (enum slr_span_kind)s->kind;
    json_t *o = json_object();

    put_text(r, o, "kind", slr_span_name(kind));
    put_ticks(r, o, "start", s->start_ticks);
    put_ticks(r, o, "len", s->len_ticks);
    if (kind == SLR_SPAN_CONCEALED && s->cause != 0) {
        put_text(r, o, "cause", slr_span_name((enum slr_span_kind)s->cause));
    }
    if (is_loss(kind) || (kind == SLR_SPAN_CONCEALED && s->cause != 0)) {
        put_int(r, o, "packets", s->info);
    }
    if (kind == SLR_SPAN_CORRECTED) {
        put_corrected(r, o, s, removed);
    }
    return o;
}

/* Nothing is known to have been sent for it, or it is lost: it may have come when its place was
 * written, or when its SSRC was not believed yet. */
static bool may_be_late(enum slr_span_kind kind)
{
    return is_loss(kind) || kind == SLR_SPAN_ABSENT;
}

/* How many of those did come. */
static void put_late(struct render *r, json_t *o, const struct slr_ledger_leg *leg,
                     const struct slr_span *s)
{
    uint64_t packets = 0;

    for (uint32_t i = 0; i < leg->late_count; i++) {
        const struct slr_ledger_late *late = &leg->late[i];
        bool here =
            late->start_ticks < s->start_ticks + s->len_ticks && late->end_ticks > s->start_ticks;
        packets += here ? late->packets : 0;
    }
    if (packets > 0) {
        put_count(r, o, "late", packets);
    }
}

static const char *clock_name(uint8_t kind)
{
    static const char *const name[SLR_CLOCK_KINDS] = {"ts-jump", "ts-still", "rate",
                                                      "step",    "restart",  "burst"};
    return kind < SLR_CLOCK_KINDS ? name[kind] : "?";
}

static void put_clock(struct render *r, json_t *o, const struct slr_ledger_leg *leg)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < leg->clock_count; i++) {
        const struct slr_clock_note *n = &leg->clock[i];
        json_t *item = json_object();
        put_text(r, item, "kind", clock_name(n->kind));
        put_text(r, item, "winner", n->winner == SLR_CLOCK_RTP ? "rtp" : "arrival");
        put_ticks(r, item, "at", n->at_ticks);
        put_ticks(r, item, "rtp", n->rtp_ticks);
        put_ticks(r, item, "arrival", n->arrival_ticks);
        add(r, list, item);
    }
    put(r, o, "clock", list);
    if (leg->clock_more > 0) {
        put_count(r, o, "clock_more", leg->clock_more);
    }
}

static void put_others(struct render *r, json_t *o, const struct slr_ledger_others *s)
{
    json_t *sum = json_object();

    put_count(r, sum, "streams", s->streams);
    put_count(r, sum, "packets", s->packets);
    put_count(r, sum, "bytes", s->bytes);
    put_count(r, sum, "placed", s->placed);
    put_count(r, sum, "lost", s->lost);
    put_count(r, sum, "duplicate", s->duplicate);
    put_count(r, sum, "reordered", s->reordered);
    put_count(r, sum, "late", s->late);
    put_count(r, sum, "suppressed", s->suppressed);
    put_count(r, sum, "rejected", s->rejected);
    put(r, o, "others", sum);
}

static json_t *render_srtp(struct render *r, const struct slr_ledger_leg *leg)
{
    json_t *o = json_object(), *failed = json_object();

    put_text(r, o, "suite", leg->srtp_suite);
    put_count(r, o, "packets", leg->srtp_packets);
    put_count(r, o, "rtcp", leg->srtcp_packets);
    for (int i = 0; i < SLR_LEDGER_REFUSALS && leg->srtp_failed[i].reason; i++) {
        put_count(r, failed, leg->srtp_failed[i].reason, leg->srtp_failed[i].packets);
    }
    put(r, o, "failed", failed);
    return o;
}

static json_t *render_leg(struct render *r, const struct slr_ledger_leg *leg)
{
    json_t *o = json_object(), *streams = json_array(), *spans = json_array();
    const int16_t *removed = leg->removed;

    put_text(r, o, "id", leg->id);
    put_text(r, o, "dn", leg->dn);
    put_int(r, o, "channel", leg->channel);
    put_address(r, o, "local", &leg->local);
    put_count(r, o, "foreign", leg->foreign);
    if (leg->srtp_suite) {
        put(r, o, "srtp", render_srtp(r, leg));
    }
    for (uint32_t i = 0; i < leg->stream_count; i++) {
        add(r, streams, render_stream(r, &leg->stream[i]));
    }
    put(r, o, "streams", streams);
    if (leg->others.streams > 0) {
        put_others(r, o, &leg->others);
    }
    put_given(r, o, "quality", leg->quality);
    for (uint32_t i = 0; i < leg->span_count; i++) {
        json_t *span = render_span(r, &leg->span[i], &removed);
        if (may_be_late((enum slr_span_kind)leg->span[i].kind)) {
            put_late(r, span, leg, &leg->span[i]);
        }
        add(r, spans, span);
    }
    put(r, o, "spans", spans);
    if (leg->clock_count > 0) {
        put_clock(r, o, leg);
    }
    return o;
}

static json_t *render_digit(struct render *r, const struct slr_ledger_digit *d)
{
    bool keep = r->ledger->digit_policy == SLR_DIGITS_KEEP;
    char text[2] = {keep ? d->digit : 'x', '\0'};
    json_t *o = json_object();

    put_int(r, o, "leg", d->leg);
    put_ticks(r, o, "start", d->start_ticks);
    put_int(r, o, "duration_ms", d->duration_ms);
    put_text(r, o, "digit", text);
    return o;
}

static const char *policy_name(enum slr_digit_policy policy)
{
    switch (policy) {
    case SLR_DIGITS_KEEP:
        return "keep";
    case SLR_DIGITS_MASK:
        return "mask";
    case SLR_DIGITS_DROP:
        break;
    }
    return "drop"; /* a policy we do not know reveals nothing */
}

static json_t *render_digits(struct render *r)
{
    const struct slr_ledger *l = r->ledger;
    json_t *o = json_object();

    put_text(r, o, "policy", policy_name(l->digit_policy));
    put_int(r, o, "count", l->digit_count);
    if (l->digit_policy == SLR_DIGITS_KEEP || l->digit_policy == SLR_DIGITS_MASK) {
        json_t *items = json_array();
        for (uint32_t i = 0; i < l->digit_count; i++) {
            add(r, items, render_digit(r, &l->digit[i]));
        }
        put(r, o, "items", items);
    }
    return o;
}

static json_t *render_shape(struct render *r, const struct slr_audio_shape *shape,
                            const char *coding)
{
    json_t *o = json_object();

    put_text(r, o, "format", coding ? coding : slr_sample_name(shape->format));
    put_int(r, o, "channels", shape->channels);
    put_int(r, o, "sample_hz", shape->sample_hz);
    return o;
}

static json_t *render_output(struct render *r, const struct slr_output *output)
{
    json_t *o = json_object();

    put_text(r, o, "format", slr_format_name(output->format));
    put_text(r, o, "layout", slr_layout_name(output->layout));
    put_int(r, o, "sample_hz", output->sample_hz);
    put(r, o, "cut_pauses", json_boolean(output->cut_pauses));
    return o;
}

/* Without a hash both fields are null: nothing to check against. */
static json_t *render_media(struct render *r, uint64_t offset_bytes, uint64_t len_bytes,
                            const char *hash)
{
    bool hashed = hash && hash[0];
    json_t *o = json_object();

    put_count(r, o, "offset", offset_bytes);
    put_count(r, o, "len", len_bytes);
    put(r, o, "hash", hashed ? json_string(hash) : json_null());
    put(r, o, "hash_method", hashed ? json_string("sha256-of-sha256-1MiB") : json_null());
    return o;
}

/* Only where there are several. */
static void put_files(struct render *r, json_t *object)
{
    const struct slr_ledger *l = r->ledger;
    json_t *files = l->file_count > 1 ? json_array() : NULL;

    for (uint32_t i = 0; files && i < l->file_count; i++) {
        const struct slr_ledger_file *f = &l->files[i];
        json_t *o = json_object();
        put_text(r, o, "file", f->file);
        put_int(r, o, "channel", f->channel);
        put(r, o, "media",
            render_media(r, f->media_offset_bytes, f->media_len_bytes, f->media_hash));
        add(r, files, o);
    }
    if (l->file_count > 1) {
        put(r, object, "files", files);
    }
}

/* Only where something was cut. */
static void put_cuts(struct render *r, json_t *object)
{
    const struct slr_ledger *l = r->ledger;
    json_t *cuts = l->cut_count > 0 ? json_array() : NULL;

    for (uint32_t i = 0; cuts && i < l->cut_count; i++) {
        json_t *o = json_object();
        put_ticks(r, o, "start", l->cut[i].start_ticks);
        put_ticks(r, o, "len", l->cut[i].len_ticks);
        add(r, cuts, o);
    }
    if (l->cut_count > 0) {
        put(r, object, "cuts", cuts);
    }
}

/* What is still to be made, with what. */
static json_t *render_put_off(struct render *r)
{
    json_t *o = json_object();

    put_text(r, o, "state", "pending");
    put_int(r, o, "opus_bitrate", r->ledger->opus_bps);
    put_int(r, o, "opus_complexity", r->ledger->opus_complexity);
    put_cuts(r, o);
    return o;
}

static json_t *render_whole(struct render *r, json_t *meta)
{
    const struct slr_ledger *l = r->ledger;
    json_t *o = json_object(), *legs = json_array();
    char start[32];

    slr_wall_format(l->start_wall, start);
    put_int(r, o, "version", SLR_LEDGER_VERSION);
    put_int(r, o, "ticks_hz", SLR_TICKS_HZ);
    put_text(r, o, "recording", l->recording);
    put_text(r, o, "call", l->call);
    put_text(r, o, "state", l->state);
    put_text(r, o, "end_reason", l->end_reason);
    put_text(r, o, "file", l->file);
    put_text(r, o, "container", l->container);
    put_text(r, o, "mime", l->mime_type);
    put(r, o, "shape", render_shape(r, &l->shape, l->coding));
    put_text(r, o, "layout", slr_layout_name((uint8_t)l->layout));
    put(r, o, "recorded", render_shape(r, &l->recorded, NULL));
    if (l->output) {
        put(r, o, "output", render_output(r, l->output));
    }
    if (l->put_off) {
        put(r, o, "encoding", render_put_off(r));
    }
    put_text(r, o, "start", start);
    put_int(r, o, "start_wall_ns", l->start_wall.ns);
    put_ticks(r, o, "len", l->len_ticks);
    put_count(r, o, "frames", l->frames);
    put(r, o, "media", render_media(r, l->media_offset_bytes, l->media_len_bytes, l->media_hash));
    put_files(r, o);
    if (!l->put_off) {
        put_cuts(r, o);
    }
    put(r, o, "meta", meta);
    for (uint32_t i = 0; i < l->leg_count; i++) {
        add(r, legs, render_leg(r, &l->leg[i]));
    }
    put(r, o, "legs", legs);
    put(r, o, "digits", render_digits(r));
    return o;
}

/* The core's object as it is, or an empty one. */
static enum slr_err parse_meta(const char *text, json_t **meta)
{
    json_error_t error = {.line = 0}; /* where memory ends, jansson may leave it untouched */

    if (!text) {
        *meta = json_object();
        return *meta ? SLR_OK : SLR_NOMEM;
    }
    *meta = json_loads(text, 0, &error);
    if (!*meta) {
        enum json_error_code code = json_error_code(&error);
        return code == json_error_out_of_memory || code == json_error_unknown ? SLR_NOMEM
                                                                              : SLR_FORMAT;
    }
    if (!json_is_object(*meta)) {
        json_decref(*meta);
        return SLR_FORMAT;
    }
    return SLR_OK;
}

/* The tree as text with a newline at its end. */
static enum slr_err dump(const json_t *root, char **text, size_t *len_bytes)
{
    size_t n = json_dumpb(root, NULL, 0, DUMP_FLAGS);
    char *out = n > 0 ? malloc(n + 2) : NULL;

    if (!out) {
        return SLR_NOMEM;
    }
    if (json_dumpb(root, out, n, DUMP_FLAGS) != n) {
        free(out);
        return SLR_NOMEM;
    }
    out[n] = '\n';
    out[n + 1] = '\0';
    *text = out;
    *len_bytes = n + 1;
    return SLR_OK;
}

enum slr_err slr_ledger_render(const struct slr_ledger *ledger, char **text, size_t *len_bytes)
{
    struct render r = {ledger, false};
    json_t *meta;

    *text = NULL;
    *len_bytes = 0;
    enum slr_err err = parse_meta(ledger->meta_json, &meta);
    if (err != SLR_OK) {
        return err;
    }
    json_t *root = render_whole(&r, meta);
    err = root && !r.failed ? dump(root, text, len_bytes) : SLR_NOMEM;
    json_decref(root);
    return err;
}

/* One of the members that change; NULL: it is not. */
static json_t *render_anew(struct render *r, const char *key)
{
    const struct slr_ledger *l = r->ledger;

    if (strcmp(key, "file") == 0) {
        return json_string(l->file);
    }
    if (strcmp(key, "container") == 0) {
        return json_string(l->container);
    }
    if (strcmp(key, "mime") == 0) {
        return json_string(l->mime_type);
    }
    if (strcmp(key, "shape") == 0) {
        return render_shape(r, &l->shape, l->coding);
    }
    if (strcmp(key, "layout") == 0) {
        return json_string(slr_layout_name((uint8_t)l->layout));
    }
    if (strcmp(key, "frames") == 0) {
        return json_integer((json_int_t)l->frames);
    }
    return strcmp(key, "media") == 0
               ? render_media(r, l->media_offset_bytes, l->media_len_bytes, l->media_hash)
               : NULL;
}

enum slr_err slr_ledger_reform(json_t *was, const struct slr_ledger *now, char **text,
                               size_t *len_bytes)
{
    struct render r = {now, false};
    json_t *root = json_object(), *value;
    const char *key;

    *text = NULL;
    *len_bytes = 0;
    json_object_foreach(was, key, value)
    {
        if (strcmp(key, "encoding") == 0) {
            continue;
        }
        json_t *anew = render_anew(&r, key);
        put(&r, root, key, anew ? anew : json_incref(value));
        if (strcmp(key, "media") == 0) {
            put_files(&r, root);
            put_cuts(&r, root);
        }
    }
    enum slr_err err = root && !r.failed ? dump(root, text, len_bytes) : SLR_NOMEM;
    json_decref(root);
    return err;
}
