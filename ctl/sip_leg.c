/*
 * sip_leg: a dialog's record and its shadow in the stack, made from an INVITE or from the store by
 * the very same steps. Signalling thread; allocates the record.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "ctl/sip_int.h"

/* The address under which this peer reaches us: the one listened on; behind a wildcard the one
 * that the kernel would send from. Connecting a datagram socket sends nothing. */
static void own_address(const struct slr_addr *listen, nta_incoming_t *irq, struct slr_addr *out)
{
    struct slr_addr peer;
    struct sockaddr_storage sa;
    socklen_t size = sizeof sa;
    *out = *listen;
    if (!slr_addr_is_any(listen) || !slr_sip_source(irq, &peer)) {
        return;
    }
    int fd = socket(peer.family == 6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    socklen_t n = slr_addr_to_sockaddr(&peer, &sa);
    if (connect(fd, (const struct sockaddr *)&sa, n) == 0 &&
        getsockname(fd, (struct sockaddr *)&sa, &size) == 0 &&
        slr_addr_from_sockaddr((const struct sockaddr *)&sa, &peer)) {
        *out = peer;
        out->port = listen->port;
    }
    (void)close(fd);
}

static enum slr_err make_contact(struct slr_sip *sip, struct slr_dialog *d, nta_incoming_t *irq,
                                 const sip_t *msg)
{
    char text[160], host[SLR_ADDR_TEXT_SIZE];
    struct slr_addr own;
    const char *protocol = msg->sip_via ? msg->sip_via->v_protocol : "";
    bool tcp =
        sip->tcp.family != 0 && (sip->udp.family == 0 || strcmp(protocol, sip_transport_tcp) == 0);
    own_address(tcp ? &sip->tcp : &sip->udp, irq, &own);
    slr_addr_format(&own, host);
    (void)snprintf(text, sizeof text, "<sip:slr@%s%s>%s", host, tcp ? ";transport=tcp" : "",
                   d->siprec ? ";+sip.srs" : "");
    return slr_dialog_set(&d->contact, text);
}

/* Record-Route of the INVITE, in its order, is the route set of the UAS (RFC 3261 12.1.1). */
static enum slr_err copy_route(struct slr_dialog *d, su_home_t *home, const sip_t *msg)
{
    char text[SLR_DIALOG_TEXT_MAX];
    struct slr_put put = slr_put_of(text, sizeof text);
    for (const sip_record_route_t *r = msg->sip_record_route; r; r = r->r_next) {
        char *one = slr_sip_header_text(home, r);
        if (!one) {
            return SLR_NOMEM;
        }
        slr_put_fmt(&put, "%s%s", put.len_bytes ? ", " : "", one);
    }
    slr_put_u8(&put, 0);
    return put.overflow ? SLR_TOOLONG : slr_dialog_set(&d->route, text);
}

static enum slr_err set_header(char **field, su_home_t *home, const void *header)
{
    char *text = header ? slr_sip_header_text(home, header) : NULL;
    if (!text) {
        return SLR_FORMAT;
    }
    return strlen(text) > SLR_DIALOG_TEXT_MAX ? SLR_TOOLONG : slr_dialog_set(field, text);
}

static enum slr_err make_tag(struct slr_sip *sip, struct slr_dialog *d)
{
    char tag[64], random[SLR_ID_SIZE];
    slr_idgen_next(&sip->core->idgen, slr_core_now(sip->core), random);
    /* the epoch in front keeps two starts of a core, and two cores' logs, apart */
    (void)snprintf(tag, sizeof tag, "slr-%lld-%s", (long long)sip->core->epoch, random);
    return slr_dialog_set(&d->local_tag, tag);
}

static enum slr_err fill_record(struct slr_sip *sip, struct slr_dialog *d, nta_incoming_t *irq,
                                const sip_t *msg, su_home_t *home)
{
    sip_to_t *to = sip_to_dup(home, msg->sip_to);
    enum slr_err err = make_tag(sip, d);
    if (err == SLR_OK && (!to || sip_to_tag(home, to, d->local_tag) != 0)) {
        err = SLR_NOMEM;
    }
    if (err == SLR_OK) {
        err = slr_dialog_set(&d->call_id, msg->sip_call_id->i_id);
    }
    if (err == SLR_OK) {
        err = set_header(&d->local, home, to);
    }
    if (err == SLR_OK) {
        err = set_header(&d->remote, home, msg->sip_from);
    }
    if (err == SLR_OK) {
        err = set_header(&d->target, home, msg->sip_contact);
    }
    if (err == SLR_OK && msg->sip_from->a_tag) {
        err = slr_dialog_set(&d->remote_tag, msg->sip_from->a_tag);
    }
    if (err == SLR_OK) {
        err = copy_route(d, home, msg);
    }
    if (err == SLR_OK) {
        err = make_contact(sip, d, irq, msg);
    }
    d->remote_seq = msg->sip_cseq->cs_seq;
    d->sdp_id = (uint64_t)(slr_core_now(sip->core).ns / SLR_NS_PER_S);
    d->sdp_version = 0;
    return err == SLR_OK ? slr_dialog_make_key(d) : err;
}

/* The stack's leg out of the record alone. */
static enum slr_err make_leg(struct slr_sip *sip, struct slr_dialog *d)
{
    su_home_t home[1] = {SU_HOME_INIT(home)};
    sip_contact_t *target = sip_contact_make(home, d->target);
    sip_route_t *route = d->route[0] ? sip_route_make(home, d->route) : NULL;
    sip_cseq_t *cseq =
        d->local_seq ? sip_cseq_create(home, d->local_seq, sip_method_options, "OPTIONS") : NULL;
    d->sip = sip;
    if (target) {
        d->leg =
            nta_leg_tcreate(sip->agent, slr_sip_on_dialog, d, SIPTAG_CALL_ID_STR(d->call_id),
                            SIPTAG_FROM_STR(d->local), SIPTAG_TO_STR(d->remote),
                            NTATAG_REMOTE_CSEQ(d->remote_seq), TAG_IF(cseq, SIPTAG_CSEQ(cseq)),
                            NTATAG_TARGET(target), TAG_IF(route, SIPTAG_ROUTE(route)), TAG_END());
    }
    su_home_deinit(home);
    return !target ? SLR_FORMAT : d->leg ? SLR_OK : SLR_NOMEM;
}

struct slr_dialog *slr_sip_make_dialog(struct slr_sip *sip, nta_incoming_t *irq, const sip_t *msg,
                                       bool siprec)
{
    su_home_t home[1] = {SU_HOME_INIT(home)};
    struct slr_dialog *d = slr_dialog_new();
    enum slr_err err = SLR_NOMEM;
    if (d) {
        d->siprec = siprec;
        err = fill_record(sip, d, irq, msg, home);
    }
    if (err == SLR_OK) {
        err = make_leg(sip, d);
    }
    if (err == SLR_OK) {
        err = slr_table_put(&sip->core->dialogs, d->key, d);
    }
    su_home_deinit(home);
    if (err != SLR_OK) {
        SLR_WARN("dialog_not_made", "err=%s", slr_err_name(err));
        if (d && d->leg) {
            nta_leg_destroy(d->leg);
        }
        slr_dialog_free(d);
        return NULL;
    }
    nta_incoming_tag(irq, d->local_tag);
    return d;
}

enum slr_err slr_sip_restore(struct slr_sip *sip, struct slr_dialog *d)
{
    char origin[SLR_DIALOG_KEY_SIZE];
    enum slr_err err = make_leg(sip, d);
    if (err == SLR_OK && slr_dialog_origin(d->call_id, d->remote_tag, origin) == SLR_OK) {
        err = slr_table_put(&sip->core->origins, origin, d);
    }
    return err;
}

void slr_sip_forget_origin(struct slr_sip *sip, const struct slr_dialog *d)
{
    char origin[SLR_DIALOG_KEY_SIZE];
    struct slr_table *t = &sip->core->origins;
    if (slr_dialog_origin(d->call_id, d->remote_tag, origin) == SLR_OK &&
        slr_table_get(t, origin) == d) {
        (void)slr_table_take(t, origin);
    }
}

void slr_sip_refresh_target(struct slr_dialog *d, const sip_t *msg)
{
    su_home_t home[1] = {SU_HOME_INIT(home)};
    if (msg->sip_contact && msg->sip_contact->m_url->url_host &&
        set_header(&d->target, home, msg->sip_contact) == SLR_OK) {
        nta_leg_server_route(d->leg, NULL, msg->sip_contact);
    }
    su_home_deinit(home);
}
