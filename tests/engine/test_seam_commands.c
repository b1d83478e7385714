/*
 * Seam commands: strict fields become engine calls.
 */
#include "tests/engine/seam_rig.h"

Test(seam_commands, commands_become_calls)
{
    struct rig r;
    start(&r, false);
    struct slr_seam_conn *c = dial(&r);
    hello(&r, c, 1, 0);
    json_t *a = ask(
        &r, c,
        "{\"cmd\":\"session_open\",\"id\":\"a\",\"epoch\":1,\"session\":\"" ID_A "\","
        "\"call\":\"C1\",\"channels\":2,\"digits\":\"mask\",\"meta\":{\"x\":1},\"later\":true}");
    cr_expect_eq(slr_json_i64(a, "start_wall_ns", 0), 4711);
    cr_expect_str_eq(r.engine.session, ID_A);
    cr_expect_str_eq(r.engine.call, "C1");
    cr_expect_eq(r.engine.open.channels, 2);
    cr_expect_eq(r.engine.open.reserve_streams, 2);
    cr_expect_eq(r.engine.open.digit_policy, 1);
    cr_expect_not_null(r.engine.open.meta);
    json_decref(a);

    a = ask(&r, c,
            "{\"cmd\":\"leg_open\",\"id\":\"b\",\"epoch\":1,\"session\":\"" ID_A
            "\",\"leg\":\"l1\","
            "\"channel\":1,\"dn\":\"1001\",\"codecs\":[{\"pt\":8,\"name\":\"pcma\",\"clock\":8000,"
            "\"ch\":1},{\"pt\":101,\"name\":\"telephone-event\",\"clock\":8000,\"fmtp\":\"0-15\"}],"
            "\"source_ip\":\"10.1.1.1\",\"source_port\":4000,\"source_policy\":\"strict\","
            "\"family\":4,\"hold\":true,\"ssrc\":[1,4294967295],\"ptime_ms\":20}");
    cr_expect_str_eq(slr_json_str(a, "ip"), "192.0.2.1");
    cr_expect_eq(slr_json_u64(a, "port", 0), 40000);
    cr_expect_eq(slr_json_u64(a, "rtcp_port", 0), 40001);
    const struct slr_leg_params *p = &r.engine.params;
    cr_expect_eq(p->channel, 1);
    cr_expect_str_eq(r.engine.dn, "1001");
    cr_expect_eq(p->pt_count, 2);
    cr_expect_str_eq(p->pt[0].name, "PCMA");
    cr_expect_eq(p->pt[1].pt, 101);
    cr_expect_str_eq(p->pt[1].fmtp, "0-15");
    cr_expect_eq(p->pt[1].channels, 1);
    cr_expect_eq(p->source.port, 4000);
    cr_expect_eq(p->policy, SLR_SOURCE_STRICT);
    cr_expect(p->hold);
    cr_expect_eq(p->ssrc_count, 2);
    cr_expect_eq(p->ssrc[1], UINT32_MAX);
    json_decref(a);

    a = ask(&r, c,
            "{\"cmd\":\"leg_update\",\"id\":\"c\",\"epoch\":1,\"session\":\"" ID_A
            "\",\"leg\":\"l1\","
            "\"hold\":false}");
    cr_expect(slr_json_bool(a, "ok", false));
    cr_expect_eq(r.engine.params.has, SLR_LEG_HAS_HOLD, "only what was given is changed");
    json_decref(a);
    slr_seam_close(c);
    stop(&r);
}

/* What tells how payload is packed is kept where not all parameters fit. */
Test(seam_commands, long_parameters_keep_what_matters)
{
    struct rig r;
    start(&r, false);
    struct slr_seam_conn *c = dial(&r);
    hello(&r, c, 1, 0);
    json_t *a = ask(&r, c,
                    "{\"cmd\":\"leg_open\",\"id\":\"b\",\"epoch\":1,\"session\":\"" ID_A
                    "\",\"leg\":\"l1\","
                    "\"channel\":0,\"codecs\":[{\"pt\":98,\"name\":\"AMR\",\"clock\":8000,\"fmtp\":"
                    "\"mode-set=0,1,2,3,4,5,6,7; mode-change-period=2; mode-change-capability=2; "
                    "mode-change-neighbor=1; max-red=220; octet-align=1\"}]}");
    cr_expect(slr_json_bool(a, "ok", false));
    cr_expect_str_eq(r.engine.params.pt[0].fmtp,
                     "octet-align=1;mode-set=0,1,2,3,4,5,6,7;mode-change-period=2;"
                     "mode-change-capability=2");
    json_decref(a);
    slr_seam_close(c);
    stop(&r);
}

/* What a command does not say of the final files is as the engine's options have it; what no file
 * can be together is as the command says; what no file can be at all is refused. */
Test(seam_commands, output_is_completed_by_the_options)
{
    static const struct {
        const char *output;
        bool ok;
        struct slr_output want;
    } rows[] = {
        {"{}", true, {SLR_FORMAT_FLAC, SLR_LAYOUT_MIX, true, 0, 16000}},
        {"{\"layout\":\"legs\"}", true, {SLR_FORMAT_FLAC, SLR_LAYOUT_LEGS, true, 0, 16000}},
        {"{\"type\":\"\",\"layout\":\"\",\"rate\":0,\"cut_pauses\":false}",
         true,
         {SLR_FORMAT_FLAC, SLR_LAYOUT_MIX, false, 0, 0}},
        {"{\"type\":\"audio/ogg\"}", true, {SLR_FORMAT_OPUS, SLR_LAYOUT_MIX, true, 0, 16000}},
        {"{\"type\":\"gsm\"}", true, {SLR_FORMAT_GSM, SLR_LAYOUT_DEFAULT, true, 0, 0}},
        {"{\"type\":\"gsm\",\"layout\":\"stereo\"}", false, {0}},
        {"{\"type\":\"audio/x-nonsense\"}", false, {0}},
        {"{\"rate\":12345}", false, {0}},
        {"{\"rate\":-1}", false, {0}},
        {"{\"type\":\"opus\",\"rate\":44100}", false, {0}},
        {"{\"type\":7}", false, {0}},
        {"[]", false, {0}},
        {"\"opus\"", false, {0}},
    };
    struct rig r;
    start(&r, false);
    r.cfg.format = "flac";
    r.cfg.layout = "mix";
    r.cfg.rate_hz = 16000;
    r.cfg.cut_pauses = true;
    struct slr_seam_conn *c = dial(&r);
    hello(&r, c, 1, 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[300];
        snprintf(text, sizeof text,
                 "{\"cmd\":\"session_open\",\"id\":\"o%zu\",\"epoch\":1,\"session\":\"" ID_A
                 "\",\"call\":\"c\",\"channels\":2,\"output\":%s}",
                 i, rows[i].output);
        json_t *a = ask(&r, c, text);
        const struct slr_output *is = &r.engine.open.output;
        cr_expect_eq(slr_json_bool(a, "ok", false), rows[i].ok, "%s", rows[i].output);
        if (rows[i].ok) {
            cr_expect_eq(is->format, rows[i].want.format, "%s", rows[i].output);
            cr_expect_eq(is->layout, rows[i].want.layout, "%s", rows[i].output);
            cr_expect_eq(is->cut_pauses, rows[i].want.cut_pauses, "%s", rows[i].output);
            cr_expect_eq(is->sample_hz, rows[i].want.sample_hz, "%s", rows[i].output);
        }
        json_decref(a);
    }
    slr_seam_close(c);
    stop(&r);
}

Test(seam_commands, plain_commands_become_calls)
{
    static const struct {
        const char *cmd, *what;
    } plain[] = {
        {"\"leg_close\",\"leg\":\"l1\",\"reason\":\"bye\"", "leg_close"},
        {"\"session_pause\"", "pause"},
        {"\"session_resume\"", "resume"},
        {"\"session_meta\",\"meta\":{\"k\":\"v\"}", "meta"},
        {"\"session_close\",\"reason\":\"bye\"", "session_close"},
        {"\"recording_delete\"", "delete"},
    };
    struct rig r;
    start(&r, false);
    struct slr_seam_conn *c = dial(&r);
    hello(&r, c, 1, 0);
    json_t *a;
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        char text[300];
        snprintf(text, sizeof text,
                 "{\"cmd\":%s,\"id\":\"p%zu\",\"epoch\":1,\"session\":\"" ID_A "\"}", plain[i].cmd,
                 i);
        a = ask(&r, c, text);
        cr_expect(slr_json_bool(a, "ok", false), "%s", text);
        cr_expect_str_eq(r.engine.what, plain[i].what);
        cr_expect_str_eq(r.engine.session, ID_A);
        json_decref(a);
    }
    a = ask(&r, c,
            "{\"cmd\":\"session_pause\",\"id\":\"t\",\"epoch\":1,\"session\":\"" ID_A
            "\",\"max_ms\":30000}");
    cr_expect_eq(r.engine.max_ms, 30000u);
    cr_expect_eq(slr_json_u64(a, "max_ms", 0), 30000u);
    json_decref(a);
    a = ask(&r, c, "{\"cmd\":\"drain\",\"id\":\"d\",\"epoch\":1,\"on\":true}");
    cr_expect(r.engine.draining);
    json_decref(a);
    a = ask(&r, c, "{\"cmd\":\"stats\",\"id\":\"e\",\"epoch\":1}");
    const json_t *counters = json_object_get(a, "counters");
    cr_expect_eq(slr_json_u64(counters, "slr_x_total", 0), 5);
    cr_expect_gt(slr_json_u64(counters, "slr_seam_commands_total", 0), 5);
    json_decref(a);
    slr_seam_close(c);
    stop(&r);
}

Test(seam_commands, wrong_fields_are_named_and_nothing_is_called)
{
    static const struct {
        const char *body, *err, *names;
    } rows[] = {
        {"\"cmd\":\"session_pause\",\"session\":\"" ID_A "\",\"max_ms\":86400001", "INVAL",
         "max_ms"},
        {"\"cmd\":\"session_open\",\"channels\":2", "INVAL", "session"},
        {"\"cmd\":\"session_open\",\"session\":\"xyz\",\"channels\":2", "INVAL", "session"},
        {"\"cmd\":\"session_open\",\"session\":7,\"channels\":2", "INVAL", "session"},
        {"\"cmd\":\"session_open\",\"session\":\"" ID_A "\"", "INVAL", "channels"},
        {"\"cmd\":\"session_open\",\"session\":\"" ID_A "\",\"channels\":9", "INVAL", "channels"},
        {"\"cmd\":\"session_open\",\"session\":\"" ID_A "\",\"channels\":\"2\"", "INVAL",
         "channels"},
        {"\"cmd\":\"session_open\",\"session\":\"" ID_A "\",\"channels\":2,\"digits\":\"no\"",
         "INVAL", "digits"},
        {"\"cmd\":\"session_open\",\"session\":\"" ID_A "\",\"channels\":2,\"meta\":[]", "INVAL",
         "meta"},
        {"\"cmd\":\"session_open\",\"session\":\"" ID_A "\",\"channels\":2,\"call\":\"a\\u0007\"",
         "INVAL", "call"},
        {"\"cmd\":\"leg_open\",\"session\":\"" ID_A "\",\"leg\":\"\",\"channel\":0", "INVAL",
         "leg"},
        {"\"cmd\":\"leg_open\",\"session\":\"" ID_A "\",\"leg\":\"l\",\"channel\":8", "INVAL",
         "channel"},
        {"\"cmd\":\"leg_open\",\"session\":\"" ID_A "\",\"leg\":\"l\",\"channel\":0,\"source_ip\":"
         "\"host.example\"",
         "INVAL", "source_ip"},
        {"\"cmd\":\"leg_open\",\"session\":\"" ID_A "\",\"leg\":\"l\",\"channel\":0,\"codecs\":[1]",
         "INVAL", "codecs"},
        {"\"cmd\":\"leg_open\",\"session\":\"" ID_A "\",\"leg\":\"l\",\"channel\":0,\"codecs\":[{"
         "\"pt\":128,\"name\":\"X\",\"clock\":8000}]",
         "INVAL", "pt"},
        {"\"cmd\":\"leg_open\",\"session\":\"" ID_A "\",\"leg\":\"l\",\"channel\":0,\"ssrc\":[-1]",
         "INVAL", "ssrc"},
        {"\"cmd\":\"leg_open\",\"session\":\"" ID_A "\",\"leg\":\"l\",\"channel\":0,\"family\":5",
         "INVAL", "family"},
        {"\"cmd\":\"leg_open\",\"session\":\"" ID_A "\",\"leg\":\"l\",\"channel\":0,\"passive\":{"
         "\"dst\":\"10.0.0.1:4000\"}",
         "INVAL", "passive"},
        {"\"cmd\":\"session_meta\",\"session\":\"" ID_A "\"", "INVAL", "meta"},
        {"\"cmd\":\"drain\",\"on\":1", "INVAL", "on"},
        {"\"cmd\":\"explode\"", "UNSUPPORTED", "unknown"},
    };
    struct rig r;
    start(&r, false);
    struct slr_seam_conn *c = dial(&r);
    hello(&r, c, 1, 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[600];
        snprintf(text, sizeof text, "{%s,\"id\":%zu,\"epoch\":1}", rows[i].body, i);
        expect_err(&r, c, text, rows[i].err, rows[i].names);
    }
    json_t *meta = json_object();
    char pad[SLR_META_SIZE + 1];
    memset(pad, 'x', sizeof pad - 1);
    pad[sizeof pad - 1] = '\0';
    json_object_set_new(meta, "pad", json_string(pad));
    json_t *a = ask_json(&r, c,
                         json_pack("{s:s,s:i,s:i,s:s,s:o}", "cmd", "session_meta", "id", 900,
                                   "epoch", 1, "session", ID_A, "meta", meta));
    cr_expect_str_eq(slr_json_str(a, "err"), "TOOLONG");
    json_decref(a);
    expect_err(&r, c, "{\"cmd\":\"stats\",\"epoch\":1}", "INVAL", "id");
    expect_err(&r, c, "{\"cmd\":\"stats\",\"id\":{},\"epoch\":1}", "INVAL", "id");
    expect_err(&r, c, "{\"cmd\":\"stats\",\"id\":1}", "INVAL", "epoch");
    expect_err(&r, c, "{\"id\":1,\"epoch\":1}", "INVAL", "cmd");
    cr_expect_eq(slr_seam_server_connections(r.server), 1, "errors don't cost the connection");
    slr_seam_close(c);
    stop(&r);
}

Test(seam_commands, passive_legs)
{
    struct rig r;
    start(&r, true);
    struct slr_seam_conn *c = dial(&r);
    hello(&r, c, 1, 0);
    json_t *a =
        ask(&r, c,
            "{\"cmd\":\"leg_open\",\"id\":1,\"epoch\":1,\"session\":\"" ID_A "\",\"leg\":\"l\","
            "\"channel\":0,\"passive\":{\"dst\":\"10.0.0.1:4000\",\"src_ip\":\"\"}}");
    cr_expect(slr_json_bool(a, "ok", false));
    cr_expect_null(json_object_get(a, "port"));
    cr_expect(r.engine.params.passive);
    cr_expect_eq(r.engine.params.passive_dst.port, 4000);
    cr_expect_eq(r.engine.params.passive_src.family, 0);
    json_decref(a);
    expect_err(&r, c,
               "{\"cmd\":\"leg_open\",\"id\":2,\"epoch\":1,\"session\":\"" ID_A "\",\"leg\":\"l\","
               "\"channel\":0}",
               "INVAL", "passive");
    slr_seam_close(c);
    stop(&r);
}
