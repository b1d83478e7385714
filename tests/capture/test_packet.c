/* The packet backend as far as no privilege is needed; on a link of its own:
 * tests/e2e/test_span.py. */
#include <criterion/criterion.h>

#include "capture/capture.h"

Test(packet, is_passive_and_live)
{
    const char *arg = NULL;
    const struct slr_capture_ops *ops = slr_capture_named("packet:eth1,own", &arg);
    cr_assert_not_null(ops);
    cr_assert_str_eq(ops->name, "packet");
    cr_assert_str_eq(arg, "eth1,own");
    cr_assert(ops->passive && ops->fd && ops->wake);
    ops = slr_capture_named("pcapfile:x", NULL);
    cr_assert(ops->passive && !ops->fd);
    cr_assert_not(slr_capture_named("uring", &arg)->passive);
    cr_assert_null(arg);
    cr_assert_null(slr_capture_named("packe", NULL));
    cr_assert_null(slr_capture_named("a-name-that-is-far-too-long-for-any-backend:x", NULL));
}

Test(packet, what_cannot_be_opened)
{
    static const char *const bad[] = {NULL, "", "eth1,what", "there-is-none"};
    struct slr_capture *c = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct slr_capture_config cfg = {.arg = bad[i]};
        enum slr_err err = slr_capture_find("packet")->open(&cfg, &c);
        cr_assert(err == (i < 3 ? SLR_INVAL : SLR_NOTFOUND) || (i == 3 && err == SLR_IO), "%zu", i);
        cr_assert_null(c);
    }
}
