/*
 * passive: see the header. No state.
 */
#include "load/passive.h"

#include <arpa/inet.h>
#include <string.h>

#include "load/packet.h"

#define PHONE_NET 0x0a800000u   /* 10.128.0.0 and so on */
#define GATEWAY_NET 0x0a400001u /* 10.64.0.1 */
#define PHONE_PORT 4000u
#define GATEWAY_PORT 16384u
#define CALLS_BITS 14u /* of one gateway */

static struct sockaddr_in address(uint32_t ip, uint32_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr = {.s_addr = htonl(ip)}};
}

static struct sockaddr_in phone(uint32_t call, uint32_t more)
{
    return address(PHONE_NET + call, PHONE_PORT + more);
}

static struct sockaddr_in gateway(uint32_t call, uint32_t more)
{
    uint32_t slot = call & ((1u << CALLS_BITS) - 1);
    return address(GATEWAY_NET + (call >> CALLS_BITS), GATEWAY_PORT + 2 * slot + more);
}

void slr_passive_addresses(struct slr_call *call)
{
    struct slr_call_leg *up = &call->leg[0], *down = &call->leg[1];
    up->from = down->rtp = phone(call->index, 0);
    up->rtp = down->from = gateway(call->index, 0);
    up->rtcp_from = down->rtcp = phone(call->index, 1);
    up->rtcp = down->rtcp_from = gateway(call->index, 1);
}

/* The call and leg that would send from there. */
static bool find_leg(const struct slr_view_leg *v, uint32_t *call, uint32_t *leg)
{
    if (v->src_ip >= PHONE_NET && v->src_ip - PHONE_NET < SLR_PASSIVE_CALLS_MAX) {
        *call = v->src_ip - PHONE_NET;
        *leg = 0;
        return v->src_port == PHONE_PORT;
    }
    uint32_t port = v->src_port - GATEWAY_PORT;
    *call = (v->src_ip - GATEWAY_NET) << CALLS_BITS | port / 2;
    *leg = 1;
    return v->src_ip >= GATEWAY_NET &&
           v->src_ip - GATEWAY_NET < SLR_PASSIVE_CALLS_MAX >> CALLS_BITS && port % 2 == 0 &&
           port / 2 < 1u << CALLS_BITS;
}

void slr_passive_name(const struct slr_book *b, struct slr_ledger_view *view)
{
    uint32_t count = atomic_load_explicit(&b->count, memory_order_acquire);
    for (uint32_t i = 0; i < view->leg_count; i++) {
        struct slr_view_leg *v = &view->leg[i];
        uint32_t call = 0;
        uint32_t leg = 0;
        if (!find_leg(v, &call, &leg) || call >= count ||
            v->ssrc != slr_packet_ssrc(b->cfg->seed, b->cfg->run_id, call, leg)) {
            continue;
        }
        v->dn = slr_book_dn(call, leg);
        slr_book_name(b, call, view->call);
    }
}
