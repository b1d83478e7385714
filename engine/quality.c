/*
 * quality: burst and gap counting, and the E-model. Pure, see the header.
 */
#include "engine/quality.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"

#define NARROW_BAND_HZ 8000u
#define R_DEFAULT 93.2     /* G.107 with all its default values */
#define R_WORST_CODEC 95.0 /* what total loss takes away at most */
#define DELAY_KNEE_MS 177.3
#define BPL_G711_CONCEALED 25.1

/* A single loss with enough packets around it belongs to the gap. */
static bool is_burst(const struct slr_loss_run *run)
{
    return run->cluster_lost > 1;
}

static void end_cluster(struct slr_loss_run *run)
{
    if (is_burst(run)) {
        run->bursts++;
        run->burst_lost += run->cluster_lost;
        run->burst_packets += run->cluster_packets;
        run->burst_ticks += run->cluster_ticks;
    }
    run->cluster_lost = run->cluster_packets = 0;
    run->cluster_ticks = run->since_ticks = 0;
    run->since = 0;
}

void slr_loss_received(struct slr_loss_run *run, int64_t dur_ticks)
{
    run->received++;
    run->last_lost = false;
    if (run->cluster_lost == 0) {
        return;
    }
    run->since++;
    run->since_ticks += dur_ticks;
    if (run->since >= SLR_QUALITY_GMIN) {
        end_cluster(run);
    }
}

void slr_loss_missing(struct slr_loss_run *run, uint32_t packets, int64_t dur_ticks)
{
    if (packets == 0) {
        return;
    }
    run->lost += packets;
    run->runs += !run->last_lost;
    run->last_lost = true;
    run->cluster_lost += packets;
    run->cluster_packets += run->since + packets;
    run->cluster_ticks += run->since_ticks + (int64_t)packets * dur_ticks;
    run->since = 0;
    run->since_ticks = 0;
}

static double pct(uint64_t part, uint64_t whole)
{
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0;
}

void slr_loss_metrics(const struct slr_loss_run *run, struct slr_loss_metrics *out)
{
    struct slr_loss_run all = *run;
    end_cluster(&all);
    memset(out, 0, sizeof *out);
    out->expected = all.received + all.lost;
    out->lost = all.lost;
    out->bursts = all.bursts;
    out->loss_pct = pct(all.lost, out->expected);
    out->burst_density_pct = pct(all.burst_lost, all.burst_packets);
    out->gap_density_pct = pct(all.lost - all.burst_lost, out->expected - all.burst_packets);
    out->burst_r = 1;
    if (all.runs > 0) {
        double mean = (double)all.lost / (double)all.runs;
        double ratio = mean * (1 - out->loss_pct / 100);
        out->burst_r = ratio > 1 ? ratio : 1;
    }
    if (all.bursts > 0) {
        double ms = (double)all.burst_ticks * 1000 / (double)SLR_TICKS_HZ;
        out->burst_ms = ms / (double)all.bursts;
    }
}

bool slr_impairment_of(const char *codec, uint32_t sample_hz, bool concealed,
                       struct slr_impairment *out, const char **why_not)
{
    static const struct {
        const char *name;
        struct slr_impairment value;
    } table[] = {
#define IMPAIRMENT(name, ie, bpl) {name, {ie, bpl}},
#include "engine/impairment.def"
#undef IMPAIRMENT
    };
    *why_not = "wideband"; /* another scale: G.107.1 */
    if (sample_hz > NARROW_BAND_HZ) {
        return false;
    }
    *why_not = "unpublished";
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strcasecmp(table[i].name, codec) == 0) {
            *out = table[i].value;
            if (concealed && out->ie <= 0) {
                out->bpl = BPL_G711_CONCEALED;
            }
            return true;
        }
    }
    return false;
}

double slr_emodel_r(const struct slr_impairment *codec, double loss_pct, double burst_r,
                    double delay_ms)
{
    double late = delay_ms > DELAY_KNEE_MS ? delay_ms - DELAY_KNEE_MS : 0;
    double id = 0.024 * delay_ms + 0.11 * late;
    double ie_eff = codec->ie;
    if (loss_pct > 0) {
        ie_eff += (R_WORST_CODEC - codec->ie) * loss_pct / (loss_pct / burst_r + codec->bpl);
    }
    return R_DEFAULT - id - ie_eff;
}

double slr_emodel_mos(double r)
{
    if (r <= 0) {
        return 1;
    }
    if (r >= 100) {
        return 4.5;
    }
    double mos = 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6;
    return mos > 1 ? mos : 1; /* the cubic dips below it under R 6.5 */
}

void slr_score(const char *codec, uint32_t sample_hz, const struct slr_loss_metrics *loss,
               struct slr_score *out)
{
    struct slr_impairment imp;
    *out = (struct slr_score){.why_not = "nothing-received"};
    if (!codec || !codec[0] || loss->expected == 0) {
        return;
    }
    if (!slr_impairment_of(codec, sample_hz, false, &imp, &out->why_not)) {
        return;
    }
    if (loss->lost > 0 && imp.bpl <= 0) {
        out->why_not = "unpublished";
        return;
    }
    out->known = true;
    out->why_not = NULL;
    out->r = slr_emodel_r(&imp, loss->loss_pct, loss->burst_r, 0);
    out->mos = slr_emodel_mos(out->r);
}
