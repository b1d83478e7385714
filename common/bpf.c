/*
 * bpf: see the header. No state; allocates the log of a program that is refused.
 */
#include "common/bpf.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/log.h"

#define LOAD_TRIES 10
#define LOG_BYTES (1u << 20)
#define LOG_TOLD_BYTES 200u /* its end says what was wrong */

struct bpf_insn *slr_bpf_emit(struct slr_bpf_code *c, uint8_t op, uint8_t dst, uint8_t src,
                              int32_t imm)
{
    assert(c->count < SLR_BPF_CODE_MAX);
    struct bpf_insn *i = &c->at[c->count++];
    *i = (struct bpf_insn){.code = op, .imm = imm};
    i->dst_reg = dst & 0xfu;
    i->src_reg = src & 0xfu;
    return i;
}

void slr_bpf_move(struct slr_bpf_code *c, uint8_t dst, uint8_t src)
{
    slr_bpf_emit(c, BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0);
}

void slr_bpf_set(struct slr_bpf_code *c, uint8_t dst, int32_t imm)
{
    slr_bpf_emit(c, BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, imm);
}

void slr_bpf_read(struct slr_bpf_code *c, uint8_t size, uint8_t dst, uint8_t src, size_t offset)
{
    slr_bpf_emit(c, (uint8_t)(BPF_LDX | BPF_MEM | size), dst, src, 0)->off = (int16_t)offset;
}

void slr_bpf_write(struct slr_bpf_code *c, uint8_t size, uint8_t dst, int offset, uint8_t src)
{
    slr_bpf_emit(c, (uint8_t)(BPF_STX | BPF_MEM | size), dst, src, 0)->off = (int16_t)offset;
}

void slr_bpf_map(struct slr_bpf_code *c, uint8_t dst, int map_fd)
{
    slr_bpf_emit(c, BPF_LD | BPF_DW | BPF_IMM, dst, BPF_PSEUDO_MAP_FD, map_fd);
    slr_bpf_emit(c, 0, 0, 0, 0); /* its second half */
}

void slr_bpf_value(struct slr_bpf_code *c, uint8_t dst, int map_fd, uint32_t offset)
{
    slr_bpf_emit(c, BPF_LD | BPF_DW | BPF_IMM, dst, BPF_PSEUDO_MAP_VALUE, map_fd);
    slr_bpf_emit(c, 0, 0, 0, (int32_t)offset);
}

void slr_bpf_call(struct slr_bpf_code *c, int32_t helper)
{
    slr_bpf_emit(c, BPF_JMP | BPF_CALL, 0, 0, helper);
}

void slr_bpf_lookup(struct slr_bpf_code *c, int map_fd, uint8_t key, int16_t stack)
{
    slr_bpf_write(c, BPF_W, BPF_REG_10, stack, key);
    slr_bpf_map(c, BPF_REG_1, map_fd);
    slr_bpf_move(c, BPF_REG_2, BPF_REG_10);
    slr_bpf_emit(c, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, stack);
    slr_bpf_call(c, BPF_FUNC_map_lookup_elem);
}

uint32_t slr_bpf_jump(struct slr_bpf_code *c, uint8_t op, uint8_t reg, int32_t imm)
{
    slr_bpf_emit(c, op, reg, 0, imm);
    return c->count - 1;
}

void slr_bpf_land(struct slr_bpf_code *c, uint32_t jump)
{
    c->at[jump].off = (int16_t)(c->count - jump - 1);
}

void slr_bpf_leave(struct slr_bpf_code *c, uint8_t op, uint8_t reg, int32_t imm)
{
    c->leave[c->leave_count++] = slr_bpf_jump(c, op, reg, imm);
}

void slr_bpf_land_leaves(struct slr_bpf_code *c)
{
    for (uint32_t i = 0; i < c->leave_count; i++) {
        slr_bpf_land(c, c->leave[i]);
    }
    c->leave_count = 0;
}

void slr_bpf_jump_to(struct slr_bpf_code *c, uint8_t op, uint8_t reg, uint8_t src, int32_t imm,
                     uint8_t label)
{
    slr_bpf_emit(c, op, reg, src, imm);
    c->jump_to[c->count - 1] = (uint8_t)(label + 1);
}

void slr_bpf_label(struct slr_bpf_code *c, uint8_t label)
{
    for (uint32_t i = 0; i < c->count; i++) {
        if (c->jump_to[i] == label + 1) {
            slr_bpf_land(c, i);
            c->jump_to[i] = 0;
        }
    }
}

int slr_bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
    return (int)syscall(__NR_bpf, cmd, attr, sizeof *attr);
}

int slr_bpf_map_open(uint32_t type, uint32_t value_bytes, uint32_t entries, uint32_t flags)
{
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.map_type = type;
    attr.key_size = sizeof(uint32_t);
    attr.value_size = value_bytes;
    attr.max_entries = entries;
    attr.map_flags = flags;
    return slr_bpf(BPF_MAP_CREATE, &attr);
}

int slr_bpf_map_put(int map_fd, uint32_t key, const void *value)
{
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.map_fd = (uint32_t)map_fd;
    attr.key = (uintptr_t)&key;
    attr.value = (uintptr_t)value;
    return slr_bpf(BPF_MAP_UPDATE_ELEM, &attr);
}

/* It is asked for only then: a log that is too short is a failure of its own. */
static void tell_why(union bpf_attr *attr)
{
    char *log = calloc(1, LOG_BYTES);
    if (!log) {
        return;
    }
    attr->log_buf = (uintptr_t)log;
    attr->log_size = LOG_BYTES;
    attr->log_level = 1;
    int fd = slr_bpf(BPF_PROG_LOAD, attr);
    if (fd >= 0) {
        close(fd);
    }
    size_t len_bytes = strnlen(log, LOG_BYTES - 1);
    const char *end = len_bytes > LOG_TOLD_BYTES ? log + len_bytes - LOG_TOLD_BYTES : log;
    if (len_bytes > 0) {
        SLR_WARN("bpf_refused", "program=%s log=%s", attr->prog_name, SLR_Q(end));
    }
    free(log);
}

int slr_bpf_load(const struct slr_bpf_code *c, uint32_t type, uint32_t attach_type,
                 const char *name)
{
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.prog_type = type;
    attr.expected_attach_type = attach_type;
    attr.insns = (uintptr_t)c->at;
    attr.insn_cnt = c->count;
    attr.license = (uintptr_t) "Apache-2.0";
    snprintf(attr.prog_name, sizeof attr.prog_name, "%s", name);
    int fd = -1;
    errno = EAGAIN;
    for (int i = 0; i < LOAD_TRIES && fd < 0 && errno == EAGAIN; i++) { /* a signal came */
        fd = slr_bpf(BPF_PROG_LOAD, &attr);
    }
    if (fd < 0 && (errno == EACCES || errno == EINVAL)) {
        int saved = errno;
        tell_why(&attr);
        errno = saved;
    }
    return fd;
}
