/*
 * sip_admit: who may talk to the recorder, and which requests are worked on. Every refusal is
 * counted and logged. Signalling thread; allocates nothing.
 */
#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>

#include "common/log.h"
#include "ctl/sip_int.h"

static bool add_allow(struct slr_sip *sip, const struct slr_cidr *cidr)
{
    if (sip->allow_count == SLR_SIP_ALLOW_MAX) {
        return false;
    }
    sip->allow[sip->allow_count++] = *cidr;
    return true;
}

static bool is_private(const struct slr_addr *a)
{
    static const char *const text[] = {"10.0.0.0/8",     "172.16.0.0/12", "192.168.0.0/16",
                                       "169.254.0.0/16", "100.64.0.0/10", "fc00::/7",
                                       "fe80::/10"};
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        struct slr_cidr cidr;
        if (slr_cidr_parse(text[i], &cidr) == SLR_OK && slr_cidr_has(&cidr, a)) {
            return true;
        }
    }
    return false;
}

static uint8_t prefix_of(const struct sockaddr *mask)
{
    struct slr_addr m;
    uint8_t bits = 0;
    if (!mask || !slr_addr_from_sockaddr(mask, &m)) {
        return 128;
    }
    for (size_t i = 0; i < sizeof m.ip; i++) {
        for (uint8_t b = 0x80; b && (m.ip[i] & b); b = (uint8_t)(b >> 1)) {
            bits++;
        }
    }
    return bits;
}

/* The private networks of the interface that `listen` names; of all for a wildcard. */
static void allow_networks(struct slr_sip *sip, const struct slr_addr *listen)
{
    struct ifaddrs *all = NULL;
    if (listen->family == 0 || slr_addr_is_loopback(listen) || getifaddrs(&all) != 0) {
        return;
    }
    for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
        struct slr_cidr cidr;
        if (!i->ifa_addr || !slr_addr_from_sockaddr(i->ifa_addr, &cidr.base) ||
            cidr.base.family != listen->family || !is_private(&cidr.base) ||
            !(slr_addr_is_any(listen) || slr_addr_eq_ip(listen, &cidr.base))) {
            continue;
        }
        cidr.prefix_bits = prefix_of(i->ifa_netmask);
        cidr.base.port = 0;
        if (cidr.prefix_bits <= (cidr.base.family == 6 ? 128 : 32) && !add_allow(sip, &cidr)) {
            break;
        }
    }
    freeifaddrs(all);
}

enum slr_err slr_sip_read_allow(struct slr_sip *sip)
{
    const struct slr_option_list *list = &sip->core->cfg->sip_allow;
    for (size_t i = 0; i < list->count; i++) {
        struct slr_cidr cidr;
        if (slr_cidr_parse(list->item[i], &cidr) != SLR_OK) {
            SLR_ERROR("sip_allow_malformed", "value=%s text=\"expected ADDRESS/BITS\"",
                      SLR_Q(list->item[i]));
            return SLR_INVAL;
        }
        if (!add_allow(sip, &cidr)) {
            SLR_ERROR("sip_allow_too_many", "limit=%d", SLR_SIP_ALLOW_MAX);
            return SLR_INVAL;
        }
    }
    if (list->count == 0) {
        allow_networks(sip, &sip->udp);
        allow_networks(sip, &sip->tcp);
    }
    return SLR_OK;
}

bool slr_sip_is_allowed(const struct slr_sip *sip, const struct slr_addr *source)
{
    if (sip->core->cfg->sip_allow.count == 0 && slr_addr_is_loopback(source)) {
        return true;
    }
    for (size_t i = 0; i < sip->allow_count; i++) {
        if (slr_cidr_has(&sip->allow[i], source)) {
            return true;
        }
    }
    return false;
}

bool slr_sip_source(nta_incoming_t *irq, struct slr_addr *out)
{
    msg_t *msg = nta_incoming_getrequest(irq);
    bool good = msg && slr_addr_from_sockaddr(&msg_addr(msg)->su_sa, out);
    msg_destroy(msg);
    return good;
}

int slr_sip_refuse(struct slr_sip *sip, nta_incoming_t *irq, enum slr_core_metric which, int status,
                   const char *why)
{
    struct slr_addr source = {.family = 0};
    char text[SLR_ADDR_TEXT_SIZE] = "?";
    if (slr_sip_source(irq, &source)) {
        slr_addr_format(&source, text);
    }
    slr_core_count(sip->core, which);
    SLR_WARN("sip_refused", "method=%s status=%d why=%s source=%s",
             SLR_Q(nta_incoming_method_name(irq)), status, why, text);
    nta_incoming_treply(irq, status, sip_status_phrase(status), SLR_SIP_COMMON,
                        TAG_IF(status == 503, SIPTAG_RETRY_AFTER_STR(SLR_CORE_RETRY_AFTER)),
                        TAG_IF(status == 415 || status == 406, SIPTAG_ACCEPT_STR(SLR_SIP_ACCEPT)),
                        TAG_END());
    return status;
}

static bool is_within_limits(const sip_t *msg)
{
    size_t vias = 0, routes = 0;
    for (const sip_via_t *v = msg->sip_via; v; v = v->v_next) {
        vias++;
    }
    for (const sip_record_route_t *r = msg->sip_record_route; r; r = r->r_next) {
        routes++;
    }
    return vias <= SLR_SIP_VIA_MAX && routes <= SLR_SIP_ROUTE_MAX;
}

int slr_sip_admit(struct slr_sip *sip, nta_incoming_t *irq, const sip_t *msg)
{
    struct slr_addr source;
    if (!slr_sip_source(irq, &source) || !slr_sip_is_allowed(sip, &source)) {
        return slr_sip_refuse(sip, irq, SLR_CORE_M_REFUSED_FORBIDDEN, 403, "source");
    }
    if (!is_within_limits(msg)) {
        return slr_sip_refuse(sip, irq, SLR_CORE_M_REFUSED_LIMIT, 400, "via_or_route_count");
    }
    enum url_type_e type = (enum url_type_e)msg->sip_request->rq_url->url_type;
    if (type != url_sip && type != url_sips) {
        return slr_sip_refuse(sip, irq, SLR_CORE_M_REFUSED_MALFORMED, 416, "scheme");
    }
    return 0;
}

static bool accepts_sdp(const sip_t *msg)
{
    if (!msg->sip_accept) {
        return true;
    }
    for (const sip_accept_t *a = msg->sip_accept; a; a = a->ac_next) {
        struct slr_slice type = slr_slice_str(a->ac_type ? a->ac_type : "");
        if (slr_slice_eq_nocase(type, "application/sdp") ||
            slr_slice_eq_nocase(type, "application/*") || slr_slice_eq_nocase(type, "*/*")) {
            return true;
        }
    }
    return false;
}

static bool is_encoded(const sip_t *msg)
{
    const sip_content_encoding_t *e = msg->sip_content_encoding;
    for (size_t i = 0; e && e->k_items && e->k_items[i]; i++) {
        if (!slr_slice_eq_nocase(slr_slice_str(e->k_items[i]), "identity")) {
            return true;
        }
    }
    return false;
}

int slr_sip_admit_session(struct slr_sip *sip, nta_incoming_t *irq, const sip_t *msg)
{
    su_home_t home[1] = {SU_HOME_INIT(home)};
    sip_supported_t *supported = sip_supported_make(home, SLR_SIP_SUPPORTED);
    int status = nta_check_required(irq, msg, supported, SLR_SIP_COMMON, TAG_END());
    su_home_deinit(home);
    if (status != 0) {
        slr_core_count(sip->core, SLR_CORE_M_REFUSED_EXTENSION);
        SLR_WARN("sip_refused", "method=%s status=%d why=require",
                 SLR_Q(nta_incoming_method_name(irq)), status);
        return status;
    }
    if (is_encoded(msg)) {
        return slr_sip_refuse(sip, irq, SLR_CORE_M_REFUSED_CONTENT, 415, "content_encoding");
    }
    if (!accepts_sdp(msg)) {
        return slr_sip_refuse(sip, irq, SLR_CORE_M_REFUSED_CONTENT, 406, "accept");
    }
    return 0;
}
