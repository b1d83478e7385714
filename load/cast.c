/*
 * cast: see the header.
 */
#include "load/cast.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load/draw.h"

static enum slr_err add(struct slr_cast *c, const char *text)
{
    char name[32];
    size_t n = strcspn(text, ":");
    unsigned long weight = 1;
    if (n >= sizeof name || c->count == SLR_CAST_VOICES) {
        fprintf(stderr, "slr-load: --codec %s: too long, or too many\n", text);
        return SLR_INVAL;
    }
    memcpy(name, text, n);
    name[n] = '\0';
    if (text[n] == ':') {
        char *end = NULL;
        weight = strtoul(text + n + 1, &end, 10);
        if (end == text + n + 1 || *end != '\0' || weight < 1 || weight > 1000) {
            fprintf(stderr, "slr-load: --codec %s: weight is 1 to 1000\n", text);
            return SLR_INVAL;
        }
    }
    enum slr_err err = slr_voice_open(name, &c->voice[c->count]);
    if (err != SLR_OK) {
        fprintf(stderr, "slr-load: --codec %s: %s; known: %s\n", text, slr_err_text(err),
                slr_voice_names());
        return SLR_INVAL;
    }
    c->weight[c->count++] = (uint32_t)weight;
    c->total += (uint32_t)weight;
    return SLR_OK;
}

enum slr_err slr_cast_open(struct slr_cast *c, const struct slr_option_list *codecs,
                           const char *otherwise, uint64_t seed)
{
    enum slr_err err = SLR_OK;
    memset(c, 0, sizeof *c);
    c->seed = seed;
    for (size_t i = 0; i < codecs->count && err == SLR_OK; i++) {
        err = add(c, codecs->item[i]);
    }
    struct slr_slice rest = slr_slice_str(codecs->count == 0 && otherwise ? otherwise : "");
    struct slr_slice word;
    while (err == SLR_OK && slr_slice_take_token(&rest, ' ', &word)) {
        char text[64];
        err = slr_slice_to_str(word, text, sizeof text) ? add(c, text) : SLR_INVAL;
    }
    if (err == SLR_OK && c->count == 0) {
        err = add(c, "PCMA");
    }
    if (err != SLR_OK) {
        slr_cast_close(c);
    }
    return err;
}

void slr_cast_close(struct slr_cast *c)
{
    for (uint32_t i = 0; i < c->count; i++) {
        slr_voice_close(c->voice[i]);
    }
    c->count = 0;
}

const struct slr_voice *slr_cast_voice(const struct slr_cast *c, uint32_t call)
{
    uint32_t at = slr_draw_below(slr_draw(c->seed, SLR_DRAW_CODEC, call, 0, 0), c->total);
    uint32_t i = 0;
    while (at >= c->weight[i]) {
        at -= c->weight[i++];
    }
    return c->voice[i];
}

size_t slr_cast_payload_max(const struct slr_cast *c)
{
    size_t most = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        most = c->voice[i]->payload_bytes > most ? c->voice[i]->payload_bytes : most;
    }
    return most;
}
