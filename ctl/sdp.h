/*
 * sdp: lenient, bounded reader of session descriptions (RFC 4566/8866) and the answer's policy.
 *
 * Takes what peers really send: LF alone, no s= or t=, lines out of order, c= at either level or
 * nowhere. Every departure is counted in `repairs`. Pure, any thread, allocates nothing; the
 * struct is large (about 50 kB): keep it off small stacks.
 */
#ifndef SLR_CTL_SDP_H
#define SLR_CTL_SDP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/net.h"
#include "common/slice.h"
#include "ctl/sdp_crypto.h"

#define SLR_SDP_MAX_BYTES 65536
#define SLR_SDP_MEDIA_MAX 8
#define SLR_SDP_CODECS_MAX 24
#define SLR_SDP_TAKEN_MAX 16 /* of them in an answer, as many as a leg of the engine holds */
#define SLR_SDP_SSRC_MAX 8
#define SLR_SDP_LABEL_SIZE 64
#define SLR_SDP_FMTP_SIZE 160
#define SLR_SDP_FORMATS_SIZE 160

enum slr_sdp_dir {
    SLR_SDP_DIR_UNSET,
    SLR_SDP_SENDRECV,
    SLR_SDP_SENDONLY,
    SLR_SDP_RECVONLY,
    SLR_SDP_INACTIVE
};

/* What had to be repaired, one bit each. */
enum slr_sdp_repair {
    SLR_SDP_FIX_LF = 1 << 0,         /* lines end with LF alone */
    SLR_SDP_FIX_NO_S = 1 << 1,       /* s= missing or empty */
    SLR_SDP_FIX_NO_T = 1 << 2,       /* t= missing */
    SLR_SDP_FIX_NO_O = 1 << 3,       /* o= missing or malformed */
    SLR_SDP_FIX_NO_V = 1 << 4,       /* v= missing or not first */
    SLR_SDP_FIX_NO_C = 1 << 5,       /* an m-line in use has no address at either level */
    SLR_SDP_FIX_ORDER = 1 << 6,      /* a session line after the first m=, or c= after a= */
    SLR_SDP_FIX_JUNK = 1 << 7,       /* a line that is not x=..., ignored */
    SLR_SDP_FIX_FORMAT = 1 << 8,     /* a format of m= that is no payload type, ignored */
    SLR_SDP_FIX_ATTRIBUTE = 1 << 9,  /* an attribute with a malformed value, ignored */
    SLR_SDP_FIX_DUPLICATE = 1 << 10, /* a line or payload type that may stand once came again */
    SLR_SDP_FIX_CUT = 1 << 11,       /* more formats or longer values than are kept */
    SLR_SDP_FIX_C_NAME = 1 << 12     /* c= names a host, not an address: treated as unknown */
};

struct slr_sdp_codec {
    uint8_t pt;
    bool mapped;       /* an a=rtpmap named it */
    uint8_t channels;  /* 1 unless the rtpmap says otherwise; 0: unknown (no map, dynamic) */
    uint32_t clock_hz; /* 0: unknown */
    char name[24];     /* as sent; "" when unknown */
    char fmtp[SLR_SDP_FMTP_SIZE];
};

struct slr_sdp_media {
    char kind[16];                      /* "audio", "video", ... */
    char proto[24];                     /* "RTP/AVP", ... */
    char formats[SLR_SDP_FORMATS_SIZE]; /* the format list verbatim (for rejected lines) */
    uint16_t port;
    struct slr_addr addr; /* where the peer receives; family 0: unknown. port is `port` */
    struct slr_addr rtcp; /* a=rtcp; family 0 without address, port 0 when absent */
    bool zero_addr;       /* c=0.0.0.0 or :: (old-style hold) */
    bool rtcp_mux;
    bool has_crypto;      /* a=crypto or a=key-mgmt seen */
    uint8_t crypto_count; /* lines of it that we can use; slr_sdp_free wipes them */
    uint8_t crypto_bad;   /* and that we cannot */
    struct slr_sdp_crypto crypto[SLR_SDP_CRYPTO_MAX];
    enum slr_sdp_dir dir; /* the line's own, else the session's; UNSET when neither says */
    uint16_t ptime_ms;    /* 0: not given */
    char label[SLR_SDP_LABEL_SIZE];
    uint8_t codec_count;
    struct slr_sdp_codec codec[SLR_SDP_CODECS_MAX];
    uint8_t ssrc_count;
    uint32_t ssrc[SLR_SDP_SSRC_MAX];
};

struct slr_sdp {
    char origin_user[64];
    uint64_t origin_id, origin_version;
    char session_name[64];
    uint32_t repairs; /* enum slr_sdp_repair bits */
    uint32_t repair_count;
    uint8_t media_count;
    struct slr_sdp_media media[SLR_SDP_MEDIA_MAX];
};

/*
 * Reads a description. Errors: SLR_TOOLONG above SLR_SDP_MAX_BYTES, SLR_FULL with more than
 * SLR_SDP_MEDIA_MAX m-lines, SLR_FORMAT when an m-line is unusable or a NUL byte is in the text,
 * SLR_NOTFOUND without any m-line.
 */
enum slr_err slr_sdp_read(struct slr_slice text, struct slr_sdp *out) SLR_CHECKED;

/* What the engine knows the codec by, where peers call it something else: *name (the table's or
 * the codec's own) and *clock_hz, of RTP timestamps. The answer repeats what was offered. */
void slr_sdp_codec_meant(const struct slr_sdp_codec *c, const char **name, uint32_t *clock_hz);

/* The answer's row of one codec this recorder takes: sdp_codecs.def. */
bool slr_sdp_codec_taken(const struct slr_sdp_codec *c);
/* As above, and it is audio (not telephone-event or CN). */
bool slr_sdp_codec_is_audio(const struct slr_sdp_codec *c);

/* True when the line is audio in use (port not 0) that offers a codec we take, over plain RTP, or
 * over SRTP with a key that we can use. */
bool slr_sdp_media_usable(const struct slr_sdp_media *m);
/* True when the transport is SRTP with keys in the description. a=crypto under plain RTP means
 * nothing (RFC 4568 4): such a line is answered, and recorded, as the plain one that it is. */
bool slr_sdp_media_secure(const struct slr_sdp_media *m);
/* The line whose keys are in force; NULL for plain RTP. */
const struct slr_sdp_crypto *slr_sdp_media_crypto(const struct slr_sdp_media *m);

/* Wipes what holds keys and frees; NULL is allowed. */
void slr_sdp_free(struct slr_sdp *s);
/* True when the peer will send nothing for now: inactive, recvonly or address zero. */
bool slr_sdp_media_held(const struct slr_sdp_media *m);

/* The engine's option -A: which static payload types may be answered. */
struct slr_sdp_limit {
    bool on; /* false: any */
    bool pt[96];
};

/* Takes the static payload types that are not among them out of a description, as if they had not
 * been offered (the format list stays as it was sent). */
void slr_sdp_limit(struct slr_sdp *sdp, const struct slr_sdp_limit *limit);

/* Copies a description without its keys (a=crypto, a=key-mgmt, k=), for stored records.
 * SLR_TOOLONG when it does not fit. out is NUL terminated. */
enum slr_err slr_sdp_cut_keys(struct slr_slice text, char *out, size_t size_bytes) SLR_CHECKED;

/* ---- sdp_write.c ---- */

/* Our side of one m-line. */
struct slr_sdp_local {
    bool taken;                  /* false: answered with port 0 */
    char ip[SLR_ADDR_TEXT_SIZE]; /* literal without brackets */
    uint8_t family;              /* 4 or 6 */
    uint16_t port, rtcp_port;
    struct slr_srtp_key own; /* suite NONE: plain. Nothing is sent under it: we only receive */
};

struct slr_sdp_session {
    uint64_t id, version;        /* our o= line */
    char ip[SLR_ADDR_TEXT_SIZE]; /* for o= and for lines that are refused */
    uint8_t family;
};

/*
 * Writes the answer to `offer`: same m-lines in the same order; local[i] belongs to media[i].
 * Taken lines carry the codecs of sdp_codecs.def in the offer's order, recvonly (inactive for an
 * offer that will not send), the offer's label, rtcp-mux when offered. SLR_TOOLONG.
 */
enum slr_err slr_sdp_write_answer(const struct slr_sdp *offer, const struct slr_sdp_local *local,
                                  const struct slr_sdp_session *session,
                                  struct slr_put *out) SLR_CHECKED;

/* Writes an offer of one recvonly audio line with every codec of sdp_codecs.def that the limit
 * allows (for an INVITE without a body). SLR_TOOLONG. */
enum slr_err slr_sdp_write_offer(const struct slr_sdp_local *local,
                                 const struct slr_sdp_session *session,
                                 const struct slr_sdp_limit *limit,
                                 struct slr_put *out) SLR_CHECKED;

#endif
