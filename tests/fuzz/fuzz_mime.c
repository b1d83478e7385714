/* Multipart splitter: the first line is the Content-Type, the rest the body. */
#include "ctl/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slr_slice body = slr_slice_of(data, size), type, boundary;
    struct slr_mime mime;
    volatile uint8_t sum = 0;
    if (!slr_slice_take_line(&body, &type) || slr_mime_boundary(type, &boundary) != SLR_OK ||
        slr_mime_split(body, boundary, &mime) != SLR_OK) {
        return 0;
    }
    for (size_t i = 0; i < mime.count; i++) {
        (void)slr_mime_required(&mime.part[i]);
        for (size_t k = 0; k < mime.part[i].body.len_bytes; k++) {
            sum = (uint8_t)(sum + mime.part[i].body.at[k]);
        }
    }
    (void)slr_mime_find(&mime, "application/sdp");
    return 0;
}
