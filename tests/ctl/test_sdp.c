/* Reading of session descriptions as peers really send them, and the answers to them. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl/sdp.h"

#define GENESYS                                                                                    \
    "v=0\r\no=PhoneSimulator 1 1 IN IP4 10.0.0.7\r\ns=incoming INVITE\r\nc=IN IP4 10.0.0.7\r\n"    \
    "t=0 0\r\nm=audio 20000 RTP/AVP 18 8 101\r\na=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\n"  \
    "a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"             \
    "a=ptime:20\r\na=sendonly\r\n"

/* G.729 is an option of the build. */
#ifdef SLR_HAVE_G729
#define G729_PT "18 "
#define G729_MAP "a=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\n"
#else
#define G729_PT ""
#define G729_MAP ""
#endif

static struct slr_sdp sdp;

static enum slr_err read_text(const char *text)
{
    size_t n = strlen(text);
    char *exact = malloc(n + 1); /* exactly sized, so that a read past the end is seen */
    memcpy(exact, text, n);
    enum slr_err err = slr_sdp_read(slr_slice_of(exact, n), &sdp);
    free(exact);
    return err;
}

static void answer(char *out, size_t size, const struct slr_sdp_local *local)
{
    struct slr_sdp_session session = {.id = 7, .version = 3, .ip = "192.0.2.9", .family = 4};
    struct slr_put put = slr_put_of(out, size);
    cr_assert_eq(slr_sdp_write_answer(&sdp, local, &session, &put), SLR_OK);
    slr_put_u8(&put, 0);
    cr_assert(!put.overflow);
}

Test(sdp, plain_offer)
{
    cr_assert_eq(read_text(GENESYS), SLR_OK);
    cr_assert_eq(sdp.repairs, 0u);
    cr_assert_eq(sdp.media_count, 1);
    const struct slr_sdp_media *m = &sdp.media[0];
    cr_assert_str_eq(m->kind, "audio");
    cr_assert_eq(m->port, 20000);
    cr_assert_eq(m->codec_count, 3);
    cr_assert_str_eq(m->codec[0].name, "G729");
    cr_assert_str_eq(m->codec[0].fmtp, "annexb=no");
    cr_assert_eq(m->codec[1].clock_hz, 8000u);
    cr_assert_eq(m->dir, SLR_SDP_SENDONLY);
    cr_assert_eq(m->ptime_ms, 20);
    char ip[SLR_ADDR_TEXT_SIZE];
    slr_addr_format(&m->addr, ip);
    cr_assert_str_eq(ip, "10.0.0.7:20000");
    cr_assert(slr_sdp_media_usable(m));
    cr_assert(!slr_sdp_media_held(m));
}

Test(sdp, answer_keeps_offer_order_and_drops_unknown_codecs)
{
    char text[2048];
    struct slr_sdp_local local[SLR_SDP_MEDIA_MAX] = {
        {.taken = true, .ip = "192.0.2.9", .family = 4, .port = 4000, .rtcp_port = 4001}};
    cr_assert_eq(read_text(GENESYS), SLR_OK);
    answer(text, sizeof text, local);
    cr_assert_str_eq(text, "v=0\r\no=slr 7 3 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\n"
                           "t=0 0\r\nm=audio 4000 RTP/AVP " G729_PT "8 101\r\n"
                           "c=IN IP4 192.0.2.9\r\n" G729_MAP
                           "a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
                           "a=fmtp:101 0-15\r\na=ptime:20\r\na=recvonly\r\n");
}

Test(sdp, answer_directions)
{
    static const struct {
        const char *offered, *answered;
    } row[] = {{"sendonly", "recvonly"},
               {"sendrecv", "recvonly"},
               {"inactive", "inactive"},
               {"recvonly", "inactive"}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        char offer[256], text[1024], want[64];
        struct slr_sdp_local local[1] = {
            {.taken = true, .ip = "192.0.2.9", .family = 4, .port = 4}};
        snprintf(offer, sizeof offer,
                 "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nc=IN IP4 1.2.3.4\r\nt=0 0\r\n"
                 "m=audio 9 RTP/AVP 0\r\na=%s\r\n",
                 row[i].offered);
        cr_assert_eq(read_text(offer), SLR_OK);
        answer(text, sizeof text, local);
        snprintf(want, sizeof want, "a=%s\r\n", row[i].answered);
        cr_assert(strstr(text, want), "%s: %s", row[i].offered, text);
    }
}

Test(sdp, refused_lines_stay_in_place_with_port_zero)
{
    char text[2048];
    struct slr_sdp_local local[SLR_SDP_MEDIA_MAX] = {
        {.taken = false}, {.taken = true, .ip = "2001:db8::1", .family = 6, .port = 10}};
    cr_assert_eq(read_text("v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nc=IN IP4 1.2.3.4\r\nt=0 0\r\n"
                           "m=video 30000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=label:v\r\n"
                           "m=audio 9 RTP/AVP 0\r\na=label:16777219\r\na=rtcp-mux\r\n"),
                 SLR_OK);
    cr_assert(!slr_sdp_media_usable(&sdp.media[0]));
    answer(text, sizeof text, local);
    cr_assert(strstr(text, "m=video 0 RTP/AVP 96\r\na=label:v\r\nm=audio 10 RTP/AVP 0\r\n"
                           "c=IN IP6 2001:db8::1\r\n"),
              "%s", text);
    cr_assert(strstr(text, "a=label:16777219\r\n"));
    cr_assert(strstr(text, "a=rtcp-mux\r\n"));
}

Test(sdp, repairs_are_counted_and_taken)
{
    cr_assert_eq(
        read_text("m=audio 9 RTP/AVP 0\na=rtpmap:0 PCMU/8000\nc=IN IP4 1.2.3.4\nrubbish\n"),
        SLR_OK);
    uint32_t want = SLR_SDP_FIX_LF | SLR_SDP_FIX_NO_S | SLR_SDP_FIX_NO_T | SLR_SDP_FIX_NO_O |
                    SLR_SDP_FIX_NO_V | SLR_SDP_FIX_ORDER | SLR_SDP_FIX_JUNK;
    cr_assert_eq(sdp.repairs, want, "%x", sdp.repairs);
    cr_assert_eq(sdp.repair_count, 7u);
    cr_assert_eq(sdp.media[0].addr.family, 4);
}

Test(sdp, no_address_at_all_is_unknown_not_an_error)
{
    cr_assert_eq(read_text("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
                           "m=audio 9 RTP/AVP 0\r\n"),
                 SLR_OK);
    cr_assert_eq(sdp.repairs, (uint32_t)SLR_SDP_FIX_NO_C);
    cr_assert_eq(sdp.media[0].addr.family, 0);
    cr_assert(!slr_sdp_media_held(&sdp.media[0]));
}

Test(sdp, zero_address_is_hold)
{
    cr_assert_eq(read_text("v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
                           "m=audio 9 RTP/AVP 0\r\n"),
                 SLR_OK);
    cr_assert(sdp.media[0].zero_addr);
    cr_assert(slr_sdp_media_held(&sdp.media[0]));
}

Test(sdp, media_level_beats_session_level)
{
    cr_assert_eq(read_text("v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nc=IN IP4 1.2.3.4\r\nt=0 0\r\n"
                           "a=inactive\r\na=ptime:30\r\n"
                           "m=audio 10 RTP/AVP 0\r\nc=IN IP6 2001:db8::5\r\na=sendonly\r\n"
                           "a=rtcp:55 IN IP4 9.9.9.9\r\na=ssrc:42 cname:x\r\na=ssrc:42 msid:y\r\n"
                           "m=audio 12 RTP/AVP 0\r\na=rtcp:77\r\na=ptime:20.0\r\n"),
                 SLR_OK);
    cr_assert_eq(sdp.repairs, 0u);
    cr_assert_eq(sdp.media[0].addr.family, 6);
    cr_assert_eq(sdp.media[0].dir, SLR_SDP_SENDONLY);
    cr_assert_eq(sdp.media[0].rtcp.port, 55);
    cr_assert_eq(sdp.media[0].ssrc_count, 1);
    cr_assert_eq(sdp.media[0].ssrc[0], 42u);
    cr_assert_eq(sdp.media[0].ptime_ms, 30);
    cr_assert_eq(sdp.media[1].dir, SLR_SDP_INACTIVE);
    cr_assert_eq(sdp.media[1].addr.ip[0], 1);
    cr_assert_eq(sdp.media[1].rtcp.port, 77);
    cr_assert_eq(sdp.media[1].rtcp.ip[0], 1);
    cr_assert_eq(sdp.media[1].ptime_ms, 20);
}

Test(sdp, the_lines_that_hang_other_parsers)
{
    static const char *const format[] = {"RTP/AVP 0 ,8", "RTP/AVP 0 =8", "RTP//AVP 0"};
    for (size_t i = 0; i < 3; i++) {
        char text[128];
        snprintf(text, sizeof text, "v=0\r\nm=audio 49217 %s\r\n", format[i]);
        cr_assert_eq(read_text(text), SLR_OK);
        cr_assert_eq(sdp.media[0].codec_count, 1);
    }
}

Test(sdp, limits)
{
    char text[4096] = "v=0\r\n";
    for (int i = 0; i < 9; i++) {
        strcat(text, "m=audio 9 RTP/AVP 0\r\n");
    }
    cr_assert_eq(read_text(text), SLR_FULL);
    cr_assert_eq(read_text(""), SLR_NOTFOUND);
    cr_assert_eq(read_text("m=audio 99999 RTP/AVP 0\r\n"), SLR_FORMAT);
    cr_assert_eq(read_text("m=audio 9 RTP/AVP\r\n"), SLR_FORMAT);
    static char big[SLR_SDP_MAX_BYTES + 2];
    memset(big, 'x', sizeof big - 1);
    cr_assert_eq(read_text(big), SLR_TOOLONG);
    cr_assert_eq(slr_sdp_read(slr_slice_of("m=audio 9 RTP/AVP 0\0", 20), &sdp), SLR_FORMAT);
}

Test(sdp, a_lone_cr_cannot_smuggle_lines_into_the_answer)
{
    cr_assert_eq(read_text("v=0\r\nm=audio 9 RTP/AVP 0\r\na=label:x\rm=audio 1 RTP/AVP 0\r\n"),
                 SLR_OK);
    cr_assert_str_empty(sdp.media[0].label);
    cr_assert(sdp.repairs & SLR_SDP_FIX_JUNK);
}

static const char secure_offer[] =
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    "m=audio 9 RTP/SAVP 0\r\n"
    "a=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n"
    "a=crypto:2 bad\r\n"
    "a=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR|2^20\r\n";

Test(sdp, the_answer_names_the_line_it_took_and_has_a_key_of_its_own)
{
    char text[1024];
    struct slr_sdp_local local = {.taken = true, .ip = "192.0.2.9", .family = 4, .port = 4000};
    struct slr_sdp_session session = {.id = 1, .version = 1, .ip = "192.0.2.9", .family = 4};
    struct slr_put put = slr_put_of(text, sizeof text - 1);
    cr_assert_eq(read_text(secure_offer), SLR_OK);
    cr_assert(slr_sdp_media_usable(&sdp.media[0]));
    cr_assert_eq(sdp.media[0].crypto_count, 2);
    cr_assert_eq(sdp.media[0].crypto_bad, 1);
    cr_assert_eq(slr_sdp_media_crypto(&sdp.media[0])->tag, 3u);
    cr_assert(slr_sdp_crypto_make(SLR_SRTP_AES_CM_128_80, &local.own));
    cr_assert_eq(slr_sdp_write_answer(&sdp, &local, &session, &put), SLR_OK);
    text[put.len_bytes] = '\0';
    cr_assert(strstr(text, "m=audio 4000 RTP/SAVP 0\r\n"), "%s", text);
    cr_assert(strstr(text, "\r\na=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:"), "%s", text);
    cr_assert_null(strstr(text, "PS1uQCVe"));
}

Test(sdp, crypto_under_plain_rtp_means_nothing)
{
    char text[sizeof secure_offer];
    memcpy(text, secure_offer, sizeof text);
    memcpy(strstr(text, "/SAVP"), "/AVPF", 5);
    cr_assert_eq(read_text(text), SLR_OK);
    cr_assert(slr_sdp_media_usable(&sdp.media[0]));
    cr_assert_null(slr_sdp_media_crypto(&sdp.media[0]));
}

Test(sdp, srtp_without_a_key_is_not_taken_and_keys_are_cut_from_records)
{
    const char *text =
        "v=0\nm=audio 9 RTP/SAVP 0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:SECRET\n"
        "A=CRYPTO:2 x inline:SECRET\nk=clear:SECRET\na=sendonly\n";
    char cut[256];
    cr_assert_eq(read_text(text), SLR_OK);
    cr_assert(sdp.media[0].has_crypto);
    cr_assert(!slr_sdp_media_usable(&sdp.media[0]));
    cr_assert_eq(slr_sdp_cut_keys(slr_slice_str(text), cut, sizeof cut), SLR_OK);
    cr_assert(!strstr(cut, "SECRET"), "%s", cut);
    cr_assert(strstr(cut, "a=sendonly\r\n"));
    cr_assert_eq(slr_sdp_cut_keys(slr_slice_str(text), cut, 20), SLR_TOOLONG);
}

Test(sdp, own_offer_reads_back)
{
    char text[1024];
    struct slr_sdp_local local = {.taken = true, .ip = "192.0.2.9", .family = 4, .port = 4000};
    struct slr_sdp_session session = {.id = 1, .version = 1, .ip = "192.0.2.9", .family = 4};
    struct slr_put put = slr_put_of(text, sizeof text - 1);
    struct slr_sdp_limit limit = {.on = false};
    cr_assert_eq(slr_sdp_write_offer(&local, &session, &limit, &put), SLR_OK);
    cr_assert_eq(slr_sdp_read(slr_slice_of(text, put.len_bytes), &sdp), SLR_OK);
    cr_assert_eq(sdp.repairs, 0u);
    cr_assert_eq(sdp.media[0].dir, SLR_SDP_RECVONLY);
    cr_assert(slr_sdp_media_usable(&sdp.media[0]));
    for (uint8_t i = 0; i < sdp.media[0].codec_count; i++) {
        cr_assert(slr_sdp_codec_taken(&sdp.media[0].codec[i]), "%u", sdp.media[0].codec[i].pt);
    }
}

Test(sdp, own_offer_within_the_limit)
{
    char text[1024];
    struct slr_sdp_local local = {.taken = true, .ip = "192.0.2.9", .family = 4, .port = 4000};
    struct slr_sdp_session session = {.id = 1, .version = 1, .ip = "192.0.2.9", .family = 4};
    struct slr_sdp_limit limit = {.on = true};
    struct slr_put put = slr_put_of(text, sizeof text - 1);
    limit.pt[8] = true;
    cr_assert_eq(slr_sdp_write_offer(&local, &session, &limit, &put), SLR_OK);
    slr_put_u8(&put, 0);
    cr_assert(strstr(text, "RTP/AVP 8 96 97 98 101\r\n"), "%s", text);
    cr_assert(!strstr(text, "G722"), "%s", text);
}

/* One codec line of an offer: taken or not. */
static bool is_taken(const char *map, const char *fmtp)
{
    char offer[512];
    snprintf(offer, sizeof offer,
             "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nc=IN IP4 1.2.3.4\r\nt=0 0\r\n"
             "m=audio 9 RTP/AVP 96\r\na=rtpmap:96 %s\r\na=fmtp:96 %s\r\n",
             map, fmtp);
    cr_assert_eq(read_text(offer), SLR_OK);
    cr_assert_eq(sdp.media[0].codec_count, 1);
    return slr_sdp_codec_taken(&sdp.media[0].codec[0]);
}

Test(sdp, codecs_and_variants_that_are_taken)
{
    static const struct {
        const char *map, *fmtp;
        bool taken;
    } row[] = {
        {"opus/48000/2", "useinbandfec=1", true},
        {"OPUS/48000/2", "", true},
        {"opus/16000", "", false},
        {"G722/8000", "", true},
        {"G722/16000", "", true},
        {"G722/48000", "", false},
        {"G7221/16000", "", false},
#ifdef SLR_HAVE_G729
        {"G729A/8000", "annexb=no", true},
        {"g729b/8000", "", true},
        {"G729AB/8000/1", "", true},
        {"G729D/8000", "", false},
        {"G729A/16000", "", false},
#endif
        {"gsm/8000", "", true},
        {"L16/8000", "", true},
        {"L16/11025/2", "", true},
        {"L16/44100/3", "", false},
        {"L16/1000", "", false},
        {"AMR/8000", "", true},
        {"AMR/8000/1", "mode-set=0,2,4,7; octet-align=1", true},
        {"AMR/8000", "octet-align=1; crc=1", false},
        {"AMR/8000", "octet-align=1;crc=0;robust-sorting=0", true},
        {"AMR/8000", "robust-sorting=1", false},
        {"AMR-WB/16000", "octet-align=1; interleaving=30", false},
        {"AMR-WB/16000/2", "", false},
        {"AMR-WB/16000", "max-red=0", true},
        {"telephone-event/48000", "0-15", true},
        {"CN/16000", "", true},
        {"SPEEX/8000", "", false},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        cr_assert_eq(is_taken(row[i].map, row[i].fmtp), row[i].taken, "%s %s", row[i].map,
                     row[i].fmtp);
    }
}

/* Clock, channels and parameters come back as they were offered; static types without a map get
 * one. */
Test(sdp, answer_repeats_what_was_offered)
{
    char text[2048];
    struct slr_sdp_local local[1] = {{.taken = true, .ip = "192.0.2.9", .family = 4, .port = 4}};
    cr_assert_eq(read_text("v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nc=IN IP4 1.2.3.4\r\nt=0 0\r\n"
                           "m=audio 9 RTP/AVP 99 98 9 10 19 100\r\na=rtpmap:99 opus/48000/2\r\n"
                           "a=fmtp:99 stereo=1; useinbandfec=1\r\na=rtpmap:98 AMR-WB/16000\r\n"
                           "a=fmtp:98 octet-align=1\r\na=rtpmap:100 iLBC/8000\r\n"),
                 SLR_OK);
    answer(text, sizeof text, local);
    cr_assert(strstr(text, "RTP/AVP 99 98 9 10 19\r\n"), "%s", text);
    cr_assert(strstr(text, "a=rtpmap:99 opus/48000/2\r\na=fmtp:99 stereo=1; useinbandfec=1\r\n"
                           "a=rtpmap:98 AMR-WB/16000\r\na=fmtp:98 octet-align=1\r\n"
                           "a=rtpmap:9 G722/8000\r\na=rtpmap:10 L16/44100/2\r\n"
                           "a=rtpmap:19 CN/8000\r\n"),
              "%s", text);
}

/* What peers call a codec is answered as they call it, and told to the engine by its own name. */
Test(sdp, habitual_names_mean_the_codec_they_stand_for)
{
    static const struct {
        const char *map, *name;
        uint32_t clock_hz;
    } row[] = {{"G722/16000", "G722", 8000},  {"g722/8000", "g722", 8000},
               {"G729A/8000", "G729", 8000},  {"g729b/8000", "G729", 8000},
               {"G729AB/8000", "G729", 8000}, {"G729D/8000", "G729D", 8000},
               {"PCMA/16000", "PCMA", 16000}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        char text[2048], offered[64];
        const char *name;
        uint32_t clock_hz;
        struct slr_sdp_local local[1] = {
            {.taken = true, .ip = "192.0.2.9", .family = 4, .port = 4}};
        bool taken = is_taken(row[i].map, "");
        slr_sdp_codec_meant(&sdp.media[0].codec[0], &name, &clock_hz);
        cr_assert_str_eq(name, row[i].name);
        cr_assert_eq(clock_hz, row[i].clock_hz, "%s", row[i].map);
        answer(text, sizeof text, local);
        snprintf(offered, sizeof offered, "a=rtpmap:96 %s\r\n", row[i].map);
        cr_assert(!taken || strstr(text, offered), "%s: %s", row[i].map, text);
    }
}

/* -A of the engine: static types beyond it are as if they were not offered, dynamic ones stay. */
Test(sdp, limited_to_what_the_engine_accepts)
{
    struct slr_sdp_limit limit = {.on = false};
    const char *offer = "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nc=IN IP4 1.2.3.4\r\nt=0 0\r\n"
                        "m=audio 9 RTP/AVP 9 8 3 99 13\r\na=rtpmap:99 opus/48000/2\r\n"
                        "m=audio 10 RTP/AVP 3 9\r\n";
    cr_assert_eq(read_text(offer), SLR_OK);
    slr_sdp_limit(&sdp, &limit);
    cr_assert_eq(sdp.media[0].codec_count, 5);
    limit.on = limit.pt[8] = limit.pt[13] = true;
    slr_sdp_limit(&sdp, &limit);
    cr_assert_eq(sdp.media[0].codec_count, 3);
    cr_assert_eq(sdp.media[0].codec[0].pt, 8);
    cr_assert_eq(sdp.media[0].codec[1].pt, 99);
    cr_assert_str_eq(sdp.media[0].codec[1].name, "opus");
    cr_assert_eq(sdp.media[0].codec[2].pt, 13);
    cr_assert(!slr_sdp_media_usable(&sdp.media[1]));
    cr_assert_str_eq(sdp.media[1].formats, "3 9");
}

/* No more than a leg of the engine can hold. */
Test(sdp, answer_is_bounded)
{
    char offer[2048], text[4096];
    struct slr_put put = slr_put_of(offer, sizeof offer);
    struct slr_sdp_local local[1] = {{.taken = true, .ip = "192.0.2.9", .family = 4, .port = 4}};
    slr_put_str(&put, "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nc=IN IP4 1.2.3.4\r\nt=0 0\r\n"
                      "m=audio 9 RTP/AVP");
    for (unsigned pt = 100; pt < 120; pt++) {
        slr_put_fmt(&put, " %u", pt);
    }
    for (unsigned pt = 100; pt < 120; pt++) {
        slr_put_fmt(&put, "\r\na=rtpmap:%u L16/%u", pt, pt * 100);
    }
    slr_put_str(&put, "\r\n");
    slr_put_u8(&put, 0);
    cr_assert_eq(read_text(offer), SLR_OK);
    answer(text, sizeof text, local);
    cr_assert(strstr(text, " 115\r\n"), "%s", text);
    cr_assert(!strstr(text, "rtpmap:116"), "%s", text);
}
