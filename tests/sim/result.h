/*
 * result: a sealed recording in memory, as anybody would read it: the WAV file and its ledger.
 */
#ifndef SLR_TESTS_SIM_RESULT_H
#define SLR_TESTS_SIM_RESULT_H

#include <jansson.h>

#include "storage/wav_read.h"

struct sim_result {
    uint8_t *file;
    size_t len_bytes;
    struct slr_wav_info wav;
    const uint8_t *data;
    json_t *ledger;
};

#endif
