/*
 * bpf: puts small BPF programs together, instruction by instruction, and gives them to the kernel,
 * so that neither a BPF compiler nor a loader is needed. The code under construction is the
 * caller's; no state, any thread, allocates nothing but the log of a program that is refused.
 */
#ifndef SLR_COMMON_BPF_H
#define SLR_COMMON_BPF_H

#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>

#define SLR_BPF_CODE_MAX 512u

/* All zero: empty. More than SLR_BPF_CODE_MAX instructions are a mistake of the caller's. */
struct slr_bpf_code {
    struct bpf_insn at[SLR_BPF_CODE_MAX];
    uint32_t count;
    uint32_t leave[SLR_BPF_CODE_MAX]; /* jumps to what slr_bpf_land_leaves comes before */
    uint32_t leave_count;
    uint8_t jump_to[SLR_BPF_CODE_MAX]; /* 1 + label, 0: to none */
};

/* One instruction with no offset, which the caller may set. */
struct bpf_insn *slr_bpf_emit(struct slr_bpf_code *c, uint8_t op, uint8_t dst, uint8_t src,
                              int32_t imm);
/* dst = src, dst = imm. */
void slr_bpf_move(struct slr_bpf_code *c, uint8_t dst, uint8_t src);
void slr_bpf_set(struct slr_bpf_code *c, uint8_t dst, int32_t imm);
/* dst = the value of `size` (BPF_B, BPF_H, BPF_W, BPF_DW) at src + offset; the other way round. */
void slr_bpf_read(struct slr_bpf_code *c, uint8_t size, uint8_t dst, uint8_t src, size_t offset);
void slr_bpf_write(struct slr_bpf_code *c, uint8_t size, uint8_t dst, int offset, uint8_t src);
/* dst = the map of that descriptor, and, of a map of one entry of type array, the place of its
 * value plus offset. Two instructions each. */
void slr_bpf_map(struct slr_bpf_code *c, uint8_t dst, int map_fd);
void slr_bpf_value(struct slr_bpf_code *c, uint8_t dst, int map_fd, uint32_t offset);
/* Calls a helper: arguments in registers 1 to 5, the result in 0. */
void slr_bpf_call(struct slr_bpf_code *c, int32_t helper);
/* Register 0 = entry of a map whose key (32 bits) is in `key`, or NULL; the key lies on the stack
 * at `stack` (below 0) then. */
void slr_bpf_lookup(struct slr_bpf_code *c, int map_fd, uint8_t key, int16_t stack);

/* A jump whose target is not known yet, taken if `reg` compares so with imm (BPF_JA: always);
 * op: BPF_JMP or BPF_JMP32 and BPF_JEQ and so on. Gives what slr_bpf_land takes. */
uint32_t slr_bpf_jump(struct slr_bpf_code *c, uint8_t op, uint8_t reg, int32_t imm);
/* It goes to what is emitted next. */
void slr_bpf_land(struct slr_bpf_code *c, uint32_t jump);
/* Jumps of that kind that all go to one place, and that place: what is emitted next. */
void slr_bpf_leave(struct slr_bpf_code *c, uint8_t op, uint8_t reg, int32_t imm);
void slr_bpf_land_leaves(struct slr_bpf_code *c);

/* Jumps to labels, numbers of the program's own below 255, that come later; where `reg` compares
 * so with imm or (BPF_X) with src. The label: what is emitted next. */
void slr_bpf_jump_to(struct slr_bpf_code *c, uint8_t op, uint8_t reg, uint8_t src, int32_t imm,
                     uint8_t label);
void slr_bpf_label(struct slr_bpf_code *c, uint8_t label);

/* The system call; -1 and errno where it fails. */
int slr_bpf(enum bpf_cmd cmd, union bpf_attr *attr);
/* A map whose keys are numbers of 32 bits. A descriptor; -1 and errno. */
int slr_bpf_map_open(uint32_t type, uint32_t value_bytes, uint32_t entries, uint32_t flags);
/* An entry of such a map: `value` is as large as the map's values. 0; -1 and errno. */
int slr_bpf_map_put(int map_fd, uint32_t key, const void *value);
/* A program of that type, attach type (0: none) and name (at most 15 characters). A descriptor; -1
 * and errno, and the end of what the kernel's verifier said in a log event. */
int slr_bpf_load(const struct slr_bpf_code *c, uint32_t type, uint32_t attach_type,
                 const char *name);

#endif
