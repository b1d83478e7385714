/* A ring of datagrams against a plain list: what was put last is there, in order, byte for byte. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "engine/raw_hold.h"

#define SEEDS 200
#define PUTS 300

struct sent {
    uint32_t flow, len_bytes;
    bool rtcp;
    uint8_t fill;
};

/* All of a flow's datagrams that the ring still has, compared with the newest that were put. */
static size_t check_flow(const struct slr_raw_hold *h, const struct sent *sent, size_t count,
                         uint32_t flow)
{
    struct slr_raw_walk walk = {0};
    struct slr_packet pkt;
    bool rtcp = false;
    const struct sent *want[PUTS];
    size_t wanted = 0, got = 0;
    for (size_t i = 0; i < count; i++) {
        if (sent[i].flow == flow) {
            want[wanted++] = &sent[i];
        }
    }
    struct slr_raw_walk ahead = {0};
    while (slr_raw_hold_next(h, &ahead, flow, &pkt, &rtcp)) {
        got++;
    }
    cr_assert_leq(got, wanted);
    for (size_t i = wanted - got; i < wanted; i++) {
        cr_assert(slr_raw_hold_next(h, &walk, flow, &pkt, &rtcp));
        cr_assert(pkt.len_bytes == want[i]->len_bytes && rtcp == want[i]->rtcp);
        cr_assert_eq(pkt.arrival.ns, (int64_t)(want[i] - sent));
        for (uint32_t k = 0; k < pkt.len_bytes; k++) {
            cr_assert_eq(pkt.at[k], (uint8_t)(want[i]->fill + k));
        }
    }
    return got;
}

Test(raw_hold, the_newest_of_each_flow_are_there)
{
    for (unsigned seed = 1; seed <= SEEDS; seed++) {
        struct slr_raw_hold h;
        static struct sent sent[PUTS];
        uint8_t bytes[400];
        unsigned draw = seed;
        size_t held = 0;
        cr_assert_eq(slr_raw_hold_init(&h, 1024 + seed * 37), SLR_OK);
        for (size_t n = 0; n < PUTS; n++) {
            sent[n] = (struct sent){(uint32_t)rand_r(&draw) % 3, (uint32_t)rand_r(&draw) % 400,
                                    rand_r(&draw) % 8 == 0, (uint8_t)rand_r(&draw)};
            for (uint32_t k = 0; k < sent[n].len_bytes; k++) {
                bytes[k] = (uint8_t)(sent[n].fill + k);
            }
            struct slr_packet pkt = {.at = bytes, .len_bytes = sent[n].len_bytes};
            pkt.arrival.ns = (int64_t)n;
            cr_assert(slr_raw_hold_put(&h, sent[n].flow, sent[n].rtcp, &pkt));
            held = 0;
            for (uint32_t flow = 0; flow < 4; flow++) {
                held += check_flow(&h, sent, n + 1, flow);
            }
            cr_assert_eq(held, h.count, "seed %u", seed);
            cr_assert_geq(held, 1, "seed %u", seed);
        }
        slr_raw_hold_fini(&h);
    }
}

/* Half of the ring at least is in use when it has been full: nothing is given up without need. */
Test(raw_hold, little_of_it_is_wasted)
{
    struct slr_raw_hold h;
    uint8_t bytes[160] = {0};
    struct slr_packet pkt = {.at = bytes, .len_bytes = sizeof bytes};
    cr_assert_eq(slr_raw_hold_init(&h, 100000), SLR_OK);
    for (int i = 0; i < 5000; i++) {
        cr_assert(slr_raw_hold_put(&h, 1, false, &pkt));
        cr_assert_geq(h.count, i < 250 ? (size_t)i + 1 : 250);
    }
    slr_raw_hold_fini(&h);
}

Test(raw_hold, what_is_longer_than_all_of_it_is_not_kept)
{
    struct slr_raw_hold h;
    static uint8_t bytes[2000];
    struct slr_packet pkt = {.at = bytes, .len_bytes = 100};
    struct slr_raw_walk walk = {0};
    bool rtcp = false;
    cr_assert_eq(slr_raw_hold_init(&h, 1024), SLR_OK);
    cr_assert(slr_raw_hold_put(&h, 1, false, &pkt));
    pkt.len_bytes = sizeof bytes;
    cr_assert_not(slr_raw_hold_put(&h, 1, false, &pkt));
    cr_assert(slr_raw_hold_next(&h, &walk, 1, &pkt, &rtcp));
    cr_assert_not(slr_raw_hold_next(&h, &walk, 1, &pkt, &rtcp));
    slr_raw_hold_fini(&h);
}
