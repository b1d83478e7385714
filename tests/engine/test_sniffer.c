/*
 * Sniffer port and pushed HEP over loopback sockets with ports from the kernel; both ends are
 * driven by the test.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/hep.h"
#include "common/json.h"
#include "engine/hep_push.h"
#include "engine/sniffer.h"

#define SID "0123456789abcdef0123456789abcdef"

struct slr_engine {
    uint32_t used;
};

static json_t *t_snapshot(struct slr_engine *e)
{
    (void)e;
    return json_pack("[{s:s,s:s,s:i,s:[]}]", "session", SID, "call", "C", "start_wall_ns", 5,
                     "legs");
}

static uint32_t t_used(const struct slr_engine *e)
{
    return e->used;
}

static const struct slr_engine_api api = {.snapshot = t_snapshot, .streams_used = t_used};

struct rig {
    char root[64], data[96], state[96], key[96];
    struct slr_engine engine;
    struct slr_evlog *log;
    struct slr_loop *loop;
    struct slr_srv_counters counters;
    struct slr_sniffer *sniffer;
};

static struct slr_sniffer_config config(struct rig *r)
{
    return (struct slr_sniffer_config){.node = "node1",
                                       .sessions_max = 100,
                                       .loop = r->loop,
                                       .log = r->log,
                                       .counters = &r->counters,
                                       .api = &api};
}

static void start(struct rig *r)
{
    memset(r, 0, sizeof *r);
    snprintf(r->root, sizeof r->root, "/tmp/slr-sniffer-XXXXXX");
    cr_assert_not_null(mkdtemp(r->root));
    snprintf(r->data, sizeof r->data, "%s/data", r->root);
    snprintf(r->state, sizeof r->state, "%s/state", r->root);
    snprintf(r->key, sizeof r->key, "%s/key", r->root);
    struct slr_evlog_config lc = {.data_dir = r->data,
                                  .state_dir = r->state,
                                  .clock = slr_clock_real(),
                                  .segment_bytes = 20000,
                                  .keep_bytes = 60000,
                                  .ring_bytes = 65536,
                                  .sync_ms = 1};
    cr_assert_eq(slr_evlog_open(&lc, &r->log), SLR_OK);
    cr_assert_eq(slr_loop_open(&r->loop), SLR_OK);
}

static void serve(struct rig *r, bool with_key)
{
    struct slr_sniffer_config sc = config(r);
    if (with_key) {
        FILE *f = fopen(r->key, "w");
        fputs("0123456789abcdefKEY\n", f);
        fclose(f);
        sc.key_file = r->key;
    }
    cr_assert_eq(slr_sniffer_open(&sc, &r->sniffer), SLR_OK);
    cr_assert_eq(slr_sniffer_engine(r->sniffer, &r->engine), SLR_OK);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void stop(struct rig *r)
{
    slr_sniffer_close(r->sniffer);
    slr_loop_close(r->loop);
    slr_evlog_close(r->log);
    cr_assert_eq(nftw(r->root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void turn(struct rig *r)
{
    cr_assert(slr_loop_round(r->loop, 1));
    while (r->sniffer && slr_sniffer_pump(r->sniffer)) {
    }
}

struct client {
    int fd;
    uint8_t in[1 << 17];
    size_t in_bytes;
    bool closed;
};

static void dial(struct rig *r, struct client *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(slr_sniffer_port(r->sniffer)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    c->in_bytes = 0;
    c->closed = false;
    cr_assert_eq(connect(c->fd, (struct sockaddr *)&to, sizeof to), 0);
}

static void say(struct client *c, const char *name, const char *key, const char *text)
{
    uint8_t buf[4096];
    struct slr_addr local = {.ip = {127, 0, 0, 1}, .family = 4};
    struct slr_put put = slr_put_of(buf, sizeof buf);
    struct slr_hep h = {.family = 4,
                        .protocol = 6,
                        .type = SLR_HEP_LOG,
                        .src = local,
                        .dst = local,
                        .auth_key = slr_slice_str(key),
                        .node = slr_slice_str(name),
                        .payload = slr_slice_str(text)};
    cr_assert_eq(slr_hep_encode(&h, &put), SLR_OK);
    cr_assert_eq(send(c->fd, buf, put.len_bytes, 0), (ssize_t)put.len_bytes);
}

/* The next packet; false: none comes, or the connection was closed. Its slices stay until the next
 * call. */
static bool next(struct rig *r, struct client *c, struct slr_hep *h)
{
    static uint8_t packet[SLR_HEP_MAX_BYTES];
    for (int i = 0; i < 300; i++) {
        size_t total;
        if (slr_hep_frame_len(slr_slice_of(c->in, c->in_bytes), &total) == SLR_OK) {
            memcpy(packet, c->in, total);
            c->in_bytes -= total;
            memmove(c->in, c->in + total, c->in_bytes);
            cr_assert_eq(slr_hep_decode(slr_slice_of(packet, total), h), SLR_OK);
            return true;
        }
        ssize_t n = recv(c->fd, c->in + c->in_bytes, sizeof c->in - c->in_bytes, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            c->closed = true;
            return false;
        }
        c->in_bytes += n > 0 ? (size_t)n : 0;
        if (n < 0) {
            turn(r);
        }
    }
    return false;
}

static json_t *next_json(struct rig *r, struct client *c)
{
    struct slr_hep h;
    json_t *msg = NULL;
    do {
        if (!next(r, c, &h)) {
            return NULL;
        }
    } while (h.type != SLR_HEP_LOG);
    cr_assert_eq(slr_json_load(h.payload, &msg), SLR_OK);
    return msg;
}

static void hello(struct rig *r, struct client *c, const char *text)
{
    dial(r, c);
    say(c, "core1", "", text);
    json_t *msg = next_json(r, c);
    cr_assert_not_null(msg);
    cr_expect_str_eq(slr_json_str(json_object_get(msg, "hello"), "engine"),
                     slr_evlog_engine(r->log));
    json_decref(msg);
}

static void append(struct rig *r, int k)
{
    slr_evlog_append(r->log, json_pack("{s:s,s:i}", "ev", "t", "k", k));
}

static void expect_events(struct rig *r, struct client *c, uint64_t first, uint64_t last)
{
    for (uint64_t n = first; n <= last; n++) {
        json_t *msg = next_json(r, c);
        cr_assert_not_null(msg, "event %llu", (unsigned long long)n);
        cr_assert_eq(slr_json_u64(msg, "n", 0), n);
        json_decref(msg);
    }
}

static struct client a, b;

Test(sniffer, readers_get_all_events_from_their_place)
{
    struct rig r;
    start(&r);
    serve(&r, false);
    for (int k = 1; k <= 5; k++) {
        append(&r, k);
    }
    hello(&r, &a, "{\"resume_after\":2}");
    expect_events(&r, &a, 3, 5);
    hello(&r, &b, "{}"); /* from now on */
    append(&r, 6);
    expect_events(&r, &a, 6, 6);
    expect_events(&r, &b, 6, 6);
    say(&a, "core1", "", "{\"ack\":6}");
    turn(&r);
    cr_expect_eq(slr_sniffer_readers(r.sniffer), 2);
    cr_expect(slr_sniffer_idle(r.sniffer));
    close(a.fd);
    append(&r, 7);
    hello(&r, &a, "{\"resume_after\":6}");
    expect_events(&r, &a, 7, 7);
    close(a.fd);
    close(b.fd);
    stop(&r);
}

Test(sniffer, sessions_come_as_calls)
{
    struct rig r;
    struct slr_hep h;
    start(&r);
    serve(&r, false);
    hello(&r, &a, "{\"resume_after\":0}");
    slr_evlog_append(r.log, json_pack("{s:s,s:s,s:s,s:I}", "ev", "session_open", "session", SID,
                                      "call", "C9", "start_wall_ns", (json_int_t)1000));
    for (int i = 0; i < 2; i++) {
        slr_evlog_append(r.log, json_pack("{s:s,s:s,s:s,s:i,s:s,s:s,s:i}", "ev", "leg_open",
                                          "session", SID, "leg", i ? "l1" : "l0", "channel", i,
                                          "dn", "1001", "ip", "127.0.0.1", "port", 40000 + 2 * i));
    }
    size_t sip = 0;
    while (sip < 3 && next(&r, &a, &h)) {
        if (h.type == SLR_HEP_SIP) {
            cr_expect(slr_slice_eq(h.correlation_id, "C9"));
            cr_expect(slr_slice_eq(h.node, "node1"));
            cr_expect_eq(h.event, SLR_HEP_EVENT_RECORDING);
            sip++;
        }
    }
    cr_expect_eq(sip, 3);
    close(a.fd);
    stop(&r);
}

Test(sniffer, overflow_is_told_with_a_snapshot)
{
    struct rig r;
    start(&r);
    serve(&r, false);
    for (int k = 1; k <= 3000; k++) { /* the log keeps the newest 60 kB */
        append(&r, k);
        if (k % 20 == 0) {
            slr_evlog_flush(r.log);
        }
    }
    hello(&r, &a, "{\"resume_after\":7}");
    json_t *msg = next_json(&r, &a);
    const json_t *lost = json_object_get(msg, "lost");
    cr_assert_eq(json_array_size(lost), 2);
    cr_expect_eq(json_integer_value(json_array_get(lost, 0)), 8);
    uint64_t to = (uint64_t)json_integer_value(json_array_get(lost, 1));
    json_decref(msg);
    msg = next_json(&r, &a);
    cr_expect_str_eq(slr_json_str(json_object_get(msg, "snapshot"), "session"), SID);
    json_decref(msg);
    msg = next_json(&r, &a);
    cr_expect_eq(slr_json_u64(json_object_get(msg, "snapshot_end"), "sessions", 9), 1);
    json_decref(msg);
    expect_events(&r, &a, to + 1, 3000);
    cr_expect_eq(slr_count_get(&r.counters.at[SLR_SRV_SNIFFER_LOST]), to - 7);
    close(a.fd);
    stop(&r);
}

Test(sniffer, number_ahead_of_the_log)
{
    struct rig r;
    start(&r);
    serve(&r, false);
    append(&r, 1);
    hello(&r, &a, "{\"resume_after\":50}");
    json_t *msg = next_json(&r, &a);
    const json_t *lost = json_object_get(msg, "lost");
    cr_expect_eq(json_integer_value(json_array_get(lost, 0)), 2);
    cr_expect_eq(json_integer_value(json_array_get(lost, 1)), 50);
    json_decref(msg);
    close(a.fd);
    stop(&r);
}

Test(sniffer, key_is_asked_for)
{
    struct rig r;
    struct slr_hep h;
    start(&r);
    serve(&r, true);
    static const char *const wrong[] = {"", "0123456789abcdefKE", "0123456789abcdefKEYS",
                                        "0123456789abcdefKEX"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        dial(&r, &a);
        say(&a, "core1", wrong[i], "{\"resume_after\":0}");
        cr_expect_not(next(&r, &a, &h));
        cr_expect(a.closed, "key \"%s\" was let in", wrong[i]);
        close(a.fd);
    }
    cr_expect_eq(slr_count_get(&r.counters.at[SLR_SRV_SNIFFER_DENIED]), 4);
    dial(&r, &a);
    say(&a, "core1", "0123456789abcdefKEY", "{\"resume_after\":0}");
    cr_expect(next(&r, &a, &h));
    close(a.fd);
    stop(&r);
}

Test(sniffer, closed_by_default)
{
    struct rig r;
    start(&r);
    struct slr_sniffer_config sc = config(&r);
    sc.bind = "0.0.0.0";
    cr_expect_eq(slr_sniffer_open(&sc, &r.sniffer), SLR_DENIED);
    sc.bind = "somewhere";
    cr_expect_eq(slr_sniffer_open(&sc, &r.sniffer), SLR_INVAL);
    sc.bind = "127.0.0.1";
    FILE *f = fopen(r.key, "w");
    fputs("short\n", f);
    fclose(f);
    sc.key_file = r.key;
    cr_expect_eq(slr_sniffer_open(&sc, &r.sniffer), SLR_INVAL);
    sc.key_file = NULL;
    cr_assert_eq(slr_sniffer_open(&sc, &r.sniffer), SLR_OK);
    struct slr_sniffer *second = NULL;
    sc.port = slr_sniffer_port(r.sniffer);
    cr_expect_eq(slr_sniffer_open(&sc, &second), SLR_BUSY);
    stop(&r);
}

Test(sniffer, hostile_input_closes_the_connection)
{
    static const struct {
        const char *bytes;
        size_t len;
    } rows[] = {{"GET / HTTP/1.1\r\n\r\n", 18},
                {"HEP3\0\0", 6},
                {"HEP3\0\6", 6},
                {"HEP3\0\14\0\0\0\1\0\1", 12},
                {"HEP3\0\14\0\0\0\1\377\377", 12}};
    static const char *const texts[] = {"", "[]", "nonsense", "{\"resume_after\":-1}",
                                        "{\"resume_after\":\"1\"}"};
    struct rig r;
    struct slr_hep h;
    start(&r);
    serve(&r, false);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        dial(&r, &a);
        cr_assert_eq(send(a.fd, rows[i].bytes, rows[i].len, 0), (ssize_t)rows[i].len);
        cr_expect_not(next(&r, &a, &h));
        cr_expect(a.closed, "row %zu", i);
        close(a.fd);
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        dial(&r, &a);
        say(&a, "core1", "", texts[i]);
        cr_expect_not(next(&r, &a, &h));
        cr_expect(a.closed, "%s", texts[i]);
        close(a.fd);
    }
    dial(&r, &a); /* no name */
    say(&a, "", "", "{\"resume_after\":0}");
    cr_expect_not(next(&r, &a, &h));
    cr_expect(a.closed);
    close(a.fd);
    cr_expect_eq(slr_count_get(&r.counters.at[SLR_SRV_SNIFFER_MALFORMED]), 11);
    cr_expect_eq(slr_sniffer_readers(r.sniffer), 0);
    stop(&r);
}

Test(sniffer, time_limits_and_pings)
{
    struct rig r;
    start(&r);
    serve(&r, false);
    dial(&r, &b); /* says nothing */
    hello(&r, &a, "{}");
    cr_expect_eq(slr_sniffer_readers(r.sniffer), 2);
    slr_mono now = slr_clock_mono(slr_clock_real());
    slr_wall wall = {1000};
    slr_sniffer_tick(r.sniffer, now, wall);
    slr_sniffer_tick(r.sniffer, (slr_mono){now.ns + 6 * SLR_NS_PER_S}, wall);
    cr_expect_null(next_json(&r, &a), "no ping while nothing runs");
    r.engine.used = 2;
    slr_sniffer_tick(r.sniffer, (slr_mono){now.ns + 12 * SLR_NS_PER_S}, wall);
    cr_expect_eq(slr_sniffer_readers(r.sniffer), 1, "who says nothing is dropped");
    json_t *msg = next_json(&r, &a);
    cr_assert_not_null(msg);
    cr_expect_str_eq(slr_json_str(msg, "ev"), "ping");
    cr_expect_null(json_object_get(msg, "n"), "pings have no number");
    json_decref(msg);
    close(a.fd);
    close(b.fd);
    stop(&r);
}

Test(sniffer, readers_are_bounded)
{
    struct rig r;
    static struct client many[33];
    struct slr_hep h;
    start(&r);
    serve(&r, false);
    for (int i = 0; i < 33; i++) {
        dial(&r, &many[i]);
        turn(&r);
    }
    for (int i = 0; i < 100 && slr_sniffer_readers(r.sniffer) < 32; i++) {
        turn(&r);
    }
    cr_expect_not(next(&r, &many[32], &h));
    cr_expect(many[32].closed);
    cr_expect_eq(slr_sniffer_readers(r.sniffer), 32);
    for (int i = 0; i < 33; i++) {
        close(many[i].fd);
    }
    stop(&r);
}

/* --hep-send */

static uint16_t bind_any(int fd)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    return ntohs(at.sin_port);
}

static void push_event(struct slr_hep_push *p, const char *text)
{
    json_t *event = json_loads(text, 0, NULL);
    cr_assert_not_null(event);
    slr_hep_push_event(p, event);
    json_decref(event);
}

Test(hep_push, each_destination_for_itself)
{
    struct rig r;
    struct slr_hep h;
    static uint8_t packet[SLR_HEP_MAX_BYTES];
    start(&r);
    int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int dead = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char to[3][64];
    snprintf(to[0], sizeof to[0], "udp:127.0.0.1:%u", bind_any(udp));
    snprintf(to[1], sizeof to[1], "udp:127.0.0.1:%u", bind_any(dead));
    snprintf(to[2], sizeof to[2], "tcp:localhost:%u", bind_any(tcp));
    close(dead);
    cr_assert_eq(listen(tcp, 1), 0);
    const char *items[] = {to[1], to[0], to[2]};
    struct slr_option_list list = {items, 3};
    struct slr_hep_push *p = NULL;
    cr_assert_eq(slr_hep_push_open(&list, "node1", 10, r.loop, &r.counters, &p), SLR_OK);
    for (int i = 0; i < 3; i++) {
        push_event(p, "{\"n\":1,\"ev\":\"t\",\"wall_ns\":1000}");
        turn(&r);
    }
    for (int i = 0; i < 3; i++) {
        ssize_t n = recv(udp, packet, sizeof packet, MSG_DONTWAIT);
        cr_assert_gt(n, 0);
        cr_expect_eq(slr_hep_decode(slr_slice_of(packet, (size_t)n), &h), SLR_OK);
        cr_expect(slr_slice_eq(h.node, "node1"));
    }
    a.fd = accept(tcp, NULL, NULL);
    a.in_bytes = 0;
    for (int i = 0; i < 3; i++) {
        cr_expect(next(&r, &a, &h));
    }
    cr_expect_gt(slr_count_get(&r.counters.at[SLR_SRV_HEP_DROPPED]), 0,
                 "the dead one's are counted");
    close(a.fd);
    slr_hep_push_close(p);
    close(udp);
    close(tcp);
    stop(&r);
}

/* A destination that never reads costs its own packets, and nothing waits for it. */
Test(hep_push, stuck_destination_loses_its_own)
{
    struct rig r;
    char to[64], pad[20001];
    start(&r);
    memset(pad, 'x', 20000);
    pad[20000] = '\0';
    int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(to, sizeof to, "tcp:127.0.0.1:%u", bind_any(tcp));
    cr_assert_eq(listen(tcp, 1), 0);
    const char *items[] = {to};
    struct slr_option_list list = {items, 1};
    struct slr_hep_push *p = NULL;
    cr_assert_eq(slr_hep_push_open(&list, "node1", 10, r.loop, &r.counters, &p), SLR_OK);
    json_t *event = json_pack("{s:i,s:s,s:i,s:s}", "n", 1, "ev", "t", "wall_ns", 5, "pad", pad);
    for (int i = 0; i < 2000; i++) {
        slr_hep_push_event(p, event);
        if (i % 50 == 0) {
            turn(&r);
        }
    }
    cr_expect_gt(slr_count_get(&r.counters.at[SLR_SRV_HEP_DROPPED]), 0);
    /* it comes back: whole packets again, though the last one before was cut */
    int first = accept(tcp, NULL, NULL);
    close(first);
    for (int i = 0; i < 20; i++) {
        turn(&r);
        slr_hep_push_tick(p, (slr_wall){1});
    }
    a.fd = accept(tcp, NULL, NULL);
    a.in_bytes = 0;
    struct slr_hep h;
    cr_expect(next(&r, &a, &h));
    cr_expect_eq(h.type, SLR_HEP_LOG);
    json_decref(event);
    close(a.fd);
    close(tcp);
    slr_hep_push_close(p);
    stop(&r);
}

Test(hep_push, malformed_destinations_are_refused)
{
    static const char *const wrong[] = {
        "",        "udp",         "udp:",        "udp:host",     "udp::9060",    "sctp:h:1",
        "udp:h:0", "udp:h:65536", "udp:h:9060x", "udp:::1:9060", "tcp:[::1]9060"};
    struct rig r;
    start(&r);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const char *items[] = {wrong[i]};
        struct slr_option_list list = {items, 1};
        struct slr_hep_push *p = NULL;
        cr_expect_eq(slr_hep_push_open(&list, "n", 1, r.loop, &r.counters, &p), SLR_INVAL, "%s",
                     wrong[i]);
    }
    stop(&r);
}
