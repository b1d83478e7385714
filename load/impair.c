/*
 * impair: see the header. No state.
 */
#include "load/impair.h"

#include "load/draw.h"

#define FRAME_US 20000u
#define WINDOW 64u /* at most one burst begins in so many frames */
#define BURST_MAX 64u
#define PERIOD 200u /* frames of talk and pause */
#define TALK 120u   /* of them talk */
#define COMFORT 10u /* in a pause each tenth frame is a comfort noise packet */
#define COMFORTS ((PERIOD - TALK) / COMFORT)

static bool in_burst_of(const struct slr_impair *im, uint32_t call, uint32_t leg, uint32_t window,
                        uint32_t frame)
{
    uint64_t bits = slr_draw(im->seed, SLR_DRAW_BURST, call, leg, window);
    uint64_t ppm = (uint64_t)im->burst_ppm * WINDOW;
    if (!slr_draw_chance(bits, ppm > 1000000u ? 1000000u : (uint32_t)ppm)) {
        return false;
    }
    uint64_t more = slr_draw_mix(bits);
    uint32_t longest = im->burst_pkts < BURST_MAX ? im->burst_pkts : BURST_MAX;
    uint32_t len = 2 + slr_draw_below(more, longest > 2 ? longest - 1 : 1);
    uint32_t first = window * WINDOW + slr_draw_below(slr_draw_mix(more), WINDOW);
    return frame >= first && frame - first < len;
}

static bool lost(const struct slr_impair *im, uint32_t call, uint32_t leg, uint32_t frame)
{
    if (im->loss_ppm > 0 &&
        slr_draw_chance(slr_draw(im->seed, SLR_DRAW_LOSS, call, leg, frame), im->loss_ppm)) {
        return true;
    }
    uint32_t window = frame / WINDOW;
    return im->burst_ppm > 0 && (in_burst_of(im, call, leg, window, frame) ||
                                 (window > 0 && in_burst_of(im, call, leg, window - 1, frame)));
}

/* Talk, pause, and how many packets came before. Legs are at different places of the period; the
 * first talk spurt is at least as long as the grace. */
static void speak(const struct slr_impair *im, bool comfort, uint32_t call, uint32_t leg,
                  uint32_t frame, struct slr_fate *out)
{
    out->seq = frame;
    out->talk = true;
    out->marker = frame == 0;
    if (!im->dtx) {
        return;
    }
    uint64_t bits = slr_draw(im->seed, SLR_DRAW_TALK, call, leg, 0);
    uint32_t shift = slr_draw_below(bits, TALK - SLR_IMPAIR_GRACE);
    uint32_t at = frame + shift;
    uint32_t in = at % PERIOD;
    uint32_t pause_packets = comfort ? COMFORTS : 0;
    out->talk = in < TALK;
    out->marker = frame == 0 || in == 0;
    out->comfort = comfort && !out->talk && (in - TALK) % COMFORT == 0;
    uint32_t whole = at / PERIOD * (TALK + pause_packets);
    uint32_t part = out->talk ? in : TALK + (comfort ? (in - TALK + COMFORT - 1) / COMFORT : 0);
    out->seq = whole + part - shift;
}

static uint32_t jitter(const struct slr_impair *im, uint32_t call, uint32_t leg, uint32_t frame)
{
    return im->jitter_us == 0
               ? 0
               : slr_draw_below(slr_draw(im->seed, SLR_DRAW_JITTER, call, leg, frame),
                                im->jitter_us);
}

/* Later than others, or twice. */
static void disturb(const struct slr_impair *im, uint32_t call, uint32_t leg, uint32_t frame,
                    struct slr_fate *out)
{
    uint64_t bits = 0;
    if (im->reorder_ppm > 0) {
        bits = slr_draw(im->seed, SLR_DRAW_REORDER, call, leg, frame);
        if (slr_draw_chance(bits, im->reorder_ppm)) {
            uint32_t pkts = 1 + slr_draw_below(slr_draw_mix(bits), im->reorder_pkts);
            out->delay_us += pkts * FRAME_US + FRAME_US / 2;
        }
    }
    if (out->delay_us > SLR_IMPAIR_DELAY_MAX_US) {
        out->delay_us = SLR_IMPAIR_DELAY_MAX_US;
    }
    if (im->duplicate_ppm > 0) {
        bits = slr_draw(im->seed, SLR_DRAW_DUPLICATE, call, leg, frame);
        if (slr_draw_chance(bits, im->duplicate_ppm)) {
            out->copy_us = out->delay_us + slr_draw_below(slr_draw_mix(bits), FRAME_US * 2);
        }
    }
}

void slr_impair_fate(const struct slr_impair *im, bool comfort, uint32_t call, uint32_t leg,
                     uint32_t frame, struct slr_fate *out)
{
    *out = (struct slr_fate){.copy_us = SLR_FATE_NO_COPY};
    speak(im, comfort, call, leg, frame, out);
    if (!out->talk && !out->comfort) {
        return;
    }
    out->delay_us = jitter(im, call, leg, frame);
    out->dropped = frame >= SLR_IMPAIR_GRACE && lost(im, call, leg, frame);
    if (!out->dropped && frame >= SLR_IMPAIR_GRACE) {
        disturb(im, call, leg, frame, out);
    }
}

int32_t slr_impair_skew_ppm(const struct slr_impair *im, uint32_t leg)
{
    return leg % 2 == 1 ? im->skew_ppm : 0;
}

uint32_t slr_impair_delay_max_us(const struct slr_impair *im)
{
    uint32_t us = im->jitter_us;
    if (im->reorder_ppm > 0) {
        us += im->reorder_pkts * FRAME_US + FRAME_US / 2;
    }
    us = us < SLR_IMPAIR_DELAY_MAX_US ? us : SLR_IMPAIR_DELAY_MAX_US;
    return us + (im->duplicate_ppm > 0 ? FRAME_US * 2 : 0);
}
