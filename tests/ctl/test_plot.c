/*
 * The picture of a recording: what lies where, the same bytes each time, and ledgers that somebody
 * made up.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "ctl/plot.h"

#define MS (SLR_TICKS_HZ / 1000)

static json_t *span(const char *kind, int64_t start_ms, int64_t len_ms)
{
    return json_pack("{s:s,s:I,s:I}", "kind", kind, "start_ticks", (json_int_t)(start_ms * MS),
                     "len_ticks", (json_int_t)(len_ms * MS));
}

/* 96 s: 10 columns a second. */
static json_t *ledger(void)
{
    json_t *legs = json_pack(
        "[{s:s,s:i,s:[o,o,o]},{s:s,s:i,s:[o,o,o,o]}]", "dn", "1001", "channel", 0, "spans",
        span("received", 0, 48000), span("lost-network", 48000, 20), span("received", 48020, 47980),
        "dn", "<b>&\x1b", "channel", 1, "spans", span("absent", 0, 9600),
        span("received", 9600, 38400), span("hold", 48000, 24000), span("ended", 72000, 24000));
    return json_pack("{s:I,s:I,s:s,s:s,s:{s:i},s:o}", "ticks_hz", (json_int_t)SLR_TICKS_HZ,
                     "len_ticks", (json_int_t)(96000 * MS), "recording", "0123456789abcdef",
                     "start", "2026-11-20T19:01:02.123Z", "shape", "channels", 2, "legs", legs);
}

/* Channel 0 a saw, channel 1 silent. */
static json_t *peaks(void)
{
    json_t *saw = json_array();
    json_t *none = json_array();
    for (int i = 0; i < (int)SLR_PLOT_COLUMNS; i++) {
        int v = i % 100 * 300;
        json_array_append_new(saw, json_integer(-v));
        json_array_append_new(saw, json_integer(v));
        json_array_append_new(saw, json_integer(v / 2));
        for (int k = 0; k < 3; k++) {
            json_array_append_new(none, json_integer(0));
        }
    }
    return json_pack("{s:[o,o]}", "peaks", saw, none);
}

static char *svg_of(json_t *l, json_t *p)
{
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    cr_assert_not_null(to);
    cr_assert_eq(slr_plot_svg(to, l, p), SLR_OK);
    cr_assert_eq(fclose(to), 0);
    json_decref(l);
    json_decref(p);
    return text;
}

static uint64_t hash_of(const char *at, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++) {
        h = (h ^ (uint8_t)at[i]) * 0x100000001b3u;
    }
    return h;
}

static void has(const char *text, const char *want)
{
    cr_assert(strstr(text, want), "%s is missing in\n%.3000s", want, text);
}

Test(plot, spans_and_names_at_their_places)
{
    char *svg = svg_of(ledger(), peaks());
    /* left edge 20, 960 wide: 48 s is x 500, and 20 ms are seen as one pixel */
    has(svg, "<rect x=\"500.0\" y=\"66.0\" width=\"1.0\" height=\"110.0\" fill=\"#e53935\"/>");
    has(svg, "<rect x=\"20.0\" y=\"206.0\" width=\"96.0\" height=\"110.0\" fill=\"#eeeeee\"/>");
    has(svg, "<rect x=\"500.0\" y=\"206.0\" width=\"240.0\" height=\"110.0\" fill=\"#cfd8dc\"/>");
    has(svg, ">1001 (channel 0)</text>");
    has(svg, ">&lt;b&gt;&amp;? (channel 1)</text>");
    has(svg, ">Recording 0123456789abcdef   2026-11-20T19:01:02.123Z</text>");
    has(svg, ">lost in the network</text>");
    has(svg, ">on hold</text>");
    has(svg, ">01:30</text>");
    cr_assert_null(strstr(svg, "key press"), "the legend names only what is there");
    cr_assert_null(strstr(svg, "\x1b"));
    free(svg);
}

/* The waveform lies where the spans say it was received, not where the shorter file has it. */
Test(plot, cuts_are_gaps_in_the_waveform)
{
    json_t *l = ledger();
    json_object_set_new(l, "cuts",
                        json_pack("[{s:I,s:I}]", "start_ticks", (json_int_t)(48000 * MS),
                                  "len_ticks", (json_int_t)(9600 * MS)));
    char *svg = svg_of(l, peaks());
    has(svg, "M500.5 121.0V121.5");
    has(svg, "M595.5 121.0V121.5");
    has(svg, "M20.5 121.0V121.5");
    cr_assert_null(strstr(svg, "M499.5 121.0V121.5"));
    cr_assert_null(strstr(svg, "M596.5 121.0V121.5"));
    cr_assert_null(strstr(svg, "M979.5 121.0V121.5"));
    free(svg);
}

/* GSM fills its last block with silence that is not of the recording. */
Test(plot, what_fills_up_a_file_is_not_drawn)
{
    json_t *l = ledger();
    json_t *p = peaks();
    json_object_set_new(l, "frames", json_integer(700));
    json_object_set_new(p, "frames", json_integer(1400));
    char *svg = svg_of(l, p);
    has(svg, "M979.5 ");
    /* the file's columns 0 to 479 only: each twice, so the saw begins anew after 200 */
    has(svg, "M220.5 121.0V121.5");
    cr_assert_null(strstr(svg, "M120.5 121.0V121.5"));
    free(svg);
}

/* The sum of all is nobody's waveform. */
Test(plot, a_mix_has_a_band_of_its_own)
{
    json_t *l = ledger();
    json_object_set_new(l, "layout", json_string("mix"));
    char *svg = svg_of(l, peaks());
    has(svg, ">mix of all</text>");
    has(svg, ">1001 (channel 0)</text>");
    has(svg, "M20.5 401.0V401.5");
    cr_assert_null(strstr(svg, "M20.5 121.0"));
    free(svg);
}

/* Golden: the picture of these ledger and peaks. A change of the layout changes it on purpose. */
Test(plot, the_same_bytes_each_time)
{
    char *svg = svg_of(ledger(), peaks());
    char *again = svg_of(ledger(), peaks());
    cr_assert_str_eq(svg, again);
    cr_assert_eq(hash_of(svg, strlen(svg)), 0x802c6fc1dab26602u, "hash 0x%llx",
                 (unsigned long long)hash_of(svg, strlen(svg)));
    free(svg);
    free(again);
}

Test(plot, png)
{
    char *text[2] = {NULL, NULL};
    size_t n[2] = {0, 0};
    json_t *l = ledger();
    json_t *p = peaks();
    for (int i = 0; i < 2; i++) {
        FILE *to = open_memstream(&text[i], &n[i]);
        cr_assert_not_null(to);
        cr_assert_eq(slr_plot_png(to, l, p), SLR_OK);
        cr_assert_eq(fclose(to), 0);
    }
    cr_assert_gt(n[0], 2000u);
    cr_assert_lt(n[0], 60000u);
    cr_assert_eq(memcmp(text[0], "\x89PNG\r\n\x1a\n", 8), 0);
    cr_assert(n[0] == n[1] && memcmp(text[0], text[1], n[0]) == 0);
    free(text[0]);
    free(text[1]);
    json_decref(l);
    json_decref(p);
}

Test(plot, what_others_wrote_is_harmless)
{
    static const char *const text[] = {
        "{}",
        "{\"ticks_hz\":0,\"len_ticks\":-1,\"shape\":{\"channels\":1000000},\"legs\":7}",
        "{\"ticks_hz\":1,\"len_ticks\":9223372036854775807,\"legs\":[7,{\"channel\":-5,\"dn\":7,"
        "\"spans\":[7,{},{\"kind\":\"hold\",\"start_ticks\":9223372036854775807,\"len_ticks\":"
        "9223372036854775807},{\"kind\":\"lost-disk\",\"len_ticks\":-9}]},{\"channel\":"
        "9223372036854775807}],\"recording\":\"\\u001b]]>\\u202e\"}",
    };
    static const char *const wave[] = {"{}", "{\"peaks\":[[1e300,-1e300,\"x\",1,2],7]}",
                                       "{\"peaks\":{}}"};
    for (size_t i = 0; i < 9; i++) {
        json_t *p = json_loads(wave[i % 3], 0, NULL);
        char *svg = svg_of(json_loads(text[i / 3], 0, NULL), json_incref(p));
        has(svg, "</svg>");
        for (const char *c = svg; *c; c++) {
            cr_assert(*c == '\n' || (*c >= ' ' && *c <= '~'));
        }
        cr_assert_null(strstr(svg, "nan"));
        cr_assert_null(strstr(svg, "inf"));
        free(svg);
        json_decref(p);
    }
    char *svg = svg_of(NULL, NULL);
    has(svg, "</svg>");
    free(svg);
}
