/* Loss, bursts and the E-model: its published values are the table below (G.107, G.113 app. I). */
#include <criterion/criterion.h>
#include <math.h>

#include "common/clock.h"
#include "engine/quality.h"

#define DUR (SLR_TICKS_HZ / 50) /* 20 ms */

static void near(double got, double want, double margin, const char *what)
{
    cr_assert(fabs(got - want) <= margin, "%s: %.4f, not %.4f", what, got, want);
}

Test(quality, the_table_of_the_e_model)
{
    static const struct {
        const char *what, *codec;
        bool concealed;
        double loss_pct, delay_ms, r, mos;
    } row[] = {
        {"G.711", "PCMA", false, 0, 0, 93.20, 4.409},
        {"G.711 concealed 1 %", "PCMU", true, 1, 0, 89.56, 4.328},
        {"G.711 concealed 5 %", "PCMA", true, 5, 0, 77.42, 3.923},
        {"G.711 1 %", "PCMA", false, 1, 0, 75.28, 3.834},
        {"G.729A", "G729", false, 0, 0, 82.20, 4.104},
        {"G.729A 1 %", "g729", false, 1, 0, 78.00, 3.946},
        {"G.729A 5 %", "G729", false, 5, 0, 64.70, 3.340},
        {"G.711 200 ms", "PCMU", false, 0, 200, 85.90, 4.226},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct slr_impairment imp;
        const char *why = NULL;
        cr_assert(slr_impairment_of(row[i].codec, 8000, row[i].concealed, &imp, &why));
        double r = slr_emodel_r(&imp, row[i].loss_pct, 1, row[i].delay_ms);
        near(r, row[i].r, 0.006, row[i].what);
        near(slr_emodel_mos(r), row[i].mos, 0.0006, row[i].what);
    }
}

Test(quality, mos_stays_between_one_and_four_and_a_half)
{
    near(slr_emodel_mos(-5), 1, 0, "R < 0");
    near(slr_emodel_mos(0), 1, 0, "R = 0");
    near(slr_emodel_mos(3), 1, 0, "where the cubic dips");
    near(slr_emodel_mos(6.4), 1, 0, "where the cubic dips");
    near(slr_emodel_mos(100), 4.5, 0, "R = 100");
    near(slr_emodel_mos(120), 4.5, 0, "R > 100");
    double last = 1;
    for (double r = 0; r <= 100; r += 0.25) {
        double mos = slr_emodel_mos(r);
        cr_assert(mos >= last && mos <= 4.5, "R %.2f", r);
        last = mos;
    }
}

Test(quality, random_loss_is_no_burst)
{
    struct slr_loss_run run = {0};
    struct slr_loss_metrics m;
    for (int i = 0; i < 1000; i++) {
        if (i % 20 == 10) {
            slr_loss_missing(&run, 1, DUR);
        } else {
            slr_loss_received(&run, DUR);
        }
    }
    slr_loss_metrics(&run, &m);
    cr_assert_eq(m.expected, 1000u);
    cr_assert_eq(m.lost, 50u);
    cr_assert_eq(m.bursts, 0u);
    near(m.loss_pct, 5, 1e-9, "loss");
    near(m.gap_density_pct, 5, 1e-9, "gap density");
    near(m.burst_density_pct, 0, 0, "burst density");
    near(m.burst_r, 1, 0, "BurstR is never less than 1");
}

Test(quality, gmin_parts_bursts)
{
    /* lost, 15 received, lost: one burst of 17; with 16 between them: two lone losses */
    for (uint32_t between = SLR_QUALITY_GMIN - 1; between <= SLR_QUALITY_GMIN; between++) {
        struct slr_loss_run run = {0};
        struct slr_loss_metrics m;
        slr_loss_received(&run, DUR);
        slr_loss_missing(&run, 1, DUR);
        for (uint32_t i = 0; i < between; i++) {
            slr_loss_received(&run, DUR);
        }
        slr_loss_missing(&run, 1, DUR);
        for (uint32_t i = 0; i < 82; i++) {
            slr_loss_received(&run, DUR);
        }
        slr_loss_metrics(&run, &m);
        bool one = between < SLR_QUALITY_GMIN;
        cr_assert_eq(m.bursts, one ? 1u : 0u);
        near(m.burst_ms, one ? 17 * 20 : 0, 1e-9, "length of the burst");
        near(m.burst_density_pct, one ? 100.0 * 2 / 17 : 0, 1e-9, "burst density");
        near(m.gap_density_pct, one ? 0 : 100.0 * 2 / 101, 1e-9, "gap density");
    }
}

Test(quality, a_burst_that_goes_on_counts_at_any_moment)
{
    struct slr_loss_run run = {0};
    struct slr_loss_metrics m;
    for (int i = 0; i < 90; i++) {
        slr_loss_received(&run, DUR);
    }
    slr_loss_missing(&run, 10, DUR);
    slr_loss_metrics(&run, &m);
    cr_assert_eq(m.bursts, 1u);
    near(m.burst_density_pct, 100, 1e-9, "burst density");
    near(m.burst_ms, 200, 1e-9, "length");
    near(m.burst_r, 9, 1e-9, "BurstR: ten in a row, at 10 percent");
    slr_loss_metrics(&run, &m);
    cr_assert_eq(m.bursts, 1u, "asking changes nothing");
    slr_loss_received(&run, DUR);
    slr_loss_missing(&run, 1, DUR);
    slr_loss_metrics(&run, &m);
    cr_assert_eq(m.bursts, 1u);
    near(m.burst_ms, 240, 1e-9, "it grew");
}

Test(quality, what_the_model_does_not_know_is_not_invented)
{
    static const struct {
        const char *codec;
        uint32_t sample_hz;
        uint64_t lost;
        const char *why_not;
    } row[] = {{"G722", 16000, 0, "wideband"},   {"opus", 48000, 0, "wideband"},
               {"L16", 44100, 0, "wideband"},    {"AMR", 8000, 0, "unpublished"},
               {"GSM", 8000, 1, "unpublished"},  {"GSM", 8000, 0, NULL},
               {"PCMA", 8000, 1, NULL},          {"L16", 8000, 0, NULL},
               {"", 8000, 0, "nothing-received"}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct slr_loss_metrics m = {.expected = 100, .lost = row[i].lost, .burst_r = 1};
        struct slr_score score;
        m.loss_pct = (double)row[i].lost;
        slr_score(row[i].codec, row[i].sample_hz, &m, &score);
        cr_assert_eq(score.known, row[i].why_not == NULL, "%s", row[i].codec);
        if (row[i].why_not) {
            cr_assert_str_eq(score.why_not, row[i].why_not, "%s", row[i].codec);
        }
    }
    struct slr_score score;
    slr_score("PCMA", 8000, &(struct slr_loss_metrics){.burst_r = 1}, &score);
    cr_assert_not(score.known, "no packet was expected");
}
