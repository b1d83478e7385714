/* Multipart bodies as SIPREC clients send them. */
#include <criterion/criterion.h>

#include "ctl/mime.h"

static struct slr_mime mime;

static enum slr_err split(const char *body, const char *boundary)
{
    return slr_mime_split(slr_slice_str(body), slr_slice_str(boundary), &mime);
}

Test(mime, boundary_forms)
{
    static const struct {
        const char *type, *boundary;
    } row[] = {{"multipart/mixed;boundary=b1", "b1"},
               {"multipart/mixed; charset=x; Boundary=\"a;b c\" ; z=1", "a;b c"},
               {"multipart/mixed;boundary= uniqueBoundary ", "uniqueBoundary"}};
    struct slr_slice b;
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(slr_mime_boundary(slr_slice_str(row[i].type), &b), SLR_OK);
        cr_assert(slr_slice_eq(b, row[i].boundary), "row %zu", i);
    }
    cr_assert_eq(slr_mime_boundary(slr_slice_str("multipart/mixed"), &b), SLR_NOTFOUND);
    cr_assert_eq(slr_mime_boundary(slr_slice_str("multipart/mixed;boundary="), &b), SLR_FORMAT);
    cr_assert_eq(slr_mime_boundary(slr_slice_str("multipart/mixed;boundary=\"x"), &b), SLR_FORMAT);
}

Test(mime, parts_in_any_order_with_preamble_and_epilogue)
{
    cr_assert_eq(split("preamble\r\n--b1\r\nContent-Type: application/rs-metadata+xml\r\n"
                       "Content-Disposition: recording-session\r\n\r\n<x/>\r\n--b1  \r\n"
                       "content-type:application/sdp;x=y\r\n\r\nv=0\r\nm=1\r\n--b1-- \r\nepilogue",
                       "b1"),
                 SLR_OK);
    cr_assert_eq(mime.count, 2u);
    cr_assert(mime.closed);
    const struct slr_mime_part *sdp = slr_mime_find(&mime, "application/sdp");
    cr_assert_not_null(sdp);
    cr_assert(slr_slice_eq(sdp->body, "v=0\r\nm=1"));
    cr_assert(slr_slice_eq(mime.part[0].body, "<x/>"));
    cr_assert(slr_slice_eq(mime.part[0].disposition, "recording-session"));
}

Test(mime, missing_close_is_taken_and_told)
{
    cr_assert_eq(split("--b\nContent-Type: a/b\n\nbody\n", "b"), SLR_OK);
    cr_assert(!mime.closed);
    cr_assert_eq(mime.count, 1u);
    cr_assert(slr_slice_eq(mime.part[0].body, "body"));
}

Test(mime, a_longer_boundary_is_another_one)
{
    cr_assert_eq(split("--b1\r\n\r\n--b1x\r\n--b1--", "b1"), SLR_OK);
    cr_assert(slr_slice_eq(mime.part[0].body, "--b1x"));
}

Test(mime, malformed)
{
    cr_assert_eq(split("no delimiter", "b"), SLR_NOTFOUND);
    cr_assert_eq(split("", "b"), SLR_NOTFOUND);
    cr_assert_eq(split("--b\r\nno colon here\r\n\r\nx\r\n--b--", "b"), SLR_FORMAT);
    char many[256] = "";
    for (int i = 0; i < 10; i++) {
        strcat(many, "--b\r\n\r\nx\r\n");
    }
    cr_assert_eq(split(many, "b"), SLR_FULL);
}

Test(mime, handling_required)
{
    cr_assert_eq(
        split("--b\r\nContent-Type: x/y\r\nContent-Disposition: z;handling=required\r\n\r\n"
              "1\r\n--b\r\nContent-Type: x/y\r\nContent-Disposition: z;handling=optional"
              "\r\n\r\n2\r\n--b--",
              "b"),
        SLR_OK);
    cr_assert(slr_mime_required(&mime.part[0]));
    cr_assert(!slr_mime_required(&mime.part[1]));
}
