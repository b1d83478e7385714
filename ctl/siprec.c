/*
 * siprec: see siprec.h. Any thread; the parser's memory is freed before return.
 *
 * Senders differ in root, namespace, identifiers and nesting, so elements are matched by local
 * name and by what encloses them, nothing else. Entity declarations stop the parser.
 */
#include "ctl/siprec.h"

#include <expat.h>
#include <string.h>

#include "ctl/text.h"

#define DEPTH_MAX 32

enum element {
    EL_OTHER,
    EL_RECORDING,
    EL_DATAMODE,
    EL_SESSION,
    EL_PARTICIPANT,
    EL_NAMEID,
    EL_NAME,
    EL_AOR,
    EL_STREAM,
    EL_LABEL,
    EL_ASSOC,
    EL_SEND,
    EL_ID
};

struct reading {
    XML_Parser parser;
    struct slr_siprec *out;
    bool failed;
    bool rooted;
    unsigned depth;
    enum element path[DEPTH_MAX];
    struct slr_siprec_participant *participant; /* the open one */
    struct slr_siprec_stream *stream;           /* the open one */
    int assoc;                                  /* participant of the open association, -1 none */
    char text[SLR_SIPREC_TEXT_SIZE];
    size_t text_bytes;
};

static enum element element_of(const char *name)
{
    static const struct {
        const char *name;
        enum element element;
    } all[] = {{"recording", EL_RECORDING},
               {"recording_metadata", EL_RECORDING},
               {"datamode", EL_DATAMODE},
               {"dataMode", EL_DATAMODE},
               {"session", EL_SESSION},
               {"participant", EL_PARTICIPANT},
               {"nameID", EL_NAMEID},
               {"nameId", EL_NAMEID},
               {"name", EL_NAME},
               {"aor", EL_AOR},
               {"stream", EL_STREAM},
               {"label", EL_LABEL},
               {"participantstreamassoc", EL_ASSOC},
               {"participantStreamAssoc", EL_ASSOC},
               {"send", EL_SEND},
               {"id", EL_ID}};
    const char *colon = strrchr(name, ':');
    const char *local = colon ? colon + 1 : name;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (strcmp(local, all[i].name) == 0) {
            return all[i].element;
        }
    }
    return EL_OTHER;
}

static void copy(char *out, size_t size_bytes, const char *text)
{
    (void)slr_slice_to_str(slr_slice_str(text ? text : ""), out, size_bytes); /* cut is fine */
    slr_text_clean(out);
}

/* The first of several spellings of an attribute, or NULL. */
static const char *attribute(const char **attributes, const char *a, const char *b)
{
    for (size_t i = 0; attributes[i]; i += 2) {
        const char *colon = strrchr(attributes[i], ':');
        const char *local = colon ? colon + 1 : attributes[i];
        if (strcmp(local, a) == 0 || strcmp(local, b) == 0) {
            return attributes[i + 1];
        }
    }
    return NULL;
}

static bool inside(const struct reading *r, enum element what)
{
    for (unsigned i = 0; i < r->depth && i < DEPTH_MAX; i++) {
        if (r->path[i] == what) {
            return true;
        }
    }
    return false;
}

/* Associations may come before the participants they name: an unknown id makes an entry. */
static int participant_by_id(struct reading *r, const char *id)
{
    struct slr_siprec *out = r->out;
    for (uint8_t i = 0; i < out->participant_count; i++) {
        if (strcmp(out->participant[i].id, id) == 0) {
            return i;
        }
    }
    if (out->participant_count == SLR_SIPREC_PARTICIPANTS_MAX) {
        out->cut = true;
        return -1;
    }
    copy(out->participant[out->participant_count].id, SLR_SIPREC_ID_SIZE, id);
    return out->participant_count++;
}

static struct slr_siprec_stream *stream_by_id(struct reading *r, const char *id)
{
    struct slr_siprec *out = r->out;
    for (uint8_t i = 0; i < out->stream_count; i++) {
        if (strcmp(out->stream[i].id, id) == 0) {
            return &out->stream[i];
        }
    }
    if (out->stream_count == SLR_SIPREC_STREAMS_MAX) {
        out->cut = true;
        return NULL;
    }
    struct slr_siprec_stream *s = &out->stream[out->stream_count++];
    copy(s->id, sizeof s->id, id);
    s->sender = -1;
    return s;
}

static void sends(struct reading *r, int participant, const char *stream_id)
{
    struct slr_siprec_stream *s = stream_id[0] ? stream_by_id(r, stream_id) : NULL;
    if (!s || participant < 0) {
        return;
    }
    if (s->sender >= 0 && s->sender != participant) {
        s->contested = true;
    }
    s->sender = (int8_t)participant;
}

static void open_element(struct reading *r, enum element e, const char **attributes)
{
    const char *id;
    switch (e) {
    case EL_RECORDING:
        r->rooted = r->rooted || r->depth == 0;
        break;
    case EL_SESSION:
        id = attribute(attributes, "session_id", "id");
        if (id && !r->out->session[0]) {
            copy(r->out->session, sizeof r->out->session, id);
        }
        break;
    case EL_PARTICIPANT:
        id = attribute(attributes, "participant_id", "id");
        if (id) {
            int n = participant_by_id(r, id);
            r->participant = n < 0 ? NULL : &r->out->participant[n];
            r->assoc = n; /* drafts put <send> right inside the participant */
        }
        break;
    case EL_NAMEID:
        id = attribute(attributes, "aor", "aor");
        if (id && r->participant) {
            copy(r->participant->aor, sizeof r->participant->aor, id);
        }
        break;
    case EL_STREAM:
        id = attribute(attributes, "stream_id", "id");
        if (id && id[0]) {
            r->stream = stream_by_id(r, id);
        }
        break;
    case EL_ASSOC:
        id = attribute(attributes, "participant_id", "participant");
        r->assoc = id ? participant_by_id(r, id) : -1;
        break;
    case EL_OTHER:
    case EL_DATAMODE:
    case EL_NAME:
    case EL_AOR:
    case EL_LABEL:
    case EL_SEND:
    case EL_ID:
        break;
    }
}

static void XMLCALL on_start(void *data, const XML_Char *name, const XML_Char **attributes)
{
    struct reading *r = data;
    enum element e = element_of(name);
    if (r->depth >= DEPTH_MAX) {
        r->failed = true;
        XML_StopParser(r->parser, XML_FALSE);
        return;
    }
    open_element(r, e, attributes);
    r->path[r->depth++] = e;
    r->text_bytes = 0;
}

static void XMLCALL on_text(void *data, const XML_Char *text, int len)
{
    struct reading *r = data;
    for (int i = 0; i < len && r->text_bytes + 1 < sizeof r->text; i++) {
        r->text[r->text_bytes++] = text[i];
    }
}

static const char *trimmed(struct reading *r)
{
    struct slr_slice s = slr_slice_trim(slr_slice_of(r->text, r->text_bytes));
    memmove(r->text, s.at, s.len_bytes);
    r->text[s.len_bytes] = '\0';
    r->text_bytes = 0;
    return r->text;
}

static void close_element(struct reading *r, enum element e)
{
    const char *text = trimmed(r);
    switch (e) {
    case EL_DATAMODE:
        r->out->partial = strcmp(text, "partial") == 0;
        break;
    case EL_NAME:
        if (r->participant && !r->participant->name[0]) {
            copy(r->participant->name, sizeof r->participant->name, text);
        }
        break;
    case EL_AOR:
        if (r->participant && text[0]) {
            copy(r->participant->aor, sizeof r->participant->aor, text);
        }
        break;
    case EL_LABEL:
        if (r->stream && text[0]) {
            copy(r->stream->label, sizeof r->stream->label, text);
        }
        break;
    case EL_SEND:
        sends(r, r->assoc, text);
        break;
    case EL_ID:
        if (inside(r, EL_SEND)) {
            sends(r, r->assoc, text);
        }
        break;
    case EL_PARTICIPANT:
        r->participant = NULL;
        r->assoc = -1;
        break;
    case EL_STREAM:
        r->stream = NULL;
        break;
    case EL_ASSOC:
        r->assoc = -1;
        break;
    case EL_OTHER:
    case EL_RECORDING:
    case EL_SESSION:
    case EL_NAMEID:
        break;
    }
}

static void XMLCALL on_end(void *data, const XML_Char *name)
{
    struct reading *r = data;
    enum element e = element_of(name);
    if (r->depth > 0) {
        r->depth--;
    }
    close_element(r, e);
}

/* No document type at all: nothing of ours needs one, and entities live there. */
static void XMLCALL on_doctype(void *data, const XML_Char *name, const XML_Char *sysid,
                               const XML_Char *pubid, int internal)
{
    struct reading *r = data;
    (void)name;
    (void)sysid;
    (void)pubid;
    (void)internal;
    r->failed = true;
    XML_StopParser(r->parser, XML_FALSE);
}

enum slr_err slr_siprec_read(struct slr_slice xml, struct slr_siprec *out)
{
    struct reading r = {.out = out, .assoc = -1};
    memset(out, 0, sizeof *out);
    if (xml.len_bytes > SLR_SIPREC_MAX_BYTES) {
        return SLR_TOOLONG;
    }
    xml = slr_slice_trim(xml);
    r.parser = XML_ParserCreate(NULL);
    if (!r.parser) {
        return SLR_NOMEM;
    }
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, on_start, on_end);
    XML_SetCharacterDataHandler(r.parser, on_text);
    XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
    enum XML_Status status =
        XML_Parse(r.parser, (const char *)xml.at, (int)xml.len_bytes, XML_TRUE);
    XML_ParserFree(r.parser);
    return status == XML_STATUS_OK && !r.failed && r.rooted ? SLR_OK : SLR_FORMAT;
}

const struct slr_siprec_participant *slr_siprec_sender(const struct slr_siprec *s,
                                                       const char *label)
{
    for (uint8_t i = 0; label[0] && i < s->stream_count; i++) {
        const struct slr_siprec_stream *one = &s->stream[i];
        if (strcmp(one->label, label) == 0) {
            return one->sender >= 0 && !one->contested ? &s->participant[one->sender] : NULL;
        }
    }
    return NULL;
}

void slr_siprec_aor_user(const char *aor, char *out, size_t size_bytes)
{
    struct slr_slice rest = slr_slice_trim(slr_slice_str(aor)), head, user;
    if (rest.len_bytes > 0 && rest.at[0] == '<') {
        (void)slr_slice_skip(&rest, 1);
    }
    struct slr_slice bare = rest;
    if (rest.len_bytes > 0 && memchr(rest.at, ':', rest.len_bytes) &&
        slr_slice_take_token(&rest, ':', &head) &&
        (slr_slice_eq_nocase(head, "sip") || slr_slice_eq_nocase(head, "sips") ||
         slr_slice_eq_nocase(head, "tel"))) {
        bare = rest;
    }
    out[0] = '\0';
    size_t n = 0;
    while (n < bare.len_bytes && !strchr("@;>", bare.at[n])) {
        n++;
    }
    user = slr_slice_of(bare.at, n);
    if (!slr_slice_to_str(user, out, size_bytes)) {
        out[0] = '\0';
    }
    slr_text_clean(out);
}

json_t *slr_siprec_to_json(const struct slr_siprec *s)
{
    json_t *participants = json_array(), *streams = json_array();
    for (uint8_t i = 0; participants && i < s->participant_count; i++) {
        const struct slr_siprec_participant *p = &s->participant[i];
        (void)json_array_append_new(participants, json_pack("{s:s, s:s, s:s}", "id", p->id, "aor",
                                                            p->aor, "name", p->name));
    }
    for (uint8_t i = 0; streams && i < s->stream_count; i++) {
        const struct slr_siprec_stream *one = &s->stream[i];
        bool clear = one->sender >= 0 && !one->contested;
        (void)json_array_append_new(
            streams, json_pack("{s:s, s:s, s:s}", "id", one->id, "label", one->label, "sender",
                               clear ? s->participant[one->sender].id : ""));
    }
    return json_pack("{s:s, s:b, s:o, s:o}", "session", s->session, "partial", s->partial,
                     "participants", participants, "streams", streams);
}
