/*
 * The catalogue: filters, order, keyset paging and cursors, on a database made by the store.
 */
#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl/catalogue.h"
#include "ctl/store.h"

static char dir[64];
static struct slr_catalogue *cat;

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *walk)
{
    (void)st;
    (void)flag;
    (void)walk;
    return remove(path);
}

/* 20 recordings: start i/2 (pairs share a start), call c<i%3>, dn 100+i%4, every fifth partial. */
static void set_up(void)
{
    strcpy(dir, "/tmp/slr-catalogue-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
    struct slr_store *s = NULL;
    cr_assert_eq(slr_store_open(dir, &s), SLR_OK);
    for (int i = 0; i < 20; i++) {
        char id[SLR_ID_SIZE];
        char call[8];
        char dn[8];
        snprintf(id, sizeof(id), "%032x", (unsigned)i);
        snprintf(call, sizeof(call), "c%d", i % 3);
        snprintf(dn, sizeof(dn), "%d", 100 + i % 4);
        json_t *r = json_pack("{s:s,s:s,s:s,s:I,s:[s,s]}", "id", id, "call", call, "state",
                              i % 5 == 0 ? "partial" : "sealed", "start_wall_ns",
                              (json_int_t)(i / 2), "dns", dn, "900");
        cr_assert_eq(slr_store_put_recording(s, r, NULL, NULL), SLR_OK);
    }
    json_t *gone = json_pack("{s:s,s:s,s:I}", "id", "000000000000000000000000000000ff", "state",
                             "deleted", "start_wall_ns", (json_int_t)3);
    cr_assert_eq(slr_store_put_recording(s, gone, NULL, NULL), SLR_OK);
    slr_store_close(s);
    cr_assert_eq(slr_catalogue_open(dir, &cat), SLR_OK);
}

static void tear_down(void)
{
    slr_catalogue_close(cat);
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

TestSuite(catalogue, .init = set_up, .fini = tear_down);

static struct slr_catalogue_query all(uint32_t limit)
{
    return (struct slr_catalogue_query){.from_ns = INT64_MIN, .to_ns = INT64_MAX, .limit = limit};
}

/* Reads page by page and returns how many rows came; checks order and uniqueness. */
static size_t read_all(struct slr_catalogue_query q)
{
    size_t count = 0;
    bool more = true;
    int64_t last_start = q.oldest_first ? INT64_MIN : INT64_MAX;
    char last_id[SLR_ID_SIZE] = "";
    while (more) {
        json_t *rows = NULL;
        struct slr_cursor next;
        cr_assert_eq(slr_catalogue_recordings(cat, &q, &rows, &more, &next), SLR_OK);
        cr_assert_leq(json_array_size(rows), q.limit);
        size_t i;
        json_t *row;
        json_array_foreach(rows, i, row)
        {
            int64_t start = json_integer_value(json_object_get(row, "start_wall_ns"));
            const char *id = json_string_value(json_object_get(row, "id"));
            int by_id = last_id[0] != '\0' ? strcmp(id, last_id) : 0;
            if (q.oldest_first) {
                cr_assert(start > last_start || (start == last_start && by_id > 0));
            } else {
                cr_assert(start < last_start || (start == last_start && by_id < 0));
            }
            last_start = start;
            strcpy(last_id, id);
            count++;
        }
        json_decref(rows);
        if (more) {
            char text[SLR_CURSOR_SIZE];
            slr_cursor_format(&next, text);
            q.has_after = true;
            cr_assert(slr_cursor_parse(text, &q.after));
        }
    }
    return count;
}

Test(catalogue, pages_give_every_row_once_in_order)
{
    for (uint32_t limit = 1; limit <= 21; limit++) {
        cr_assert_eq(read_all(all(limit)), 20);
    }
    struct slr_catalogue_query q = all(3);
    q.oldest_first = true;
    cr_assert_eq(read_all(q), 20);
}

Test(catalogue, filters)
{
    struct slr_catalogue_query q = all(3);
    q.from_ns = 2;
    q.to_ns = 5;
    cr_assert_eq(read_all(q), 6);
    q = all(3);
    q.dn = "101";
    cr_assert_eq(read_all(q), 5);
    q.dn = "900";
    q.from_ns = 9;
    cr_assert_eq(read_all(q), 2);
    q.dn = "9";
    cr_assert_eq(read_all(q), 0);
    q = all(2);
    q.call = "c0";
    cr_assert_eq(read_all(q), 7);
    q = all(1);
    q.state = "partial";
    cr_assert_eq(read_all(q), 4);
    q.state = "deleted";
    cr_assert_eq(read_all(q), 1);
    q = all(10);
    q.id = "00000000000000000000000000000007";
    cr_assert_eq(read_all(q), 1);
    q.dn = "100' OR '1'='1";
    cr_assert_eq(read_all(q), 0);
}

Test(catalogue, a_limit_out_of_range_is_refused)
{
    json_t *rows = NULL;
    bool more = false;
    struct slr_cursor next;
    struct slr_catalogue_query q = all(0);
    cr_assert_eq(slr_catalogue_recordings(cat, &q, &rows, &more, &next), SLR_INVAL);
    q.limit = SLR_CATALOGUE_MAX_ROWS + 1;
    cr_assert_eq(slr_catalogue_recordings(cat, &q, &rows, &more, &next), SLR_INVAL);
}

Test(catalogue, an_unknown_recording_is_not_found)
{
    json_t *r = NULL;
    cr_assert_eq(slr_catalogue_recording(cat, "0000000000000000000000000000ffff", &r),
                 SLR_NOTFOUND);
    cr_assert_null(r);
}

Test(catalogue, no_database_is_not_found)
{
    struct slr_catalogue *none = NULL;
    cr_assert_eq(slr_catalogue_open("/tmp/slr-there-is-none", &none), SLR_NOTFOUND);
}

Test(catalogue, cursors_survive_the_way_and_reject_the_rest)
{
    struct slr_cursor c = {-5, "0123456789abcdef0123456789abcdef"};
    struct slr_cursor d;
    char text[SLR_CURSOR_SIZE];
    slr_cursor_format(&c, text);
    cr_assert(slr_cursor_parse(text, &d));
    cr_assert_eq(d.start_ns, -5);
    cr_assert_str_eq(d.id, c.id);
    cr_assert_not(slr_cursor_parse("", &d));
    text[0] = 'g';
    cr_assert_not(slr_cursor_parse(text, &d));
    text[0] = 'F';
    cr_assert_not(slr_cursor_parse(text, &d));
    slr_cursor_format(&c, text);
    text[47] = '\0';
    cr_assert_not(slr_cursor_parse(text, &d));
}
