/*
 * Calls that are only watched: whose a recording is, is told by its streams' addresses.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "load/packet.h"
#include "load/passive.h"

#define CALLS 70000u /* more than a gateway has ports for */

static struct slr_load_config cfg = {.run_id = 0x1234, .seed = 5};

static struct slr_book make(void)
{
    struct slr_book b;
    cr_assert_eq(slr_book_open(&b, &cfg, CALLS), SLR_OK);
    for (uint32_t i = 0; i < CALLS; i++) {
        cr_assert_not_null(slr_book_next(&b));
        slr_passive_addresses(&b.call[i]);
    }
    return b;
}

/* As the recorder tells of a call: the leg heard first comes first. */
static struct slr_ledger_view view_of(const struct slr_call *call, uint32_t first)
{
    struct slr_ledger_view v = {.call = "01a20082961f52f08aeee04a121b84ff", .leg_count = 2};
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t leg = i ^ first;
        v.leg[i].channel = i;
        v.leg[i].src_ip = ntohl(call->leg[leg].from.sin_addr.s_addr);
        v.leg[i].src_port = ntohs(call->leg[leg].from.sin_port);
        v.leg[i].ssrc = slr_packet_ssrc(cfg.seed, cfg.run_id, call->index, leg);
    }
    return v;
}

Test(passive, both_directions_of_a_call_between_two_hosts)
{
    struct slr_book b = make();
    for (uint32_t i = 0; i < CALLS; i += 997) {
        const struct slr_call_leg *up = &b.call[i].leg[0], *down = &b.call[i].leg[1];
        cr_assert_eq(memcmp(&up->from, &down->rtp, sizeof up->from), 0);
        cr_assert_eq(memcmp(&up->rtp, &down->from, sizeof up->from), 0);
        cr_assert_eq(ntohs(up->rtcp.sin_port), ntohs(up->rtp.sin_port) + 1);
        cr_assert_eq(ntohs(down->rtcp_from.sin_port), ntohs(down->from.sin_port) + 1);
        cr_assert_eq(ntohs(down->from.sin_port) % 2, 0);
    }
    slr_book_close(&b);
}

Test(passive, no_two_calls_have_the_same_addresses)
{
    struct slr_book b = make();
    uint64_t *seen = calloc(1u << 22, sizeof *seen);
    cr_assert_not_null(seen);
    for (uint32_t i = 0; i < 2 * CALLS; i++) {
        const struct sockaddr_in *a = &b.call[i / 2].leg[i % 2].from;
        uint64_t key = (uint64_t)a->sin_addr.s_addr << 16 | a->sin_port;
        size_t at = (size_t)(key * 0x9e3779b97f4a7c15u >> 42);
        while (seen[at] != 0) {
            cr_assert_neq(seen[at], key, "call %u", i / 2);
            at = (at + 1) % (1u << 22);
        }
        seen[at] = key;
    }
    free(seen);
    slr_book_close(&b);
}

Test(passive, a_recording_is_named_by_its_addresses)
{
    struct slr_book b = make();
    for (uint32_t i = 0; i < CALLS; i += 101) {
        for (uint32_t first = 0; first < 2; first++) {
            struct slr_ledger_view v = view_of(&b.call[i], first);
            slr_passive_name(&b, &v);
            cr_assert_eq(slr_book_find(&b, v.call), &b.call[i], "call %u", i);
            cr_assert_eq(v.leg[0].dn, slr_book_dn(i, first));
            cr_assert_eq(v.leg[1].dn, slr_book_dn(i, 1 - first));
        }
    }
    slr_book_close(&b);
}

Test(passive, what_is_not_of_this_run_keeps_its_name)
{
    struct slr_book b = make();
    struct slr_ledger_view v = view_of(&b.call[3], 0);
    v.leg[0].ssrc++;
    v.leg[1].src_port++;
    slr_passive_name(&b, &v);
    cr_assert_null(slr_book_find(&b, v.call));
    v = view_of(&b.call[3], 0);
    b.count = 3; /* no such call */
    slr_passive_name(&b, &v);
    cr_assert_null(slr_book_find(&b, v.call));
    slr_book_close(&b);
}
