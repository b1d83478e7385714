/* Host names, token files and bearer tokens. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/http_access.h"

#define TOKEN_A "0123456789abcdef"
#define TOKEN_B "fedcba9876543210"

static bool host(const char *value)
{
    return slr_http_access_host_allowed(slr_slice_str(value), "127.0.0.2", "recorder.example");
}

Test(http_access, hosts)
{
    static const char *const good[] = {"localhost",          "localhost:8080", "LocalHost:1",
                                       "127.0.0.1",          "127.0.0.1:80",   "[::1]",
                                       "[::1]:8080",         "127.0.0.2:9",    "recorder.example",
                                       "Recorder.Example:1", "localhost:"};
    static const char *const bad[] = {"",          "evil.example",    "localhost.evil.example",
                                      "127.0.0.3", "localhost:80:80", "localhost:http",
                                      "[::1",      "[::2]",           "localhost:65536",
                                      ":8080",     "evil@localhost",  "::1",
                                      "[]",        "localhost, evil"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        cr_assert(host(good[i]), "%s", good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_not(host(bad[i]), "%s", bad[i]);
    }
    cr_assert(slr_http_access_host_allowed(slr_slice_str("[fd00::1]:1"), "fd00::1", NULL));
}

static const char *actor(const struct slr_http_tokens *t, const char *header)
{
    return slr_http_access_actor(t, slr_slice_str(header));
}

Test(http_access, tokens)
{
    struct slr_http_tokens t;
    const char *text = "# who\nanna " TOKEN_A "\r\n\n  ci\t" TOKEN_B "  \n";
    cr_assert_eq(slr_http_access_read_tokens(slr_slice_str(text), &t), SLR_OK);
    cr_assert_eq(t.count, 2);
    cr_assert_str_eq(actor(&t, "Bearer " TOKEN_A), "anna");
    cr_assert_str_eq(actor(&t, "bearer  " TOKEN_B " "), "ci");
    cr_assert_null(actor(&t, "Bearer " TOKEN_A "0"));
    cr_assert_null(actor(&t, "Bearer 0123456789abcde"));
    cr_assert_null(actor(&t, "Basic " TOKEN_A));
    cr_assert_null(actor(&t, TOKEN_A));
    cr_assert_null(actor(&t, "Bearer"));
    cr_assert_null(actor(&t, ""));
    cr_assert_null(actor(&t, "Bearer " TOKEN_A " " TOKEN_B));
}

Test(http_access, bad_token_files)
{
    struct slr_http_tokens t;
    static const char *const bad[] = {"",
                                      "# nothing\n",
                                      "anna short\n",
                                      "anna\n",
                                      "anna " TOKEN_A " more\n",
                                      "anna " TOKEN_A "\nanna " TOKEN_B "\n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_eq(slr_http_access_read_tokens(slr_slice_str(bad[i]), &t), SLR_FORMAT, "%s",
                     bad[i]);
    }
}

Test(http_access, a_token_file_that_all_can_read_is_refused)
{
    char path[] = "/tmp/slr-token-XXXXXX";
    struct slr_http_tokens t;
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_gt(dprintf(fd, "anna " TOKEN_A "\n"), 0);
    cr_assert_eq(slr_http_access_load_tokens(path, &t), SLR_OK);
    cr_assert_eq(fchmod(fd, 0644), 0);
    cr_assert_eq(slr_http_access_load_tokens(path, &t), SLR_DENIED);
    close(fd);
    unlink(path);
    cr_assert_eq(slr_http_access_load_tokens(path, &t), SLR_IO);
}
