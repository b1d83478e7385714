/*
 * meter: sums over frames of 20 ms, and what they come to. Pure, see the header.
 */
#include "engine/meter.h"

#include <math.h>
#include <string.h>

#include "codecs/pcm.h"

#define FRAMES_PER_S 50u
#define PART 8192u
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

/* Power where bin n begins. */
static const double edge[SLR_METER_BINS] = {
#define EDGE(power) power,
#include "engine/meter_edges.def"
#undef EDGE
};

/* As ilogb, of a number that is not too small for that. */
static int exponent_of(double x)
{
    uint64_t bits = 0;
    memcpy(&bits, &x, sizeof bits);
    return (int)(bits >> 52 & 0x7ff) - 1023;
}

/* The logarithm decides; it is only asked where the table's last digit might matter. */
static uint32_t bin_of(double power)
{
    if (power >= 1) {
        int octaves = 29 - exponent_of(power); /* whole ones below full scale: at most 29 */
        uint32_t first = octaves > 0 ? (uint32_t)octaves * 301u / 100u : 0;
        uint32_t bin = first;
        for (uint32_t i = 1; i <= 4; i++) {
            bin += power <= edge[first + i];
        }
        double margin = power * 1e-9;
        if (fabs(power - edge[bin]) > margin && fabs(power - edge[bin + 1]) > margin) {
            return bin;
        }
    }
    double level = dbov(power);
    uint32_t bin = level >= 0 ? 0 : (uint32_t)-level;
    return bin < SLR_METER_BINS ? bin : SLR_METER_BINS - 1;
}

/* True: alive. */
static bool end_frame(struct slr_meter *m)
{
    bool dead = m->frame_max - m->frame_min <= SLR_METER_DEAD_RANGE;
    m->bin[bin_of((double)(int64_t)m->frame_squares / m->frame_samples)]++;
    m->frames++;
    m->dead_frames += dead;
    m->frame_squares = 0;
    m->frame_samples = 0;
    return !dead;
}

/* Part of one frame, at most PART samples. */
static void add(struct slr_meter *m, const int16_t *pcm, uint32_t samples)
{
    struct slr_pcm_sums p;
    slr_pcm()->measure(pcm, samples, &p);
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
        m->clipped += slr_pcm()->beyond(pcm, samples, CLIPPED);
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
