/*
 * ledger_view: what the checker wants to know of a recording's ledger (docs/ledger.md). Allocates;
 * one owner.
 */
#ifndef SLR_LOAD_LEDGER_VIEW_H
#define SLR_LOAD_LEDGER_VIEW_H

#include <jansson.h>
#include <stdint.h>

#include "common/err.h"
#include "load/check.h"
#include "load/undo.h"

#define SLR_VIEW_LEGS 8u

struct slr_view_leg {
    uint32_t dn, channel;
    uint32_t src_ip, src_port, ssrc; /* of the first stream; 0: none */
    struct slr_check_span *span;     /* in samples of sample_hz */
    size_t span_count;
    struct slr_undo_edit *edit; /* corrections, in order */
    size_t edit_count;
    uint64_t packets, placed, lost, duplicate, reordered, late, rejected, foreign;
};

struct slr_ledger_view {
    char call[64], file[192];
    int64_t start_wall_ns;
    uint32_t sample_hz;
    uint32_t leg_count;
    struct slr_view_leg leg[SLR_VIEW_LEGS];
};

/* SLR_FORMAT: not a ledger as we know it; SLR_NOMEM. After an error nothing is left to free. */
enum slr_err slr_ledger_view_open(const json_t *ledger, struct slr_ledger_view *out) SLR_CHECKED;
/* The ledger's word for a kind of span, below SLR_KIND_COUNT. */
const char *slr_ledger_view_kind(uint32_t kind);
void slr_ledger_view_close(struct slr_ledger_view *v);

#endif
