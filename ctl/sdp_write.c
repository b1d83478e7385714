/*
 * sdp_write: answers (RFC 3264) of a recorder that only receives, and its offer to an INVITE
 * without a body. Owns no state, runs on any thread, allocates nothing.
 */
#include <string.h>

#include "ctl/sdp.h"

static const struct {
    unsigned pt;
    const char *map, *fmtp;
} offered[] = {
#define SDP_OFFER(pt, map, fmtp) {pt, map, fmtp},
#include "ctl/sdp_codecs.def"
#undef SDP_OFFER
};

static void put_addr(struct slr_put *out, const char *prefix, uint8_t family, const char *ip)
{
    slr_put_fmt(out, "%sIN %s %s\r\n", prefix, family == 6 ? "IP6" : "IP4", ip);
}

static void put_session(const struct slr_sdp_session *session, struct slr_put *out)
{
    slr_put_fmt(out, "v=0\r\no=slr %llu %llu ", (unsigned long long)session->id,
                (unsigned long long)session->version);
    put_addr(out, "", session->family, session->ip);
    slr_put_str(out, "s=-\r\n");
    put_addr(out, "c=", session->family, session->ip);
    slr_put_str(out, "t=0 0\r\n");
}

/* A refused line repeats kind, transport and formats with port 0 (RFC 3264 section 6). */
static void put_refused(const struct slr_sdp_media *m, struct slr_put *out)
{
    slr_put_fmt(out, "m=%s 0 %s %s\r\n", m->kind, m->proto, m->formats);
    if (m->label[0]) {
        slr_put_fmt(out, "a=label:%s\r\n", m->label);
    }
}

static void put_codec_map(const struct slr_sdp_codec *c, struct slr_put *out)
{
    slr_put_fmt(out, "a=rtpmap:%u %s/%u", c->pt, c->name, c->clock_hz);
    if (c->channels > 1) {
        slr_put_fmt(out, "/%u", c->channels);
    }
    slr_put_str(out, "\r\n");
    if (c->fmtp[0]) {
        slr_put_fmt(out, "a=fmtp:%u %s\r\n", c->pt, c->fmtp);
    }
}

/* Offers that send nothing for now are answered inactive, all others recvonly. */
static const char *answer_direction(const struct slr_sdp_media *m)
{
    return m->dir == SLR_SDP_INACTIVE || m->dir == SLR_SDP_RECVONLY ? "inactive" : "recvonly";
}

static void put_tail(const struct slr_sdp_local *local, bool mux, struct slr_put *out)
{
    if (mux) {
        slr_put_str(out, "a=rtcp-mux\r\n");
    } else if (local->rtcp_port != 0 && local->rtcp_port != local->port + 1) {
        slr_put_fmt(out, "a=rtcp:%u\r\n", local->rtcp_port);
    }
}

/* The line that was chosen, with our key (RFC 4568 5.1.2). */
static void put_crypto(const struct slr_sdp_media *m, const struct slr_sdp_local *local,
                       struct slr_put *out)
{
    const struct slr_sdp_crypto *c = slr_sdp_media_crypto(m);
    if (c && local->own.suite == c->key[0].suite) {
        char key[SLR_SRTP_KEY_TEXT_SIZE];
        slr_srtp_key_format(&local->own, key);
        slr_put_fmt(out, "a=crypto:%u %s inline:%s\r\n", c->tag, c->name, key);
        explicit_bzero(key, sizeof key);
    }
}

static void put_taken(const struct slr_sdp_media *m, const struct slr_sdp_local *local,
                      struct slr_put *out)
{
    const struct slr_sdp_codec *codec[SLR_SDP_TAKEN_MAX];
    uint32_t count = 0;
    for (uint8_t i = 0; i < m->codec_count && count < SLR_SDP_TAKEN_MAX; i++) {
        if (slr_sdp_codec_taken(&m->codec[i])) {
            codec[count++] = &m->codec[i];
        }
    }
    slr_put_fmt(out, "m=%s %u %s", m->kind, local->port, m->proto);
    for (uint32_t i = 0; i < count; i++) {
        slr_put_fmt(out, " %u", codec[i]->pt);
    }
    slr_put_str(out, "\r\n");
    put_addr(out, "c=", local->family, local->ip);
    for (uint32_t i = 0; i < count; i++) {
        put_codec_map(codec[i], out);
    }
    if (m->ptime_ms) {
        slr_put_fmt(out, "a=ptime:%u\r\n", m->ptime_ms);
    }
    if (m->label[0]) {
        slr_put_fmt(out, "a=label:%s\r\n", m->label);
    }
    put_crypto(m, local, out);
    slr_put_fmt(out, "a=%s\r\n", answer_direction(m));
    put_tail(local, m->rtcp_mux, out);
}

enum slr_err slr_sdp_write_answer(const struct slr_sdp *offer, const struct slr_sdp_local *local,
                                  const struct slr_sdp_session *session, struct slr_put *out)
{
    put_session(session, out);
    for (uint8_t i = 0; i < offer->media_count; i++) {
        if (local[i].taken) {
            put_taken(&offer->media[i], &local[i], out);
        } else {
            put_refused(&offer->media[i], out);
        }
    }
    return out->overflow ? SLR_TOOLONG : SLR_OK;
}

static bool may_offer(const struct slr_sdp_limit *limit, unsigned pt)
{
    return !limit->on || pt >= sizeof limit->pt || limit->pt[pt];
}

enum slr_err slr_sdp_write_offer(const struct slr_sdp_local *local,
                                 const struct slr_sdp_session *session,
                                 const struct slr_sdp_limit *limit, struct slr_put *out)
{
    put_session(session, out);
    slr_put_fmt(out, "m=audio %u RTP/AVP", local->port);
    for (size_t i = 0; i < sizeof offered / sizeof offered[0]; i++) {
        if (may_offer(limit, offered[i].pt)) {
            slr_put_fmt(out, " %u", offered[i].pt);
        }
    }
    slr_put_str(out, "\r\n");
    put_addr(out, "c=", local->family, local->ip);
    for (size_t i = 0; i < sizeof offered / sizeof offered[0]; i++) {
        if (!may_offer(limit, offered[i].pt)) {
            continue;
        }
        slr_put_fmt(out, "a=rtpmap:%u %s\r\n", offered[i].pt, offered[i].map);
        if (offered[i].fmtp) {
            slr_put_fmt(out, "a=fmtp:%u %s\r\n", offered[i].pt, offered[i].fmtp);
        }
    }
    slr_put_str(out, "a=recvonly\r\n");
    put_tail(local, false, out);
    return out->overflow ? SLR_TOOLONG : SLR_OK;
}
