/*
 * The words for a ledger: golden texts, joining of small spans, and ledgers that somebody made up.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "ctl/explain.h"
#include "ctl/explain_rows.h"

#define MS (SLR_TICKS_HZ / 1000)

static json_t *span(const char *kind, int64_t start_ms, int64_t len_ms, int packets)
{
    json_t *o = json_pack("{s:s,s:I,s:I}", "kind", kind, "start_ticks", (json_int_t)(start_ms * MS),
                          "len_ticks", (json_int_t)(len_ms * MS));
    if (packets > 0) {
        json_object_set_new(o, "packets", json_integer(packets));
    }
    return o;
}

static json_t *leg_of(const char *dn, int channel, json_t *spans, json_t *quality, int packets)
{
    json_t *streams = json_array();
    if (packets > 0) {
        json_array_append_new(streams,
                              json_pack("{s:s,s:i}", "src", "192.0.2.7:4000", "packets", packets));
    }
    return json_pack("{s:s,s:s,s:i,s:s,s:i,s:o,s:o,s:o}", "id", "a", "dn", dn, "channel", channel,
                     "local", "198.51.100.1:20000", "foreign", 3, "streams", streams, "quality",
                     quality, "spans", spans);
}

static json_t *quality(double mos, int lost, double loss_pct, double dbov)
{
    return json_pack("{s:s,s:f,s:i,s:f,s:f,s:f,s:i,s:{s:f,s:f,s:f,s:f,s:f,s:f}}", "codec", "PCMA",
                     "mos", mos, "lost", lost, "loss_pct", loss_pct, "jitter_ms", 1.25,
                     "jitter_max_ms", 7.5, "silent_alarms", 0, "level", "active_dbov", dbov,
                     "peak_dbov", -3.2, "silence_pct", 41.6, "digital_silence_pct", 0.0,
                     "clipped_pct", 0.0, "dc_pct", 0.0);
}

static json_t *ledger_of(json_t *legs)
{
    return json_pack("{s:I,s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:{s:s,s:i,s:i},s:o,s:{s:i}}", "ticks_hz",
                     (json_int_t)SLR_TICKS_HZ, "recording", "019aa28b6c0b4f3f9d1e6a7c5b2d8e90",
                     "call", "01FE8U4G2C", "state", "sealed", "end_reason", "bye", "file",
                     "20261120/019aa28b6c0b4f3f9d1e6a7c5b2d8e90.wav", "start",
                     "2026-11-20T19:01:02.123Z", "len_ticks", (json_int_t)(90000 * MS), "shape",
                     "format", "alaw", "channels", 2, "sample_hz", 8000, "legs", legs, "digits",
                     "count", 2);
}

/* Compares and prints both when they differ. */
static void check_text(json_t *ledger, const char *want)
{
    json_t *explained = slr_explain(ledger);
    cr_assert_not_null(explained);
    char *text = slr_explain_text(explained);
    cr_assert_not_null(text);
    cr_assert_str_eq(text, want, "it says\n%s\nnot\n%s", text, want);
    free(text);
    json_decref(explained);
    json_decref(ledger);
}

Test(explain, a_call_without_fault)
{
    json_t *clean = json_pack("[o,o,o]", span("received", 0, 60000, 0),
                              span("comfort", 60000, 5000, 0), span("received", 65000, 25000, 0));
    json_t *other =
        json_pack("[o,o,o,o]", span("absent", 0, 140, 0), span("received", 140, 50000, 0),
                  span("event", 50140, 100, 0), span("received", 50240, 39760, 0));
    json_t *legs = json_pack("[o,o]", leg_of("1001", 0, clean, quality(4.41, 0, 0, -23.4), 4500),
                             leg_of("+49 30 1234", 1, other, quality(4.41, 0, 0, -25), 4493));
    check_text(
        ledger_of(legs),
        "recording  019aa28b6c0b4f3f9d1e6a7c5b2d8e90\n"
        "call       01FE8U4G2C\n"
        "state      sealed, ended by bye\n"
        "start      2026-11-20T19:01:02.123Z, 01:30.000 long\n"
        "media      20261120/019aa28b6c0b4f3f9d1e6a7c5b2d8e90.wav: 2 channels, alaw at 8000 Hz\n"
        "parties    1001 (channel 0), +49 30 1234 (channel 1)\n"
        "digits     2\n"
        "\n"
        "1001, channel 0\n"
        "  media    PCMA from 192.0.2.7:4000, 4500 packets, 0 lost (0.00 %), jitter 1.2 ms, at "
        "most 7.5 ms\n"
        "  quality  MOS 4.41, excellent; speech at -23.4 dBov, peak -3.2, silent 42 % of the time\n"
        "     00:00.000 - 01:30.000     01:30.000  received, 5.000 s of it announced as silence\n"
        "\n"
        "+49 30 1234, channel 1\n"
        "  media    PCMA from 192.0.2.7:4000, 4493 packets, 0 lost (0.00 %), jitter 1.2 ms, at "
        "most 7.5 ms\n"
        "  quality  MOS 4.41, excellent; speech at -25.0 dBov, peak -3.2, silent 42 % of the time\n"
        "     00:00.000 - 00:00.140        140 ms  nothing was heard\n"
        "     00:00.140 - 01:30.000     01:29.860  received, 1 key press\n"
        "\n"
        "What went wrong\n"
        "  * Nothing: no packet was lost, and every millisecond is accounted for.\n");
}

static json_t *troubled_leg(void)
{
    json_t *spans = json_array();
    json_array_append_new(spans, span("received", 0, 12340, 0));
    json_array_append_new(spans, span("lost-network", 12340, 140, 7));
    json_array_append_new(spans, span("received", 12480, 200, 0));
    json_array_append_new(spans, span("lost-network", 12680, 20, 1));
    json_array_append_new(spans, span("received", 12700, 17300, 0));
    json_array_append_new(spans, span("hold", 30000, 10000, 0));
    json_array_append_new(spans, span("received", 40000, 10000, 0));
    json_array_append_new(spans, span("engine-down", 50000, 1200, 0));
    json_array_append_new(spans, span("lost-kernel", 51200, 60, 3));
    json_t *late = span("lost-network", 51260, 40, 2);
    json_object_set_new(late, "late", json_integer(2));
    json_array_append_new(spans, late);
    json_t *healed = span("concealed", 51300, 40, 2);
    json_object_set_new(healed, "cause", json_string("lost-network"));
    json_array_append_new(spans, healed);
    json_array_append_new(spans, span("concealed", 51340, 660, 0));
    json_array_append_new(spans, span("paused", 52000, 8000, 0));
    json_array_append_new(spans, span("received", 60000, 30000, 0));
    json_t *leg = leg_of("1001", 0, spans, quality(2.75, 10, 0.22, -50.5), 4000);
    json_object_set_new(leg, "clock",
                        json_pack("[{s:s,s:s,s:I}]", "kind", "ts-jump", "winner", "arrival",
                                  "at_ticks", (json_int_t)(40000 * MS)));
    return leg;
}

Test(explain, what_went_wrong_where)
{
    json_t *legs =
        json_pack("[o,o]", troubled_leg(),
                  leg_of("", 1, json_pack("[o]", span("absent", 0, 90000, 0)),
                         json_pack("{s:n,s:s}", "mos", "mos_missing", "nothing-received"), 0));
    check_text(
        ledger_of(legs),
        "recording  019aa28b6c0b4f3f9d1e6a7c5b2d8e90\n"
        "call       01FE8U4G2C\n"
        "state      sealed, ended by bye\n"
        "start      2026-11-20T19:01:02.123Z, 01:30.000 long\n"
        "media      20261120/019aa28b6c0b4f3f9d1e6a7c5b2d8e90.wav: 2 channels, alaw at 8000 Hz\n"
        "parties    1001 (channel 0), channel 1 (channel 1)\n"
        "digits     2\n"
        "\n"
        "1001, channel 0\n"
        "  media    PCMA from 192.0.2.7:4000, 4000 packets, 10 lost (0.22 %), jitter 1.2 ms, at "
        "most 7.5 ms\n"
        "  quality  MOS 2.75, poor; speech at -50.5 dBov, peak -3.2, silent 42 % of the time\n"
        "     00:00.000 - 00:12.340      12.340 s  received\n"
        "     00:12.340 - 00:12.700        360 ms  lost in the network, 2 times, together 160 ms "
        "(8 packets)\n"
        "     00:12.700 - 00:30.000      17.300 s  received\n"
        "     00:30.000 - 00:40.000      10.000 s  on hold\n"
        "     00:40.000 - 00:50.000      10.000 s  received\n"
        "     00:50.000 - 00:51.200       1.200 s  the recorder was not running\n"
        "     00:51.200 - 00:51.260         60 ms  dropped by this host's kernel (3 packets)\n"
        "     00:51.260 - 00:51.300         40 ms  lost in the network (2 packets); 2 came too "
        "late\n"
        "     00:51.300 - 00:51.340         40 ms  lost, and filled by the codec (2 packets)\n"
        "     00:51.340 - 00:52.000        660 ms  came and could not be decoded\n"
        "     00:52.000 - 01:00.000       8.000 s  recording paused\n"
        "     01:00.000 - 01:30.000      30.000 s  received\n"
        "  where the clocks parted\n"
        "     00:40.000  timestamps jumped while no time passed; placed by arrival\n"
        "\n"
        "channel 1, channel 1\n"
        "  media    no packet was taken\n"
        "  quality  no MOS (nothing-received)\n"
        "     00:00.000 - 01:30.000     01:30.000  nothing was heard\n"
        "\n"
        "What went wrong\n"
        "  * The network lost 10 packets from 1001 at 3 places, 200 ms in all; the longest gap is "
        "140 ms at 00:12.340.\n"
        "  * 2 packets from 1001 came after all, but when their place was written.\n"
        "  * 2 more lost packets from 1001 (40 ms) were filled in by the codec.\n"
        "  * This host's kernel dropped packets from 1001 (60 ms, first at 00:51.200): its receive "
        "buffer was full.\n"
        "  * The recorder was not running to hear 1001 (1.200 s, first at 00:50.000).\n"
        "  * Payload that cannot be decoded came from 1001 (660 ms, first at 00:51.340): see its "
        "payload types.\n"
        "  * 1001 sounds poor (MOS 2.75).\n"
        "  * 1001 is very quiet (-50.5 dBov).\n"
        "  * The clocks of 1001 and of this host parted 1 time: see there.\n"
        "  * Nothing was heard of channel 1 at 198.51.100.1:20000; packets came, but none that "
        "could be its own.\n");
}

/* Some text is never part of what is printed. */
static void check_has(json_t *ledger, const char *want, bool there)
{
    json_t *explained = slr_explain(ledger);
    cr_assert_not_null(explained);
    char *text = slr_explain_text(explained);
    cr_assert_not_null(text);
    cr_assert_eq(strstr(text, want) != NULL, there, "%s in\n%s", want, text);
    for (const char *c = text; *c; c++) {
        cr_assert(*c == '\n' || (*c >= ' ' && *c <= '~'), "byte %d", *c);
    }
    free(text);
    json_decref(explained);
    json_decref(ledger);
}

/* Who asks for secure media sees that it was. */
Test(explain, srtp_and_its_suite)
{
    json_t *spans = json_pack("[o]", span("received", 0, 90000, 0));
    json_t *leg = leg_of("1001", 0, spans, quality(4.41, 0, 0, -20), 4500);
    json_object_set_new(
        leg, "srtp", json_pack("{s:s,s:{s:i}}", "suite", "AEAD_AES_128_GCM", "failed", "auth", 0));
    check_has(ledger_of(json_pack("[o]", leg)),
              "media    PCMA by SRTP (AEAD_AES_128_GCM) from 192.0.2.7:4000, 4500 packets", true);
}

/* Not one packet was good: then that is what went wrong. */
Test(explain, a_wrong_key_is_named)
{
    json_t *leg = leg_of("1001", 0, json_array(), quality(0, 0, 44, -20), 0);
    json_object_set_new(leg, "streams", json_array());
    json_object_set_new(leg, "srtp",
                        json_pack("{s:s,s:{s:i,s:i}}", "suite", "AEAD_AES_128_GCM", "failed",
                                  "auth", 300, "short", 0));
    check_has(ledger_of(json_pack("[o]", leg)),
              "300 encrypted packets from 1001 were refused: auth.", true);
}

Test(explain, many_small_losses_become_few_rows)
{
    json_t *spans = json_array();
    for (int i = 0; i < 2000; i++) {
        json_array_append_new(spans, span("received", i * 45, 25, 0));
        json_array_append_new(spans, span("lost-network", i * 45 + 25, 20, 1));
    }
    struct slr_explain_row *row = NULL;
    struct slr_explain_sums sums;
    size_t count = 0;
    cr_assert(slr_explain_rows(spans, SLR_TICKS_HZ, &row, &count, &sums));
    cr_assert_eq(count, 2u);
    cr_assert_eq(row[1].times, 2000u);
    cr_assert_eq(row[1].packets, 2000u);
    cr_assert(fabs(row[1].of_kind_ms - 40000) < 0.01);
    cr_assert_eq(sums.packets[SLR_SPAN_LOST_NETWORK], 2000u);
    free(row);
    check_has(ledger_of(json_pack("[o]", leg_of("1001", 0, spans, quality(1, 2000, 44, -20), 1))),
              "lost in the network, 2000 times, together 40.000 s (2000 packets)", true);
}

Test(explain, each_file_is_named_with_its_party)
{
    json_t *legs =
        json_pack("[o,o,o]",
                  leg_of("1001", 0, json_pack("[o]", span("received", 0, 90000, 0)),
                         quality(4.41, 0, 0, -23.4), 4500),
                  leg_of("1002", 1, json_pack("[o]", span("received", 0, 40000, 0)),
                         quality(4.41, 0, 0, -23.4), 2000),
                  leg_of("", 1, json_pack("[o]", span("absent", 0, 90000, 0)), json_null(), 0));
    json_t *ledger = ledger_of(legs);
    json_object_set_new(ledger, "layout", json_string("legs"));
    json_object_set_new(ledger, "files",
                        json_pack("[{s:s,s:i},{s:s,s:i},{s:s,s:i}]", "file", "20261120/x-0.opus",
                                  "channel", 0, "file", "20261120/x-1.opus", "channel", 1, "file",
                                  "20261120/x-2.opus", "channel", 2));
    check_has(ledger,
              "long\n"
              "media      a file for each channel, alaw at 8000 Hz\n"
              "           20261120/x-0.opus: channel 0, 1001\n"
              "           20261120/x-1.opus: channel 1, 1002, then channel 1\n"
              "           20261120/x-2.opus: channel 2, -\n"
              "parties    1001 (channel 0), 1002 (channel 1)",
              true);
}

Test(explain, a_mix_is_called_one)
{
    json_t *ledger = ledger_of(json_array());
    json_object_set_new(ledger, "layout", json_string("mix"));
    json_object_set_new(json_object_get(ledger, "shape"), "channels", json_integer(1));
    check_has(ledger, ".wav: 1 channel (all parties mixed), alaw at 8000 Hz\n", true);
}

Test(explain, alarms_stand_at_their_leg)
{
    json_t *spans = json_pack("[o]", span("received", 0, 90000, 0));
    json_t *other = json_pack("[o]", span("received", 0, 90000, 0));
    json_t *second = leg_of("1002", 1, other, quality(4.41, 0, 0, -23.4), 4500);
    json_object_set_new(second, "id", json_string("b"));
    json_t *legs =
        json_pack("[o,o]", leg_of("1001", 0, spans, quality(4.41, 0, 0, -23.4), 4500), second);
    json_t *ledger = ledger_of(legs);
    json_object_set_new(ledger, "alarms",
                        json_pack("[{s:s,s:s,s:i,s:i},{s:s,s:s,s:i},{s:s,s:s,s:i},i]", "leg", "a",
                                  "cause", "no-packets", "since_ms", 12340, "silent_ms", 14500,
                                  "leg", "a", "cause", "comfort-only", "since_ms", 60000, "leg",
                                  "gone", "cause", "no-audio", "since_ms", 7, 5));
    check_has(json_incref(ledger),
              "received\n"
              "  where nothing was heard for long\n"
              "     00:12.340  no packets came; heard again after 14.500 s\n"
              "     01:00.000  nothing but comfort noise came; never heard again\n"
              "\n1002, channel 1\n",
              true);
    check_has(ledger, "digital silence in them", false);
}

Test(explain, trouble_that_cannot_be_joined_is_cut)
{
    json_t *spans = json_array();
    for (int i = 0; i < 100; i++) {
        json_array_append_new(spans, span("concealed", i * 45, 25, 0));
        json_array_append_new(spans, span("lost-network", i * 45 + 25, 20, 1));
    }
    check_has(ledger_of(json_pack("[o]", leg_of("1001", 0, spans, quality(1, 100, 44, -20), 1))),
              "... and 140 more: --json shows them", true);
}

Test(explain, what_others_wrote_is_harmless)
{
    static const char *const text[] = {
        "{}",
        "{\"legs\":7,\"ticks_hz\":0,\"shape\":[],\"digits\":null}",
        "{\"ticks_hz\":-5,\"legs\":[null,7,\"x\",{},{\"spans\":{},\"streams\":{}},{\"quality\":[]}]"
        "}",
        "{\"ticks_hz\":1,\"len_ticks\":9223372036854775807,\"legs\":[{\"spans\":[{\"kind\":"
        "\"received\",\"start_ticks\":9223372036854775807,\"len_ticks\":9223372036854775807},"
        "{\"kind\":\"lost-network\",\"len_ticks\":-9223372036854775808,\"packets\":"
        "9223372036854775807},{\"kind\":\"nonsense\"},{\"kind\":7}],\"streams\":[7,{}],"
        "\"quality\":{\"mos\":1e308,\"lost\":-1,\"loss_pct\":-1e308,\"level\":{\"active_dbov\":"
        "1e308,\"dc_pct\":-1e308,\"clipped_pct\":1e308,\"digital_silence_pct\":1e300}},"
        "\"clock\":[7,{},{\"kind\":7,\"at_ticks\":9223372036854775807}],\"srtp\":{\"failed\":"
        "{\"\\u001b[2J\":9,\"x\":\"y\"}}}]}",
        "{\"files\":[7,{},{\"file\":7,\"channel\":-9223372036854775808},{\"file\":"
        "\"\\u001b[2J\"}],\"legs\":[{\"channel\":0,\"dn\":7},{\"dn\":\"\\n\"}],\"layout\":[]}",
        "{\"recording\":\"\\u001b]0;x\\u0007\\u009b\",\"state\":\"\\n\\n\",\"legs\":[{\"dn\":"
        "\"\\u001b[31mred\\u202e%s%d\",\"id\":\"\\u0000\"}]}",
    };
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        json_t *ledger = json_loads(text[i], JSON_ALLOW_NUL, NULL);
        cr_assert_not_null(ledger, "%zu", i);
        check_has(ledger, "What went wrong", true);
    }
    check_has(NULL, "What went wrong", true);
}

Test(explain, lengths_and_positions)
{
    static const struct {
        double ms;
        const char *length, *position;
    } row[] = {{0, "0 ms", "00:00.000"},
               {0.125, "0.12 ms", "00:00.000"},
               {140, "140 ms", "00:00.140"},
               {999.4, "999.40 ms", "00:00.999"},
               {1000, "1.000 s", "00:01.000"},
               {61001, "01:01.001", "01:01.001"},
               {3600000, "01:00:00.000", "01:00:00.000"},
               {-5, "0 ms", "00:00.000"},
               {1e300, "277777:46:40.000", "277777:46:40.000"}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        char text[32];
        slr_explain_length(row[i].ms, text);
        cr_assert_str_eq(text, row[i].length);
        slr_explain_position(row[i].ms, text);
        cr_assert_str_eq(text, row[i].position);
    }
}
