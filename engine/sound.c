/*
 * sound: meter, losses, signs of life, and the alarm about their absence. Writer thread.
 */
#include "engine/sound.h"

#include <jansson.h>
#include <string.h>

#include "common/log.h"
#include "engine/queue.h"

/* The alarm is due within its time: two of the writer's steps before it is over. */
#define SOON_NS (250 * SLR_NS_PER_MS)
#define SEQ_CYCLE 0x10000
#define EARLY_PACKETS 16

const char *slr_silence_name(enum slr_silence_cause cause)
{
    static const char *const name[] = {"none", "no-packets", "no-audio", "comfort-only",
                                       "undecodable"};
    return name[cause];
}

/* Frames of the track that lie in [start, end); false: none. */
static bool frames_of(const struct slr_track *t, int64_t start_ticks, int64_t end_ticks,
                      uint32_t *from, uint32_t *count)
{
    int64_t tpf = slr_ticks_per_frame(&t->shape);
    int64_t first = slr_floor_div(start_ticks, tpf) - t->first_frame;
    int64_t last = slr_floor_div(end_ticks, tpf) - t->first_frame;
    first = first < 0 ? 0 : first;
    last = last > (int64_t)t->frames ? (int64_t)t->frames : last;
    *from = (uint32_t)first;
    *count = last > first ? (uint32_t)(last - first) : 0;
    return *count > 0;
}

static bool measure(struct slr_sound *sound, struct slr_track *t, int64_t start_ticks,
                    int64_t end_ticks)
{
    uint32_t from = 0;
    uint32_t count = 0;
    if (!frames_of(t, start_ticks, end_ticks, &from, &count)) {
        return false;
    }
    return slr_meter_put(&sound->meter, slr_track_pcm(t) + from, count, t->shape.sample_hz);
}

static bool was_down(const struct slr_session *s, int64_t from_ticks, int64_t to_ticks)
{
    int64_t a = 0;
    int64_t b = 0;
    return slr_intervals_touch(&s->downs, from_ticks, to_ticks, &a, &b);
}

/* All packets of an event stand where it began, and its end is sent again when audio has been sent
 * already (be its type known to the leg or not): such a packet comes before others that were sent
 * before it, and is counted then. */
static bool is_early(struct slr_sound *sound, const struct slr_note *n)
{
    int64_t ahead = n->seq_ext - sound->last_seq_ext - 1;
    bool audio = slr_rec_is_audio(n->flags);
    if (audio || ahead < 1 || ahead >= EARLY_PACKETS) {
        return false;
    }
    if ((sound->early >> ahead & 1u) == 0) { /* a note may go on in the next track */
        sound->early = (uint16_t)(sound->early | 1u << ahead);
        slr_loss_received(&sound->loss, n->end_ticks - n->start_ticks);
    }
    return true;
}

/* The next packet of the same stream: how many are missing before it. */
static int64_t missing_before(struct slr_sound *sound, int64_t seq_ext)
{
    int64_t missing = 0;
    for (; sound->last_seq_ext + 1 < seq_ext && sound->early != 0; sound->last_seq_ext++) {
        missing += (sound->early & 1u) == 0;
        sound->early >>= 1;
    }
    return missing + seq_ext - sound->last_seq_ext - 1;
}

static void remember_packet(struct slr_sound *sound, const struct slr_note *n)
{
    sound->last_stream_1 = n->stream + 1;
    sound->last_seq_ext = n->seq_ext;
    sound->last_end_ticks = n->end_ticks;
    sound->early >>= 1;
    for (; (sound->early & 1u) != 0; sound->early >>= 1) {
        sound->last_seq_ext++;
    }
}

/* Once a packet: the one before it on its stream says how many are missing. A hole that the engine
 * itself made says nothing of the network. */
static void count_packet(struct slr_sound *sound, const struct slr_session *s,
                         const struct slr_note *n)
{
    bool same = sound->last_stream_1 == n->stream + 1;
    int64_t dur = n->end_ticks - n->start_ticks;
    if (n->filler || (same && n->seq_ext <= sound->last_seq_ext)) {
        return;
    }
    if (same && is_early(sound, n)) {
        return;
    }
    sound->early = same ? sound->early : 0;
    int64_t missing = same ? missing_before(sound, n->seq_ext) : 0;
    missing = missing < SEQ_CYCLE ? missing : 1; /* a new sequence: stream.c */
    if (missing > 0 && !was_down(s, sound->last_end_ticks, n->start_ticks)) {
        slr_loss_missing(&sound->loss, (uint32_t)missing, dur);
    }
    slr_loss_received(&sound->loss, dur);
    remember_packet(sound, n);
}

static void note_alive(struct slr_sound *sound, int64_t at_ticks)
{
    sound->heard = true;
    sound->alive_ticks = at_ticks;
    sound->dead_ticks = sound->comfort_ticks = sound->undecoded_ticks = 0;
}

/* One packet, or what was made of none; [start, stop): as far as it lies in the track. */
static void take(struct slr_sound *sound, struct slr_track *track, const struct slr_note *n,
                 int64_t start, int64_t stop)
{
    int64_t len = stop > start ? stop - start : 0;
    switch (n->kind) {
    case SLR_SPAN_RECEIVED:
        if (measure(sound, track, n->start_ticks, n->end_ticks)) {
            note_alive(sound, stop);
        } else {
            sound->dead_ticks += len;
        }
        break;
    case SLR_SPAN_EVENT:
        note_alive(sound, stop); /* somebody presses keys */
        break;
    case SLR_SPAN_COMFORT:
        sound->comfort_ticks += len + 1;
        break;
    case SLR_SPAN_CONCEALED:
        sound->undecoded_ticks += n->filler ? 0 : len + 1; /* some have no length */
        break;
    default:
        break;
    }
}

void slr_sound_track(struct slr_sound *sound, const struct slr_session *s, struct slr_track *track)
{
    int64_t tpf = slr_ticks_per_frame(&track->shape);
    int64_t from = track->first_frame * tpf;
    int64_t end = (track->first_frame + (int64_t)track->frames) * tpf;
    for (uint32_t i = 0; i < track->note_count; i++) {
        struct slr_note n = track->note[i];
        int64_t dur = slr_note_dur(&n);
        for (uint32_t k = track->note[i].more + 1; k > 0; k--) {
            n.end_ticks = n.start_ticks + dur;
            count_packet(sound, s, &n);
            take(sound, track, &n, n.start_ticks > from ? n.start_ticks : from,
                 n.end_ticks < end ? n.end_ticks : end);
            n.start_ticks = n.end_ticks;
            n.seq_ext++;
        }
    }
}

/* Where the last interval ended; INT64_MAX: it goes on, INT64_MIN: there was none. */
static int64_t last_end(const struct slr_intervals *list)
{
    uint32_t n = atomic_load_explicit(&list->count, memory_order_acquire);
    return n ? atomic_load_explicit(&slr_intervals_at(list, n - 1)->end_ticks, memory_order_acquire)
             : INT64_MIN;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Since when silence counts: the leg's beginning, the end of a hold, a pause, a time without the
 * engine. False: it does not count now. */
static bool counts_since(const struct slr_session *s, const struct slr_leg *leg,
                         int64_t *since_ticks)
{
    int64_t pause_ns = last_end(&s->pauses_ns);
    int64_t hold = last_end(&leg->holds);
    int64_t down = last_end(&s->downs);
    int64_t since = slr_ticks_from_ns(leg->joined_ns - s->start.ns);
    bool excused = atomic_load(&s->paused) != 0 || atomic_load(&leg->holding) != 0 ||
                   hold == INT64_MAX || down == INT64_MAX || pause_ns == INT64_MAX;
    if (pause_ns != INT64_MIN && !excused) {
        since = later(since, slr_ticks_from_ns(pause_ns - s->start.ns));
    }
    *since_ticks = later(since, later(hold, down));
    return !excused;
}

/* What was there instead of sound; packets: some come. */
static enum slr_silence_cause instead(const struct slr_sound *sound, bool packets)
{
    int64_t dead = sound->dead_ticks;
    int64_t comfort = sound->comfort_ticks;
    int64_t undecoded = sound->undecoded_ticks;
    if (!packets && (comfort == 0 || dead > 0 || undecoded > 0)) {
        return SLR_SILENCE_NO_PACKETS;
    }
    if (undecoded > dead && undecoded > comfort) {
        return SLR_SILENCE_UNDECODABLE;
    }
    return comfort > dead ? SLR_SILENCE_COMFORT_ONLY : SLR_SILENCE_NO_AUDIO;
}

/* counts_ticks: where silence began to count. Times are as the leg's own clock runs behind ours. */
static enum slr_silence_cause judge(const struct slr_sound_watch *w, const struct slr_session *s,
                                    const struct slr_leg *leg, const struct slr_sound *sound,
                                    int64_t counts_ticks, slr_mono now)
{
    int64_t soon_ns = w->alarm_ns - SOON_NS;
    int64_t counts_ns = s->start.ns + slr_ns_from_ticks(counts_ticks);
    int64_t lag_ns = later(slr_ns_from_ticks(atomic_load(&slr_leg_run(leg)->lag_ticks)), 0);
    if (leg->passive && slr_leg_run(leg)->heard_ns == 0) {
        return SLR_SILENCE_NONE; /* it may be ringing yet */
    }
    if (now.ns - later(slr_leg_run(leg)->heard_ns, counts_ns) >= soon_ns) {
        bool stray = leg->stray_ns != 0 && now.ns - leg->stray_ns < w->alarm_ns;
        return stray ? SLR_SILENCE_UNDECODABLE : instead(sound, false);
    }
    int64_t alive = later(sound->heard ? sound->alive_ticks : INT64_MIN, counts_ticks);
    int64_t age_ns = now.ns - s->start.ns - slr_ns_from_ticks(alive) - lag_ns;
    int64_t known_ns = slr_ns_from_ticks(slr_session_written_ticks(s) - alive);
    bool something =
        sound->dead_ticks > 0 || sound->comfort_ticks > 0 || sound->undecoded_ticks > 0;
    int64_t enough_ns = something ? w->alarm_ns / 2 : w->alarm_ns;
    return age_ns >= soon_ns && known_ns >= enough_ns ? instead(sound, true) : SLR_SILENCE_NONE;
}

static int64_t ms_of(int64_t ticks)
{
    return slr_ns_from_ticks(ticks) / SLR_NS_PER_MS;
}

/* silent_ms: how long it was, when it is over. */
static void emit(const struct slr_sound_watch *w, const struct slr_session *s,
                 const struct slr_leg *leg, enum slr_silence_cause cause, int64_t silent_ms)
{
    json_t *ev =
        json_pack("{s:s,s:s,s:s,s:I}", "ev", cause ? "leg_silent" : "leg_audible", "session", s->id,
                  "leg", leg->id, "since_ms", (json_int_t)ms_of(leg->silence.since_ticks));
    if (ev && cause) {
        json_object_set_new(ev, "cause", json_string(slr_silence_name(cause)));
    } else if (ev) {
        json_object_set_new(ev, "silent_ms", json_integer(silent_ms));
    }
    if (ev) {
        w->sink->emit(w->sink->ctx, ev);
    }
}

static void watch_leg(const struct slr_sound_watch *w, const struct slr_session *s,
                      struct slr_leg *leg, slr_mono now)
{
    const struct slr_sound *sound = &leg->cursor.sound;
    struct slr_silence *silence = &leg->silence;
    int64_t counts_ticks = 0;
    if (atomic_load(&silence->cause) != SLR_SILENCE_NONE) {
        if (sound->heard && sound->alive_ticks > silence->since_ticks) {
            int64_t ms = ms_of(sound->alive_ticks - silence->since_ticks);
            atomic_store(&silence->cause, SLR_SILENCE_NONE);
            SLR_INFO("leg_audible", "session=%s leg=%s silent_ms=%lld", s->id, SLR_Q(leg->id),
                     (long long)ms);
            emit(w, s, leg, SLR_SILENCE_NONE, ms);
        }
        return;
    }
    if (!counts_since(s, leg, &counts_ticks)) {
        return;
    }
    enum slr_silence_cause cause = judge(w, s, leg, sound, counts_ticks, now);
    if (cause == SLR_SILENCE_NONE) {
        return;
    }
    silence->since_ticks = later(sound->heard ? sound->alive_ticks : INT64_MIN, counts_ticks);
    silence->alarms++;
    atomic_store(&silence->cause, cause);
    slr_count(&w->counters->at[SLR_CTR_SILENT_LEGS], 1);
    SLR_WARN("leg_silent", "session=%s leg=%s cause=%s since_ms=%lld", s->id, SLR_Q(leg->id),
             slr_silence_name(cause), (long long)ms_of(silence->since_ticks));
    emit(w, s, leg, cause, 0);
}

/* Whatever happens, there is no alarm of the leg before (judge: both times only grow). */
static int64_t next_ns(const struct slr_sound_watch *w, const struct slr_session *s,
                       const struct slr_leg *leg)
{
    const struct slr_sound *sound = &leg->cursor.sound;
    int64_t heard_ns = later(slr_leg_run(leg)->heard_ns, leg->joined_ns);
    int64_t alive_ns =
        sound->heard ? s->start.ns + slr_ns_from_ticks(sound->alive_ticks) : leg->joined_ns;
    return (heard_ns < alive_ns ? heard_ns : alive_ns) + w->alarm_ns - SOON_NS;
}

int64_t slr_sound_watch(const struct slr_sound_watch *w, struct slr_session *s, slr_mono now)
{
    int64_t next = INT64_MAX;
    uint32_t n = atomic_load_explicit(&s->leg_count, memory_order_acquire);
    for (uint32_t i = 0; w->alarm_ns > 0 && i < n; i++) {
        struct slr_leg *leg = &w->state->leg[atomic_load(&s->leg[i])];
        if (atomic_load_explicit(&leg->state, memory_order_acquire) == SLR_LEG_OPEN) {
            watch_leg(w, s, leg, now);
            int64_t at = next_ns(w, s, leg);
            bool on = atomic_load(&leg->silence.cause) != SLR_SILENCE_NONE;
            next = !on && at < next ? at : next;
        }
    }
    return next;
}
