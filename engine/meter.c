/*
 * meter: sums over frames of 20 ms, and what they come to. Pure, see the header.
 */
#include "engine/meter.h"

#include <math.h>
#include <string.h>

#define FRAMES_PER_S 50u
#define BLOCK 32u
#define PART 8192u /* so that 32 bits hold its sum */
#define FULL_SCALE 32768.0
#define CLIPPED 32124 /* the largest value of mu-law; A-law and S16 go beyond it */
#define NOTHING_DBOV (-100.0)
/* Active speech is what lies less than this below its own level (P.56). */
#define MARGIN_DB 15.9

static double dbov(double power)
{
    double level = power > 0 ? 10 * log10(power / (FULL_SCALE * FULL_SCALE)) : NOTHING_DBOV;
    return level > NOTHING_DBOV ? level : NOTHING_DBOV;
}

/* True: alive. */
static bool end_frame(struct slr_meter *m)
{
    double level = dbov((double)m->frame_squares / m->frame_samples);
    uint32_t bin = level >= 0 ? 0 : (uint32_t)-level;
    bool dead = m->frame_max - m->frame_min <= SLR_METER_DEAD_RANGE;
    m->bin[bin < SLR_METER_BINS ? bin : SLR_METER_BINS - 1]++;
    m->frames++;
    m->dead_frames += dead;
    m->frame_squares = 0;
    m->frame_samples = 0;
    return !dead;
}

struct part {
    int32_t sum;
    uint64_t squares;
    int16_t least, most;
};

/* A constant number of samples: compilers make vectors of these loops. */
static void add_block(struct part *p, const int16_t *pcm)
{
    int32_t sum = 0;
    uint64_t squares = 0;
    int16_t least = p->least;
    int16_t most = p->most;
    for (uint32_t i = 0; i < BLOCK; i++) {
        least = pcm[i] < least ? pcm[i] : least;
        most = pcm[i] > most ? pcm[i] : most;
    }
    for (uint32_t i = 0; i < BLOCK; i++) {
        sum += pcm[i];
    }
    for (uint32_t i = 0; i < BLOCK; i++) {
        squares += (uint32_t)(pcm[i] * pcm[i]);
    }
    p->sum += sum;
    p->squares += squares;
    p->least = least;
    p->most = most;
}

static uint32_t count_clipped(const int16_t *pcm, uint32_t samples)
{
    uint32_t clipped = 0;
    for (uint32_t i = 0; i < samples; i++) {
        clipped += pcm[i] >= CLIPPED || pcm[i] <= -CLIPPED;
    }
    return clipped;
}

/* Part of one frame, at most PART samples. */
static void add(struct slr_meter *m, const int16_t *pcm, uint32_t samples)
{
    struct part p = {0, 0, pcm[0], pcm[0]};
    uint32_t at = 0;
    for (; at + BLOCK <= samples; at += BLOCK) {
        add_block(&p, pcm + at);
    }
    for (; at < samples; at++) {
        p.least = pcm[at] < p.least ? pcm[at] : p.least;
        p.most = pcm[at] > p.most ? pcm[at] : p.most;
        p.sum += pcm[at];
        p.squares += (uint32_t)(pcm[at] * pcm[at]);
    }
    if (m->frame_samples == 0) {
        m->frame_min = p.least;
        m->frame_max = p.most;
    }
    m->frame_min = p.least < m->frame_min ? p.least : m->frame_min;
    m->frame_max = p.most > m->frame_max ? p.most : m->frame_max;
    m->frame_squares += p.squares;
    m->frame_samples += samples;
    m->sum += p.sum;
    m->samples += samples;
    if (p.most >= CLIPPED || p.least <= -CLIPPED) {
        m->clipped += count_clipped(pcm, samples);
    }
    m->peak = p.most > m->peak ? p.most : m->peak;
    m->peak = -p.least > m->peak ? -p.least : m->peak;
}

bool slr_meter_put(struct slr_meter *m, const int16_t *pcm, uint32_t samples, uint32_t sample_hz)
{
    uint32_t frame = sample_hz >= FRAMES_PER_S ? sample_hz / FRAMES_PER_S : 1;
    bool alive = false;
    while (samples > 0) {
        uint32_t room = m->frame_samples < frame ? frame - m->frame_samples : 1;
        uint32_t n = samples < room ? samples : room;
        n = n < PART ? n : PART;
        add(m, pcm, n);
        pcm += n;
        samples -= n;
        if (m->frame_samples >= frame) {
            alive |= end_frame(m);
        }
    }
    return alive;
}

/* Power in the middle of a bin. */
static double power_of(uint32_t bin)
{
    return FULL_SCALE * FULL_SCALE * pow(10, -((double)bin + 0.5) / 10);
}

/* The loudest frames down to the threshold whose mean lies the margin above it. */
static void find_active(const struct slr_meter *m, struct slr_level *out)
{
    double power = 0;
    uint64_t frames = 0;
    out->active_dbov = NOTHING_DBOV;
    out->silence_pct = 100;
    for (uint32_t i = 0; i < SLR_METER_BINS - 1; i++) {
        if (frames > 0 && dbov(power / (double)frames) + (double)i > MARGIN_DB) {
            break;
        }
        power += (double)m->bin[i] * power_of(i);
        frames += m->bin[i];
    }
    if (frames > 0) {
        out->active_dbov = dbov(power / (double)frames);
        out->silence_pct = 100.0 * (double)(m->frames - frames) / (double)m->frames;
    }
}

void slr_meter_level(const struct slr_meter *m, struct slr_level *out)
{
    memset(out, 0, sizeof *out);
    if (m->frames == 0) {
        return;
    }
    double power = 0;
    for (uint32_t i = 0; i < SLR_METER_BINS - 1; i++) {
        power += (double)m->bin[i] * power_of(i);
    }
    out->known = true;
    out->rms_dbov = dbov(power / (double)m->frames);
    out->peak_dbov = dbov((double)m->peak * m->peak);
    out->dead_pct = 100.0 * (double)m->dead_frames / (double)m->frames;
    out->clipped_pct = 100.0 * (double)m->clipped / (double)m->samples;
    out->dc_pct = 100.0 * (double)m->sum / (double)m->samples / FULL_SCALE;
    find_active(m, out);
}
