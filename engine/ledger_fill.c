/*
 * ledger_fill: collects what the ledger says. Sealer thread.
 */
#include "engine/ledger_fill.h"

#include <stdlib.h>
#include <string.h>

#include "engine/quality_json.h"
#include "engine/stream.h"

#define NOTES_MAX (SLR_CLOCK_NOTES + SLR_SKEW_NOTES)
#define LATE_MAX (SLR_LEG_LATE + SLR_LEG_MISSED)

struct fill {
    struct slr_ledger_leg leg[SLR_MAX_CHANNELS * 2];
    struct slr_ledger_stream *stream; /* legs * SLR_LEG_STREAMS */
    struct slr_span *span;            /* all legs' spans, one leg after the other */
    int16_t *removed;                 /* what was taken out of them, in the same order */
    struct slr_clock_note *clock;     /* legs * NOTES_MAX */
    struct slr_ledger_late *late;     /* legs * LATE_MAX */
    const struct slr_journal *journal;
    int64_t journal_cut_ticks; /* the journal lost its end: this is the session's; 0: it is whole */
    struct slr_ledger_digit *digit;
    uint32_t digit_count;
};

static void fill_stream(struct slr_ledger_stream *to, const struct slr_stream *st)
{
    memset(to, 0, sizeof *to);
    to->ssrc = st->ssrc;
    to->src = st->src;
    to->packets = st->packets;
    to->bytes = st->bytes;
    to->placed = slr_stream_placed(st);
    to->lost = slr_stream_lost(st);
    to->duplicate = st->duplicate;
    to->reordered = st->reordered;
    to->late = slr_stream_late(st);
    to->suppressed = st->suppressed;
    to->rejected = st->rejected;
    to->jitter_ticks = (uint32_t)st->jitter.now;
    to->clock_hz = st->clock_hz;
    to->first_ticks = st->first_ticks;
    to->last_ticks = st->last_ticks;
    for (uint32_t i = 0; i < st->pt_kinds; i++) {
        to->pt_packets[st->pt_used[i] & 0x7f] += st->pt_count[i];
    }
    to->rtcp = slr_rtcp_json(st);
}

static void fill_srtp(struct slr_ledger_leg *to, const struct slr_leg *leg,
                      const struct slr_srtp *srtp)
{
    uint32_t n = 0;
    if (!atomic_load(&slr_leg_run(leg)->secure)) {
        return;
    }
    bool known = srtp->suite != SLR_SRTP_NONE && srtp->suite < SLR_SRTP_SUITE_COUNT;
    to->srtp_suite = known ? slr_srtp_suite_row((enum slr_srtp_suite)srtp->suite)->name : "unknown";
    to->srtp_packets = slr_count_get(&srtp->opened);
    to->srtcp_packets = slr_count_get(&srtp->rtcp_opened);
    for (int i = SLR_SRTP_AUTH; i < SLR_SRTP_RESULTS; i++) {
        to->srtp_failed[n++] = (struct slr_ledger_refusal){
            slr_srtp_result_name((enum slr_srtp_result)i), slr_count_get(&srtp->failed[i])};
    }
}

/* Where leg time has come to lie in the file, by what the leg's spans say was corrected. */
static int64_t file_ticks(const struct slr_ledger_leg *l, int64_t ticks_per_frame,
                          int64_t leg_ticks)
{
    int64_t corr = 0;
    for (uint32_t i = 0; i < l->span_count; i++) {
        const struct slr_span *s = &l->span[i];
        if (s->start_ticks > leg_ticks + corr) {
            break;
        }
        if (s->kind == SLR_SPAN_CORRECTED && s->len_ticks > 0) {
            corr += s->len_ticks;
        } else if (s->kind == SLR_SPAN_CORRECTED) {
            int64_t taken = (int64_t)s->info * ticks_per_frame;
            int64_t into = leg_ticks + corr - s->start_ticks;
            corr -= into < taken ? into : taken;
        }
    }
    return leg_ticks + corr;
}

/* The leg's entries of the journal. */
static void fill_spans(struct fill *f, uint32_t number, struct slr_span **span_at,
                       int16_t **removed_at)
{
    struct slr_ledger_leg *to = &f->leg[number];
    int64_t known = 0;
    to->span = *span_at;
    to->removed = *removed_at;
    for (uint64_t i = 0; i < f->journal->count; i++) {
        const struct slr_span_entry *e = &f->journal->at[i];
        bool follows = e->samples == 0 && e->span.len_ticks > 0 && e->span.start_ticks == known;
        if (f->journal_cut_ticks && !follows) {
            continue; /* of a piece that is gone, or of another leg */
        }
        if (e->leg == number && e->samples == 0) {
            known = e->span.start_ticks + e->span.len_ticks;
            *(*span_at)++ = e->span;
            to->span_count++;
        } else if (e->leg == number && e->samples <= SLR_SPAN_SAMPLES) {
            memcpy(*removed_at, e->sample, e->samples * sizeof e->sample[0]);
            *removed_at += e->samples;
        }
    }
    if (known < f->journal_cut_ticks) {
        *(*span_at)++ = (struct slr_span){.start_ticks = known,
                                          .len_ticks = f->journal_cut_ticks - known,
                                          .kind = SLR_SPAN_LOST_DISK};
        to->span_count++;
    }
}

static struct slr_clock_note note_of(const struct slr_skew_note *n)
{
    bool rate = n->event == SLR_SKEW_RATE || n->event == SLR_SKEW_RATE_BACK;
    return (struct slr_clock_note){.at_ticks = n->at_ticks,
                                   .rtp_ticks = n->at_ticks,
                                   .arrival_ticks = n->arrival_ticks,
                                   .kind = rate ? SLR_CLOCK_RATE : SLR_CLOCK_STEP,
                                   .winner = n->event == SLR_SKEW_CLOCK_STEP ? SLR_CLOCK_ARRIVAL
                                                                             : SLR_CLOCK_RTP};
}

/* Did the worker note it already? */
static bool is_noted(const struct slr_ledger_leg *l, const struct slr_clock_note *n)
{
    for (uint32_t i = 0; i < l->clock_count; i++) {
        int64_t apart = l->clock[i].at_ticks - n->at_ticks;
        if (l->clock[i].kind == n->kind &&
            (n->kind == SLR_CLOCK_RATE ||
             (apart < 60 * SLR_TICKS_HZ && apart > -60 * SLR_TICKS_HZ))) {
            return true;
        }
    }
    return false;
}

/* What worker and writer noted of the clock, and what came late; places in file time. */
static void fill_clock(const struct slr_session *s, struct fill *f, const struct slr_leg *leg,
                       uint32_t number)
{
    struct slr_ledger_leg *to = &f->leg[number];
    struct slr_clock_note *clock = f->clock + (size_t)number * NOTES_MAX;
    struct slr_ledger_late *late = f->late + (size_t)number * LATE_MAX;
    const struct slr_leg_skew *skew = &leg->skew;
    const struct slr_clock_note *own = slr_clock_note_at(&leg->clock_notes, 0);
    to->clock_count = 0;
    while (own) {
        clock[to->clock_count++] = *own;
        own = slr_clock_note_at(&leg->clock_notes, to->clock_count);
    }
    to->clock_more = leg->clock_notes.count - to->clock_count;
    to->clock = clock;
    uint32_t noted = to->clock_count;
    for (uint32_t i = 0; i < skew->note_count && i < SLR_SKEW_NOTES; i++) {
        struct slr_clock_note n = note_of(&skew->note[i]);
        if (!is_noted(to, &n)) {
            clock[to->clock_count++] = n;
        }
    }
    int64_t tpf = s->shape.sample_hz ? SLR_TICKS_HZ / (int64_t)s->shape.sample_hz : 1;
    for (uint32_t i = 0; i < to->clock_count; i++) {
        int64_t corr = file_ticks(to, tpf, clock[i].at_ticks) - clock[i].at_ticks;
        clock[i].at_ticks += corr;
        clock[i].arrival_ticks += i >= noted ? corr : 0; /* the writer counts in leg time */
        clock[i].rtp_ticks = file_ticks(to, tpf, clock[i].rtp_ticks);
    }
    memcpy(late, slr_leg_rare(leg)->late, leg->late_count * sizeof *late);
    to->late = late;
    to->late_count = leg->late_count + leg->missed.count;
    memcpy(late + leg->late_count, slr_leg_rare(leg)->missed, leg->missed.count * sizeof *late);
    for (uint32_t i = 0; i < to->late_count; i++) {
        late[i].start_ticks = file_ticks(to, tpf, late[i].start_ticks);
        late[i].end_ticks = file_ticks(to, tpf, late[i].end_ticks);
    }
}

static void fill_leg(struct slr_state *state, const struct slr_session *s, struct fill *f,
                     uint32_t number, struct slr_span **span_at, int16_t **removed_at)
{
    int64_t tpf = s->shape.sample_hz ? SLR_TICKS_HZ / (int64_t)s->shape.sample_hz : 1;
    const struct slr_leg *leg = &state->leg[atomic_load(&s->leg[number])];
    struct slr_ledger_leg *to = &f->leg[number];
    struct slr_ledger_stream *streams = f->stream + (size_t)number * SLR_LEG_STREAMS;
    *to = (struct slr_ledger_leg){.id = leg->id,
                                  .dn = leg->dn,
                                  .channel = leg->channel,
                                  .local = leg->local,
                                  .foreign = leg->foreign,
                                  .others = leg->others,
                                  .stream = streams,
                                  .quality = slr_quality_json(leg, &leg->cursor.sound)};
    fill_spans(f, number, span_at, removed_at);
    fill_clock(s, f, leg, number);
    fill_srtp(to, leg, &state->srtp[atomic_load(&s->leg[number])]);
    for (uint32_t i = 0; i < atomic_load(&leg->stream_count); i++) {
        if (atomic_load(&slr_leg_stream(leg, i)->state) == SLR_STREAM_TAKEN) {
            struct slr_ledger_stream *stream = &streams[to->stream_count++];
            fill_stream(stream, slr_leg_stream(leg, i));
            stream->first_ticks = file_ticks(to, tpf, stream->first_ticks);
            stream->last_ticks = file_ticks(to, tpf, stream->last_ticks);
        } else {
            to->foreign += slr_leg_stream(leg, i)->packets; /* never left probation */
        }
    }
    for (uint32_t i = 0; i < leg->digit_count; i++) {
        const struct slr_leg_digit *d = &slr_leg_rare(leg)->digit[i];
        f->digit[f->digit_count++] = (struct slr_ledger_digit){
            .start_ticks = file_ticks(to, tpf, d->start_ticks),
            .duration_ms = d->duration_ms,
            .leg = (uint8_t)number,
            .digit = d->digit,
        };
    }
}

static int by_start(const void *a, const void *b)
{
    const struct slr_ledger_digit *x = a;
    const struct slr_ledger_digit *y = b;
    return (x->start_ticks > y->start_ticks) - (x->start_ticks < y->start_ticks);
}

/* What the core gave, if it is whole: a death while it was replaced must not keep a recording from
 * being sealed. */
static const char *whole_meta(const struct slr_session *s)
{
    const char *text = slr_session_meta(s);
    json_t *meta = text[0] ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    bool whole = json_is_object(meta);
    json_decref(meta);
    return whole ? text : NULL;
}

static enum slr_err fill_all(struct slr_state *state, const struct slr_session *s,
                             const struct slr_journal *journal, struct fill *f)
{
    uint32_t legs = atomic_load(&s->leg_count);
    f->stream = calloc((size_t)legs * SLR_LEG_STREAMS + 1, sizeof *f->stream);
    f->digit = calloc((size_t)legs * SLR_LEG_DIGITS + 1, sizeof *f->digit);
    f->clock = calloc((size_t)legs * NOTES_MAX + 1, sizeof *f->clock);
    f->late = calloc((size_t)legs * LATE_MAX + 1, sizeof *f->late);
    f->span = malloc((journal->count + SLR_MAX_CHANNELS * 2) * sizeof *f->span);
    f->removed = malloc((journal->count + 1) * SLR_SPAN_SAMPLES * sizeof *f->removed);
    if (!f->stream || !f->digit || !f->clock || !f->late || !f->span || !f->removed) {
        return SLR_NOMEM;
    }
    f->journal = journal;
    f->journal_cut_ticks = journal->is_cut ? atomic_load(&s->end_ticks) : 0;
    struct slr_span *span_at = f->span;
    int16_t *removed_at = f->removed;
    for (uint32_t i = 0; i < legs; i++) {
        fill_leg(state, s, f, i, &span_at, &removed_at);
    }
    qsort(f->digit, f->digit_count, sizeof *f->digit, by_start);
    return SLR_OK;
}

static void fill_files(struct slr_ledger_file *files, const struct slr_sealed *sealed)
{
    for (uint32_t i = 0; i < sealed->plan.files; i++) {
        const struct slr_final_file *from = &sealed->file[i];
        files[i] = (struct slr_ledger_file){from->file, i, from->media_offset_bytes,
                                            from->media_len_bytes, from->hash};
    }
}

enum slr_err slr_ledger_fill(struct slr_state *state, const struct slr_session *s,
                             const struct slr_journal *journal, const struct slr_sealed *sealed,
                             char **text, size_t *len_bytes)
{
    struct fill *f = calloc(1, sizeof *f);
    if (!f) {
        return SLR_NOMEM;
    }
    enum slr_err err = fill_all(state, s, journal, f);
    if (err == SLR_OK) {
        struct slr_ledger_file files[SLR_MAX_CHANNELS];
        fill_files(files, sealed);
        struct slr_ledger ledger = {
            .recording = s->id,
            .call = s->call,
            .state = sealed->state,
            .file = sealed->file[0].file,
            .container = sealed->plan.container->name,
            .mime_type = sealed->plan.container->mime_type,
            .coding = sealed->plan.container->coding,
            .shape = sealed->plan.shape,
            .recorded = s->shape,
            .output = &s->output,
            .layout = sealed->plan.layout,
            .put_off = sealed->put_off,
            .opus_bps = sealed->opus_bps,
            .opus_complexity = sealed->opus_complexity,
            .start_wall = s->start_wall,
            .len_ticks = atomic_load(&s->end_ticks),
            .frames = sealed->frames,
            .media_offset_bytes = sealed->file[0].media_offset_bytes,
            .media_len_bytes = sealed->file[0].media_len_bytes,
            .media_hash = sealed->file[0].hash,
            .files = files,
            .file_count = sealed->plan.files,
            .cut = sealed->cut,
            .cut_count = sealed->cut_count,
            .end_reason = s->end_reason,
            .meta_json = whole_meta(s),
            .digit_policy = (enum slr_digit_policy)s->digit_policy,
            .leg = f->leg,
            .leg_count = atomic_load(&s->leg_count),
            .digit = f->digit,
            .digit_count = f->digit_count,
        };
        err = slr_ledger_render(&ledger, text, len_bytes);
    }
    for (uint32_t i = 0; i < sizeof f->leg / sizeof f->leg[0]; i++) {
        json_decref(f->leg[i].quality);
        for (uint32_t k = 0; k < f->leg[i].stream_count; k++) {
            json_decref(f->leg[i].stream[k].rtcp);
        }
    }
    free(f->stream);
    free(f->span);
    free(f->digit);
    free(f->removed);
    free(f->clock);
    free(f->late);
    free(f);
    return err;
}

static json_t *leg_event(const struct slr_leg *leg)
{
    uint64_t packets = 0;
    uint64_t lost = 0;
    uint64_t duplicate = 0;
    uint64_t late = 0;
    for (uint32_t i = 0; i < atomic_load(&leg->stream_count); i++) {
        const struct slr_stream *st = slr_leg_stream(leg, i);
        if (atomic_load(&st->state) == SLR_STREAM_TAKEN) {
            packets += st->packets;
            lost += slr_stream_lost(st);
            duplicate += st->duplicate;
            late += slr_stream_late(st);
        }
    }
    json_t *o =
        json_pack("{s:s,s:s,s:i,s:I,s:I,s:I,s:I}", "leg", leg->id, "dn", leg->dn, "channel",
                  (int)leg->channel, "packets", (json_int_t)packets, "lost", (json_int_t)lost,
                  "duplicate", (json_int_t)duplicate, "late", (json_int_t)late);
    json_t *quality = slr_quality_json(leg, &leg->cursor.sound);
    static const char *const also[] = {"codec", "mos", "loss_pct"};
    for (size_t i = 0; o && i < sizeof also / sizeof also[0]; i++) {
        json_t *value = json_object_get(quality, also[i]);
        json_object_set(o, also[i], value ? value : json_null());
    }
    json_decref(quality);
    return o;
}

/* All files where there are several; NULL: one, or out of memory. */
static json_t *files_event(const struct slr_sealed *sealed)
{
    json_t *files = sealed->plan.files > 1 ? json_array() : NULL;
    for (uint32_t i = 0; files && i < sealed->plan.files; i++) {
        const struct slr_final_file *f = &sealed->file[i];
        json_array_append_new(
            files, json_pack("{s:s,s:i,s:I,s:s}", "file", f->file, "channel", (int)i, "bytes",
                             (json_int_t)(f->media_offset_bytes + f->media_len_bytes), "media_hash",
                             f->hash));
    }
    return files;
}

json_t *slr_ledger_event(struct slr_state *state, const struct slr_session *s,
                         const struct slr_sealed *sealed)
{
    const struct slr_container *c = sealed->plan.container;
    const struct slr_audio_shape *shape = &sealed->plan.shape;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < sealed->plan.files; i++) {
        bytes += sealed->file[i].media_offset_bytes + sealed->file[i].media_len_bytes;
    }
    int64_t len_ticks = atomic_load(&s->end_ticks);
    json_t *legs = json_array();
    for (uint32_t i = 0; legs && i < atomic_load(&s->leg_count); i++) {
        json_array_append_new(legs, leg_event(&state->leg[atomic_load(&s->leg[i])]));
    }
    json_t *meta = slr_session_meta(s)[0] ? json_loads(slr_session_meta(s), 0, NULL) : NULL;
    json_t *ev =
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "ev", "sealed", "session", s->id, "call",
                  s->call, "state", sealed->state, "file", sealed->file[0].file, "ledger",
                  sealed->ledger, "container", c->name, "mime", c->mime_type, "format",
                  c->coding ? c->coding : slr_sample_name(shape->format));
    json_t *more = json_pack(
        "{s:i,s:i,s:I,s:I,s:I,s:s,s:I,s:I,s:s,s:b,s:o,s:o}", "channels", (int)shape->channels,
        "sample_hz", (int)shape->sample_hz, "frames", (json_int_t)sealed->frames, "len_ms",
        (json_int_t)(slr_ns_from_ticks(len_ticks) / SLR_NS_PER_MS), "bytes", (json_int_t)bytes,
        "media_hash", sealed->file[0].hash, "start_wall_ns", (json_int_t)s->start_wall.ns,
        "end_wall_ns", (json_int_t)(s->start_wall.ns + slr_ns_from_ticks(len_ticks)), "end_reason",
        s->end_reason, "auto", (int)s->is_auto, "meta", meta ? meta : json_object(), "legs", legs);
    if (!ev || !more || json_object_update(ev, more) != 0) {
        json_decref(ev);
        ev = NULL;
    }
    json_decref(more);
    json_t *files = files_event(sealed);
    if (ev && files) {
        json_object_set(ev, "files", files);
    }
    json_decref(files);
    if (ev && sealed->put_off) {
        json_object_set_new(ev, "encoding", json_string("pending"));
    }
    return ev;
}
