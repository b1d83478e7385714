/*
 * render_voiced: the records of a leg through its voices, and what fills the place of lost ones.
 *
 * Filled is only what is known to be a gap: from the end of a payload to a record of the same
 * stream that is in the queue already, and from its beginning or not at all. Losses are filled
 * packet by packet as far as sequence numbers say that packets are missing, for up to a second, if
 * those fill the gap; if time passed without packets as well, nobody knows which part of it was
 * lost, nor whether the missing ones don't come yet, at the end of a talk pause: nothing is made
 * up then. Times without packets after a silence descriptor up to the next packet. Nothing is
 * filled where the recording was paused, the call on hold or the engine not running. What was
 * received is never changed. Writer thread.
 */
#include "engine/render.h"
#include "engine/spans.h"

#define CONCEAL_MAX_TICKS SLR_TICKS_HZ
#define COMFORT_UNIT_TICKS (SLR_TICKS_HZ / 50)
#define SEQ_CYCLE 0x10000

struct work {
    struct slr_render *r;
    struct slr_leg_voices *voices;
    int64_t from_ticks, to_ticks; /* of the track */
    int64_t limit_ticks;          /* ... and a bit beyond, where rendering ends */
    int64_t keep_ticks;           /* what ends behind that may be asked for again */
    uint32_t told, done_before;   /* what an earlier piece has done: noted so far, of how many */
};

/* What was filled by an earlier piece and reaches into this one, in its turn. */
static void tell_fillers(struct work *w, int64_t until_ticks)
{
    for (; w->told < w->done_before; w->told++) {
        const struct slr_note *done = &w->voices->done[w->told];
        if (done->start_ticks > until_ticks) {
            return;
        }
        if (done->filler) {
            slr_render_tell(w->r, done);
        }
    }
}

/* The newest record; spoke: by the voice that was got last. */
static void newest(struct work *w, uint32_t stream, int64_t seq_ext, uint8_t segment, bool spoke)
{
    if (w->voices->last_stream != stream || seq_ext > w->voices->last_seq_ext) {
        w->voices->last_stream = stream;
        w->voices->last_seq_ext = seq_ext;
        w->voices->last_segment = segment;
        w->voices->last_spoke = spoke;
    }
}

static void keep(struct work *w, const struct slr_note *note)
{
    if (note->end_ticks > w->keep_ticks) {
        slr_leg_voices_done(w->voices, note);
    }
}

/* The time of a packet, or a part of it, is filled. */
static void fill_unit(struct work *w, struct slr_voice *v, struct slr_note *note,
                      const struct slr_voice_fill *fill)
{
    note->start_ticks = v->next_ticks;
    note->end_ticks = v->next_ticks + fill->ticks;
    note->stream = v->stream;
    note->filler = true;
    note->sound = true;
    slr_voice_fill(v, w->r->track, &w->r->scratch->voice, fill);
    if (note->end_ticks > w->from_ticks) {
        slr_render_tell(w->r, note);
        keep(w, note);
    }
    newest(w, v->stream, note->seq_ext, note->segment, true);
}

/* Packet by packet; the last one before the record may be recovered from it. */
static void fill_loss(struct work *w, struct slr_voice *v, const struct slr_rec *next,
                      int64_t gap_ticks)
{
    int64_t missing = next->seq_ext - w->voices->last_seq_ext - 1;
    int64_t unit = v->unit_ticks;
    int64_t end = v->next_ticks + gap_ticks;
    while (missing > 0 && v->next_ticks < w->limit_ticks) {
        int64_t left = end - v->next_ticks;
        bool exact = left <= unit + slr_voice_tolerance_ticks(v); /* no room for more of them */
        int64_t now = exact ? left : unit;
        int64_t filled = v->filled_ticks + now;
        if (filled > CONCEAL_MAX_TICKS) {
            return;
        }
        struct slr_voice_fill fill = {.ticks = now};
        if (exact && next->pt == v->row) {
            fill.next = slr_slice_of(slr_rec_payload(next), next->len_bytes);
        }
        fill.fade = !exact && (missing == 1 || filled + unit > CONCEAL_MAX_TICKS);
        struct slr_note note = {.seq_ext = exact ? next->seq_ext - 1 : w->voices->last_seq_ext + 1,
                                .info = exact ? (uint32_t)missing : 1,
                                .segment = next->segment,
                                .kind = SLR_SPAN_CONCEALED,
                                .cause = (uint8_t)slr_spans_loss(next->flags)};
        missing -= note.info;
        fill_unit(w, v, &note, &fill);
    }
}

static void fill_comfort(struct work *w, struct slr_voice *v, const struct slr_rec *next,
                         int64_t gap_ticks)
{
    int64_t end = v->next_ticks + gap_ticks;
    while (v->next_ticks < w->limit_ticks && v->next_ticks < end) {
        int64_t left = end - v->next_ticks;
        struct slr_voice_fill fill = {.ticks =
                                          left < COMFORT_UNIT_TICKS ? left : COMFORT_UNIT_TICKS};
        struct slr_note note = {
            .seq_ext = next->seq_ext - 1, .segment = next->segment, .kind = SLR_SPAN_COMFORT};
        fill_unit(w, v, &note, &fill);
    }
}

/* Comfort noise that was sent as payload: up to the record, as far as that is known in time. */
static void make_noise(struct work *w, const struct slr_rec *next, int64_t until_ticks)
{
    struct slr_leg_voices *v = w->voices;
    struct slr_track *t = w->r->track;
    int16_t *pcm = w->r->scratch->voice.pcm;
    int64_t tpf = slr_ticks_per_frame(&t->shape);
    while (v->noise_ticks < w->limit_ticks && v->noise_ticks < until_ticks) {
        int64_t left = until_ticks - v->noise_ticks;
        int64_t now = left < COMFORT_UNIT_TICKS ? left : COMFORT_UNIT_TICKS;
        struct slr_note note = {.start_ticks = v->noise_ticks,
                                .end_ticks = v->noise_ticks + now,
                                .seq_ext = next->seq_ext - 1,
                                .stream = v->noise_stream,
                                .segment = next->segment,
                                .kind = SLR_SPAN_COMFORT,
                                .filler = true,
                                .sound = true};
        int64_t first = slr_floor_div(note.start_ticks, tpf);
        uint32_t n = (uint32_t)(slr_floor_div(note.end_ticks, tpf) - first);
        slr_comfort_make(&v->comfort, pcm, n);
        slr_track_put_pcm(t, first, pcm, n);
        v->noise_ticks = note.end_ticks;
        if (note.end_ticks > w->from_ticks) {
            slr_render_tell(w->r, &note);
            keep(w, &note);
        }
    }
}

/* Is the time one where nothing must be heard? */
static bool is_silent(const struct work *w, int64_t start, int64_t end)
{
    const struct slr_leg *leg = &w->r->state->leg[w->r->leg_index];
    const struct slr_session *s = w->r->session;
    int64_t corr = w->r->corr_ticks;
    int64_t margin = SLR_DOWN_MARGIN_TICKS;
    int64_t a = 0;
    int64_t b = 0;
    return slr_intervals_touch(&leg->pauses, start, end, &a, &b) ||
           slr_intervals_touch(&leg->holds, start + corr, end + corr, &a, &b) ||
           slr_intervals_touch(&s->downs, start + corr - margin, end + corr + margin, &a, &b);
}

/* Nothing is known of the time before it. */
static bool stands_apart(const struct work *w, const struct slr_rec *rec)
{
    return (rec->flags & SLR_REC_SUPPRESSED) ||
           slr_rec_parts(rec->flags, rec->segment, w->voices->last_segment);
}

/* Fills the time from the end of what the voice said to the record, if that is in order. */
static void fill_gap(struct work *w, struct slr_voice *v, const struct slr_render_item *next)
{
    const struct slr_rec *rec = next->rec;
    uint32_t stream = slr_rec_stream(rec);
    const struct slr_codec *codec = v->use.codec;
    if (!v->running || !codec->conceal || !w->voices->last_spoke || v->stream != stream ||
        w->voices->last_stream != stream || stands_apart(w, rec) || v->unit_ticks == 0 ||
        next->ticks <= v->next_ticks || slr_voice_continues(v, next->ticks) ||
        w->voices->last_seq_ext >= rec->seq_ext || is_silent(w, v->next_ticks, next->ticks)) {
        return;
    }
    int64_t missing = rec->seq_ext - w->voices->last_seq_ext - 1;
    int64_t gap_ticks = next->ticks - v->next_ticks;
    int64_t more_ticks = (missing + 1) * v->unit_ticks - slr_voice_tolerance_ticks(v);
    if (missing == 0 && v->comfort) {
        fill_comfort(w, v, rec, gap_ticks);
    } else if (missing > 0 && missing < SEQ_CYCLE && (v->comfort || gap_ticks < more_ticks)) {
        fill_loss(w, v, rec, gap_ticks);
    }
}

/* The time since comfort noise was told ends with this record, or goes on if that says so. */
static void follow_noise(struct work *w, const struct slr_render_item *next)
{
    struct slr_leg_voices *v = w->voices;
    const struct slr_rec *rec = next->rec;
    uint32_t stream = slr_rec_stream(rec);
    if (stream == v->noise_stream && !stands_apart(w, rec) && rec->seq_ext == v->last_seq_ext + 1 &&
        v->last_stream == stream && next->ticks > v->noise_ticks &&
        !is_silent(w, v->noise_ticks, next->ticks)) {
        make_noise(w, rec, next->ticks);
    }
}

static void take_noise(struct work *w, const struct slr_render_item *item)
{
    struct slr_leg_voices *v = w->voices;
    const struct slr_rec *rec = item->rec;
    if (!w->r->comfort_noise || item->ticks < v->noise_ticks) {
        return;
    }
    if (v->noise_ticks == 0) {
        slr_comfort_reset(&v->comfort, (uint32_t)rec->seq_ext);
    }
    struct slr_slice payload = slr_slice_of(slr_rec_payload(rec), rec->len_bytes);
    v->noisy = slr_comfort_take(&v->comfort, payload) == SLR_OK;
    v->noise_ticks = item->ticks;
    v->noise_stream = slr_rec_stream(rec);
}

static void failed(struct work *w, struct slr_voice *v, const struct slr_render_item *item,
                   struct slr_note *note)
{
    note->kind = SLR_SPAN_CONCEALED;
    if (slr_voice_continues(v, item->ticks) && v->use.codec->conceal) {
        struct slr_voice_fill fill = {.ticks = item->rec->dur_ticks};
        slr_voice_fill(v, w->r->track, &w->r->scratch->voice, &fill);
        note->sound = true;
    }
}

/* False: it should have been decoded before others that were already. */
static bool decode(struct work *w, const struct slr_render_item *item, struct slr_note *note)
{
    const struct slr_rec *rec = item->rec;
    struct slr_voice *v = NULL;
    enum slr_err err = slr_leg_voices_get(w->voices, &w->r->codecs->use[rec->pt], note->stream,
                                          rec->pt, w->r->track, &w->r->scratch->voice, &v);
    if (err == SLR_NOMEM) {
        w->r->track->overflow = true;
        return true;
    }
    if (err != SLR_OK) {
        note->kind = SLR_SPAN_CONCEALED;
        return true;
    }
    if (item->ticks < v->last_ticks || (v->filled_ticks > 0 && item->ticks < v->next_ticks &&
                                        !slr_voice_continues(v, item->ticks))) {
        return false;
    }
    struct slr_slice payload = slr_slice_of(slr_rec_payload(rec), rec->len_bytes);
    err = slr_voice_decode(v, w->r->track, &w->r->scratch->voice, item->ticks, payload);
    note->sound = err == SLR_OK;
    if (err != SLR_OK) {
        failed(w, v, item, note);
    } else if (v->comfort) {
        note->kind = SLR_SPAN_COMFORT;
    }
    return true;
}

/* One record; notes go to the track in order of start. False: as decode. */
static bool take_item(struct work *w, const struct slr_render_item *item)
{
    struct slr_render *r = w->r;
    const struct slr_rec *rec = item->rec;
    bool here = item->ticks + rec->dur_ticks > w->from_ticks ||
                (rec->dur_ticks == 0 && item->ticks >= w->from_ticks);
    uint32_t stream = slr_rec_stream(rec);
    tell_fillers(w, item->ticks);
    struct slr_note note = slr_render_note(item);
    const struct slr_note *done = slr_leg_voices_find(w->voices, stream, rec->seq_ext, item->ticks);
    if (!done && slr_leg_voices_last(w->voices)) {
        fill_gap(w, slr_leg_voices_last(w->voices), item);
    }
    bool fresh = w->voices->last_stream != stream || rec->seq_ext > w->voices->last_seq_ext;
    if (w->voices->noisy && fresh) {
        follow_noise(w, item);
        w->voices->noisy = false;
    }
    bool spoke = done != NULL;
    if (done) {
        note = *done;
    } else if (note.kind == SLR_SPAN_RECEIVED) {
        if (!slr_voice_needed(&r->codecs->use[rec->pt], r->track->shape.sample_hz)) {
            note.sound = slr_render_direct(r, item);
            if (fresh) {
                slr_leg_voices_pass(w->voices, stream);
            }
            note.kind = note.sound ? SLR_SPAN_RECEIVED : SLR_SPAN_CONCEALED;
        } else if (!decode(w, item, &note)) {
            return false;
        } else {
            keep(w, &note);
            spoke = true;
        }
    } else if (note.kind == SLR_SPAN_EVENT) {
        note.sound = slr_render_event(r, item);
    } else if (note.kind == SLR_SPAN_COMFORT) {
        take_noise(w, item);
    }
    newest(w, stream, rec->seq_ext, rec->segment, spoke);
    if (here) {
        slr_render_tell(r, &note);
    }
    return true;
}

/* After the last record: what is known to follow, and the ends of runs that don't reach on. */
static void end_track(struct work *w)
{
    struct slr_render *r = w->r;
    int64_t end_frame = r->track->first_frame + (int64_t)r->track->frames;
    struct slr_voice *v = slr_leg_voices_last(w->voices);
    tell_fillers(w, INT64_MAX);
    if (v && r->scratch->next.rec) {
        fill_gap(w, v, &r->scratch->next);
    }
    if (w->voices->noisy && r->scratch->next.rec) {
        follow_noise(w, &r->scratch->next);
    }
    w->voices->noisy = w->voices->noisy && w->voices->noise_ticks >= w->to_ticks;
    for (uint32_t i = 0; i < SLR_LEG_VOICES && w->voices->voice[i]; i++) {
        if (w->voices->voice[i]->next_frame < end_frame) {
            slr_voice_end(w->voices->voice[i], r->track, &r->scratch->voice);
        }
    }
}

/* False: as decode. */
static bool render_all(struct work *w, bool resumed)
{
    struct slr_render *r = w->r;
    int64_t from = w->from_ticks - (resumed ? 0 : SLR_PREROLL_TICKS);
    w->told = 0;
    w->done_before = w->voices->done_count;
    if (!slr_render_collect(r, from, w->limit_ticks)) {
        r->track->overflow = true;
        return true;
    }
    for (uint32_t i = 0; i < r->scratch->count; i++) {
        if (!take_item(w, &r->scratch->item[i])) {
            return false;
        }
    }
    end_track(w);
    return true;
}

void slr_render_voiced(struct slr_render *r)
{
    struct slr_track *t = r->track;
    struct slr_leg_voices *voices = *r->voices;
    int64_t tpf = slr_ticks_per_frame(&t->shape);
    struct work w = {.r = r, .voices = voices, .from_ticks = t->first_frame * tpf};
    w.to_ticks = w.from_ticks + (int64_t)t->frames * tpf;
    w.limit_ticks = w.to_ticks + SLR_LOOKAHEAD_TICKS;
    w.keep_ticks = w.to_ticks - (int64_t)slr_leg_voices_back_frames(&t->shape) * tpf;
    slr_track_look_ahead(t);
    if (!render_all(&w, slr_leg_voices_resume(voices, t))) {
        slr_count(&r->counters->at[SLR_CTR_DECODED_AGAIN], 1);
        slr_leg_voices_drop(voices);
        slr_track_begin(t, &t->shape, t->first_frame, t->frames);
        slr_track_look_ahead(t);
        (void)render_all(&w, false); /* in order of position by now */
    }
    t->overflow |= slr_leg_voices_keep(voices, t) != SLR_OK;
}
