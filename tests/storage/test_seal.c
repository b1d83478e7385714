/*
 * Publishing, writing small files whole, and the media hash (expected values from Python's
 * hashlib).
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "storage/seal.h"

static char dir[32];
static int dir_fd;

static void setup(void)
{
    strcpy(dir, "/tmp/slr-seal-XXXXXX");
    cr_assert(mkdtemp(dir));
    dir_fd = open(dir, O_RDONLY | O_DIRECTORY);
    cr_assert_geq(dir_fd, 0);
}

static void teardown(void)
{
    static const char *const names[] = {"a", "b", "c", "c.tmp", "sub/b", "sub/a"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        unlinkat(dir_fd, names[i], 0);
    }
    unlinkat(dir_fd, "sub", AT_REMOVEDIR);
    unlinkat(dir_fd, "a", AT_REMOVEDIR);
    close(dir_fd);
    rmdir(dir);
}

TestSuite(seal, .init = setup, .fini = teardown);

static void make(const char *name, const char *text)
{
    int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static bool is_there(const char *name)
{
    return faccessat(dir_fd, name, F_OK, 0) == 0;
}

static void check_content(const char *name, const char *want)
{
    char got[256] = "";
    int fd = openat(dir_fd, name, O_RDONLY);
    cr_assert_geq(fd, 0, "%s is not there", name);
    ssize_t n = read(fd, got, sizeof got - 1);
    close(fd);
    cr_assert_geq(n, 0);
    cr_assert_str_eq(got, want);
}

Test(seal, publishes)
{
    make("a", "voice");
    cr_assert_eq(slr_seal_publish(dir_fd, "a", "b"), SLR_OK);
    cr_assert(!is_there("a"));
    check_content("b", "voice");
}

Test(seal, publishing_again_is_done)
{
    make("a", "voice");
    cr_assert_eq(slr_seal_publish(dir_fd, "a", "b"), SLR_OK);
    cr_assert_eq(slr_seal_publish(dir_fd, "a", "b"), SLR_OK);
    check_content("b", "voice");
}

Test(seal, nothing_to_publish)
{
    cr_assert_eq(slr_seal_publish(dir_fd, "a", "b"), SLR_NOTFOUND);
    cr_assert(!is_there("b"));
}

Test(seal, never_overwrites)
{
    make("a", "voice");
    make("b", "other");
    cr_assert_eq(slr_seal_publish(dir_fd, "a", "b"), SLR_EXISTS);
    check_content("a", "voice");
    check_content("b", "other");
    make("b", "longer than the other");
    cr_assert_eq(slr_seal_publish(dir_fd, "a", "b"), SLR_EXISTS);
    check_content("a", "voice");
}

Test(seal, the_same_content_is_no_conflict)
{
    make("a", "voice");
    make("b", "voice");
    cr_assert_eq(slr_seal_publish(dir_fd, "a", "b"), SLR_OK);
    cr_assert(!is_there("a"));
    check_content("b", "voice");
}

/* Content that is equal at first and differs beyond the compare block. */
Test(seal, a_late_difference_is_seen)
{
    enum { BYTES = 200 * 1024 };
    static char block[BYTES];
    for (int i = 0; i < 2; i++) {
        int fd = openat(dir_fd, i ? "b" : "a", O_WRONLY | O_CREAT, 0600);
        cr_assert_geq(fd, 0);
        block[BYTES - 1] = (char)i;
        cr_assert_eq(write(fd, block, BYTES), BYTES);
        close(fd);
    }
    cr_assert_eq(slr_seal_publish(dir_fd, "a", "b"), SLR_EXISTS);
    cr_assert(is_there("a"));
}

/* Death between link and unlink, where the file system has no RENAME_NOREPLACE. */
Test(seal, both_names_on_one_file_is_finished)
{
    make("a", "voice");
    cr_assert_eq(linkat(dir_fd, "a", dir_fd, "b", 0), 0);
    cr_assert_eq(slr_seal_publish(dir_fd, "a", "b"), SLR_OK);
    cr_assert(!is_there("a"));
    check_content("b", "voice");
}

/* From here on this process lives on a file system without RENAME_NOREPLACE. */
static void forbid_renameat2(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof code[0], code};
    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        cr_skip_test("no seccomp filters here");
    }
    cr_assert_eq(renameat2(dir_fd, "a", dir_fd, "c", RENAME_NOREPLACE), -1);
    cr_assert_eq(errno, EINVAL);
}

Test(seal, publishes_without_rename_noreplace)
{
    make("a", "voice");
    forbid_renameat2();
    cr_assert_eq(slr_seal_publish(dir_fd, "a", "b"), SLR_OK);
    cr_assert(!is_there("a"));
    check_content("b", "voice");
    cr_assert_eq(slr_seal_publish(dir_fd, "a", "b"), SLR_OK);
}

Test(seal, never_overwrites_without_rename_noreplace)
{
    make("a", "voice");
    make("b", "other");
    forbid_renameat2();
    cr_assert_eq(slr_seal_publish(dir_fd, "a", "b"), SLR_EXISTS);
    check_content("a", "voice");
    check_content("b", "other");
}

Test(seal, across_directories)
{
    cr_assert_eq(mkdirat(dir_fd, "sub", 0700), 0);
    make("sub/a", "voice");
    cr_assert_eq(slr_seal_publish(dir_fd, "sub/a", "b"), SLR_OK);
    check_content("b", "voice");
    cr_assert_eq(slr_seal_publish(dir_fd, "b", "sub/b"), SLR_OK);
    check_content("sub/b", "voice");
    cr_assert_eq(slr_seal_publish(dir_fd, "sub/b", "nowhere/b"), SLR_NOTFOUND);
    check_content("sub/b", "voice");
}

Test(seal, a_symbolic_link_is_not_published)
{
    make("c", "secret");
    cr_assert_eq(symlinkat("c", dir_fd, "a"), 0);
    cr_assert_neq(slr_seal_publish(dir_fd, "a", "b"), SLR_OK);
    cr_assert(!is_there("b"));
}

Test(seal, a_target_that_is_a_symbolic_link_is_taken)
{
    make("a", "voice");
    cr_assert_eq(symlinkat("a", dir_fd, "b"), 0);
    cr_assert_eq(slr_seal_publish(dir_fd, "a", "b"), SLR_EXISTS);
    check_content("a", "voice");
}

Test(seal, writes_a_small_file)
{
    struct stat st;
    cr_assert_eq(slr_seal_write_file(dir_fd, "c", "{}\n", 3), SLR_OK);
    check_content("c", "{}\n");
    cr_assert(!is_there("c.tmp"));
    cr_assert_eq(fstatat(dir_fd, "c", &st, 0), 0);
    cr_assert_eq(st.st_mode & 07777, 0600u);
}

Test(seal, replaces_a_small_file)
{
    cr_assert_eq(slr_seal_write_file(dir_fd, "c", "a long first version", 20), SLR_OK);
    cr_assert_eq(slr_seal_write_file(dir_fd, "c", "second", 6), SLR_OK);
    check_content("c", "second");
    cr_assert_eq(slr_seal_write_file(dir_fd, "c", NULL, 0), SLR_OK);
    check_content("c", "");
}

Test(seal, a_temporary_file_left_by_a_crash_is_no_obstacle)
{
    make("c.tmp", "half of something that was much longer");
    cr_assert_eq(slr_seal_write_file(dir_fd, "c", "whole", 5), SLR_OK);
    check_content("c", "whole");
    cr_assert(!is_there("c.tmp"));
}

Test(seal, a_small_file_that_cannot_be_put_leaves_nothing)
{
    cr_assert_eq(slr_seal_write_file(dir_fd, "sub/c", "x", 1), SLR_NOTFOUND);
    cr_assert_eq(mkdirat(dir_fd, "sub", 0700), 0);
    cr_assert_neq(slr_seal_write_file(dir_fd, "sub", "x", 1), SLR_OK);
    cr_assert(!is_there("sub.tmp"));
    cr_assert(is_there("sub"));
}

Test(seal, a_name_that_is_too_long)
{
    static char name[5000];
    memset(name, 'n', sizeof name - 1);
    cr_assert_eq(slr_seal_write_file(dir_fd, name, "x", 1), SLR_TOOLONG);
    make("a", "voice");
    cr_assert_eq(slr_seal_publish(dir_fd, "a", name), SLR_TOOLONG);
    check_content("a", "voice");
}

static void fill(struct slr_sink_memory *m, uint64_t before, uint64_t len)
{
    slr_sink_memory_init(m);
    cr_assert_eq(m->base.ops->truncate(&m->base, before + len), SLR_OK);
    for (uint64_t i = 0; i < len; i++) {
        m->at[before + i] = (uint8_t)(i % 251);
    }
}

/* Expected: for b in the 1 MiB blocks of bytes(i % 251): sha256(b), then sha256 over them all. */
Test(hash, known_values)
{
    static const struct {
        uint64_t len;
        const char *want;
    } cases[] = {
        {0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {1, "1406e05881e299367766d313e26c05564ec91bf721d31726bd6e46e60689539a"},
        {70000, "50ff7dd19e3e5eee9062a83d034689b48df8e03175b5f821d0b898c37c4d84e3"},
        {1048576, "004fbf44b4c0a58632164fc9ec00e8f35e330037fd4425dd947cf65d930762c2"},
        {1048577, "a9c574ce937d2371daf87cdd0e75396b096d7f74a66c764e4c656bd12b2e7bf9"},
        {3000000, "b32e0beb4e2cb5bc2dc0a330908ebc90d590eedbe49f83bbe455a6508ed39d48"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct slr_sink_memory m;
        char text[SLR_HASH_TEXT_SIZE];
        fill(&m, 44, cases[i].len);
        cr_assert_eq(slr_hash_media(&m.base, 44, cases[i].len, text), SLR_OK);
        cr_assert_str_eq(text, cases[i].want);
        m.base.ops->close(&m.base);
    }
}

Test(hash, one_bit_changes_it)
{
    struct slr_sink_memory m;
    char before[SLR_HASH_TEXT_SIZE], after[SLR_HASH_TEXT_SIZE];
    fill(&m, 0, 1500000);
    cr_assert_eq(slr_hash_media(&m.base, 0, 1500000, before), SLR_OK);
    m.at[1234567] ^= 0x10;
    cr_assert_eq(slr_hash_media(&m.base, 0, 1500000, after), SLR_OK);
    cr_assert_str_neq(before, after);
    m.base.ops->close(&m.base);
}

Test(hash, a_file_that_ends_too_early)
{
    struct slr_sink_memory m;
    char text[SLR_HASH_TEXT_SIZE] = "old";
    fill(&m, 0, 1000);
    cr_assert_eq(slr_hash_media(&m.base, 0, 1001, text), SLR_EOF);
    cr_assert_str_eq(text, "");
    cr_assert_eq(slr_hash_media(&m.base, 2000, 1, text), SLR_EOF);
    m.base.ops->close(&m.base);
}
