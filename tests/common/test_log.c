/* log: the shape of lines, quoting, rate limit, configuration. Each test writes a file of its own.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

static char folder[64];
static char log_path[96], config_path[96];

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/slr_test_log_XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(log_path, sizeof log_path, "%s/log", folder);
    snprintf(config_path, sizeof config_path, "%s/config", folder);
    slr_log_init("test", SLR_LOG_INFO);
}

static void teardown(void)
{
    unlink(log_path);
    unlink(config_path);
    rmdir(folder);
}

TestSuite(log, .init = setup, .fini = teardown);

static enum slr_err configure(const char *settings)
{
    FILE *f = fopen(config_path, "w");
    cr_assert_not_null(f);
    fprintf(f, "%s\nfile = %s\n", settings, log_path);
    fclose(f);
    return slr_log_configure(config_path);
}

/* The whole log, in a buffer of the caller's process. */
static char *log_text(void)
{
    static char text[65536];
    FILE *f = fopen(log_path, "r");
    cr_assert_not_null(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    return text;
}

static int count_lines(const char *text)
{
    int n = 0;
    for (; *text; text++) {
        n += *text == '\n';
    }
    return n;
}

Test(log, line)
{
    cr_assert_eq(configure("level=info"), SLR_OK);
    errno = 77;
    SLR_INFO("leg_open", "session=%s port=%u", "abc", 4000U);
    cr_assert_eq(errno, 77, "logging leaves errno alone");
    char *text = log_text();
    cr_assert_eq(count_lines(text), 1);
    cr_assert_eq(text[10], 'T');
    cr_assert_eq(text[23], 'Z');
    cr_assert_str_eq(text + 24, " INFO test leg_open session=abc port=4000\n");
}

Test(log, level)
{
    cr_assert_eq(configure("# quiet\nlevel = WARN"), SLR_OK);
    SLR_INFO("no", "a=%d", 1);
    SLR_WARN("yes", "a=%d", 2);
    char *text = log_text();
    cr_assert_eq(count_lines(text), 1);
    cr_assert_not_null(strstr(text, " WARN test yes a=2\n"));
}

Test(log, one_line_whatever_the_fields_hold)
{
    char big[5000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    cr_assert_eq(configure("level=info"), SLR_OK);
    SLR_INFO("forged", "v=%s", "a\nb\x1b[2J");
    SLR_INFO("long", "v=%s", big);
    char *text = log_text();
    cr_assert_eq(count_lines(text), 2);
    cr_assert_not_null(strstr(text, "forged v=a?b?[2J\n"));
    cr_assert_not_null(strstr(text, "xxx...\n"));
    cr_assert_lt(strlen(text), 2200);
}

/* The window is moved by hand, so that the test does not depend on the time it takes. */
Test(log, rate_limit_by_site)
{
    static struct slr_log_site site, other;

    cr_assert_eq(configure("rate=3"), SLR_OK);
    atomic_store(&site.window_ns, INT64_MAX / 2);
    for (int i = 0; i < 8; i++) {
        slr_log_event(&site, SLR_LOG_INFO, "storm", "i=%d", i);
    }
    char *text = log_text();
    cr_assert_eq(count_lines(text), 3);
    slr_log_event(&other, SLR_LOG_INFO, "calm", "i=%d", 0);
    cr_assert_eq(count_lines(log_text()), 4, "another site has a count of its own");

    atomic_store(&site.window_ns, 1);
    slr_log_event(&site, SLR_LOG_INFO, "storm", "i=%d", 8);
    text = log_text();
    cr_assert_eq(count_lines(text), 6);
    cr_assert_not_null(strstr(text, "INFO test storm suppressed=5\n"));
    cr_assert_not_null(strstr(text, "INFO test storm i=8\n"));
}

Test(log, rate_zero_is_no_limit)
{
    cr_assert_eq(configure("rate=0"), SLR_OK);
    for (int i = 0; i < 50; i++) {
        SLR_INFO("many", "i=%d", i);
    }
    cr_assert_eq(count_lines(log_text()), 50);
}

Test(log, quote)
{
    cr_assert_str_eq(slr_log_quote("plain-1.2:3"), "plain-1.2:3");
    cr_assert_str_eq(slr_log_quote("with blanks"), "\"with blanks\"");
    cr_assert_str_eq(slr_log_quote("a=b"), "\"a=b\"");
    cr_assert_str_eq(slr_log_quote("q\"\\"), "\"q\\\"\\\\\"");
    cr_assert_str_eq(slr_log_quote("a\r\n\x7f"), "\"a\\x0d\\x0a\\x7f\"");
    cr_assert_str_eq(slr_log_quote(""), "\"\"");
    cr_assert_str_eq(slr_log_quote(NULL), "-");
}

Test(log, quote_keeps_only_good_utf8)
{
    cr_assert_str_eq(slr_log_quote("\xc3\xa9"), "\"\xc3\xa9\"");
    cr_assert_str_eq(slr_log_quote("\xe2\x82\xac\xf0\x9f\x93\x9e"),
                     "\"\xe2\x82\xac\xf0\x9f\x93\x9e\"");
    cr_assert_str_eq(slr_log_quote("\xc3"), "\"\\xc3\"");
    cr_assert_str_eq(slr_log_quote("\xe2\x82"), "\"\\xe2\\x82\"");
    cr_assert_str_eq(slr_log_quote("\xff\x80"), "\"\\xff\\x80\"");
    cr_assert_str_eq(slr_log_quote("\xc0\xaf"), "\"\\xc0\\xaf\"", "over-long");
    cr_assert_str_eq(slr_log_quote("\xed\xa0\x80"), "\"\\xed\\xa0\\x80\"", "surrogate");
    cr_assert_str_eq(slr_log_quote("\xc2\x9b"), "\"\\xc2\\x9b\"", "terminal control");
}

Test(log, quote_is_bounded_and_rotates)
{
    char big[1000];
    memset(big, ' ', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    const char *cut = slr_log_quote(big);
    cr_assert_lt(strlen(cut), 256);
    cr_assert_str_eq(cut + strlen(cut) - 4, "...\"");

    const char *first = slr_log_quote("first");
    for (int i = 0; i < 7; i++) {
        cr_assert_neq(slr_log_quote("x"), first);
    }
    cr_assert_str_eq(first, "first");
}

Test(log, configure_again_moves_to_the_new_file)
{
    char old_path[96];
    cr_assert_eq(configure("level=info"), SLR_OK);
    SLR_INFO("one", "%s", "");
    snprintf(old_path, sizeof old_path, "%s/old", folder);
    cr_assert_eq(rename(log_path, old_path), 0);
    cr_assert_eq(slr_log_configure(config_path), SLR_OK);
    SLR_INFO("two", "%s", "");
    cr_assert_eq(count_lines(log_text()), 1);
    cr_assert_not_null(strstr(log_text(), " two"));
    unlink(old_path);
}

Test(log, configure_refuses)
{
    cr_assert_eq(slr_log_configure("/nonexistent/config"), SLR_NOTFOUND);
    cr_assert_eq(configure("level=loud"), SLR_FORMAT);
    cr_assert_eq(configure("rate=-1"), SLR_FORMAT);
    cr_assert_eq(configure("level"), SLR_FORMAT);
    cr_assert_neq(access(log_path, F_OK), 0, "a bad configuration changes nothing");
}

Test(log, unknown_keys_are_ignored)
{
    cr_assert_eq(configure("colour=red\nlevel=error"), SLR_OK);
    SLR_WARN("no", "%s", "");
    SLR_ERROR("yes", "%s", "");
    cr_assert_eq(count_lines(log_text()), 1);
}
