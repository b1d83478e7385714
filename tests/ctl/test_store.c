/*
 * The store: order, merge, survival of a kill, refusal of foreign and damaged files, load figures.
 * A `done` that waits stands for a frozen disk: it stops the store thread, never the poster.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <semaphore.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/catalogue.h"
#include "ctl/store.h"

#define ID_A "00000000000000000000000000000001"
#define ID_B "00000000000000000000000000000002"

static char dir[64];
static char data[80];

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *walk)
{
    (void)st;
    (void)flag;
    (void)walk;
    return remove(path);
}

static void set_up(void)
{
    strcpy(dir, "/tmp/slr-store-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
    snprintf(data, sizeof(data), "%s/core", dir);
}

static void tear_down(void)
{
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

TestSuite(store, .init = set_up, .fini = tear_down);

struct waiter {
    sem_t sem;
    enum slr_err result;
};

static void wake(void *ctx, enum slr_err result)
{
    struct waiter *w = ctx;
    w->result = result;
    sem_post(&w->sem);
}

static struct slr_store *open_store(void)
{
    struct slr_store *s = NULL;
    cr_assert_eq(slr_store_open(data, &s), SLR_OK);
    return s;
}

/* Waits until all posted so far is committed. */
static void flush(struct slr_store *s)
{
    struct waiter w = {.result = SLR_ERR_COUNT};
    sem_init(&w.sem, 0, 0);
    cr_assert_eq(slr_store_put_value(s, "flush", 1, wake, &w), SLR_OK);
    sem_wait(&w.sem);
    cr_assert_eq(w.result, SLR_OK);
}

static void collect(void *ctx, const char *key, json_t *record)
{
    json_object_set(ctx, key, record);
}

static json_t *recording(const char *id)
{
    struct slr_catalogue *c = NULL;
    json_t *record = NULL;
    cr_assert_eq(slr_catalogue_open(data, &c), SLR_OK);
    enum slr_err err = slr_catalogue_recording(c, id, &record);
    slr_catalogue_close(c);
    return err == SLR_OK ? record : NULL;
}

struct order {
    int next;
    int seen[64];
};

struct order_item {
    struct order *order;
    int number;
};

static void note_order(void *ctx, enum slr_err result)
{
    struct order_item *item = ctx;
    cr_assert_eq(result, SLR_OK);
    item->order->seen[item->order->next++] = item->number;
}

Test(store, answers_come_in_order_and_last_write_wins)
{
    struct slr_store *s = open_store();
    struct order order = {0};
    struct order_item item[64];
    for (int i = 0; i < 64; i++) {
        item[i] = (struct order_item){&order, i};
        cr_assert_eq(slr_store_put_dialog(s, i % 2 ? "odd" : "even", "call",
                                          json_pack("{s:i}", "i", i), note_order, &item[i]),
                     SLR_OK);
    }
    slr_store_close(s);
    cr_assert_eq(order.next, 64);
    for (int i = 0; i < 64; i++) {
        cr_assert_eq(order.seen[i], i);
    }
    s = open_store();
    json_t *all = json_object();
    cr_assert_eq(slr_store_each_dialog(s, collect, all), SLR_OK);
    cr_assert_eq(json_object_size(all), 2);
    cr_assert_eq(json_integer_value(json_object_get(json_object_get(all, "odd"), "i")), 63);
    cr_assert_eq(slr_store_delete_dialog(s, "odd", NULL, NULL), SLR_OK);
    flush(s);
    json_object_clear(all);
    cr_assert_eq(slr_store_each_dialog(s, collect, all), SLR_OK);
    cr_assert_eq(json_object_size(all), 1);
    json_decref(all);
    slr_store_close(s);
}

Test(store, calls_and_values_survive_reopening)
{
    struct slr_store *s = open_store();
    cr_assert_eq(slr_store_value(s, "cursor", -7), -7);
    cr_assert_eq(slr_store_put_call(s, "c1", json_pack("{s:s}", "a", "b"), NULL, NULL), SLR_OK);
    cr_assert_eq(slr_store_put_call(s, "c2", json_object(), NULL, NULL), SLR_OK);
    cr_assert_eq(slr_store_delete_call(s, "c2", NULL, NULL), SLR_OK);
    cr_assert_eq(slr_store_put_value(s, "cursor", 1LL << 60, NULL, NULL), SLR_OK);
    slr_store_close(s);
    s = open_store();
    json_t *all = json_object();
    cr_assert_eq(slr_store_each_call(s, collect, all), SLR_OK);
    cr_assert_eq(json_object_size(all), 1);
    cr_assert_str_eq(json_string_value(json_object_get(json_object_get(all, "c1"), "a")), "b");
    cr_assert_eq(slr_store_value(s, "cursor", 0), 1LL << 60);
    json_decref(all);
    slr_store_close(s);
}

Test(store, recordings_merge_and_keep_absent_members)
{
    struct slr_store *s = open_store();
    cr_assert_eq(slr_store_put_recording(s,
                                         json_pack("{s:s,s:s,s:s,s:I,s:[s]}", "id", ID_A, "call",
                                                   "c", "state", "open", "start_wall_ns",
                                                   (json_int_t)5, "dns", "100"),
                                         NULL, NULL),
                 SLR_OK);
    cr_assert_eq(
        slr_store_put_recording(
            s, json_pack("{s:s,s:s,s:i}", "id", ID_A, "state", "sealed", "bytes", 99), NULL, NULL),
        SLR_OK);
    flush(s);
    json_t *r = recording(ID_A);
    cr_assert_not_null(r);
    cr_assert_str_eq(json_string_value(json_object_get(r, "call")), "c");
    cr_assert_str_eq(json_string_value(json_object_get(r, "state")), "sealed");
    cr_assert_eq(json_integer_value(json_object_get(r, "bytes")), 99);
    cr_assert_eq(json_array_size(json_object_get(r, "dns")), 1);
    json_decref(r);
    slr_store_close(s);
}

Test(store, a_recording_without_a_proper_id_is_refused)
{
    struct slr_store *s = open_store();
    cr_assert_eq(slr_store_put_recording(s, json_pack("{s:s}", "id", "../x"), NULL, NULL),
                 SLR_INVAL);
    cr_assert_eq(slr_store_put_recording(s, json_object(), NULL, NULL), SLR_INVAL);
    slr_store_close(s);
}

Test(store, deletion_strips_the_parties_and_is_final)
{
    struct slr_store *s = open_store();
    cr_assert_eq(slr_store_put_recording(s,
                                         json_pack("{s:s,s:s,s:[s],s:{s:s}}", "id", ID_A, "state",
                                                   "sealed", "dns", "100", "meta", "k", "v"),
                                         NULL, NULL),
                 SLR_OK);
    cr_assert_eq(slr_store_put_document(s, ID_A, "rs-metadata", (slr_wall){1}, "<x/>", 4), SLR_OK);
    cr_assert_eq(slr_store_put_recording(s, json_pack("{s:s,s:s}", "id", ID_A, "state", "deleted"),
                                         NULL, NULL),
                 SLR_OK);
    cr_assert_eq(slr_store_put_recording(
                     s, json_pack("{s:s,s:s,s:[s]}", "id", ID_A, "state", "sealed", "dns", "100"),
                     NULL, NULL),
                 SLR_OK);
    flush(s);
    json_t *r = recording(ID_A);
    cr_assert_str_eq(json_string_value(json_object_get(r, "state")), "deleted");
    cr_assert_null(json_object_get(r, "dns"));
    cr_assert_null(json_object_get(r, "meta"));
    json_decref(r);
    slr_store_close(s);
    char path[128];
    snprintf(path, sizeof(path), "%s/core.db", data);
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(db,
                                    "SELECT (SELECT count(*) FROM document)+(SELECT count(*) "
                                    "FROM recording_dn)",
                                    -1, &st, NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_step(st), SQLITE_ROW);
    cr_assert_eq(sqlite3_column_int(st, 0), 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
}

static json_t *silent_at(int since_ms)
{
    return json_pack("{s:s,s:s,s:i}", "leg", "l1", "cause", "no-packets", "since_ms", since_ms);
}

Test(store, alarms_are_added_to_what_is_in_the_catalogue)
{
    struct slr_store *s = open_store();
    cr_assert_eq(slr_store_put_alarm(s, "../x", silent_at(5)), SLR_INVAL);
    cr_assert_eq(slr_store_put_alarm(s, ID_A, silent_at(5)), SLR_OK);
    flush(s);
    cr_assert_null(recording(ID_A), "of what nobody knows");
    cr_assert_eq(
        slr_store_put_recording(
            s, json_pack("{s:s,s:s,s:s}", "id", ID_A, "state", "open", "call", "c"), NULL, NULL),
        SLR_OK);
    cr_assert_eq(slr_store_put_alarm(s, ID_A, silent_at(100)), SLR_OK);
    cr_assert_eq(slr_store_put_alarm(s, ID_A, silent_at(100)), SLR_OK);
    cr_assert_eq(slr_store_put_alarm(s, ID_A, silent_at(900)), SLR_OK);
    cr_assert_eq(slr_store_put_recording(s, json_pack("{s:s,s:s}", "id", ID_A, "state", "sealed"),
                                         NULL, NULL),
                 SLR_OK);
    flush(s);
    json_t *r = recording(ID_A);
    cr_assert_eq(json_array_size(json_object_get(r, "alarms")), 2);
    cr_assert_str_eq(json_string_value(json_object_get(r, "call")), "c");
    json_decref(r);
    cr_assert_eq(slr_store_put_recording(s, json_pack("{s:s,s:s}", "id", ID_A, "state", "deleted"),
                                         NULL, NULL),
                 SLR_OK);
    cr_assert_eq(slr_store_put_alarm(s, ID_A, silent_at(1900)), SLR_OK);
    flush(s);
    r = recording(ID_A);
    cr_assert_null(json_object_get(r, "alarms"));
    json_decref(r);
    slr_store_close(s);
}

/* What was answered with SLR_OK is there after the process was killed without closing anything. */
Test(store, what_was_answered_survives_a_kill)
{
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        struct slr_store *s = NULL;
        if (slr_store_open(data, &s) != SLR_OK) {
            _exit(1);
        }
        struct waiter w = {0};
        sem_init(&w.sem, 0, 0);
        for (int i = 0; i < 500; i++) {
            char key[16];
            snprintf(key, sizeof(key), "d%d", i);
            if (slr_store_put_dialog(s, key, "c", json_object(), i == 499 ? wake : NULL, &w) !=
                SLR_OK) {
                _exit(2);
            }
        }
        sem_wait(&w.sem);
        _exit(w.result == SLR_OK ? 0 : 3);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    cr_assert_eq(status, 0);
    struct slr_store *s = open_store();
    json_t *all = json_object();
    cr_assert_eq(slr_store_each_dialog(s, collect, all), SLR_OK);
    cr_assert_eq(json_object_size(all), 500);
    json_decref(all);
    slr_store_close(s);
}

Test(store, a_second_core_in_the_same_directory_is_refused)
{
    struct slr_store *s = open_store();
    struct slr_store *second = NULL;
    cr_assert_eq(slr_store_open(data, &second), SLR_BUSY);
    cr_assert_null(second);
    slr_store_close(s);
}

static void run_sql(const char *sql)
{
    char path[128];
    sqlite3 *db = NULL;
    snprintf(path, sizeof(path), "%s/core.db", data);
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

Test(store, nobody_else_can_read_the_database)
{
    struct slr_store *s = open_store();
    static const char *const names[] = {"core.db", "core.db-wal", "core.db-shm"};
    for (size_t i = 0; i < 3; i++) {
        char path[128];
        struct stat st;
        snprintf(path, sizeof(path), "%s/%s", data, names[i]);
        cr_assert_eq(stat(path, &st), 0, "%s", path);
        cr_assert_eq(st.st_mode & 077, 0, "%s", path);
    }
    slr_store_close(s);
}

Test(store, another_schema_version_is_refused)
{
    slr_store_close(open_store());
    run_sql("PRAGMA user_version=2");
    struct slr_store *s = NULL;
    cr_assert_eq(slr_store_open(data, &s), SLR_VERSION);
    cr_assert_null(s);
}

Test(store, a_foreign_database_is_refused)
{
    slr_store_close(open_store());
    run_sql("PRAGMA application_id=1");
    struct slr_store *s = NULL;
    cr_assert_eq(slr_store_open(data, &s), SLR_VERSION);
}

static void overwrite(off_t at, const char *with, size_t len)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/core.db", data);
    int fd = open(path, O_WRONLY);
    cr_assert_geq(fd, 0);
    cr_assert_eq(pwrite(fd, with, len, at), (ssize_t)len);
    close(fd);
}

/* Files of that beginning in the folder. */
static int count_files(const char *beginning)
{
    int n = 0;
    DIR *d = opendir(data);
    cr_assert_not_null(d);
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        n += strncmp(e->d_name, beginning, strlen(beginning)) == 0;
    }
    closedir(d);
    return n;
}

Test(store, a_damaged_file_is_put_aside)
{
    slr_store_close(open_store());
    overwrite(0, "this is not a database at all", 29);
    struct slr_store *s = open_store();
    cr_assert_geq(count_files("core.db.damaged-"), 1, "it is kept");
    cr_assert_eq(slr_store_value(s, "core_epoch", -1), -1, "a new one was begun");
    slr_store_close(s);
    slr_store_close(open_store());
}

Test(store, a_damaged_schema_page_is_put_aside)
{
    slr_store_close(open_store());
    char junk[3000];
    memset(junk, 0xa5, sizeof(junk));
    overwrite(100, junk, sizeof(junk));
    slr_store_close(open_store());
    cr_assert_geq(count_files("core.db.damaged-"), 1);
}

struct gate {
    sem_t entered, open;
};

static void hold(void *ctx, enum slr_err result)
{
    (void)result;
    struct gate *g = ctx;
    sem_post(&g->entered);
    sem_wait(&g->open);
}

Test(store, posting_goes_on_while_the_store_hangs_until_the_limit, .timeout = 60)
{
    struct slr_store *s = open_store();
    struct gate g;
    sem_init(&g.entered, 0, 0);
    sem_init(&g.open, 0, 0);
    cr_assert_eq(slr_store_put_value(s, "v", 0, hold, &g), SLR_OK);
    sem_wait(&g.entered);
    uint32_t jobs = 0;
    uint32_t oldest_ms = 0;
    int posted = 1;
    enum slr_err err = SLR_OK;
    while ((err = slr_store_put_value(s, "v", posted, NULL, NULL)) == SLR_OK) {
        posted++;
    }
    cr_assert_eq(err, SLR_FULL);
    cr_assert_eq(posted, 100000);
    slr_store_load(s, &jobs, &oldest_ms);
    cr_assert_eq(jobs, 100000);
    cr_assert_gt(oldest_ms, 0);
    sem_post(&g.open);
    slr_store_close(s);
    s = open_store();
    cr_assert_eq(slr_store_value(s, "v", 0), 99999);
    slr_store_load(s, &jobs, &oldest_ms);
    cr_assert_eq(jobs, 0);
    cr_assert_eq(oldest_ms, 0);
    slr_store_close(s);
}

/* At the core's end an answer that comes late may find the store closed. */
Test(store, a_closed_store_takes_nothing)
{
    uint32_t jobs = 1;
    uint32_t oldest_ms = 1;
    cr_assert_eq(slr_store_put_value(NULL, "name", 1, NULL, NULL), SLR_CLOSED);
    cr_assert_eq(slr_store_put_call(NULL, "key", json_object(), NULL, NULL), SLR_CLOSED);
    slr_store_load(NULL, &jobs, &oldest_ms);
    cr_assert_eq(jobs, 0);
    cr_assert_eq(oldest_ms, 0);
}
