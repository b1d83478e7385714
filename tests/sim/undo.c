/*
 * undo: see the header. Reads the ledger's spans once, in order.
 */
#include "tests/sim/undo.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/expect.h"

struct undoing {
    const struct sim *m;
    const struct sim_result *r;
    struct sim_channel *c;
    uint32_t channel;
    int64_t tpf, file, leg; /* ticks */
    int64_t frame, put;     /* next frame of the file, and of the leg */
    bool parted;            /* the span before was parted by a correction */
};

static int32_t frame_of(const struct sim_result *r, uint32_t channel, int64_t frame)
{
    size_t at = (size_t)frame * r->wav.shape.channels + channel;
    if (r->wav.shape.format == SLR_SAMPLE_S16) {
        int16_t v = 0;
        memcpy(&v, r->data + 2 * at, 2);
        return v;
    }
    return r->data[at];
}

static int64_t digit_of(char c)
{
    static const char table[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(table, c) : NULL;
    return at ? at - table : -1;
}

/* The removed samples: base64 of 16-bit integers. */
static void put_removed(struct undoing *u, json_t *span, int64_t count)
{
    const char *text = json_string_value(json_object_get(span, "samples"));
    uint32_t bits = 0;
    uint32_t have = 0;
    int64_t bytes = 0;
    uint8_t low = 0;
    for (; text && *text && *text != '='; text++) {
        bits = bits << 6 | (uint32_t)digit_of(*text);
        have += 6;
        if (have >= 8) {
            have -= 8;
            uint8_t byte = (uint8_t)(bits >> have);
            if (bytes++ % 2 == 0) {
                low = byte;
            } else {
                u->c->sample[u->put++] =
                    sim_linear_in_file(u->m, (int16_t)(uint16_t)(byte << 8 | low));
            }
        }
    }
    if (bytes != 2 * count) {
        sim_fail(u->m, "leg %u: %lld samples were removed, %lld bytes are in the ledger",
                 u->channel, (long long)count, (long long)bytes);
    }
}

/* A piece of leg time; one span with what is before it where a correction had parted them. */
static void put_span(struct undoing *u, const char *kind, const char *cause, int64_t len,
                     int64_t packets)
{
    struct sim_span *last = u->c->span_count > 0 ? &u->c->span[u->c->span_count - 1] : NULL;
    if (u->parted && last && strcmp(last->kind, kind) == 0) {
        last->len += len;
        last->packets += packets > 0 && last->packets >= 0 ? packets : 0;
    } else {
        u->c->span[u->c->span_count++] = (struct sim_span){kind, cause, u->leg, len, packets};
    }
    u->leg += len;
}

static void correction(struct undoing *u, json_t *span, int64_t len)
{
    struct sim_channel *c = u->c;
    if (len > 0) {
        u->frame += len / u->tpf;
        u->file += len;
        c->corrected_ticks += len;
    } else {
        int64_t removed = sim_number(span, "removed");
        put_removed(u, span, removed);
        u->parted = true;
        put_span(u, json_string_value(json_object_get(span, "in")), NULL, removed * u->tpf, -1);
        c->corrected_ticks -= removed * u->tpf;
    }
    u->parted = true;
    int64_t is = llabs(c->corrected_ticks);
    c->most_ticks = is > c->most_ticks ? is : c->most_ticks;
}

static void plain(struct undoing *u, json_t *span, const char *kind, int64_t len)
{
    int64_t end = (u->file + len + u->tpf - 1) / u->tpf;
    end = end < (int64_t)u->r->wav.frames ? end : (int64_t)u->r->wav.frames;
    while (u->frame < end) {
        u->c->sample[u->put++] = frame_of(u->r, u->channel, u->frame++);
    }
    put_span(u, kind, json_string_value(json_object_get(span, "cause")), len,
             sim_number(span, "packets"));
    u->file += len;
    u->parted = false;
}

/* Room for every frame of the file and every removed one. */
static void make_room(struct undoing *u, json_t *spans)
{
    size_t i = 0;
    json_t *span = NULL;
    int64_t room = (int64_t)u->r->wav.frames + 1;
    json_array_foreach(spans, i, span)
    {
        int64_t removed = sim_number(span, "removed");
        room += removed > 0 ? removed : 0;
    }
    u->c->sample = malloc((size_t)room * sizeof *u->c->sample);
    u->c->span = malloc((json_array_size(spans) * 2 + 1) * sizeof *u->c->span);
    if (!u->c->sample || !u->c->span) {
        abort();
    }
}

void sim_undo(const struct sim *m, const struct sim_result *r, uint32_t channel, json_t *leg,
              struct sim_channel *c)
{
    json_t *spans = json_object_get(leg, "spans");
    int64_t len_ticks = sim_number(r->ledger, "len_ticks");
    size_t i = 0;
    json_t *span = NULL;
    *c = (struct sim_channel){.ledger = leg, .tpf = sim_unit(m->hz)};
    struct undoing u = {.m = m, .r = r, .c = c, .channel = channel, .tpf = sim_unit(m->hz)};
    make_room(&u, spans);
    json_array_foreach(spans, i, span)
    {
        const char *kind = json_string_value(json_object_get(span, "kind"));
        int64_t len = sim_number(span, "len_ticks");
        bool is_correction = strcmp(kind, "corrected") == 0;
        if (sim_number(span, "start_ticks") != u.file || len < 0 || (len == 0 && !is_correction)) {
            sim_fail(m, "leg %u: span %zu is at %lld, not %lld", channel, i,
                     (long long)sim_number(span, "start_ticks"), (long long)u.file);
        }
        if (is_correction) {
            correction(&u, span, len);
        } else {
            plain(&u, span, kind, len);
        }
    }
    if (u.file != len_ticks) {
        sim_fail(m, "leg %u: spans sum to %lld, the length is %lld", channel, (long long)u.file,
                 (long long)len_ticks);
    }
    c->frames = u.put;
    c->len_ticks = u.leg;
}

void sim_undo_free(struct sim_channel *c)
{
    free(c->sample);
    free(c->span);
}

int64_t sim_undo_place(const struct sim_channel *c, int64_t file_ticks)
{
    json_t *spans = json_object_get(c->ledger, "spans");
    size_t i = 0;
    json_t *span = NULL;
    int64_t by = 0;
    json_array_foreach(spans, i, span)
    {
        int64_t removed = sim_number(span, "removed");
        if (sim_number(span, "start_ticks") > file_ticks) {
            break;
        }
        if (strcmp(json_string_value(json_object_get(span, "kind")), "corrected") == 0) {
            by += removed > 0 ? -removed * c->tpf : sim_number(span, "len_ticks");
        }
    }
    return file_ticks - by;
}
