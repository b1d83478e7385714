/*
 * plot_png: a canvas that is a PNG file, by cairo and its built-in font (no font is asked for, so
 * the picture is the same everywhere). The only file that sees cairo. Allocates the picture.
 */
#include <cairo.h>

#include "ctl/plot.h"

struct png {
    cairo_surface_t *surface;
    cairo_t *cr;
};

static void colour(const struct png *p, uint32_t rgb)
{
    cairo_set_source_rgb(p->cr, (rgb >> 16 & 0xff) / 255.0, (rgb >> 8 & 0xff) / 255.0,
                         (rgb & 0xff) / 255.0);
}

static void begin(void *ctx, uint32_t width, uint32_t height)
{
    struct png *p = ctx;
    p->surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)width, (int)height);
    p->cr = cairo_create(p->surface);
    cairo_select_font_face(p->cr, "@cairo:", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
}

static void rect(void *ctx, double x, double y, double w, double h, uint32_t rgb)
{
    struct png *p = ctx;
    colour(p, rgb);
    cairo_rectangle(p->cr, x, y, w, h);
    cairo_fill(p->cr);
}

static void columns(void *ctx, double x, const double *y_lo, const double *y_hi, uint32_t count,
                    uint32_t rgb)
{
    struct png *p = ctx;
    colour(p, rgb);
    for (uint32_t i = 0; i < count; i++) {
        cairo_rectangle(p->cr, x + i, y_lo[i], 1, y_hi[i] - y_lo[i]);
    }
    cairo_fill(p->cr);
}

static void text(void *ctx, double x, double y, double size, enum slr_plot_anchor anchor,
                 uint32_t rgb, const char *what)
{
    struct png *p = ctx;
    cairo_text_extents_t extents;
    cairo_set_font_size(p->cr, size);
    cairo_text_extents(p->cr, what, &extents);
    double left = anchor == SLR_PLOT_LEFT ? 0 : extents.x_advance;
    colour(p, rgb);
    cairo_move_to(p->cr, x - (anchor == SLR_PLOT_MIDDLE ? left / 2 : left), y);
    cairo_show_text(p->cr, what);
}

static cairo_status_t put(void *ctx, const unsigned char *at, unsigned len_bytes)
{
    return fwrite(at, 1, len_bytes, ctx) == len_bytes ? CAIRO_STATUS_SUCCESS
                                                      : CAIRO_STATUS_WRITE_ERROR;
}

enum slr_err slr_plot_png(FILE *to, const json_t *ledger, const json_t *peaks)
{
    struct png p = {NULL, NULL};
    struct slr_canvas canvas = {&p, begin, rect, columns, text};
    enum slr_err err = slr_plot_draw(&canvas, ledger, peaks);
    if (err == SLR_OK && cairo_status(p.cr) != CAIRO_STATUS_SUCCESS) {
        err = SLR_NOMEM;
    }
    if (err == SLR_OK &&
        cairo_surface_write_to_png_stream(p.surface, put, to) != CAIRO_STATUS_SUCCESS) {
        err = SLR_IO;
    }
    cairo_destroy(p.cr);
    cairo_surface_destroy(p.surface);
    return err == SLR_OK && fflush(to) != 0 ? SLR_IO : err;
}
