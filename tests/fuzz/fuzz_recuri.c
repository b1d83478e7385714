/* Recording identity: line 1 request-URI, line 2 To, line 3 From, further lines headers. */
#include <string.h>

#include "ctl/recuri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slr_slice in = slr_slice_of(data, size), line, name;
    struct slr_recuri r;
    char key[SLR_RECURI_KEY_SIZE];
    memset(&r, 0, sizeof r);
    if (slr_slice_take_line(&in, &line) && slr_recuri_read(line, &r) != SLR_OK) {
        return 0;
    }
    if (slr_slice_take_line(&in, &line)) {
        slr_recuri_to(&r, line);
    }
    if (slr_slice_take_line(&in, &line)) {
        slr_recuri_from(&r, line);
    }
    while (slr_slice_take_line(&in, &line)) {
        if (slr_slice_take_token(&line, ':', &name)) {
            slr_recuri_header(&r, name, line);
        }
    }
    (void)slr_recuri_pair_key(&r, "", key);
    return 0;
}
