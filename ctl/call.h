/*
 * call: one recording in progress as the control plane sees it: how legs pair, which channel each
 * takes, and its storable form. Pure logic; owned by the signalling thread; allocates nothing but
 * the call itself and its metadata.
 */
#ifndef SLR_CTL_CALL_H
#define SLR_CTL_CALL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/id.h"
#include "ctl/recuri.h"

#define SLR_CALL_LEGS_MAX 24
#define SLR_CALL_CHANNELS_MAX 8
#define SLR_CALL_NO_CHANNEL 255
#define SLR_CALL_GROWS_MS 700 /* after the first packet; the engine waits twice as long */
#define SLR_CALL_LEG_ID_SIZE 16
#define SLR_CALL_CAUSE_SIZE 16

enum slr_call_state {
    SLR_CALL_OPENING, /* session_open is on its way */
    SLR_CALL_OPEN,
    SLR_CALL_SEALING /* closed here, the engine's sealed or failed event is awaited */
};

enum slr_leg_state { SLR_LEG_OPENING, SLR_LEG_OPEN, SLR_LEG_CLOSED };

struct slr_call_leg {
    char id[SLR_CALL_LEG_ID_SIZE];
    char dn[SLR_RECURI_DN_SIZE];
    uint8_t channel;
    enum slr_leg_state state;
    char silent[SLR_CALL_CAUSE_SIZE]; /* cause of an alarm that is on (alarms.h), else "" */
    int64_t silent_since_ms;          /* with a cause: position on the recording's timeline */
};

struct slr_call {
    char key[SLR_RECURI_KEY_SIZE]; /* "" never pairs */
    char id[SLR_RECURI_ID_SIZE];   /* the conversation's id */
    char session[SLR_ID_SIZE];     /* the recording's id */
    char record_dn[SLR_RECURI_DN_SIZE];
    char end_reason[16];
    enum slr_call_state state;
    uint32_t segment; /* 1, 2, ... within one key */
    uint8_t channels; /* that it was opened with; legs may have had more added */
    bool paused;
    slr_wall start;
    slr_wall heard; /* when the first leg was heard; 0: none yet, or not known after a restart */
    bool fixed;     /* the engine says that the file has its shape */
    json_t *meta;   /* object */
    uint32_t leg_seq;
    uint8_t leg_count;
    struct slr_call_leg leg[SLR_CALL_LEGS_MAX];
    uint32_t dialogs;       /* SIP dialogs that hold it open; not stored */
    bool stored;            /* the store has it */
    bool check;             /* to be compared with the snapshot that was asked for */
    struct slr_call *older; /* previous call of the same key */
};

/* What one m-line of an INVITE says about its party. */
enum slr_call_wish { SLR_CALL_ANY, SLR_CALL_RECORDED, SLR_CALL_OTHER };

/* New call, state OPENING, owned by the caller. NULL: no memory. */
struct slr_call *slr_call_new(const char *key, const char *session);
void slr_call_free(struct slr_call *c);

/* The wish that follows from recordDN, dn and the side of a built-in bridge. */
enum slr_call_wish slr_call_wish_of(const struct slr_recuri *r, const char *record_dn,
                                    const char *dn);

/* Channels of the recording: those it was opened with and those that legs have added. */
uint8_t slr_call_channels(const struct slr_call *c);

/* Whether a further channel may be added: the file takes its shape some time after the first packet
 * (the engine has the last word). */
bool slr_call_grows(const struct slr_call *c, slr_wall now);

/*
 * The call of this key that a leg with `dn` joins, starting at the newest; NULL: a new segment is
 * to be made. A leg joins an open call that has not had this dn and has room; legs without a dn
 * join while fewer than two legs were there.
 */
struct slr_call *slr_call_match(struct slr_call *newest, const char *dn, slr_wall now);

/* Channels that no leg has had yet, and those that may be added. */
uint32_t slr_call_room(const struct slr_call *c, slr_wall now);

/* Channel for a new leg: the recorded party gets 0, others the lowest free from 1, else a further
 * one while the call grows, else 0; the unknown the lowest free. SLR_CALL_NO_CHANNEL: no room. */
uint8_t slr_call_place(const struct slr_call *c, enum slr_call_wish wish, slr_wall now);

/* Adds a leg in state OPENING with an id of its own; NULL when there is no room. */
struct slr_call_leg *slr_call_add_leg(struct slr_call *c, const char *dn, uint8_t channel);
struct slr_call_leg *slr_call_leg_by_id(struct slr_call *c, const char *id);
/* Takes a leg out whose opening failed: its channel and dn are free again. Pointers to other legs
 * of the call are no longer good. */
void slr_call_remove_leg(struct slr_call *c, const char *id);
/* Notes that nothing is heard of a leg (cause NULL: that it is heard again); false: so it was
 * known, or there is no such leg. */
bool slr_call_note_silence(struct slr_call *c, const char *id, const char *cause, int64_t since_ms);
bool slr_call_has_open_leg(const struct slr_call *c);

const char *slr_call_state_name(enum slr_call_state state);

/* New object, or NULL. */
json_t *slr_call_to_json(const struct slr_call *c);
/* The same for the API: id, call, state, paused, start, channels, legs, meta. */
json_t *slr_call_describe(const struct slr_call *c);
/* NULL when the record is not one of ours. */
struct slr_call *slr_call_from_json(const json_t *record);

#endif
