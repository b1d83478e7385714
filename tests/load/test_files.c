/*
 * Recordings in a folder: found by their ledgers, checked, missed when they are not there. The
 * files are made here, as the engine would make them.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "load/files.h"
#include "load/names.h"

#define FRAMES 200u
#define LEAD 800u /* samples before the legs begin: 100 ms */
#define SAMPLES (LEAD + FRAMES * 160u + 500u)
#define START_NS 1700000000000000000LL

struct rig {
    char dir[64], day[96];
    struct slr_load_config cfg;
    struct slr_cast cast;
    struct slr_book book;
    uint8_t at[SAMPLES * 2];
};

static struct rig *make(uint32_t calls)
{
    struct rig *g = calloc(1, sizeof *g);
    static const struct slr_option_list none;
    cr_assert(g);
    snprintf(g->dir, sizeof g->dir, "/tmp/slr-test-files-XXXXXX");
    cr_assert(mkdtemp(g->dir));
    snprintf(g->day, sizeof g->day, "%s/rec", g->dir);
    cr_assert_eq(mkdir(g->day, 0700), 0);
    snprintf(g->day, sizeof g->day, "%s/rec/20261121", g->dir);
    cr_assert_eq(mkdir(g->day, 0700), 0);
    g->cfg = (struct slr_load_config){
        .data = g->dir, .run_id = 77, .tolerance_ms = 10, .seal_timeout_s = 1};
    cr_assert_eq(slr_cast_open(&g->cast, &none, NULL, 0), SLR_OK);
    cr_assert_eq(slr_book_open(&g->book, &g->cfg, calls), SLR_OK);
    for (uint32_t i = 0; i < calls; i++) {
        struct slr_call *c = slr_book_next(&g->book);
        for (uint32_t leg = 0; leg < 2; leg++) {
            c->leg[leg].start_ns = START_NS + (int64_t)LEAD * 125000;
            c->leg[leg].frames = FRAMES;
        }
        atomic_store(&c->state, SLR_CALL_ENDED);
    }
    return g;
}

static void done(struct rig *g)
{
    char command[128];
    slr_book_close(&g->book);
    slr_cast_close(&g->cast);
    snprintf(command, sizeof command, "rm -rf '%s'", g->dir);
    cr_assert_eq(system(command), 0);
    free(g);
}

/* Both legs of a call; shift: samples by which leg 1 lies too late. */
static void fill(struct rig *g, uint32_t call, uint32_t shift)
{
    memset(g->at, 0xd5, sizeof g->at);
    for (uint32_t n = 0; n < FRAMES; n++) {
        for (uint32_t leg = 0; leg < 2; leg++) {
            uint8_t payload[160];
            struct slr_mark m = {g->cfg.run_id, call, leg, n};
            slr_mark_fill(&m, payload, sizeof payload);
            for (uint32_t i = 0; i < 160; i++) {
                g->at[(LEAD + n * 160 + i + leg * shift) * 2 + leg] = payload[i];
            }
        }
    }
}

static void put32(uint8_t *at, uint32_t v)
{
    for (int i = 0; i < 4; i++) {
        at[i] = (uint8_t)(v >> (8 * i));
    }
}

/* swap: the ledger says that the legs are in each other's channel. */
static void publish(struct rig *g, uint32_t call, bool swap)
{
    char path[160];
    uint8_t head[44] = "RIFF....WAVEfmt \x10\0\0\0\6\0\2\0";
    put32(head + 4, 36 + sizeof g->at);
    put32(head + 24, 8000);
    put32(head + 28, 16000);
    memcpy(head + 32, "\2\0\10\0data", 8);
    put32(head + 40, sizeof g->at);
    snprintf(path, sizeof path, "%s/c%u.wav", g->day, call);
    FILE *f = fopen(path, "w");
    cr_assert(f);
    cr_assert_eq(fwrite(head, sizeof head, 1, f), 1);
    cr_assert_eq(fwrite(g->at, sizeof g->at, 1, f), 1);
    fclose(f);
    snprintf(path, sizeof path, "%s/c%u.json", g->day, call);
    f = fopen(path, "w");
    cr_assert(f);
    fprintf(f,
            "{\"call\":\"load-%08x-%u\",\"file\":\"20261121/c%u.wav\",\"start_wall_ns\":%lld,"
            "\"shape\":{\"sample_hz\":8000},\"legs\":[{\"dn\":\"%u\",\"channel\":%d,\"spans\":[]},"
            "{\"dn\":\"%u\",\"channel\":%d,\"spans\":[]}]}",
            g->cfg.run_id, call, call, START_NS, slr_book_dn(call, 0), swap ? 1 : 0,
            slr_book_dn(call, 1), swap ? 0 : 1);
    fclose(f);
}

static struct slr_verdict check(struct rig *g)
{
    struct slr_files *f;
    struct slr_verdict v;
    cr_assert_eq(slr_files_open(&g->cfg, &g->cast, &g->book, &f), SLR_OK);
    slr_files_finish(f, &v);
    slr_files_close(f);
    return v;
}

Test(files, all_is_there)
{
    struct rig *g = make(3);
    for (uint32_t i = 0; i < 3; i++) {
        fill(g, i, 0);
        publish(g, i, false);
    }
    struct slr_verdict v = check(g);
    cr_assert_eq(v.recordings, 3);
    cr_assert_eq(v.legs, 6);
    cr_assert_eq(v.found, 6 * FRAMES);
    cr_assert_eq(v.expected, 6 * FRAMES);
    cr_assert_eq(v.lost + v.misplaced + v.leaked + v.damaged + v.missing, 0);
    cr_assert_eq(v.offset_max_ns, 0);
    done(g);
}

Test(files, a_call_without_a_recording)
{
    struct rig *g = make(2);
    fill(g, 1, 0);
    publish(g, 1, false);
    struct slr_verdict v = check(g);
    cr_assert_eq(v.missing, 1);
    cr_assert_eq(v.lost, 2 * FRAMES);
    cr_assert_eq(v.lost_whole, 2 * FRAMES);
    cr_assert_eq(v.found, 2 * FRAMES);
    done(g);
}

Test(files, legs_in_each_others_channel_are_leaks)
{
    struct rig *g = make(1);
    fill(g, 0, 0);
    publish(g, 0, true);
    struct slr_verdict v = check(g);
    cr_assert_eq(v.found, 0);
    cr_assert_eq(v.leaked, 2 * FRAMES);
    done(g);
}

Test(files, legs_apart)
{
    struct rig *g = make(1);
    fill(g, 0, 80); /* 10 ms: allowed */
    publish(g, 0, false);
    struct slr_verdict v = check(g);
    cr_assert_eq(v.found, 2 * FRAMES);
    cr_assert_eq(v.apart_max_ns, 10000000);
    atomic_store(&g->book.call[0].state, SLR_CALL_ENDED);
    fill(g, 0, 81);
    publish(g, 0, false);
    v = check(g);
    cr_assert_eq(v.found, FRAMES);
    cr_assert_gt(v.misplaced, FRAMES);
    done(g);
}

Test(files, checked_files_are_removed_where_that_was_asked_for)
{
    struct rig *g = make(1);
    char path[160];
    fill(g, 0, 0);
    publish(g, 0, false);
    g->cfg.delete_files = true;
    struct slr_verdict v = check(g);
    cr_assert_eq(v.found, 2 * FRAMES);
    snprintf(path, sizeof path, "%s/c0.wav", g->day);
    cr_assert_neq(access(path, F_OK), 0);
    snprintf(path, sizeof path, "%s/c0.json", g->day);
    cr_assert_neq(access(path, F_OK), 0);
    done(g);
}

Test(names, a_set)
{
    struct slr_names n = {0};
    cr_assert_not(slr_names_has(&n, 5));
    for (uint64_t i = 1; i < 5000; i++) {
        slr_names_add(&n, i * 1024);
        slr_names_add(&n, i * 1024);
    }
    cr_assert_eq(n.used, 4999);
    for (uint64_t i = 1; i < 5000; i++) {
        cr_assert(slr_names_has(&n, i * 1024));
        cr_assert_not(slr_names_has(&n, i * 1024 + 1));
    }
    slr_names_close(&n);
}
