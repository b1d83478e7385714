/*
 * Programs put together by hand do what they say, in the kernel where it lets us.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/bpf.h"

/* Runs an XDP program on a frame once; -1: this machine does not let us. */
static int run(int program, const uint8_t *frame, uint32_t bytes)
{
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.test.prog_fd = (uint32_t)program;
    attr.test.data_in = (uintptr_t)frame;
    attr.test.data_size_in = bytes;
    attr.test.repeat = 1;
    cr_assert_eq(slr_bpf(BPF_PROG_TEST_RUN, &attr), 0, "%s", strerror(errno));
    return (int)attr.test.retval;
}

Test(bpf, jumps_land_where_they_are_told)
{
    struct slr_bpf_code c = {.count = 0};
    uint32_t a = slr_bpf_jump(&c, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_1, 7);
    slr_bpf_leave(&c, BPF_JMP | BPF_JA, 0, 0);
    slr_bpf_map(&c, BPF_REG_1, 5); /* two instructions */
    slr_bpf_land(&c, a);
    slr_bpf_leave(&c, BPF_JMP | BPF_JA, 0, 0);
    slr_bpf_set(&c, BPF_REG_0, 1);
    slr_bpf_land_leaves(&c);
    cr_assert_eq(c.count, 6);
    cr_assert_eq(c.leave_count, 0);
    cr_assert_eq(c.at[0].off, 3);
    cr_assert_eq(c.at[1].off, 4);
    cr_assert_eq(c.at[4].off, 1);
    cr_assert_eq(c.at[2].src_reg, BPF_PSEUDO_MAP_FD);
    cr_assert_eq(c.at[2].imm, 5);
    cr_assert_eq(c.at[3].code, 0);
}

/* Counts its runs in the map's value and says whether the frame is of 60 bytes. */
static int make_program(int map)
{
    struct slr_bpf_code c = {.count = 0};
    slr_bpf_value(&c, BPF_REG_6, map, 8);
    slr_bpf_read(&c, BPF_W, BPF_REG_2, BPF_REG_6, 0);
    slr_bpf_emit(&c, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 1);
    slr_bpf_write(&c, BPF_W, BPF_REG_6, 0, BPF_REG_2);
    slr_bpf_read(&c, BPF_W, BPF_REG_7, BPF_REG_1, offsetof(struct xdp_md, data_end));
    slr_bpf_read(&c, BPF_W, BPF_REG_8, BPF_REG_1, offsetof(struct xdp_md, data));
    slr_bpf_emit(&c, BPF_ALU64 | BPF_SUB | BPF_X, BPF_REG_7, BPF_REG_8, 0);
    slr_bpf_set(&c, BPF_REG_0, XDP_DROP);
    slr_bpf_leave(&c, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_7, 60);
    slr_bpf_set(&c, BPF_REG_0, XDP_PASS);
    slr_bpf_land_leaves(&c);
    slr_bpf_emit(&c, BPF_JMP | BPF_EXIT, 0, 0, 0);
    return slr_bpf_load(&c, BPF_PROG_TYPE_XDP, 0, "slr_test");
}

Test(bpf, a_program_and_its_map)
{
    static const uint8_t frame[100];
    int map = slr_bpf_map_open(BPF_MAP_TYPE_ARRAY, 16, 1, BPF_F_MMAPABLE);
    if (map < 0) {
        cr_skip("no BPF here: %s", strerror(errno));
    }
    uint64_t value[2] = {0, 40};
    cr_assert_eq(slr_bpf_map_put(map, 0, value), 0);
    const uint64_t *at = mmap(NULL, 16, PROT_READ, MAP_SHARED, map, 0);
    cr_assert_neq((const void *)at, MAP_FAILED);
    int program = make_program(map);
    cr_assert_geq(program, 0, "%s", strerror(errno));
    cr_assert_eq(run(program, frame, 60), XDP_PASS);
    cr_assert_eq(run(program, frame, 61), XDP_DROP);
    cr_assert_eq(at[0], 0);
    cr_assert_eq(at[1], 42);
    close(program);
    close(map);
}

Test(bpf, what_the_kernel_refuses)
{
    struct slr_bpf_code c = {.count = 0};
    slr_bpf_emit(&c, BPF_JMP | BPF_EXIT, 0, 0, 0); /* no result */
    cr_assert_lt(slr_bpf_load(&c, BPF_PROG_TYPE_XDP, 0, "slr_test"), 0);
    cr_assert_lt(slr_bpf_map_open(BPF_MAP_TYPE_ARRAY, 0, 0, 0), 0);
}
