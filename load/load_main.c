/*
 * slr-load: N dual-channel calls through SIP or on the seam, their RTP, and every packet looked
 * for in the recordings. Exit status is the verdict: 0 all of it is there and nothing else, 1 it is
 * not, 2 it could not be tried.
 */
#include <stdio.h>

#include "common/log.h"
#include "load/config.h"
#include "load/find.h"
#include "load/measure.h"
#include "load/report.h"
#include "load/run.h"

static int run(const struct slr_load_config *cfg)
{
    static struct slr_result r;
    int status = 2;
    if (slr_run_once(cfg, &r) == SLR_OK) {
        slr_report_json(cfg, &r, stdout);
        slr_report_table(cfg, &r, stderr);
        status = r.ok ? 0 : 1;
    }
    slr_run_free(&r);
    return status;
}

/* Each step is a run of its own; how many calls is all that differs. */
static int find(const struct slr_load_config *cfg)
{
    static struct slr_result r, best;
    struct slr_find f;
    struct slr_load_config step = *cfg;
    const char *limit = "recorder";
    enum slr_err err = SLR_OK;
    step.calls = slr_find_begin(&f, cfg->calls, cfg->calls_max, cfg->steps_max);
    while (step.calls > 0) {
        slr_run_free(&r);
        err = slr_run_once(&step, &r);
        if (err != SLR_OK) {
            break;
        }
        slr_report_json(&step, &r, stdout);
        slr_report_table(&step, &r, stderr);
        if (r.ok && step.calls > f.good) {
            slr_run_free(&best);
            best = r;
            r.stats_before = r.stats_after = NULL; /* best has them now */
        }
        uint32_t tried = step.calls;
        step.calls = slr_find_next(&f, tried, r.ok);
        step.run_id++;
        if (r.generator_limit) {
            limit = "generator";
            step.calls = 0;
        } else if (f.good == cfg->calls_max) {
            limit = "max-calls";
        } else if (f.steps >= cfg->steps_max) {
            limit = "steps";
        }
    }
    bool any = f.good > 0;
    if (err == SLR_OK || any) {
        slr_report_capacity(any ? &best : &r, limit, f.good, f.bad, stdout);
    }
    slr_run_free(&r);
    slr_run_free(&best);
    return any ? 0 : err == SLR_OK ? 1 : 2;
}

int main(int argc, char **argv)
{
    static struct slr_load_config cfg;
    slr_log_init("slr-load", SLR_LOG_WARN);
    enum slr_err err = slr_load_options(&cfg, argc, argv);
    if (err != SLR_OK) {
        return err == SLR_EOF ? 0 : 2;
    }
    int status = cfg.measure_sender  ? slr_measure_sender(&cfg, stdout)
                 : cfg.find_capacity ? find(&cfg)
                                     : run(&cfg);
    slr_load_options_free(&cfg);
    return status;
}
