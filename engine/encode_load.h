/*
 * encode_load: is there room to encode, or is the engine so busy with its calls that all of it is
 * put off?
 *
 * Judged once a second by what the engine itself uses of the processors that it may run on, its
 * encoders left out, and by how far its writers are behind. Load is believed at once, its end only
 * after some seconds, so that encoding does not begin and stop all the time. Plain data, no clock.
 */
#ifndef SLR_ENGINE_ENCODE_LOAD_H
#define SLR_ENGINE_ENCODE_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#define SLR_ENCODE_LOAD_LATE_MS 2000 /* writers behind by that much: load */
#define SLR_ENCODE_LOAD_CALM_S 5u

struct slr_encode_load {
    uint32_t limit_percent; /* 0: always load */
    bool busy;
    uint32_t calm; /* judgements in a row that saw none */
    uint32_t used_percent;
    int64_t late_ms;
};

/* A beginning without load, but for limit_percent 0. */
void slr_encode_load_init(struct slr_encode_load *l, uint32_t limit_percent);

/*
 * One second's measure: cpu_ns that the engine's other threads spent of wall_ns on `cpus`
 * processors; late_ms of the writers; starved: a recording waited for an encoder for seconds though
 * nothing else was to be done. True: put it off. Load ends below four fifths of the limit and with
 * writers less than half as late, for SLR_ENCODE_LOAD_CALM_S judgements in a row.
 */
bool slr_encode_load_judge(struct slr_encode_load *l, int64_t cpu_ns, int64_t wall_ns,
                           uint32_t cpus, int64_t late_ms, bool starved);

#endif
