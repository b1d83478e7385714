/*
 * AMR and AMR-WB: a line of SDP parameters, then payloads in the packing that it chose, as steps of
 * codec_steps.h. The first bit of the first byte says which of the two codecs. What is read as a
 * payload can be written again.
 */
#include "codecs/amr_payload.h"
#include "tests/fuzz/codec_steps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Read, copied out, written and read again: the same frames. */
static void there_and_back(const struct slr_amr_kind *kind, const struct slr_codec_use *use,
                           struct slr_slice payload)
{
    struct slr_amr_payload one, two;
    uint8_t frame[SLR_AMR_MAX_FRAMES * SLR_AMR_FRAME_BYTES], out[1000];
    uint8_t again[SLR_AMR_FRAME_BYTES];
    size_t len_bytes = 0;
    if (slr_amr_read(kind, use, payload, &one) != SLR_OK) {
        return;
    }
    for (uint32_t i = 0; i < one.frames; i++) {
        slr_amr_frame(kind, payload, &one, i, frame + i * SLR_AMR_FRAME_BYTES);
    }
    steps_require(slr_amr_write(kind, use, frame, one.frames, out, sizeof out, &len_bytes) ==
                  SLR_OK);
    steps_require(len_bytes == payload.len_bytes);
    struct slr_slice written = slr_slice_of(out, len_bytes);
    steps_require(slr_amr_read(kind, use, written, &two) == SLR_OK && two.frames == one.frames);
    for (uint32_t i = 0; i < one.frames; i++) {
        slr_amr_frame(kind, written, &two, i, again);
        steps_require(memcmp(again, frame + i * SLR_AMR_FRAME_BYTES, sizeof again) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slr_slice all = slr_slice_of(data, size), line;
    uint8_t first;
    char fmtp[200];
    if (!slr_slice_take_u8(&all, &first) || !slr_slice_take_line(&all, &line)) {
        return 0;
    }
    (void)slr_slice_to_str(line, fmtp, sizeof fmtp);
    bool wide = first & 0x80;
    struct slr_codec_params p = {.clock_hz = wide ? 16000 : 8000, .channels = 1, .fmtp = fmtp};
    const struct slr_codec *c = wide ? &slr_codec_amrwb : &slr_codec_amr;
    struct slr_codec_use use;
    struct slr_payload_info info;
    if (slr_codec_bind(c, &p, &use) == SLR_OK && all.len_bytes > 3) {
        const struct slr_amr_kind *kind = wide ? &slr_amr_wide : &slr_amr_narrow;
        struct slr_slice payload = slr_slice_of(all.at + 3, all.len_bytes - 3);
        there_and_back(kind, &use, payload);
        (void)slr_amr_inspect(kind, &use, payload, &info);
    }
    steps_run(c, &p, all);
    return 0;
}
