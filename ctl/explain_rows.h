/*
 * explain_rows: the spans of one leg as rows that a person can read: small ones are joined. Private
 * to explain*.c; pure; allocates.
 */
#ifndef SLR_CTL_EXPLAIN_ROWS_H
#define SLR_CTL_EXPLAIN_ROWS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/ledger.h"

/* More rows than that are joined over longer distances. */
#define SLR_EXPLAIN_ROWS_MAX 60u

/* One row: sound, or one kind of trouble (perhaps several times, with sound between). */
struct slr_explain_row {
    double start_ms, end_ms;
    enum slr_span_kind kind; /* RECEIVED stands for all that the sender meant to be heard */
    uint8_t cause;           /* of CONCEALED: kind of the loss, 0: could not be decoded */
    uint64_t times, packets, late;
    double of_kind_ms; /* without the sound between */
    double comfort_ms;
    uint64_t events;
};

/* Sums over all spans of a leg, by kind. */
struct slr_explain_sums {
    uint64_t times[SLR_SPAN_COUNT], packets[SLR_SPAN_COUNT];
    double ms[SLR_SPAN_COUNT], longest_ms[SLR_SPAN_COUNT], longest_at_ms[SLR_SPAN_COUNT];
    double first_at_ms[SLR_SPAN_COUNT];
    uint64_t late;
    uint64_t healed_times, healed_packets; /* concealed by the codec */
    double healed_ms;
};

/* One span as a row of its own, its kind as it is (key presses and announced silence are not yet
 * part of what was received). False: no kind that we know. */
bool slr_explain_span(const json_t *span, double ticks_hz, struct slr_explain_row *row);

/* *rows is malloc'ed; false: out of memory. ticks_hz: of the ledger. */
bool slr_explain_rows(const json_t *spans, double ticks_hz, struct slr_explain_row **rows,
                      size_t *count, struct slr_explain_sums *sums);

/* What the row is, in words. */
void slr_explain_what(const struct slr_explain_row *row, char *out, size_t size_bytes);

/* "140 ms", "5.000 s", "02:03.000"; and a position "01:02:03.456". */
void slr_explain_length(double ms, char out[static 32]);
void slr_explain_position(double ms, char out[static 32]);

#endif
