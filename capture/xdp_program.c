/*
 * xdp_program: the program, in the order in which a packet meets it. No state, any thread,
 * allocates nothing.
 *
 * Registers: 6 the context, then 7 the frame (moved on by a VLAN tag), 8 its end and 9 the VLAN;
 * from the lookup on 7 the ring's head, 8 the owner or the slot, 9 the payload's length, at last
 * the verdict. What has to outlive a call besides lies on the stack.
 */
#include "capture/xdp_program.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#define R0 BPF_REG_0
#define R1 BPF_REG_1
#define R2 BPF_REG_2
#define R3 BPF_REG_3
#define R4 BPF_REG_4
#define R6 BPF_REG_6
#define R7 BPF_REG_7
#define R8 BPF_REG_8
#define R9 BPF_REG_9

/* On the stack. */
#define KEY (-4)
#define DST_PORT (-8)
#define PAYLOAD_AT (-12) /* from the frame's begin */
#define SRC_PORT (-16)
#define FAMILY (-20)
#define NUMBER (-24)
#define SRC_IP (-40) /* 16 bytes, aligned to 8 */
#define SLOTS (-48)
#define RING (-52) /* 1 + its number */
#define FRAME_BYTES (-56)

/* In a frame without a tag. */
#define IP_AT ETH_HLEN
#define IPV4_BYTES 20
#define IPV6_BYTES 40
#define UDP_BYTES 8
#define TAG_BYTES 4

enum label {
    PASS,
    CLOSE,
    LIST,
    END,
    UNTAGGED,
    IPV6,
    FOUND,
    COPIED,
    NEXT_IP, /* and so on */
};

/* *(size *)(dst + offset) = src. */
static void put(struct slr_bpf_code *c, uint8_t size, uint8_t dst, size_t offset, uint8_t src)
{
    slr_bpf_write(c, size, dst, (int)offset, src);
}

static void load_local(struct slr_bpf_code *c, uint8_t size, uint8_t dst, int16_t offset)
{
    slr_bpf_emit(c, (uint8_t)(BPF_LDX | BPF_MEM | size), dst, BPF_REG_10, 0)->off = offset;
}

static void save_local(struct slr_bpf_code *c, uint8_t size, int16_t offset, uint8_t src)
{
    slr_bpf_write(c, size, BPF_REG_10, offset, src);
}

static void set_local(struct slr_bpf_code *c, uint8_t size, int16_t offset, int32_t imm)
{
    slr_bpf_emit(c, (uint8_t)(BPF_ST | BPF_MEM | size), BPF_REG_10, 0, imm)->off = offset;
}

/* dst <op>= src, dst <op>= imm. */
static void do_reg(struct slr_bpf_code *c, uint8_t op, uint8_t dst, uint8_t src)
{
    slr_bpf_emit(c, (uint8_t)(BPF_ALU64 | BPF_X | op), dst, src, 0);
}

static void do_imm(struct slr_bpf_code *c, uint8_t op, uint8_t dst, int32_t imm)
{
    slr_bpf_emit(c, (uint8_t)(BPF_ALU64 | BPF_K | op), dst, 0, imm);
}

/* On the 32 bits at dst + offset. */
static void atomic(struct slr_bpf_code *c, int32_t op, uint8_t dst, size_t offset, uint8_t src)
{
    slr_bpf_emit(c, BPF_STX | BPF_ATOMIC | BPF_W, dst, src, op)->off = (int16_t)offset;
}

static void jump(struct slr_bpf_code *c, enum label label)
{
    slr_bpf_jump_to(c, BPF_JMP | BPF_JA, 0, 0, 0, (uint8_t)label);
}

static void jump_if(struct slr_bpf_code *c, uint8_t compare, uint8_t reg, int32_t imm,
                    uint8_t label)
{
    slr_bpf_jump_to(c, (uint8_t)(BPF_JMP | BPF_K | compare), reg, 0, imm, label);
}

/* By the lower half of the register. */
static void jump_if32(struct slr_bpf_code *c, uint8_t compare, uint8_t reg, int32_t imm,
                      uint8_t label)
{
    slr_bpf_jump_to(c, (uint8_t)(BPF_JMP32 | BPF_K | compare), reg, 0, imm, label);
}

static void jump_than(struct slr_bpf_code *c, uint8_t compare, uint8_t reg, uint8_t than,
                      uint8_t label)
{
    slr_bpf_jump_to(c, (uint8_t)(BPF_JMP | BPF_X | compare), reg, than, 0, label);
}

static void leave(struct slr_bpf_code *c)
{
    slr_bpf_emit(c, BPF_JMP | BPF_EXIT, 0, 0, 0);
}

/* ---- in the order in which a packet meets it ---- */

/* Leaves it to the stack unless the frame is that long, tag not counted. */
static void need(struct slr_bpf_code *c, int32_t bytes)
{
    slr_bpf_move(c, R2, R7);
    do_imm(c, BPF_ADD, R2, bytes);
    jump_than(c, BPF_JGT, R2, R8, PASS);
}

/* dst = 16 bits of the frame, in host order. */
static void get16(struct slr_bpf_code *c, uint8_t dst, size_t offset)
{
    slr_bpf_read(c, BPF_H, dst, R7, offset);
    slr_bpf_emit(c, BPF_ALU | BPF_END | BPF_TO_BE, dst, 0, 16);
    do_imm(c, BPF_AND, dst, 0xffff); /* the verifier does not conclude it */
}

static void pass_unless(struct slr_bpf_code *c, uint8_t size, size_t offset, int32_t value)
{
    slr_bpf_read(c, size, R1, R7, offset);
    if (size == BPF_W) {
        jump_if32(c, BPF_JNE, R1, value, PASS);
    } else {
        jump_if(c, BPF_JNE, R1, value, PASS);
    }
}

/* Ethernet, to us; R1: what is in it. */
static void link_layer(const struct slr_xdp_program *p, struct slr_bpf_code *c)
{
    int32_t mac_begin;
    uint16_t mac_end;
    memcpy(&mac_begin, p->mac, sizeof mac_begin);
    memcpy(&mac_end, p->mac + 4, sizeof mac_end);
    slr_bpf_move(c, R6, R1);
    slr_bpf_call(c, BPF_FUNC_xdp_get_buff_len);
    save_local(c, BPF_W, FRAME_BYTES, R0);
    slr_bpf_read(c, BPF_W, R7, R6, offsetof(struct xdp_md, data));
    slr_bpf_read(c, BPF_W, R8, R6, offsetof(struct xdp_md, data_end));
    need(c, IP_AT + IPV4_BYTES + UDP_BYTES);
    pass_unless(c, BPF_W, 0, mac_begin);
    pass_unless(c, BPF_H, 4, mac_end);
    slr_bpf_set(c, R9, 0);
    set_local(c, BPF_W, PAYLOAD_AT, 0);
    slr_bpf_read(c, BPF_H, R1, R7, 12);
    jump_if(c, BPF_JNE, R1, htons(ETH_P_8021Q), UNTAGGED);
    get16(c, R9, 14);
    do_imm(c, BPF_AND, R9, 0xfff);
    set_local(c, BPF_W, PAYLOAD_AT, TAG_BYTES);
    do_imm(c, BPF_ADD, R7, TAG_BYTES);
    need(c, IP_AT + IPV4_BYTES + UDP_BYTES);
    slr_bpf_read(c, BPF_H, R1, R7, 12);
    slr_bpf_label(c, UNTAGGED);
}

/* R1 = its upper part, from bit `bits` on, and its lower one. */
static void fold(struct slr_bpf_code *c, int32_t bits)
{
    slr_bpf_move(c, R2, R1);
    do_imm(c, BPF_RSH, R2, bits);
    do_imm(c, BPF_LSH, R1, 64 - bits);
    do_imm(c, BPF_RSH, R1, 64 - bits);
    do_reg(c, BPF_ADD, R1, R2);
}

/* The kernel drops what has a wrong sum; so it gets it. */
static void ipv4_sum(struct slr_bpf_code *c)
{
    slr_bpf_set(c, R1, 0);
    for (size_t i = 0; i < IPV4_BYTES; i += 4) {
        slr_bpf_read(c, BPF_W, R2, R7, IP_AT + i);
        do_reg(c, BPF_ADD, R1, R2);
    }
    fold(c, 32);
    fold(c, 16);
    fold(c, 16);
    fold(c, 16);
    jump_if(c, BPF_JNE, R1, 0xffff, PASS);
}

/* R1: length of the IP packet or of what is behind its header, as the header says; `extra`: bytes
 * that UDP does not count in it. The frame must have it all. R3 = length of the payload. */
static void lengths(struct slr_bpf_code *c, int32_t ip_bytes, int32_t extra, int32_t outside)
{
    get16(c, R3, (size_t)(IP_AT + ip_bytes + 4));
    slr_bpf_move(c, R2, R3);
    do_imm(c, BPF_ADD, R2, extra);
    jump_than(c, BPF_JNE, R1, R2, PASS);
    jump_if(c, BPF_JLT, R3, UDP_BYTES, PASS);
    do_imm(c, BPF_ADD, R1, IP_AT + outside);
    load_local(c, BPF_W, R2, PAYLOAD_AT); /* the tag, so far */
    do_reg(c, BPF_ADD, R1, R2);
    load_local(c, BPF_W, R2, FRAME_BYTES);
    jump_than(c, BPF_JGT, R1, R2, PASS);
    do_imm(c, BPF_SUB, R3, UDP_BYTES);
}

/* Puts aside what of the headers is needed later. */
static void keep(struct slr_bpf_code *c, int32_t ip_bytes, int32_t family)
{
    size_t udp_at = (size_t)(IP_AT + ip_bytes);
    get16(c, R1, udp_at);
    save_local(c, BPF_W, SRC_PORT, R1);
    get16(c, R1, udp_at + 2);
    save_local(c, BPF_W, DST_PORT, R1);
    set_local(c, BPF_W, FAMILY, family);
    load_local(c, BPF_W, R1, PAYLOAD_AT);
    do_imm(c, BPF_ADD, R1, (int32_t)udp_at + UDP_BYTES);
    save_local(c, BPF_W, PAYLOAD_AT, R1);
}

/* Goes on at FOUND with R4 = number of the address that the packet is to. */
static void match_ips(const struct slr_xdp_program *p, struct slr_bpf_code *c, uint8_t family,
                      size_t dst_at)
{
    for (uint32_t i = 0; i < p->ip_count; i++) {
        size_t words = family == 4 ? 1 : 4;
        uint8_t next = (uint8_t)(NEXT_IP + i);
        if (p->ip[i].family != family) {
            continue;
        }
        jump_if(c, BPF_JNE, R9, p->vlan[i], next);
        for (size_t w = 0; w < words; w++) {
            int32_t word;
            memcpy(&word, p->ip[i].ip + 4 * w, sizeof word);
            slr_bpf_read(c, BPF_W, R1, R7, dst_at + 4 * w);
            jump_if32(c, BPF_JNE, R1, word, next);
        }
        slr_bpf_set(c, R4, (int32_t)i);
        jump(c, FOUND);
        slr_bpf_label(c, next);
    }
    jump(c, PASS);
}

static void ipv4(const struct slr_xdp_program *p, struct slr_bpf_code *c)
{
    pass_unless(c, BPF_B, IP_AT, 0x45);
    pass_unless(c, BPF_B, IP_AT + 9, IPPROTO_UDP);
    slr_bpf_read(c, BPF_H, R1, R7, IP_AT + 6);
    do_imm(c, BPF_AND, R1, htons(0xbfff)); /* all but "don't fragment" */
    jump_if(c, BPF_JNE, R1, 0, PASS);
    ipv4_sum(c);
    get16(c, R1, IP_AT + 2);
    lengths(c, IPV4_BYTES, IPV4_BYTES, 0);
    keep(c, IPV4_BYTES, 4);
    slr_bpf_read(c, BPF_W, R1, R7, IP_AT + 12);
    save_local(c, BPF_W, SRC_IP, R1);
    set_local(c, BPF_W, SRC_IP + 4, 0);
    set_local(c, BPF_DW, SRC_IP + 8, 0);
    match_ips(p, c, 4, IP_AT + 16);
}

static void ipv6(const struct slr_xdp_program *p, struct slr_bpf_code *c)
{
    slr_bpf_label(c, IPV6);
    need(c, IP_AT + IPV6_BYTES + UDP_BYTES);
    slr_bpf_read(c, BPF_B, R1, R7, IP_AT);
    do_imm(c, BPF_AND, R1, 0xf0);
    jump_if(c, BPF_JNE, R1, 0x60, PASS);
    pass_unless(c, BPF_B, IP_AT + 6, IPPROTO_UDP);
    slr_bpf_read(c, BPF_H, R1, R7, IP_AT + IPV6_BYTES + 6); /* a sum there must be */
    jump_if(c, BPF_JEQ, R1, 0, PASS);
    get16(c, R1, IP_AT + 4);
    lengths(c, IPV6_BYTES, 0, IPV6_BYTES);
    keep(c, IPV6_BYTES, 6);
    for (int16_t i = 0; i < 16; i = (int16_t)(i + 4)) {
        slr_bpf_read(c, BPF_W, R1, R7, (size_t)(IP_AT + 8 + i));
        save_local(c, BPF_W, (int16_t)(SRC_IP + i), R1);
    }
    match_ips(p, c, 6, IP_AT + 24);
}

/* R0 = an entry of the map, by the key on the stack. */
static void lookup(struct slr_bpf_code *c, int map_fd, uint8_t otherwise)
{
    slr_bpf_map(c, R1, map_fd);
    slr_bpf_move(c, R2, BPF_REG_10);
    do_imm(c, BPF_ADD, R2, KEY);
    slr_bpf_call(c, BPF_FUNC_map_lookup_elem);
    jump_if(c, BPF_JEQ, R0, 0, otherwise);
}

/* R4 address, R3 length. R7: head of the stream's ring, R8: owner; its slots are on the stack. */
static void find_ring(const struct slr_xdp_program *p, struct slr_bpf_code *c)
{
    slr_bpf_label(c, FOUND);
    slr_bpf_move(c, R9, R3);
    save_local(c, BPF_W, KEY, R4);
    lookup(c, p->table_fd, PASS);
    load_local(c, BPF_W, R1, DST_PORT);
    do_imm(c, BPF_AND, R1, SLR_XDP_PORTS - 1);
    do_imm(c, BPF_LSH, R1, 2);
    do_reg(c, BPF_ADD, R0, R1);
    slr_bpf_read(c, BPF_W, R8, R0, 0);
    jump_if(c, BPF_JEQ, R8, 0, PASS);
    slr_bpf_move(c, R1, R8);
    do_imm(c, BPF_AND, R1, SLR_XDP_RING_MASK);
    save_local(c, BPF_W, RING, R1);
    do_imm(c, BPF_SUB, R1, 1);
    save_local(c, BPF_W, KEY, R1);
    lookup(c, p->heads_fd, PASS);
    slr_bpf_move(c, R7, R0);
    lookup(c, p->slots_fd, PASS);
    save_local(c, BPF_DW, SLOTS, R0);
}

/* R8: a slot of its own for this packet. */
static void take_slot(const struct slr_xdp_program *p, struct slr_bpf_code *c)
{
    slr_bpf_read(c, BPF_W, R1, R7, offsetof(struct slr_xdp_head, mode));
    jump_if(c, BPF_JNE, R1, SLR_XDP_OPEN, PASS);
    slr_bpf_set(c, R1, SLR_XDP_LONG);
    jump_if(c, BPF_JGT, R9, SLR_XDP_PAYLOAD_BYTES, CLOSE);
    slr_bpf_set(c, R1, SLR_XDP_FULL);
    jump_if(c, BPF_JEQ, R9, 0, CLOSE);
    slr_bpf_read(c, BPF_W, R0, R7, offsetof(struct slr_xdp_head, head));
    slr_bpf_read(c, BPF_W, R2, R7, offsetof(struct slr_xdp_head, tail));
    slr_bpf_move(c, R3, R0);
    slr_bpf_emit(c, BPF_ALU | BPF_SUB | BPF_X, R3, R2, 0); /* numbers wrap at 32 bits */
    jump_if(c, BPF_JGE, R3, (int32_t)p->slots, CLOSE);
    slr_bpf_move(c, R3, R0);
    slr_bpf_move(c, R2, R0);
    slr_bpf_emit(c, BPF_ALU | BPF_ADD | BPF_K, R2, 0, 1);
    save_local(c, BPF_W, NUMBER, R2);
    atomic(c, BPF_CMPXCHG, R7, offsetof(struct slr_xdp_head, head), R2);
    jump_than(c, BPF_JNE, R0, R3, CLOSE); /* another core was faster */
    do_imm(c, BPF_AND, R3, (int32_t)p->slots - 1);
    do_imm(c, BPF_LSH, R3, 8);
    load_local(c, BPF_DW, R1, SLOTS);
    do_reg(c, BPF_ADD, R1, R3);
    put(c, BPF_W, R1, offsetof(struct slr_xdp_slot, owner), R8);
    slr_bpf_move(c, R8, R1);
}

/* An exchange is a barrier: who sees the number sees the rest. */
static void fill_slot(struct slr_bpf_code *c)
{
    slr_bpf_call(c, BPF_FUNC_ktime_get_ns);
    put(c, BPF_DW, R8, offsetof(struct slr_xdp_slot, arrival_ns), R0);
    load_local(c, BPF_DW, R1, SRC_IP);
    put(c, BPF_DW, R8, offsetof(struct slr_xdp_slot, src_ip), R1);
    load_local(c, BPF_DW, R1, SRC_IP + 8);
    put(c, BPF_DW, R8, offsetof(struct slr_xdp_slot, src_ip) + 8, R1);
    load_local(c, BPF_W, R1, SRC_PORT);
    put(c, BPF_H, R8, offsetof(struct slr_xdp_slot, src_port), R1);
    load_local(c, BPF_W, R1, FAMILY);
    put(c, BPF_B, R8, offsetof(struct slr_xdp_slot, family), R1);
    put(c, BPF_H, R8, offsetof(struct slr_xdp_slot, len_bytes), R9);
    slr_bpf_move(c, R1, R6);
    load_local(c, BPF_W, R2, PAYLOAD_AT);
    slr_bpf_move(c, R3, R8);
    do_imm(c, BPF_ADD, R3, offsetof(struct slr_xdp_slot, payload));
    slr_bpf_move(c, R4, R9);
    slr_bpf_call(c, BPF_FUNC_xdp_load_bytes);
    jump_if(c, BPF_JEQ, R0, 0, COPIED);
    slr_bpf_set(c, R1, 0);
    put(c, BPF_H, R8, offsetof(struct slr_xdp_slot, len_bytes), R1);
    slr_bpf_label(c, COPIED);
    load_local(c, BPF_W, R1, NUMBER);
    atomic(c, BPF_XCHG, R8, offsetof(struct slr_xdp_slot, number), R1);
    slr_bpf_set(c, R9, XDP_DROP);
    jump(c, LIST);
}

/* R1: why. This packet and those to come go to the socket. */
static void close_ring(struct slr_bpf_code *c)
{
    slr_bpf_label(c, CLOSE);
    atomic(c, BPF_XCHG, R7, offsetof(struct slr_xdp_head, mode), R1);
    slr_bpf_set(c, R9, XDP_PASS);
}

/* Tells the reader, unless that is done; the reader takes `listed` back before it looks. */
static void tell(const struct slr_xdp_program *p, struct slr_bpf_code *c)
{
    slr_bpf_label(c, LIST);
    slr_bpf_read(c, BPF_W, R1, R7, offsetof(struct slr_xdp_head, listed));
    jump_if(c, BPF_JNE, R1, 0, END);
    slr_bpf_set(c, R1, 1);
    atomic(c, BPF_XCHG, R7, offsetof(struct slr_xdp_head, listed), R1);
    jump_if(c, BPF_JNE, R1, 0, END);
    slr_bpf_read(c, BPF_W, R1, R7, offsetof(struct slr_xdp_head, list));
    save_local(c, BPF_W, KEY, R1);
    lookup(c, p->lists_fd, END);
    slr_bpf_set(c, R1, 1);
    atomic(c, BPF_ADD | BPF_FETCH, R0, offsetof(struct slr_xdp_list, head), R1);
    do_imm(c, BPF_AND, R1, (int32_t)p->places - 1);
    do_imm(c, BPF_LSH, R1, 2);
    do_reg(c, BPF_ADD, R0, R1);
    load_local(c, BPF_W, R1, RING);
    put(c, BPF_W, R0, sizeof(struct slr_xdp_list), R1);
    slr_bpf_label(c, END);
    slr_bpf_move(c, R0, R9);
    leave(c);
}

void slr_xdp_assemble(const struct slr_xdp_program *p, struct slr_bpf_code *out)
{
    link_layer(p, out);
    jump_if(out, BPF_JEQ, R1, htons(ETH_P_IPV6), IPV6);
    jump_if(out, BPF_JNE, R1, htons(ETH_P_IP), PASS);
    ipv4(p, out);
    ipv6(p, out);
    find_ring(p, out);
    take_slot(p, out);
    fill_slot(out);
    close_ring(out);
    tell(p, out);
    slr_bpf_label(out, PASS);
    slr_bpf_set(out, R0, XDP_PASS);
    leave(out);
}
