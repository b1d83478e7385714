/* err: each row of the list has a name and a text; errno values find their place. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "common/err.h"

Test(err, every_row_has_name_and_text)
{
    for (int i = 0; i < SLR_ERR_COUNT; i++) {
        cr_assert_gt(strlen(slr_err_name((enum slr_err)i)), 0);
        cr_assert_gt(strlen(slr_err_text((enum slr_err)i)), 0);
        cr_assert_str_neq(slr_err_name((enum slr_err)i), "?");
    }
    cr_assert_str_eq(slr_err_name(SLR_NOMEM), "NOMEM");
    cr_assert_str_eq(slr_err_text(SLR_STALE), "command of an older owner epoch");
}

Test(err, out_of_range_is_a_question_mark)
{
    cr_assert_str_eq(slr_err_name(SLR_ERR_COUNT), "?");
    cr_assert_str_eq(slr_err_name((enum slr_err) - 1), "?");
    cr_assert_not_null(slr_err_text((enum slr_err)9999));
}

Test(err, errno_maps)
{
    cr_assert_eq(slr_err_from_errno(0), SLR_OK);
    cr_assert_eq(slr_err_from_errno(ENOSPC), SLR_NOSPACE);
    cr_assert_eq(slr_err_from_errno(EDQUOT), SLR_NOSPACE);
    cr_assert_eq(slr_err_from_errno(EAGAIN), SLR_AGAIN);
    cr_assert_eq(slr_err_from_errno(EACCES), SLR_DENIED);
    cr_assert_eq(slr_err_from_errno(ENOENT), SLR_NOTFOUND);
    cr_assert_eq(slr_err_from_errno(ECONNRESET), SLR_CLOSED);
    cr_assert_eq(slr_err_from_errno(EIO), SLR_IO);
    cr_assert_eq(slr_err_from_errno(123456), SLR_IO);
}
