/*
 * tracker: see tracker.h. Owned by the signalling thread; allocates a record per dialog.
 *
 * A call is known by its Call-ID, so that the same message seen on several hops counts once. Each
 * party's last session description says where it receives: the caller's voice goes to the callee's
 * address and the other way round. Once both are known, the session is opened.
 */
#include "ctl/tracker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base64.h"
#include "common/json.h"
#include "common/log.h"
#include "ctl/calls.h"
#include "ctl/core_int.h"
#include "ctl/track_msg.h"

#define KEEP_CLOSED_NS (64 * SLR_NS_PER_S) /* retransmissions on other hops end by then */
#define KEEP_UNANSWERED_NS (300 * SLR_NS_PER_S)
#define SWEEP_EVERY 1024

enum track_state { TRACK_SETUP, TRACK_OPEN, TRACK_CLOSED };

/* One party's receiving side; index 0 the caller, 1 the callee. */
struct party {
    struct slr_sdp_media media; /* of the committed description */
    bool known;
    struct slr_sdp_media offer; /* re-INVITE's, until it is answered */
    uint32_t offer_cseq;
    bool offered;
};

struct track_call {
    char call_id[SLR_TRACK_TEXT_SIZE];
    char caller_tag[SLR_TRACK_TEXT_SIZE];
    char user[2][64];
    char session[SLR_ID_SIZE];
    enum track_state state;
    bool shared; /* its media belongs to another call's recording */
    bool confirmed;
    int64_t touched_ns;
    struct party party[2];
};

struct slr_tracker {
    struct slr_core *core;
    struct slr_table calls;    /* Call-ID -> struct track_call, owned */
    struct slr_table sessions; /* recording id -> the same */
    struct slr_table media;    /* "dst|dst" -> the open call that holds this media */
    uint32_t messages;
    int64_t now_ns; /* wall time of the newest message seen */
    uint8_t raw[SLR_TRACK_MESSAGE_MAX_BYTES];
};

static void on_answer(void *ctx, enum slr_err result, const json_t *answer)
{
    struct slr_tracker *t = ctx;
    (void)answer;
    (void)result; /* a refusal was counted and logged by the link */
    if (t->core->tracker_pending > 0) {
        t->core->tracker_pending--;
    }
    if (t->core->tracker_pending == 0) {
        slr_events_ack(t->core);
    }
}

static void command(struct slr_tracker *t, json_t *cmd)
{
    enum slr_err err = slr_link_send(t->core->link, cmd, SLR_LINK_KEEP, 0, on_answer, t);
    if (err == SLR_OK) {
        t->core->tracker_pending++;
    } else {
        SLR_ERROR("command_lost", "err=%s", slr_err_name(err));
    }
}

/* First audio line in use. */
static const struct slr_sdp_media *audio_of(const struct slr_sdp *sdp)
{
    for (uint8_t i = 0; sdp && i < sdp->media_count; i++) {
        const struct slr_sdp_media *m = &sdp->media[i];
        if (m->port != 0 && slr_slice_eq_nocase(slr_slice_str(m->kind), "audio") &&
            strncmp(m->proto, "RTP/", 4) == 0) {
            return m;
        }
    }
    return NULL;
}

static bool is_same_media(const struct slr_sdp_media *a, const struct slr_sdp_media *b)
{
    return slr_addr_eq(&a->addr, &b->addr);
}

static bool is_same_codec(const struct slr_sdp_codec *a, const struct slr_sdp_codec *b)
{
    return a->pt == b->pt && a->clock_hz == b->clock_hz && a->channels == b->channels &&
           strcasecmp(a->name, b->name) == 0 && strcmp(a->fmtp, b->fmtp) == 0;
}

static bool is_same_codecs(const struct slr_sdp_media *a, const struct slr_sdp_media *b)
{
    bool same = a->codec_count == b->codec_count;
    for (uint8_t i = 0; same && i < a->codec_count; i++) {
        same = is_same_codec(&a->codec[i], &b->codec[i]);
    }
    return same;
}

static bool is_same_crypto(const struct slr_sdp_media *a, const struct slr_sdp_media *b)
{
    return slr_sdp_media_secure(a) == slr_sdp_media_secure(b) &&
           a->crypto_count == b->crypto_count &&
           memcmp(a->crypto, b->crypto, sizeof a->crypto) == 0;
}

/* Names the media of a call by its two receiving addresses, in an order that does not depend on
 * who called whom. False while one is unknown. */
static bool media_key(const struct track_call *c, char *out, size_t size_bytes)
{
    char text[2][SLR_ADDR_TEXT_SIZE];
    for (int i = 0; i < 2; i++) {
        if (!c->party[i].known || c->party[i].media.addr.family == 0) {
            return false;
        }
        slr_addr_format(&c->party[i].media.addr, text[i]);
    }
    int first = strcmp(text[0], text[1]) <= 0 ? 0 : 1;
    (void)snprintf(out, size_bytes, "%s|%s", text[first], text[1 - first]);
    return true;
}

/* Every codec that has a name: whether it can be decoded is the engine's to say. */
static json_t *codecs_of(const struct slr_sdp_media *m)
{
    json_t *list = json_array();
    for (uint8_t i = 0; list && i < m->codec_count; i++) {
        const struct slr_sdp_codec *c = &m->codec[i];
        bool fits = c->name[0] && strlen(c->name) < SLR_CALLS_CODEC_NAME_SIZE &&
                    c->clock_hz >= 1000 && c->clock_hz <= 192000 && c->channels >= 1 &&
                    c->channels <= 8;
        if (fits && json_array_size(list) < SLR_CALLS_CODECS_MAX) {
            (void)json_array_append_new(list, slr_calls_codec(c));
        }
    }
    return list;
}

/* The line with the key that party i sends under: an answer names the one of the offer it took. */
static const struct slr_sdp_crypto *crypto_of(const struct track_call *c, int i)
{
    const struct slr_sdp_media *own = &c->party[i].media, *other = &c->party[1 - i].media;
    const struct slr_sdp_crypto *line = NULL;
    if (slr_sdp_media_secure(own) && own->crypto_count > 1 && other->crypto_count == 1) {
        line = slr_sdp_crypto_tagged(own->crypto, own->crypto_count, other->crypto[0].tag);
    }
    return line ? line : slr_sdp_media_crypto(own);
}

/* Does the signalling say that party i's voice is not sent? Either it says so itself, or the other
 * one wants nothing. */
static bool voice_held(const struct track_call *c, int i)
{
    const struct slr_sdp_media *own = &c->party[i].media, *to = &c->party[1 - i].media;
    return own->dir == SLR_SDP_RECVONLY || own->dir == SLR_SDP_INACTIVE || to->zero_addr ||
           to->dir == SLR_SDP_SENDONLY || to->dir == SLR_SDP_INACTIVE;
}

/* The leg of party i: its voice travels to where the other one receives. */
static json_t *leg_command(const struct track_call *c, const char *name, int i)
{
    char dst[SLR_ADDR_TEXT_SIZE];
    const struct slr_sdp_media *to = &c->party[1 - i].media;
    slr_addr_format(&to->addr, dst);
    json_t *cmd = json_pack("{s:s, s:s, s:s, s:s, s:o, s:b, s:{s:s, s:s}}", "cmd", name, "session",
                            c->session, "leg", i == 0 ? "caller" : "callee", "dn", c->user[i],
                            "codecs", codecs_of(to), "hold", (int)voice_held(c, i), "passive",
                            "dst", dst, "src_ip", "");
    if (cmd && slr_sdp_media_secure(&c->party[i].media)) {
        const struct slr_sdp_crypto *line = crypto_of(c, i);
        json_object_set_new(cmd, "srtp", slr_sdp_crypto_json(line));
        json_object_set_new(cmd, "srtp_unknown", json_boolean(line == NULL));
    } else if (cmd) {
        json_object_set_new(cmd, "srtp", json_array());
    }
    if (cmd && strcmp(name, "leg_open") == 0) {
        json_object_set_new(cmd, "channel", json_integer(i));
        json_object_set_new(cmd, "family", json_integer(to->addr.family == 6 ? 6 : 4));
        json_object_set_new(cmd, "ptime_ms", json_integer(to->ptime_ms));
    }
    return cmd;
}

static void store_open(struct slr_tracker *t, const struct track_call *c, json_t *meta)
{
    json_t *record = json_pack("{s:s, s:s, s:s, s:i, s:I, s:[s, s], s:O, s:s}", "id", c->session,
                               "call", c->call_id, "state", "open", "channels", 2, "start_wall_ns",
                               (json_int_t)slr_core_now(t->core).ns, "dns", c->user[0], c->user[1],
                               "meta", meta, "engine", t->core->engine_id);
    slr_core_stored(
        t->core, record ? slr_store_put_recording(t->core->store, record, NULL, NULL) : SLR_NOMEM,
        "recording");
}

static bool claim(struct slr_tracker *t, struct track_call *c)
{
    char key[2 * SLR_ADDR_TEXT_SIZE + 2];
    if (!media_key(c, key, sizeof key)) {
        return false;
    }
    const struct track_call *holder = slr_table_get(&t->media, key);
    if (holder && holder != c) {
        c->shared = true;
        slr_core_count(t->core, SLR_CORE_M_TRACKED_SAME_MEDIA);
        SLR_INFO("tracked_same_media", "call_id=%s of=%s", SLR_Q(c->call_id),
                 SLR_Q(holder->call_id));
        return false;
    }
    return slr_table_put(&t->media, key, c) == SLR_OK;
}

static void unclaim(struct slr_tracker *t, const struct track_call *c)
{
    char key[2 * SLR_ADDR_TEXT_SIZE + 2];
    if (media_key(c, key, sizeof key) && slr_table_get(&t->media, key) == c) {
        (void)slr_table_take(&t->media, key);
    }
}

static void open_session(struct slr_tracker *t, struct track_call *c)
{
    if (!claim(t, c)) {
        return;
    }
    slr_idgen_next(&t->core->idgen, slr_core_now(t->core), c->session);
    if (slr_table_put(&t->sessions, c->session, c) != SLR_OK) {
        return;
    }
    c->state = TRACK_OPEN;
    slr_core_count(t->core, SLR_CORE_M_TRACKED_CALLS);
    char id[SLR_RECURI_ID_SIZE];
    (void)slr_slice_to_str(slr_slice_str(c->call_id), id, sizeof id); /* cut to the seam's limit */
    json_t *meta = json_pack("{s:b, s:s, s:s, s:s}", "passive", 1, "sip_call_id", c->call_id,
                             "from", c->user[0], "to", c->user[1]);
    if (meta) {
        store_open(t, c, meta);
    }
    json_t *cmd = json_pack("{s:s, s:s, s:s, s:i, s:i, s:o, s:I}", "cmd", "session_open", "session",
                            c->session, "call", id, "channels", 2, "reserve", 2, "meta", meta,
                            "start_wall_ns", (json_int_t)t->now_ns);
    if (cmd) {
        slr_calls_put_output(t->core->cfg, cmd);
    }
    command(t, cmd);
    command(t, leg_command(c, "leg_open", 0));
    command(t, leg_command(c, "leg_open", 1));
}

static void close_session(struct slr_tracker *t, struct track_call *c, const char *reason)
{
    if (c->state == TRACK_OPEN) {
        unclaim(t, c);
        command(t, json_pack("{s:s, s:s, s:s}", "cmd", "session_close", "session", c->session,
                             "reason", reason));
    }
    c->state = TRACK_CLOSED;
}

/* A party's description was agreed upon. */
static void commit(struct slr_tracker *t, struct track_call *c, int i,
                   const struct slr_sdp_media *media)
{
    struct party *p = &c->party[i];
    bool rekeyed = p->known && !is_same_crypto(&p->media, media);
    bool turned = p->known && p->media.dir != media->dir;
    bool moved = p->known && (rekeyed || turned || !is_same_media(&p->media, media) ||
                              slr_sdp_media_held(&p->media) != slr_sdp_media_held(media) ||
                              !is_same_codecs(&p->media, media));
    if (c->state == TRACK_CLOSED || c->shared) {
        return;
    }
    if (p->known && !moved) {
        return; /* the same on another hop, or once more */
    }
    if (p->known && c->state == TRACK_OPEN) {
        unclaim(t, c);
    }
    /* hold by a zero address leaves the media where it was: nothing will be sent there */
    struct slr_addr before = p->media.addr;
    bool had = p->known;
    p->media = *media;
    p->known = true;
    if (had && media->addr.family == 0) {
        p->media.addr = before;
    }
    if (c->state == TRACK_OPEN) {
        (void)claim(t, c);
        c->shared = false; /* it has its recording */
        command(t, leg_command(c, "leg_update", 1 - i));
        if (rekeyed || turned) { /* keys, and whether it is sent, are of its own voice */
            command(t, leg_command(c, "leg_update", i));
        }
    } else if (c->party[0].known && c->party[1].known) {
        open_session(t, c);
    }
}

static struct track_call *new_call(struct slr_tracker *t, const struct slr_track_msg *m)
{
    if (t->calls.count >= SLR_TRACKER_DIALOGS_MAX) {
        slr_core_count(t->core, SLR_CORE_M_TRACKED_FULL);
        return NULL;
    }
    struct track_call *c = calloc(1, sizeof(*c));
    if (!c || slr_table_put(&t->calls, m->call_id, c) != SLR_OK) {
        free(c);
        return NULL;
    }
    memcpy(c->call_id, m->call_id, sizeof c->call_id);
    memcpy(c->caller_tag, m->from_tag, sizeof c->caller_tag);
    memcpy(c->user[0], m->from_user, sizeof c->user[0]);
    memcpy(c->user[1], m->to_user, sizeof c->user[1]);
    return c;
}

/* Which party sent a message: requests come from their From, answers from their To. */
static int sender_of(const struct track_call *c, const struct slr_track_msg *m)
{
    bool caller = strcmp(m->from_tag, c->caller_tag) == 0;
    return m->status == 0 ? (caller ? 0 : 1) : (caller ? 1 : 0);
}

static void on_offer(struct track_call *c, const struct slr_track_msg *m)
{
    const struct slr_sdp_media *audio = audio_of(m->sdp);
    struct party *p = &c->party[sender_of(c, m)];
    p->offered = audio != NULL;
    p->offer_cseq = m->cseq;
    if (audio) {
        p->offer = *audio;
    }
}

/* Answers to INVITE and UPDATE. Before the first 2xx an 18x with a description is early media. */
static void on_response(struct slr_tracker *t, struct track_call *c, const struct slr_track_msg *m)
{
    int answerer = sender_of(c, m);
    struct party *offerer = &c->party[1 - answerer];
    const struct slr_sdp_media *audio = audio_of(m->sdp);
    if (m->status >= 300) {
        offerer->offered = offerer->offered && offerer->offer_cseq != m->cseq;
        /* a challenge is answered by a new INVITE; any other end of an unconfirmed call is one */
        if (!c->confirmed && m->status != 401 && m->status != 407 && m->status < 700 &&
            m->method == SLR_TRACK_INVITE && c->state == TRACK_OPEN) {
            close_session(t, c, "rejected");
        }
        return;
    }
    if (m->status >= 200 && m->method == SLR_TRACK_INVITE) {
        c->confirmed = true;
    }
    if (m->status < 180 || !audio) {
        return;
    }
    if (offerer->offered && offerer->offer_cseq == m->cseq) {
        struct slr_sdp_media offer = offerer->offer;
        offerer->offered = m->status < 200; /* the final answer uses it up */
        commit(t, c, 1 - answerer, &offer);
        explicit_bzero(offer.crypto, sizeof offer.crypto);
    }
    commit(t, c, answerer, audio);
}

static void on_request(struct slr_tracker *t, struct track_call *c, const struct slr_track_msg *m)
{
    switch (m->method) {
    case SLR_TRACK_INVITE:
    case SLR_TRACK_UPDATE:
        on_offer(c, m);
        break;
    case SLR_TRACK_ACK:
        if (audio_of(m->sdp)) { /* the answer to an offer that came in the 200 */
            commit(t, c, sender_of(c, m), audio_of(m->sdp));
        }
        break;
    case SLR_TRACK_BYE:
        close_session(t, c, "bye");
        break;
    case SLR_TRACK_CANCEL: /* its 487 ends the call */
    case SLR_TRACK_OTHER:
        break;
    }
}

static void free_call(void *call)
{
    struct track_call *c = call;
    if (c) {
        explicit_bzero(c->party, sizeof c->party); /* keys */
        free(c);
    }
}

struct sweep {
    struct slr_tracker *t;
    int64_t now_ns;
};

static void forget(struct slr_tracker *t, struct track_call *c)
{
    if (c->session[0]) {
        (void)slr_table_take(&t->sessions, c->session);
    }
    (void)slr_table_take(&t->calls, c->call_id);
    free_call(c);
}

static void sweep_one(void *ctx, void *value)
{
    const struct sweep *s = ctx;
    struct track_call *c = value;
    int64_t age_ns = s->now_ns - c->touched_ns;
    bool setup = c->state == TRACK_SETUP && !c->shared;
    if ((c->state == TRACK_CLOSED && age_ns > KEEP_CLOSED_NS) ||
        (setup && age_ns > KEEP_UNANSWERED_NS)) {
        forget(s->t, c);
    }
}

static void look_at(struct slr_tracker *t, const struct slr_track_msg *m)
{
    struct track_call *c = slr_table_get(&t->calls, m->call_id);
    if (!c && m->status == 0 && m->method == SLR_TRACK_INVITE) {
        c = new_call(t, m);
    }
    if (!c) {
        return;
    }
    c->touched_ns = slr_core_now(t->core).ns;
    if (m->status == 0) {
        on_request(t, c, m);
    } else if (m->method == SLR_TRACK_INVITE || m->method == SLR_TRACK_UPDATE) {
        on_response(t, c, m);
    }
}

static void take_data(struct slr_tracker *t, const char *data)
{
    struct slr_track_msg m;
    size_t len_bytes = 0;
    bool good = data && slr_base64_decode(data, t->raw, sizeof t->raw, &len_bytes) == SLR_OK &&
                slr_track_msg_read(slr_slice_of(t->raw, len_bytes), &m) == SLR_OK;
    explicit_bzero(t->raw, len_bytes);
    if (!good) {
        slr_core_count(t->core, SLR_CORE_M_TRACKED_BAD);
        return;
    }
    look_at(t, &m);
    slr_track_msg_fini(&m);
    if (++t->messages % SWEEP_EVERY == 0) {
        struct sweep s = {.t = t, .now_ns = slr_core_now(t->core).ns};
        slr_table_each(&t->calls, sweep_one, &s);
    }
}

/* An event whose message has media keys: the event has none, the engine is asked for them. */
struct asking {
    struct slr_tracker *t;
    json_t *event;
};

static void on_data(void *ctx, enum slr_err result, const json_t *answer)
{
    struct asking *a = ctx;
    const char *data = result == SLR_OK ? slr_json_str(answer, "data") : NULL;
    if (result != SLR_CLOSED) {
        take_data(a->t, data ? data : slr_json_str(a->event, "data"));
    }
    on_answer(a->t, result, NULL);
    json_decref(a->event);
    free(a);
}

static bool ask_data(struct slr_tracker *t, const json_t *event)
{
    struct asking *a = calloc(1, sizeof *a);
    json_t *cmd =
        json_pack("{s:s, s:I}", "cmd", "sip_data", "n", (json_int_t)slr_json_i64(event, "n", 0));
    if (!a || !cmd) {
        free(a);
        json_decref(cmd);
        return false;
    }
    *a = (struct asking){t, json_deep_copy(event)};
    if (slr_link_send(t->core->link, cmd, SLR_LINK_KEEP, 0, on_data, a) != SLR_OK) {
        json_decref(a->event);
        free(a);
        return false;
    }
    t->core->tracker_pending++;
    return true;
}

void slr_tracker_take(struct slr_tracker *t, const json_t *event)
{
    slr_core_count(t->core, SLR_CORE_M_TRACKED_MESSAGES);
    t->now_ns = slr_json_i64(event, "wall_ns", slr_core_now(t->core).ns);
    if (!slr_json_bool(event, "keys", false) || !ask_data(t, event)) {
        take_data(t, slr_json_str(event, "data"));
    }
}

/* Recordings open at the end of the capture are closed in the order they were opened: the same
 * capture gives the same commands. */
static int by_session(const void *a, const void *b)
{
    const struct track_call *x = *(struct track_call *const *)a;
    const struct track_call *y = *(struct track_call *const *)b;
    return strcmp(x->session, y->session);
}

struct gather {
    struct track_call **call;
    size_t count;
};

static void gather_open(void *ctx, void *value)
{
    struct gather *g = ctx;
    struct track_call *c = value;
    if (c->state == TRACK_OPEN) {
        g->call[g->count++] = c;
    }
}

void slr_tracker_finish(struct slr_tracker *t)
{
    struct gather g = {.call = calloc(t->sessions.count + 1, sizeof(struct track_call *))};
    if (!g.call) {
        SLR_ERROR("tracker_finish", "err=%s", slr_err_name(SLR_NOMEM));
        return;
    }
    slr_table_each(&t->sessions, gather_open, &g);
    qsort(g.call, g.count, sizeof(struct track_call *), by_session);
    for (size_t i = 0; i < g.count; i++) {
        close_session(t, g.call[i], "eof");
    }
    free(g.call);
}

bool slr_tracker_has(const struct slr_tracker *t, const char *session)
{
    return t && slr_table_get(&t->sessions, session) != NULL;
}

enum slr_err slr_tracker_open(struct slr_core *core, struct slr_tracker **out)
{
    struct slr_tracker *t = calloc(1, sizeof(*t));
    if (!t) {
        return SLR_NOMEM;
    }
    t->core = core;
    *out = t;
    return SLR_OK;
}

void slr_tracker_close(struct slr_tracker *t)
{
    if (!t) {
        return;
    }
    slr_table_fini(&t->media, NULL);
    slr_table_fini(&t->sessions, NULL);
    slr_table_fini(&t->calls, free_call);
    free(t);
}
