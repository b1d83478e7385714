/*
 * passive: calls that a recorder is not a party of: it sees their packets on a link. A phone of its
 * own each, which talks through a port of a gateway. Pure, any thread.
 */
#ifndef SLR_LOAD_PASSIVE_H
#define SLR_LOAD_PASSIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "load/book.h"
#include "load/ledger_view.h"

#define SLR_PASSIVE_CALLS_MAX (1u << 22)

/* Where the packets of both legs come from and go to. The first leg is the phone's. */
void slr_passive_addresses(struct slr_call *call);

/* What a recording says of its streams' addresses becomes the name of its call and the numbers of
 * its legs, as if they had been signalled. Nothing is changed where it is not of this run. */
void slr_passive_name(const struct slr_book *b, struct slr_ledger_view *view);

#endif
