/*
 * ledger_view: see the header.
 */
#include "load/ledger_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"

static const char *const kinds[] = {
#define SPAN(name, text) text,
#include "storage/span.def"
#undef SPAN
};

const char *slr_ledger_view_kind(uint32_t kind)
{
    return kinds[kind];
}

static uint32_t kind_of(const char *text)
{
    for (uint32_t i = 0; text && i < SLR_KIND_COUNT; i++) {
        if (strcmp(text, kinds[i]) == 0) {
            return i;
        }
    }
    return SLR_KIND_COUNT;
}

static enum slr_err take_edit(const json_t *span, const struct slr_check_span *at,
                              struct slr_view_leg *out)
{
    struct slr_undo_edit *e = &out->edit[out->edit_count];
    const char *samples = slr_json_str(span, "samples");
    *e = (struct slr_undo_edit){
        .at = at->start, .inserted = at->len, .removed = (size_t)slr_json_u64(span, "removed", 0)};
    enum slr_err err = SLR_OK;
    if (e->removed > 0) {
        err = samples ? slr_undo_samples(samples, e->removed, &e->sample) : SLR_FORMAT;
    }
    out->edit_count += err == SLR_OK;
    return err;
}

static enum slr_err take_spans(const json_t *leg, uint32_t hz, struct slr_view_leg *out)
{
    const json_t *spans = json_object_get(leg, "spans");
    int64_t ticks = SLR_TICKS_HZ / hz;
    size_t n = json_array_size(spans);
    enum slr_err err = SLR_OK;
    out->span = calloc(n + 1, sizeof *out->span);
    out->edit = calloc(n + 1, sizeof *out->edit);
    if (!out->span || !out->edit) {
        return SLR_NOMEM;
    }
    for (size_t i = 0; i < n && err == SLR_OK; i++) {
        const json_t *s = json_array_get(spans, i);
        out->span[i] = (struct slr_check_span){.start = slr_json_i64(s, "start_ticks", 0) / ticks,
                                               .len = slr_json_i64(s, "len_ticks", 0) / ticks,
                                               .kind = kind_of(slr_json_str(s, "kind"))};
        if (out->span[i].kind == SLR_KIND_CORRECTED) {
            err = take_edit(s, &out->span[i], out);
        }
    }
    out->span_count = n;
    return err;
}

/* "1.2.3.4:5000" */
static void take_source(const json_t *stream, struct slr_view_leg *out)
{
    unsigned ip[4], port;
    const char *src = slr_json_str(stream, "src");
    const char *ssrc = slr_json_str(stream, "ssrc");
    if (src && sscanf(src, "%3u.%3u.%3u.%3u:%5u", &ip[0], &ip[1], &ip[2], &ip[3], &port) == 5) {
        out->src_ip = ip[0] << 24 | ip[1] << 16 | ip[2] << 8 | ip[3];
        out->src_port = port;
    }
    out->ssrc = ssrc ? (uint32_t)strtoul(ssrc, NULL, 16) : 0;
}

static void take_streams(const json_t *leg, struct slr_view_leg *out)
{
    const json_t *streams = json_object_get(leg, "streams");
    out->foreign = slr_json_u64(leg, "foreign", 0);
    take_source(json_array_get(streams, 0), out);
    for (size_t i = 0; i < json_array_size(streams); i++) {
        const json_t *s = json_array_get(streams, i);
        out->packets += slr_json_u64(s, "packets", 0);
        out->placed += slr_json_u64(s, "placed", 0);
        out->lost += slr_json_u64(s, "lost", 0);
        out->duplicate += slr_json_u64(s, "duplicate", 0);
        out->reordered += slr_json_u64(s, "reordered", 0);
        out->late += slr_json_u64(s, "late", 0);
        out->rejected += slr_json_u64(s, "rejected", 0);
    }
}

enum slr_err slr_ledger_view_open(const json_t *ledger, struct slr_ledger_view *out)
{
    const char *call = slr_json_str(ledger, "call");
    const char *file = slr_json_str(ledger, "file");
    const char *slash = file ? strrchr(file, '/') : NULL; /* DAY/NAME */
    const json_t *legs = json_object_get(ledger, "legs");
    const json_t *shape = json_object_get(ledger, "recorded");
    shape = shape ? shape : json_object_get(ledger, "shape");
    memset(out, 0, sizeof *out);
    out->sample_hz = (uint32_t)slr_json_u64(shape, "sample_hz", 0);
    if (!call || !file || out->sample_hz == 0 || SLR_TICKS_HZ % out->sample_hz != 0) {
        return SLR_FORMAT;
    }
    snprintf(out->call, sizeof out->call, "%s", call);
    snprintf(out->file, sizeof out->file, "%s", slash ? slash + 1 : file);
    out->start_wall_ns = slr_json_i64(ledger, "start_wall_ns", 0);
    for (size_t i = 0; i < json_array_size(legs) && i < SLR_VIEW_LEGS; i++) {
        const json_t *leg = json_array_get(legs, i);
        struct slr_view_leg *v = &out->leg[out->leg_count++];
        const char *dn = slr_json_str(leg, "dn");
        v->dn = dn ? (uint32_t)strtoul(dn, NULL, 10) : 0;
        v->channel = (uint32_t)slr_json_u64(leg, "channel", 0);
        take_streams(leg, v);
        enum slr_err err = take_spans(leg, out->sample_hz, v);
        if (err != SLR_OK) {
            slr_ledger_view_close(out);
            return err;
        }
    }
    return SLR_OK;
}

void slr_ledger_view_close(struct slr_ledger_view *v)
{
    for (uint32_t i = 0; i < v->leg_count; i++) {
        for (size_t k = 0; k < v->leg[i].edit_count; k++) {
            free(v->leg[i].edit[k].sample);
        }
        free(v->leg[i].span);
        free(v->leg[i].edit);
    }
    v->leg_count = 0;
}
