/*
 * sip_invite: the INVITE of a new dialog: what it says, which call it joins, and the commands to
 * the engine. The answer follows in sip_answer.c. Signalling thread; allocates the dialog, the
 * call and what is read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/json.h"
#include "common/log.h"
#include "ctl/sip_int.h"
#include "ctl/text.h"

/* What is known of one INVITE while it is being looked at. */
struct plan {
    const sip_t *msg;
    nta_incoming_t *irq;
    su_home_t home[1];
    struct slr_sip_body body;
    struct slr_recuri uri;
    struct slr_siprec meta;
    bool has_meta;
    struct slr_sdp *media; /* the offer, or what we would offer ourselves; owned until moved */
    bool delayed;          /* no offer was sent */
    char key[SLR_RECURI_KEY_SIZE];
    char dn[SLR_SDP_MEDIA_MAX][SLR_RECURI_DN_SIZE];
    uint32_t usable;
    int status;
};

struct slr_invite *slr_invite_new(struct slr_sip *sip, struct slr_dialog *d, nta_incoming_t *irq)
{
    struct slr_invite *inv = calloc(1, sizeof(*inv));
    if (!inv) {
        return NULL;
    }
    inv->sip = sip;
    inv->dialog = d;
    inv->irq = irq;
    inv->deadline_ns = slr_clock_mono(slr_clock_real()).ns + SLR_CORE_ANSWER_MS * SLR_NS_PER_MS;
    for (uint8_t i = 0; i < SLR_SDP_MEDIA_MAX; i++) {
        inv->wait[i] = (struct slr_invite_wait){.invite = inv, .line = i};
    }
    inv->next = sip->invites;
    sip->invites = inv;
    d->invite = inv;
    return inv;
}

bool slr_invite_release(struct slr_invite *inv)
{
    if (inv->pending > 0) {
        inv->pending--;
    }
    if (!inv->over || inv->pending > 0) {
        return true;
    }
    for (struct slr_invite **at = &inv->sip->invites; *at; at = &(*at)->next) {
        if (*at == inv) {
            *at = inv->next;
            break;
        }
    }
    slr_sdp_free(inv->offer);
    free(inv);
    return false;
}

struct slr_sdp *slr_sip_read_sdp(struct slr_sip *sip, struct slr_slice text, enum slr_err *err)
{
    struct slr_sdp *sdp = calloc(1, sizeof(*sdp));
    *err = sdp ? slr_sdp_read(text, sdp) : SLR_NOMEM;
    if (*err != SLR_OK) {
        slr_sdp_free(sdp);
        return NULL;
    }
    if (sdp->repair_count > 0) {
        slr_count(&sip->core->counter[SLR_CORE_M_SDP_REPAIRS], sdp->repair_count);
    }
    slr_sdp_limit(sdp, &sip->core->limit);
    return sdp;
}

/* What we offer to an INVITE without a description, read back as if the peer had sent it. */
static struct slr_sdp *own_offer(struct slr_sip *sip)
{
    char text[1024];
    struct slr_sdp_local local = {.taken = true, .ip = "0.0.0.0", .family = 4, .port = 9};
    struct slr_sdp_session session = {.id = 1, .version = 1, .ip = "0.0.0.0", .family = 4};
    struct slr_put put = slr_put_of(text, sizeof text);
    enum slr_err err = slr_sdp_write_offer(&local, &session, &sip->core->limit, &put);
    if (err != SLR_OK) {
        return NULL;
    }
    struct slr_sdp *sdp = slr_sip_read_sdp(sip, slr_slice_of(text, put.len_bytes), &err);
    if (sdp) {
        sdp->media[0].dir = SLR_SDP_SENDONLY;
        sdp->media[0].zero_addr = false;
        sdp->media[0].addr = (struct slr_addr){.family = 0};
    }
    return sdp;
}

static int refuse(struct slr_sip *sip, struct plan *p, enum slr_core_metric which, int status,
                  const char *why)
{
    p->status = slr_sip_refuse(sip, p->irq, which, status, why);
    return p->status;
}

static int read_media(struct slr_sip *sip, struct plan *p)
{
    enum slr_err err = SLR_OK;
    slr_sip_read_body(sip, p->msg, &p->body);
    if (p->body.refuse) {
        return refuse(sip, p, SLR_CORE_M_REFUSED_CONTENT, p->body.refuse, p->body.why);
    }
    if (p->body.sdp.len_bytes > 0) {
        p->media = slr_sip_read_sdp(sip, p->body.sdp, &err);
        if (err == SLR_FULL || err == SLR_TOOLONG) {
            return refuse(sip, p, SLR_CORE_M_REFUSED_LIMIT, 488, "sdp_limit");
        }
        if (err != SLR_OK && err != SLR_NOMEM) {
            return refuse(sip, p, SLR_CORE_M_REFUSED_MALFORMED, 400, "sdp");
        }
    } else {
        p->delayed = true;
        p->media = own_offer(sip);
    }
    if (!p->media) {
        return refuse(sip, p, SLR_CORE_M_REFUSED_INTERNAL, 500, "memory");
    }
    for (uint8_t i = 0; i < p->media->media_count; i++) {
        p->usable += slr_sdp_media_usable(&p->media->media[i]) ? 1 : 0;
    }
    if (p->usable == 0) {
        return refuse(sip, p, SLR_CORE_M_REFUSED_MEDIA, 488, "no_usable_media");
    }
    return 0;
}

static void read_identity(struct slr_sip *sip, struct plan *p)
{
    const sip_t *msg = p->msg;
    char *uri = url_as_string(p->home, msg->sip_request->rq_url);
    char *to = url_as_string(p->home, msg->sip_to->a_url);
    char *from = url_as_string(p->home, msg->sip_from->a_url);
    if (uri && slr_recuri_read(slr_slice_str(uri), &p->uri) != SLR_OK) {
        memset(&p->uri, 0, sizeof p->uri); /* the call is recorded all the same */
    }
    if (to) {
        slr_recuri_to(&p->uri, slr_slice_str(to));
    }
    for (const sip_unknown_t *h = msg->sip_unknown; h; h = h->un_next) {
        if (h->un_name && h->un_value) {
            slr_recuri_header(&p->uri, slr_slice_str(h->un_name), slr_slice_str(h->un_value));
        }
    }
    if (p->body.metadata.len_bytes > 0) {
        p->has_meta = slr_siprec_read(p->body.metadata, &p->meta) == SLR_OK;
        if (!p->has_meta) {
            slr_core_count(sip->core, SLR_CORE_M_METADATA_BAD);
            SLR_WARN("metadata_unreadable", "call_id=%s", SLR_Q(msg->sip_call_id->i_id));
        }
    }
    if (from && p->body.metadata.len_bytes == 0) {
        slr_recuri_from(&p->uri, slr_slice_str(from));
    }
    (void)slr_recuri_pair_key(&p->uri, p->has_meta ? p->meta.session : "", p->key);
}

/* The party of the n-th usable line. */
static void name_lines(struct plan *p)
{
    uint32_t n = 0;
    for (uint8_t i = 0; i < p->media->media_count; i++) {
        const struct slr_sdp_media *m = &p->media->media[i];
        const struct slr_siprec_participant *who = NULL;
        if (!slr_sdp_media_usable(m)) {
            continue;
        }
        if (p->has_meta) {
            who = slr_siprec_sender(&p->meta, m->label);
        }
        if (who) {
            slr_siprec_aor_user(who->aor, p->dn[i], sizeof p->dn[i]);
        } else if (n < 2) {
            const char *dn = n == 0 ? p->uri.dn : p->uri.other_dn;
            (void)snprintf(p->dn[i], sizeof p->dn[i], "%s", dn);
        }
        n++;
    }
}

static void set_text(json_t *meta, const char *name, const char *text)
{
    if (text && text[0]) {
        json_object_set_new(meta, name, json_string(text));
    }
}

static void set_header(json_t *meta, su_home_t *home, const char *name, const sip_addr_t *a)
{
    char *text = a ? slr_sip_header_text(home, a) : NULL;
    if (text) {
        slr_text_clean(text);
        json_object_set_new(meta, name, json_string(text));
    }
}

/* The call's metadata grows with each leg's; what is there stays. */
static void add_meta(struct slr_call *call, struct plan *p)
{
    json_t *fresh = json_object(), *extra = json_object();
    if (!fresh || !extra) {
        json_decref(fresh);
        json_decref(extra);
        return;
    }
    set_text(fresh, "record_id", p->uri.record_id);
    set_text(fresh, "call_uuid", p->uri.call_uuid);
    set_text(fresh, "gvp_session", p->uri.gvp_guid);
    set_text(fresh, "refci", p->uri.refci);
    set_text(fresh, "record_dn", call->record_dn);
    set_header(fresh, p->home, "from", p->msg->sip_from);
    set_header(fresh, p->home, "to", p->msg->sip_to);
    for (uint8_t i = 0; i < p->uri.extra_count; i++) {
        set_text(extra, p->uri.extra[i].name, p->uri.extra[i].value);
    }
    json_t *stored = json_object_get(call->meta, "extra");
    (void)json_object_update_missing(extra, stored);
    if (json_object_size(extra) > 0) {
        json_object_set(call->meta, "extra", extra);
    }
    (void)json_object_update_missing(call->meta, fresh);
    if (p->has_meta) {
        json_object_set_new(call->meta, "siprec", slr_siprec_to_json(&p->meta));
    }
    json_decref(fresh);
    json_decref(extra);
}

static void name_call(struct slr_call *call, const struct plan *p)
{
    const char *const all[] = {p->uri.call_uuid,
                               p->uri.record_id,
                               p->uri.gvp_guid,
                               p->uri.refci,
                               p->has_meta ? p->meta.session : "",
                               call->session};
    for (size_t i = 0; i < sizeof all / sizeof all[0] && !call->id[0]; i++) {
        (void)snprintf(call->id, sizeof call->id, "%s", all[i]);
    }
    call->channels = p->key[0] || p->usable > 1 ? 2 : 1;
    if (p->usable > 2) {
        call->channels = (uint8_t)p->usable;
    }
}

void slr_invite_session_opened(void *ctx, enum slr_err result, const json_t *answer)
{
    struct slr_invite *inv = ctx;
    struct slr_call *call = inv->dialog ? inv->dialog->call : NULL;
    if (result != SLR_OK && result != SLR_EXISTS) {
        inv->failed = result;
    } else if (call && call->state == SLR_CALL_OPENING) {
        call->state = SLR_CALL_OPEN;
        call->start.ns = slr_json_i64(answer, "start_wall_ns", call->start.ns);
    }
    slr_invite_step(inv);
}

/* The file has its shape. The leg of a new dialog stays here to be moved (sip_segment.c). */
static void take_conflict(struct slr_invite *inv, struct slr_dialog_line *line)
{
    struct slr_call *call = inv->dialog->call;
    struct slr_call_leg *leg = slr_call_leg_by_id(call, line->leg);
    call->fixed = true;
    if (inv->initial && leg) {
        leg->state = SLR_LEG_CLOSED;
    } else if (leg) {
        slr_call_remove_leg(call, line->leg);
        line->leg[0] = '\0';
    }
}

void slr_invite_leg_opened(void *ctx, enum slr_err result, const json_t *answer)
{
    struct slr_invite_wait *wait = ctx;
    struct slr_invite *inv = wait->invite;
    struct slr_dialog *d = inv->dialog;
    const char *ip = slr_json_str(answer, "ip");
    int64_t port = 0, rtcp = 0;
    if (result == SLR_OK && (!ip || slr_json_range(answer, "port", 1, 65535, &port) != SLR_OK)) {
        result = SLR_FORMAT;
    }
    if (result == SLR_OK && d && d->call) {
        struct slr_dialog_line *line = &d->line[wait->line];
        struct slr_call_leg *leg = slr_call_leg_by_id(d->call, line->leg);
        struct slr_addr parsed;
        if (slr_json_range(answer, "rtcp_port", 0, 65535, &rtcp) != SLR_OK) {
            rtcp = 0;
        }
        line->taken = line->local.taken = true;
        line->local.port = (uint16_t)port;
        line->local.rtcp_port = (uint16_t)rtcp;
        (void)snprintf(line->local.ip, sizeof line->local.ip, "%s", ip);
        line->local.family = slr_addr_parse(ip, &parsed) == SLR_OK && parsed.family == 6 ? 6 : 4;
        if (leg) {
            leg->state = SLR_LEG_OPEN;
        }
    } else if (result != SLR_OK) {
        inv->failed = result;
        if (result == SLR_CONFLICT && d && d->call) {
            take_conflict(inv, &d->line[wait->line]);
        }
    }
    slr_invite_step(inv);
}

/* Opens a leg for each usable line. Channel wishes: by DN; else the first line of several is the
 * recorded party. */
static enum slr_err open_legs(struct slr_sip *sip, struct slr_invite *inv, struct plan *p)
{
    struct slr_dialog *d = inv->dialog;
    struct slr_call *call = d->call;
    bool first = true;
    for (uint8_t i = 0; i < p->media->media_count; i++) {
        const struct slr_sdp_media *m = &p->media->media[i];
        if (!slr_sdp_media_usable(m)) {
            continue;
        }
        enum slr_call_wish wish = slr_call_wish_of(&p->uri, call->record_dn, p->dn[i]);
        if (p->usable > 1 && (wish == SLR_CALL_ANY || (p->has_meta && !p->uri.record_dn[0]))) {
            wish = first ? SLR_CALL_RECORDED : SLR_CALL_OTHER;
        }
        first = false;
        uint8_t channel = slr_call_place(call, wish, slr_core_now(sip->core));
        struct slr_call_leg *leg = slr_call_add_leg(call, p->dn[i], channel);
        if (!leg) {
            return SLR_FULL;
        }
        (void)snprintf(d->line[i].leg, sizeof d->line[i].leg, "%s", leg->id);
        enum slr_err err =
            slr_calls_open_leg(sip->core, call, leg, m, slr_invite_leg_opened, &inv->wait[i]);
        if (err != SLR_OK) {
            return err;
        }
        inv->pending++;
    }
    return SLR_OK;
}

/* Finds or makes the call. NULL: answered. */
static struct slr_call *join_call(struct slr_sip *sip, struct plan *p, bool *fresh)
{
    struct slr_core *core = sip->core;
    uint8_t first = 0;
    while (!slr_sdp_media_usable(&p->media->media[first])) {
        first++;
    }
    slr_wall now = slr_core_now(core);
    struct slr_call *call = slr_call_match(slr_calls_newest(core, p->key), p->dn[first], now);
    if (call && slr_call_room(call, now) < p->usable) {
        call = NULL; /* all lines of a dialog go into one recording */
    }
    *fresh = call == NULL;
    if (!call) {
        if (core->draining) {
            (void)refuse(sip, p, SLR_CORE_M_REFUSED_CAPACITY, 503, "draining");
            return NULL;
        }
        call = slr_calls_new(core, p->key);
        if (!call) {
            (void)refuse(sip, p, SLR_CORE_M_REFUSED_INTERNAL, 500, "memory");
            return NULL;
        }
        name_call(call, p);
    }
    if (!call->record_dn[0]) {
        (void)snprintf(call->record_dn, sizeof call->record_dn, "%s", p->uri.record_dn);
    }
    add_meta(call, p);
    return call;
}

static void keep_metadata(struct slr_sip *sip, const struct slr_call *call, const struct plan *p)
{
    if (p->body.metadata.len_bytes > 0) {
        slr_core_stored(sip->core,
                        slr_store_put_document(sip->core->store, call->session, "rs-metadata",
                                               slr_core_now(sip->core), p->body.metadata.at,
                                               p->body.metadata.len_bytes),
                        "document");
    }
}

static int start(struct slr_sip *sip, struct plan *p)
{
    bool fresh;
    struct slr_dialog *d = slr_sip_make_dialog(sip, p->irq, p->msg, p->has_meta);
    if (!d) {
        return refuse(sip, p, SLR_CORE_M_REFUSED_INTERNAL, 500, "dialog");
    }
    struct slr_call *call = join_call(sip, p, &fresh);
    struct slr_invite *inv = call ? slr_invite_new(sip, d, p->irq) : NULL;
    if (!inv) {
        slr_sip_drop_dialog(sip, d);
        return p->status ? p->status : refuse(sip, p, SLR_CORE_M_REFUSED_INTERNAL, 500, "memory");
    }
    d->call = call;
    call->dialogs++;
    memcpy(d->session, call->session, sizeof d->session);
    d->line_count = p->media->media_count;
    inv->initial = true;
    inv->fresh = fresh;
    inv->delayed = p->delayed;
    nta_incoming_bind(p->irq, slr_sip_on_ack, d);
    if (slr_sip_read_timer(inv, p->msg) != 0) {
        return 0;
    }
    inv->pending++; /* ours: nothing is answered while commands are still being sent */
    enum slr_err err = SLR_OK;
    if (fresh) {
        err =
            slr_calls_open_session(sip->core, call, call->channels, slr_invite_session_opened, inv);
        inv->pending += err == SLR_OK ? 1U : 0U;
    }
    if (err == SLR_OK) {
        err = open_legs(sip, inv, p);
    }
    if (err != SLR_OK) {
        inv->failed = err;
    } else if (!fresh) {
        slr_calls_send_meta(sip->core, call);
    }
    keep_metadata(sip, call, p);
    inv->offer = p->media;
    p->media = NULL;
    slr_invite_step(inv);
    return 0;
}

/* True when the store has been stuck for longer than an INVITE may wait. */
static bool store_is_stuck(const struct slr_core *core)
{
    uint32_t jobs, oldest_ms;
    slr_store_load(core->store, &jobs, &oldest_ms);
    return oldest_ms > SLR_CORE_ANSWER_MS;
}

static int look_at(struct slr_sip *sip, struct plan *p)
{
    if (!slr_link_is_up(sip->core->link)) {
        return refuse(sip, p, SLR_CORE_M_REFUSED_ENGINE, 503, "engine_away");
    }
    if (store_is_stuck(sip->core)) {
        return refuse(sip, p, SLR_CORE_M_REFUSED_STORE, 503, "store_stuck");
    }
    if (!p->msg->sip_contact || !p->msg->sip_contact->m_url->url_host) {
        return refuse(sip, p, SLR_CORE_M_REFUSED_MALFORMED, 400, "no_contact");
    }
    int status = read_media(sip, p);
    if (status != 0) {
        return status;
    }
    read_identity(sip, p);
    name_lines(p);
    return start(sip, p);
}

int slr_sip_invite(struct slr_sip *sip, nta_incoming_t *irq, const sip_t *msg)
{
    slr_core_count(sip->core, SLR_CORE_M_INVITES);
    int status = slr_sip_admit_session(sip, irq, msg);
    if (status != 0) {
        return status;
    }
    struct plan *p = calloc(1, sizeof(*p));
    if (!p) {
        return slr_sip_refuse(sip, irq, SLR_CORE_M_REFUSED_INTERNAL, 500, "memory");
    }
    p->msg = msg;
    p->irq = irq;
    su_home_init(p->home);
    status = look_at(sip, p);
    slr_sdp_free(p->media);
    su_home_deinit(p->home);
    free(p);
    return status;
}
