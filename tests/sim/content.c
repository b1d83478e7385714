/*
 * content: what each sample of a leg is. Every sample tells whose it is and which one: the byte or
 * the number is a hash of the leg's key and the sample's number, and never silence. The laws are
 * written down here anew (ITU-T G.711), for the files that hold linear samples. Pure.
 */
#include <stdlib.h>

#include "tests/sim/bank.h"
#include "tests/sim/rng.h"
#include "tests/sim/sim.h"

static uint64_t hash(uint64_t key, int64_t i)
{
    return rng_mix(key + (uint64_t)i * 0x9e3779b97f4a7c15u);
}

uint8_t sim_content_byte(uint64_t key, int64_t i, enum sim_codec codec)
{
    uint8_t v = (uint8_t)(hash(key, i) >> 17);
    if (codec == SIM_PCMA) {
        return v == 0xd5 || v == 0x55 ? 0x2a : v;
    }
    return v == 0xff || v == 0x7f ? 0x2a : v;
}

/* G.711 table 1: 13 bits in 16. */
static int16_t linear_of_alaw(uint8_t byte)
{
    uint8_t a = byte ^ 0x55;
    int32_t segment = a >> 4 & 7;
    int32_t step = a & 15;
    int32_t v = segment == 0 ? 2 * step + 1 : (2 * step + 33) << (segment - 1);
    return (int16_t)((a & 0x80 ? v : -v) * 8);
}

/* G.711 table 2: 14 bits in 16. */
static int16_t linear_of_ulaw(uint8_t byte)
{
    uint8_t u = (uint8_t)~byte;
    int32_t v = ((2 * (u & 15) + 33) << (u >> 4 & 7)) - 33;
    return (int16_t)((u & 0x80 ? -v : v) * 4);
}

int16_t sim_content_linear(uint64_t key, int64_t i, enum sim_codec codec)
{
    if (codec == SIM_L16) {
        int16_t v = (int16_t)(uint16_t)(hash(key, i) >> 11);
        return v == 0 ? 77 : v;
    }
    uint8_t byte = sim_content_byte(key, i, codec);
    return codec == SIM_PCMA ? linear_of_alaw(byte) : linear_of_ulaw(byte);
}

int32_t sim_content_in_file(const struct sim *m, uint64_t key, int64_t i, enum sim_codec codec)
{
    if (m->format == SIM_FILE_S16) {
        return sim_content_linear(key, i, codec);
    }
    return sim_content_byte(key, i, codec);
}

/* Every code of a law is another number, but for the two zeros of mu-law. */
int32_t sim_linear_in_file(const struct sim *m, int16_t v)
{
    for (uint32_t b = 0; b < 256 && m->format != SIM_FILE_S16; b++) {
        bool is = m->format == SIM_FILE_ALAW ? linear_of_alaw((uint8_t)b) == v
                                             : b != 0x7f && linear_of_ulaw((uint8_t)b) == v;
        if (is) {
            return (int32_t)b;
        }
    }
    return v;
}

int32_t sim_silence_in_file(const struct sim *m)
{
    if (m->format == SIM_FILE_S16) {
        return 0;
    }
    return m->format == SIM_FILE_ALAW ? 0xd5 : 0xff;
}

uint32_t sim_codec_hz(const struct sim *m, enum sim_codec codec)
{
    if (m->lossy) {
        return sim_line(codec)->clock_hz;
    }
    return codec == SIM_L16 ? m->hz : 8000;
}

int64_t sim_first_unit(const struct sim_leg *leg, const struct sim_packet *p)
{
    return p->content + (int64_t)(leg->key % (SIM_BANK_UNITS / 2)) * 2;
}

uint32_t sim_payload(const struct sim *m, const struct sim_leg *leg, const struct sim_packet *p,
                     uint8_t *out, uint32_t out_bytes)
{
    uint32_t width = p->codec == SIM_L16 ? 2 : 1;
    if (m->lossy) {
        uint32_t units = p->samples * SIM_UNITS_PER_S / sim_codec_hz(m, (enum sim_codec)p->codec);
        return sim_bank_payload((enum sim_codec)p->codec, sim_first_unit(leg, p), units, out,
                                out_bytes);
    }
    if (p->samples * width > out_bytes) {
        abort();
    }
    for (uint32_t i = 0; i < p->samples; i++) {
        if (width == 2) {
            uint16_t v = (uint16_t)sim_content_linear(leg->key, p->content + i, SIM_L16);
            out[2 * i] = (uint8_t)(v >> 8);
            out[2 * i + 1] = (uint8_t)v;
        } else {
            out[i] = sim_content_byte(leg->key, p->content + i, (enum sim_codec)p->codec);
        }
    }
    return p->samples * width;
}
