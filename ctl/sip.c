/*
 * sip: agent, transports and the dispatch of requests outside dialogs. See sip.h. Signalling
 * thread; allocates at open.
 */
#include "ctl/sip.h"

#include <sofia-sip/su_log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "ctl/sip_int.h"

#define TICK_MS 50
#define UDP_RMEM_BYTES (4U << 20)
#define MESSAGE_MAX_BYTES 65536U

extern su_log_t nta_log[];
extern su_log_t tport_log[];

bool slr_sip_is_busy(const struct slr_sip *sip)
{
    const struct slr_core *core = sip->core;
    return !slr_link_is_up(core->link) || core->draining || core->refusing ||
           (core->streams_max > 0 && core->streams_used + 2 > core->streams_max);
}

static int on_options(struct slr_sip *sip, nta_incoming_t *irq, bool in_dialog)
{
    slr_core_count(sip->core, SLR_CORE_M_OPTIONS);
    if (!in_dialog && slr_sip_is_busy(sip)) {
        slr_core_count(sip->core, SLR_CORE_M_OPTIONS_BUSY);
        nta_incoming_treply(irq, SIP_503_SERVICE_UNAVAILABLE, SLR_SIP_COMMON,
                            SIPTAG_ACCEPT_STR(SLR_SIP_ACCEPT),
                            SIPTAG_SUPPORTED_STR(SLR_SIP_SUPPORTED),
                            SIPTAG_RETRY_AFTER_STR(SLR_CORE_RETRY_AFTER), TAG_END());
        return 503;
    }
    nta_incoming_treply(irq, SIP_200_OK, SLR_SIP_COMMON, SIPTAG_ACCEPT_STR(SLR_SIP_ACCEPT),
                        SIPTAG_SUPPORTED_STR(SLR_SIP_SUPPORTED), TAG_END());
    return 200;
}

/* nta_request_f of the default leg: whatever belongs to no dialog of ours. All dialogs that the
 * store knows have their legs before anything is listened on, so none is missed by saying 481. */
static int on_request(void *magic, nta_leg_t *leg, nta_incoming_t *irq, const sip_t *msg)
{
    struct slr_sip *sip = magic;
    sip_method_t method = msg->sip_request->rq_method;
    (void)leg;
    if (method == sip_method_ack) {
        nta_incoming_destroy(irq);
        return 0;
    }
    int status = slr_sip_admit(sip, irq, msg);
    if (status != 0) {
        return status;
    }
    bool in_dialog = msg->sip_to && msg->sip_to->a_tag;
    if (method == sip_method_options) {
        return on_options(sip, irq, in_dialog);
    }
    if (in_dialog || method == sip_method_bye || method == sip_method_update ||
        method == sip_method_info || method == sip_method_prack || method == sip_method_cancel) {
        return slr_sip_refuse(sip, irq, SLR_CORE_M_REFUSED_UNKNOWN, 481, "no_dialog");
    }
    if (method == sip_method_invite) {
        return slr_sip_repeat(sip, irq, msg, &status) ? status : slr_sip_invite(sip, irq, msg);
    }
    return slr_sip_refuse(sip, irq, SLR_CORE_M_REFUSED_METHOD, 405, "method");
}

static void on_timer(void *magic, su_timer_t *timer, void *arg)
{
    (void)magic;
    (void)timer;
    slr_sip_on_tick(arg);
}

/* "sip:192.0.2.1:5060;transport=udp"; port 0 is the stack's "*". */
static bool make_url(const struct slr_addr *a, const char *transport, char *out, size_t size_bytes)
{
    char ip[SLR_ADDR_TEXT_SIZE], port[8] = "*";
    slr_addr_format_ip(a, ip);
    if (a->port != 0) {
        (void)snprintf(port, sizeof port, "%u", a->port);
    }
    int n = snprintf(out, size_bytes,
                     a->family == 6 ? "sip:[%s]:%s;transport=%s" : "sip:%s:%s;transport=%s", ip,
                     port, transport);
    return n > 0 && (size_t)n < size_bytes;
}

/* The port that the stack got. */
static uint16_t real_port(const struct slr_sip *sip, const char *protocol)
{
    for (const sip_via_t *v = nta_agent_via(sip->agent); v; v = v->v_next) {
        if (strcmp(v->v_protocol, protocol) == 0) {
            return v->v_port ? (uint16_t)strtoul(v->v_port, NULL, 10) : 5060;
        }
    }
    return 0;
}

static enum slr_err listen_on(struct slr_sip *sip, const char *text, const char *transport,
                              struct slr_addr *out)
{
    char url[128];
    bool tcp = strcmp(transport, "tcp") == 0;
    struct slr_addr a;
    if (!text) {
        return SLR_OK;
    }
    if (slr_addr_parse_port(text, &a) != SLR_OK || !make_url(&a, transport, url, sizeof url)) {
        SLR_ERROR("sip_address_malformed", "value=%s text=\"expected ADDRESS:PORT\"", SLR_Q(text));
        return SLR_INVAL;
    }
    /* Where data was no SIP the stack reads no further, and then does not even hear that the peer
     * has closed the connection: without a limit it stays for ever. */
    uint32_t idle_s = sip->core->cfg->sip_tcp_idle_s;
    if (nta_agent_add_tport(sip->agent, URL_STRING_MAKE(url), TPTAG_UDP_RMEM(UDP_RMEM_BYTES),
                            TPTAG_REUSE(1), TPTAG_STUN_SERVER(0),
                            TAG_IF(tcp && idle_s, TPTAG_IDLE(idle_s * 1000u)),
                            TAG_IF(tcp && idle_s, TPTAG_TIMEOUT(idle_s * 1000u)), TAG_END()) != 0) {
        SLR_ERROR("sip_cannot_listen", "transport=%s address=%s", transport, SLR_Q(text));
        return SLR_BUSY;
    }
    a.port = real_port(sip, tcp ? sip_transport_tcp : sip_transport_udp);
    *out = a;
    char shown[SLR_ADDR_TEXT_SIZE];
    slr_addr_format(&a, shown);
    SLR_INFO("sip_listening", "transport=%s address=%s", transport, shown);
    return SLR_OK;
}

static enum slr_err open_agent(struct slr_sip *sip)
{
    sip->mclass = slr_sip_make_mclass();
    if (!sip->mclass) {
        return SLR_NOMEM;
    }
    sip->agent = nta_agent_create(
        sip->core->root, (url_string_t *)-1, NULL, sip, NTATAG_MCLASS(sip->mclass), NTATAG_UA(1),
        NTATAG_MAXSIZE(MESSAGE_MAX_BYTES), NTATAG_MERGE_482(1), NTATAG_SERVER_RPORT(1),
        TPTAG_STUN_SERVER(0), TAG_END()); /* its answers to STUN leak, and nobody asks for them */
    sip->timer = su_timer_create(su_root_task(sip->core->root), TICK_MS);
    if (!sip->agent || !sip->timer || su_timer_set_for_ever(sip->timer, on_timer, sip) != 0) {
        return SLR_NOMEM;
    }
    sip->default_leg = nta_leg_tcreate(sip->agent, on_request, sip, NTATAG_NO_DIALOG(1), TAG_END());
    return sip->default_leg ? SLR_OK : SLR_NOMEM;
}

enum slr_err slr_sip_open(struct slr_core *core, struct slr_sip **out)
{
    struct slr_sip *sip = calloc(1, sizeof(*sip));
    if (!sip) {
        return SLR_NOMEM;
    }
    sip->core = core;
    su_log_set_level(nta_log, 0);
    su_log_set_level(tport_log, 0);
    su_log_set_level(su_log_default, 0);
    enum slr_err err = open_agent(sip);
    if (err != SLR_OK) {
        slr_sip_close(sip);
        return err;
    }
    *out = sip;
    return SLR_OK;
}

enum slr_err slr_sip_listen(struct slr_sip *sip)
{
    enum slr_err err = listen_on(sip, sip->core->cfg->sip_udp, "udp", &sip->udp);
    if (err == SLR_OK) {
        err = listen_on(sip, sip->core->cfg->sip_tcp, "tcp", &sip->tcp);
    }
    if (err == SLR_OK) {
        err = slr_sip_read_allow(sip);
    }
    return err;
}

void slr_sip_close(struct slr_sip *sip)
{
    if (!sip) {
        return;
    }
    slr_sip_free_all(sip);
    su_timer_destroy(sip->timer);
    if (sip->default_leg) {
        nta_leg_destroy(sip->default_leg);
    }
    if (sip->agent) {
        nta_agent_destroy(sip->agent);
    }
    free(sip->mclass);
    free(sip);
}

uint16_t slr_sip_udp_port(const struct slr_sip *sip)
{
    return sip ? sip->udp.port : 0;
}

uint16_t slr_sip_tcp_port(const struct slr_sip *sip)
{
    return sip ? sip->tcp.port : 0;
}
