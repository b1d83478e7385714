/*
 * plot: the layout. Pure, see the header.
 */
#include "ctl/plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "ctl/explain_rows.h"

#define CHANNELS_MAX 8u
#define LEFT 20.0
#define TOP 44.0
#define BAND_HEIGHT 110.0
#define BAND_STEP 140.0
#define AXIS_HEIGHT 34.0
#define LEGEND_ROW 20.0
#define LEGEND_COLUMN 240.0
#define LEGEND_COLUMNS 4u
#define INK 0x263238u
#define FAINT 0x90a4aeu
#define WAVE 0x1565c0u
#define WAVE_RMS 0x5e92f3u

struct look {
    uint32_t rgb;
    bool trouble; /* seen however short it is */
    const char *words;
};

static const struct look looks[SLR_SPAN_COUNT] = {
    [SLR_SPAN_RECEIVED] = {0xf1f8e9, false, "received"},
    [SLR_SPAN_CONCEALED] = {0xffd54f, true, "concealed"},
    [SLR_SPAN_COMFORT] = {0xe1f5fe, false, "announced silence"},
    [SLR_SPAN_EVENT] = {0xdce775, false, "key press"},
    [SLR_SPAN_HOLD] = {0xcfd8dc, false, "on hold"},
    [SLR_SPAN_PAUSED] = {0xb0bec5, false, "paused"},
    [SLR_SPAN_ABSENT] = {0xeeeeee, false, "nothing heard"},
    [SLR_SPAN_ENDED] = {0xe0e0e0, false, "over"},
    [SLR_SPAN_LOST_NETWORK] = {0xe53935, true, "lost in the network"},
    [SLR_SPAN_LOST_KERNEL] = {0xd81b60, true, "dropped by the kernel"},
    [SLR_SPAN_LOST_QUEUE] = {0xfb8c00, true, "dropped by the recorder"},
    [SLR_SPAN_LOST_DISK] = {0x6d4c41, true, "not written"},
    [SLR_SPAN_ENGINE_DOWN] = {0x8e24aa, true, "recorder not running"},
    [SLR_SPAN_CLOCK] = {0x26c6da, true, "clock jumped"},
    [SLR_SPAN_CORRECTED] = {0x43a047, true, "corrected for skew"},
};

struct plot {
    const struct slr_canvas *c;
    const json_t *ledger, *peaks;
    double len_ms, ticks_hz;
    uint32_t channels;
    double file_share; /* how much of the file belongs to the recording: GSM fills its last block */
    bool is_mix;       /* the last band is the sum of all channels, and theirs have no waveform */
    bool used[SLR_SPAN_COUNT];
};

static double x_of(const struct plot *p, double ms)
{
    double share = p->len_ms > 0 ? ms / p->len_ms : 0;
    share = share < 0 ? 0 : (share > 1 ? 1 : share);
    return LEFT + share * SLR_PLOT_COLUMNS;
}

/* Coordinates are rounded: the same picture on every machine. */
static double near(double v)
{
    return round(v * 10) / 10;
}

static uint32_t channel_of(const json_t *leg)
{
    int64_t channel = slr_json_i64(leg, "channel", 0);
    return channel >= 0 && channel < CHANNELS_MAX ? (uint32_t)channel : CHANNELS_MAX - 1;
}

static void measure(struct plot *p)
{
    size_t i = 0;
    json_t *leg = NULL;
    int64_t hz = slr_json_i64(p->ledger, "ticks_hz", SLR_TICKS_HZ);
    p->ticks_hz = hz > 0 ? (double)hz : (double)SLR_TICKS_HZ;
    p->len_ms = (double)slr_json_i64(p->ledger, "len_ticks", 0) * 1000 / p->ticks_hz;
    int64_t n = slr_json_i64(json_object_get(p->ledger, "shape"), "channels", 1);
    p->channels = n >= 1 && n <= CHANNELS_MAX ? (uint32_t)n : 1;
    json_array_foreach(json_object_get(p->ledger, "legs"), i, leg)
    {
        uint32_t channel = channel_of(leg);
        p->channels = channel >= p->channels ? channel + 1 : p->channels;
    }
    int64_t frames = slr_json_i64(p->ledger, "frames", 0);
    int64_t file_frames = slr_json_i64(p->peaks, "frames", 0);
    p->file_share = frames > 0 && file_frames > frames ? (double)frames / (double)file_frames : 1;
    const char *layout = slr_json_str(p->ledger, "layout");
    p->is_mix = layout && strcmp(layout, "mix") == 0 && p->channels > 1;
    p->channels += p->is_mix;
}

static double band_top(uint32_t channel)
{
    return TOP + 22 + channel * BAND_STEP;
}

static bool is_rest(enum slr_span_kind kind)
{
    return kind == SLR_SPAN_ABSENT || kind == SLR_SPAN_ENDED;
}

static void draw_row(struct plot *p, uint32_t channel, const struct slr_explain_row *row)
{
    const struct look *look = &looks[row->kind];
    double x = near(x_of(p, row->start_ms));
    double w = near(x_of(p, row->end_ms)) - x;
    if (look->trouble && w < 1) {
        w = 1;
    }
    p->used[row->kind] = true;
    if (w > 0) {
        p->c->rect(p->c->ctx, x, band_top(channel), w, BAND_HEIGHT, look->rgb);
    }
}

/* Spans one by one, not joined. rest: those where the leg is not there, else the others. */
static void draw_spans(struct plot *p, const json_t *leg, bool rest)
{
    size_t i = 0;
    json_t *span = NULL;
    json_array_foreach(json_object_get(leg, "spans"), i, span)
    {
        struct slr_explain_row row;
        if (slr_explain_span(span, p->ticks_hz, &row) && is_rest(row.kind) == rest) {
            draw_row(p, channel_of(leg), &row);
        }
    }
}

static void draw_legs(struct plot *p)
{
    const json_t *legs = json_object_get(p->ledger, "legs");
    for (int pass = 0; pass < 2; pass++) {
        size_t i = 0;
        json_t *leg = NULL;
        json_array_foreach(legs, i, leg)
        {
            draw_spans(p, leg, pass == 0);
        }
    }
}

static double sample(const json_t *list, size_t at)
{
    double v = json_number_value(json_array_get(list, at));
    return v < -32768 ? -32768 : (v > 32767 ? 32767 : v);
}

/* Which column of the file is seen at a column of the picture; -1: that is cut out of the file. */
static int64_t file_column(const struct plot *p, uint32_t column, uint32_t count)
{
    double len = (double)slr_json_i64(p->ledger, "len_ticks", 0);
    double at = (column + 0.5) * len / count, before = 0, all = 0;
    bool is_cut = false;
    size_t i = 0;
    json_t *cut = NULL;
    json_array_foreach(json_object_get(p->ledger, "cuts"), i, cut)
    {
        double start = (double)slr_json_i64(cut, "start_ticks", 0);
        double cut_len = (double)slr_json_i64(cut, "len_ticks", 0);
        all += cut_len;
        before += start + cut_len <= at ? cut_len : 0;
        is_cut = is_cut || (start <= at && at < start + cut_len);
    }
    if (i == 0 && p->file_share >= 1) {
        return column;
    }
    double share = len > all ? (at - before) / (len - all) * p->file_share : -1;
    return is_cut || !(share >= 0 && share < 1) ? -1 : (int64_t)(share * count);
}

static bool draw_wave(const struct plot *p, uint32_t channel)
{
    bool has_none = p->is_mix && channel + 1 < p->channels;
    size_t track = p->is_mix ? 0 : channel;
    const json_t *list =
        has_none ? NULL : json_array_get(json_object_get(p->peaks, "peaks"), track);
    uint32_t count = (uint32_t)(json_array_size(list) / 3);
    count = count > SLR_PLOT_COLUMNS ? SLR_PLOT_COLUMNS : count;
    double *lo = calloc(4 * (size_t)count + 4, sizeof *lo);
    if (!lo) {
        return false;
    }
    double *hi = lo + count;
    double *rms_lo = hi + count;
    double *rms_hi = rms_lo + count;
    double middle = band_top(channel) + BAND_HEIGHT / 2;
    double scale = (BAND_HEIGHT - 6) / 2 / 32768;
    for (uint32_t i = 0; i < count; i++) {
        int64_t at = file_column(p, i, count);
        size_t from = at >= 0 ? 3 * (size_t)at : json_array_size(list);
        double least = sample(list, from);
        double most = sample(list, from + 1);
        double rms = sample(list, from + 2);
        double dc = (least + most) / 2;
        lo[i] = near(middle - most * scale);
        hi[i] = near(middle - least * scale + 0.5);
        rms_lo[i] = near(middle - fmin(most, dc + rms) * scale);
        rms_hi[i] = near(middle - fmax(least, dc - rms) * scale + 0.5);
    }
    p->c->columns(p->c->ctx, LEFT, lo, hi, count, WAVE);
    p->c->columns(p->c->ctx, LEFT, rms_lo, rms_hi, count, WAVE_RMS);
    free(lo);
    return true;
}

/* Printable ASCII only: it goes into files of others. */
static size_t append(char *out, size_t at, size_t size_bytes, const char *text)
{
    for (; text && *text && at + 1 < size_bytes; text++) {
        out[at++] = *text >= ' ' && *text <= '~' ? *text : '?';
    }
    out[at] = '\0';
    return at;
}

static void draw_label(const struct plot *p, uint32_t channel)
{
    char label[160] = "";
    char number[32];
    size_t at = 0;
    size_t i = 0;
    json_t *leg = NULL;
    if (p->is_mix && channel + 1 == p->channels) {
        p->c->text(p->c->ctx, LEFT, band_top(channel) - 6, 13, SLR_PLOT_LEFT, INK, "mix of all");
        return;
    }
    json_array_foreach(json_object_get(p->ledger, "legs"), i, leg)
    {
        const char *dn = slr_json_str(leg, "dn");
        if (channel_of(leg) == channel && dn && dn[0]) {
            at = append(label, at, sizeof label, at > 0 ? ", " : "");
            at = append(label, at, sizeof label, dn);
        }
    }
    snprintf(number, sizeof number, "%schannel %u%s", at > 0 ? " (" : "", channel,
             at > 0 ? ")" : "");
    (void)append(label, at, sizeof label, number);
    p->c->text(p->c->ctx, LEFT, band_top(channel) - 6, 13, SLR_PLOT_LEFT, INK, label);
}

/* Steps of 1, 2, 5, 10, 15, 30 s and so on, so that there are at most ten of them. */
static double axis_step_ms(double len_ms)
{
    static const double step_s[] = {0.1, 0.2, 0.5, 1,   2,    5,    10,   15,    30,    60,
                                    120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400};
    for (size_t i = 0; i < sizeof step_s / sizeof step_s[0]; i++) {
        if (len_ms / (step_s[i] * 1000) <= 10) {
            return step_s[i] * 1000;
        }
    }
    return len_ms / 10;
}

static void draw_axis(const struct plot *p, double y)
{
    double step = axis_step_ms(p->len_ms);
    p->c->rect(p->c->ctx, LEFT, y, SLR_PLOT_COLUMNS, 1, FAINT);
    for (int i = 0; i <= 10 && p->len_ms > 0 && i * step <= p->len_ms; i++) {
        char text[32];
        double x = near(x_of(p, i * step));
        slr_explain_position(i * step, text);
        if (step >= 1000) {
            *strrchr(text, '.') = '\0';
        }
        p->c->rect(p->c->ctx, x, y, 1, 5, INK);
        p->c->text(p->c->ctx, x, y + 18, 11, i == 0 ? SLR_PLOT_LEFT : SLR_PLOT_MIDDLE, INK, text);
    }
}

static uint32_t legend_count(const struct plot *p)
{
    uint32_t n = 0;
    for (int k = 0; k < SLR_SPAN_COUNT; k++) {
        n += p->used[k];
    }
    return n;
}

static void draw_legend(const struct plot *p, double y)
{
    uint32_t n = 0;
    for (int k = 0; k < SLR_SPAN_COUNT; k++) {
        if (p->used[k]) {
            double x = LEFT + n % LEGEND_COLUMNS * LEGEND_COLUMN;
            double at = y + (double)(n / LEGEND_COLUMNS) * LEGEND_ROW;
            p->c->rect(p->c->ctx, x, at, 16, 12, FAINT);
            p->c->rect(p->c->ctx, x + 1, at + 1, 14, 10, looks[k].rgb);
            p->c->text(p->c->ctx, x + 22, at + 10, 11, SLR_PLOT_LEFT, INK, looks[k].words);
            n++;
        }
    }
}

/* Kinds that occur, before anything is drawn: the legend's height depends on them. */
static void find_used(struct plot *p)
{
    size_t i = 0;
    size_t k = 0;
    json_t *leg = NULL;
    json_t *span = NULL;
    json_array_foreach(json_object_get(p->ledger, "legs"), i, leg)
    {
        json_array_foreach(json_object_get(leg, "spans"), k, span)
        {
            struct slr_explain_row row;
            if (slr_explain_span(span, p->ticks_hz, &row)) {
                p->used[row.kind] = true;
            }
        }
    }
}

static void draw_title(const struct plot *p)
{
    char title[200] = "";
    size_t at = append(title, 0, sizeof title, "Recording ");
    at = append(title, at, sizeof title, slr_json_str(p->ledger, "recording"));
    at = append(title, at, sizeof title, "   ");
    (void)append(title, at, sizeof title, slr_json_str(p->ledger, "start"));
    p->c->text(p->c->ctx, LEFT, 26, 15, SLR_PLOT_LEFT, INK, title);
}

enum slr_err slr_plot_draw(const struct slr_canvas *canvas, const json_t *ledger,
                           const json_t *peaks)
{
    struct plot p = {.c = canvas, .ledger = ledger, .peaks = peaks};
    enum slr_err err = SLR_OK;
    measure(&p);
    find_used(&p);
    double axis = band_top(p.channels - 1) + BAND_HEIGHT + 8;
    uint32_t rows = (legend_count(&p) + LEGEND_COLUMNS - 1) / LEGEND_COLUMNS;
    double height = axis + AXIS_HEIGHT + rows * LEGEND_ROW + 6;
    canvas->begin(canvas->ctx, SLR_PLOT_WIDTH, (uint32_t)height);
    canvas->rect(canvas->ctx, 0, 0, SLR_PLOT_WIDTH, height, 0xffffff);
    draw_title(&p);
    draw_legs(&p);
    for (uint32_t i = 0; i < p.channels && err == SLR_OK; i++) {
        draw_label(&p, i);
        err = draw_wave(&p, i) ? SLR_OK : SLR_NOMEM;
    }
    draw_axis(&p, axis);
    draw_legend(&p, axis + AXIS_HEIGHT);
    return err;
}
