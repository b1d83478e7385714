/*
 * plot_svg: a canvas that is SVG text. No state but the file; allocates nothing.
 */
#include "ctl/plot.h"

static void begin(void *ctx, uint32_t width, uint32_t height)
{
    fprintf(ctx,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" "
            "viewBox=\"0 0 %u %u\" font-family=\"sans-serif\">\n",
            width, height, width, height);
}

static void rect(void *ctx, double x, double y, double w, double h, uint32_t rgb)
{
    fprintf(ctx, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"#%06x\"/>\n", x,
            y, w, h, rgb);
}

static void columns(void *ctx, double x, const double *y_lo, const double *y_hi, uint32_t count,
                    uint32_t rgb)
{
    fprintf(ctx, "<path stroke=\"#%06x\" d=\"", rgb);
    for (uint32_t i = 0; i < count; i++) {
        fprintf(ctx, "M%.1f %.1fV%.1f", x + i + 0.5, y_lo[i], y_hi[i]);
    }
    fprintf(ctx, "\"/>\n");
}

static void text(void *ctx, double x, double y, double size, enum slr_plot_anchor anchor,
                 uint32_t rgb, const char *what)
{
    static const char *const name[] = {"start", "middle", "end"};
    fprintf(ctx,
            "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%.0f\" text-anchor=\"%s\" fill=\"#%06x\">", x,
            y, size, name[anchor], rgb);
    for (; *what; what++) {
        switch (*what) {
        case '<':
            fputs("&lt;", ctx);
            break;
        case '>':
            fputs("&gt;", ctx);
            break;
        case '&':
            fputs("&amp;", ctx);
            break;
        default:
            fputc(*what, ctx);
            break;
        }
    }
    fprintf(ctx, "</text>\n");
}

enum slr_err slr_plot_svg(FILE *to, const json_t *ledger, const json_t *peaks)
{
    struct slr_canvas canvas = {to, begin, rect, columns, text};
    enum slr_err err = slr_plot_draw(&canvas, ledger, peaks);
    fprintf(to, "</svg>\n");
    return err == SLR_OK && (ferror(to) || fflush(to) != 0) ? SLR_IO : err;
}
