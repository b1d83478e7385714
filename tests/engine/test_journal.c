/* Journal: what the writer appended comes back, whole or as far as it is there. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/journal.h"

#define COUNT 700u

static FILE *made(void)
{
    FILE *f = tmpfile();
    cr_assert_not_null(f);
    for (uint32_t i = 0; i < COUNT; i++) {
        struct slr_span_entry e;
        memset(&e, 0, sizeof e);
        e.leg = i % 3;
        e.span.start_ticks = (int64_t)i * 1000;
        cr_assert_eq(fwrite(&e, sizeof e, 1, f), 1u);
    }
    cr_assert_eq(fflush(f), 0);
    return f;
}

static void expect(FILE *f, uint64_t bytes, uint64_t count, bool is_cut)
{
    struct slr_journal j;
    cr_assert_eq(slr_journal_read(fileno(f), bytes, &j), SLR_OK);
    cr_expect_eq(j.count, count, "%llu entries of %llu bytes", (unsigned long long)j.count,
                 (unsigned long long)bytes);
    cr_expect_eq(j.is_cut, is_cut);
    for (uint64_t i = 0; i < j.count; i++) {
        cr_assert_eq(j.at[i].leg, i % 3);
        cr_assert_eq(j.at[i].span.start_ticks, (int64_t)i * 1000);
    }
    slr_journal_free(&j);
    cr_assert_null(j.at);
}

Test(journal, as_much_as_the_commit_says)
{
    const uint64_t entry = sizeof(struct slr_span_entry);
    FILE *f = made();
    expect(f, COUNT * entry, COUNT, false);
    expect(f, 300 * entry, 300, false); /* what lies behind was never committed */
    expect(f, 0, 0, false);
    fclose(f);
}

Test(journal, somebody_cut_it)
{
    const uint64_t entry = sizeof(struct slr_span_entry);
    FILE *f = made();
    expect(f, (COUNT + 1) * entry, COUNT, true);
    cr_assert_eq(ftruncate(fileno(f), (off_t)(10 * entry + 5)), 0);
    expect(f, COUNT * entry, 10, true); /* a part of an entry is none */
    cr_assert_eq(ftruncate(fileno(f), 0), 0);
    expect(f, COUNT * entry, 0, true);
    fclose(f);
}

Test(journal, errors_of_the_disk)
{
    struct slr_journal j;
    cr_assert_neq(slr_journal_read(-1, 100, &j), SLR_OK);
    cr_assert_null(j.at);
}
