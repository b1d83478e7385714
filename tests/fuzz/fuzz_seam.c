/* Frames of the control socket: the reader stays in bounds and typed access never trusts a type. */
#include <stdint.h>
#include <stdlib.h>

#include "common/json.h"
#include "common/seam.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(const json_t *msg)
{
    static const char *const keys[] = {"cmd", "id", "epoch", "session", "n", "hold", "ev"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        int64_t v = 5;
        (void)slr_json_str(msg, keys[i]);
        (void)slr_json_u64(msg, keys[i], 0);
        (void)slr_json_bool(msg, keys[i], false);
        if (slr_json_range(msg, keys[i], 1, 8, &v) == SLR_OK && (v < 1 || v > 8)) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slr_slice s = slr_slice_of(data, size), body;

    for (;;) {
        size_t before = s.len_bytes;
        enum slr_err err = slr_seam_frame(&s, &body);
        if (err != SLR_OK) {
            if (s.len_bytes != before) {
                abort();
            }
            return 0;
        }
        if (body.len_bytes == 0 || s.len_bytes + body.len_bytes + 4 != before) {
            abort();
        }
        json_t *msg = NULL;
        if (slr_json_load(body, &msg) == SLR_OK) {
            look(msg);
            json_decref(msg);
        }
    }
}
