/*
 * steer: assembles, loads and attaches the program. State: struct slr_steer, one thread; allocates
 * at open.
 */
#include "capture/steer.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/bpf.h"
#include "common/log.h"

#define PORTS 65536u
#define KEY_OFFSET (-4) /* on the program's stack */

struct slr_steer {
    struct slr_addr ip[SLR_STEER_IPS];
    uint32_t ip_count;
    int ports_fd, sockets_fd, program_fd, link_fd;
    _Atomic uint8_t *ports; /* PORTS for each address: 1 + number of the socket, 0: none */
};

/* ---- the program ---- */

/* dst = *(u32 *)(ctx + offset); the context is in register 6. */
static void emit_field(struct slr_bpf_code *c, uint8_t dst, size_t offset)
{
    slr_bpf_read(c, BPF_W, dst, BPF_REG_6, offset);
}

/* Leaves the program, taking no decision, if register `reg` compares so. */
static void emit_pass_if(struct slr_bpf_code *c, uint8_t compare, uint8_t reg, int32_t imm)
{
    slr_bpf_leave(c, (uint8_t)(BPF_JMP | compare | BPF_K), reg, imm);
}

/* Where the local address is this one (family in register 1), register 7 becomes its number; the
 * returned instruction is the jump to what follows then. */
static uint32_t emit_address(struct slr_bpf_code *c, const struct slr_addr *ip, uint32_t number)
{
    uint32_t words = ip->family == 4 ? 1 : 4;
    uint32_t miss[5];
    uint32_t misses = 0;
    miss[misses++] =
        slr_bpf_jump(c, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_1, ip->family == 4 ? AF_INET : AF_INET6);
    for (uint32_t i = 0; i < words; i++) {
        int32_t word;
        memcpy(&word, ip->ip + 4 * (size_t)i, sizeof word);
        emit_field(c, BPF_REG_2,
                   ip->family == 4 ? offsetof(struct bpf_sk_lookup, local_ip4)
                                   : offsetof(struct bpf_sk_lookup, local_ip6) + 4 * (size_t)i);
        miss[misses++] = slr_bpf_jump(c, BPF_JMP32 | BPF_JNE | BPF_K, BPF_REG_2, word);
    }
    slr_bpf_set(c, BPF_REG_7, (int32_t)number);
    uint32_t found = slr_bpf_jump(c, BPF_JMP | BPF_JA, 0, 0);
    for (uint32_t i = 0; i < misses; i++) {
        slr_bpf_land(c, miss[i]);
    }
    return found;
}

static void assemble(const struct slr_steer *s, struct slr_bpf_code *c)
{
    uint32_t found[SLR_STEER_IPS];
    slr_bpf_move(c, BPF_REG_6, BPF_REG_1);
    emit_field(c, BPF_REG_1, offsetof(struct bpf_sk_lookup, protocol));
    emit_pass_if(c, BPF_JNE, BPF_REG_1, IPPROTO_UDP);
    emit_field(c, BPF_REG_1, offsetof(struct bpf_sk_lookup, family));
    for (uint32_t i = 0; i < s->ip_count; i++) {
        found[i] = emit_address(c, &s->ip[i], i);
    }
    slr_bpf_leave(c, BPF_JMP | BPF_JA, 0, 0);
    for (uint32_t i = 0; i < s->ip_count; i++) {
        slr_bpf_land(c, found[i]);
    }
    slr_bpf_lookup(c, s->ports_fd, BPF_REG_7, KEY_OFFSET);
    emit_pass_if(c, BPF_JEQ, BPF_REG_0, 0);
    emit_field(c, BPF_REG_1, offsetof(struct bpf_sk_lookup, local_port));
    slr_bpf_emit(c, BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_1, 0, PORTS - 1);
    slr_bpf_emit(c, BPF_ALU64 | BPF_ADD | BPF_X, BPF_REG_0, BPF_REG_1, 0);
    slr_bpf_read(c, BPF_B, BPF_REG_1, BPF_REG_0, 0);
    emit_pass_if(c, BPF_JEQ, BPF_REG_1, 0);
    slr_bpf_emit(c, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_1, 0, -1);
    slr_bpf_move(c, BPF_REG_7, BPF_REG_1);
    slr_bpf_lookup(c, s->sockets_fd, BPF_REG_7, KEY_OFFSET);
    emit_pass_if(c, BPF_JEQ, BPF_REG_0, 0);
    slr_bpf_move(c, BPF_REG_7, BPF_REG_0);
    slr_bpf_move(c, BPF_REG_1, BPF_REG_6);
    slr_bpf_move(c, BPF_REG_2, BPF_REG_7);
    slr_bpf_set(c, BPF_REG_3, 0);
    slr_bpf_call(c, BPF_FUNC_sk_assign);
    slr_bpf_move(c, BPF_REG_1, BPF_REG_7);
    slr_bpf_call(c, BPF_FUNC_sk_release);
    slr_bpf_land_leaves(c);
    slr_bpf_set(c, BPF_REG_0, SK_PASS);
    slr_bpf_emit(c, BPF_JMP | BPF_EXIT, 0, 0, 0);
}

/* ---- what the kernel makes of it ---- */

static int attach(int program_fd)
{
    union bpf_attr attr;
    int ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (ns < 0) {
        return -1;
    }
    memset(&attr, 0, sizeof attr);
    attr.link_create.prog_fd = (uint32_t)program_fd;
    attr.link_create.target_fd = (uint32_t)ns;
    attr.link_create.attach_type = BPF_SK_LOOKUP;
    int fd = slr_bpf(BPF_LINK_CREATE, &attr);
    int saved = errno;
    close(ns);
    errno = saved;
    return fd;
}

/* NULL, or what failed (errno says why). */
static const char *set_up(struct slr_steer *s, const int *fd, uint32_t fd_count)
{
    s->ports_fd = slr_bpf_map_open(BPF_MAP_TYPE_ARRAY, PORTS, s->ip_count, BPF_F_MMAPABLE);
    if (s->ports_fd < 0) {
        return "ports";
    }
    void *at =
        mmap(NULL, (size_t)s->ip_count * PORTS, PROT_READ | PROT_WRITE, MAP_SHARED, s->ports_fd, 0);
    if (at == MAP_FAILED) {
        return "mmap";
    }
    s->ports = at;
    s->sockets_fd = slr_bpf_map_open(BPF_MAP_TYPE_SOCKMAP, sizeof(uint32_t), fd_count, 0);
    if (s->sockets_fd < 0) {
        return "sockets";
    }
    for (uint32_t i = 0; i < fd_count; i++) {
        uint32_t value = (uint32_t)fd[i];
        if (slr_bpf_map_put(s->sockets_fd, i, &value) != 0) {
            return "socket";
        }
    }
    struct slr_bpf_code code = {.count = 0};
    assemble(s, &code);
    s->program_fd = slr_bpf_load(&code, BPF_PROG_TYPE_SK_LOOKUP, BPF_SK_LOOKUP, "slr_steer");
    if (s->program_fd < 0) {
        return "program";
    }
    s->link_fd = attach(s->program_fd);
    return s->link_fd < 0 ? "link" : NULL;
}

enum slr_err slr_steer_open(const struct slr_addr *ip, uint32_t ip_count, const int *fd,
                            uint32_t fd_count, struct slr_steer **out)
{
    *out = NULL;
    if (ip_count < 1 || ip_count > SLR_STEER_IPS || fd_count < 1 || fd_count > SLR_STEER_SOCKETS) {
        return SLR_INVAL;
    }
    struct slr_steer *s = calloc(1, sizeof *s);
    if (!s) {
        return SLR_NOMEM;
    }
    s->ports_fd = s->sockets_fd = s->program_fd = s->link_fd = -1;
    s->ip_count = ip_count;
    for (uint32_t i = 0; i < ip_count; i++) {
        s->ip[i] = ip[i];
        if (ip[i].family == 0 || slr_addr_is_any(&ip[i])) {
            free(s);
            return SLR_INVAL;
        }
    }
    const char *failed = set_up(s, fd, fd_count);
    if (failed) {
        SLR_WARN("capture_open_failed", "backend=shared what=%s text=%s", failed,
                 SLR_Q(strerror(errno)));
        slr_steer_close(s);
        return SLR_UNSUPPORTED;
    }
    *out = s;
    return SLR_OK;
}

static void close_one(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

void slr_steer_close(struct slr_steer *s)
{
    if (!s) {
        return;
    }
    close_one(s->link_fd);
    close_one(s->program_fd);
    close_one(s->sockets_fd);
    if (s->ports) {
        munmap((void *)(uintptr_t)s->ports, (size_t)s->ip_count * PORTS);
    }
    close_one(s->ports_fd);
    free(s);
}

uint32_t slr_steer_ip(const struct slr_steer *s, const struct slr_addr *ip)
{
    for (uint32_t i = 0; i < s->ip_count; i++) {
        if (slr_addr_eq_ip(&s->ip[i], ip)) {
            return i;
        }
    }
    return SLR_STEER_NONE;
}

void slr_steer_port(struct slr_steer *s, uint32_t ip, uint16_t port, uint32_t socket)
{
    uint8_t value = socket == SLR_STEER_NONE ? 0 : (uint8_t)(socket + 1);
    atomic_store_explicit(&s->ports[ip * PORTS + port], value, memory_order_release);
}
