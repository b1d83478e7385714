/*
 * slrctl_demo: two recording INVITEs, two RTP streams with speech in turn, two BYEs; then waits for
 * the sealed recording in the API and shows it, and how to send the first real call.
 * One thread; sends in real time.
 */
#include "ctl/slrctl_demo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/id.h"
#include "common/net.h"
#include "ctl/slrctl_child.h"
#include "ctl/slrctl_speech.h"
#include "ctl/slrctl_ua.h"

#define FRAME_SAMPLES 160
#define FRAME_NS (20 * SLR_NS_PER_MS)
#define READY_MS 20000u
#define SEALED_MS 30000u
#define POLL_MS 100u
#define PATH_SIZE 512

static const char *const dn[2] = {"1001", "1002"};

struct party {
    struct slrctl_ua ua;
    int rtp_fd;
    uint32_t ssrc;
    uint16_t seq;
    uint32_t timestamp;
    const uint8_t *speech;
};

/* Waits until signalling answers and an engine is connected. */
static bool wait_ready(const struct slrctl_demo *d)
{
    for (uint32_t waited = 0; waited < READY_MS; waited += POLL_MS) {
        json_t *status = NULL;
        bool ready = slrctl_try(d->ctl, "/v1/status", &status) == SLR_OK;
        const json_t *engine = json_object_get(status, "engine");
        ready =
            ready && json_is_object(engine) && !json_is_false(json_object_get(engine, "connected"));
        json_decref(status);
        if (ready) {
            return true;
        }
        slrctl_sleep_ms(POLL_MS);
    }
    return false;
}

/* A UDP socket on any port; connected when `to` has a port, so that the kernel picks our address.
 */
static int open_udp(const struct slr_addr *to, struct slr_addr *local)
{
    struct sockaddr_storage ss;
    socklen_t len = slr_addr_to_sockaddr(to, &ss);
    int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&ss, len) != 0) {
        slrctl_say("demo: no UDP socket: %s", strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    len = sizeof(ss);
    if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0 ||
        !slr_addr_from_sockaddr((const struct sockaddr *)&ss, local)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* A bound RTP socket, before anybody knows where it will send to. */
static int open_rtp(const struct slr_addr *local, uint16_t *port)
{
    struct sockaddr_storage ss;
    struct slr_addr any = *local;
    any.port = 0;
    socklen_t len = slr_addr_to_sockaddr(&any, &ss);
    int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&ss, len) != 0) {
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    len = sizeof(ss);
    if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0 ||
        !slr_addr_from_sockaddr((const struct sockaddr *)&ss, &any)) {
        close(fd);
        return -1;
    }
    *port = any.port;
    return fd;
}

static bool open_party(struct party *p, const struct slr_addr *recorder, const char *sip,
                       const char *record, const char *uuid, int number)
{
    p->ua.recorder = *recorder;
    p->ua.fd = open_udp(recorder, &p->ua.local);
    if (p->ua.fd < 0) {
        return false;
    }
    snprintf(p->ua.uri, sizeof(p->ua.uri), "sip:record=%s@%s;calluuid=%s;dn=%s;recordDN=%s", record,
             sip, uuid, dn[number], dn[0]);
    snprintf(p->ua.call_id, sizeof(p->ua.call_id), "%.20s-%d@demo", record + 12, number);
    snprintf(p->ua.tag, sizeof(p->ua.tag), "%.16s%d", record + 16, number);
    p->rtp_fd = open_rtp(&p->ua.local, &p->ua.rtp_port);
    p->ssrc = 0x51a70000u + (uint32_t)number;
    return p->rtp_fd >= 0;
}

static bool invite(struct party *p)
{
    struct sockaddr_storage ss;
    enum slr_err err = slrctl_ua_invite(&p->ua);
    if (err == SLR_OK) {
        socklen_t len = slr_addr_to_sockaddr(&p->ua.answer.media, &ss);
        err = connect(p->rtp_fd, (const struct sockaddr *)&ss, len) == 0 ? SLR_OK : SLR_IO;
    }
    if (err != SLR_OK) {
        slrctl_say("demo: the INVITE failed: %s (status %u)", slr_err_text(err),
                   p->ua.answer.status);
        return false;
    }
    return true;
}

static void send_frame(struct party *p, size_t at)
{
    uint8_t packet[12 + FRAME_SAMPLES];
    struct slr_put put = slr_put_of(packet, sizeof(packet));
    slr_put_u8(&put, 0x80);
    slr_put_u8(&put, at == 0 ? 0x88 : 0x08); /* marker on the first; payload type 8 */
    slr_put_u16(&put, p->seq++);
    slr_put_u32(&put, p->timestamp);
    slr_put_u32(&put, p->ssrc);
    slr_put_bytes(&put, p->speech + at, FRAME_SAMPLES);
    p->timestamp += FRAME_SAMPLES;
    (void)send(p->rtp_fd, packet, put.len_bytes, 0); /* lost is lost: it is RTP */
}

static void talk(struct party p[2], size_t len_samples)
{
    int64_t next_ns = slrctl_now_ns();
    for (size_t at = 0; at + FRAME_SAMPLES <= len_samples; at += FRAME_SAMPLES) {
        send_frame(&p[0], at);
        send_frame(&p[1], at);
        next_ns += FRAME_NS;
        const struct timespec until = {next_ns / SLR_NS_PER_S, (long)(next_ns % SLR_NS_PER_S)};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
        }
        if (at / FRAME_SAMPLES % 25 == 0) {
            slrctl_progress("talking: %.1f of %.1f s", (double)at / SLRCTL_SPEECH_HZ,
                            (double)len_samples / SLRCTL_SPEECH_HZ);
        }
    }
    slrctl_progress("%s", "");
}

/* The newest recording of our number since `from`, once it is no longer being made. */
static json_t *wait_sealed(const struct slrctl_demo *d, const char *from)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof(path), "/v1/recordings?dn=%s&from=%s&limit=1", dn[0], from);
    for (uint32_t waited = 0; waited < SEALED_MS; waited += POLL_MS) {
        json_t *page = NULL;
        json_t *row = NULL;
        if (slrctl_try(d->ctl, path, &page) == SLR_OK) {
            row = json_incref(json_array_get(json_object_get(page, "recordings"), 0));
        }
        json_decref(page);
        const char *state = json_string_value(json_object_get(row, "state"));
        if (state != NULL && strcmp(state, "open") != 0 && strcmp(state, "sealing") != 0) {
            return row;
        }
        json_decref(row);
        slrctl_sleep_ms(POLL_MS);
    }
    return NULL;
}

static const char *text_of(const json_t *row, const char *name)
{
    const char *text = json_string_value(json_object_get(row, name));
    return text != NULL ? text : "?";
}

static void show_recording(const struct slrctl_demo *d, const json_t *row)
{
    const char *id = text_of(row, "id");
    printf("\nA first recording is there:\n\n  id         %s\n", id);
    printf("  file       %s/rec/%s\n", d->data_dir, text_of(row, "file"));
    printf("  state      %s, %.1f s, %d channels, %s %s at %d Hz\n", text_of(row, "state"),
           (double)json_integer_value(json_object_get(row, "len_ms")) / 1000.0,
           (int)json_integer_value(json_object_get(row, "channels")), text_of(row, "container"),
           text_of(row, "format"), (int)json_integer_value(json_object_get(row, "sample_hz")));
    printf("  fetch      curl -OJ %s/v1/recordings/%s/media\n", d->ctl->api, id);
    printf("  ledger     curl %s/v1/recordings/%s\n", d->ctl->api, id);
    printf("  all        curl '%s/v1/recordings?dn=%s'\n", d->ctl->api, dn[0]);
    printf("  metrics    curl %s/metrics\n", d->ctl->api);
}

static void show_first_call(const struct slrctl_demo *d, const struct slrctl_ua *ua)
{
    char text[4096];
    struct slrctl_ua fresh = *ua;
    memset(&fresh.answer, 0, sizeof(fresh.answer)); /* as it was before the answer */
    printf("\nThe first real call:\n\n"
           "  +----------------+    INVITE, one per party   +-----------------------+\n"
           "  |  media server  | -------------------------> |  recorder             |\n"
           "  |  or SBC        |    200 OK: address, port   |  SIP udp and tcp      |\n"
           "  |                | <------------------------- |  %-20s |\n"
           "  |                |                            |                       |\n"
           "  |                | ====== RTP, party 1 =====> |  port of 1st 200 OK   |\n"
           "  |                | ====== RTP, party 2 =====> |  port of 2nd 200 OK   |\n"
           "  |                |                            |                       |\n"
           "  |                |    BYE, one per party      |                       |\n"
           "  |                | -------------------------> |  -> stereo recording  |\n"
           "  +----------------+                            +-----------------------+\n\n"
           "  Both INVITEs carry the same record= and differ in dn=; recordDN= is the party on\n"
           "  the first channel. This is the one that the demo sent:\n\n",
           d->sip);
    if (slrctl_ua_print_invite(&fresh, text, sizeof(text)) > 0) {
        char *rest = NULL;
        for (char *line = strtok_r(text, "\n", &rest); line != NULL;
             line = strtok_r(NULL, "\n", &rest)) {
            line[strcspn(line, "\r")] = '\0';
            printf("    %s\n", line);
        }
    }
    printf("\n");
    fflush(stdout);
}

static enum slrctl_exit finish(const struct slrctl_demo *d, struct party p[2], const char *from)
{
    for (int i = 0; i < 2; i++) {
        enum slr_err err = slrctl_ua_bye(&p[i].ua);
        if (err != SLR_OK) {
            slrctl_say("demo: the BYE failed: %s", slr_err_text(err));
            return SLRCTL_FAILED;
        }
    }
    json_t *row = wait_sealed(d, from);
    if (row == NULL) {
        slrctl_say("demo: no recording came within %u s", SEALED_MS / 1000u);
        return SLRCTL_FAILED;
    }
    bool sealed = strcmp(text_of(row, "state"), "sealed") == 0;
    show_recording(d, row);
    show_first_call(d, &p[0].ua);
    json_decref(row);
    return sealed ? SLRCTL_OK : SLRCTL_FAILED;
}

static enum slrctl_exit make_call(const struct slrctl_demo *d, const struct slrctl_speech *speech)
{
    struct party p[2];
    struct slr_addr recorder;
    struct slr_idgen ids;
    char record[SLR_ID_SIZE];
    char uuid[SLR_ID_SIZE];
    char from[32];
    slr_wall now = slr_clock_wall(slr_clock_real());
    if (slr_addr_parse(d->sip, &recorder) != SLR_OK) {
        return SLRCTL_USAGE;
    }
    slr_idgen_init(&ids);
    slr_idgen_next(&ids, now, record);
    slr_idgen_next(&ids, now, uuid);
    slr_wall_format(now, from);
    memset(p, 0, sizeof(p));
    for (int i = 0; i < 2; i++) {
        p[i].speech = speech->party[i];
        if (!open_party(&p[i], &recorder, d->sip, record, uuid, i) || !invite(&p[i])) {
            return SLRCTL_FAILED;
        }
    }
    printf("Two INVITEs are accepted; RTP goes to ports %u and %u. %s\n", p[0].ua.answer.media.port,
           p[1].ua.answer.media.port,
           speech->real ? "espeak-ng lends two voices."
                        : "Two synthetic voices (espeak-ng is not installed).");
    fflush(stdout);
    talk(p, speech->len_samples);
    enum slrctl_exit code = finish(d, p, from);
    for (int i = 0; i < 2; i++) {
        close(p[i].ua.fd);
        close(p[i].rtp_fd);
    }
    return code;
}

enum slrctl_exit slrctl_demo(const struct slrctl_demo *d)
{
    struct slrctl_speech speech;
    if (!wait_ready(d)) {
        slrctl_say("demo: the recorder is not ready after %u s", READY_MS / 1000u);
        return SLRCTL_NO_ANSWER;
    }
    if (slrctl_speech_make(&speech) != SLR_OK) {
        return SLRCTL_FAILED;
    }
    enum slrctl_exit code = make_call(d, &speech);
    slrctl_speech_free(&speech);
    return code;
}
