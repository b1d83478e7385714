/*
 * recuri: what a recording INVITE says about the call: the forms of the request-URI that media
 * servers send, X-Genesys-* headers, Cisco's From parameters; and the key that pairs two legs.
 * Pure, any thread, allocates nothing.
 */
#ifndef SLR_CTL_RECURI_H
#define SLR_CTL_RECURI_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/slice.h"

#define SLR_RECURI_ID_SIZE 128
#define SLR_RECURI_DN_SIZE 64
#define SLR_RECURI_KEY_SIZE 160
#define SLR_RECURI_EXTRA_MAX 16

struct slr_recuri_pair {
    char name[32];
    char value[96];
};

enum slr_recuri_side { SLR_RECURI_SIDE_NONE, SLR_RECURI_NEAR, SLR_RECURI_FAR };

struct slr_recuri {
    char record_id[SLR_RECURI_ID_SIZE]; /* record=; "" none (all texts below likewise) */
    char call_uuid[SLR_RECURI_ID_SIZE]; /* calluuid= or X-Genesys-CallUUID */
    char gvp_guid[SLR_RECURI_ID_SIZE];  /* X-Genesys-GVP-Session-ID before its first ';' */
    char refci[SLR_RECURI_ID_SIZE];     /* Cisco x-refci */
    char dn[SLR_RECURI_DN_SIZE];
    bool dn_by_record; /* dn was in a parameter record=; one of its own name wins */
    char other_dn[SLR_RECURI_DN_SIZE];
    char record_dn[SLR_RECURI_DN_SIZE];
    enum slr_recuri_side side; /* Cisco x-nearend, x-farend */
    uint8_t extra_count;       /* unknown parameters and vendor headers, kept as metadata */
    struct slr_recuri_pair extra[SLR_RECURI_EXTRA_MAX];
};

/*
 * Reads the request-URI's text into `out` (which starts zeroed, or holds what was read before).
 * Forms: user part record=ID; user "record" with ;record=DN; parameters calluuid, dn, otherDN,
 * recordDN in the user part or behind the host, names case folded, %XX decoded.
 * SLR_FORMAT: no sip:, sips: or tel: URI. Values longer than their room count as absent.
 */
enum slr_err slr_recuri_read(struct slr_slice uri, struct slr_recuri *out) SLR_CHECKED;

/* Takes one header of the INVITE; headers of no interest are ignored. */
void slr_recuri_header(struct slr_recuri *r, struct slr_slice name, struct slr_slice value);

/* Takes the From URI: Cisco's x-refci, x-nearend, x-farend, x-nearendaddr ...; for other URIs the
 * user part becomes the dn where none was given. */
void slr_recuri_from(struct slr_recuri *r, struct slr_slice uri);

/* Looks where the recorder's identity is given only in the To URI (proxies rewrite the
 * request-URI): fills what is missing. */
void slr_recuri_to(struct slr_recuri *r, struct slr_slice uri);

/*
 * The key by which legs pair: "r:" record id, else "g:" GVP session, else "c:" refci, else
 * "s:" `siprec_session` when that is not empty, else false (never pairs).
 */
bool slr_recuri_pair_key(const struct slr_recuri *r, const char *siprec_session,
                         char out[static SLR_RECURI_KEY_SIZE]);

#endif
