/*
 * bench_meter: CPU time of the level meter a sample, on one thread: 20 ms of 8 kHz at a time, as
 * the writer gives it, with the step from A-law to samples and without. Prints one JSON line a
 * figure:
 * {"bench":"meter/WHAT","value":..,"unit":"ns/sample"}.
 */
#include <stdio.h>

#include "bench/rig.h"
#include "codecs/g711.h"
#include "engine/meter.h"

#define SAMPLES 160
#define ROUNDS 200000

static void run(const char *what, bool law)
{
    static uint8_t payload[SAMPLES];
    static int16_t pcm[SAMPLES];
    struct slr_meter m = {0};
    for (int i = 0; i < SAMPLES; i++) {
        payload[i] = (uint8_t)(i * 37 & 0xbf);
        pcm[i] = slr_g711_alaw_to_s16(payload[i]);
    }
    double begin = (double)rig_cpu_ns();
    for (int k = 0; k < ROUNDS; k++) {
        for (int i = 0; law && i < SAMPLES; i++) {
            pcm[i] = slr_g711_alaw_table[payload[i]];
        }
        (void)slr_meter_put(&m, pcm, SAMPLES, 8000);
    }
    printf("{\"bench\":\"meter/%s\",\"value\":%.3f,\"unit\":\"ns/sample\"}\n", what,
           ((double)rig_cpu_ns() - begin) / (double)m.samples);
}

int main(void)
{
    run("s16", false);
    run("alaw", true);
    return 0;
}
