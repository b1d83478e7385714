/*
 * slr-load: N dual-channel calls through SIP or on the seam, their RTP, and every packet looked
 * for in the recordings. Exit status is the verdict: 0 all of it is there and nothing else, 1 it is
 * not, 2 it could not be tried.
 */
#include <stdio.h>

#include "common/log.h"
#include "load/config.h"
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

int main(int argc, char **argv)
{
    static struct slr_load_config cfg;
    slr_log_init("slr-load", SLR_LOG_WARN);
    enum slr_err err = slr_load_options(&cfg, argc, argv);
    if (err != SLR_OK) {
        return err == SLR_EOF ? 0 : 2;
    }
    int status = cfg.measure_sender ? slr_measure_sender(&cfg, stdout) : run(&cfg);
    slr_load_options_free(&cfg);
    return status;
}
