/*
 * plot: a picture of a recording: each channel's waveform over the spans of its ledger, with time
 * axis and legend. plot.c lays it out for any canvas; plot_svg.c and plot_png.c are the canvases.
 *
 * Pure; one thread; allocates. Deterministic: the same input gives the same picture, whatever fonts
 * are installed. Ledger and peaks may come from anywhere.
 */
#ifndef SLR_CTL_PLOT_H
#define SLR_CTL_PLOT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/err.h"

#define SLR_PLOT_WIDTH 1000u
/* Columns of the waveforms, one pixel each. */
#define SLR_PLOT_COLUMNS 960u

enum slr_plot_anchor { SLR_PLOT_LEFT, SLR_PLOT_MIDDLE, SLR_PLOT_RIGHT };

/* Where a picture is drawn; pixels, y grows downwards, colours 0xrrggbb. */
struct slr_canvas {
    void *ctx;
    void (*begin)(void *ctx, uint32_t width, uint32_t height);
    void (*rect)(void *ctx, double x, double y, double w, double h, uint32_t rgb);
    /* One vertical line of 1 pixel a column, from y_lo[i] to y_hi[i]. */
    void (*columns)(void *ctx, double x, const double *y_lo, const double *y_hi, uint32_t count,
                    uint32_t rgb);
    void (*text)(void *ctx, double x, double y, double size, enum slr_plot_anchor anchor,
                 uint32_t rgb, const char *text);
};

/* Draws; peaks: `frames` and `peaks` as of `slr --render`, NULL: spans only. SLR_NOMEM. */
enum slr_err slr_plot_draw(const struct slr_canvas *canvas, const json_t *ledger,
                           const json_t *peaks) SLR_CHECKED;

/* The whole picture as a file. SLR_NOMEM, SLR_IO. */
enum slr_err slr_plot_svg(FILE *to, const json_t *ledger, const json_t *peaks) SLR_CHECKED;
enum slr_err slr_plot_png(FILE *to, const json_t *ledger, const json_t *peaks) SLR_CHECKED;

#endif
