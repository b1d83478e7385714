/*
 * Event log: numbering, survival of process death and of power loss, cursors on memory and disk.
 * A killed process is played by a copy of its files taken while the log is open.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/json.h"
#include "engine/evfiles.h"
#include "engine/evlog.h"
#include "engine/evring.h"

struct place {
    char root[64], data[96], state[96];
};

static void make_place(struct place *p)
{
    snprintf(p->root, sizeof p->root, "/tmp/slr-evlog-XXXXXX");
    cr_assert_not_null(mkdtemp(p->root));
    snprintf(p->data, sizeof p->data, "%s/data", p->root);
    snprintf(p->state, sizeof p->state, "%s/state", p->root);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void remove_place(struct place *p)
{
    cr_assert_eq(nftw(p->root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static struct slr_evlog_config config(const struct place *p)
{
    return (struct slr_evlog_config){.data_dir = p->data,
                                     .state_dir = p->state,
                                     .clock = slr_clock_real(),
                                     .ring_bytes = 65536,
                                     .sync_ms = 1};
}

static struct slr_evlog *open_log(const struct slr_evlog_config *cfg)
{
    struct slr_evlog *log = NULL;
    cr_assert_eq(slr_evlog_open(cfg, &log), SLR_OK);
    return log;
}

static uint64_t append(struct slr_evlog *log, int k)
{
    return slr_evlog_append(log, json_pack("{s:s,s:i}", "ev", "test", "k", k));
}

/* Waits for the disk where that is what the cursor waits for. */
static enum slr_err peek(struct slr_evlog *log, struct slr_evlog_cursor *c,
                         struct slr_evlog_item *item)
{
    for (;;) {
        enum slr_err err = slr_evlog_peek(c, item);
        if (err != SLR_AGAIN || slr_evlog_cursor_next(c) > slr_evlog_last(log)) {
            return err;
        }
        struct pollfd pfd = {.fd = slr_evlog_wake_fd(log), .events = POLLIN};
        cr_assert_eq(poll(&pfd, 1, 10000), 1, "the log thread does not answer");
        slr_evlog_wake_clear(log);
    }
}

/* Takes items up to `last`, all there and in order; k is what append gave. */
static void expect_items(struct slr_evlog *log, struct slr_evlog_cursor *c, uint64_t first,
                         uint64_t last)
{
    for (uint64_t n = first; n <= last; n++) {
        struct slr_evlog_item item;
        json_t *event;
        cr_assert_eq(peek(log, c, &item), SLR_OK, "no item %" PRIu64, n);
        cr_assert_eq(item.n, n);
        cr_assert_eq(slr_json_load(item.text, &event), SLR_OK);
        cr_assert_eq(slr_json_u64(event, "n", 0), n);
        cr_assert_eq(slr_json_u64(event, "k", 0), n);
        json_decref(event);
        slr_evlog_step(c);
    }
}

Test(evlog, members_and_numbers)
{
    struct place p;
    make_place(&p);
    struct slr_clock *clock = slr_clock_virtual((slr_wall){5000});
    struct slr_evlog_config cfg = config(&p);
    cfg.clock = clock;
    cfg.seeded = true;
    struct slr_evlog *log = open_log(&cfg);
    json_t *event;

    cr_assert_eq(append(log, 1), 1);
    cr_assert_eq(slr_json_load(slr_evlog_newest(log), &event), SLR_OK);
    cr_expect_eq(slr_json_i64(event, "wall_ns", 0), 5000);
    cr_expect_str_eq(slr_json_str(event, "ev"), "test");
    cr_expect_str_eq(slr_json_str(event, "engine"), slr_evlog_engine(log));
    cr_expect_eq(slr_json_u64(event, "engine_epoch", 0), 1);
    json_decref(event);
    cr_assert_eq(slr_evlog_append(log, json_pack("{s:s,s:I}", "ev", "x", "wall_ns", (json_int_t)7)),
                 2);
    cr_assert_eq(slr_json_load(slr_evlog_newest(log), &event), SLR_OK);
    cr_expect_eq(slr_json_i64(event, "wall_ns", 0), 7, "a time given by the sender stays");
    json_decref(event);
    slr_evlog_close(log);
    slr_clock_free(clock);
    remove_place(&p);
}

Test(evlog, goes_on_after_restart_and_grows_epoch)
{
    struct place p;
    char engine[64];
    make_place(&p);
    struct slr_evlog_config cfg = config(&p);
    struct slr_evlog *log = open_log(&cfg);
    snprintf(engine, sizeof engine, "%s", slr_evlog_engine(log));
    cr_assert_eq(append(log, 1), 1);
    cr_assert_eq(append(log, 2), 2);
    slr_evlog_close(log);

    log = open_log(&cfg);
    cr_expect_str_eq(slr_evlog_engine(log), engine);
    cr_expect_eq(slr_evlog_epoch(log), 2);
    cr_expect_eq(slr_evlog_last(log), 2);
    cr_expect_eq(append(log, 3), 3);
    struct slr_evlog_cursor *c = slr_evlog_cursor_open(log, 0);
    expect_items(log, c, 1, 3);
    slr_evlog_cursor_close(c);
    slr_evlog_close(log);
    remove_place(&p);
}

Test(evlog, one_engine_a_directory)
{
    struct place p;
    make_place(&p);
    struct slr_evlog_config cfg = config(&p);
    struct slr_evlog *log = open_log(&cfg), *second;
    cr_expect_eq(slr_evlog_open(&cfg, &second), SLR_BUSY);
    slr_evlog_close(log);
    remove_place(&p);
}

Test(evlog, damaged_id_is_refused)
{
    struct place p;
    char path[256];
    make_place(&p);
    struct slr_evlog_config cfg = config(&p);
    struct slr_evlog *log;
    slr_evlog_close(open_log(&cfg));
    snprintf(path, sizeof path, "%s/engine.id", p.data);
    FILE *f = fopen(path, "w");
    fputs("id=xyz\nepoch=1\n", f);
    fclose(f);
    cr_expect_eq(slr_evlog_open(&cfg, &log), SLR_FORMAT);
    remove_place(&p);
}

/* Memory holds about 64 KiB; what is older comes from the segments, rolled several times. */
Test(evlog, cursor_reads_disk_then_memory)
{
    struct place p;
    make_place(&p);
    struct slr_evlog_config cfg = config(&p);
    cfg.segment_bytes = 20000;
    struct slr_evlog *log = open_log(&cfg);
    for (int k = 1; k <= 3000; k++) {
        cr_assert_eq(append(log, k), (uint64_t)k);
        if (k % 50 == 0) {
            slr_evlog_flush(log);
        }
    }
    cr_expect_eq(slr_evlog_durable(log), 3000);
    cr_expect_eq(slr_evlog_unwritten(log), 0);
    struct slr_evlog_item item;
    struct slr_evlog_cursor *c = slr_evlog_cursor_open(log, 0);
    cr_expect_eq(slr_evlog_peek(c, &item), SLR_AGAIN, "event 1 can't be in memory any more");
    expect_items(log, c, 1, 3000);
    cr_expect_eq(peek(log, c, &item), SLR_AGAIN);
    cr_assert_eq(append(log, 3001), 3001);
    expect_items(log, c, 3001, 3001);
    slr_evlog_cursor_close(c);
    c = slr_evlog_cursor_open(log, 1234);
    expect_items(log, c, 1235, 1300);
    slr_evlog_cursor_close(c);
    c = slr_evlog_cursor_open(log, 99999);
    cr_expect_eq(slr_evlog_cursor_next(c), 3002);
    slr_evlog_cursor_close(c);
    slr_evlog_close(log);
    remove_place(&p);
}

Test(evlog, closing_a_cursor_in_the_middle_of_a_read)
{
    struct place p;
    make_place(&p);
    struct slr_evlog_config cfg = config(&p);
    struct slr_evlog *log = open_log(&cfg);
    for (int k = 1; k <= 1000; k++) {
        append(log, k);
    }
    for (int i = 0; i < 50; i++) {
        struct slr_evlog_item item;
        struct slr_evlog_cursor *c = slr_evlog_cursor_open(log, 0);
        (void)!slr_evlog_peek(c, &item);
        slr_evlog_cursor_close(c);
    }
    slr_evlog_close(log);
    remove_place(&p);
}

Test(evlog, dropped_segments_are_told_as_lost)
{
    struct place p;
    make_place(&p);
    struct slr_evlog_config cfg = config(&p);
    cfg.segment_bytes = 10000;
    cfg.keep_bytes = 30000;
    cfg.ring_bytes = 65536;
    struct slr_evlog *log = open_log(&cfg);
    for (int k = 1; k <= 3000; k++) {
        append(log, k);
        if (k % 20 == 0) {
            slr_evlog_flush(log);
        }
    }
    struct slr_evlog_item item;
    struct slr_evlog_cursor *c = slr_evlog_cursor_open(log, 10);
    cr_assert_eq(peek(log, c, &item), SLR_NOTFOUND);
    cr_expect_eq(item.lost_from, 11);
    cr_expect_lt(item.lost_to, 3000);
    cr_expect_gt(item.lost_to, 2000);
    expect_items(log, c, item.lost_to + 1, 3000);
    slr_evlog_cursor_close(c);
    slr_evlog_close(log);
    remove_place(&p);
}

Test(evlog, oversized_event_takes_no_number)
{
    struct place p;
    make_place(&p);
    struct slr_evlog_config cfg = config(&p);
    struct slr_evlog *log = open_log(&cfg);
    char *big = calloc(1, 70000);
    memset(big, 'a', 69999);
    cr_expect_eq(slr_evlog_append(log, json_pack("{s:s,s:s}", "ev", "x", "t", big)), 0);
    free(big);
    cr_expect_eq(append(log, 1), 1);
    slr_evlog_close(log);
    remove_place(&p);
}

static void copy_file(const char *from, const char *to)
{
    char buf[4096];
    size_t n;
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    cr_assert(in && out);
    while ((n = fread(buf, 1, sizeof buf, in)) > 0) {
        cr_assert_eq(fwrite(buf, 1, n, out), n);
    }
    fclose(in);
    fclose(out);
}

/* The ring as a killed process leaves it, with files that never saw its events. */
Test(evlog, killed_process_loses_nothing)
{
    struct place p, q;
    char from[256], to[256];
    make_place(&p);
    make_place(&q);
    struct slr_evlog_config cfg = config(&p);
    struct slr_evlog *log = open_log(&cfg);
    mkdir(q.data, 0700);
    mkdir(q.state, 0700);
    snprintf(from, sizeof from, "%s/engine.id", p.data);
    snprintf(to, sizeof to, "%s/engine.id", q.data);
    copy_file(from, to);
    for (int k = 1; k <= 40; k++) {
        append(log, k);
    }
    snprintf(from, sizeof from, "%s/events.ring", p.state);
    snprintf(to, sizeof to, "%s/events.ring", q.state);
    copy_file(from, to);
    slr_evlog_close(log);

    cfg = config(&q);
    log = open_log(&cfg);
    cr_expect_eq(slr_evlog_last(log), 40);
    cr_expect_eq(slr_evlog_durable(log), 40);
    cr_expect_eq(append(log, 41), 41);
    struct slr_evlog_cursor *c = slr_evlog_cursor_open(log, 0);
    expect_items(log, c, 1, 41);
    slr_evlog_cursor_close(c);
    slr_evlog_close(log);
    unlink(to); /* and the files alone hold them, too */
    log = open_log(&cfg);
    c = slr_evlog_cursor_open(log, 0);
    expect_items(log, c, 1, 41);
    slr_evlog_cursor_close(c);
    slr_evlog_close(log);
    remove_place(&p);
    remove_place(&q);
}

/* Power loss: no ring, and a last line that is cut, or zeros behind it. */
Test(evlog, torn_last_line_is_cut)
{
    static const char *const tails[] = {"{\"n\":4,\"ev\":\"te", "{\"n\":4,\"ev\"\n", "x\n", "\n"};
    for (size_t i = 0; i < sizeof tails / sizeof tails[0] + 1; i++) {
        struct place p;
        char path[256], zeros[300] = {0};
        make_place(&p);
        struct slr_evlog_config cfg = config(&p);
        struct slr_evlog *log = open_log(&cfg);
        for (int k = 1; k <= 3; k++) {
            append(log, k);
        }
        slr_evlog_close(log);
        snprintf(path, sizeof path, "%s/events.ring", p.state);
        cr_assert_eq(unlink(path), 0);
        snprintf(path, sizeof path, "%s/events/events-00000000000000000001.jsonl", p.data);
        FILE *f = fopen(path, "ab");
        if (i < sizeof tails / sizeof tails[0]) {
            fputs(tails[i], f);
        } else {
            fwrite(zeros, 1, sizeof zeros, f);
        }
        fclose(f);
        log = open_log(&cfg);
        cr_expect_eq(slr_evlog_last(log), 3, "tail %zu", i);
        cr_expect_eq(append(log, 4), 4);
        slr_evlog_flush(log);
        struct slr_evlog_cursor *c = slr_evlog_cursor_open(log, 0);
        expect_items(log, c, 1, 4);
        slr_evlog_cursor_close(c);
        slr_evlog_close(log);
        remove_place(&p);
    }
}

Test(evring, survives_every_cut_of_its_bytes)
{
    char dir[] = "/tmp/slr-evring-XXXXXX", path[64], text[200];
    cr_assert_not_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/r", dir);
    struct slr_evring *r = NULL;
    cr_assert_eq(slr_evring_open(path, 65536, "me", &r), SLR_OK);
    for (uint64_t n = 1; n <= 2000; n++) { /* several times round */
        int len = snprintf(text, sizeof text, "event %" PRIu64 " %.*s", n, (int)(n % 100),
                           "......................................................................"
                           "..............................");
        cr_assert_eq(slr_evring_put(r, n, slr_slice_of(text, (size_t)len)), SLR_OK);
        struct slr_slice got;
        cr_assert_eq(slr_evring_get(r, n, &got), SLR_OK);
        cr_assert(slr_slice_eq(got, text));
    }
    uint64_t first = slr_evring_first(r);
    struct slr_slice got;
    cr_expect_gt(first, 1000);
    cr_expect_eq(slr_evring_get(r, first - 1, &got), SLR_NOTFOUND);
    cr_expect_eq(slr_evring_put(r, 5, slr_slice_str("x")), SLR_INVAL);
    slr_evring_close(r);

    cr_assert_eq(slr_evring_open(path, 65536, "me", &r), SLR_OK);
    cr_expect_eq(slr_evring_first(r), first);
    cr_expect_eq(slr_evring_last(r), 2000);
    for (uint64_t n = first; n <= 2000; n++) {
        snprintf(text, sizeof text, "event %" PRIu64 " ", n);
        cr_assert_eq(slr_evring_get(r, n, &got), SLR_OK);
        cr_assert(memcmp(got.at, text, strlen(text)) == 0);
    }
    slr_evring_close(r);
    /* bytes gone bad: what is before them is still served, and nothing behind */
    int fd = open(path, O_RDWR);
    char junk[64];
    memset(junk, 0x5a, sizeof junk);
    cr_assert_eq(pwrite(fd, junk, sizeof junk, 4096 + 30000), (ssize_t)sizeof junk);
    close(fd);
    cr_assert_eq(slr_evring_open(path, 65536, "me", &r), SLR_OK);
    cr_expect_lt(slr_evring_last(r), 2000);
    for (uint64_t n = slr_evring_first(r); n != 0 && n <= slr_evring_last(r); n++) {
        snprintf(text, sizeof text, "event %" PRIu64 " ", n);
        cr_assert_eq(slr_evring_get(r, n, &got), SLR_OK);
        cr_assert(memcmp(got.at, text, strlen(text)) == 0);
    }
    slr_evring_close(r);
    cr_assert_eq(slr_evring_open(path, 65536, "somebody else", &r), SLR_OK);
    cr_expect_eq(slr_evring_last(r), 0);
    slr_evring_close(r);
    unlink(path);
    rmdir(dir);
}
