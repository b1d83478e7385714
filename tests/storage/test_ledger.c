/*
 * The ledger as JSON: every field of docs/ledger.md, the digit policies, text from the wire, and
 * the same bytes for the same input.
 */
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "storage/ledger.h"

#define TICKS_PER_MS (SLR_TICKS_HZ / 1000)

/* A session of 10 s, two legs, the second never heard. */
struct fixture {
    struct slr_ledger ledger;
    struct slr_ledger_leg leg[2];
    struct slr_ledger_stream stream[2];
    struct slr_span span0[4], span1[1];
    struct slr_ledger_digit digit[3];
};

static struct slr_addr address(const char *text)
{
    struct slr_addr a;
    cr_assert_eq(slr_addr_parse(text, &a), SLR_OK);
    return a;
}

static void make_streams(struct fixture *f)
{
    f->stream[0] = (struct slr_ledger_stream){
        .ssrc = 0xbee,
        .src = address("192.0.2.7:4000"),
        .packets = 500,
        .bytes = 80000,
        .placed = 480,
        .lost = 7,
        .duplicate = 6,
        .reordered = 5,
        .late = 4,
        .suppressed = 3,
        .rejected = 2,
        .jitter_ticks = 9,
        .clock_hz = 8000,
        .pt_packets = {[0] = 1, [8] = 489, [101] = 10},
        .first_ticks = 2 * TICKS_PER_MS,
        .last_ticks = 9000 * TICKS_PER_MS,
    };
    f->stream[1] =
        (struct slr_ledger_stream){.ssrc = 0xfffffffe, .src = address("[2001:db8::1]:5004")};
}

static void make(struct fixture *f)
{
    *f = (struct fixture){.leg = {{0}, {0}}};
    make_streams(f);
    f->span0[0] = (struct slr_span){0, 5000 * TICKS_PER_MS, SLR_SPAN_RECEIVED, 0, {0}, 0};
    f->span0[1] = (struct slr_span){
        5000 * TICKS_PER_MS, 140 * TICKS_PER_MS, SLR_SPAN_LOST_NETWORK, 0, {0}, 7};
    f->span0[2] =
        (struct slr_span){5140 * TICKS_PER_MS, 100 * TICKS_PER_MS, SLR_SPAN_EVENT, 0, {0}, '5'};
    f->span0[3] =
        (struct slr_span){5240 * TICKS_PER_MS, 4760 * TICKS_PER_MS, SLR_SPAN_PAUSED, 0, {0}, 0};
    f->span1[0] = (struct slr_span){0, 10000 * TICKS_PER_MS, SLR_SPAN_ABSENT, 0, {0}, 0};
    f->leg[0] = (struct slr_ledger_leg){.id = "leg-a",
                                        .dn = "1001",
                                        .channel = 0,
                                        .local = address("198.51.100.1:20000"),
                                        .stream = f->stream,
                                        .stream_count = 2,
                                        .span = f->span0,
                                        .span_count = 4,
                                        .foreign = 12};
    f->leg[1] = (struct slr_ledger_leg){
        .id = "leg-b", .dn = "", .channel = 1, .span = f->span1, .span_count = 1};
    f->digit[0] = (struct slr_ledger_digit){5140 * TICKS_PER_MS, 100, 0, '7'};
    f->digit[1] = (struct slr_ledger_digit){6000 * TICKS_PER_MS, 80, 0, '#'};
    f->digit[2] = (struct slr_ledger_digit){7000 * TICKS_PER_MS, 90, 1, 'D'};
    f->ledger = (struct slr_ledger){
        .recording = "0123456789abcdef0123456789abcdef",
        .call = "call-1",
        .state = "sealed",
        .file = "x.wav",
        .container = "wav",
        .mime_type = "audio/wav",
        .shape = {SLR_SAMPLE_ALAW, 2, 8000},
        .start_wall = {1795201262123456789},
        .len_ticks = 10000 * TICKS_PER_MS,
        .frames = 80000,
        .media_offset_bytes = 58,
        .media_len_bytes = 160000,
        .media_hash = "abc123",
        .end_reason = "bye",
        .meta_json = "{\"z\":1,\"a\":{\"b\":[true,null,1.5]}}",
        .digit_policy = SLR_DIGITS_KEEP,
        .leg = f->leg,
        .leg_count = 2,
        .digit = f->digit,
        .digit_count = 3,
    };
}

static char *render(const struct slr_ledger *ledger)
{
    char *text = NULL;
    size_t len = 0;
    cr_assert_eq(slr_ledger_render(ledger, &text, &len), SLR_OK);
    cr_assert_eq(strlen(text), len);
    cr_assert_eq(text[len - 1], '\n');
    return text;
}

static json_t *render_tree(const struct slr_ledger *ledger)
{
    char *text = render(ledger);
    json_error_t error;
    json_t *tree = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    cr_assert(tree, "%s", error.text);
    free(text);
    return tree;
}

static void check_text(const json_t *o, const char *key, const char *want)
{
    const char *got = json_string_value(json_object_get(o, key));
    cr_assert(got, "%s is missing", key);
    cr_assert_str_eq(got, want, "%s: '%s', not '%s'", key, got, want);
}

static void check_int(const json_t *o, const char *key, long long want)
{
    const json_t *value = json_object_get(o, key);
    cr_assert(json_is_integer(value), "%s is missing or no integer", key);
    cr_assert_eq(json_integer_value(value), want, "%s: %lld", key,
                 (long long)json_integer_value(value));
}

static void check_ms(const json_t *o, const char *key, double want)
{
    const json_t *value = json_object_get(o, key);
    cr_assert(json_is_real(value), "%s is missing or no real", key);
    cr_assert_lt(fabs(json_real_value(value) - want), 0.0005, "%s: %f", key,
                 json_real_value(value));
}

Test(ledger, head)
{
    struct fixture f;
    make(&f);
    json_t *t = render_tree(&f.ledger);
    check_int(t, "version", 1);
    check_int(t, "ticks_hz", 14112000);
    check_text(t, "recording", "0123456789abcdef0123456789abcdef");
    check_text(t, "call", "call-1");
    check_text(t, "state", "sealed");
    check_text(t, "file", "x.wav");
    check_text(t, "container", "wav");
    check_text(t, "mime", "audio/wav");
    check_text(t, "start", "2026-11-20T19:01:02.123Z");
    check_int(t, "start_wall_ns", 1795201262123456789);
    check_int(t, "len_ticks", 141120000);
    check_ms(t, "len_ms", 10000);
    check_int(t, "frames", 80000);
    check_text(t, "end_reason", "bye");
    const json_t *shape = json_object_get(t, "shape");
    check_text(shape, "format", "alaw");
    check_int(shape, "channels", 2);
    check_int(shape, "sample_hz", 8000);
    const json_t *media = json_object_get(t, "media");
    check_int(media, "offset", 58);
    check_int(media, "len", 160000);
    check_text(media, "hash", "abc123");
    check_text(media, "hash_method", "sha256-of-sha256-1MiB");
    json_decref(t);
}

Test(ledger, streams)
{
    struct fixture f;
    make(&f);
    json_t *t = render_tree(&f.ledger);
    const json_t *leg = json_array_get(json_object_get(t, "legs"), 0);
    check_text(leg, "id", "leg-a");
    check_text(leg, "dn", "1001");
    check_int(leg, "channel", 0);
    check_text(leg, "local", "198.51.100.1:20000");
    check_int(leg, "foreign", 12);
    const json_t *s = json_array_get(json_object_get(leg, "streams"), 0);
    check_text(s, "ssrc", "0x00000bee");
    check_text(s, "src", "192.0.2.7:4000");
    check_int(s, "clock_hz", 8000);
    check_int(s, "packets", 500);
    check_int(s, "bytes", 80000);
    check_int(s, "placed", 480);
    check_int(s, "lost", 7);
    check_int(s, "duplicate", 6);
    check_int(s, "reordered", 5);
    check_int(s, "late", 4);
    check_int(s, "suppressed", 3);
    check_int(s, "rejected", 2);
    check_ms(s, "jitter_ms", 1.125);
    const json_t *types = json_object_get(s, "payload_types");
    cr_assert_eq(json_object_size(types), 3u);
    check_int(types, "0", 1);
    check_int(types, "8", 489);
    check_int(types, "101", 10);
    check_int(s, "first_ticks", 2 * TICKS_PER_MS);
    check_ms(s, "first_ms", 2);
    check_int(s, "last_ticks", 9000 * TICKS_PER_MS);
    check_ms(s, "last_ms", 9000);

    /* A stream without a clock has no jitter, and nothing divides by it. */
    s = json_array_get(json_object_get(leg, "streams"), 1);
    check_text(s, "ssrc", "0xfffffffe");
    check_text(s, "src", "[2001:db8::1]:5004");
    check_ms(s, "jitter_ms", 0);
    cr_assert_eq(json_object_size(json_object_get(s, "payload_types")), 0u);

    leg = json_array_get(json_object_get(t, "legs"), 1);
    check_text(leg, "local", "");
    cr_assert_eq(json_array_size(json_object_get(leg, "streams")), 0u);
    json_decref(t);
}

Test(ledger, spans)
{
    struct fixture f;
    make(&f);
    json_t *t = render_tree(&f.ledger);
    const json_t *legs = json_object_get(t, "legs");
    for (size_t i = 0; i < 2; i++) {
        const json_t *spans = json_object_get(json_array_get(legs, i), "spans");
        long long at = 0;
        for (size_t k = 0; k < json_array_size(spans); k++) {
            const json_t *span = json_array_get(spans, k);
            check_int(span, "start_ticks", at);
            at += json_integer_value(json_object_get(span, "len_ticks"));
        }
        cr_assert_eq(at, f.ledger.len_ticks);
    }
    const json_t *spans = json_object_get(json_array_get(legs, 0), "spans");
    const json_t *lost = json_array_get(spans, 1);
    check_text(lost, "kind", "lost-network");
    check_int(lost, "packets", 7);
    check_ms(lost, "start_ms", 5000);
    check_ms(lost, "len_ms", 140);
    const json_t *received = json_array_get(spans, 0);
    check_text(received, "kind", "received");
    cr_assert_null(json_object_get(received, "packets"));
    const json_t *event = json_array_get(spans, 2);
    check_text(event, "kind", "event");
    cr_assert_eq(json_object_size(event), 5u, "an event span tells its place only");
    json_decref(t);
}

/* What was filled says why: a loss and how much of it, or nothing for a payload that no decoder
 * took. */
Test(ledger, concealed_spans_tell_the_loss)
{
    struct fixture f;
    make(&f);
    f.span0[1].kind = SLR_SPAN_CONCEALED;
    f.span0[1].cause = SLR_SPAN_LOST_KERNEL;
    f.span0[3].kind = SLR_SPAN_CONCEALED;
    json_t *t = render_tree(&f.ledger);
    const json_t *leg = json_array_get(json_object_get(t, "legs"), 0);
    const json_t *filled = json_array_get(json_object_get(leg, "spans"), 1);
    const json_t *broken = json_array_get(json_object_get(leg, "spans"), 3);
    check_text(filled, "kind", "concealed");
    check_text(filled, "cause", "lost-kernel");
    check_int(filled, "packets", 7);
    check_text(broken, "kind", "concealed");
    cr_assert_null(json_object_get(broken, "cause"));
    cr_assert_null(json_object_get(broken, "packets"));
    json_decref(t);
}

Test(ledger, every_span_kind_has_its_name)
{
    static const char *const names[] = {"received",     "concealed",   "comfort",    "event",
                                        "hold",         "paused",      "absent",     "ended",
                                        "lost-network", "lost-kernel", "lost-queue", "lost-disk",
                                        "engine-down",  "clock",       "corrected"};
    cr_assert_eq(sizeof names / sizeof names[0], (size_t)SLR_SPAN_COUNT);
    for (int kind = 0; kind < SLR_SPAN_COUNT; kind++) {
        cr_assert_str_eq(slr_span_name((enum slr_span_kind)kind), names[kind]);
    }
    cr_assert_str_eq(slr_span_name((enum slr_span_kind)200), "?");
}

/* Milliseconds are rounded to the microsecond, negative positions too. */
Test(ledger, milliseconds)
{
    static const struct {
        int64_t ticks;
        const char *want;
    } cases[] = {
        {0, "\"start_ms\": 0.0,"},      {1, "\"start_ms\": 0.0,"},
        {7, "\"start_ms\": 0.0,"},      {8, "\"start_ms\": 0.001,"},
        {1764, "\"start_ms\": 0.125,"}, {-1764, "\"start_ms\": -0.125,"},
        {-8, "\"start_ms\": -0.001,"},  {282240, "\"start_ms\": 20.0,"},
        {14112, "\"start_ms\": 1.0,"},  {36000ll * 14112000, "\"start_ms\": 36000000.0,"},
        {320, "\"start_ms\": 0.023,"},  {36000ll * 14112000 + 320, "\"start_ms\": 36000000.023,"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        make(&f);
        f.span1[0].start_ticks = cases[i].ticks;
        f.ledger.leg = &f.leg[1];
        f.ledger.leg_count = 1;
        f.ledger.digit_count = 0;
        char *text = render(&f.ledger);
        cr_assert(strstr(text, cases[i].want), "%lld ticks: no %s in %s", (long long)cases[i].ticks,
                  cases[i].want, text);
        free(text);
    }
}

Test(ledger, digits_kept)
{
    struct fixture f;
    make(&f);
    json_t *t = render_tree(&f.ledger);
    const json_t *digits = json_object_get(t, "digits");
    check_text(digits, "policy", "keep");
    check_int(digits, "count", 3);
    const json_t *items = json_object_get(digits, "items");
    cr_assert_eq(json_array_size(items), 3u);
    const json_t *d = json_array_get(items, 2);
    check_text(d, "digit", "D");
    check_int(d, "leg", 1);
    check_int(d, "duration_ms", 90);
    check_int(d, "start_ticks", 7000 * TICKS_PER_MS);
    check_ms(d, "start_ms", 7000);
    check_text(json_array_get(items, 0), "digit", "7");
    check_text(json_array_get(items, 1), "digit", "#");
    json_decref(t);
}

/* Whatever the digits are, the text is the same: it tells nothing of them. */
static void check_no_digit_shows(enum slr_digit_policy policy)
{
    static const char all[] = "0123456789*#ABCDF";
    char *first = NULL;
    for (size_t i = 0; i < sizeof all - 1; i++) {
        struct fixture f;
        make(&f);
        f.ledger.digit_policy = policy;
        for (int k = 0; k < 3; k++) {
            f.digit[k].digit = all[i];
        }
        f.span0[2].info = (uint32_t)all[i];
        char *text = render(&f.ledger);
        if (first) {
            cr_assert_str_eq(text, first, "the digit %c shows", all[i]);
            free(text);
        } else {
            first = text;
        }
    }
    free(first);
}

Test(ledger, digits_masked)
{
    struct fixture f;
    make(&f);
    f.ledger.digit_policy = SLR_DIGITS_MASK;
    json_t *t = render_tree(&f.ledger);
    const json_t *digits = json_object_get(t, "digits");
    check_text(digits, "policy", "mask");
    check_int(digits, "count", 3);
    const json_t *items = json_object_get(digits, "items");
    cr_assert_eq(json_array_size(items), 3u);
    for (size_t i = 0; i < 3; i++) {
        check_text(json_array_get(items, i), "digit", "x");
        check_int(json_array_get(items, i), "start_ticks", f.digit[i].start_ticks);
    }
    json_decref(t);
    check_no_digit_shows(SLR_DIGITS_MASK);
}

Test(ledger, digits_dropped)
{
    struct fixture f;
    make(&f);
    f.ledger.digit_policy = SLR_DIGITS_DROP;
    json_t *t = render_tree(&f.ledger);
    const json_t *digits = json_object_get(t, "digits");
    check_text(digits, "policy", "drop");
    check_int(digits, "count", 3);
    cr_assert_null(json_object_get(digits, "items"));
    json_decref(t);
    check_no_digit_shows(SLR_DIGITS_DROP);
    check_no_digit_shows((enum slr_digit_policy)77);
}

Test(ledger, meta_is_kept_as_it_is)
{
    struct fixture f;
    make(&f);
    char *text = render(&f.ledger);
    const char *z = strstr(text, "\"z\": 1"), *a = strstr(text, "\"a\": {");
    cr_assert(z && a && z < a, "order of the keys");
    free(text);
    f.ledger.meta_json = NULL;
    json_t *t = render_tree(&f.ledger);
    cr_assert(json_is_object(json_object_get(t, "meta")));
    cr_assert_eq(json_object_size(json_object_get(t, "meta")), 0u);
    json_decref(t);
}

Test(ledger, meta_that_is_no_object_is_refused)
{
    static const char *const bad[] = {"",    "{",    "[1]",        "\"text\"",        "1",
                                      "{}}", "null", "{\"a\":1,}", "{\"a\":\"\xff\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct fixture f;
        char *text = (char *)1;
        size_t len = 1;
        make(&f);
        f.ledger.meta_json = bad[i];
        cr_assert_eq(slr_ledger_render(&f.ledger, &text, &len), SLR_FORMAT, "%s", bad[i]);
        cr_assert_null(text);
        cr_assert_eq(len, 0u);
    }
}

/* Numbers and names of parties are what the peer sent. */
Test(ledger, text_from_the_wire)
{
    struct fixture f;
    make(&f);
    f.leg[0].dn = "a\"b\\c\n\x01";
    f.leg[1].dn = "M\xfcller";
    f.ledger.call = "Jos\xc3\xa9";
    json_t *t = render_tree(&f.ledger);
    check_text(t, "call", "Jos\xc3\xa9");
    const json_t *legs = json_object_get(t, "legs");
    check_text(json_array_get(legs, 0), "dn", "a\"b\\c\n\x01");
    check_text(json_array_get(legs, 1), "dn", "M?ller");
    json_decref(t);
}

Test(ledger, empty_one)
{
    struct slr_ledger empty = {.recording = NULL};
    json_t *t = render_tree(&empty);
    check_text(t, "recording", "");
    check_text(t, "end_reason", "");
    cr_assert(json_is_null(json_object_get(json_object_get(t, "media"), "hash")));
    cr_assert(json_is_null(json_object_get(json_object_get(t, "media"), "hash_method")));
    cr_assert_eq(json_array_size(json_object_get(t, "legs")), 0u);
    check_int(json_object_get(t, "digits"), "count", 0);
    json_decref(t);
}

Test(ledger, the_same_input_gives_the_same_bytes)
{
    struct fixture f, g;
    make(&f);
    make(&g);
    char *first = render(&f.ledger), *second = render(&g.ledger);
    cr_assert_str_eq(first, second);
    free(first);
    free(second);
}

static uint64_t allocations, fail_from, fail_count;

static void *failing_malloc(size_t size)
{
    allocations++;
    if (allocations >= fail_from && allocations - fail_from < fail_count) {
        return NULL;
    }
    return malloc(size);
}

/* Each allocation of the JSON library in turn fails, alone or with all that follow: an error,
 * nothing half, nothing leaks; or the whole text all the same. Its parser (of meta) tells some of
 * these as a syntax error. */
static void run_out(uint64_t how_many)
{
    struct fixture f;
    make(&f);
    f.leg[1].dn = "M\xfcller";
    char *want = render(&f.ledger);
    json_set_alloc_funcs(failing_malloc, free);
    fail_count = how_many;
    bool failed = true;
    for (fail_from = 1; failed; fail_from++) {
        char *text = NULL;
        size_t len = 0;
        allocations = 0;
        enum slr_err err = slr_ledger_render(&f.ledger, &text, &len);
        failed = allocations >= fail_from;
        if (err == SLR_OK) {
            cr_assert_str_eq(text, want);
        } else {
            cr_assert(failed);
            cr_assert(err == SLR_NOMEM || (err == SLR_FORMAT && fail_from < 20), "%s after %llu",
                      slr_err_name(err), (unsigned long long)fail_from);
            cr_assert_null(text);
        }
        free(text);
    }
    free(want);
    cr_assert_gt(fail_from, 100u);
}

Test(ledger, one_allocation_fails)
{
    run_out(1);
}

Test(ledger, memory_ends)
{
    run_out(UINT64_MAX);
}

/* Where the clocks parted, what came too late, and streams that are remembered as a sum: they stand
 * there only where they are. */
Test(ledger, clocks_late_packets_and_other_streams)
{
    struct fixture f;
    make(&f);
    static const struct slr_clock_note clock[] = {
        {1 * TICKS_PER_MS, 2 * TICKS_PER_MS, 3 * TICKS_PER_MS, SLR_CLOCK_BURST, SLR_CLOCK_RTP},
        {4 * TICKS_PER_MS, 5 * TICKS_PER_MS, 6 * TICKS_PER_MS, SLR_CLOCK_TS_JUMP,
         SLR_CLOCK_ARRIVAL}};
    static const struct slr_ledger_late late[] = {{0, 5000 * TICKS_PER_MS, 9},
                                                  {5020 * TICKS_PER_MS, 5040 * TICKS_PER_MS, 1},
                                                  {5100 * TICKS_PER_MS, 5200 * TICKS_PER_MS, 2},
                                                  {5140 * TICKS_PER_MS, 5200 * TICKS_PER_MS, 9}};
    f.leg[0].clock = clock;
    f.leg[0].clock_count = 2;
    f.leg[0].clock_more = 3;
    f.leg[0].late = late;
    f.leg[0].late_count = 4;
    f.leg[0].others = (struct slr_ledger_others){.streams = 4, .packets = 90, .placed = 80};
    json_t *t = render_tree(&f.ledger);
    const json_t *legs = json_object_get(t, "legs");
    const json_t *leg = json_array_get(legs, 0);
    const json_t *burst = json_array_get(json_object_get(leg, "clock"), 0);
    const json_t *jump = json_array_get(json_object_get(leg, "clock"), 1);
    check_text(burst, "kind", "burst");
    check_text(burst, "winner", "rtp");
    check_ms(burst, "at_ms", 1);
    check_ms(burst, "rtp_ms", 2);
    check_ms(burst, "arrival_ms", 3);
    check_text(jump, "kind", "ts-jump");
    check_text(jump, "winner", "arrival");
    check_int(leg, "clock_more", 3);
    check_int(json_object_get(leg, "others"), "streams", 4);
    check_int(json_object_get(leg, "others"), "placed", 80);
    check_int(json_array_get(json_object_get(leg, "spans"), 1), "late", 3);
    cr_assert_null(json_object_get(json_array_get(json_object_get(leg, "spans"), 0), "late"));
    leg = json_array_get(legs, 1);
    cr_assert_null(json_object_get(leg, "clock"));
    cr_assert_null(json_object_get(leg, "clock_more"));
    cr_assert_null(json_object_get(leg, "others"));
    json_decref(t);
}
