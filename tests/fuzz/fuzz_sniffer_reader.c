/* What a sniffer port on another host may send: framing, JSON, and records made of its events. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/id.h"
#include "common/json.h"
#include "ctl/recording.h"
#include "ctl/sniffer_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void check(json_t *record)
{
    if (record) {
        require(slr_id_valid(slr_json_str(record, "id")));
        require(slr_json_str(record, "state") != NULL);
        char *text = json_dumps(record, 0);
        require(text != NULL);
        free(text);
        json_decref(record);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slr_slice stream = slr_slice_of(data, size);
    json_t *msg = NULL;
    size_t before = stream.len_bytes;
    while (slr_sniffer_reader_next(&stream, &msg) == SLR_OK) {
        require(stream.len_bytes < before);
        before = stream.len_bytes;
        check(slr_recording_of_event(msg, "engine"));
        check(slr_recording_of_session(json_object_get(msg, "snapshot"), "engine"));
        json_decref(msg);
    }
    return 0;
}
