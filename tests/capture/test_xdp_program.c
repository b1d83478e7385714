/*
 * The XDP program itself, run by the kernel on frames made here (BPF_PROG_TEST_RUN), against what
 * is expected of each kind and against a second decision in C over random ones. Attached to
 * nothing. Where the kernel refuses the program: skipped, said plainly.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "capture/xdp_plane.h"
#include "common/bpf.h"
#include "tests/capture/xdp_frames.h"

#define RINGS 8u
#define PORT 30000u
#define OTHER 30002u
#define RING 3u /* of PORT */
#define OWNER (5u << SLR_XDP_RING_BITS | (RING + 1))
#define VLAN 100u

static struct slr_xdp_plane *plane;
static struct slr_xdp_view view;
static struct slr_addr ip[3]; /* IPv4 without tag, IPv6 without tag, IPv4 in a VLAN */
static const struct slr_xdp_test here = {{2, 0, 0, 0, 0, 1}, {0, 0, VLAN}};

static bool open_plane(void)
{
    static const char *const text[] = {"192.0.2.1", "2001:db8::1", "192.0.2.2"};
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(slr_addr_parse(text[i], &ip[i]), SLR_OK);
    }
    const struct slr_xdp_plane_config cfg = {
        .ip = ip, .ip_count = 3, .readers = 2, .rings = RINGS, .test = &here};
    enum slr_err err = slr_xdp_plane_open(&cfg, &plane, &view);
    if (err == SLR_UNSUPPORTED) {
        printf("SKIPPED: the XDP program is refused by this machine\n");
        return false;
    }
    cr_assert_eq(err, SLR_OK);
    for (uint32_t i = 0; i < 3; i++) {
        atomic_store(&view.table[i * SLR_XDP_PORTS + PORT], OWNER);
    }
    return true;
}

static struct packet make(uint32_t to, uint32_t vlan, uint32_t port, uint32_t payload_bytes,
                          uint8_t first)
{
    return xf_make(here.mac, &ip[to], vlan, port, payload_bytes, first);
}

static uint32_t run(const struct packet *p)
{
    static uint8_t out[4096];
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.test.prog_fd = (uint32_t)slr_xdp_plane_program(plane);
    attr.test.data_in = (uintptr_t)p->at;
    attr.test.data_size_in = p->len_bytes;
    attr.test.data_out = (uintptr_t)out;
    attr.test.data_size_out = sizeof out;
    attr.test.repeat = 1;
    cr_assert_eq(slr_bpf(BPF_PROG_TEST_RUN, &attr), 0, "%u bytes", p->len_bytes);
    return attr.test.retval;
}

static struct slr_xdp_head *head(void)
{
    return &view.heads[RING];
}

/* What the reader of the ring does. */
static void empty(void)
{
    uint32_t list_head = atomic_load(&view.list->head);
    for (uint32_t i = 0; i < view.places; i++) {
        atomic_store(&view.place[i], 0);
    }
    (void)list_head;
    atomic_store(&head()->listed, 0);
    atomic_store(&head()->mode, SLR_XDP_OPEN);
    atomic_store(&head()->tail, atomic_load(&head()->head));
}

static const struct slr_xdp_slot *newest(void)
{
    uint32_t n = atomic_load(&head()->head);
    return &view.slots[RING * view.slots_a_ring + ((n - 1) & (view.slots_a_ring - 1))];
}

static void check_slot(const struct packet *p, uint8_t family)
{
    const struct slr_xdp_slot *s = newest();
    cr_assert_eq(atomic_load((_Atomic uint32_t *)&s->number), atomic_load(&head()->head));
    cr_assert_eq(s->owner, OWNER);
    cr_assert_eq(s->family, family);
    cr_assert_eq(s->src_port, get16(p->at + p->udp_at));
    cr_assert_eq(s->len_bytes, p->len_bytes - p->payload_at);
    cr_assert_eq(memcmp(s->payload, p->at + p->payload_at, s->len_bytes), 0);
    uint8_t src[16] = {0};
    memcpy(src, p->at + p->ip_at + (family == 4 ? 12 : 8), family == 4 ? 4 : 16);
    cr_assert_eq(memcmp(s->src_ip, src, 16), 0);
}

static void check_taken(struct packet p, uint8_t family)
{
    struct timespec ts;
    uint32_t before = atomic_load(&head()->head);
    uint32_t list_before = atomic_load(&view.list->head);
    clock_gettime(CLOCK_MONOTONIC, &ts);
    cr_assert_eq(run(&p), XDP_DROP);
    int64_t start_ns = (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    int64_t end_ns = (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
    cr_assert_eq(atomic_load(&head()->head), before + 1);
    cr_assert_geq((int64_t)newest()->arrival_ns, start_ns);
    cr_assert_leq((int64_t)newest()->arrival_ns, end_ns);
    check_slot(&p, family);
    cr_assert_eq(atomic_load(&view.list->head), list_before + 1);
    cr_assert_eq(atomic_load(&view.place[list_before & (view.places - 1)]), RING + 1);
    cr_assert_eq(atomic_load(&head()->mode), SLR_XDP_OPEN);
    empty();
}

static void check_passed(struct packet p, const char *why)
{
    uint32_t before = atomic_load(&head()->head);
    cr_assert_eq(run(&p), XDP_PASS, "%s", why);
    cr_assert_eq(atomic_load(&head()->head), before, "%s", why);
    cr_assert_eq(atomic_load(&head()->mode), SLR_XDP_OPEN, "%s", why);
    cr_assert_eq(atomic_load(&head()->listed), 0u, "%s", why);
}

Test(xdp_program, takes_what_is_ordinary)
{
    if (!open_plane()) {
        return;
    }
    for (uint32_t n = 1; n <= SLR_XDP_PAYLOAD_BYTES; n++) {
        check_taken(make(0, 0, PORT, n, (uint8_t)n), 4);
        check_taken(make(1, 0, PORT, n, (uint8_t)n), 6);
        check_taken(make(2, VLAN, PORT, n, (uint8_t)n), 4);
    }
    struct packet p = make(0, 0, PORT, 10, 0);
    p.len_bytes += 8; /* as short frames are filled up */
    cr_assert_eq(run(&p), XDP_DROP);
    cr_assert_eq(newest()->len_bytes, 10);
    empty();
    p = make(0, 0, PORT, 10, 0);
    put16(p.at + p.udp_at + 6, 0); /* IPv4 needs no UDP sum */
    check_taken(p, 4);
    p = make(1, 0, PORT, 10, 0);
    p.at[p.ip_at + 1] = 0x7f; /* flow label, class */
    p.at[p.ip_at] = 0x6b;
    check_taken(p, 6);
    p = make(0, 0, PORT, 172, 0);
    p.at[p.ip_at + 1] = 0xb8; /* DSCP */
    put_sum(p.at + p.ip_at);
    check_taken(p, 4);
    slr_xdp_plane_leave(plane);
}

static void change(uint32_t to, uint32_t at, uint32_t value, bool sum, const char *why)
{
    struct packet p = make(to, 0, PORT, 172, 0);
    p.at[at] = (uint8_t)value;
    if (sum) {
        put_sum(p.at + p.ip_at);
    }
    check_passed(p, why);
}

Test(xdp_program, leaves_what_is_not)
{
    if (!open_plane()) {
        return;
    }
    for (uint32_t i = 0; i < 6; i++) {
        change(0, i, here.mac[i] ^ 1, false, "another host's, or a group's");
    }
    change(0, 12, 0x09, false, "no IP");
    change(0, 14, 0x46, true, "options");
    change(0, 14, 0x55, true, "no version 4");
    change(0, 20, 0x20, true, "first fragment");
    change(0, 21, 0x01, true, "last fragment");
    change(0, 20, 0x80, true, "reserved bit");
    change(0, 23, 6, true, "TCP");
    change(0, 24, 0xee, false, "wrong sum");
    change(0, 33, 9, true, "another address");
    change(0, 36, 0x11, false, "another port");
    change(0, 17, 199, true, "IP shorter than UDP");
    change(0, 39, 181, false, "UDP longer than IP");
    change(0, 39, 7, false, "UDP shorter than its header");
    change(1, 14, 0x40, false, "no version 6");
    change(1, 20, 0, false, "extension header");
    change(1, 20, 44, false, "fragment");
    change(1, 19, 181, false, "longer than UDP");
    change(1, 53, 2, false, "another address");
    struct packet p = make(1, 0, PORT, 10, 0);
    put16(p.at + p.udp_at + 6, 0);
    check_passed(p, "IPv6 without a UDP sum");
    check_passed(make(0, VLAN, PORT, 10, 0), "a tag that is not wanted");
    check_passed(make(2, 0, PORT, 10, 0), "no tag");
    check_passed(make(2, VLAN + 1, PORT, 10, 0), "another tag");
    check_passed(make(0, 0, PORT + 1, 10, 0), "RTCP");
    check_passed(make(0, 0, OTHER, 10, 0), "a port that is not ours");
    p = make(2, VLAN, PORT, 10, 0);
    put16(p.at + 12, 0x88a8);
    check_passed(p, "a service tag");
    p = make(2, VLAN, PORT, 10, 0);
    put16(p.at + 16, 0x8100);
    check_passed(p, "two tags");
    for (uint32_t to = 0; to < 2; to++) {
        p = make(to, 0, PORT, 172, 0);
        for (p.len_bytes--; p.len_bytes >= 14; p.len_bytes--) {
            check_passed(p, "cut");
        }
    }
    slr_xdp_plane_leave(plane);
}

/* Where a ring can't have it, everything goes to the socket until the reader opens it again. */
static void check_closes(struct packet p, uint32_t mode)
{
    struct packet good = make(0, 0, PORT, 172, 0);
    uint32_t list_before = atomic_load(&view.list->head);
    uint32_t before = atomic_load(&head()->head);
    bool was_listed = atomic_load(&head()->listed) != 0;
    cr_assert_eq(run(&p), XDP_PASS);
    cr_assert_eq(atomic_load(&head()->mode), mode);
    cr_assert_eq(atomic_load(&head()->listed), 1u, "the reader must know");
    cr_assert_eq(atomic_load(&view.list->head), list_before + !was_listed);
    cr_assert_eq(run(&good), XDP_PASS);
    cr_assert_eq(run(&p), XDP_PASS);
    cr_assert_eq(atomic_load(&view.list->head), list_before + !was_listed, "once");
    cr_assert_eq(atomic_load(&head()->head), before);
    empty();
    check_taken(good, 4);
}

Test(xdp_program, closes_a_ring)
{
    if (!open_plane()) {
        return;
    }
    check_closes(make(0, 0, PORT, 0, 0), SLR_XDP_FULL);
    check_closes(make(0, 0, PORT, SLR_XDP_PAYLOAD_BYTES + 1, 0), SLR_XDP_LONG);
    check_closes(make(1, 0, PORT, 1400, 0), SLR_XDP_LONG);
    for (uint32_t i = 0; i < view.slots_a_ring; i++) {
        struct packet p = make(0, 0, PORT, 100, (uint8_t)i);
        cr_assert_eq(run(&p), XDP_DROP);
    }
    check_closes(make(0, 0, PORT, 172, 0), SLR_XDP_FULL);
    slr_xdp_plane_leave(plane);
}

Test(xdp_program, a_full_ring_keeps_all_it_has)
{
    if (!open_plane()) {
        return;
    }
    /* numbers wrap at 32 bits: one ring begins shortly before */
    atomic_store(&head()->head, UINT32_MAX - 5);
    atomic_store(&head()->tail, UINT32_MAX - 5);
    for (uint32_t i = 0; i < view.slots_a_ring; i++) {
        struct packet p = make(i % 2, 0, PORT, 20, (uint8_t)i);
        cr_assert_eq(run(&p), XDP_DROP, "%u", i);
    }
    struct packet p = make(0, 0, PORT, 20, 99);
    cr_assert_eq(run(&p), XDP_PASS);
    for (uint32_t i = 0; i < view.slots_a_ring; i++) {
        uint32_t number = UINT32_MAX - 5 + i + 1;
        const struct slr_xdp_slot *s =
            &view.slots[RING * view.slots_a_ring + ((number - 1) & (view.slots_a_ring - 1))];
        cr_assert_eq(atomic_load((_Atomic uint32_t *)&s->number), number);
        cr_assert_eq(s->payload[0], i);
    }
    slr_xdp_plane_leave(plane);
}

/* The list of another reader's rings is another one. */
Test(xdp_program, each_reader_has_its_list)
{
    struct slr_xdp_view second;
    if (!open_plane()) {
        return;
    }
    cr_assert_eq(slr_xdp_plane_join(plane, &second), SLR_OK);
    struct slr_xdp_view third;
    cr_assert_eq(slr_xdp_plane_join(plane, &third), SLR_FULL);
    cr_assert_eq(second.first_ring, RINGS);
    atomic_store(&view.table[OTHER], second.first_ring + 2 + 1);
    struct packet p = make(0, 0, OTHER, 20, 0);
    cr_assert_eq(run(&p), XDP_DROP);
    cr_assert_eq(run(&p), XDP_DROP);
    cr_assert_eq(atomic_load(&view.list->head), 0u);
    cr_assert_eq(atomic_load(&second.list->head), 1u);
    cr_assert_eq(atomic_load(&second.place[0]), second.first_ring + 2 + 1);
    slr_xdp_plane_leave(plane);
    slr_xdp_plane_leave(plane);
}

/* ---- random frames, against a decision of our own ---- */

enum decision { LEAVE, TAKE, CLOSE_LONG, CLOSE_EMPTY };

static uint32_t word_sum(const uint8_t *at)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < 20; i += 2) {
        sum += get16(at + i);
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

static enum decision decide(struct packet *p)
{
    uint32_t vlan = 0, at = 14, type;
    if (p->len_bytes < 14 || memcmp(p->at, here.mac, 6) != 0) {
        return LEAVE;
    }
    type = get16(p->at + 12);
    if (type == 0x8100 && p->len_bytes >= 18) {
        vlan = get16(p->at + 14) & 0xfff;
        type = get16(p->at + 16);
        at = 18;
    }
    const uint8_t *h = p->at + at;
    uint32_t left = p->len_bytes - at, ip_bytes, in_ip;
    const uint8_t *dst;
    uint8_t family;
    if (type == 0x0800 && left >= 28 && h[0] == 0x45 && h[9] == 17 &&
        (get16(h + 6) & 0xbfff) == 0 && word_sum(h) == 0xffff) {
        family = 4, ip_bytes = 20, dst = h + 16;
        if (get16(h + 2) < 20) {
            return LEAVE;
        }
        in_ip = get16(h + 2) - 20;
    } else if (type == 0x86dd && left >= 48 && h[0] >> 4 == 6 && h[6] == 17 && get16(h + 46) != 0) {
        family = 6, ip_bytes = 40, dst = h + 24;
        in_ip = get16(h + 4);
    } else {
        return LEAVE;
    }
    const uint8_t *udp = h + ip_bytes;
    uint32_t udp_bytes = get16(udp + 4);
    bool ours = false;
    for (uint32_t i = 0; i < 3; i++) {
        ours |= ip[i].family == family && here.vlan[i] == vlan &&
                memcmp(ip[i].ip, dst, family == 4 ? 4 : 16) == 0;
    }
    if (!ours || udp_bytes != in_ip || udp_bytes < 8 || ip_bytes + in_ip > left ||
        get16(udp + 2) != PORT) {
        return LEAVE;
    }
    p->ip_at = at;
    p->udp_at = at + ip_bytes;
    p->payload_at = p->udp_at + 8;
    p->len_bytes = p->udp_at + udp_bytes;
    return udp_bytes == 8 ? CLOSE_EMPTY : udp_bytes - 8 > SLR_XDP_PAYLOAD_BYTES ? CLOSE_LONG : TAKE;
}

static uint32_t seed_state;

static uint32_t pick(uint32_t below)
{
    seed_state = seed_state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)seed_state * below) >> 32);
}

/* An ordinary one, mostly, with something changed, mostly. */
static struct packet make_random(void)
{
    static const uint8_t likely[] = {0, 1, 4, 6, 8, 17, 0x20, 0x40, 0x45, 0x60, 0x81, 0xff};
    uint32_t to = pick(3);
    uint32_t vlan = pick(8) == 0 ? pick(2) * VLAN : to == 2 ? VLAN : 0;
    uint32_t bytes = pick(4) == 0 ? pick(1400) : pick(2) ? 172 : 205 + pick(20);
    struct packet p = make(to, vlan, pick(10) ? PORT : OTHER, bytes, (uint8_t)pick(256));
    for (uint32_t i = pick(4); i > 0; i--) {
        uint32_t at = pick(p.payload_at + 2);
        p.at[at] = (uint8_t)(pick(2) ? likely[pick(sizeof likely)] : pick(256));
    }
    if (pick(2) && ip[to].family == 4) {
        put_sum(p.at + p.ip_at);
    }
    if (pick(4) == 0) {
        uint32_t cut = pick(p.len_bytes);
        p.len_bytes = cut < 14 ? 14 : cut;
    } else if (pick(4) == 0) {
        p.len_bytes += pick(30);
    }
    return p;
}

Test(xdp_program, random_frames, .timeout = 50)
{
    static const uint32_t mode[] = {SLR_XDP_OPEN, SLR_XDP_OPEN, SLR_XDP_LONG, SLR_XDP_FULL};
    uint32_t times[4] = {0};
    const char *given = getenv("SLR_SEED");
    seed_state = given ? (uint32_t)strtoul(given, NULL, 10) : (uint32_t)time(NULL);
    printf("seed %u\n", seed_state);
    if (!open_plane()) {
        return;
    }
    for (uint32_t i = 0; i < 150000; i++) {
        struct packet p = make_random(), parsed = p;
        enum decision expected = decide(&parsed);
        uint32_t before = atomic_load(&head()->head);
        uint32_t verdict = run(&p);
        cr_assert_eq(verdict, expected == TAKE ? XDP_DROP : XDP_PASS, "frame %u: %d", i, expected);
        cr_assert_eq(atomic_load(&head()->mode), mode[expected], "frame %u", i);
        cr_assert_eq(atomic_load(&head()->head), before + (expected == TAKE), "frame %u", i);
        if (expected == TAKE) {
            check_slot(&parsed, parsed.payload_at - parsed.ip_at == 28 ? 4 : 6);
        }
        times[expected]++;
        empty();
    }
    printf("left %u, taken %u, too long %u, empty %u\n", times[0], times[1], times[2], times[3]);
    cr_assert(times[0] > 1000 && times[1] > 1000 && times[2] > 1000, "it tries all ways");
    slr_xdp_plane_leave(plane);
}
