/* options: every form of giving a value, the order of precedence, what is refused and how. */
#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/options.h"

struct config {
    bool verbose, quick;
    uint32_t streams, rate;
    const char *dir;
    struct slr_option_list peers;
    const char *none;
};

static const struct slr_option table[] = {
    {'v', "verbose", SLR_OPT_FLAG, offsetof(struct config, verbose), 0, 0, NULL, NULL, "talk"},
    {0, "quick", SLR_OPT_FLAG, offsetof(struct config, quick), 0, 0, NULL, "yes", "hurry"},
    {'S', "streams", SLR_OPT_U32, offsetof(struct config, streams), 1, 100, "N", "10", "limit"},
    {0, "rate", SLR_OPT_U32_OR_0, offsetof(struct config, rate), 600, 900, "N", "0", "bits/s"},
    {'d', "dir", SLR_OPT_STR, offsetof(struct config, dir), 0, 0, "DIR", "/var", "place"},
    {'p', "peer", SLR_OPT_LIST, offsetof(struct config, peers), 0, 0, "HOST", "h0", "peers"},
    {0, "none", SLR_OPT_STR, offsetof(struct config, none), 0, 0, "TEXT", NULL, "no default"},
    {0, NULL, SLR_OPT_FLAG, 0, 0, 0, NULL, NULL, NULL},
};

static struct config config;
static char errors[1024];
static char **rest;
static int rest_count;

static enum slr_err parse_argv(int argc, char **argv, int *count)
{
    memset(&config, 0, sizeof config);
    memset(errors, 0, sizeof errors);
    FILE *f = fmemopen(errors, sizeof errors, "w");
    cr_assert_not_null(f);
    enum slr_err err =
        slr_options_parse("prog", "Does it.", table, &config, argc, argv, f, &rest, count);
    fclose(f);
    return err;
}

#define PARSE(...)                                                                                 \
    parse_argv((int)(sizeof((char *[]){"prog", __VA_ARGS__}) / sizeof(char *)),                    \
               (char *[]){"prog", __VA_ARGS__, NULL}, &rest_count)

static void done(void)
{
    slr_options_free(table, &config);
}

Test(options, defaults)
{
    char *argv[] = {"prog", NULL};
    cr_assert_eq(parse_argv(1, argv, &rest_count), SLR_OK);
    cr_assert_not(config.verbose);
    cr_assert(config.quick);
    cr_assert_eq(config.streams, 10);
    cr_assert_str_eq(config.dir, "/var");
    cr_assert_eq(config.peers.count, 1);
    cr_assert_str_eq(config.peers.item[0], "h0");
    cr_assert_null(config.none);
    cr_assert_eq(rest_count, 0);
    done();
    cr_assert_null(config.dir);
    cr_assert_eq(config.peers.count, 0);
}

Test(options, forms)
{
    cr_assert_eq(PARSE("-S", "11", "-d/a", "--peer", "x", "--peer=y=z", "-vpw"), SLR_OK, "%s",
                 errors);
    cr_assert(config.verbose);
    cr_assert_eq(config.streams, 11);
    cr_assert_str_eq(config.dir, "/a");
    cr_assert_eq(config.peers.count, 3, "given items replace the default");
    cr_assert_str_eq(config.peers.item[0], "x");
    cr_assert_str_eq(config.peers.item[1], "y=z");
    cr_assert_str_eq(config.peers.item[2], "w");
    done();
    cr_assert_eq(PARSE("-S12", "--quick=no", "--streams=13", "--dir=", "--none", "-v"), SLR_OK);
    cr_assert_not(config.quick);
    cr_assert_eq(config.streams, 13, "the last one wins");
    cr_assert_str_eq(config.dir, "");
    cr_assert_str_eq(config.none, "-v", "a value may look like an option");
    cr_assert_not(config.verbose);
    done();
}

Test(options, positionals)
{
    cr_assert_eq(PARSE("a", "-v", "b", "-S", "5", "-", "--", "-c", "--d"), SLR_OK);
    cr_assert_eq(rest_count, 5);
    const char *want[] = {"a", "b", "-", "-c", "--d"};
    for (int i = 0; i < 5; i++) {
        cr_assert_str_eq(rest[i], want[i]);
    }
    cr_assert(config.verbose);
    cr_assert_eq(config.streams, 5);
    done();

    char *argv[] = {"prog", "a", NULL};
    cr_assert_eq(parse_argv(2, argv, NULL), SLR_INVAL);
    cr_assert_str_eq(errors, "prog: unexpected argument \"a\"\n");
}

static void refused(enum slr_err err, const char *message)
{
    cr_assert_eq(err, SLR_INVAL, "%s", message);
    cr_assert_str_eq(errors, message);
    cr_assert_null(config.dir, "after an error nothing is owned");
}

Test(options, refusals_name_the_option)
{
    refused(PARSE("--bogus"), "prog: unknown option --bogus (--help lists all)\n");
    refused(PARSE("--bogus=1"), "prog: unknown option --bogus (--help lists all)\n");
    refused(PARSE("-vx"), "prog: unknown option -x (--help lists all)\n");
    refused(PARSE("-d/x", "-S", "101"), "prog: --streams: \"101\" is not a number from 1 to 100\n");
    refused(PARSE("--streams=0"), "prog: --streams: \"0\" is not a number from 1 to 100\n");
    refused(PARSE("-S", "4x"), "prog: --streams: \"4x\" is not a number from 1 to 100\n");
    refused(PARSE("-S", "-5"), "prog: --streams: \"-5\" is not a number from 1 to 100\n");
    refused(PARSE("-S"), "prog: -S: expected a value (N)\n");
    refused(PARSE("--dir"), "prog: --dir: expected a value (DIR)\n");
    refused(PARSE("--config"), "prog: --config: expected a value (FILE)\n");
    refused(PARSE("--verbose=maybe"), "prog: --verbose: \"maybe\" is not yes or no\n");
}

Test(options, zero_may_have_a_meaning_of_its_own)
{
    char text[2048] = "";
    cr_assert_eq(PARSE("--rate=0"), SLR_OK, "%s", errors);
    done();
    cr_assert_eq(PARSE("--rate=600"), SLR_OK, "%s", errors);
    cr_assert_eq(config.rate, 600);
    done();
    refused(PARSE("--rate=1"), "prog: --rate: \"1\" is not 0 or a number from 600 to 900\n");
    refused(PARSE("--rate=599"), "prog: --rate: \"599\" is not 0 or a number from 600 to 900\n");
    refused(PARSE("--rate=901"), "prog: --rate: \"901\" is not 0 or a number from 600 to 900\n");
    FILE *f = fmemopen(text, sizeof text, "w");
    cr_assert_not_null(f);
    slr_options_help("prog", "Does it.", table, f);
    fclose(f);
    cr_assert_not_null(strstr(text, "bits/s (0 or 600..900) [0]"), "%s", text);
}

static char config_path[64];

static void write_config(const char *text, size_t len)
{
    snprintf(config_path, sizeof config_path, "/tmp/slr_test_options_XXXXXX");
    int fd = mkstemp(config_path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, len), (ssize_t)len);
    close(fd);
}

Test(options, config_file)
{
    const char text[] = "# comment\n\nstreams = 20\r\n  dir=/from file  \npeer = a\npeer = b\n"
                        "verbose = on\nquick = false";
    write_config(text, sizeof text - 1);
    cr_assert_eq(PARSE("-S", "30", "--config", config_path, "-p", "c"), SLR_OK, "%s", errors);
    cr_assert_eq(config.streams, 30, "the command line wins wherever it stands");
    cr_assert_str_eq(config.dir, "/from file");
    cr_assert(config.verbose);
    cr_assert_not(config.quick);
    cr_assert_eq(config.peers.count, 3, "repeatables add up");
    cr_assert_str_eq(config.peers.item[0], "a");
    cr_assert_str_eq(config.peers.item[2], "c");
    done();
    unlink(config_path);
}

static void bad_config(const char *text, size_t len, const char *part)
{
    write_config(text, len);
    cr_assert_eq(PARSE("--config", config_path), SLR_INVAL);
    unlink(config_path);
    cr_assert_not_null(strstr(errors, part), "%s", errors);
    cr_assert_null(config.dir);
}

Test(options, config_file_refusals)
{
    bad_config("dir=/x\nbogus=1\n", 15, ":2: unknown option bogus");
    bad_config("verbose\n", 8, ":1: expected \"name = value\"");
    bad_config("\nstreams = 0\n", 13, "config line 2: --streams: \"0\" is not a number");
    bad_config("dir=a\0b\n", 8, "holds a NUL");
    bad_config("config=x\n", 9, "unknown option config");
    cr_assert_eq(PARSE("--config=/nonexistent/x"), SLR_IO);
    cr_assert_not_null(strstr(errors, "/nonexistent/x"));
}

Test(options, an_empty_config_file_is_fine)
{
    write_config("", 0);
    cr_assert_eq(PARSE("--config", config_path), SLR_OK);
    cr_assert_eq(config.streams, 10);
    done();
    unlink(config_path);
}

Test(options, help_lists_every_row)
{
    char text[2048] = "";
    FILE *f = fmemopen(text, sizeof text, "w");
    cr_assert_not_null(f);
    slr_options_help("prog", "Does it.", table, f);
    fclose(f);
    for (const struct slr_option *o = table; o->name; o++) {
        cr_assert_not_null(strstr(text, o->name));
        cr_assert_not_null(strstr(text, o->help));
    }
    cr_assert_not_null(strstr(text, "-S, --streams N"));
    cr_assert_not_null(strstr(text, "(1..100) [10]"));
    cr_assert_not_null(strstr(text, "--config FILE"));
    cr_assert_eq(strncmp(text, "Usage: prog [OPTION]...\nDoes it.\n", 33), 0);
}

Test(options, help_and_version_end_it)
{
    fflush(stdout);
    cr_assert_not_null(freopen("/dev/null", "w", stdout));
    cr_assert_eq(PARSE("-v", "--help"), SLR_EOF);
    cr_assert_eq(PARSE("--version"), SLR_EOF);
    cr_assert_null(config.dir);
}
