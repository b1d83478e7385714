/* Taking imported recordings over: files never replace others, catalogues merge by id. */
#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/catalogue.h"
#include "ctl/slrctl_merge.h"
#include "ctl/store.h"

static char dir[64], from[80], to[80];

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *walk)
{
    (void)st;
    (void)flag;
    (void)walk;
    return remove(path);
}

static void set_up(void)
{
    char path[128];
    strcpy(dir, "/tmp/slr-merge-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
    snprintf(from, sizeof(from), "%s/from", dir);
    snprintf(to, sizeof(to), "%s/to", dir);
    mkdir(from, 0700);
    mkdir(to, 0700);
    snprintf(path, sizeof(path), "%s/rec", from);
    mkdir(path, 0700);
    snprintf(path, sizeof(path), "%s/rec/day", from);
    mkdir(path, 0700);
}

static void tear_down(void)
{
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

TestSuite(slrctl_merge, .init = set_up, .fini = tear_down);

static void put(const char *base, const char *name, const char *text)
{
    char path[160];
    snprintf(path, sizeof(path), "%s/rec/day/%s", base, name);
    FILE *f = fopen(path, "w");
    cr_assert_not_null(f);
    fputs(text, f);
    fclose(f);
}

static bool merge(const char *file)
{
    json_t *record = json_pack("{s:s,s:s}", "file", file, "ledger", "day/a.json");
    bool ok = slrctl_merge_files(from, to, record);
    json_decref(record);
    return ok;
}

Test(slrctl_merge, files_move_and_the_same_again_is_no_error)
{
    put(from, "a.wav", "sound");
    put(from, "a.json", "{}");
    cr_assert(merge("day/a.wav"));
    char path[160];
    snprintf(path, sizeof(path), "%s/rec/day/a.wav", to);
    cr_assert_eq(access(path, R_OK), 0);
    put(from, "a.wav", "sound");
    put(from, "a.json", "{}");
    cr_assert(merge("day/a.wav"));
    put(from, "a.wav", "other");
    cr_assert_not(merge("day/a.wav"));
    put(from, "a.wav", "sound and more");
    cr_assert_not(merge("day/a.wav"));
    cr_assert_not(merge("../../a.wav"));
}

static void fill(const char *base, const char *id, const char *state)
{
    char path[128];
    struct slr_store *s = NULL;
    snprintf(path, sizeof(path), "%s/core", base);
    cr_assert_eq(slr_store_open(path, &s), SLR_OK);
    cr_assert_eq(
        slr_store_put_recording(
            s, json_pack("{s:s,s:s,s:[s]}", "id", id, "state", state, "dns", "100"), NULL, NULL),
        SLR_OK);
    slr_store_close(s);
}

Test(slrctl_merge, catalogues_merge_by_id)
{
    char a[128], b[128];
    struct slr_catalogue *c = NULL;
    json_t *rows = NULL;
    bool more = false;
    struct slr_cursor next;
    snprintf(a, sizeof(a), "%s/core", from);
    snprintf(b, sizeof(b), "%s/core", to);
    cr_assert_eq(slr_store_merge(b, a), SLR_NOTFOUND);
    fill(from, "00000000000000000000000000000001", "sealed");
    fill(from, "00000000000000000000000000000002", "sealed");
    fill(to, "00000000000000000000000000000002", "partial");
    fill(to, "00000000000000000000000000000003", "sealed");
    cr_assert_eq(slr_store_merge(b, a), SLR_OK);
    cr_assert_eq(slr_store_merge(b, a), SLR_OK);
    cr_assert_eq(slr_catalogue_open(b, &c), SLR_OK);
    struct slr_catalogue_query q = {
        .from_ns = INT64_MIN, .to_ns = INT64_MAX, .limit = 10, .dn = "100", .state = "sealed"};
    cr_assert_eq(slr_catalogue_recordings(c, &q, &rows, &more, &next), SLR_OK);
    cr_assert_eq(json_array_size(rows), 3);
    json_decref(rows);
    slr_catalogue_close(c);
}

Test(slrctl_merge, not_into_a_catalogue_in_use)
{
    char a[128], b[128];
    struct slr_store *s = NULL;
    snprintf(a, sizeof(a), "%s/core", from);
    snprintf(b, sizeof(b), "%s/core", to);
    fill(from, "00000000000000000000000000000001", "sealed");
    cr_assert_eq(slr_store_open(b, &s), SLR_OK);
    cr_assert_eq(slr_store_merge(b, a), SLR_BUSY);
    slr_store_close(s);
}
