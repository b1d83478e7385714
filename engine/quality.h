/*
 * quality: what the network left of a leg: loss, bursts and gaps (RFC 3611 4.7.2), and the MOS that
 * the E-model (ITU-T G.107) gives for it.
 *
 * Pure: works on the caller's structs, which may lie in the state file; any thread that owns them;
 * allocates nothing. The writer feeds it, in the order of the timeline, once a packet.
 */
#ifndef SLR_ENGINE_QUALITY_H
#define SLR_ENGINE_QUALITY_H

#include <stdbool.h>
#include <stdint.h>

/* So many received packets between two losses part them into bursts of their own. */
#define SLR_QUALITY_GMIN 16u

/* Counts only grow; what belongs to the cluster of losses that goes on is kept apart. */
struct slr_loss_run {
    uint64_t received, lost;
    uint64_t runs; /* of losses without a packet between them */
    uint64_t bursts, burst_lost, burst_packets;
    int64_t burst_ticks;
    uint64_t cluster_lost, cluster_packets; /* from its first loss to its last one */
    int64_t cluster_ticks;
    int64_t since_ticks;
    uint32_t since; /* packets received after the last loss, while there is a cluster */
    bool last_lost;
};

/* The next packet came, or `packets` of `dur_ticks` each did not. */
void slr_loss_received(struct slr_loss_run *run, int64_t dur_ticks);
void slr_loss_missing(struct slr_loss_run *run, uint32_t packets, int64_t dur_ticks);

struct slr_loss_metrics {
    uint64_t expected, lost, bursts;
    double loss_pct;
    double burst_r;           /* mean run of losses against that of random loss; 1 or more */
    double burst_density_pct; /* share lost within bursts, 0 without one */
    double gap_density_pct;   /* share lost outside of them */
    double burst_ms;          /* mean length of a burst */
};

/* What the run comes to if it ends here. */
void slr_loss_metrics(const struct slr_loss_run *run, struct slr_loss_metrics *out);

/* A codec as the E-model sees it, ITU-T G.113 appendix I. */
struct slr_impairment {
    double ie;
    double bpl; /* 0: none published, only good without loss */
};

/* By RTP encoding name; concealed: G.711 with a loss concealment. False: the narrow-band model says
 * nothing of it, and *why_not is a word for that: "wideband", "unpublished". */
bool slr_impairment_of(const char *codec, uint32_t sample_hz, bool concealed,
                       struct slr_impairment *out, const char **why_not);

/* Transmission rating: 93.2 less delay (one way, ms) and loss. */
double slr_emodel_r(const struct slr_impairment *codec, double loss_pct, double burst_r,
                    double delay_ms);
/* 1.0 to 4.5. */
double slr_emodel_mos(double r);

/* Listening quality of what a recording heard (a recorder sees no delay). */
struct slr_score {
    bool known;
    double r, mos;
    const char *why_not; /* when not known; else NULL */
};

/* codec NULL or "": nothing was received. */
void slr_score(const char *codec, uint32_t sample_hz, const struct slr_loss_metrics *loss,
               struct slr_score *out);

#endif
