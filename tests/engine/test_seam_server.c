/*
 * Seam server: repetition, epochs, hostile input, events by cursor.
 */
#include "tests/engine/seam_rig.h"

Test(seam_server, hello_tells_what_the_engine_is)
{
    struct rig r;
    start(&r, false);
    struct slr_seam_conn *c = dial(&r);
    json_t *a = ask(&r, c,
                    "{\"cmd\":\"hello\",\"id\":1,\"epoch\":1,\"core\":\"c\",\"proto\":1,"
                    "\"resume_after\":0}");
    cr_expect_eq(slr_json_u64(a, "re", 0), 1);
    cr_expect(slr_json_bool(a, "ok", false));
    cr_expect_str_eq(slr_json_str(a, "engine"), slr_evlog_engine(r.log));
    cr_expect_eq(slr_json_u64(a, "engine_epoch", 0), 1);
    cr_expect_eq(slr_json_u64(a, "streams_max", 0), 600);
    cr_expect_eq(slr_json_u64(a, "streams_used", 0), 7);
    cr_expect(json_is_false(json_object_get(a, "passive")));
    cr_expect(json_is_array(json_object_get(a, "media_ips")));
    json_decref(a);
    expect_err(&r, c,
               "{\"cmd\":\"hello\",\"id\":2,\"epoch\":1,\"core\":\"c\",\"proto\":2,"
               "\"resume_after\":0}",
               "VERSION", "proto");
    expect_err(&r, c, "{\"cmd\":\"hello\",\"id\":2,\"epoch\":1,\"core\":\"c\",\"proto\":1}",
               "INVAL", "resume_after");
    slr_seam_close(c);
    stop(&r);
}

Test(seam_server, repeated_command_is_not_done_again)
{
    static const char open[] =
        "{\"cmd\":\"session_open\",\"id\":\"q\",\"epoch\":1,\"session\":\"" ID_A
        "\",\"channels\":1}";
    struct rig r;
    start(&r, false);
    struct slr_seam_conn *c = dial(&r);
    hello(&r, c, 1, 0);
    json_t *first = ask(&r, c, open);
    slr_seam_close(c);
    c = dial(&r); /* the core lost the answer with its connection */
    hello(&r, c, 1, 0);
    r.engine.give = SLR_EXISTS;
    json_t *second = ask(&r, c, open);
    cr_expect(json_equal(first, second));
    cr_expect_eq(r.engine.calls, 1);
    json_decref(first);
    json_decref(second);
    /* another id for the same session: the engine's own answer */
    json_t *a = ask(&r, c,
                    "{\"cmd\":\"session_open\",\"id\":\"r\",\"epoch\":1,\"session\":\"" ID_A "\","
                    "\"channels\":1}");
    cr_expect_str_eq(slr_json_str(a, "err"), "EXISTS");
    cr_expect_eq(slr_json_i64(a, "start_wall_ns", 0), 4711);
    json_decref(a);
    /* errors are remembered alike, and a number is never the text of it */
    r.engine.give = SLR_NOTFOUND;
    a = ask(&r, c, "{\"cmd\":\"session_close\",\"id\":5,\"epoch\":1,\"session\":\"" ID_A "\"}");
    json_decref(a);
    r.engine.give = SLR_OK;
    a = ask(&r, c, "{\"cmd\":\"session_close\",\"id\":5,\"epoch\":1,\"session\":\"" ID_A "\"}");
    cr_expect_str_eq(slr_json_str(a, "err"), "NOTFOUND");
    json_decref(a);
    a = ask(&r, c, "{\"cmd\":\"session_close\",\"id\":\"5\",\"epoch\":1,\"session\":\"" ID_A "\"}");
    cr_expect(slr_json_bool(a, "ok", false));
    json_decref(a);
    slr_seam_close(c);
    stop(&r);
}

Test(seam_server, memory_of_answers_is_bounded)
{
    struct rig r;
    start(&r, false);
    struct slr_seam_conn *c = dial(&r);
    hello(&r, c, 1, 0);
    for (int i = 0; i < 1025; i++) {
        json_decref(ask_json(&r, c,
                             json_pack("{s:s,s:i,s:i,s:s}", "cmd", "session_pause", "id", i,
                                       "epoch", 1, "session", ID_A)));
    }
    cr_expect_eq(r.engine.calls, 1025);
    json_decref(ask_json(&r, c,
                         json_pack("{s:s,s:i,s:i,s:s}", "cmd", "session_pause", "id", 1, "epoch", 1,
                                   "session", ID_A)));
    cr_expect_eq(r.engine.calls, 1025, "the last 1,024 are remembered");
    json_decref(ask_json(&r, c,
                         json_pack("{s:s,s:i,s:i,s:s}", "cmd", "session_pause", "id", 0, "epoch", 1,
                                   "session", ID_A)));
    cr_expect_eq(r.engine.calls, 1026);
    slr_seam_close(c);
    stop(&r);
}

Test(seam_server, older_owner_is_refused)
{
    struct rig r;
    start(&r, false);
    struct slr_seam_conn *old = dial(&r), *new = dial(&r);
    hello(&r, old, 4, 0);
    hello(&r, new, 5, 0);
    int calls = r.engine.calls;
    json_t *a =
        ask(&r, old, "{\"cmd\":\"session_close\",\"id\":1,\"epoch\":4,\"session\":\"" ID_A "\"}");
    cr_expect_str_eq(slr_json_str(a, "err"), "STALE");
    cr_expect_eq(slr_json_u64(a, "owner_epoch", 0), 5);
    cr_expect_eq(r.engine.calls, calls);
    json_decref(a);
    a = ask(&r, old, "{\"cmd\":\"snapshot\",\"id\":2,\"epoch\":4}");
    cr_expect(slr_json_bool(a, "ok", false), "looking is allowed");
    json_decref(a);
    a = ask(&r, new, "{\"cmd\":\"session_close\",\"id\":1,\"epoch\":5,\"session\":\"" ID_A "\"}");
    cr_expect(slr_json_bool(a, "ok", false));
    json_decref(a);
    slr_seam_close(old);
    slr_seam_close(new);
    stop(&r);
}

Test(seam_server, hello_comes_first)
{
    struct rig r;
    start(&r, false);
    struct slr_seam_conn *c = dial(&r);
    expect_err(&r, c, "{\"cmd\":\"stats\",\"id\":1,\"epoch\":1}", "STATE", "hello");
    slr_seam_close(c);
    stop(&r);
}

/* Events from the cursor on, new ones as they come, and again for who comes back. */
Test(seam_server, events_follow_the_cursor)
{
    struct rig r;
    enum slr_err err;
    start(&r, false);
    for (int i = 1; i <= 3; i++) {
        slr_evlog_append(r.log, json_pack("{s:s,s:i}", "ev", "t", "k", i));
    }
    struct slr_seam_conn *c = dial(&r);
    hello(&r, c, 1, 1);
    for (uint64_t n = 2; n <= 4; n++) {
        json_t *ev = next(&r, c, &err);
        cr_assert_not_null(ev);
        cr_expect_eq(slr_json_u64(ev, "n", 0), n);
        cr_expect_eq(slr_json_u64(ev, "k", 0), n);
        json_decref(ev);
        if (n == 3) {
            cr_expect_null(next(&r, c, &err));
            slr_evlog_append(r.log, json_pack("{s:s,s:i}", "ev", "t", "k", 4));
        }
    }
    cr_expect(slr_seam_server_idle(r.server));
    json_t *ack = json_pack("{s:s,s:i}", "cmd", "ack", "n", 3);
    cr_assert_eq(slr_seam_put(c, ack, -1), SLR_OK);
    cr_assert_eq(slr_seam_flush(c), SLR_OK);
    json_decref(ack);
    cr_expect_null(next(&r, c, &err));
    cr_expect_eq(err, SLR_AGAIN, "an ack is not answered");
    cr_expect_eq(slr_seam_server_acked(r.server), 3);
    slr_seam_close(c);
    c = dial(&r);
    hello(&r, c, 1, 3);
    json_t *ev = next(&r, c, &err);
    cr_expect_eq(slr_json_u64(ev, "n", 0), 4);
    json_decref(ev);
    slr_seam_close(c);
    stop(&r);
}

/* What is sent is bounded by what is read; nothing is lost by it. */
Test(seam_server, slow_reader_gets_everything_in_the_end)
{
    struct rig r;
    enum slr_err err;
    char pad[1500];
    start(&r, false);
    memset(pad, 'x', sizeof pad - 1);
    pad[sizeof pad - 1] = '\0';
    struct slr_seam_conn *c = dial(&r);
    hello(&r, c, 1, 0);
    for (int i = 1; i <= 4000; i++) { /* 6 MB; the ring holds one */
        slr_evlog_append(r.log, json_pack("{s:s,s:s}", "ev", "t", "pad", pad));
        if (i % 100 == 0) {
            slr_evlog_flush(r.log);
            turn(&r);
        }
    }
    cr_expect_eq(slr_seam_server_connections(r.server), 1);
    for (uint64_t n = 1; n <= 4000; n++) {
        json_t *ev = NULL;
        for (int i = 0; i < 1000 && !ev; i++) {
            ev = next(&r, c, &err);
            cr_assert(ev || err == SLR_AGAIN);
            if (!ev) {
                cr_assert(slr_loop_round(r.loop, 1)); /* the log thread reads */
            }
        }
        cr_assert_not_null(ev, "event %llu", (unsigned long long)n);
        cr_assert_eq(slr_json_u64(ev, "n", 0), n);
        json_decref(ev);
    }
    slr_seam_close(c);
    stop(&r);
}

Test(seam_server, who_never_reads_is_dropped)
{
    struct rig r;
    char pad[1500];
    start(&r, false);
    memset(pad, 'x', sizeof pad - 1);
    pad[sizeof pad - 1] = '\0';
    struct slr_seam_conn *c = dial(&r);
    hello(&r, c, 1, 0);
    for (int i = 1; i <= 2000; i++) {
        slr_evlog_append(r.log, json_pack("{s:s,s:s}", "ev", "t", "pad", pad));
        turn(&r);
    }
    cr_expect_eq(slr_seam_server_connections(r.server), 1);
    slr_mono now = slr_clock_mono(slr_clock_real());
    slr_seam_server_tick(r.server, now);
    cr_expect_eq(slr_seam_server_connections(r.server), 1);
    slr_seam_server_tick(r.server, (slr_mono){now.ns + 31 * SLR_NS_PER_S});
    cr_expect_eq(slr_seam_server_connections(r.server), 0);
    cr_expect_eq(slr_count_get(&r.counters.at[SLR_SRV_SEAM_SLOW]), 1);
    turn(&r);
    slr_seam_close(c);
    stop(&r);
}

Test(seam_server, long_snapshot_comes_in_parts)
{
    struct rig r;
    enum slr_err err;
    start(&r, false);
    r.engine.snapshot_rows = 3000;
    struct slr_seam_conn *c = dial(&r);
    hello(&r, c, 1, 0);
    json_t *part = ask(&r, c, "{\"cmd\":\"snapshot\",\"id\":1,\"epoch\":1}");
    size_t rows = 0;
    for (bool more = true; more;) {
        const json_t *list = json_object_get(part, "sessions");
        cr_expect_eq(slr_json_u64(part, "re", 0), 1);
        for (size_t i = 0; i < json_array_size(list); i++) {
            cr_expect_eq(slr_json_u64(json_array_get(list, i), "row", 9999), rows++);
        }
        more = slr_json_bool(part, "more", false);
        json_decref(part);
        part = more ? next(&r, c, &err) : NULL;
        cr_assert(!more || part);
    }
    cr_expect_eq(rows, 3000);
    slr_seam_close(c);
    stop(&r);
}

Test(seam_server, hostile_bytes_close_only_their_connection)
{
    static const struct {
        const char *bytes;
        size_t len;
    } rows[] = {
        {"\0\0\0\0", 4},
        {"\xff\xff\xff\xff", 4},
        {"\0\x10\0\1", 4},
        {"\0\0\0\2[]", 6},
        {"\0\0\0\2{]", 6},
        {"\0\0\0\3{}x", 7},
        {"\0\0\0\4null", 8},
        {"\0\0\0\7{\"a\":\"\xff", 11},
        {"GET / HTTP/1.1\r\n\r\n", 18},
    };
    struct rig r;
    start(&r, false);
    struct slr_seam_conn *good = dial(&r);
    hello(&r, good, 1, 0);
    size_t count = sizeof rows / sizeof rows[0];
    for (size_t i = 0; i < count; i++) {
        int fd[2];
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
        cr_assert_eq(slr_seam_server_adopt(r.server, fd[0]), SLR_OK);
        cr_assert_eq(write(fd[1], rows[i].bytes, rows[i].len), (ssize_t)rows[i].len);
        turn(&r);
        char c;
        cr_expect_eq(read(fd[1], &c, 1), 0, "row %zu was not closed", i);
        close(fd[1]);
    }
    cr_expect_eq(slr_count_get(&r.counters.at[SLR_SRV_SEAM_MALFORMED]), count);
    cr_expect_eq(slr_seam_server_connections(r.server), 1);
    json_t *a = ask(&r, good, "{\"cmd\":\"stats\",\"id\":1,\"epoch\":1}");
    cr_expect(slr_json_bool(a, "ok", false));
    json_decref(a);
    slr_seam_close(good);
    stop(&r);
}

/* Every cut of a frame, byte by byte: nothing happens before it is whole. */
Test(seam_server, frames_in_pieces)
{
    static const char body[] =
        "{\"cmd\":\"session_pause\",\"id\":1,\"epoch\":1,\"session\":\"" ID_A "\"}";
    struct rig r;
    enum slr_err err;
    int fd[2];
    start(&r, false);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
    cr_assert_eq(slr_seam_server_adopt(r.server, fd[0]), SLR_OK);
    int copy = dup(fd[1]);
    struct slr_seam_conn *c = NULL;
    cr_assert_eq(slr_seam_open(fd[1], &c), SLR_OK);
    hello(&r, c, 1, 0);
    char frame[200] = {0, 0, 0, (char)(sizeof body - 1)};
    memcpy(frame + 4, body, sizeof body - 1);
    for (size_t i = 0; i < sizeof body + 3; i++) {
        cr_expect_eq(r.engine.calls, 0);
        cr_assert_eq(write(copy, frame + i, 1), 1);
        turn(&r);
    }
    cr_expect_eq(r.engine.calls, 1);
    json_t *a = next(&r, c, &err);
    cr_expect(slr_json_bool(a, "paused", false));
    json_decref(a);
    close(copy);
    slr_seam_close(c);
    stop(&r);
}

Test(seam_server, connections_are_bounded)
{
    struct rig r;
    struct slr_seam_conn *c[16];
    int fd[2];
    start(&r, false);
    for (int i = 0; i < 16; i++) {
        c[i] = dial(&r);
    }
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
    cr_expect_neq(slr_seam_server_adopt(r.server, fd[0]), SLR_OK);
    close(fd[1]);
    for (int i = 0; i < 16; i++) {
        slr_seam_close(c[i]);
    }
    turn(&r);
    cr_expect_eq(slr_seam_server_connections(r.server), 0);
    stop(&r);
}
