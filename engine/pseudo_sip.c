/*
 * pseudo_sip: the book of sessions, and when to say what. The texts are made in pseudo_text.c.
 * See pseudo_sip.h.
 */
#include "engine/pseudo_sip.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/json.h"
#include "common/log.h"
#include "engine/pseudo_text.h"

#define BUCKETS 1024u
#define INVITE_WAIT_NS (2 * SLR_NS_PER_S)
#define JSON_MAX_BYTES 60000u

struct slr_pseudo_sip {
    const char *node;
    slr_pseudo_emit emit;
    void *ctx;
    uint32_t count, max;
    struct slr_talk *bucket[BUCKETS];
};

struct slr_pseudo_sip *slr_pseudo_sip_open(uint32_t sessions_max, const char *node,
                                           slr_pseudo_emit emit, void *ctx)
{
    struct slr_pseudo_sip *book = calloc(1, sizeof *book);
    if (book) {
        book->node = node;
        book->emit = emit;
        book->ctx = ctx;
        book->max = sessions_max;
    }
    return book;
}

void slr_pseudo_sip_close(struct slr_pseudo_sip *book)
{
    for (size_t i = 0; book && i < BUCKETS; i++) {
        while (book->bucket[i]) {
            struct slr_talk *t = book->bucket[i];
            book->bucket[i] = t->next;
            free(t);
        }
    }
    free(book);
}

static struct slr_talk **place_of(struct slr_pseudo_sip *book, const char *session)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (const char *p = session; *p; p++) {
        hash = (hash ^ (uint8_t)*p) * 16777619u;
    }
    struct slr_talk **at = &book->bucket[hash % BUCKETS];
    while (*at && strcmp((*at)->session, session) != 0) {
        at = &(*at)->next;
    }
    return at;
}

static void set_text(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text ? text : "");
}

/* Finds or makes. NULL: no room. */
static struct slr_talk *learn(struct slr_pseudo_sip *book, const json_t *from, slr_wall now)
{
    const char *session = slr_json_str(from, "session");
    if (!session || strlen(session) >= SLR_ID_SIZE) {
        return NULL;
    }
    struct slr_talk **at = place_of(book, session);
    if (!*at && book->count < book->max) {
        *at = calloc(1, sizeof **at);
        if (*at) {
            struct slr_talk *t = *at;
            book->count++;
            set_text(t->session, sizeof t->session, session);
            t->opened.ns = slr_json_i64(from, "start_wall_ns", now.ns);
        }
    }
    if (*at && slr_json_str(from, "call")) {
        set_text((*at)->call, sizeof(*at)->call, slr_json_str(from, "call"));
    }
    return *at;
}

static void forget(struct slr_pseudo_sip *book, struct slr_talk *t)
{
    struct slr_talk **at = place_of(book, t->session);
    *at = t->next;
    book->count--;
    free(t);
}

/* True when it is a leg that was not known. */
static bool learn_leg(struct slr_talk *t, const json_t *from)
{
    const char *id = slr_json_str(from, "leg");
    struct slr_talk_leg *leg = NULL;
    for (uint32_t i = 0; id && i < t->leg_count; i++) {
        leg = strcmp(t->leg[i].id, id) == 0 ? &t->leg[i] : leg;
    }
    bool fresh = id && !leg && t->leg_count < SLR_TALK_LEGS;
    if (fresh) {
        leg = &t->leg[t->leg_count++];
        set_text(leg->id, sizeof leg->id, id);
        leg->pt = -1;
        set_text(leg->dn, sizeof leg->dn, slr_json_str(from, "dn"));
        leg->channel = (uint32_t)slr_json_u64(from, "channel", 0);
        const char *ip = slr_json_str(from, "ip");
        if (ip && slr_addr_parse(ip, &leg->local) == SLR_OK) {
            leg->local.port = (uint16_t)slr_json_u64(from, "port", 0);
        }
    }
    const char *src = slr_json_str(from, "src");
    if (leg && src && slr_addr_parse(src, &leg->heard) != SLR_OK) {
        leg->heard.family = 0;
    }
    if (leg) {
        leg->pt = (int)slr_json_i64(from, "pt", leg->pt);
    }
    return fresh;
}

static void send_sip(struct slr_pseudo_sip *book, struct slr_talk *t, enum slr_pseudo_kind kind,
                     const char *reason, slr_wall when)
{
    uint8_t text[4096];
    struct slr_put put = slr_put_of(text, sizeof text);
    bool back = kind == SLR_PSEUDO_INVITE_OK || kind == SLR_PSEUDO_BYE_OK;

    slr_pseudo_text(t, kind, book->node, reason, &put);
    if (put.overflow) {
        SLR_WARN("pseudo_sip_too_long", "session=%s", SLR_Q(t->session));
        return;
    }
    struct slr_hep packet = {.family = t->caller.family,
                             .protocol = 17,
                             .type = SLR_HEP_SIP,
                             .event = SLR_HEP_EVENT_RECORDING,
                             .src = back ? t->recorder : t->caller,
                             .dst = back ? t->caller : t->recorder,
                             .time = when,
                             .correlation_id = slr_slice_str(t->call[0] ? t->call : t->session),
                             .node = slr_slice_str(book->node),
                             .payload = slr_slice_of(text, put.len_bytes)};
    book->emit(book->ctx, &packet);
}

static void invite(struct slr_pseudo_sip *book, struct slr_talk *t, slr_wall when)
{
    slr_pseudo_addresses(t);
    t->cseq++;
    t->told = true;
    send_sip(book, t, SLR_PSEUDO_INVITE, NULL, when);
    send_sip(book, t, SLR_PSEUDO_INVITE_OK, NULL, when);
    send_sip(book, t, SLR_PSEUDO_ACK, NULL, when);
}

static void end(struct slr_pseudo_sip *book, struct slr_talk *t, const json_t *event, slr_wall now)
{
    const char *reason = slr_json_str(event, "end_reason");
    slr_wall when = {slr_json_i64(event, "end_wall_ns", now.ns)};
    if (!t->told) {
        invite(book, t, t->opened);
    }
    t->cseq++;
    send_sip(book, t, SLR_PSEUDO_BYE, reason ? reason : slr_json_str(event, "err"), when);
    send_sip(book, t, SLR_PSEUDO_BYE_OK, NULL, when);
    forget(book, t);
}

static bool is_digits_key(const char *key)
{
    for (; *key; key++) {
        if (strncasecmp(key, "digit", 5) == 0) {
            return true;
        }
    }
    return false;
}

/* A copy without what readers must not get; NULL: no memory. */
static json_t *cleaned(const json_t *object)
{
    json_t *copy = json_copy((json_t *)(uintptr_t)object);
    const json_t *meta = json_object_get(object, "meta");
    const char *key;
    json_t *value;

    json_object_del(copy, "data"); /* SIP of a capture; absent elsewhere */
    if (copy && json_is_object(meta)) {
        json_t *rest = json_object();
        json_object_foreach((json_t *)(uintptr_t)meta, key, value)
        {
            if (!is_digits_key(key)) {
                json_object_set(rest, key, value);
            }
        }
        json_object_set_new(copy, "meta", rest);
    }
    return copy;
}

static void send_json(struct slr_pseudo_sip *book, const struct slr_talk *t, const json_t *object,
                      slr_wall when)
{
    json_t *clean = cleaned(object);
    char *text = clean ? json_dumps(clean, JSON_COMPACT) : NULL;

    if (text && strlen(text) > JSON_MAX_BYTES) {
        json_object_del(clean, "meta");
        free(text);
        text = json_dumps(clean, JSON_COMPACT);
    }
    json_decref(clean);
    const char *session = slr_json_str(object, "session");
    const char *id = t && t->call[0] ? t->call : session ? session : "";
    struct slr_addr none = {.ip = {127, 0, 0, 1}, .family = 4};
    bool placed = t && t->told;
    if (text && strlen(text) <= JSON_MAX_BYTES) {
        struct slr_hep packet = {.family = placed ? t->caller.family : none.family,
                                 .protocol = 17,
                                 .type = SLR_HEP_LOG,
                                 .event = SLR_HEP_EVENT_RECORDING,
                                 .src = placed ? t->recorder : none,
                                 .dst = placed ? t->caller : none,
                                 .time = when,
                                 .correlation_id = slr_slice_str(id),
                                 .node = slr_slice_str(book->node),
                                 .payload = slr_slice_str(text)};
        book->emit(book->ctx, &packet);
    } else {
        SLR_WARN("sniffer_event_too_long", "session=%s", SLR_Q(session));
    }
    free(text);
}

void slr_pseudo_sip_json(struct slr_pseudo_sip *book, const json_t *object, slr_wall now)
{
    send_json(book, NULL, object, now);
}

/* sealed and failed of a session that was opened before this consumer came. */
static struct slr_talk *learn_ended(struct slr_pseudo_sip *book, const json_t *event, slr_wall now)
{
    struct slr_talk *t = learn(book, event, now);
    const json_t *legs = json_object_get(event, "legs");
    for (size_t i = 0; t && i < json_array_size(legs); i++) {
        (void)learn_leg(t, json_array_get(legs, i));
    }
    return t;
}

void slr_pseudo_sip_event(struct slr_pseudo_sip *book, const json_t *event)
{
    const char *ev = slr_json_str(event, "ev");
    const char *session = slr_json_str(event, "session");
    slr_wall now = {slr_json_i64(event, "wall_ns", 0)};
    bool ends = ev && (strcmp(ev, "sealed") == 0 || strcmp(ev, "failed") == 0);
    struct slr_talk *t = NULL;

    if (session && ev && strcmp(ev, "session_open") == 0) {
        t = learn(book, event, now);
    } else if (ends) {
        t = learn_ended(book, event, now);
    } else if (session && strlen(session) < SLR_ID_SIZE) {
        t = *place_of(book, session);
    }
    send_json(book, t, event, now);
    if (!t || ends) {
        if (t) {
            end(book, t, event, now);
        }
        return;
    }
    bool fresh = learn_leg(t, event);
    bool due = t->leg_count >= 2 || now.ns - t->opened.ns >= INVITE_WAIT_NS;
    if ((!t->told && t->leg_count > 0 && due) || (t->told && fresh)) {
        invite(book, t, t->told ? now : t->opened);
    }
}

void slr_pseudo_sip_tick(struct slr_pseudo_sip *book, slr_wall now)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct slr_talk *t = book->bucket[i]; t; t = t->next) {
            if (!t->told && now.ns - t->opened.ns >= INVITE_WAIT_NS) {
                invite(book, t, t->opened);
            }
        }
    }
}

void slr_pseudo_sip_session(struct slr_pseudo_sip *book, const json_t *session, slr_wall now)
{
    struct slr_talk *t = learn(book, session, now);
    const json_t *legs = json_object_get(session, "legs");
    bool fresh = false;

    for (size_t i = 0; t && i < json_array_size(legs); i++) {
        fresh = learn_leg(t, json_array_get(legs, i)) || fresh;
    }
    if (t && (!t->told || fresh)) {
        invite(book, t, t->told ? now : t->opened);
    }
}
